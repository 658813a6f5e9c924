"""Promises 8 and 9: strangers get nothing, and no secret stands in any output."""

from __future__ import annotations

import base64
import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.promises.conftest import Labs
from tests.promises.lab_project import LabProject, differences

pytestmark = pytest.mark.lab

PASSWORD = "correct horse battery"
WRONG = "wrong pony battery"
TOKEN = re.compile(rb":25000/[0-9a-f]{8,}")


def _key_line(project: LabProject, host: str) -> tuple[Path, list[str], int]:
    known_hosts = project.folder / ".thinkube/lab/known_hosts"
    lines = known_hosts.read_text().splitlines()
    address = project.lab.info.hosts[host].address
    return known_hosts, lines, next(i for i, line in enumerate(lines) if line.startswith(f"[{address}]"))


@pytest.mark.parametrize(("strange", "told"), [("changed", "is not the one we know"), ("unknown", "is unknown")])
def test_strangers_get_nothing(labs: Labs, strange: str, told: str) -> None:
    """A host whose key is another one, or one we do not know: no command, exit code 1, and what to do."""
    project = labs()
    known_hosts, lines, at = _key_line(project, "tkw1")
    place, _, _ = lines[at].split()
    other = lines[(at + 1) % len(lines)].split()[2]
    changed = [f"{place} ssh-ed25519 {other}"] if strange == "changed" else []
    before = project.snapshot()
    known_hosts.write_text("\n".join([*lines[:at], *changed, *lines[at + 1 :]]) + "\n")

    ended = project("run", "phase5.microk8s_workers", "-l", "tkw1")

    known_hosts.write_text("\n".join(lines) + "\n")
    assert ended.code == 1
    errors = [n["error"] for n in ended.report["nodes"] if n["host"] == "tkw1" and n["error"]]
    assert errors[0]["kind"] == "Unreachable"
    assert told in errors[0]["what"]
    assert errors[0]["fix"]
    assert "\n".join(differences(before["files"]["tkw1"], project.snapshot()["files"]["tkw1"])) == ""


@contextmanager
def _watched_processes(seen: set[bytes]) -> Iterator[None]:
    """Collect the command lines and environments of all processes while the block runs."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.002):
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    for name in ("cmdline", "environ"):
                        try:
                            seen.add((entry / name).read_bytes())
                        except OSError:  # it has ended, or is another's
                            continue

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """What the controller wrote, but for the files that hold the secrets themselves."""
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        own = path.name.startswith("kubeconfig") or path.name == ".env" or {"lab", "inventory"} & set(parts)
        if path.is_file() and not path.is_symlink() and not own:
            yield str(path), path.read_bytes()
    for path in folder.glob(".thinkube/*.sqlite"):
        with sqlite3.connect(path) as database:
            yield f"{path} dumped", "\n".join(database.iterdump()).encode()
        database.close()


def _leaks(secrets: dict[str, str], texts: dict[str, bytes]) -> list[str]:
    return [f"{name} in {where}" for where, text in texts.items() for name, s in secrets.items() if s.encode() in text]


def _project_with_password(labs: Labs, given: str) -> LabProject:
    project = labs(tkc={"lab_sudo_password": PASSWORD}, tkw1={"lab_sudo_password": PASSWORD})
    (project.folder / ".env").write_text(f"THINKUBE_SUDO_PASSWORD='{given}'\n")
    (project.folder / ".env").chmod(0o600)
    config = yaml.safe_load(project.config_file.read_text())
    config["secrets"] = {"file": ".env"}
    project.config_file.write_text(yaml.safe_dump(config))
    return project


def _secrets_on(project: LabProject) -> dict[str, str]:
    """The keys of the cluster's administrator, in base64 and plain, and every join token."""
    kubeconfig = project.lab.ssh("tkc", "cat /home/thinkube/.kube/thinkube.config").text
    key = yaml.safe_load(kubeconfig)["users"][0]["user"]["client-key-data"]
    plain = base64.b64decode(key).decode().splitlines()[1]
    return {"client key": key, "plain client key": plain}


REPORTS = tuple(part for end in ("json", "xml", "html", "md") for part in ("--report", f"report.{end}"))


def test_no_secret_stands_in_any_output(labs: Labs) -> None:
    """Output, log, journal, reports, command lines and environments have neither password nor key nor join token.

    But for one: `microk8s join` takes its token, which is good once and for minutes, on its command line only.
    """
    project = _project_with_password(labs, PASSWORD)
    seen: set[bytes] = set()
    with _watched_processes(seen):
        ended = project.apart("run", "phase5", "-vv", *REPORTS)
        planned = project.apart("plan", "phase5", "--diff", "-vv")
    assert ended.code == planned.code == 0, ended.told + planned.told

    secrets = {"sudo password": PASSWORD, **_secrets_on(project)}
    texts = {"output": ended.told.encode(), "plan": planned.told.encode(), "processes": b"\n".join(seen)}
    assert _leaks(secrets, {**texts, **dict(_files(project.folder))}) == []
    shown = [text for text in seen if TOKEN.search(text)]
    assert all(b"/snap/bin/microk8s\0join\0" in text and not text.startswith((b"sudo", b"xargs")) for text in shown)
    written = [where for where, text in {**texts, **dict(_files(project.folder))}.items() if TOKEN.search(text)]
    assert set(written) <= {"processes"}


def test_a_wrong_password_is_not_shown_either(labs: Labs) -> None:
    """It is refused with what to do, on the hosts that ask for one, and stands nowhere."""
    project = _project_with_password(labs, WRONG)
    started = time.time()

    ended = project.apart("run", "phase5", "-vv", *REPORTS)

    assert ended.code == 1
    assert "sudo" in ended.out
    assert "Traceback" not in ended.told
    texts = {"output": ended.told.encode(), **dict(_files(project.folder))}
    assert _leaks({"wrong": WRONG, "right": PASSWORD}, texts) == []
    assert time.time() - started < 60
