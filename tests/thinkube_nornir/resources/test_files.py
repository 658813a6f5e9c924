"""File: what is missing, changed, moded or owned otherwise is named, repaired, and put back at rollback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fake_host import FakeFile, FakeHost
from thinkube_nornir.errors import Refused, ThinkubeError
from thinkube_nornir.outcome import Outcome, outcome_of
from thinkube_nornir.program import command
from thinkube_nornir.resources import File, NotAsDeclared, from_setting, in_home

CONF = "/etc/ntp/ntp.conf"
NTP = File(CONF, "server a\n", mode=0o640, owner="ntp")
USER = "ntp:x:1007:1007::/home/ntp:/bin/sh\n"


def _host(file: File = NTP, **settings: str) -> FakeHost:
    host = FakeHost(answers={"getent passwd ntp": USER, "getent passwd": ""}, settings=settings)
    assert outcome_of(host.apply(file)) is Outcome.CHANGED
    return host


def _failure(host: FakeHost, file: File) -> NotAsDeclared:
    error = host.apply(file.check, read_only=True).exception
    assert isinstance(error, NotAsDeclared), error
    return error


def _content(host: FakeHost) -> None:
    host.files[CONF].content = b"server b\n"


BROKEN: dict[str, tuple[Callable[[FakeHost], object], str, str]] = {
    "deleted": (lambda h: h.files.pop(CONF), f"{CONF} is missing", "nothing there"),
    "content": (_content, f"{CONF} has another content", "9 bytes"),
    "mode": (lambda h: setattr(h.files[CONF], "mode", 0o600), f"{CONF} has mode 600, not 640", "mode 600"),
    "owner": (lambda h: setattr(h.files[CONF], "uid", 7), f"{CONF} belongs to 7:1001, not to ntp (1001:1001)", "of 7:"),
    "group": (lambda h: setattr(h.files[CONF], "gid", 7), f"{CONF} belongs to 1001:7, not to ntp (1001:1001)", ":7"),
    "link": (
        lambda h: h.files.update({CONF: FakeFile(target="/dev/null")}),
        f"{CONF} is no file",
        "a link to /dev/null",
    ),
}


@pytest.mark.parametrize("way", BROKEN)
def test_a_file_that_is_not_as_declared_is_named_and_repaired(way: str) -> None:
    """Check says what was expected and what was seen, apart and together; set-up repairs it; check is green."""
    breaks, what, seen = BROKEN[way]
    host = _host()
    breaks(host)

    error = _failure(host, NTP)
    repaired = host.apply(NTP)

    assert (error.what, error.expected) == (what, f"{CONF}: 9 bytes, mode 640, of ntp")
    assert seen in error.seen
    assert f"expected: {error.expected}\nseen: {error.seen}" in error.why
    assert error.fix == f"run the set-up: `{command('run', 'test.component')}`"
    assert outcome_of(repaired) is Outcome.CHANGED
    assert host.apply(NTP.check).exception is None


def test_a_file_as_declared_is_not_written_and_says_what_was_seen() -> None:
    """Set-up and check of what is right change nothing; the check's result has both sides, too."""
    host = _host()
    host.files.written.clear()

    again, checked = host.apply(NTP), host.apply(NTP.check)

    assert [outcome_of(again), outcome_of(checked)] == [Outcome.UNCHANGED, Outcome.PASSED]
    assert host.files.written == []
    assert (checked.expected, checked.seen) == (  # type: ignore[attr-defined]
        f"{CONF}: 9 bytes, mode 640, of ntp",
        f"{CONF}: 9 bytes, mode 640, of 1001:1001",
    )


def test_the_difference_is_shown_and_secrets_are_not() -> None:
    """A changed content shows what was there and what should be; of a secret file only that it differs."""
    host, secret = _host(), File("/etc/ntp/keys", "key one\n", mode=0o600, secret=True)
    host.apply(secret)
    _content(host)
    host.files["/etc/ntp/keys"].content = b"key two\n"

    open_error, secret_error = _failure(host, NTP), _failure(host, secret)

    assert "-server b\n+server a" in open_error.why
    assert "key" not in secret_error.why.replace("/etc/ntp/keys", "")
    assert secret_error.what == "/etc/ntp/keys has another content"


def test_a_secret_file_is_not_read_before_its_check() -> None:
    """As long as it is right its content stays on the host: only fingerprints cross the line."""
    host, secret = FakeHost(), File("/etc/ntp/keys", "key one\n", secret=True)
    host.apply(secret)
    host.trips.clear()

    assert secret.facts(None) == ()  # type: ignore[arg-type]
    assert host.apply(secret.check).exception is None
    assert len(host.trips) == 1


def test_an_owner_who_is_not_there_is_named() -> None:
    """The check says so; the host tells nothing else then."""
    host = FakeHost()
    host.files.serve = lambda *_: (1, b"", b"id: 'ntp': no such user")  # type: ignore[method-assign]

    assert _failure(host, NTP).what == f"{CONF} cannot belong to ntp, who is not there"


def test_rollback_puts_back_what_was_there_and_removes_what_was_not() -> None:
    """With mode and owner; a second rollback, and one on a bare host, is silent."""
    old = FakeHost(files={CONF: FakeFile(b"old\n", 0o604, 5, 6)})
    new = FakeHost()
    for host in (old, new):
        host.apply(NTP)
        assert outcome_of(host.apply(NTP.roll_back)) is Outcome.CHANGED
        assert outcome_of(host.apply(NTP.roll_back)) is Outcome.UNCHANGED

    assert old.files == {CONF: FakeFile(b"old\n", 0o604, 5, 6)}
    assert new.files == {}


def test_rollback_leaves_alone_what_somebody_else_changed_since() -> None:
    """It is refused, with what was found and what to do."""
    host = _host()
    _content(host)

    error = host.apply(NTP.roll_back).exception

    assert isinstance(error, Refused)
    assert error.why
    assert error.fix
    assert host.files.text(CONF) == "server b\n"


def test_values_of_the_host_are_looked_up() -> None:
    """A path in a user's home, a content and an owner from settings."""
    file = File(in_home(from_setting("user"), ".ntp"), from_setting("text"), owner=from_setting("user"))
    host = _host(file, user="ntp", text="for this host")

    assert file.name == "file_ntp"
    assert host.files.text("/home/ntp/.ntp") == "for this host"
    assert host.files["/home/ntp/.ntp"].uid == 1001


def test_the_home_of_nobody_is_an_error_that_rollback_passes_over() -> None:
    """Set-up and check need the user; when he has gone, his files have gone with him."""
    from tests.fake_host import Reply

    host = FakeHost(answers={"getent passwd": Reply(2)})
    file = File(in_home("ntp", ".ntp"), "x")

    assert "there is no user ntp" in str(host.apply(file).exception)
    assert outcome_of(host.apply(file.roll_back)) is Outcome.UNCHANGED


def test_a_file_this_host_shall_not_have_goes() -> None:
    """`unless` says why: what an earlier set-up put there is taken back, and the check passes with the reason."""
    host, wanted = FakeHost(settings={"servers": ""}), File(CONF, "x", unless=lambda t: t.host["servers"] and "no need")

    host.apply(wanted)
    host.settings["servers"] = "none here"
    taken, again, checked = host.apply(wanted), host.apply(wanted), host.apply(wanted.check)

    assert outcome_of(taken) is Outcome.CHANGED
    assert [outcome_of(again), again.result, checked.result] == [Outcome.UNCHANGED, "no need", "no need"]
    assert CONF not in host.files


def test_a_plan_promises_with_a_diff_and_writes_nothing() -> None:
    host = FakeHost()

    planned = host.apply(NTP, dry_run=True)

    assert outcome_of(planned) is Outcome.PLANNED
    assert "+server a" in planned.diff
    assert host.files == {}


def test_a_file_from_a_template_gets_the_values_beside_the_inventory(tmp_path: Path) -> None:
    """Rendered for the host at hand; an undefined name is an error."""
    from dataclasses import replace

    (tmp_path / "ntp.j2").write_text("{{ host.pool }} {{ options }}\n")
    host = FakeHost(settings={"pool": "pool.example"})
    context = host._context(host._inventory(), dry_run=False, read_only=False)
    context = replace(context, config=replace(context.config, templates=tmp_path))

    host.apply(File(CONF, template="ntp.j2", values={"options": "iburst"}), context=context)
    failed = host.apply(File(CONF, template="ntp.j2"), context=context)

    assert host.files.text(CONF) == "pool.example iburst\n"
    assert isinstance(failed.exception, ThinkubeError)


def test_declarations_that_cannot_be_meant_are_refused() -> None:
    """Content and template; a path that is a function and has no label."""
    with pytest.raises(TypeError, match="not both"):
        File(CONF, "x", template="y")
    with pytest.raises(TypeError, match="needs a label"):
        File(lambda _: CONF).name  # noqa: B018
    assert File(lambda _: CONF, label="ntp").name == "file_ntp"
