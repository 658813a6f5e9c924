"""trust: nobody's key is accepted without a look."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.thinkube_nornir.cli.conftest import Cli
from thinkube_nornir.errors import Unreachable
from thinkube_nornir.remote import host_key_scan
from thinkube_nornir.remote.host_keys import HostKey, Scanned, load_known_hosts
from thinkube_nornir.remote.ssh_route import Login
from thinkube_nornir.reporting.terminal import Terminal

KEY, OTHER = HostKey("ssh-ed25519", b"key"), HostKey("ssh-ed25519", b"other")


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, HostKey | None]:
    """What each host answers a scan with; None for a host that is silent."""
    keys: dict[str, HostKey | None] = {"tkc": KEY, "tkw1": KEY}

    def scan(logins: Sequence[Login]) -> list[Scanned]:
        return [_row(login) for login in logins if login.route.name in keys]

    def _row(login: Login) -> Scanned:
        name, key = login.route.name, keys[login.route.name]
        known = load_known_hosts(login.ssh.known_hosts).get(login.route.known_name, ())
        if key is None:
            return Scanned(name, login.route.known_name, None, "silent", known, Unreachable(f"{name} does not answer"))
        state = "known" if key in known else "changed" if known else "new"
        return Scanned(name, login.route.known_name, key, state, known)  # type: ignore[arg-type]

    monkeypatch.setattr(host_key_scan, "scan", scan)
    return keys


@pytest.fixture
def known(project: Path) -> Path:
    return project / ".thinkube" / "known_hosts"


def _say(monkeypatch: pytest.MonkeyPatch, answer: bool) -> list[str]:
    asked: list[str] = []
    monkeypatch.setattr(Terminal, "interactive", True)

    def confirm(question: str) -> bool:
        asked.append(question)
        return answer

    monkeypatch.setattr("click.confirm", confirm)
    return asked


def test_a_yes_accepts_what_was_shown(
    cli: Cli, answers: dict[str, HostKey | None], known: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table has every fingerprint; after a yes the keys are known and there is nothing left to ask."""
    asked = _say(monkeypatch, True)

    first, second = cli("trust"), cli("trust")

    assert f"tkc   new    {KEY}" in first.lines
    assert asked == ["Accept the new keys of tkc, tkw1?"]
    assert load_known_hosts(known) == {"127.0.0.1": (KEY,), "127.0.0.2": (KEY,)}
    assert first.code == second.code == 0
    assert f"tkc   known  {KEY}" in second.lines


def test_a_no_accepts_nothing(
    cli: Cli, answers: dict[str, HostKey | None], known: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator does not recognise a key: it stays unknown."""
    _say(monkeypatch, False)

    assert cli("trust").code == 2
    assert not known.exists()


def test_nobody_to_ask_accepts_nothing(cli: Cli, answers: dict[str, HostKey | None], known: Path) -> None:
    """In a pipe the fingerprints are shown, and --fingerprint is the only way."""
    ended = cli("trust")

    assert ended.code == 2
    assert "--fingerprint" in ended.err
    assert KEY.fingerprint in ended.out
    assert not known.exists()


def test_a_fingerprint_accepts_its_host_alone(cli: Cli, answers: dict[str, HostKey | None], known: Path) -> None:
    """No question for the host that was named; the other one stays unknown."""
    ended = cli("trust", "--fingerprint", f"tkc={KEY.fingerprint}")

    assert load_known_hosts(known) == {"127.0.0.1": (KEY,)}
    assert ended.code == 2
    assert cli("trust", "-l", "tkc").code == 0


def test_a_wrong_fingerprint_accepts_nothing(cli: Cli, answers: dict[str, HostKey | None], known: Path) -> None:
    """The host shows another key than the operator expects: red, and unknown as before."""
    ended = cli("trust", "-l", "tkc", "--fingerprint", f"tkc={OTHER.fingerprint}")

    assert ended.code == 1
    assert "another key" in ended.err
    assert not known.exists()


def test_a_changed_key_is_asked_for_by_itself(
    cli: Cli, answers: dict[str, HostKey | None], known: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed key is pointed out with the old one, and replaced only after its own yes."""
    cli("trust", "-l", "tkc", "--fingerprint", f"tkc={KEY.fingerprint}")
    answers["tkc"] = OTHER
    refused = cli("trust", "-l", "tkc")
    kept = load_known_hosts(known)
    asked = _say(monkeypatch, True)
    done = cli("trust", "-l", "tkc")

    assert refused.code == 2
    assert kept == {"127.0.0.1": (KEY,)}
    assert f"accepted is {KEY}" in refused.out
    assert asked == ["Replace the key of tkc?"]
    assert done.code == 0
    assert load_known_hosts(known) == {"127.0.0.1": (OTHER,)}


def test_a_silent_host_is_red(cli: Cli, answers: dict[str, HostKey | None]) -> None:
    """Its row says why."""
    answers["tkc"] = None

    ended = cli("trust", "-l", "tkc")

    assert ended.code == 1
    assert "tkc   silent  tkc does not answer" in ended.lines


def test_an_unknown_host_in_a_fingerprint_is_refused(cli: Cli, answers: dict[str, HostKey | None]) -> None:
    """A typing mistake must not pass for an acceptance."""
    ended = cli("trust", "--fingerprint", f"tcs={KEY.fingerprint}")

    assert ended.code == 2
    assert "tcs is not among the hosts" in ended.err
