"""The values that cross a connection to a host, and what a connection must be able to do.

All traffic to a host passes `HostConnection.execute`: the real one speaks SSH (connection.py), the fake one in tests
answers from a script.
"""

from __future__ import annotations

import shlex
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Command:
    """An argument list to run on a host; no shell ever takes it apart.

    Args:
        argv: program and arguments; any bytes but NUL survive (surrogateescape).
        stdin: what the program reads; empty means /dev/null.
        root: run it through sudo.
        env: variables set for this program alone.
        alters: it changes the host: never sent twice, and as root only while this controller holds the host's lock.
        shown: what messages say in place of the arguments: `write /etc/x` for an own script that does.
    """

    argv: tuple[str, ...]
    stdin: bytes = b""
    root: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    alters: bool = False
    shown: str = field(default="", compare=False)

    def __str__(self) -> str:
        """Return the command for messages; of `sh -c SCRIPT NAME ...` the name, as the text would bury the message."""
        if self.shown:
            return self.shown
        script = self.argv[:2] == ("sh", "-c") and len(self.argv) > 3
        return shlex.join(self.argv[3:] if script else self.argv)


@dataclass(frozen=True)
class Completed:
    """How a command ended. `status` is 128 + n when a signal n ended it, as a shell reports it."""

    command: Command
    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """stdout as text, undecodable bytes escaped, without the last newline."""
        return self.stdout.decode(errors="backslashreplace").removesuffix("\n")


class HostConnection(Protocol):
    """What connection.py provides and tests fake. Safe to use from several threads."""

    def execute(
        self,
        commands: Sequence[Command],
        *,
        timeout: float,
        cancelled: Callable[[], bool] = lambda: False,
        retried: Callable[[str], None] = lambda _: None,
    ) -> list[Completed]:
        """Run the commands one after the other in one round trip.

        Args:
            retried: is told why they are sent again.

        Raises:
            Unreachable: no connection, or it was lost and could not be made again.
            DeadlinePassed: `timeout` seconds went by; every process the commands started was ended.
            Cancelled: `cancelled()` became true; ended in the same way.
        """
        ...

    def forward(self, address: str, port: int) -> socket.socket:
        """A stream to address:port as seen from the host (SSH direct-tcpip), as a local socket.

        Raises:
            Unreachable: no connection to the host.
            ThinkubeError, ConnectionError: the host answers, but not from there, or the connection was lost just now.
        """
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Fact(Generic[T]):
    """A typed value read from a host: a command and a pure parser, nothing else.

    Equal facts (same name and argv) are the same value in the cache.
    """

    name: str
    argv: tuple[str, ...]
    parse: Callable[[Completed], T] = field(compare=False)
    root: bool = False
    accept: tuple[int, ...] | None = (0,)
    """Exit statuses that the parser understands; None for any."""
    stdin: bytes = b""
    """What the command reads."""
    timeout: float | None = field(default=None, compare=False)
    """Seconds that the command may take when it needs more than config.yaml's `timeouts.command`."""

    @property
    def command(self) -> Command:
        return Command(self.argv, self.stdin, root=self.root)


@dataclass(frozen=True)
class File:
    """A file as it should be on a host. `owner` None is the login user, without privileges."""

    path: str
    content: bytes
    mode: int = 0o644
    owner: str | None = "root"
    group: str | None = None
    """None for the owner's primary group."""
    directory_mode: int = 0o755
    """Of missing parent directories, which are then recorded, and removed with the file."""
    secret: bool = False
    """It holds keys or passwords, also in its previous states: a diff tells only that it changes."""
