"""Opens SSH connections through nornir-netmiko, without the terminal that netmiko asks for.

Imported when the first connection is opened: netmiko takes 0.2 s. What the device class leaves out, measured on
loopback: the PTY and login shell (bashrc, motd), and netmiko's 0.1 s pause before a session is prepared.
"""

from __future__ import annotations

import functools
import logging
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import paramiko
from netmiko.base_connection import BaseConnection
from netmiko.ssh_dispatcher import CLASS_MAPPER, platforms
from nornir_netmiko.connections.netmiko import Netmiko  # type: ignore[import-untyped]
from paramiko.pkey import UnknownKeyType

from thinkube_nornir.errors import ThinkubeError, Unreachable
from thinkube_nornir.remote.dial import Dial, current
from thinkube_nornir.remote.host_keys import HostKey, load_known_hosts
from thinkube_nornir.remote.liveness import unwatch, watch
from thinkube_nornir.remote.ssh_channel import SHELL, ShellChannel, open_shell
from thinkube_nornir.remote.ssh_errors import NoGreeting, TooSlow, UnknownHostKey, unreachable
from thinkube_nornir.remote.ssh_route import Login, Route
from thinkube_nornir.remote.ssh_stream import tcp_to

DEVICE = "thinkube_ssh"
_DYING = 0.3  # seconds for which a connection that ends may have closed its channels, and not yet itself


class ExecConnection(BaseConnection):
    """netmiko's device class for a host whose shell runs on an exec channel."""

    def __init__(self, *, login: Login, transport_socket: Any, **kwargs: Any) -> None:
        self._login = login
        super().__init__(sock=transport_socket, **kwargs)

    def _build_ssh_client(self) -> paramiko.SSHClient:
        client = _Client(self._login)
        client.set_missing_host_key_policy(_RefuseUnknownKeys())
        return client

    def _try_session_preparation(self, force_data: bool = True) -> None:
        """There is no prompt to hunt for."""


class _RefuseUnknownKeys(paramiko.MissingHostKeyPolicy):
    def missing_host_key(self, _client: paramiko.SSHClient, _hostname: str, key: paramiko.PKey) -> None:
        raise UnknownHostKey(_host_key(key))


class _Client(paramiko.SSHClient):
    """Strict about host keys, and every failure said in our words."""

    def __init__(self, login: Login) -> None:
        super().__init__()
        self._login = login

    def connect(self, *args: Any, **kwargs: Any) -> None:
        route, known = self._login.route, load_known_hosts(self._login.ssh.known_hosts)
        for key in known.get(route.known_name, ()):
            self.get_host_keys().add(route.known_name, key.kind, paramiko.PKey.from_type_string(key.kind, key.blob))
        try:
            super().connect(*args, **{**kwargs, "transport_factory": _light_transport})
        except Exception as error:
            late = _late(self.get_transport(), error)
            self.close()
            raise unreachable(self._login, late) from error

    def invoke_shell(self, *_args: Any, **_kwargs: Any) -> paramiko.Channel:
        channel = open_shell(_transport(self), SHELL, self._login.connect_timeout)
        if channel is None:
            raise Unreachable(f"{self._login.route.known_name} opens no session", fix="look at sshd's log on the host")
        return channel


class _Transport(paramiko.Transport):
    """Knows what came in place of SSH's first line: paramiko says of a web server and of silence the same."""

    heard = ""
    """The first line."""

    def _check_banner(self) -> None:
        read = self.packetizer.readline

        def readline(timeout: float) -> str:
            line = read(timeout)
            self.heard = self.heard or line
            return line

        self.packetizer.readline = readline  # type: ignore[method-assign]
        try:
            super()._check_banner()  # type: ignore[misc]
        except paramiko.SSHException as error:
            raise NoGreeting(self.heard, ended=not isinstance(error.__context__, TimeoutError)) from error
        finally:
            self.packetizer.readline = read  # type: ignore[method-assign]


def _late(transport: paramiko.Transport | None, error: Exception) -> Exception:
    """paramiko goes on when the handshake takes too long, and then misses its result: `No existing session`."""
    if not isinstance(transport, _Transport) or not transport.is_active() or str(error) != "No existing session":
        return error
    return TooSlow() if transport.heard.startswith("SSH-") else NoGreeting(transport.heard, ended=False)


def _light_transport(*args: Any, **kwargs: Any) -> paramiko.Transport:
    """paramiko compares a MAC byte by byte in Python, and AES-GCM, which has none, comes last in its list: 20 ms for a
    thousand packets."""
    transport = _Transport(*args, **kwargs)
    options = transport.get_security_options()
    options.ciphers = sorted(options.ciphers, key=lambda name: "gcm" not in name)
    return transport


class Link:
    """One open connection to a host; its first channel runs a shell.

    `stream` is what stream_to opened already; this transport closes it from now on.
    """

    def __init__(self, login: Login, stream: socket.socket | None = None) -> None:
        self._jump = login.route.via
        plugin = Netmiko()
        try:
            plugin.open(platform=DEVICE, extras=_parameters(login, stream), **_address(login))
        except BaseException:
            if stream is not None:
                stream.close()
            self._release()
            raise
        self._connection = plugin.connection
        self.first_channel = ShellChannel(self._connection.remote_conn)
        self.transport = _transport(self._connection.remote_conn_pre)
        self._liveness = watch(self.transport, login.ssh.keepalive)

    @property
    def alive(self) -> bool:
        return self.transport.is_active()

    def why_lost(self) -> str:
        """What became of the connection, a moment after something on it ended; empty when it holds."""
        self.transport.join(_DYING)
        if self.alive:
            return ""
        if self._liveness.silence:
            return f"nothing came from it for {self._liveness.silence:.1f} s"
        return "the host, or something on the way to it, closed the connection"

    def close(self) -> None:
        self.transport.close()  # before its channels, whose closing would be written to a host that may be silent
        unwatch(self._liveness)
        self._connection.disconnect()
        self._release()

    def _release(self) -> None:
        if self._jump is not None:
            _jumps.release(self._jump)


class _Jumps:
    """Connections to jump hosts, shared by all hosts behind them, closed with the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._dials: dict[Route, Dial] = {}
        self._users: dict[Route, int] = {}

    def lease(self, login: Login) -> Link:
        """Release it also when this raises."""
        route = login.route
        with self._lock:
            self._users[route] = self._users.get(route, 0) + 1
            self._dials[route] = dial = current(self._dials.get(route), login, Link)
        return dial.wait(time.monotonic() + login.connect_timeout).link

    def release(self, route: Route) -> None:
        with self._lock:
            self._users[route] -= 1
            dial = self._dials.pop(route, None) if self._users[route] == 0 else None
        if dial is not None:
            dial.close()


_jumps = _Jumps()


def _address(login: Login) -> dict[str, Any]:
    password = login.password.reveal() if login.password else None
    route = login.route
    return {"hostname": route.hostname, "username": route.username, "password": password, "port": route.port}


def _parameters(login: Login, stream: socket.socket | None) -> dict[str, Any]:
    """What netmiko gets beside the address."""
    timeout = login.connect_timeout
    key = _private_key(login.route.key_file) if login.route.key_file else None
    return {
        "login": login,
        "transport_socket": stream or stream_to(login),
        "pkey": key,
        "use_keys": False,
        "allow_agent": login.ssh.agent and key is None,
        "ssh_strict": True,
        "conn_timeout": timeout,
        "banner_timeout": timeout,
        "auth_timeout": timeout,
    }


def stream_to(login: Login) -> Any:
    """A socket, or what paramiko takes for one, to the host's SSH port.

    Raises:
        Unreachable: no route, no name, no answer, or the jump host refused.
    """
    route, timeout = login.route, login.connect_timeout
    try:
        if route.via is not None:
            jump = _jumps.lease(replace(login, route=route.via, password=None))
            target = (route.hostname, route.port)
            return jump.transport.open_channel("direct-tcpip", target, ("127.0.0.1", 0), timeout=timeout)
        if route.proxy_command:
            return paramiko.ProxyCommand(route.proxy_command)
    except (OSError, paramiko.SSHException) as error:
        raise unreachable(login, error) from error
    return tcp_to(login)


@functools.lru_cache
def _private_key(path: Path) -> paramiko.PKey:
    """Read once, however many hosts it opens."""
    try:
        return paramiko.PKey.from_path(path)
    except (paramiko.PasswordRequiredException, TypeError) as error:  # TypeError is what cryptography raises
        fix = f"add it to the SSH agent (ssh-add {path}) and name no key_file"
        raise ThinkubeError(f"the key {path} has a passphrase", why="nobody can be asked for it", fix=fix) from error
    except (OSError, paramiko.SSHException, UnknownKeyType, ValueError) as error:
        raise ThinkubeError(f"the key {path} cannot be used", why=str(error), fix="correct ssh.key_file") from error


def show_host_key(login: Login) -> HostKey:
    """The key the host answers with; the connection ends after the key exchange.

    Raises:
        Unreachable: it did not answer, or not as an SSH server.
    """
    stream = stream_to(login)
    try:
        transport = _Transport(stream)
        transport.banner_timeout = login.connect_timeout
        try:
            transport.start_client(timeout=login.connect_timeout)
            return _host_key(transport.get_remote_server_key())
        except paramiko.SSHException as error:
            raise unreachable(login, _late(transport, error)) from error
        finally:
            transport.close()
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise unreachable(login, error) from error
    finally:
        if login.route.via is not None:
            _jumps.release(login.route.via)


def _host_key(key: paramiko.PKey) -> HostKey:
    return HostKey(key.get_name(), key.asbytes())


def _transport(client: paramiko.SSHClient) -> paramiko.Transport:
    transport = client.get_transport()
    if transport is None:
        raise paramiko.SSHException("the connection ended at once")
    return transport


logging.getLogger("paramiko").addHandler(logging.NullHandler())  # it speaks of threads that outlive a run

CLASS_MAPPER[DEVICE] = ExecConnection
platforms.append(DEVICE)
