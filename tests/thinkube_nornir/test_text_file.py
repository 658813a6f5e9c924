"""What is written into a file that people edit as well: at once, and over nobody's edit."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from thinkube_nornir.text_file import content_of, update


def test_a_file_is_made_and_replaced(tmp_path: Path) -> None:
    """The change gets None where there is no file; a content that stays is not written."""
    path = tmp_path / "notes.md"

    assert update(path, lambda content: b"one\n" if content is None else None)
    assert not update(path, lambda content: content)
    assert not update(path, lambda _: None)
    assert update(path, lambda content: (content or b"") + b"two")

    assert content_of(path) == b"one\ntwo"
    assert list(tmp_path.iterdir()) == [path]


def test_what_an_editor_saved_meanwhile_is_kept(tmp_path: Path) -> None:
    """The change is made again, on what the person wrote."""
    path = tmp_path / "notes.md"
    path.write_bytes(b"- [ ] task\n")
    seen = []

    def change(content: bytes | None) -> bytes:
        seen.append(content)
        if len(seen) == 1:
            path.write_bytes(b"- [ ] task\nwritten by hand\n")
        return (content or b"").replace(b"[ ]", b"[x]")

    assert update(path, change)

    assert content_of(path) == b"- [x] task\nwritten by hand\n"
    assert len(seen) == 2


def test_a_file_that_is_written_all_the_time_is_an_error(tmp_path: Path) -> None:
    """It is not fought for; what was written last stays."""
    path = tmp_path / "notes.md"

    def change(content: bytes | None) -> bytes:
        path.write_bytes((content or b"") + b"x")
        return b"ours"

    with pytest.raises(BlockingIOError, match="all the time"):
        update(path, change)

    assert content_of(path) == b"x" * 5
    assert list(tmp_path.iterdir()) == [path]


APPEND = """
import pathlib, sys
from thinkube_nornir.text_file import update
for _ in range(25):
    update(pathlib.Path(sys.argv[1]), lambda content: (content or b"") + sys.argv[2].encode())
"""


def test_programs_wait_for_each_other(tmp_path: Path) -> None:
    """Four that add letters at the same time lose none."""
    path = tmp_path / "notes.md"
    started = [subprocess.Popen([sys.executable, "-c", APPEND, str(path), letter]) for letter in "abcd"]

    assert [process.wait() for process in started] == [0] * 4

    assert Counter(path.read_text()) == dict.fromkeys("abcd", 25)


def test_mode_and_symbolic_link_stay(tmp_path: Path) -> None:
    """A list that is linked from elsewhere is still linked, and as private or public as it was."""
    path, link = tmp_path / "kept" / "notes.md", tmp_path / "notes.md"
    path.parent.mkdir()
    path.write_bytes(b"one")
    path.chmod(0o640)
    link.symlink_to(path)

    assert update(link, lambda _: b"two")

    assert link.is_symlink()
    assert (path.read_bytes(), path.stat().st_mode & 0o7777) == (b"two", 0o640)


def test_what_cannot_be_written_is_as_before(tmp_path: Path) -> None:
    """No folder, or a folder in place of the file: an error of the system that names it."""
    with pytest.raises(FileNotFoundError):
        update(tmp_path / "missing" / "notes.md", lambda _: b"x")
    with pytest.raises(IsADirectoryError):
        update(tmp_path, lambda _: b"x")
    assert list(tmp_path.iterdir()) == []
