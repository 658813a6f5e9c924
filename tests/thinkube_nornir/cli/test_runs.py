"""plan, run, verify, rollback and resume, on a project whose steps touch no host."""

from __future__ import annotations

import json
import shlex
import signal
from pathlib import Path

import pytest
from nornir.core import Nornir

from tests.small_project import break_join
from tests.thinkube_nornir.cli.conftest import Cli
from thinkube_nornir import lock, preflight, runner, session
from thinkube_nornir.change_log import Change, StoredChangeLog
from thinkube_nornir.context import Context
from thinkube_nornir.estimate import Countdown
from thinkube_nornir.evidence.archive import read
from thinkube_nornir.plan import Plan
from thinkube_nornir.reporting.terminal import Terminal
from thinkube_nornir.session import Session
from thinkube_nornir.target import Say


def test_plan_promises_and_ends_with_three(cli: Cli, project: Path) -> None:
    """Changes are listed with their diffs, nothing is made, and the next command makes them."""
    ended = cli("plan", "phase1", "-l", "tkc", "--diff")

    assert ended.code == 3
    assert ended.lines[0] == "hosts  tkc  (-l tkc)"
    assert "\nphase1.base\n  install: install on tkc  on tkc\n      +base\n" in ended.out
    assert ended.out.count("install on tkc") == 1
    assert ended.lines[-1] == "next   thinkube-nornir run phase1 -l tkc"
    assert not (project / "hosts").exists()


def test_plan_of_what_is_done_is_green(cli: Cli) -> None:
    """Nothing pending and every check holds: 0, and what comes next is the next phase."""
    cli("run", "phase1")

    ended = cli("plan", "phase1")

    assert ended.code == 0
    assert "nothing to change" in ended.lines
    assert ended.lines[-1] == "next   thinkube-nornir run phase2"


def test_graph_touches_nothing(cli: Cli, project: Path) -> None:
    """--graph prints nodes and edges from the files alone: no journal, no log, no host."""
    ended = cli("plan", "phase1", "-l", "tkc", "--graph")

    assert ended.lines == [
        "phase1.base/setup/install@tkc",
        "phase1.base/verify/it_is_there@tkc",
        "    needs phase1.base/setup/install@tkc",
    ]
    assert not (project / ".thinkube").exists()


def test_run_ends_with_tables_and_the_next_phase(cli: Cli) -> None:
    """Per host what happened, per component how many checks hold, and the next command last."""
    ended = cli("run", "phase1")

    assert ended.code == 0
    assert ended.lines[-10:-2] == [
        "host  changed  passed",
        "tkc         1       1",
        "tkw1        1       1",
        "tkw2        1       1",
        "",
        "             tkc  tkw1  tkw2",
        "phase1.base  ✓ 1  ✓ 1   ✓ 1",
        "",
    ]
    assert ended.lines[-1] == "next   thinkube-nornir run phase2"
    assert max(map(len, ended.lines)) <= 80


def test_a_failure_turns_red_and_names_the_retry(cli: Cli, project: Path) -> None:
    """One host fails: 1, its block is shown, the others are done, the same command is next."""
    break_join(project, "tkw2")

    ended = cli("run", "all")

    assert ended.code == 1
    assert "FAILED  phase2.extra  setup: join  on tkw2" in ended.lines
    assert "  what  unexpected RuntimeError: the token is sesame-street" in ended.lines
    assert ended.lines[-2] == "log    .thinkube/thinkube.log"
    assert "Traceback" not in ended.out + ended.err
    assert ended.lines[-1] == "next   thinkube-nornir run all"
    assert "Traceback" in (project / ".thinkube" / "thinkube.log").read_text()


def test_verify_shows_the_matrix(cli: Cli) -> None:
    """Red before set-up, green after; a filtered verify shows its hosts only, and names the others once."""
    before = cli("verify", "phase1")
    cli("run", "all")
    after = cli("verify", "all", "-l", "!tkw2")

    assert before.code == 1
    assert "  it_is_there  ✗    ✗     ✗" in before.lines
    assert after.code == 0
    assert after.lines[-2] == "left out by -l: phase1.base, phase2.extra on tkw2"
    assert after.lines[-8:-3] == [
        "               tkc  tkw1",
        "phase1.base",
        "  it_is_there  ✓    ✓",
        "phase2.extra",
        "  it_answers        ✓",
    ]


def test_hosts_that_are_only_read_are_named(cli: Cli) -> None:
    """A filtered run says what it reads outside the filter."""
    cli("run", "phase1")

    ended = cli("run", "phase2", "-l", "tkw1")

    assert ended.lines[:2] == ["hosts  tkw1  (-l tkw1)", "       read only, because it is needed: tkc, tkw2"]


def test_reports_are_written_for_every_ending(cli: Cli, project: Path) -> None:
    """Also for a run that failed, and they agree with the exit code."""
    break_join(project, "tkw1")

    ended = cli("run", "all", "--report", "r.json", "--report", "r.xml", "--report", "r.md", "--report", "r.html")

    told = json.loads((project / "r.json").read_text())
    assert told["exit_code"] == ended.code == 1
    assert told["counts"]["failed"] == 1
    assert told["hosts"].keys() == {"tkc", "tkw1", "tkw2"}
    assert all((project / f"r.{ending}").read_text() for ending in ("xml", "md", "html"))


def test_rollback_on_real_hosts_needs_a_yes(cli: Cli, project: Path) -> None:
    """Where nobody can be asked, --yes is needed; a rehearsal needs none."""
    cli("run", "phase1")

    refused = cli("rollback", "phase1")
    rehearsed = cli("rollback", "phase1", "--dry-run")
    kept = sorted(path.name for path in (project / "hosts").iterdir())
    done = cli("rollback", "phase1", "--yes")

    assert refused.code == 2
    assert "add --yes" in refused.err
    assert rehearsed.code == 3
    assert kept == ["tkc.base", "tkw1.base", "tkw2.base"]
    assert done.code == 0
    assert not list((project / "hosts").iterdir())


@pytest.mark.parametrize(("answer", "code", "left"), [(True, 0, 0), (False, 2, 3)])
def test_rollback_asks_on_a_terminal(
    cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch, answer: bool, code: int, left: int
) -> None:
    """The question names what and where; a no changes nothing."""
    cli("run", "phase1")
    asked: list[str] = []

    def confirm(question: str) -> bool:
        asked.append(question)
        return answer

    monkeypatch.setattr(Terminal, "interactive", True)
    monkeypatch.setattr("click.confirm", confirm)

    ended = cli("rollback", "phase1")

    assert asked == ["Roll back phase1 on tkc, tkw1, tkw2?"]
    assert ended.code == code
    assert len(list((project / "hosts").iterdir())) == left


def test_resume_carries_out_the_last_unfinished_run(cli: Cli, project: Path) -> None:
    """Same verb, selection and limit; green afterwards, and then nothing is left to resume."""
    cli("run", "phase1")
    break_join(project, "tkw2")
    cli("run", "all", "-l", "workers")
    (project / "hosts" / "tkw2.broken").unlink()

    ended = cli("resume")

    assert ended.code == 0
    assert "(-l workers)" in ended.lines[0]
    assert cli("resume").code == 2


def test_an_older_run_is_named_and_not_resumed(cli: Cli, project: Path) -> None:
    """A verify came after the run that failed: what would start that again is said, and nothing is started."""
    break_join(project, "tkw2")
    cli("run", "all", "-l", "workers")
    cli("verify", "phase1")

    ended = cli("resume")

    assert ended.code == 2
    assert "(run 1) is not the latest one" in ended.err
    assert "`thinkube-nornir run all -l workers`" in ended.err


def test_a_run_foresees_what_past_ones_took(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing at first; then what altering took for what is not ours, and what looking took for what is."""
    expected: list[dict[str, float | None] | None] = []
    countdown = Session.countdown

    def spy(self: Session) -> Countdown | None:
        found = countdown(self)
        expected.append(dict(found.estimate._seconds) if found else None)
        return found

    monkeypatch.setattr(Session, "countdown", spy)
    for arguments in (["run", "phase1"], ["rollback", "phase1", "-y"], ["run", "phase1"], ["verify", "phase1"]):
        cli(*arguments)

    assert expected[:2] == [None, None]
    assert expected[2] is not None
    assert expected[2].keys() == {f"phase1.base/{s}@{h}" for s in ("setup/install", "verify/it_is_there")
                                  for h in ("tkc", "tkw1", "tkw2")}  # fmt: skip
    assert expected[3] is not None


def test_what_a_failed_run_left_is_expected_to_be_set_up(
    cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is on record as ours, and not done: what that run did finish is expected to find nothing to do."""
    record = [Change(1, host, "phase2.extra", "k", "", {}, "done") for host in ("tkw1", "tkw2")]
    monkeypatch.setattr(StoredChangeLog, "changes", lambda _, **__: record)
    ours: list[object] = []

    def spy(plan: Plan, past: object, known: object) -> dict[str, float | None]:
        ours.append(known)
        return dict.fromkeys(node.id for node in plan.nodes)

    monkeypatch.setattr(session, "expected_seconds", spy)
    break_join(project, "tkw2")

    cli("run", "all")
    (project / "hosts" / "tkw2.broken").unlink()
    cli("run", "all")
    cli("run", "all")

    assert ours == [{("tkw1", "phase2.extra")}, {("tkw1", "phase2.extra"), ("tkw2", "phase2.extra")}]


def test_history_and_show_tell_of_past_runs(cli: Cli, project: Path) -> None:
    """Newest first, with limit and outcome; show has every node with its error."""
    break_join(project, "tkw2")
    cli("run", "phase1")
    cli("run", "all", "-l", "workers")

    history, shown = cli("history"), cli("show")

    assert [line.split()[0] for line in history.lines] == ["run", "2", "1"]
    assert history.lines[1].endswith("all -l workers")
    assert "failed" in history.lines[1]
    assert "green" in history.lines[2]
    assert any(line.startswith("failed") and "phase2.extra/setup/join@tkw2" in line for line in shown.lines)
    assert any("fix   run again with -v" in line for line in shown.lines)
    assert cli("show", "1").lines[0] == "run      1: run phase1"


def test_only_altering_runs_are_alone(cli: Cli, project: Path) -> None:
    """While another run holds the lock, a run is refused with its holder; plan and verify are not."""
    with lock.hold(project / ".thinkube", "run phase1"):
        assert "a run is under way" in cli("run", "phase1").err
        assert cli("plan", "phase1").code == 3
        assert cli("verify", "phase1").code == 1


def test_workers_override_the_configuration(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """--workers N is what the runner sees."""
    seen: list[int] = []
    execute = runner.GraphRunner.run

    def spy(self: runner.GraphRunner, *given: object) -> object:
        seen.append(self.context.config.workers)
        return execute(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(runner.GraphRunner, "run", spy)
    cli("verify", "phase1", "--workers", "2")

    assert seen == [2]


def test_ctrl_c_says_what_it_does(cli: Cli, project: Path) -> None:
    """Running steps finish, the rest is not started, the exit code is 130, and resume is next."""
    base = project / "steps" / "phase1_base" / "base.py"
    text = base.read_text().replace("def install(task: Task) -> Result:\n", INTERRUPTING)
    base.write_text(text)

    ended = cli("run", "all", "-l", "tkc")

    assert ended.code == 130
    assert "interrupted: running steps finish, no other starts; Ctrl-C again cancels them" in ended.lines
    assert "skipped     1  interrupted" in ended.lines
    assert ended.lines[-1] == "next   thinkube-nornir resume"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


INTERRUPTING = """\
def install(task: Task) -> Result:
    import os, signal, time

    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.3)  # the main thread takes the signal meanwhile
"""


def test_output_is_ascii_where_it_must_be(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without UTF-8 the matrix has words."""
    monkeypatch.setattr(Terminal, "unicode", False)

    assert "  it_is_there  FAIL  FAIL  FAIL" in cli("verify", "phase1").lines


def test_evidence_is_a_verification_with_an_archive(cli: Cli, project: Path) -> None:
    """`evidence` checks what `verify` checks, writes where it was told to, and says what is still in it."""
    cli("run", "phase1")

    ended = cli("evidence", "phase1", "--evidence", "e.tar.gz")

    assert ended.code == 0
    assert "evidence  e.tar.gz: 0 commands and 0 requests to the API, without secrets" in ended.lines
    found = read(project / "e.tar.gz")
    assert found.meta["request"] == {"verb": "verify", "selection": ["phase1"], "limit": ""}
    assert {node["chain"] for node in found.report["nodes"]} == {"verify"}


def test_evidence_has_a_name_of_its_own(cli: Cli, project: Path) -> None:
    """Without --evidence a new file appears beside the operator, named by the time."""
    cli("run", "phase1")

    cli("evidence", "phase1")

    assert len(list(project.glob("evidence-*.tar.gz"))) == 1


def test_a_place_for_evidence_is_checked_first(cli: Cli, project: Path) -> None:
    """A mistyped name is refused before the run, which has changed nothing."""
    ended = cli("run", "phase1", "--evidence", "e.zip")

    assert (ended.code, ended.err) == (2, "error: --evidence: e.zip does not end in .tar.gz\n")
    assert not (project / "hosts").exists()


def _hold_foreign_things(project: Path) -> None:
    """Let a file `theirs` beside what phase1.base removes stop its rollback."""
    path = project / "steps/phase1_base/base.py"
    guard = """    if _mark(task, "theirs").exists():
        refuse_foreign(task, "the base", [Foreign(f"file {task.host.name}/theirs")])
"""
    text = path.read_text().replace(
        '    mark = _mark(task, "base")\n    if not mark', f'{guard}    mark = _mark(task, "base")\n    if not mark'
    )
    path.write_text(
        text.replace(
            "from thinkube_nornir.outcome",
            "from thinkube_nornir.foreign import Foreign, refuse_foreign\nfrom thinkube_nornir.outcome",
        )
    )


def test_what_is_foreign_goes_by_its_name_alone(cli: Cli, project: Path) -> None:
    """The next command has the names of what was refused, on all hosts; a name that fits nothing is said."""
    _hold_foreign_things(project)
    cli("run", "phase1", "-l", "workers")
    for host in ("tkw1", "tkw2"):
        (project / "hosts" / f"{host}.theirs").write_text("")
    asked = "thinkube-nornir rollback phase1 -l workers"
    names = " --delete-foreign 'file tkw1/theirs' --delete-foreign 'file tkw2/theirs'"

    rehearsed = cli("rollback", "phase1", "-l", "workers", "--dry-run", "--delete-foreign", "file tkw/theirs")
    refused = cli("rollback", "phase1", "-l", "workers", "-y", "--delete-foreign", "file tkw1/theirs")
    done = cli("rollback", "phase1", "-l", "workers", "-y", *shlex.split(names))

    assert (rehearsed.code, refused.code, done.code) == (1, 2, 0)
    assert rehearsed.lines[-1] == f"next   {asked}{names}"
    assert "--delete-foreign 'file tkw/theirs': no step found anything of that name" in rehearsed.out
    assert f"deleted with it: `{asked}{names}`" in refused.err
    assert "phase1.base on tkw2: the base holds what is not managed, and would take it along: file tkw2" in refused.err
    assert "tkw1" not in refused.err.split("(move")[0]
    assert "no step found" not in refused.out + done.out


def test_what_a_rollback_leaves_recorded_is_named(cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that found nothing of its own, as other settings were in force at the set-up, must not look done."""
    cli("run", "phase1")
    remember = "object:v1/ConfigMap/default/left"
    opened = preflight.refuse_what_is_foreseen

    def noted(plan: Plan, nornir: Nornir, context: Context, say: Say) -> None:
        opened(plan, nornir, context, say)
        context.change_log.intend(host="tkc", component="phase1.base", key=remember, summary="", before={})

    monkeypatch.setattr(session, "refuse_what_is_foreseen", noted)

    ended = cli("rollback", "phase1", "-y")

    assert ended.code == 0
    assert f"note   phase1.base on tkc: not undone: {remember}; a step above says why" in ended.out
    assert "not undone" not in cli("verify", "phase1").out
