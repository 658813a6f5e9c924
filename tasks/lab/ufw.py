"""ufw, as UFW 0.36.2 answered with rules of these kinds; and whom it keeps out.

Rules that the lab knows: `[in on LINK] [from ADDRESS] [to any] [port PORTS] [proto PROTOCOL]` and `PORT[/PROTOCOL]`.

Unproven: forms of rules that are not in this list; the lab refuses them, and the real one may not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from typing import cast

from tasks.lab.resolver import lan_link
from tasks.lab.tool import ToolError, tool
from thinkube_nornir.lab.emulation import Call, LabHost, Reply

ACTIONS = ("allow", "deny", "reject", "limit")
ANY = "0.0.0.0/0"
_FORM = "%-26s %-11s %-26s"
_SYNTAX = "ERROR: Invalid syntax\n\nUsage: ufw COMMAND\n"
_POD_LINKS = (("in", "vxlan.calico"), ("out", "vxlan.calico"), ("in", "cali+"), ("out", "cali+"))


@dataclass(frozen=True)
class Rule:
    action: str
    direction: str = "in"
    link: str = ""
    source: str = ANY
    ports: str = ""
    protocol: str = ""

    @property
    def both_families(self) -> bool:
        return self.source == ANY

    def is_for(self, source: str, port: int, protocol: str, link: str) -> bool:
        spans = [part.partition(":") for part in self.ports.split(",") if part]
        return (
            self.direction == "in"
            and self.link in ("", link)
            and IPv4Address(source) in IPv4Network(self.source)
            and self.protocol in ("", protocol)
            and (not spans or any(int(first) <= port <= int(last or first) for first, _, last in spans))
        )

    @property
    def command(self) -> str:
        """The comment with which it was added."""
        if not self.link and self.source == ANY:
            return f"{self.action} {self.ports}" + (f"/{self.protocol}" if self.protocol else "")
        on = f" {self.direction} on {self.link}" if self.link else ""
        source = f" from {self.source}" if self.source != ANY else ""
        ports = f" to any port {self.ports}" if self.ports else ""
        return f"{self.action}{on}{source}{ports}" + (f" proto {self.protocol}" if self.protocol else "")

    def shown(self, *, verbose: bool, v6: bool) -> str:
        family = " (v6)" if v6 else ""
        ports = f"{self.ports}/{self.protocol}" if self.protocol else self.ports
        to, source = f"{ports or 'Anywhere'}{family}", ("Anywhere" if self.source == ANY else self.source) + family
        on = f" on {self.link}" if self.link else ""
        way = f" {self.direction.upper()}" if verbose or self.direction == "out" else ""
        if self.direction == "in":
            return _FORM % (to + on, self.action.upper() + way, source)
        return _FORM % (to, self.action.upper() + way, source + on)


@dataclass
class Ufw:
    active: bool = False
    rules: tuple[Rule, ...] = ()


def ufw_of(host: LabHost) -> Ufw:
    return cast(Ufw, host.state.setdefault("ufw", Ufw()))


def keeps_out(host: LabHost, source: str, port: int, protocol: str) -> bool:
    """Whether a packet from this address to the host's port on the LAN is dropped: the first rule for it decides."""
    now = ufw_of(host)
    found = next((r for r in now.rules if r.is_for(source, port, protocol, lan_link(host))), None)
    return now.active and (found is None or found.action not in ("allow", "limit"))


def microk8s_starts(host: LabHost) -> None:
    """kubelite's start opens the pods' links, and nothing else.

    Source: canonical/microk8s@1.35 microk8s-resources/wrappers/run-kubelite-with-args
    """
    now = ufw_of(host)
    if now.active:
        wanted = [Rule("allow", direction, link) for direction, link in _POD_LINKS]
        now.rules = (*now.rules, *(rule for rule in wanted if rule not in now.rules))


@tool
async def ufw(call: Call) -> Reply:
    if call.user != "root":
        raise ToolError(1, "ERROR: You need to be root to run this script\n")
    now = ufw_of(call.host)
    match [word for word in call.argv[1:] if word != "--force"]:
        case ["version"]:
            return Reply(0, "ufw 0.36.2\nCopyright 2008-2023 Canonical Ltd.\n")
        case ["status"]:
            return Reply(0, _status(now, verbose=False))
        case ["status", "verbose"]:
            return Reply(0, _status(now, verbose=True))
        case ["show", "added"]:
            return Reply(0, _show_added(now))
        case ["enable"]:
            now.active = True
            return Reply(0, "Firewall is active and enabled on system startup\n")
        case ["disable"]:
            now.active = False
            return Reply(0, "Firewall stopped and disabled on system startup\n")
        case ["delete", *words]:
            return _deleted(now, _rule(words))
        case ["prepend", *words]:
            return _added(now, _rule(words), first=True)
        case words:
            return _added(now, _rule(words), first=False)


def _status(now: Ufw, *, verbose: bool) -> str:
    if not now.active:
        return "Status: inactive\n"
    text = "Status: active\n"
    if verbose:
        text += "Logging: on (low)\nDefault: deny (incoming), allow (outgoing), disabled (routed)\nNew profiles: skip\n"
    groups = [[rule for rule in now.rules if rule.direction == direction] for direction in ("in", "out")]
    shown = ["".join(f"{line}\n" for line in _lines(group, verbose=verbose)) for group in groups if group]
    head = "\n" + _FORM.rstrip() % ("To", "Action", "From")
    head = f"{head.rstrip()}\n" + (_FORM % ("--", "------", "----")).rstrip() + "\n"
    return text + (head + "\n".join(shown) + "\n" if shown else "")


def _show_added(now: Ufw) -> str:
    """Unproven: how `ufw show added` writes rules that name a source; the lab leaves out what `any` is."""
    head = "Added user rules (see 'ufw status' for running firewall):\n"
    return head + ("".join(f"ufw {rule.command}\n" for rule in now.rules) or "(None)\n")


def _lines(rules: list[Rule], *, verbose: bool) -> list[str]:
    return [rule.shown(verbose=verbose, v6=False) for rule in rules] + [
        rule.shown(verbose=verbose, v6=True) for rule in rules if rule.both_families
    ]


def _added(now: Ufw, rule: Rule, *, first: bool) -> Reply:
    if rule in now.rules:
        return _answer("Skipping adding existing rule", rule)
    now.rules = (rule, *now.rules) if first else (*now.rules, rule)
    return _answer(("Rule inserted" if first else "Rule added") if now.active else "Rules updated", rule)


def _deleted(now: Ufw, rule: Rule) -> Reply:
    if rule not in now.rules:
        return _answer("Could not delete non-existent rule", rule)
    now.rules = tuple(known for known in now.rules if known != rule)
    return _answer("Rule deleted" if now.active else "Rules updated", rule)


def _answer(text: str, rule: Rule) -> Reply:
    return Reply(0, f"{text}\n" + f"{text} (v6)\n" * rule.both_families)


def _rule(words: list[str]) -> Rule:
    """
    Raises:
        ToolError: no rule, or of a form that the lab does not know.
    """
    if len(words) < 2 or words[0] not in ACTIONS:
        raise ToolError(1, _SYNTAX)
    action, *rest = words
    if len(rest) == 1:
        ports, _, protocol = rest[0].partition("/")
        return _valid(Rule(action, ports=ports, protocol=protocol))
    rule = Rule(action)
    if rest[0] in ("in", "out"):
        rule, rest = replace(rule, direction=rest[0]), rest[1:]
    for key, value in zip(rest[::2], rest[1::2], strict=False):
        changes = {"on": "link", "from": "source", "port": "ports", "proto": "protocol"}
        if key in changes:
            rule = replace(rule, **{changes[key]: ANY if (key, value) == ("from", "any") else value})
        elif (key, value) != ("to", "any"):
            raise ToolError(1, _SYNTAX)
    if len(rest) % 2:
        raise ToolError(1, _SYNTAX)
    return _valid(rule)


def _valid(rule: Rule) -> Rule:
    spans = [int(number) for part in rule.ports.split(",") if part for number in part.split(":") if number.isdigit()]
    if any(not 0 < number < 65536 for number in spans) or (rule.ports and not spans):
        raise ToolError(1, "ERROR: Bad port\n")
    if rule.protocol not in ("", "tcp", "udp") or (rule.protocol and not rule.ports):
        raise ToolError(1, _SYNTAX)
    try:
        IPv4Network(rule.source)
    except ValueError:
        raise ToolError(1, "ERROR: Bad source address\n") from None
    ports = ",".join(sorted((p for p in rule.ports.split(",") if p), key=lambda p: int(p.partition(":")[0])))
    return replace(rule, ports=ports)
