"""iptables-save and iptables-restore, of both of the kernel's filters and both families.

A table is changed at once or not at all. A chain that is declared again is emptied; one that still has rules, or that a
rule leads to, is not deleted. What it does with the words of a rule: nothing; they are compared as they are written.

What is taken and what is refused was compared with iptables 1.8.9, of both kinds.

Source: kubernetes/kubernetes@v1.35.0 pkg/proxy/iptables/cleanup.go
Unproven: the words in which a line is refused; the two kinds of iptables differ in them.
"""

from __future__ import annotations

import re
import shlex
from copy import deepcopy
from functools import partial

from tasks.lab.state import Filter, Table, machine
from tasks.lab.tool import ToolError, parse, tool
from thinkube_nornir.lab.emulation import Call, LabHost, Reply, Tool

KINDS = ("iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy")
BUILT_IN = {
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "raw": ("PREROUTING", "OUTPUT"),
}
_TARGETS = {"ACCEPT", "DROP", "RETURN", "MARK", "MASQUERADE", "DNAT", "LOG", "REJECT"}
_FIREWALL = """\
*filter
:ufw-before-input - [0:0]
:ufw-user-input - [0:0]
-A INPUT -j ufw-before-input
-A ufw-before-input -i lo -j ACCEPT
-A ufw-before-input -j ufw-user-input
-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT
COMMIT
"""


def firewall(host: LabHost) -> None:
    """What a server has of its own: rules that let SSH in."""
    restore(host, "iptables-nft", _FIREWALL)


def restore(host: LabHost, kind: str, text: str) -> None:
    """Raises ToolError: a line is refused; the tables committed before it are changed."""
    filters, table, name = machine(host).filters.setdefault(kind, {}), Table(), ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("*"):
            name = line[1:]
            table = deepcopy(filters.get(name) or _empty(name))
        elif line == "COMMIT":
            filters[name] = table
        elif line and not line.startswith("#") and not (name and _done(table, line)):
            raise ToolError(1, f"{kind}-restore: line {number} failed\n")


def _empty(name: str) -> Table:
    return Table(dict.fromkeys(BUILT_IN[name], "ACCEPT"), {chain: [] for chain in BUILT_IN[name]})


def _done(table: Table, line: str) -> bool:
    """Whether the table took the line."""
    if line.startswith(":"):
        chain, policy, *_ = line[1:].split()
        table.policies[chain] = policy
        table.rules[chain] = [] if policy == "-" else table.rules[chain]
        return True
    verb, chain, *_ = line.split()
    if chain not in table.rules:
        return False
    rules, rule = table.rules[chain], line.partition(f"{chain}")[2].strip()
    if verb == "-A" and all(target in _TARGETS or target in table.rules for target in _targets(rule)):
        rules.append(rule)
    elif verb == "-I":
        rules.insert(0, rule)
    elif verb == "-D" and rule in rules:
        rules.remove(rule)
    elif verb == "-X" and not rules and not _leads_to(table, chain):
        del table.rules[chain], table.policies[chain]
    else:
        return False
    return True


def _targets(rule: str) -> list[str]:
    return re.findall(r"(?:^| )-[jg] (\S+)", re.sub(r'"(?:[^"\\]|\\.)*"', "", rule))


def _leads_to(table: Table, chain: str) -> bool:
    return any(chain in _targets(rule) for rules in table.rules.values() for rule in rules)


def saved(filters: Filter) -> list[str]:
    """The rules as `-save` prints them, but for the comments, which hold the time."""
    lines: list[str] = []
    for name, table in sorted(filters.items()):
        lines += [f"*{name}", *(f":{chain} {policy} [0:0]" for chain, policy in table.policies.items())]
        lines += [f"-A {chain} {rule}" for chain, rules in table.rules.items() for rule in rules]
        lines.append("COMMIT")
    return lines


def _must_be_root(call: Call, what: str) -> None:
    if call.user != "root":
        raise ToolError(4, f"{what}: Could not fetch rule set generation id: Permission denied (you must be root)\n")


async def _save(kind: str, call: Call) -> Reply:
    _must_be_root(call, f"{kind}-save")
    given = parse(call.argv[1:], flags=("-c",), values=("-t",), unknown=partial(_unknown, f"{kind}-save"))
    tables = machine(call.host).filters.get(kind, {})
    wanted = {name: t for name, t in tables.items() if given.value("-t") in ("", name)}
    return Reply(0, "".join(f"{line}\n" for line in saved(wanted)))


async def _restore(kind: str, call: Call) -> Reply:
    """Without --noflush it would empty the tables that it names, and nobody in the project may do that."""
    _must_be_root(call, f"{kind}-restore")
    given = parse(call.argv[1:], flags=("--noflush", "-n"), values=("--wait",), unknown=partial(_unknown, kind))
    if not given.flags:
        raise ToolError(2, f"{kind}-restore: the lab does not flush tables: {shlex.join(call.argv)}\n")
    restore(call.host, kind, call.stdin.decode())
    return Reply()


def _unknown(name: str, option: str) -> ToolError:
    return ToolError(1, f"{name}: unrecognized option '{option}'\n")


TOOLS: dict[str, Tool] = {
    f"{kind}-{verb}": tool(partial(handler, kind))
    for kind in KINDS
    for verb, handler in (("save", _save), ("restore", _restore))
}
PATHS = {f"/usr/sbin/{name}": name for name in TOOLS if name.endswith("-save")}
FED = {f"/usr/sbin/{name}": name for name in TOOLS if name.endswith("-restore")}
"""Those that read their stdin."""
