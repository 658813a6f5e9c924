"""The command line with `target: lab`, the lab itself being fake."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.small_project import CONFIG, break_join
from tests.thinkube_nornir.cli.conftest import Cli
from thinkube_nornir import lock
from thinkube_nornir.lab import client
from thinkube_nornir.lab.client import LabAddress, LabInfo

INFO = LabInfo(
    hosts={
        name: LabAddress(f"127.77.0.{n}", 2222, "thinkube") for n, name in enumerate(("tkc", "tkw1", "tkw2", "dns1"))
    },
    key_file=Path("key"),
    known_hosts=Path("known_hosts"),
    emulated=("snapd", "MicroK8s"),
    pid=1,
    since=0.0,
    fingerprint="f",
)


@pytest.fixture
def labs(project: Path, monkeypatch: pytest.MonkeyPatch) -> list[LabInfo]:
    """The running lab, if any; the project's target is the lab."""
    running: list[LabInfo] = []

    def ensure(config: object, inventory: object, say: object) -> LabInfo:
        running.append(running[0] if running else INFO)
        return running[0]

    def down(config: object) -> LabInfo | None:
        info = running[0] if running else None
        running.clear()
        return info

    (project / "config.yaml").write_text(CONFIG.replace("ssh", "lab"))
    monkeypatch.setattr(client, "ensure_lab", ensure)
    monkeypatch.setattr(client, "lab_status", lambda _: running[0] if running else None)
    monkeypatch.setattr(client, "lab_down", down)
    return running


def test_a_lab_run_says_so_first(cli: Cli, labs: list[LabInfo], project: Path) -> None:
    """The first line says that no real host is touched; all that is emulated is named in the report, and not again."""
    ended = cli("run", "phase1", "--report", "r.json")

    assert ended.lines[0] == "lab    these hosts are emulated on this machine; no real one is touched"
    assert "snapd" not in ended.out
    told = json.loads((project / "r.json").read_text())["run"]
    assert (told["target"], told["emulated"]) == ("lab", ["snapd", "MicroK8s"])


def test_rollback_on_the_lab_needs_no_yes(cli: Cli, labs: list[LabInfo], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody can be asked, throw-away hosts are rolled back without --yes."""
    monkeypatch.setattr("thinkube_nornir.session.recall", lambda *_: None)  # no host answers here
    cli("run", "phase1")

    assert cli("rollback", "phase1").code == 0


def test_a_new_lab_has_nothing_to_resume(cli: Cli, labs: list[LabInfo], project: Path) -> None:
    """What was left unfinished on a lab that is gone is not carried on with on another."""
    cli("run", "phase1")
    break_join(project, "tkw2")
    cli("run", "all")
    labs[:] = [replace(INFO, pid=2)]

    assert cli("resume").code == 2
    labs[:] = [INFO]
    assert cli("resume").code == 1


def test_lab_up_status_down(cli: Cli, labs: list[LabInfo]) -> None:
    """How to log in, while there is something to log in to."""
    assert "no lab is running" in cli("lab", "status").out
    assert "thinkube@127.77.0.1" in cli("lab", "up").out
    assert "thinkube@127.77.0.1" in cli("lab", "status").out
    assert cli("lab", "down").lines == ["lab: ended, with its 4 hosts"]
    assert cli("lab", "down").lines == ["lab: none was running"]


def test_the_lab_is_not_ended_under_a_run(cli: Cli, labs: list[LabInfo], project: Path) -> None:
    """The run would wait for its hosts until it gives up; who is at work is named."""
    cli("lab", "up")

    with lock.hold(project / ".thinkube", "run phase1"):
        ended = cli("lab", "down")

    assert ended.code == 2
    assert "a run is under way" in ended.err
    assert labs


def test_the_lab_needs_no_trust(cli: Cli, labs: list[LabInfo]) -> None:
    """Its keys are enrolled by itself."""
    ended = cli("trust")

    assert ended.code == 2
    assert "the lab enrols its own hosts" in ended.err


def test_status_names_what_is_unproven(cli: Cli, labs: list[LabInfo], project: Path) -> None:
    """An emulation that nobody could read in a source is a belief, and the operator is told so."""
    (project / "steps/lab").mkdir(parents=True)
    (project / "steps/lab/__init__.py").write_text('"""A lab.\n\nUnproven: how long the imagined tool takes.\n"""\n')

    lines = cli("lab", "status").lines

    assert "unproven, as no source of it could be read (docs/reality.md: what is proven, how):" in lines
    assert "  __init__: how long the imagined tool takes." in lines
