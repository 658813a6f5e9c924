"""The full lab's own LXD daemon: apart from any that this machine has, and inside of the lab's network namespace.

How LXD behaves was tried with LXD 5.0.2 of Debian 12, and not read in its source: the socket in LXD_DIR, `shutdown`,
what a killed daemon leaves, and how it takes its containers back.
"""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from thinkube_nornir.errors import DeadlinePassed
from thinkube_nornir.full_lab.programs import call, environment_of_programs

if TYPE_CHECKING:
    from pylxd import Client

_START = 60.0
_STEP = 0.1
# LXD looks at /sys/fs/cgroup, and machines cannot have containers of their own below the old hierarchies
_ENTER = 'umount -l /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; exec lxd --group root --logfile "$1"'


def client(folder: Path) -> Client | None:
    """The API of the daemon that keeps its state in `folder`; None when none answers."""
    from pylxd import Client
    from pylxd.exceptions import ClientConnectionFailed

    socket = folder / "unix.socket"
    if not socket.exists():
        return None
    with suppress(ClientConnectionFailed, OSError):
        return Client(endpoint=f"http+unix://{quote(str(socket), safe='')}", timeout=600)
    return None


def start(folder: Path, namespace: str, log: Path) -> Client:
    """The API of a running daemon; started when none answers.

    Raises:
        DeadlinePassed: it does not answer in time.
    """
    found = client(folder)
    if found is not None:
        return found
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    (folder / "unix.socket").unlink(missing_ok=True)
    environment = environment_of_programs() | {"LXD_DIR": str(folder)}
    with log.open("ab") as output:
        inside = ("ip", "netns", "exec", namespace, "unshare", "--mount", "--propagation", "private")
        subprocess.Popen(  # it outlives this program, and `stop` ends it
            [*inside, "sh", "-c", _ENTER, "sh", str(log)], env=environment, cwd="/", start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    deadline = time.monotonic() + _START
    while (found := client(folder)) is None:
        if time.monotonic() > deadline:
            why = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
            raise DeadlinePassed(f"the lab's LXD did not answer within {_START:g} s", why=why, fix=f"read {log}")
        time.sleep(_STEP)
    return found


def stop(folder: Path) -> None:
    """End the daemon, and whatever it started that is still there; its folder can be removed then."""
    if client(folder) is not None:
        call("env", f"LXD_DIR={folder}", "lxd", "shutdown", "--timeout", "20", accept=(0, 1))
    deadline = time.monotonic() + _START
    while (left := _processes(folder)) and time.monotonic() < deadline:
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(process, 9)
        time.sleep(_STEP)


def _processes(folder: Path) -> list[int]:
    """Processes of the daemon and of its containers' monitors, by what they were started with: `folder` is in it."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            if f"{folder}/containers".encode() in words or f"LXD_DIR={folder}\0".encode() in words:
                found.append(int(entry.name))
    return found
