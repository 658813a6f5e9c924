"""The lab from outside: start it when it is not there, find it again when it is, end it, break it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nornir.core.inventory import Inventory

import thinkube_nornir
from thinkube_nornir.config import Config, SSHSettings
from thinkube_nornir.errors import DeadlinePassed, ThinkubeError
from thinkube_nornir.lab.request import LOCK, LabRequest, request_for
from thinkube_nornir.lock import wait_for
from thinkube_nornir.program import command

_START = 30.0
_ANSWER = 10.0
_END = 15.0
_LOG_TAIL = 20
"""Lines."""


@dataclass(frozen=True)
class LabAddress:
    """Where a lab host's SSH server answers, and who may log in."""

    address: str
    port: int
    user: str


@dataclass(frozen=True)
class LabInfo:
    hosts: Mapping[str, LabAddress]
    key_file: Path
    """The only key that the lab's hosts accept."""
    known_hosts: Path
    emulated: tuple[str, ...]
    pid: int
    since: float
    """Seconds since the epoch."""
    fingerprint: str
    """A digest of what it was started with: hosts, groups, settings."""
    changed: str = ""
    """A module of the lab or its emulation that was edited since it started."""
    killed: tuple[str, ...] = ()
    """Hosts whose processes somebody killed."""


def ensure_lab(config: Config, inventory: Inventory, say: Callable[[str], None]) -> LabInfo:
    """The running lab for this inventory; started when there is none, and `say` gets a line about that.

    Raises:
        ThinkubeError: it did not start; why, with the end of its log.
        DeadlinePassed: another command has been starting or ending it for too long.
    """
    request = request_for(config, inventory)
    with _alone(config):
        info = lab_status(config)
        if info and info.fingerprint == request.fingerprint and not info.killed:
            if info.changed:
                say(f"lab: {info.changed} was changed after the lab started; end it with `lab down` to try the new one")
            return info
        if info:
            why = f"{', '.join(info.killed)}: killed" if info.killed else "the inventory has changed"
            say(f"lab: {why} since the lab started; it starts anew, as empty as at first")
            _end(config, info)
        started = time.monotonic()
        info = _start(config, request)
        say(f"lab: started {len(info.hosts)} hosts in {time.monotonic() - started:.1f} s: {', '.join(info.hosts)}")
        if info.emulated:
            say(f"       {_some(info.emulated)} are emulated: `{command('lab', 'status')}` lists it all")
        return info


def _some(names: Sequence[str]) -> str:
    """
    >>> _some(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    return f"{', '.join(names[:3])} and {len(names) - 3} more" if len(names) > 4 else ", ".join(names)


def lab_status(config: Config) -> LabInfo | None:
    """The running lab, whatever inventory it was started for; None when there is none."""
    answer = _ask(config, {"do": "status"})
    return _info(config, answer[0], answer[1]) if answer else None


def lab_down(config: Config) -> LabInfo | None:
    """End the lab and return what it was; None when there was none. What a killed one left behind is removed."""
    with _alone(config):
        info = lab_status(config)
        if info:
            _end(config, info)
        shutil.rmtree(_folder(config), ignore_errors=True)
        return info


def lab_fault(config: Config, host: str, kind: str, **details: float) -> None:
    """Break something about a host, as faults.FAULTS lists it; kind `none` repairs all of it.

    Raises:
        ThinkubeError: no lab runs; or it knows no such host or fault.
    """
    _demand(config, {"do": "fault", "fault": {"host": host, "kind": kind, **details}})


def lab_snapshot(config: Config, host: str) -> dict[str, Any]:
    """The state of a host, to compare: `files` on its disk that are not the machine's own, and the `emulation`'s state.

    A file is path -> [type, mode, uid, gid, content]; see snapshot.py.
    """
    return _demand(config, {"do": "snapshot", "host": host})


def apply_lab(inventory: Inventory, info: LabInfo) -> None:
    """Point the inventory's hosts at the lab's."""
    for name, place in info.hosts.items():
        host = inventory.hosts[name]
        host.hostname, host.port, host.username, host.password = place.address, place.port, place.user, None


def lab_config(config: Config, info: LabInfo) -> Config:
    """The configuration with the lab's own key and known hosts, and none of the operator's."""
    ssh = SSHSettings(known_hosts=info.known_hosts, key_file=info.key_file, agent=False, keepalive=config.ssh.keepalive)
    return replace(config, ssh=ssh)


def status_lines(info: LabInfo) -> list[str]:
    """What `lab status` prints."""
    age = int(time.time() - info.since)
    lines = [f"lab: {len(info.hosts)} hosts, up for {age // 60} min {age % 60} s, process {info.pid}"]
    lines += [
        f"  {name:12} ssh -p {at.port} -i {info.key_file} {at.user}@{at.address}" for name, at in info.hosts.items()
    ]
    lines += [f"killed: {', '.join(info.killed)}; the next run or `lab up` starts the lab anew"] if info.killed else []
    return [*lines, f"emulated: {', '.join(info.emulated)}"] if info.emulated else lines


def _start(config: Config, request: LabRequest) -> LabInfo:
    folder = _folder(config)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    (folder / "request.json").write_text(request.text())
    answer = _launched(config, folder)
    info = lab_status(config) if "hosts" in answer else None
    if info is None:
        raise _not_started(config, answer.get("error"))
    return info


def _launched(config: Config, folder: Path) -> dict[str, Any]:
    """What the lab process said when it was ready, or could not be; empty when it died without a word.

    Raises:
        DeadlinePassed: it said nothing in time, and was killed.
    """
    ready, theirs = os.pipe()
    with _log(config).open("wb") as log, os.fdopen(ready, "rb", 0) as said:
        command = [sys.executable, "-m", "thinkube_nornir.lab.process", str(folder), str(theirs)]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environment(),
            pass_fds=[theirs], start_new_session=True,
        ) as launcher:  # fmt: skip
            os.close(theirs)
        if not select.select([said], [], [], _START)[0]:
            os.killpg(launcher.pid, signal.SIGKILL)  # the launcher is gone, but its group has its number
            raise DeadlinePassed(
                f"the lab was not ready after {_START:g} s", why=_log_tail(config), fix=f"read {_log(config)}"
            )
        answer: dict[str, Any] = json.loads(said.read(1 << 20) or b"{}")
        return answer


def _not_started(config: Config, error: dict[str, str] | None) -> ThinkubeError:
    if error is None:
        error = {"what": "the lab ended before it was ready", "why": "", "fix": f"read {_log(config)}"}
    why = "\n".join(part for part in (error["why"], _log_tail(config)) if part)
    return ThinkubeError(error["what"], why=why, fix=error["fix"])


def _log_tail(config: Config) -> str:
    return "\n".join(_log(config).read_text(errors="replace").splitlines()[-_LOG_TAIL:])


def _environment() -> dict[str, str]:
    """Little, because the hosts' first process has it too; no secret of the operator's is in it."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR") if name in os.environ}
    package = Path(thinkube_nornir.__file__).parent.parent
    return {**kept, "PYTHONPATH": os.pathsep.join([str(package), *filter(None, [os.environ.get("PYTHONPATH")])])}


def _end(config: Config, info: LabInfo) -> None:
    """Ask it to end, and wait for that; a lab that does not is killed."""
    with contextlib.suppress(OSError), _connected(config) as control:
        control.settimeout(_END)
        control.sendall(b'{"do": "end"}\n')
        while control.recv(65536):
            pass
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(info.pid, signal.SIGKILL)


def _demand(config: Config, request: dict[str, Any]) -> dict[str, Any]:
    answered = _ask(config, request)
    if answered is None:
        raise ThinkubeError("no lab is running", fix=f"start one: `{command('lab', 'up')}`")
    answer = answered[0]
    if "error" in answer:
        raise ThinkubeError(answer["error"]["what"], why=answer["error"]["why"], fix=answer["error"]["fix"])
    return answer


def _ask(config: Config, request: dict[str, Any]) -> tuple[dict[str, Any], int] | None:
    """The lab's answer and its process id; None when no lab listens.

    Raises:
        DeadlinePassed: it takes connections and answers nothing.
    """
    try:
        with _connected(config) as control:
            pid = struct.unpack("3i", control.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
            control.sendall(json.dumps(request).encode() + b"\n")
            return json.loads(control.makefile("rb").readline()), pid
    except TimeoutError:
        raise DeadlinePassed(
            f"the lab does not answer after {_ANSWER:g} s",
            why=f"its log: {_log(config)}",
            fix=f"end it: `kill -9 {pid}`",
        ) from None
    except (FileNotFoundError, ConnectionError, json.JSONDecodeError):
        return None


@contextlib.contextmanager
def _connected(config: Config) -> Iterator[socket.socket]:
    folder = os.open(_folder(config), os.O_PATH)
    try:
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(_ANSWER)
            control.connect(
                f"/proc/self/fd/{folder}/control"
            )  # a socket's path must be short; the folder's may be long
            yield control
    finally:
        os.close(folder)


def _alone(config: Config) -> AbstractContextManager[None]:
    """No two commands start or end the lab at once; a start may take its time."""
    return wait_for(config.state / LOCK, 2 * _START)


def _info(config: Config, answer: dict[str, Any], pid: int) -> LabInfo:
    folder = _folder(config)
    return LabInfo(
        hosts={name: LabAddress(**place) for name, place in answer["hosts"].items()},
        key_file=folder / "key",
        known_hosts=folder / "known_hosts",
        emulated=tuple(answer["emulated"]),
        pid=pid,
        since=answer["since"],
        fingerprint=answer["fingerprint"],
        changed=answer.get("changed", ""),
        killed=tuple(answer.get("killed", ())),
    )


def _folder(config: Config) -> Path:
    return config.state / "lab"


def _log(config: Config) -> Path:
    return config.state / "lab.log"
