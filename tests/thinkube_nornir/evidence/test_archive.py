"""The archive: what is written is read again, privately and whole."""

from __future__ import annotations

import tarfile
import time
from pathlib import Path

import pytest

from tests.engine import inventory
from tests.fake_run import record, row
from thinkube_nornir.command import Command, Completed
from thinkube_nornir.errors import ConfigError, Unreachable
from thinkube_nornir.evidence import archive
from thinkube_nornir.evidence.recorder import LONGEST, Recorder
from thinkube_nornir.secret import Secret

NODE = "phase5.coredns/verify/it_answers@tkc"


def recorded() -> Recorder:
    recorder = Recorder()
    command = Command(("cat", "/etc/hosts"), root=True)
    with recorder.step(NODE):
        recorder.commands("tkc", [Completed(command, 0, b"127.0.0.1 \xff\n", b"")], time.monotonic())
        recorder.request("tkc", {"method": "GET", "url": "/readyz"}, {"status": 200, "body": b"ok"}, time.monotonic())
    recorder.no_answer("tkw1", [Command(("hostname",), stdin=b"x" * 5)], Unreachable("tkw1 is down"), time.monotonic())
    return recorder


def written(path: Path, recorder: Recorder) -> archive.Archive:
    archive.write(path, recorder.entries, record(row()), inventory({"microk8s": ["tkc", "tkw1"]}))
    return archive.read(path)


def test_what_was_asked_and_answered_comes_back(tmp_path: Path) -> None:
    """Commands with status and bytes, requests to the API, what had no answer, and who asked."""
    found = written(tmp_path / "e.tar.gz", recorded())

    first, second = found.commands
    assert (first["argv"], first["root"], first["status"]) == (["cat", "/etc/hosts"], True, 0)
    assert first["stdout"].encode(errors="surrogateescape") == b"127.0.0.1 \xff\n"
    assert first["node"] == NODE
    assert (second["host"], second["node"], second["stdin_bytes"]) == ("tkw1", "", 5)
    assert "tkw1 is down" in second["error"]
    assert [(call["url"], call["body"]) for call in found.calls] == [("/readyz", "ok")]
    assert found.meta["hosts"]["tkc"]["groups"] == ["microk8s"]
    assert found.report["nodes"][0]["step"] == "coredns_answers"


def test_it_is_the_operators_alone(tmp_path: Path) -> None:
    """Mode 0600, inside and outside, whatever the umask: a secret may have been overlooked."""
    path = tmp_path / "e.tar.gz"
    written(path, recorded())

    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as packed:
        assert {member.mode for member in packed.getmembers()} == {0o600}


def test_no_secret_is_in_it(tmp_path: Path) -> None:
    """Secrets that become known after they were printed are removed too: it is done when the archive is written."""
    recorder = Recorder()
    argv = ("program", "--with=late secret")
    recorder.commands(
        "tkc", [Completed(Command(argv, env={"X": "late secret"}), 1, b"late secret", b"late secret")], time.monotonic()
    )
    Secret("late secret")

    (line,) = written(tmp_path / "e.tar.gz", recorder).commands

    assert "late secret" not in str(line)


def test_a_long_output_is_cut_and_says_so(tmp_path: Path) -> None:
    """An archive stays small enough to be sent, and nobody takes the rest for the whole."""
    recorder = Recorder()
    recorder.commands("tkc", [Completed(Command(("journalctl",)), 0, b"x" * (LONGEST + 1), b"")], time.monotonic())

    (line,) = written(tmp_path / "e.tar.gz", recorder).commands

    assert len(line["stdout"]) == LONGEST
    assert line["stdout_cut"] is True


@pytest.mark.parametrize(("name", "told"), [("e.zip", "does not end in .tar.gz"), ("no/e.tar.gz", "no folder")])
def test_a_place_that_cannot_be_is_refused_at_once(tmp_path: Path, name: str, told: str) -> None:
    """Before the run, not after it."""
    with pytest.raises(ConfigError, match=told):
        archive.must_be_archive(tmp_path / name)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    """Something else, half of one, or one of a later version."""
    path = tmp_path / "e.tar.gz"
    path.write_bytes(b"hello")
    with pytest.raises(ConfigError, match="is no archive of evidence"):
        archive.read(path)
    archive.write(path, [], record(row()), inventory({"a": ["tkc"]}))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ConfigError, match="is no archive of evidence"):
        archive.read(path)


def test_a_later_form_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the version that wrote it."""
    path = tmp_path / "e.tar.gz"
    monkeypatch.setattr(archive, "FORM", 2)
    archive.write(path, [], record(row()), inventory({"a": ["tkc"]}))
    monkeypatch.setattr(archive, "FORM", 1)

    with pytest.raises(ConfigError, match=r"has form 2.*thinkube-nornir"):
        archive.read(path)
