"""The door as steps use it, on a scripted host."""

from __future__ import annotations

from typing import Any

import pytest
from nornir.core.task import Result, Task

from tests.fake_host import FakeFile, FakeHost, Reply
from thinkube_nornir.command import Command, Completed, Fact, File
from thinkube_nornir.errors import CommandFailed, DeadlinePassed, Refused, ThinkubeError
from thinkube_nornir.outcome import Outcome, outcome_of, unchanged
from thinkube_nornir.remote import change, fresh, put, read, restore, run, undo, wait_until
from thinkube_nornir.remote.file_states import state_at, states_of
from thinkube_nornir.remote.on_host_state import adopt_on_host_state
from thinkube_nornir.secret import MASK, Secret

NAME = Fact("name", ("hostname",), lambda done: done.text)
COUNT = Fact("count", ("nproc",), lambda done: int(done.text))


def install(task: Task) -> Result:
    return change(task, "install x", "snap", "install", "x", root=True, key="snap:x", before={"installed": False})


def remove(task: Task) -> Result:
    return undo(task, "snap:x", "remove x", "snap", "remove", "x", root=True)


def test_read_asks_for_all_facts_in_one_round_trip_and_remembers_them() -> None:
    """Facts read together cost one round trip, and none again before the next change."""
    host = FakeHost(answers={"hostname": "h1\n", "nproc": "4\n"})

    def look(task: Task) -> Result:
        assert read(task, NAME, COUNT) == ("h1", 4)
        return unchanged(task, f"{read(task, COUNT)} on {read(task, NAME)}")

    assert host.apply(look).result == "4 on h1"
    assert host.trips == [["hostname", "nproc"]]


def test_change_makes_facts_be_read_anew() -> None:
    """What was read before a change is not believed after it."""
    host = FakeHost(answers={"nproc": ["4\n", "5\n"], "snap install x": ""})

    def look(task: Task) -> Result:
        seen = read(task, COUNT)
        install(task)
        return unchanged(task, f"{seen} {read(task, COUNT)}")

    assert host.apply(look).result == "4 5"


def test_fresh_does_not_ask_the_cache() -> None:
    """fresh reads the host each time and leaves the cache as it is."""
    host = FakeHost(answers={"nproc": ["4\n", "5\n"]})

    def look(task: Task) -> Result:
        return unchanged(task, f"{read(task, COUNT)} {fresh(task, COUNT)} {read(task, COUNT)}")

    assert host.apply(look).result == "4 5 4"


def test_a_fact_that_is_not_understood_is_shown() -> None:
    """A parser's failure names the fact and shows what the host said."""
    error = FakeHost(answers={"nproc": "many\n"}).apply(lambda task: unchanged(task, str(read(task, COUNT)))).exception

    assert isinstance(error, ThinkubeError)
    assert "count" in error.what
    assert "many" in error.why


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("", "it ended with status 0 and said nothing"),
        (Reply(stderr="Failed to connect to bus"), "said nothing; on stderr: Failed to connect to bus"),
        ("active\n", "it has not as many lines as were asked for; it said: 'active'"),
    ],
)
def test_an_empty_or_short_answer_is_named_as_what_it_is(reply: str | Reply, why: str) -> None:
    """Python's own words for it (`zip() argument 2 is shorter`) say nothing to an operator."""

    def parse(done: Completed) -> dict[str, str]:
        return dict(zip(("a", "b"), done.text.splitlines(), strict=True))

    host = FakeHost(answers={"systemctl is-active a b": reply})
    fact = Fact("units", ("systemctl", "is-active", "a", "b"), parse)
    error = host.apply(lambda task: unchanged(task, str(read(task, fact)))).exception

    assert isinstance(error, ThinkubeError)
    assert why in error.why
    assert error.fix == "try it on the host: systemctl is-active a b"


def test_files_that_the_host_says_nothing_of_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose programs are broken has an empty answer, and a good status."""
    file = File("/etc/x.conf", b"x\n")
    exchange = "thinkube_nornir.remote.file_states.exchange"
    monkeypatch.setattr(exchange, lambda _task, commands: [Completed(command, 0, b"", b"") for command in commands])

    with pytest.raises(ValueError, match="ends too early"):
        state_at("/etc/x.conf", "root", None).parse(Completed(Command(("sh",)), 0, b"", b""))
    error = FakeHost().apply(lambda task: unchanged(task, str(states_of(task, [file])))).exception

    assert isinstance(error, ThinkubeError)
    assert "the answer ends too early" in error.why


def test_a_slow_fact_has_its_own_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that may take longer than `timeouts.command` gives its whole round trip that time; others do not."""
    host = FakeHost(answers={"nproc": "2\n", "slow": "x\n"})
    given: list[float] = []
    execute = FakeHost.execute

    def noting(self: FakeHost, commands: Any, *, timeout: float, **more: Any) -> Any:
        given.append(timeout)
        return execute(self, commands, timeout=timeout, **more)

    monkeypatch.setattr(FakeHost, "execute", noting)
    slow = Fact("slow", ("slow",), lambda done: done.text, timeout=300.0)

    host.apply(lambda task: unchanged(task, str((read(task, COUNT), read(task, slow)))))

    assert [round(seconds) for seconds in given] == [60, 300]


def test_change_is_recorded_before_the_effect_and_done_after_it() -> None:
    """A controller killed during the effect leaves the change in its change log and on the host."""
    host = FakeHost()
    seen: list[tuple[str, int]] = []

    def answer(command: Command) -> str:
        seen.append((host.change_log.changes()[0].state, len(host.files.host_part)))
        return ""

    host.answers["snap install x"] = answer

    result = host.apply(install)

    assert outcome_of(result) is Outcome.CHANGED
    assert seen == [("intended", 1)]
    assert host.change_log.changes()[0].state == "done"
    assert host.altering == ["snap install x"]


def test_dry_run_sends_nothing_that_alters() -> None:
    """A dry run promises the change, and neither host nor change log hears of it."""
    host = FakeHost()

    result = host.apply(install, dry_run=True)

    assert outcome_of(result) is Outcome.PLANNED
    assert host.sent == []
    assert host.change_log.changes() == []


def test_read_only_run_refuses_changes() -> None:
    """In a verify run the door refuses every change before the host hears of it."""
    host = FakeHost(files={"/etc/x": "old"})

    assert isinstance(host.apply(install, read_only=True).exception, Refused)
    assert isinstance(host.apply(lambda task: put(task, File("/etc/x", b"new")), read_only=True).exception, Refused)
    assert host.sent == []
    assert host.files.text("/etc/x") == "old"


def test_failed_change_stays_intended_and_shows_stderr_redacted() -> None:
    """A failed effect may be half there: it stays ours; the error shows the evidence without secrets."""
    password = Secret("hunter2-hunter2")
    host = FakeHost(answers={"snap install x": Reply(10, stderr=f"error: {password.reveal()} no such snap")})

    error = host.apply(install).exception

    assert isinstance(error, CommandFailed)
    assert (error.what, error.status) == ("install x: exit status 10", 10)
    assert error.why == f"error: {MASK} no such snap"
    assert host.change_log.changes()[0].state == "intended"


def test_undo_takes_back_only_what_is_ours() -> None:
    """undo runs when the change log knows the change, once, and says so otherwise."""
    host = FakeHost(answers={"snap install x": "", "snap remove x": ""})

    assert outcome_of(host.apply(remove)) is Outcome.UNCHANGED
    host.apply(install)
    assert outcome_of(host.apply(remove, dry_run=True)) is Outcome.PLANNED
    assert outcome_of(host.apply(remove)) is Outcome.CHANGED
    assert outcome_of(host.apply(remove)) is Outcome.UNCHANGED
    assert host.sent == ["snap install x", "snap remove x"]
    assert host.files.host_part == {}


def test_another_controller_adopts_what_the_host_remembers() -> None:
    """With an empty change log, the host's own part is enough to roll back."""
    host = FakeHost(answers={"snap install x": "", "snap remove x": ""})
    host.apply(install)
    host.change_log.undone(host.change_log.changes()[0])

    def adopt(task: Task) -> Result:
        return unchanged(task, str(adopt_on_host_state(task).adopted))

    assert host.apply(adopt).result == "('snap:x',)"
    assert outcome_of(host.apply(remove)) is Outcome.CHANGED


def test_run_accepts_only_the_named_statuses() -> None:
    """A look whose status is not accepted is an error with the command to try."""
    host = FakeHost(answers={"systemctl": Reply(3, stdout="inactive\n")})

    assert (
        host.apply(lambda t: unchanged(t, run(t, "systemctl", "is-active", "x", accept=(0, 3)).text)).result
        == "inactive"
    )
    error = host.apply(lambda t: unchanged(t, run(t, "systemctl", "is-active", "x").text)).exception
    assert isinstance(error, CommandFailed)
    assert "systemctl is-active x" in error.fix


def test_put_writes_only_what_differs_and_restore_puts_it_back() -> None:
    """One differing file of two is written, with a diff; restore brings the former content and mode."""
    host = FakeHost(files={"/etc/same": "a\n", "/etc/other": FakeFile(b"old\n", 0o600)})

    def write(task: Task) -> Result:
        return put(task, File("/etc/same", b"a\n"), File("/etc/other", b"new\n"))

    result = host.apply(write)
    assert result.result == "write /etc/other"
    assert "-old\n+new\n" in result.diff
    assert len(host.trips) == 2
    assert outcome_of(host.apply(write)) is Outcome.UNCHANGED

    host.apply(lambda task: restore(task, "/etc/same", "/etc/other"))
    assert host.files["/etc/other"] == FakeFile(b"old\n", 0o600)
    assert host.written == ["/etc/other", "/etc/other"]
    assert host.change_log.changes() == []


def test_restore_after_two_puts_brings_the_first_state() -> None:
    """Writing twice keeps what was there before the first; a file that was not there goes."""
    host = FakeHost()
    host.apply(lambda task: put(task, File("/etc/x/y", b"1")))
    host.apply(lambda task: put(task, File("/etc/x/y", b"2")))

    assert host.apply(lambda task: restore(task, "/etc/x/y")).result == "remove /etc/x/y"
    assert host.files == {}
    assert outcome_of(host.apply(lambda task: restore(task, "/etc/x/y"))) is Outcome.UNCHANGED


def test_restore_refuses_what_somebody_else_changed() -> None:
    """A file edited since we wrote it is left alone, and the error says so."""
    host = FakeHost(files={"/etc/x": "old"})
    host.apply(lambda task: put(task, File("/etc/x", b"ours")))
    host.files["/etc/x"].content = b"theirs"

    assert isinstance(host.apply(lambda task: restore(task, "/etc/x")).exception, Refused)
    assert host.files.text("/etc/x") == "theirs"
    assert len(host.change_log.changes()) == 1


def test_put_diff_is_redacted() -> None:
    """A secret in a file does not reach the diff."""
    token = Secret("tok-123456")

    result = FakeHost().apply(lambda task: put(task, File("/etc/x", token.reveal().encode())), dry_run=True)

    assert token.reveal() not in result.diff
    assert MASK in result.diff


def test_wait_until_says_what_was_last_seen() -> None:
    """A wait that runs out names what it waited for and the last value; one that holds returns it."""
    host = FakeHost(answers={"nproc": ["1", "2", "3"]})

    def wait(task: Task, wanted: int, timeout: float) -> Result:
        value = wait_until(task, COUNT, lambda n: n == wanted, what="more cores", timeout=timeout, every=0.01)
        return unchanged(task, str(value))

    assert host.apply(lambda task: wait(task, 3, 5)).result == "3"
    error = host.apply(lambda task: wait(task, 4, 0.05)).exception
    assert isinstance(error, DeadlinePassed)
    assert "more cores" in error.what
    assert error.why == "last seen: count = 3"


def test_fake_host_fails_the_test_on_a_command_nobody_scripted() -> None:
    """A step cannot swallow it, whatever it catches."""
    with pytest.raises(pytest.fail.Exception, match="nobody scripted on host1: reboot"):
        FakeHost().apply(lambda task: unchanged(task, run(task, "reboot").text))
