"""A persistent POSIX shell on a channel: many commands, one round trip, answers framed by a random marker.

The shell reads our script from its stdin; every program gets a stdin of its own, so none can eat the script. After each
program the shell prints the marker with the exit status on stdout, and the marker on stderr. The marker lives in the
shell's memory only: no argument list, no environment shows it, so no output can imitate it. A program that leaves a
child behind with the shell's stdout still open may write into a later answer; daemons close or redirect theirs.

LC_ALL=C, umask 022, PATH with the sbin folders and /snap/bin; works with dash, bash and busybox ash.
"""

from __future__ import annotations

import base64
import re
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from thinkube_nornir.command import Command, Completed
from thinkube_nornir.errors import Cancelled, ThinkubeError, Unreachable
from thinkube_nornir.secret import Secret

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SLICE = 0.25  # seconds between two looks at `cancelled`
_BUILT_IN = ("test", "true")  # POSIX has the shell do the same as the program; starting one takes a millisecond


class Channel(Protocol):
    """What a shell runs on: paramiko's channel in ssh_transport.py, a local process in tests."""

    def listen(self, wakeup: threading.Event) -> None:
        """Set `bell` whenever there is something to read, or the end."""
        ...

    def read(self) -> tuple[bytes, bytes]:
        """What came on stdout and stderr; never waits."""
        ...

    def send(self, data: bytes, timeout: float) -> None:
        """Raises TimeoutError, or another OSError when the link is gone."""
        ...

    @property
    def ended(self) -> bool:
        """Nothing comes any more but what can be read already."""
        ...

    def close(self) -> None: ...


class Lost(Exception):
    """The channel ended in the middle of an answer."""

    why = ""
    """What became of the connection; empty when that holds, and only the shell on it ended."""

    @property
    def link_holds(self) -> bool:
        return not self.why


class NotStarted(Lost):
    """The channel ended before a command had come to the host as a whole, so that nothing of it ran."""


class TimedOut(Exception):
    """The deadline passed; `command` was running and `seen` is the last of what it wrote."""

    def __init__(self, command: Command, seen: bytes) -> None:
        super().__init__(str(command))
        self.command = command
        self.seen = seen
        self.ended = False
        """Whether its processes on the host are known to have been ended."""


@dataclass
class _Stream:
    """What came on stdout or stderr and is not consumed; `searched` bytes of it are known to hold no marker."""

    data: bytearray
    searched: int = 0

    def take(self, marker: bytes, tail: int) -> bytes | None:
        """Remove and return everything to the end of the marker's line; None when that is not there yet."""
        at = self.data.find(marker, max(0, self.searched - len(marker) - tail))
        end = self.data.find(b"\n", at) if at >= 0 else -1
        if end < 0:
            self.searched = len(self.data)
            return None
        taken = bytes(self.data[: end + 1])
        del self.data[: end + 1]
        self.searched = 0
        return taken


class Shell:
    """One shell. Not thread-safe: a pool gives it to one caller at a time."""

    def __init__(self, channel: Channel, *, home: bool = True) -> None:
        self._channel = channel
        self._marker = secrets.token_hex(16).encode()
        self.process_tag = secrets.token_hex(8)
        """In the environment of every program of the batch that runs, so that all of them can be found and ended."""
        self._process: tuple[str, str] | None = None
        self._out = _Stream(bytearray())
        self._err = _Stream(bytearray())
        self._wakeup = threading.Event()
        channel.listen(self._wakeup)
        self._prelude = self._bootstrap(home)

    @property
    def usable(self) -> bool:
        return not self._channel.ended

    def answer_sudo(self, prompt: str, ready: str, password: Secret | None, deadline: float) -> None:
        """Wait until sudo has started the shell; give the password when it asks, once, and on stdin only.

        Raises:
            Unreachable: sudo wants a password that is not known, refuses the one that is, or refuses altogether.
            Lost: it ended; `sudo_failed` says why, unless the connection did.
            TimedOut: it neither asked nor started.
        """
        asked = False
        sudo = Command(("sudo",))
        while not self._started(ready):
            seen = self._err.data.decode(errors="backslashreplace")
            if seen.count(prompt) > asked:
                if asked or password is None:
                    self.close()
                    raise _sudo_refused(given=asked)
                asked = True
                self._channel.send(password.reveal().encode() + b"\n", deadline - time.monotonic())
            self._receive(deadline, sudo)

    def sudo_failed(self, prompt: str) -> Unreachable:
        """The error for a sudo that ended without a shell."""
        said = self._err.data.decode(errors="backslashreplace").replace(prompt, "").strip()
        return Unreachable(
            "sudo did not start a root shell",
            why=said or "it said nothing",
            fix="let the login user run sudo on this host",
        )

    def _started(self, ready: str) -> bool:
        return self._out.take(ready.encode(), 0) is not None

    def execute(self, commands: Sequence[Command], deadline: float, cancelled: Callable[[], bool]) -> list[Completed]:
        """Run the commands in one round trip.

        Args:
            deadline: on time.monotonic()'s clock.

        Raises:
            Lost, TimedOut, Cancelled: the shell is of no use any more, and its programs may still run.
        """
        self.send(commands, deadline)
        return self.collect(commands, deadline, cancelled)

    def send(self, commands: Sequence[Command], deadline: float) -> None:
        self.send_script(b"".join(map(_line, commands)), commands[0], deadline)

    def collect(self, commands: Sequence[Command], deadline: float, cancelled: Callable[[], bool]) -> list[Completed]:
        return [self.answer(command, deadline, cancelled) for command in commands]

    def send_script(self, script: bytes, command: Command, deadline: float) -> None:
        """Send lines that each end in `;f` (see _line), to be run in the shell itself; `command` is for messages."""
        self.process_tag = secrets.token_hex(8)
        prelude, self._prelude = self._prelude, b""
        try:
            process_tag = f"export THINKUBE_COMMAND={self.process_tag}\n".encode()
            # In braces nothing runs before all has come: with a cut link no program gets a part of its stdin.
            self._channel.send(prelude + b"{\n" + process_tag + script + b"}\n", max(0.1, deadline - time.monotonic()))
        except TimeoutError:
            raise TimedOut(command, b"the host does not take the command in") from None
        except OSError as error:
            raise NotStarted from error

    def answer(self, command: Command, deadline: float, cancelled: Callable[[], bool]) -> Completed:
        """Wait for the next frame."""
        self.process(deadline, cancelled)
        status, stdout, stderr = self._frame(command, deadline, cancelled)
        return Completed(command, status, stdout, stderr)

    def process(self, deadline: float, cancelled: Callable[[], bool] = lambda: False) -> tuple[str, str]:
        """The shell's process number and start time, the first thing it says once a script was sent."""
        if self._process is None:
            pid, said, _ = self._frame(Command(("sh",)), deadline, cancelled)
            self._process = str(pid), said.rstrip(b"\n").rpartition(b"\n")[2].decode("ascii")
        return self._process

    def close(self) -> None:
        self._channel.close()

    def _bootstrap(self, home: bool) -> bytes:
        marker = self._marker.decode()
        return f"""unset thinkube_m thinkube_s LANGUAGE; thinkube_m={marker}
f() {{ thinkube_s=$?; echo "$thinkube_m$thinkube_s"; echo "$thinkube_m" >&2; }}
{"" if home else "cd /; "}umask 022; export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:/snap/bin"
read -r thinkube_s </proc/$$/stat; set -- ${{thinkube_s##*) }}
echo "${{20}}"; echo "$thinkube_m$$"; echo "$thinkube_m" >&2
""".encode()

    def _frame(self, command: Command, deadline: float, cancelled: Callable[[], bool]) -> tuple[int, bytes, bytes]:
        stdout = stderr = None
        while True:
            stdout = self._out.take(self._marker, 12) if stdout is None else stdout
            stderr = self._err.take(self._marker, 12) if stderr is None else stderr
            if stdout is not None and stderr is not None:
                said, _, status = stdout.rpartition(self._marker)
                return int(status), said, stderr.rpartition(self._marker)[0]
            if cancelled():
                raise Cancelled(f"the run was ended during: {command}")
            self._receive(deadline, command)

    def _receive(self, deadline: float, command: Command) -> None:
        """Take in what came; return after a slice of time at the latest."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimedOut(command, bytes(self._out.data[-500:] + self._err.data[-500:]))
        self._wakeup.wait(min(left, _SLICE))
        self._wakeup.clear()
        ended = self._channel.ended  # asked before reading: what came before the end is still there
        stdout, stderr = self._channel.read()
        self._out.data += stdout
        self._err.data += stderr
        if ended and not (stdout or stderr):
            raise Lost


def _line(command: Command) -> bytes:
    """One command as the shell reads it. Descriptor 9 holds the host's lock and is not for programs to keep."""
    words = b" ".join(map(quoted, command.argv))
    exports = b"".join(b"export " + _assignment(name, value) + b"; " for name, value in command.env.items())
    start = b"" if command.argv[0] in _BUILT_IN else b"exec "
    program = b"(" + exports + start + words + b") 9>&-"
    if not command.stdin:
        return program + b" </dev/null;f\n"
    end = secrets.token_hex(8).encode()
    lines = base64.encodebytes(command.stdin)
    return b"base64 -d <<" + end + b" | " + program + b" ;f\n" + lines + end + b"\n"


def quoted(word: str) -> bytes:
    """One word for the shell; undecodable bytes come from surrogateescape."""
    if "\0" in word:
        raise ThinkubeError(
            "an argument holds a NUL character", why="no program can be given one", fix="pass it on stdin"
        )
    return b"'" + word.encode(errors="surrogateescape").replace(b"'", b"'\\''") + b"'"


def _assignment(name: str, value: str) -> bytes:
    if not _NAME.match(name):
        raise ThinkubeError(f"{name!r} is not a name for a variable", fix="use letters, digits and _")
    return name.encode() + b"=" + quoted(value)


def _sudo_refused(*, given: bool) -> Unreachable:
    if given:
        return Unreachable(
            "sudo does not accept the password",
            why="it asked a second time; we do not try again, so that no account is locked",
            fix="correct the secret THINKUBE_SUDO_PASSWORD",
        )
    return Unreachable("sudo asks for a password and none is given", fix="set the secret THINKUBE_SUDO_PASSWORD")
