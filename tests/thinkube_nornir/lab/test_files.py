"""Files of a host as the emulation handles them: a link never leads out of the host."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from thinkube_nornir.lab.files import Files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").write_text("outside")
    (tmp_path / "root/etc").mkdir(parents=True)
    return tmp_path / "root"


@pytest.fixture
def files(root: Path) -> Iterator[Files]:
    fd = os.open(root, os.O_PATH)
    yield Files(fd)
    os.close(fd)


def test_writing_makes_folders_and_leaves_no_temporary_file(root: Path, files: Files) -> None:
    """The content, the mode, and nothing beside it."""
    files.write("/var/lib/x/file", "text", 0o600)

    assert (root / "var/lib/x/file").stat().st_mode & 0o777 == 0o600
    assert files.read("/var/lib/x/file") == b"text"
    assert files.list("/var/lib/x") == ["file"]


@pytest.mark.parametrize("target", ["/../../outside", "../../../outside", "/etc/../../outside"])
def test_links_stay_inside(root: Path, files: Files, target: str) -> None:
    """Absolute ones begin at the host's root, and .. goes no higher."""
    files.write("/outside", "inside")
    files.symlink("/etc/link", target)

    assert files.read("/etc/link") == b"inside"
    files.write("/etc/link", "changed")
    assert (root.parent / "outside").read_text() == "outside"
    assert files.read("/outside") == b"changed"


def test_links_on_the_way_are_followed(root: Path, files: Files) -> None:
    """A folder that is a link is the folder it names."""
    files.mkdir("/run/systemd")
    files.symlink("/var/run", "/run")
    files.write("/var/run/systemd/x", "y")

    assert (root / "run/systemd/x").read_text() == "y"


def test_links_in_a_circle_are_an_error(files: Files) -> None:
    """Not an endless loop."""
    files.symlink("/a", "/b")
    files.symlink("/b", "/a")

    with pytest.raises(OSError, match="symbolic links"):
        files.read("/a")


def test_removing_takes_the_link_and_not_what_it_names(files: Files) -> None:
    """A whole folder goes; what is absent is fine."""
    files.write("/etc/kept", "x")
    files.symlink("/link", "/etc")
    files.write("/gone/with/all", "x")

    files.remove("/link")
    files.remove("/gone")
    files.remove("/never")

    assert files.exists("/etc/kept")
    assert not files.exists("/gone")


def test_what_is_absent_is_told(files: Files) -> None:
    """Reading raises, listing is empty."""
    with pytest.raises(FileNotFoundError):
        files.read("/none")
    assert files.list("/none") == []
