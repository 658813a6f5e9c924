"""Why a host cannot be reached, in words an operator can act on."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import paramiko

from thinkube_nornir.errors import ThinkubeError, Unreachable
from thinkube_nornir.program import command
from thinkube_nornir.remote.host_keys import HostKey

if TYPE_CHECKING:
    from thinkube_nornir.remote.ssh_route import Login


_MOST_SAID = 80  # characters


class UnknownHostKey(Exception):
    """The host showed a key, and known_hosts has none for it."""

    def __init__(self, key: HostKey) -> None:
        super().__init__(str(key))
        self.key = key


class NoGreeting(paramiko.SSHException):
    """SSH's first line did not come; `said` is what came in its place, if anything."""

    def __init__(self, said: str, *, ended: bool) -> None:
        super().__init__(said)
        self.said = "".join(filter(str.isprintable, said)).strip()[:_MOST_SAID]
        self.ended = ended
        """The other side closed the connection; else it was waited for in vain."""


class TooSlow(paramiko.SSHException):
    """SSH's first line came, and the login that follows was waited for in vain."""


def unreachable(login: Login, error: Exception) -> ThinkubeError:
    """The error to raise for one that opening a connection ended with."""
    route, known_hosts = login.route, login.ssh.known_hosts
    if isinstance(error, ThinkubeError):
        return error
    if isinstance(error, UnknownHostKey):
        return Unreachable(
            f"the host key of {route.known_name} is unknown",
            why=f"it showed {error.key}, and {known_hosts} has no key for it; nothing was sent to it",
            fix=f"compare that with the host's own console, then: `{command('trust', '-l', route.name)}`",
        )
    if isinstance(error, paramiko.BadHostKeyException):
        return Unreachable(
            f"the host key of {route.known_name} is not the one we know",
            why=f"expected {_named(error.expected_key)}, it showed {_named(error.key)}; nothing was sent to it",
            fix="find out why: a reinstalled host, or another in its place; "
            f"then: `{command('trust', '-l', route.name)}`",
        )
    if isinstance(error, paramiko.AuthenticationException):
        return Unreachable(
            f"{route.known_name} does not let {route.username} in",
            why=f"{error}; tried {_tried(login)}",
            fix=f"see that `ssh -p {route.port} {route.username}@{route.hostname}` works",
        )
    what = f"{route.name} is unreachable: no SSH connection to {route.known_name}"
    return Unreachable(what, why=_cause(error, login), fix=_fix(error))


def _cause(error: Exception, login: Login) -> str:
    if isinstance(error, socket.gaierror):
        return f"the name {login.route.hostname} does not resolve: {error.strerror}"
    if isinstance(error, TooSlow):
        return f"an SSH server answers, but too slowly: no login within {round(login.connect_timeout, 1):g} s"
    if isinstance(error, TimeoutError):
        return f"no answer within {round(login.connect_timeout, 1):g} s"
    if isinstance(error, paramiko.ChannelException):
        return f"{login.route.via} cannot open a connection there: {error.text}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, NoGreeting):
        return _silence(error, login)
    if isinstance(error, EOFError) or str(error) == "No existing session":
        return "the connection ended before the login, in the middle of the SSH handshake"
    return str(error) or type(error).__name__


def _silence(error: NoGreeting, login: Login) -> str:
    if error.said:
        return f"something other than an SSH server answers: {error.said}"
    if error.ended:
        return "it takes the connection, and ends it before an SSH server says anything"
    return f"it takes the connection, and no SSH server says anything within {round(login.connect_timeout, 1):g} s"


def _fix(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "correct the host's hostname in the inventory, or the resolver of this machine"
    if isinstance(error, TooSlow):
        return "see what keeps the host or the way to it busy; raise timeouts.connect in config.yaml if it is only slow"
    return "see that the host is up, its SSH server runs, and address and port in the inventory are right"


def _tried(login: Login) -> str:
    tried = [f"key {login.route.key_file}"] if login.route.key_file else ["the SSH agent's keys"] * login.ssh.agent
    return (
        " and ".join(tried + ["the secret THINKUBE_SSH_PASSWORD"] * (login.password is not None))
        or "nothing: no key is named"
    )


def _named(key: paramiko.PKey) -> str:
    return str(HostKey(key.get_name(), key.asbytes()))
