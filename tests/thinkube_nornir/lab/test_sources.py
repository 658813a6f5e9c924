"""Where the lab's behaviour was read, as its docstrings say it."""

from __future__ import annotations

from pathlib import Path

import pytest

from thinkube_nornir.lab.sources import Read, Unproven, read_in

ROOT = Path(__file__).parents[3]


def written(folder: Path, text: str) -> Path:
    path = folder / "tool.py"
    path.write_text(text)
    return path


def test_sources_and_what_is_unproven_are_found(tmp_path: Path) -> None:
    """In docstrings of modules, classes and functions, and below constants; a sentence may go on in the next line."""
    text = '''"""A tool.

    Source: canonical/snapd@2.66.1 cmd/snap/cmd_wait.go
    Source: canonical/snapd@2.66.1 daemon/api.go
    """

    LONG = 5
    """Seconds.

    Unproven: how long it takes,
    and why.

    More.
    """
    '''
    path = written(tmp_path, "\n".join(line.removeprefix("    ") for line in text.splitlines()))

    sources, unproven = read_in(tmp_path)

    assert sources == [
        Read(path, "canonical/snapd", "2.66.1", "cmd/snap/cmd_wait.go"),
        Read(path, "canonical/snapd", "2.66.1", "daemon/api.go"),
    ]
    assert unproven == [Unproven(path, "how long it takes, and why.")]


def test_a_source_without_ref_is_refused(tmp_path: Path) -> None:
    """A repository alone cannot be looked up again."""
    written(tmp_path, '"""A tool.\n\nSource: canonical/snapd cmd/snap\n"""\n')

    with pytest.raises(ValueError, match="is not OWNER/REPOSITORY@REF PATH"):
        read_in(tmp_path)


def test_our_own_are_well_formed() -> None:
    """Every line in product and lab can be read."""
    for folder in ("tasks", "thinkube_nornir"):
        sources, unproven = read_in(ROOT / folder)
        assert all(read.path and read.ref for read in sources)
        assert all(len(u.what) > 20 for u in unproven)


_OWN = {
    "thinkube_nornir/lab": {
        *(
            "__init__.py",
            "client.py",
            "control.py",
            "emulation.py",
            "faults.py",
            "files.py",
            "base_layer.py",
            "host.py",
        ),
        *(
            "kernel.py",
            "link.py",
            "process.py",
            "request.py",
            "root.py",
            "server.py",
            "snapshot.py",
            "sources.py",
            "spawner.py",
        ),
        *(
            "ssh.py",
            "tools.py",
            "supervisor.py",
            "target.py",
            "kube/controllers.py",
            "kube/objects.py",
            "kube/snapshot.py",
        ),
    },
    "tasks/lab": {
        *("__init__.py", "background.py", "charts/__init__.py", "initial.py", "issuing/__init__.py"),
        *("microk8s/__init__.py", "snapshots.py", "state.py", "tool.py", "traefik/__init__.py", "traefik/front.py"),
    },
}
"""The lab's own workings: modules that answer for nothing real."""
_BRANCHES = {"HEAD", "dev", "develop", "main", "master", "trunk"}


@pytest.mark.parametrize("folder", sorted(_OWN))
def test_whatever_answers_for_something_real_says_where_that_was_read(folder: str) -> None:
    """Or what nobody could read. Who adds a module says either, or names it above."""
    sources, unproven = read_in(ROOT / folder)
    speak = {read.file for read in sources} | {one.file for one in unproven}
    silent = {path for path in (ROOT / folder).rglob("*.py") if path not in speak}

    assert {str(path.relative_to(ROOT / folder)) for path in silent} == _OWN[folder]


def test_a_source_is_read_at_a_release_or_commit() -> None:
    """What a branch holds today is not what was read."""
    for folder in ("tasks", "thinkube_nornir"):
        sources, _ = read_in(ROOT / folder)
        assert [read for read in sources if read.ref in _BRANCHES] == []
