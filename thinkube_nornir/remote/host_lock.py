"""Keeps two controllers apart: whoever alters a host first holds a lock there for as long as the connection lives.

The lock is flock(2) on descriptor 9 of one of our root shells, so it goes with the connection whatever becomes of us.
The holder's name stands in the file.
"""

from __future__ import annotations

import getpass
import logging
import os
import socket
import threading
from collections.abc import Callable

from thinkube_nornir.command import Command
from thinkube_nornir.errors import Refused
from thinkube_nornir.remote.shell import Shell, quoted

# In /run itself: in /run/lock anybody could put a file or a link in our way.
FILE = "/run/thinkube-nornir.lock"

_HELD, _NO_FILE, _NO_FLOCK = 1, 2, 3

# A lost connection's shell may still be busy with its last command: we wait for our own former self.
_TAKE = """if ! command -v flock >/dev/null; then (exit 3)
elif ! true >>{file}; then (exit 2)
else
  exec 9<>{file}
  if flock -n 9 || {{ [ "$(cat {file})" = {me} ] && flock -w 10 9; }}; then echo {me} >{file}
  else cat {file}; exec 9>&-; (exit 1)
  fi
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
        self._me = f"{getpass.getuser()}@{socket.gethostname()}, process {os.getpid()}"

    def take(self, shell: Shell, deadline: float, cancelled: Callable[[], bool]) -> None:
        """Make sure that one of our shells holds it; `shell` takes it when none does.

        Raises:
            Refused: another controller holds it.
            Lost, TimedOut, Cancelled: as Shell.execute.
        """
        with self._mutex:
            if self._without or (self._holder is not None and self._holder.usable):
                return
            command = Command(("flock", FILE))
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
