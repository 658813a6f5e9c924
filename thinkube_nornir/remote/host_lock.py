"""Keeps two controllers apart: whoever alters a host first holds a lock there for as long as the connection lives.

The lock is flock(2) on descriptor 9 of one of our root shells, so it goes with the connection whatever becomes of us.
The holder's name stands in the file, which is gone when nobody holds it.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable

from thinkube_nornir.command import Command
from thinkube_nornir.errors import Refused
from thinkube_nornir.program import user_name
from thinkube_nornir.remote.shell import Shell, TimedOut, quoted

# In /run itself: in /run/lock anybody could put a file or a link in our way.
FILE = "/run/thinkube-nornir.lock"

_HELD, _NO_FILE, _NO_FLOCK = 1, 2, 3

# A lost connection's shell may still be busy with its last command, which is waited for. The file goes with
# the shell that holds the lock; who has opened it by then has locked a file that is no longer there, and tries again.
# A hang-up may come before the end of input is read: dash leaves the trap for EXIT out then. Where it does not, the
# file would be removed twice, and the second time it may be somebody else's.
_TAKE = """thinkube_lock() {{
  exec 9<>{file}
  flock -n 9 || {{ [ "$(cat {file})" = {me} ] && flock -w 10 9; }} || return 1
  [ {file} -ef /proc/$$/fd/9 ] || thinkube_lock
}}
if ! command -v flock >/dev/null; then (exit 3)
elif ! true >>{file}; then (exit 2)
elif thinkube_lock; then
  echo {me} >{file}
  trap 'trap "" HUP; rm -f {file}' EXIT
  trap 'trap "" HUP; trap - EXIT; rm -f {file}; exit 1' HUP
else cat {file}; exec 9>&-; (exit 1)
fi;f
"""

_log = logging.getLogger(__name__)


class HostLock:
    """The lock on one host. Thread-safe."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._mutex = threading.Lock()
        self._holder: Shell | None = None
        self._without = False
        self._me = f"{user_name()}@{socket.gethostname()}, process {os.getpid()}"

    def take(self, shell: Shell, deadline: float, cancelled: Callable[[], bool]) -> None:
        """Make sure that one of our shells holds it; `shell` takes it when none does.

        Raises:
            Refused: another controller holds it.
            Lost, TimedOut, Cancelled: as Shell.execute.
        """
        command = Command(("flock", FILE))
        if not self._mutex.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise TimedOut(command, b"another step of this run still waits for the lock")
        try:
            if self._without or (self._holder is not None and self._holder.usable):
                return
            shell.send_script(_TAKE.format(file=FILE, me=quoted(self._me).decode()).encode(), command, deadline)
            answer = shell.answer(command, deadline, cancelled)
            if answer.status == _HELD:
                raise Refused(
                    f"another controller is changing {self._host}",
                    why=f"{answer.text.strip() or 'somebody unnamed'} holds {FILE} there",
                    fix="wait until its run has ended",
                )
            if answer.status in (_NO_FILE, _NO_FLOCK):
                why = "flock is not installed there" if answer.status == _NO_FLOCK else answer.stderr.decode().strip()
                _log.warning("%s: not locked against another controller: %s", self._host, why)
                self._without = True
                return
            self._holder = shell
        finally:
            self._mutex.release()
