"""Promises 5 and 7: killed anywhere, resumable; and nothing hangs without a word."""

from __future__ import annotations

import json
import signal
import time
from typing import Any

import pytest

from tests.light_lab import eventually
from tests.promises.conftest import Labs
from tests.promises.lab_project import LabProject, differences, kill

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MOMENTS = (
    ("snap_microk8s@tkc", ("run", "phase5")),
    ("addons@tkc", ("run", "phase5")),
    ("join_cluster@tkw1", ("resume",)),
    ("roll_out_corefile@tkc", ("resume",)),
    ("unit_systemd_resolved_service@bcn1", ("run", "phase5")),
)
"""A step during or just after which the controller is killed, and how it is taken up again."""

# What is new at each installation: keys and tokens, records with the time or version of something, random names.
ONE_OFF = (
    "/certs/",
    "/credentials/",
    "thinkube.config",
    "/thinkube-nornir/",
    "config-version",
    "cni.yaml",
    "/backend/",
)

DEADLINE = 40.0  # seconds; far above the deadlines that are set here, far below those that are not


def _lasting(snapshot: dict[str, Any]) -> Any:
    """The state without what differs between two installations on fresh hosts."""
    text = json.dumps(snapshot, sort_keys=True, default=str)
    found: dict[str, Any] = json.loads(text)
    for files in found["files"].values():
        for path in [p for p in files if any(part in p for part in ONE_OFF)]:
            del files[path]
    for name, obj in found["objects"]["tkc"].items():
        if "Deployment" in name:
            obj.get("status", {}).pop("conditions", None)
            obj["spec"]["template"]["metadata"].pop("annotations", None)
        if "/Pod/" in name or "/Secret/" in name:
            obj.clear()
    return found


def _killed_at(project: LabProject, step: str) -> None:
    """Start a set-up, and kill -9 the controller when its log says that the step has started."""
    log = project.folder / ".thinkube/thinkube.log"
    with project.started("run", "phase5", "-vv") as process:
        began = eventually(lambda: log.exists() and f"{step}: started" in log.read_text(), 30)
        kill(process)
    assert began, step


@pytest.fixture(scope="module")
def undisturbed(standing: LabProject) -> Any:
    return _lasting(standing.snapshot())


@pytest.mark.parametrize(("step", "again"), MOMENTS, ids=lambda value: str(value))
def test_killed_anywhere_resumable(labs: Labs, undisturbed: Any, step: str, again: tuple[str, ...]) -> None:
    """Running again ends in the state of a run that nobody killed, and rollback still takes all of it back."""
    project = labs()
    before = project.snapshot()
    _killed_at(project, step)

    ended = project.bare(*again)

    assert ended.code == 0, ended.told
    assert "\n".join(differences(undisturbed, _lasting(project.snapshot()))) == ""
    assert project("rollback", "phase5").code == 0
    assert "\n".join(differences(before, project.snapshot())) == ""


def test_a_killed_rollback_is_resumable(labs: Labs) -> None:
    """Also of what was taken down half-way nothing stays."""
    project = labs()
    before = project.snapshot()
    assert project("run", "phase5").code == 0
    log = project.folder / ".thinkube/thinkube.log"
    with project.started("rollback", "phase5", "-vv") as process:
        assert eventually(lambda: "leave_cluster@tkw1: started" in log.read_text(), 30)
        kill(process)

    ended = project.bare("resume")

    assert ended.code == 0, ended.told
    assert "\n".join(differences(before, project.snapshot())) == ""


def _with_deadlines(project: LabProject) -> None:
    text = project.config_file.read_text()
    project.config_file.write_text(text.replace("command: 60", "command: 2").replace("connect: 10", "connect: 2"))


def test_a_command_that_never_ends_is_ended(labs: Labs) -> None:
    """It fails by its deadline, says what was waited for, and no process of it is left on the host."""
    project = labs()
    _with_deadlines(project)
    project.ssh("tkc", "printf '#!/bin/sh\\nexec sleep 98765\\n' >/usr/bin/ss; chmod 755 /usr/bin/ss")

    ended = project("run", "phase5.microk8s_control", "-l", "tkc")

    assert ended.code == 1
    error = next(n["error"] for n in ended.report["nodes"] if n["error"])
    assert error["kind"] == "DeadlinePassed"
    assert "ss -Hltn" in error["what"] + error["why"]
    assert "Traceback" not in ended.told
    assert eventually(lambda: "98765" not in _processes(project, "tkc"))


def _processes(project: LabProject, host: str) -> str:
    return project.ssh(host, "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' || :").text.replace("cat", "")


def test_a_silent_host_is_given_up(labs: Labs) -> None:
    """It takes connections and answers nothing: an error by the deadline, and the other hosts go on."""
    project = labs()
    _with_deadlines(project)
    project.fault("tkw1", "silent")
    started = time.monotonic()

    ended = project("verify", "phase5.microk8s_workers")

    assert time.monotonic() - started < DEADLINE
    assert ended.code == 1
    errors = [n["error"] for n in ended.report["nodes"] if n["host"] == "tkw1" and n["error"]]
    assert errors[0]["kind"] == "Unreachable"
    assert errors[0]["fix"]


def test_a_silent_control_plane_is_one_cause(labs: Labs) -> None:
    """Its own steps and those of others that ask its API: one failure to mend, and the same command after that."""
    project = labs()
    _with_deadlines(project)
    project.fault("tkc", "silent")

    ended = project("verify", "phase5.coredns", "-l", "tkw1")

    assert ended.code == 1
    errors = [n["error"] for n in ended.report["nodes"] if n["error"] and "Unreachable" in n["error"]["kind"]]
    assert {error["kind"] for error in errors} == {"Unreachable", "ClusterUnreachable"}
    assert len({error["why"].splitlines()[-1] for error in errors}) == 1
    assert not any("see that" in error["why"] for error in errors)
    assert ended.told.count("no SSH server says anything") == 1
    assert " verify phase5.coredns -l tkw1" in ended.report["next"]


def test_a_rollback_killed_while_snapd_works_is_taken_up_again(labs: Labs) -> None:
    """snapd goes on stopping services when nobody waits for it; the next rollback waits until it accepts an order."""
    project = labs(speed=20)
    before = project.snapshot()
    assert project("run", "phase5.microk8s_control").code == 0
    with project.started("rollback", "phase5.microk8s_control") as process:
        assert eventually(lambda: "Doing" in project.ssh("tkc", "snap changes").text, 30)
        kill(process)
    assert "Doing" in project.ssh("tkc", "snap changes").text

    ended = project("rollback", "phase5.microk8s_control")

    assert ended.code == 0, ended.told
    assert "\n".join(differences(before, project.snapshot())) == ""


@pytest.fixture(scope="module")
def taken_down(labs: Labs) -> tuple[LabProject, Any]:
    """A lab on which rollbacks are interrupted, and its hosts as they were at first; each test leaves them so."""
    project = labs()
    return project, project.snapshot()


INTERRUPTED = (
    "drain_node@tkw1",
    "leave_cluster@tkw1",
    "remove_registration@bcn1",
    "stop_services@bcn1",
    "unmount_volumes@tkw1",
    "snap_microk8s@tkw1",
    "clear_leftovers@bcn1",
    "stop_services@tkc",
    "snap_microk8s@tkc",
)
"""Steps of a rollback; Ctrl-C lets those end that have begun, so it stops after them."""


@pytest.mark.parametrize("step", INTERRUPTED)
def test_after_an_interrupted_rollback_run_and_rollback_work(taken_down: tuple[LabProject, Any], step: str) -> None:
    """Wherever it stopped: what `run` then stands up passes `verify`, and can be taken down like any other."""
    project, before = taken_down
    assert project("run", "phase5").code == 0
    log = project.folder / ".thinkube/thinkube.log"
    log.write_text("")
    with project.started("rollback", "phase5", "-y", "-vv") as process:
        assert eventually(lambda: f"{step}: started" in log.read_text(), 30)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130

    for again in (("run", "phase5"), ("verify", "phase5"), ("rollback", "phase5")):
        ended = project(*again)
        assert ended.code == 0, ended.told
    assert "\n".join(differences(before, project.snapshot())) == ""
