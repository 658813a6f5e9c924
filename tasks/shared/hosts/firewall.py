"""UFW, as `ufw status verbose` shows it: which ports are open to whom.

Source: canonical/microk8s@1.35 microk8s-resources/wrappers/run-kubelite-with-args
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from thinkube_nornir.command import Completed, Fact

_RULE = re.compile(
    r"(?P<target>.+?)( on (?P<interface>\S+))? +(?P<action>ALLOW|DENY|REJECT|LIMIT) IN +(?P<source>.+?)"
    r" *(\(log.*?\))? *(# .*)?"
)
_TARGET = re.compile(
    r"((?P<address>Anywhere|\d+(\.\d+){3}(/\d+)?)(/(?P<protocol>tcp|udp))?)? ?(?P<ports>.*?)( \(.+\))?"
)
_PORTS = re.compile(r"(?P<ports>[0-9:,]+)(/(?P<protocol>tcp|udp))?")
_SOURCE = re.compile(r"(?P<address>Anywhere|\d+(\.\d+){3}(/\d+)?)(/(?P<protocol>tcp|udp))?")
_ANY = IPv4Network("0.0.0.0/0")


@dataclass(frozen=True)
class Rule:
    """Of those for what comes in by IPv4."""

    allows: bool
    """Without a limit: the nodes would soon run into one."""
    source: IPv4Network
    target: IPv4Network = _ANY
    ports: tuple[range, ...] = ()
    """None for all."""
    protocol: str = ""
    """Empty for all."""
    interface: str = ""

    def is_for(self, source: IPv4Address, target: IPv4Address, port: int, protocol: str, interface: str) -> bool:
        return (
            source in self.source
            and target in self.target
            and (not self.ports or any(port in ports for ports in self.ports))
            and self.protocol in ("", protocol)
            and (self.interface in ("", interface) or _is_below(interface, self.interface))
        )


def _is_below(interface: str, pattern: str) -> bool:
    """`cali+` is for all interfaces whose names start so."""
    return pattern.endswith("+") and interface.startswith(pattern[:-1])


@dataclass(frozen=True)
class Firewall:
    active: bool = False
    allows: bool = True
    """What no rule is for."""
    rules: tuple[Rule, ...] = ()

    def lets_in(self, source: str, target: str, port: int, protocol: str, interface: str) -> bool:
        """Whether packets from another host's address to this host's pass: the first rule that is for them decides."""
        packet = IPv4Address(source), IPv4Address(target), port, protocol, interface
        return not self.active or next((rule.allows for rule in self.rules if rule.is_for(*packet)), self.allows)


def parse_ufw(done: Completed) -> Firewall:
    """Read `ufw status verbose`. What is not installed is not active."""
    lines = done.text.splitlines()
    if done.status != 0 or "Status: active" not in lines:
        return Firewall()
    default = next((line for line in lines if line.startswith("Default:")), "")
    rules = (_rule(line) for line in lines)
    return Firewall(True, "allow (incoming)" in default, tuple(rule for rule in rules if rule is not None))


def _rule(line: str) -> Rule | None:
    """None for what is no rule, or one for IPv6 or for certain source ports only: these open nothing for us."""
    found = _RULE.fullmatch(line)
    if found is None or "(v6)" in line:
        return None
    source, target = _SOURCE.fullmatch(found["source"]), _TARGET.fullmatch(found["target"].strip())
    ports = _PORTS.fullmatch(target["ports"]) if target and target["ports"] else None
    if source is None or target is None or (target["ports"] and ports is None):
        return None
    return Rule(
        allows=found["action"] == "ALLOW",
        source=_network(source["address"]),
        target=_network(target["address"]),
        ports=tuple(_ranges(ports["ports"])) if ports else (),
        protocol=source["protocol"] or target["protocol"] or (ports["protocol"] if ports else "") or "",
        interface=found["interface"] or "",
    )


def _network(word: str | None) -> IPv4Network:
    return IPv4Network(word) if word and word != "Anywhere" else _ANY


def _ranges(text: str) -> Iterable[range]:
    for part in text.split(","):
        first, _, last = part.partition(":")
        yield range(int(first), int(last or first) + 1)


UFW = Fact("firewall", ("ufw", "status", "verbose"), parse_ufw, root=True, accept=None)
