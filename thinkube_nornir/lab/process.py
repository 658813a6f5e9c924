"""The lab process: `python -m thinkube_nornir.lab.process STATE_FOLDER READY_FD`, started by client.py.

It reads `request.json` in its folder, forks the hosts before it loads anything large, and writes one JSON line to
READY_FD: what it is, or why it could not start. A second, sleeping process removes the folder when the first has gone.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import shutil
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from thinkube_nornir.errors import ThinkubeError
from thinkube_nornir.lab.request import LOCK, LabRequest, parse
from thinkube_nornir.lab.root import HostSpec
from thinkube_nornir.lab.supervisor import Supervisor, fork_supervisor

if TYPE_CHECKING:
    from thinkube_nornir.lab.server import LightLab


def main(folder: Path, ready: int) -> None:
    _detach(folder, ready)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    request = parse((folder / "request.json").read_text())
    specs = [HostSpec(h.name, h.hostname, h.login_user) for h in request.hosts]
    supervisor = fork_supervisor(specs, not_inherited=[ready])
    asyncio.run(_live(request, supervisor, folder, ready))


def _detach(folder: Path, ready: int) -> None:
    """Return in a process that no command waits for, and leave another one behind to clear up after it."""
    if os.fork():
        os._exit(0)
    pid = os.fork()
    if pid:
        os.close(ready)
        _clear_up(folder, pid)
        os._exit(0)


def _clear_up(folder: Path, pid: int) -> None:
    """When the lab process has gone remove its folder, unless another lab's is in its place by then."""
    made = os.open(folder, os.O_PATH)
    os.chdir("/")
    os.waitpid(pid, 0)
    with (folder.parent / LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists() and os.path.samestat(os.fstat(made), folder.stat()):
            shutil.rmtree(folder, ignore_errors=True)


async def _live(request: LabRequest, supervisor: Supervisor, folder: Path, ready: int) -> NoReturn:
    """The lab's whole life; it ends the process itself, with all that is still connected."""
    try:
        lab = await _start(request, supervisor, folder)
        _say(ready, lab.description())
        os.close(ready)
        await lab.until_idle()
    except ThinkubeError as error:
        _say(ready, {"error": {"what": error.what, "why": error.why, "fix": error.fix}})
    except Exception as error:
        traceback.print_exc()
        _say(ready, {"error": {"what": f"the lab failed: {error!r}", "why": "", "fix": ""}})
    finally:
        supervisor.end()
        os._exit(0)


async def _start(request: LabRequest, supervisor: Supervisor, folder: Path) -> LightLab:
    from thinkube_nornir.lab.server import LightLab  # asyncssh takes long to load; the hosts start meanwhile

    lab = LightLab(request, supervisor, folder)
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(signum, lab.ended.set)
    await lab.start()
    return lab


def _say(ready: int, message: dict[str, object]) -> None:
    os.write(ready, json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
