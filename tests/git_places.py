"""Git repositories in temporary folders, which know nothing of this machine's user."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

needs_git = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")


def forget_the_user(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git's configuration of this machine and of its user is not seen, and neither is what git told this process."""
    for variable in [name for name in os.environ if name.startswith(("GIT_", "XDG_", "SSH_ASKPASS", "EMAIL"))]:
        monkeypatch.delenv(variable)
    home.mkdir(exist_ok=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@dataclass(frozen=True)
class Place:
    """A repository on branch main, with everything committed, and a bare one beside it that it is pushed to."""

    folder: Path
    remote: Path

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self, name: str, text: str) -> None:
        self.write(name, text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", f"write {name}")

    def hook(self, name: str, text: str, folder: Path | None = None) -> None:
        path = (folder or self.folder / ".git") / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    @property
    def state(self) -> tuple[object, ...]:
        """All that a command must leave as it was when it fails."""
        files = [path for path in self.folder.rglob("*") if path.is_file() and ".git" not in path.parts]
        return (
            self.git("for-each-ref"),
            (self.folder / ".git" / "HEAD").read_text(),
            self.git("status", "--porcelain", "--ignored"),
            self.git("config", "--local", "--list"),
            subprocess.run(["git", "for-each-ref"], cwd=self.remote, capture_output=True, text=True, check=True).stdout,
            {path: path.read_bytes() for path in files if ".thinkube" not in path.parts and path.suffix != ".pyc"},
        )


def make_place(folder: Path, remote: Path) -> Place:
    """Of a folder with files, and of a folder for the remote that is not there yet."""
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(remote)], check=True)
    place = Place(folder, remote)
    place.git("init", "-q", "-b", "main")
    for name, value in (("user.name", "An Operator"), ("user.email", "op@example.org"), ("commit.gpgsign", "false")):
        place.git("config", name, value)
    place.git("remote", "add", "origin", str(remote))
    place.write(".gitignore", "__pycache__/\n.thinkube/\nhosts/\n")
    place.git("add", "-A")
    place.git("commit", "-q", "-m", "first")
    place.git("push", "-q", "-u", "origin", "main")
    return place
