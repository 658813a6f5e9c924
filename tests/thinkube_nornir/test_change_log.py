"""The change log and the journal: what is ours, and what happened, also after a kill."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from nornir.core.inventory import Host
from nornir.core.task import MultiResult, Result

from thinkube_nornir import lock
from thinkube_nornir.change_log import Merged, Record, StoredChangeLog
from thinkube_nornir.context import Retries
from thinkube_nornir.database import Database
from thinkube_nornir.errors import CheckFailed, ConfigError, ThinkubeError
from thinkube_nornir.journal import Journal
from thinkube_nornir.secret import Secret

SNAP = {"host": "h1", "component": "p.a", "key": "snap:x", "summary": "install x"}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path / "state" / "journal.sqlite")) as database:
        yield database


def test_the_first_state_before_is_kept(database: Database) -> None:
    """A second change of the same thing must not make our own first change look like the original."""
    change_log = StoredChangeLog(database, "ssh")
    change_log.done(change_log.intend(**SNAP, before={"channel": None}))
    change_log.done(change_log.intend(**SNAP, before={"channel": "1.31"}))

    kept = change_log.managed("h1", "snap:x")

    assert kept is not None
    assert kept.before == {"channel": None}
    assert len(change_log.changes()) == 1


def test_what_is_undone_is_not_ours(database: Database) -> None:
    """And a later change of it is recorded anew."""
    change_log = StoredChangeLog(database, "ssh")
    change_log.undone(change_log.intend(**SNAP, before={"channel": None}))

    assert change_log.managed("h1", "snap:x") is None
    assert change_log.intend(**SNAP, before={"channel": "theirs"}).before == {"channel": "theirs"}


def test_a_damaged_journal_is_named(tmp_path: Path) -> None:
    """Pages of the file that are overwritten are found when it is opened, and not in the middle of a rollback."""
    path = tmp_path / "journal.sqlite"
    first = Database(path)
    change_log = StoredChangeLog(first, "ssh")
    for number in range(200):
        change_log.intend(**{**SNAP, "key": f"snap:{number}"}, before={"text": "x" * 100})
    first.close()
    with path.open("r+b") as file:
        file.seek(4096 * 4)
        file.write(b"\xff" * 4096 * 8)

    with pytest.raises(ConfigError, match=r"journal\.sqlite: the journal cannot be read: .*\(move the file away"):
        Database(path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"channel": "1.32"}', '{"channel": null} '])
def test_a_damaged_record_is_named_and_no_other(database: Database, text: str) -> None:
    """What it was about is said, and it is no fault of this program; also when it is good JSON of other content."""
    change_log = StoredChangeLog(database, "ssh")
    change_log.done(change_log.intend(**SNAP, before={"channel": None}))
    change_log.done(change_log.intend(**{**SNAP, "key": "snap:y"}, before={"channel": None}))
    database.write("UPDATE changes SET before = ? WHERE key = 'snap:x'", text)

    with pytest.raises(ThinkubeError, match="the journal's record of 'install x' on h1 is damaged") as caught:
        change_log.managed("h1", "snap:x")

    assert "rollback p.a" in caught.value.fix
    assert change_log.managed("h1", "snap:y") is not None


def test_a_damaged_record_makes_way_for_a_copy(database: Database) -> None:
    """And a sound one does not."""
    change_log = StoredChangeLog(database, "ssh")
    change_log.intend(**SNAP, before={"channel": None})
    copy = Record("p.a", "snap:x", "install x", {"channel": None})
    assert change_log.take_over("h1", [copy], of_cluster=False) == Merged()
    database.write("UPDATE changes SET before = '{'")

    assert change_log.take_over("h1", [copy], of_cluster=False) == Merged(adopted=("snap:x",))
    assert change_log.changes(host="h1")[0].before == {"channel": None}


def test_what_the_thing_itself_remembers_is_right(database: Database) -> None:
    """A change that another controller made is taken over; one that it undid is not ours any more; one that it undid
    and made anew has the later state before it."""
    change_log = StoredChangeLog(database, "ssh")
    for key in ("snap:same", "snap:undone", "snap:anew"):
        change_log.done(change_log.intend(**{**SNAP, "key": key}, before={"channel": "1.30"}))
    remembered = [
        Record("p.a", "snap:same", "", {"channel": "1.30"}),
        Record("p.a", "snap:anew", "", {"channel": "1.31"}),
        Record("p.a", "snap:theirs", "", {"channel": None}),
    ]

    merged = change_log.take_over("h1", remembered, of_cluster=False)

    assert merged == Merged(("snap:anew", "snap:theirs"), ("snap:undone",))
    found = {change.key: (change.before["channel"], change.state) for change in change_log.changes()}
    assert found == {
        "snap:same": ("1.30", "done"),
        "snap:anew": ("1.31", "intended"),
        "snap:theirs": (None, "intended"),
    }


def test_a_host_says_nothing_of_its_cluster(database: Database) -> None:
    """Records of objects lie in the cluster; what has only such a name (NOTED) lies on the host."""
    change_log = StoredChangeLog(database, "ssh")
    keys = ("snap:x", "object:v1/ConfigMap/kube-system/coredns", "object:before the operator")
    for key in keys:
        change_log.intend(**{**SNAP, "key": key}, before={})

    assert change_log.take_over("h1", [], of_cluster=True).dropped == keys[1:2]
    assert change_log.take_over("h1", [], of_cluster=False).dropped == (keys[0], keys[2])
    assert change_log.take_over("h2", [], of_cluster=False) == Merged()


def test_a_record_of_version_1_has_no_digest_and_is_believed(database: Database) -> None:
    change_log = StoredChangeLog(database, "ssh")
    change_log.intend(**SNAP, before={"channel": None})
    database.write("UPDATE changes SET digest = ''")

    assert change_log.managed("h1", "snap:x") is not None


def test_a_killed_change_stays_intended(tmp_path: Path) -> None:
    """It is on disk before the effect, also when the process ends without a word."""
    path = tmp_path / "journal.sqlite"
    program = (
        "import os, pathlib, thinkube_nornir.change_log as l, thinkube_nornir.database as d;"
        f"l.StoredChangeLog(d.Database(pathlib.Path({str(path)!r})), 'ssh').intend("
        "host='h1', component='p.a', key='snap:x', summary='install x', before={}); os.kill(os.getpid(), 9)"
    )
    ended = subprocess.run([sys.executable, "-c", program], check=False)

    with closing(Database(path)) as database:
        change = StoredChangeLog(database, "ssh").managed("h1", "snap:x")

    assert ended.returncode == -9
    assert change is not None
    assert change.state == "intended"


def test_scopes_are_apart(database: Database) -> None:
    """A new lab's hosts are not those of the last one."""
    old = StoredChangeLog(database, "lab:1")
    old.done(old.intend(**SNAP, before={}))

    assert StoredChangeLog(database, "lab:2").changes() == []


def test_changes_come_oldest_first_and_filtered(database: Database) -> None:
    """Rollback walks them backward."""
    change_log = StoredChangeLog(database, "ssh")
    for host, component in (("h1", "p.a"), ("h2", "p.a"), ("h1", "p.b")):
        change_log.intend(host=host, component=component, key=f"file:/{component}", summary="", before={})

    assert [c.component for c in change_log.changes(host="h1")] == ["p.a", "p.b"]
    assert [c.host for c in change_log.changes(component="p.a")] == ["h1", "h2"]


def test_the_journal_holds_runs_and_nodes(database: Database) -> None:
    """Before and after each node; errors by their three parts; no secret."""
    journal = Journal(database, "ssh")
    run = journal.start_run("run", ("phase5",), "tkw1")
    journal.node_started(run, "p.a/verify/x@h1", "h1")
    assert journal.nodes(run)[0].finished is None
    result = MultiResult("x")
    secret = Secret("hunter2 hunter2")
    error = CheckFailed(f"saw {secret.reveal()}", why="because", fix="do")
    retries = Retries(3, "busy with hunter2 hunter2")
    result.append(Result(Host("h1"), failed=True, exception=error, retries=retries))

    journal.node_finished(run, "p.a/verify/x@h1", result)

    node = journal.nodes(run)[0]
    assert node.outcome == "failed"
    assert node.error == {"kind": "CheckFailed", "what": "saw ********", "why": "because", "fix": "do"}
    assert (node.retries, node.retried) == (3, "busy with ********")


def test_former_journals_say_passed_of_checks(database: Database) -> None:
    """They were written as unchanged, like set-up steps with nothing to do."""
    journal = Journal(database, "ssh")
    run = journal.start_run("run", ("phase5",), "")
    for chain in ("preconditions", "setup", "verify"):
        node = f"p.a/{chain}/x@h1"
        journal.node_started(run, node, "h1")
        result = MultiResult("x")
        result.append(Result(Host("h1"), result="as it should be"))
        journal.node_finished(run, node, result)

    assert [node.outcome for node in journal.nodes(run)] == ["passed", "unchanged", "passed"]


def test_resume_finds_what_did_not_end_well(database: Database) -> None:
    """A killed run has no outcome; a later good one of the same hosts leaves nothing to resume."""
    journal = Journal(database, "ssh")
    killed = journal.start_run("run", ("phase5",), "")
    found = journal.unfinished()
    assert found is not None
    assert (found.id, found.selection, found.outcome) == (killed, ("phase5",), None)

    journal.finish_run(journal.start_run("run", ("phase5",), ""), "done")

    assert journal.unfinished() is None


@pytest.mark.parametrize(("verb", "dry_run"), [("verify", False), ("plan", True), ("rollback", True)])
def test_an_older_run_is_not_resumed(database: Database, verb: str, dry_run: bool) -> None:
    """Once something else has looked at the hosts, also when that was interrupted itself."""
    journal = Journal(database, "ssh")
    journal.finish_run(journal.start_run("rollback", ("phase5",), ""), "interrupted")
    other = Journal(database, "lab 1")
    other.start_run("verify", ("phase5",), "")
    assert journal.unfinished() is not None

    journal.finish_run(journal.start_run(verb, ("phase5",), "", dry_run=dry_run), "interrupted")

    assert journal.unfinished() is None


def test_a_file_that_is_no_journal(tmp_path: Path) -> None:
    """A clear error and no traceback; the file is left alone."""
    path = tmp_path / "journal.sqlite"
    path.write_text("not a database, but long enough to look like one " * 10)

    with pytest.raises(ConfigError, match="cannot be read"):
        Database(path)

    assert path.read_text().startswith("not a database")


def test_a_journal_of_a_newer_version(tmp_path: Path) -> None:
    """It is refused, not written to."""
    newer = sqlite3.connect(tmp_path / "journal.sqlite")
    newer.execute("PRAGMA user_version=99")
    newer.close()

    with pytest.raises(ConfigError, match="newer version"):
        Database(tmp_path / "journal.sqlite")


def test_the_journal_is_the_owners_alone(database: Database) -> None:
    """It may hold former contents of files."""
    assert database.path.stat().st_mode & 0o777 == 0o600
    assert database.path.parent.stat().st_mode & 0o777 == 0o700


def test_the_lock_names_its_holder(tmp_path: Path) -> None:
    """A second altering run is refused with who, since when and for what; and let in once the first has ended."""
    with (
        lock.hold(tmp_path, "run phase5"),
        pytest.raises(ConfigError, match=r"process \d+.*run phase5"),
        lock.hold(tmp_path, "x"),
    ):
        pass
    with lock.hold(tmp_path, "rollback phase5"):
        pass


def test_a_lock_holds_on_a_full_disk(tmp_path: Path) -> None:
    """Who holds it cannot be written then; `lab down` must work all the same."""
    (tmp_path / "lock").symlink_to("/dev/full")

    busy = pytest.raises(ConfigError, match="a run is under way by another process")
    with lock.hold(tmp_path, "lab down"), busy, lock.hold(tmp_path, "run all"):
        pass
