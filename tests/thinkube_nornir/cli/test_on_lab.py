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
from thinkube_nornir.lab.faults import FAULTS
from thinkube_nornir.recall import Recall

ROOT = Path(__file__).parents[3]
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
    monkeypatch.setattr(Recall, "__call__", lambda *_: None)  # no host answers here
    return running


def test_a_lab_run_says_so_first(cli: Cli, labs: list[LabInfo], project: Path) -> None:
    """The first line says that no real host is touched; all that is emulated is named in the report, and not again."""
    ended = cli("run", "phase1", "--report", "r.json")

    assert ended.lines[0] == "lab    these hosts are emulated on this machine; no real one is touched"
    assert "snapd" not in ended.out
    told = json.loads((project / "r.json").read_text())["run"]
    assert (told["target"], told["emulated"]) == ("lab", ["snapd", "MicroK8s"])


def test_rollback_on_the_lab_needs_no_yes(cli: Cli, labs: list[LabInfo]) -> None:
    """Where nobody can be asked, throw-away hosts are rolled back without --yes."""
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


def test_ending_the_lab_says_what_it_opens_in_the_task_list(cli: Cli, labs: list[LabInfo], project: Path) -> None:
    """No proof outlives its hosts; what real hosts prove, or nobody, stays."""
    done = ("*(run 3 on the lab, 2026-11-27)*", "*(run 1, 2026-11-20)*", "*(by hand, 2026-11-20)*")
    lines = [f"- [x] a <!-- phase1.base/verify --> {evidence}\n" for evidence in done]
    (project / "START_HERE.md").write_text("".join([*lines, "- [ ] b\n"]))
    cli("lab", "up")

    ended = cli("lab", "down")

    assert ended.lines == [
        "lab: ended, with its 4 hosts",
        "     tasks of START_HERE.md proven on it alone: 1; `thinkube-nornir checklist sync` opens them again",
    ]
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
    """Its keys are accepted by itself."""
    ended = cli("trust")

    assert ended.code == 2
    assert "the lab accepts the keys of its own hosts" in ended.err


def test_status_names_what_is_unproven(cli: Cli, labs: list[LabInfo], project: Path) -> None:
    """An emulation that nobody could read in a source is a belief, and the operator is told so."""
    (project / "steps/lab").mkdir(parents=True)
    (project / "steps/lab/__init__.py").write_text('"""A lab.\n\nUnproven: how long the imagined tool takes.\n"""\n')

    lines = cli("lab", "status").lines

    assert any(line.startswith("unproven: ") and line.endswith("; -v lists them") for line in lines)
    lines = cli("lab", "status", "-v").lines
    assert "unproven, as no source of it could be read (docs/reality.md: what is proven, how):" in lines
    assert "  __init__: how long the imagined tool takes." in lines


@pytest.fixture
def faults(labs: list[LabInfo], monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, dict[str, float]]]:
    """What the running lab was asked to break."""
    asked: list[tuple[str, str, dict[str, float]]] = []
    labs.append(INFO)
    monkeypatch.setattr(client, "lab_fault", lambda _, host, kind, **numbers: asked.append((host, kind, numbers)))
    return asked


def test_a_host_is_broken_and_repaired(cli: Cli, faults: list[tuple[str, str, dict[str, float]]]) -> None:
    """Numbers go with it; how to repair it is said."""
    broken = cli("lab", "fault", "tkw1", "slow", "--seconds", "2")
    cut = cli("lab", "fault", "tkw1", "cut", "--count", "100")
    repaired = cli("lab", "fault", "tkw1", "none")

    assert (broken.code, cut.code, repaired.code) == (0, 0, 0)
    assert faults == [("tkw1", "slow", {"seconds": 2.0}), ("tkw1", "cut", {"count": 100}), ("tkw1", "none", {})]
    assert "lab fault tkw1 none` repairs it" in broken.out
    assert repaired.lines == ["lab: tkw1 is repaired"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("tkw3", "dead"), "HOST: the lab has no host tkw3 (did you mean tkw2?)"),
        (("tkw1", "silnt"), "KIND: the lab knows no fault silnt (did you mean silent?)"),
        (("tkw1", "flood"), "there are: dead, silent, slow, cut, sshd, full, none"),
        (("tkw1", "dead", "--seconds", "3"), "--seconds: means nothing to dead (it is for slow and sshd)"),
        (("tkw1", "slow", "--seconds", "-1"), "--seconds"),
        (("tkw1",), "KIND"),
    ],
)
def test_a_fault_that_the_lab_does_not_know_is_refused(
    cli: Cli, faults: list[tuple[str, str, dict[str, float]]], words: tuple[str, ...], told: str
) -> None:
    """With the nearest name, and nothing is broken."""
    ended = cli("lab", "fault", *words)

    assert ended.code == 2
    assert told in " ".join(ended.err.split())
    assert not faults


def test_without_a_lab_nothing_is_broken(cli: Cli, project: Path) -> None:
    """It is not started for that: an empty one would be broken. A wrong kind is told first."""
    ended = cli("lab", "fault", "tkw1", "dead")

    assert ended.code == 1
    assert "no lab is running" in ended.err
    assert "lab up" in ended.err
    assert cli("lab", "fault", "tkw1", "deed").code == 2


def test_help_and_the_documentation_list_every_fault(cli: Cli) -> None:
    """None is to be found in code alone."""
    told, document = cli("lab", "fault", "--help").out, (ROOT / "docs/lab.md").read_text()

    for kind in FAULTS:
        assert f"\n  {kind} " in told, kind
        assert f"\n| `{kind}` |" in document, kind
