"""The TCP connection below SSH, apart from what speaks SSH on it.

Opened before paramiko and netmiko are imported: the hosts' servers then start their sessions while we import.
"""

from __future__ import annotations

import socket

from thinkube_nornir.remote.ssh_route import Login


def tcp_to(login: Login) -> socket.socket:
    """A dead link is noticed within three keepalives, not after TCP's quarter of an hour.

    Raises:
        Unreachable: no route, no name, no answer.
    """
    try:
        stream = socket.create_connection((login.route.hostname, login.route.port), login.connect_timeout)
    except OSError as error:
        from thinkube_nornir.remote.ssh_errors import unreachable

        raise unreachable(login, error) from error
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(3 * login.ssh.keepalive * 1000))
    return stream
