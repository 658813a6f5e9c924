"""What lab hosts find on the Internet: the snap store, registries and charts, under addresses for documentation.

At another address, to which /etc/hosts may lead, nobody answers, as behind a firewall that drops packets. No proxy.

Source: canonical/snapd@2.66.1 store/store.go
Unproven: what each registry and chart repository answers at /v2/ without a login.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from tasks.lab.resolver import hosts_file, resolve_name
from thinkube_nornir.lab.emulation import LabHost

STORE = "api.snapcraft.io"
REGISTRIES = {"registry-1.docker.io": 401, "registry.k8s.io": 200, "quay.io": 401, "nvcr.io": 401, "ghcr.io": 401}
"""Name to what it answers at /v2/."""
REPOSITORIES = dict.fromkeys(("charts.jetstack.io", "traefik.github.io", "helm.ngc.nvidia.com"), 404)
ANSWERS = REGISTRIES | REPOSITORIES
_PUBLIC = IPv4Network("203.0.113.0/24")


def addresses_of(host: LabHost, name: str) -> list[str]:
    """The addresses as the C library and Go find them: /etc/hosts first."""
    return hosts_file(host, name) or list(resolve_name(host, name).records)


def is_reached(host: LabHost, name: str) -> bool:
    return is_public(next(iter(addresses_of(host, name)), ""))


def is_public(address: str) -> bool:
    return bool(address) and IPv4Address(address) in _PUBLIC
