"""Which resolv.conf of the host pods get: the first whose name servers are none of the host's own loopback.

Source: canonical/microk8s@1.35 scripts/find-resolv-conf.py
"""

from __future__ import annotations

from ipaddress import ip_address

from thinkube_nornir.lab.emulation import LabHost

FILES = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")


def find(host: LabHost) -> str:
    """Its path; empty when there is none."""
    return next((path for path in FILES if _usable(host, path)), "")


def _usable(host: LabHost, path: str) -> bool:
    if not host.files.exists(path):
        return False
    lines = (line.split() for line in host.files.read(path).decode(errors="replace").splitlines())
    servers = [words[1] for words in lines if len(words) == 2 and words[0] == "nameserver"]
    return bool(servers) and all(map(_is_no_loopback, servers))


def _is_no_loopback(server: str) -> bool:
    try:
        return not ip_address(server.partition("%")[0]).is_loopback
    except ValueError:
        return False
