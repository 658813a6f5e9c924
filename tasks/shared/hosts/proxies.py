"""The HTTP proxy of a host: /etc/environment, which snapd, MicroK8s' services and logins all read.

`snap set system proxy.https=...` writes there too. One file, so that what one of them reaches the others do.

Source: canonical/snapd@2.69 overlord/configstate/configcore/proxy.go
Source: canonical/snapd@2.69 data/systemd/snapd.service.in
Source: canonical/snapd@2.69 wrappers/internal/service_unit_gen.go
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from tasks.shared.hosts.host_facts import parse_assignments
from thinkube_nornir.command import Completed, Fact
from thinkube_nornir.secret import Secret


@dataclass(frozen=True)
class Proxies:
    https: Secret | None = None
    """Its URL may hold a password."""
    http: Secret | None = None
    exceptions: tuple[str, ...] = ()
    """`no_proxy`: addresses, networks, names, and names with a dot before them for all below."""

    @property
    def used(self) -> bool:
        return self.https is not None or self.http is not None

    def uses_for_network(self, network: str) -> bool:
        """Whether packets to any address of this network would go to the proxy."""
        wanted = IPv4Network(network)
        spared = (_network(word) for word in self.exceptions)
        return self.used and "*" not in self.exceptions and not any(n and wanted.subnet_of(n) for n in spared)

    def uses_for_address(self, address: str) -> bool:
        return self.uses_for_network(f"{IPv4Address(address)}/32")

    def uses_for_names_below(self, domain: str) -> bool:
        """As Go's library reads the list, which all parts of Kubernetes use."""
        names = (word.removeprefix("*").strip(".").lower() for word in self.exceptions)
        below = any(name and (domain == name or domain.endswith(f".{name}")) for name in names)
        return self.used and "*" not in self.exceptions and not below


def _network(word: str) -> IPv4Network | None:
    try:
        return IPv4Network(word, strict=False)
    except ValueError:
        return None


def parse_environment(done: Completed) -> Proxies:
    """Read /etc/environment: NAME=value lines. Go takes the name in capitals before the other one."""
    values = parse_assignments(done.text.replace("export ", ""))
    https, http, exceptions = (
        values.get(n.upper()) or values.get(n, "") for n in ("https_proxy", "http_proxy", "no_proxy")
    )
    return Proxies(_secret(https), _secret(http), tuple(_words(exceptions)))


def _secret(url: str) -> Secret | None:
    return Secret(url) if url else None


def _words(text: str) -> Iterable[str]:
    return (word.strip() for word in text.split(",") if word.strip())


PROXIES = Fact("proxies", ("cat", "/etc/environment"), parse_environment, accept=(0, 1))
