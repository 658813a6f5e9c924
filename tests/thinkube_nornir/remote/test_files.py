"""put and restore with real shells and real files; FakeFiles answers the same way (test_remote.py)."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nornir.core.task import Result

from tests.fake_host import FakeHost
from tests.local_shell import KINDS, SHELLS, LocalHost
from thinkube_nornir.command import Command, Completed, File
from thinkube_nornir.errors import CommandFailed, Refused, ThinkubeError
from thinkube_nornir.outcome import Outcome, outcome_of
from thinkube_nornir.remote import change, put, restore, undo
from thinkube_nornir.remote.file_states import fingerprint
from thinkube_nornir.remote.on_host_state import load_on_host_state


class LocalDoor(FakeHost):
    """The door with a shell of this machine behind it; root's folder of records is below `part`."""

    def __init__(self, kind: str, part: Path) -> None:
        super().__init__()
        self.kind = kind
        self.part = part
        self.local = LocalHost(kind, {"HOME": str(part.parent)})

    def execute(
        self,
        commands: Sequence[Command],
        *,
        timeout: float,
        cancelled: Callable[[], bool] = lambda: False,
        retried: Callable[[str], None] = lambda _: None,
    ) -> list[Completed]:
        moved = [
            Command(tuple(word.replace("/var/lib/thinkube-nornir", str(self.part)) for word in c.argv), c.stdin)
            for c in commands
        ]
        self.trips.append([str(command) for command in commands])
        return self.local.execute(moved, timeout=timeout, cancelled=cancelled)


@pytest.fixture(params=KINDS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalDoor]:
    host = LocalDoor(request.param, tmp_path / ".thinkube-nornir")
    yield host
    host.local.close()


def write(host: LocalDoor, *files: File, dry_run: bool = False) -> Result:
    return host.apply(lambda task: put(task, *files), dry_run=dry_run)


def back(host: LocalDoor, *paths: Path, dry_run: bool = False) -> Result:
    return host.apply(lambda task: restore(task, *map(str, paths)), dry_run=dry_run)


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_put_and_restore_leave_the_host_as_it_was(host: LocalDoor, tmp_path: Path) -> None:
    """Content, mode and names come back to the byte; new files, the folders we made for them and the records go."""
    there, new = tmp_path / "it's there", tmp_path / "a" / "b c" / "new"
    there.write_bytes(b"old\0\xff\n")
    there.chmod(0o640)
    before = listing(tmp_path)

    result = write(host, File(str(there), b"new", 0o600, owner=None), File(str(new), b"", 0o755, owner=None))

    assert outcome_of(result) is Outcome.CHANGED
    assert len(host.trips) == 2
    assert (there.read_bytes(), stat.S_IMODE(there.stat().st_mode)) == (b"new", 0o600)
    assert (new.read_bytes(), stat.S_IMODE(new.stat().st_mode)) == (b"", 0o755)
    assert len(list(host.part.glob("*.json"))) == 2
    assert stat.S_IMODE(host.part.stat().st_mode) == 0o700

    back(host, there, new)
    assert listing(tmp_path) == before
    assert (there.read_bytes(), stat.S_IMODE(there.stat().st_mode)) == (b"old\0\xff\n", 0o640)
    assert outcome_of(back(host, there, new)) is Outcome.UNCHANGED


def test_second_put_is_one_look(host: LocalDoor, tmp_path: Path) -> None:
    """Unchanged files cost one round trip and keep their inode."""
    path = tmp_path / "x"
    write(host, File(str(path), b"same", owner=None))
    inode = path.stat().st_ino
    host.trips.clear()

    assert outcome_of(write(host, File(str(path), b"same", owner=None))) is Outcome.UNCHANGED
    assert len(host.trips) == 1
    assert path.stat().st_ino == inode


def test_dry_run_writes_nothing(host: LocalDoor, tmp_path: Path) -> None:
    """A planned file is only looked for."""
    result = write(host, File(str(tmp_path / "x"), b"new\n", owner=None), dry_run=True)

    assert outcome_of(result) is Outcome.PLANNED
    assert "+new\n" in result.diff
    assert listing(tmp_path) == []


def test_diff_of_a_secret_file_shows_nothing_of_it(host: LocalDoor, tmp_path: Path) -> None:
    """Neither the new keys nor the former ones, which nobody has made known as secrets."""
    path = tmp_path / "kubeconfig"
    path.write_text("key: AAAA\n")

    result = write(host, File(str(path), b"key: BBBB\n", owner=None, secret=True), dry_run=True)

    assert result.changed
    assert not any(word in result.diff for word in ("AAAA", "BBBB"))


def test_mode_alone_is_a_difference(host: LocalDoor, tmp_path: Path) -> None:
    """A file with the right content and the wrong mode is put right."""
    path = tmp_path / "x"
    path.write_text("same")
    path.chmod(0o644)

    result = write(host, File(str(path), b"same", 0o600, owner=None))

    assert result.diff == f"mode of {path}: 644 -> 600\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_symlink_is_replaced_and_comes_back(host: LocalDoor, tmp_path: Path) -> None:
    """We never write through a link; its target stays as it is, and the link returns with restore."""
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("theirs")
    link.symlink_to("target")

    write(host, File(str(link), b"ours", owner=None))
    assert (link.is_symlink(), link.read_text(), target.read_text()) == (False, "ours", "theirs")

    back(host, link)
    assert (link.readlink(), target.read_text()) == (Path("target"), "theirs")


def test_symlink_to_a_folder_is_replaced_too(host: LocalDoor, tmp_path: Path) -> None:
    """The file takes the link's place, and not one inside the folder."""
    folder, link = tmp_path / "folder", tmp_path / "link"
    folder.mkdir()
    link.symlink_to("folder")

    write(host, File(str(link), b"ours", owner=None))
    assert (link.is_symlink(), link.read_text(), listing(folder)) == (False, "ours", [])

    back(host, link)
    assert link.readlink() == Path("folder")


def test_a_link_where_files_are_staged_is_not_followed(
    host: LocalDoor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who owns the folder can see the staging folder's name; it must not lead us elsewhere."""
    monkeypatch.setattr("thinkube_nornir.remote.files.secrets.token_hex", lambda _: "seen")
    elsewhere, path = tmp_path / "elsewhere", tmp_path / "folder" / "x"
    elsewhere.mkdir()
    (elsewhere / "x").write_text("theirs")
    path.parent.mkdir()
    (path.parent / ".thinkube.seen").symlink_to(elsewhere)

    write(host, File(str(path), b"ours", owner=None))

    assert (elsewhere / "x").read_text() == "theirs"
    assert (path.read_text(), listing(path.parent)) == ("ours", ["x"])


def test_directory_in_the_way_is_refused(host: LocalDoor, tmp_path: Path) -> None:
    """What is not a file is left alone, and nothing becomes ours."""
    (tmp_path / "x").mkdir()

    assert isinstance(write(host, File(str(tmp_path / "x"), b"", owner=None)).exception, Refused)
    assert host.change_log.changes() == []


def test_file_changed_by_somebody_else_is_not_rolled_back(host: LocalDoor, tmp_path: Path) -> None:
    """restore refuses when the content is neither ours nor the former one, and leaves it."""
    path = tmp_path / "x"
    path.write_text("old")
    for content in (b"first", b"second"):
        write(host, File(str(path), content, owner=None))
    path.write_text("theirs")

    for dry_run in (True, False):
        error = back(host, path, dry_run=dry_run).exception
        assert isinstance(error, Refused)
        assert "what is there now" in error.why
    assert path.read_text() == "theirs"

    path.write_bytes(b"first")  # ours once: a killed run may leave either
    assert outcome_of(back(host, path, dry_run=True)) is Outcome.PLANNED
    assert path.read_bytes() == b"first"
    assert outcome_of(back(host, path)) is Outcome.CHANGED
    assert path.read_text() == "old"


def test_folder_with_other_files_stays(host: LocalDoor, tmp_path: Path) -> None:
    """Of the folders we made only the empty ones go."""
    path = tmp_path / "a" / "b" / "x"
    write(host, File(str(path), b"", owner=None))
    (tmp_path / "a" / "theirs").write_text("")

    back(host, path)

    assert listing(tmp_path) == ["a", "a/theirs"]


def test_failed_write_leaves_the_old_file_and_no_temporary_one(host: LocalDoor, tmp_path: Path) -> None:
    """When the content cannot be stored, the file is as it was, and the error says why."""
    path = tmp_path / "x"
    path.write_text("old")
    limit = Command(("sh", "-c", "true"))
    host.local.shell.send_script(b"ulimit -f 1;f\n", limit, 1e12)
    host.local.shell.answer(limit, 1e12, lambda: False)

    error = write(host, File(str(path), b"x" * 1_000_000, owner=None)).exception

    assert isinstance(error, CommandFailed)
    assert path.read_text() == "old"
    assert [name for name in listing(tmp_path) if ".thinkube." in name] == []


def test_no_file_is_replaced_before_all_are_whole(host: LocalDoor, tmp_path: Path) -> None:
    """When one of several cannot be stored, each of them is as it was."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("old")
    limit = Command(("sh", "-c", "true"))
    host.local.shell.send_script(b"ulimit -f 100;f\n", limit, 1e12)
    host.local.shell.answer(limit, 1e12, lambda: False)

    error = write(host, File(str(first), b"new", owner=None), File(str(second), b"x" * 1_000_000, owner=None)).exception

    assert isinstance(error, CommandFailed)
    assert [name for name in listing(tmp_path) if not name.startswith(".thinkube-nornir")] == ["first"]
    assert first.read_text() == "old"
    assert {change.state for change in host.change_log.changes()} == {"intended"}


@pytest.mark.parametrize("length", [0, 100, 512, 800, 1024, 1536, 2048, 2300])
def test_nothing_is_replaced_when_the_content_is_cut_off(
    host: LocalDoor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    """Wherever: in a file, in what stands before it, or between two."""
    whole = host.execute

    def cut(commands: Sequence[Command], **how: Any) -> list[Completed]:
        return whole([replace(c, stdin=_cut(c.stdin, length)) for c in commands], **how)

    monkeypatch.setattr(host, "execute", cut)

    error = write(host, *(File(str(tmp_path / name), name.encode() * 300, owner=None) for name in ("one", "two")))

    assert isinstance(error.exception, CommandFailed)
    assert [name for name in listing(tmp_path) if not name.startswith(".thinkube-nornir")] == []


def _cut(stdin: bytes, length: int) -> bytes:
    """A record's line for each of the two files, then so many bytes of the archive."""
    first, second, archive = stdin.split(b"\n", 2) if stdin else (b"", b"", b"")
    return b"\n".join((first, second, archive[:length])) if stdin else b""


_REFUSING_MV = """#!/bin/sh
for word do shift; case $word in */second) echo "not $word" >&2 ;; *) set -- "$@" "$word" ;; esac; done
/bin/mv "$@"; exit 1
"""


def test_files_beside_the_one_that_cannot_be_placed_are_done(host: LocalDoor, tmp_path: Path) -> None:
    """The error names what was not written, and the change log knows which files were."""
    second, first = tmp_path / "second", tmp_path / "the first"
    program = tmp_path / "bin" / "mv"
    program.parent.mkdir()
    program.write_text(_REFUSING_MV)
    program.chmod(0o755)
    prepare = Command(("sh",))
    host.local.shell.send_script(f"PATH={program.parent}:$PATH;f\n".encode(), prepare, 1e12)
    host.local.shell.answer(prepare, 1e12, lambda: False)

    error = write(host, *(File(str(path), b"new", owner=None) for path in (second, first))).exception

    assert isinstance(error, CommandFailed)
    assert error.what == f"write {second}: exit status 1"
    assert [change.state for change in host.change_log.changes()] == ["intended", "done"]
    assert not [name for name in listing(tmp_path) if ".thinkube." in name]


def test_files_of_several_folders_take_their_places(host: LocalDoor, tmp_path: Path) -> None:
    """In whatever order they come, into folders that are there and others that are not."""
    paths = [tmp_path / name for name in ("x", "a/x", "y", "a/b/x", "a/.y")]

    write(host, *(File(str(path), path.name.encode(), owner=None) for path in paths))

    assert [path.read_text() for path in paths] == [path.name for path in paths]
    assert not [name for name in listing(tmp_path) if ".thinkube." in name]


def test_odd_names_and_modes_are_kept(host: LocalDoor, tmp_path: Path) -> None:
    """Names with blanks, quotes and backslashes (systemd's units have them), and modes beyond the umask."""
    files = [
        File(str(tmp_path / "a\\b" / name), b"content", mode, owner=None)
        for name, mode in (
            (r"disk\x2d1.swap", 0o640),
            ("-rf *", 0o4755),
            ("x", 0o666),
            ("\udcff'", 0o400),
            ("$(x)" * 60, 0o2750),
        )
    ]

    write(host, *files)

    for file in files:
        path = Path(file.path)
        assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (file.content, file.mode)
    assert outcome_of(write(host, *files)) is Outcome.UNCHANGED


def test_fingerprint_of_a_name_with_a_backslash_is_read(host: LocalDoor, tmp_path: Path) -> None:
    """sha256sum marks such a line with a backslash; before a `c` dash's echo takes that for the end of its output."""
    previous = next(data for n in range(999) if fingerprint(data := b"%d" % n).startswith("c"))
    path = tmp_path / r"disk\x2d1.swap"
    path.write_bytes(previous)

    assert outcome_of(write(host, File(str(path), b"ours", owner=None))) is Outcome.CHANGED
    back(host, path)

    assert path.read_bytes() == previous


def test_former_content_that_equals_another_wanted_one_comes_back(host: LocalDoor, tmp_path: Path) -> None:
    """Contents that the controller knows already do not travel, and are kept all the same."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"b")
    second.write_bytes(b"a")

    write(host, File(str(first), b"a", owner=None), File(str(second), b"b", owner=None))
    assert (first.read_bytes(), second.read_bytes()) == (b"a", b"b")

    back(host, first, second)
    assert (first.read_bytes(), second.read_bytes()) == (b"b", b"a")


def test_record_that_was_cut_off_is_as_none(host: LocalDoor, tmp_path: Path) -> None:
    """A record without its end is of a change that never began: it is not read, and the next one takes its place."""
    path = tmp_path / "x"
    path.write_text("old")
    write(host, File(str(path), b"new", owner=None))
    record = next(host.part.glob("*.json"))
    whole = record.read_bytes()
    record.write_bytes(whole[:-10])
    assert host.apply(lambda task: Result(task.host, result=load_on_host_state(task))).result == []

    path.write_text("old")
    write(host, File(str(path), b"new", owner=None))

    assert record.read_bytes() == whole


def test_first_record_is_kept(host: LocalDoor, tmp_path: Path) -> None:
    """A second change of the same thing does not take its first former state for the original."""
    path = tmp_path / "x"
    path.write_text("old")
    write(host, File(str(path), b"first", owner=None))
    record = next(host.part.glob("*.json")).read_bytes()

    write(host, File(str(path), b"second", owner=None))

    assert [one.read_bytes() for one in host.part.glob("*.json")] == [record]


def test_change_that_cannot_be_recorded_is_not_made(host: LocalDoor, tmp_path: Path) -> None:
    """Without its record on the host the effect does not happen."""
    host.part.write_text("a file where the folder should be")
    argv = ("touch", str(tmp_path / "effect"))

    result = host.apply(lambda task: change(task, "touch it", *argv, key="touch", before={}))

    assert isinstance(result.exception, CommandFailed)
    assert "nothing was changed" in result.exception.why
    assert not (tmp_path / "effect").exists()


def test_record_and_stdin_both_reach_their_ends(host: LocalDoor, tmp_path: Path) -> None:
    """The record's line is taken from stdin and the program gets all the rest; undo removes the record."""
    data = bytes(range(256)) * 100
    path = tmp_path / "effect"

    host.apply(lambda t: change(t, "save", "sh", "-c", f"cat >'{path}'", stdin=data, key="k", before={"a": "ü"}))
    records = host.apply(lambda task: Result(task.host, result=load_on_host_state(task))).result

    assert path.read_bytes() == data
    assert [(r.key, r.before["a"], r.component) for r in records] == [("k", "ü", "test.component")]
    host.apply(lambda task: undo(task, "k", "take back", "rm", str(path)))
    assert listing(tmp_path) == []


@pytest.mark.parametrize("path", ["/a\nb", "relative", "/a/../b", "/a/", "/a//b", "/"])
def test_only_plain_absolute_paths(path: str) -> None:
    """A path that could mean two things is refused before anything is sent."""
    host = FakeHost()

    assert isinstance(host.apply(lambda task: put(task, File(path, b""))).exception, ThinkubeError)
    assert host.trips == []


def test_an_answer_that_nobody_reads_leaves_nothing_behind(host: LocalDoor, tmp_path: Path) -> None:
    """The controller is gone before the script says what it did: the file is there, and no staging folder beside it."""
    path, ended = tmp_path / "folder" / "file", []

    def unread(commands: Sequence[Command], **_: object) -> list[Completed]:
        answers = []
        for command in commands:
            reader, writer = os.pipe()
            os.close(reader)
            argv = [*SHELLS[host.kind], *command.argv[1:]]
            done = subprocess.run(
                argv, input=command.stdin, stdout=writer, stderr=subprocess.PIPE, check=False, timeout=30,
                env={**os.environ, "HOME": str(tmp_path)}, restore_signals=True,
            )  # fmt: skip
            os.close(writer)
            ended.append(done.returncode)
            answers.append(Completed(command, done.returncode, b"", done.stderr))
        return answers

    looked = host.execute
    host.execute = lambda commands, **how: (  # type: ignore[method-assign]
        unread(commands) if commands[0].argv[3] == "thinkube:write" else looked(commands, **how)
    )
    write(host, File(str(path), b"new", 0o600, owner=None))

    assert ended == [143]
    assert listing(path.parent) == ["file"]
