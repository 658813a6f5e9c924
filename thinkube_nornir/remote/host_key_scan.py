"""Which keys hosts show, beside those that the project's known_hosts has of them."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from thinkube_nornir.errors import Unreachable
from thinkube_nornir.remote.host_keys import Scanned, load_known_hosts
from thinkube_nornir.remote.ssh_route import Login
from thinkube_nornir.remote.ssh_transport import show_host_key

_AT_ONCE = 32


def scan(logins: Iterable[Login]) -> list[Scanned]:
    """Ask every host for its key, at once; nothing is sent beyond the key exchange."""
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="scan") as pool:
        return list(pool.map(_scan, logins))


def _scan(login: Login) -> Scanned:
    route = login.route
    known = load_known_hosts(login.ssh.known_hosts).get(route.known_name, ())
    try:
        key = show_host_key(login)
    except Unreachable as error:
        return Scanned(route.name, route.known_name, None, "silent", known, error)
    state: Literal["new", "known", "changed"] = "known" if key in known else "changed" if known else "new"
    return Scanned(route.name, route.known_name, key, state, known)
