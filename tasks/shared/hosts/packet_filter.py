"""What Kubernetes and Calico wrote into a host's packet filter: found in what iptables-save prints, and taken out.

Nothing is flushed, and no chain of others is touched but for the rules in it that lead to theirs: a firewall's rules,
Docker's and LXD's stay. Each table is changed at once or not at all.

Source: kubernetes/kubernetes@v1.35.0 pkg/proxy/iptables/cleanup.go
Source: canonical/microk8s@1.35 microk8s-resources/wrappers/run-kubelite-with-args
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from nornir.core.task import Result, Task

from thinkube_nornir.command import Completed, Fact
from thinkube_nornir.outcome import all_of, unchanged
from thinkube_nornir.remote import change, read

TOOLS = ("iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy")
"""Both of the kernel's filters, for both families: MicroK8s brings its own iptables, and Calico chooses for itself."""
PREFIXES = ("KUBE-", "cali-")
_CALICO = re.compile(r'--comment "?cali:')
"""Its marks on the rules that it writes into others' chains, some of which lead nowhere."""
_TARGET = re.compile(r" (?:-j|-g|--jump|--goto) (\S+)")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_LOCK = "--wait=30"


def parse_saved(done: Completed) -> str | None:
    """None where this iptables is not installed, or the kernel does not have it."""
    return done.text if done.status == 0 else None


SAVED: Mapping[str, Fact[str | None]] = {
    tool: Fact(f"rules of {tool}", (f"{tool}-save",), parse_saved, root=True, accept=None) for tool in TOOLS
}


def chains(saved: str) -> tuple[str, ...]:
    """Theirs, of all tables.

    >>> chains("*nat\\n:INPUT ACCEPT [0:0]\\n:KUBE-SERVICES - [0:0]\\nCOMMIT\\n")
    ('KUBE-SERVICES',)
    """
    names = (line[1:].split()[0] for line in saved.splitlines() if line.startswith(":"))
    return tuple(sorted({name for name in names if name.startswith(PREFIXES)}))


def removal(saved: str, kept: Collection[str] = ()) -> str:
    """What iptables-restore --noflush reads to take theirs out; empty when there is nothing.

    Args:
        kept: chains that were there before.

    >>> print(removal("*nat\\n:INPUT ACCEPT [0:0]\\n:KUBE-A - [0:0]\\n-A INPUT -j KUBE-A\\nCOMMIT\\n"))
    *nat
    :KUBE-A - [0:0]
    -D INPUT -j KUBE-A
    -X KUBE-A
    COMMIT
    """
    return "\n".join(line for table in _tables(saved) for line in _without_theirs(table, kept))


def _tables(saved: str) -> Iterator[list[str]]:
    """The lines of each table, from its name to the one before COMMIT."""
    table: list[str] = []
    for line in saved.splitlines():
        if line.startswith("*"):
            table = [line]
        elif line == "COMMIT":
            yield table
        elif line.startswith((":", "-A ")):
            table.append(line)


def _without_theirs(table: list[str], kept: Collection[str]) -> list[str]:
    """A chain that is declared again is emptied; only then, and when no rule leads to it, can it be deleted."""
    theirs = [name for name in chains("\n".join(table)) if name not in kept]
    calico = not any(name.startswith("cali-") for name in kept)
    rules = [line for line in table if line.startswith("-A ") and line.split()[1] not in theirs]
    gone = [f"-D {line[3:]}" for line in rules if _leads_to(line, theirs) or (calico and _CALICO.search(line))]
    if not theirs and not gone:
        return []
    return [table[0], *(f":{name} - [0:0]" for name in theirs), *gone, *(f"-X {name}" for name in theirs), "COMMIT"]


def _leads_to(rule: str, names: Collection[str]) -> bool:
    return any(target in names for target in _TARGET.findall(_QUOTED.sub("", rule)))


def remove_rules(task: Task, before: Mapping[str, Collection[str]]) -> Result:
    """Args:
    before: tool to the chains of Kubernetes and Calico that were there before us.
    """
    saved = dict(zip(TOOLS, read(task, *SAVED.values()), strict=True))
    if all(text is None for text in saved.values()):
        return unchanged(
            task, "no iptables here: what the cluster wrote into the packet filter stays until the next boot"
        )
    left = {tool: removal(text, before.get(tool, ())) for tool, text in saved.items() if text}
    results = [_remove(task, tool, text) for tool, text in left.items() if text]
    return all_of(task, *results) if results else unchanged(task, "no rules of Kubernetes or Calico are left")


def _remove(task: Task, tool: str, text: str) -> Result:
    count = sum(line.startswith("-X ") for line in text.splitlines())
    summary = f"remove {count} chains of Kubernetes and Calico, and what leads to them, from {tool}"
    return change(task, summary, f"{tool}-restore", "--noflush", _LOCK, stdin=f"{text}\n".encode(), root=True)
