"""Process 1 of a lab host: starts programs on request of the lab process, reports how they end, and reaps orphans.

It is forked from the lab process and shares its memory. Requests and reports are JSON datagrams on a socket pair; file
descriptors travel beside them:

    {"do": "spawn", "id": 1, "pty": [24, 80] or null}  with [arguments] or [arguments, stdin, stdout, stderr]
    {"do": "kill", "id": 1, "signal": 15}              the whole session that `spawn` started
    {"do": "forget", "id": 1}                          it will not be killed any more
    {"do": "disk", "full": true}                       nothing more can be written, or again as before
    {"ready": true}                                    with [/, its disk, the ground of /etc, the tools' socket]
    {"id": 1, "started": 17} or {"id": 1, "error": "..."}   for a pty with [its master]
    {"id": 1, "status": 0}                             negative for a signal
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import select
import signal
import socket
import struct
import termios
from pathlib import Path
from typing import Any, NoReturn

from thinkube_nornir.lab import kernel
from thinkube_nornir.lab.root import DISK_SIZE, SOCKET

_MOST_FDS = 4


class Spawner:
    def __init__(self, channel: socket.socket, shown: tuple[int, ...]) -> None:
        self._channel = channel
        self._shown = shown
        self._leaders: dict[int, int] = {}
        """Id under which the lab knows it -> leader of its session, a number not given again while one is in it."""

    def serve(self) -> None:
        """Take requests until the lab process closes its end, which happens at the latest when it dies."""
        woken, wake = socket.socketpair()
        wake.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake.fileno())
        self._announce()
        while True:
            ready, _, _ = select.select([self._channel, woken], [], [])
            if woken in ready:
                woken.recv(4096)
                self._reap()
            if self._channel in ready and not self._obey():
                return

    def _announce(self) -> None:
        tools = socket.socket(socket.AF_UNIX)
        tools.bind(SOCKET)
        tools.listen(128)
        self._report({"ready": True}, [os.open("/", os.O_PATH), *self._shown, tools.fileno()])
        tools.close()

    def _obey(self) -> bool:
        message, fds, _, _ = socket.recv_fds(self._channel, 4096, _MOST_FDS)
        for fd in fds:
            os.set_inheritable(fd, False)  # recv_fds takes a flag for that and ignores it
        if not message:
            return False
        request = json.loads(message)
        if request["do"] == "spawn":
            self._spawn(request, fds)
        elif request["do"] == "kill":
            _kill_session(self._leaders[request["id"]], request["signal"])
        elif request["do"] == "forget":
            del self._leaders[request["id"]]
        else:
            _fill(full=request["full"])
        for fd in fds:
            os.close(fd)
        return True

    def _spawn(self, request: dict[str, Any], fds: list[int]) -> None:
        arguments = json.loads(os.pread(fds[0], os.fstat(fds[0]).st_size, 0).decode(errors="surrogateescape"))
        master, slave = _terminal(request["pty"]) if request["pty"] else (-1, -1)
        streams = [slave] * 3 if request["pty"] else fds[1:]
        try:
            pid = os.fork()
        except OSError as error:
            self._report({"id": request["id"], "error": str(error)})
            return
        if pid == 0:
            _become(arguments, streams, terminal=slave >= 0)
        self._leaders[request["id"]] = pid
        self._report({"id": request["id"], "started": pid}, [master] if master >= 0 else [])
        for fd in {master, slave} - {-1}:
            os.close(fd)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in [known for known, leader in self._leaders.items() if leader == pid]:
                self._report({"id": child, "status": os.waitstatus_to_exitcode(status)})

    def _report(self, message: dict[str, Any], fds: list[int] | None = None) -> None:
        socket.send_fds(self._channel, [json.dumps(message).encode()], fds or [])


def _kill_session(leader: int, signum: int) -> None:
    """Signal every process of the session; its leader may be gone already."""
    for pid in _session(leader):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)


def _session(leader: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
                if int(fields[3]) == leader:
                    found.append(int(entry.name))
    return found


def _terminal(size: list[int]) -> tuple[int, int]:
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[0], size[1], 0, 0))
    return master, slave


def _become(arguments: dict[str, Any], streams: list[int], *, terminal: bool) -> NoReturn:
    """Become the program in the forked child, as the leader of a new session."""
    try:
        os.setsid()
        for target, fd in enumerate(streams):
            os.dup2(fd, target)
        if terminal:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.chdir(arguments["cwd"] if Path(arguments["cwd"]).is_dir() else "/")
        os.execvpe(arguments["argv"][0], arguments["argv"], arguments["env"])  # noqa: S606 - its purpose
    except OSError as error:
        os.write(2, f"{arguments['argv'][0]}: {error.strerror}\n".encode(errors="surrogateescape"))
    finally:
        os._exit(127)


def _fill(*, full: bool) -> None:
    """Leave the disk no free block and no free inode, or its previous size."""
    while True:
        disk = os.statvfs("/")
        used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
        options = f"size={used},nr_inodes={disk.f_files - disk.f_ffree}" if full else f"size={DISK_SIZE},nr_inodes=0"
        try:
            kernel.mount("none", Path("/"), "tmpfs", kernel.REMOUNT, options)
        except OSError as error:
            if error.errno != errno.EINVAL:  # more was written meanwhile than the new size holds
                raise
        else:
            return
