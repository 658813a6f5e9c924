"""Checks of names: what pods and hosts get for those of the cluster, of the domain, and of everybody else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from nornir.core.task import Result, Task

from tasks.shared.cluster.control_plane import expect, kube
from tasks.shared.cluster.probes import (
    SERVICE_NAME,
    Report,
    acme_names,
    expected,
    in_overlay,
    lookups,
    lookups_when,
    public_names,
    run_here,
)
from tasks.shared.cluster.settling import settled
from tasks.shared.hosts.resolver import address_of, bind_address, is_sent_to_bind, with_name_servers
from tasks.shared.hosts.supported import CLUSTER_DNS
from thinkube_nornir.command import Fact
from thinkube_nornir.context import setting
from thinkube_nornir.outcome import passed
from thinkube_nornir.remote import read

Addresses = Mapping[str, tuple[str, ...]]
"""Of names."""


def facts(task: Task) -> tuple[Fact[tuple[str, ...]], ...]:
    return tuple(map(address_of, (*_inside(task), *_outside(task))))


@with_name_servers
def bind_answers_pods(task: Task) -> Result:
    """As CoreDNS will ask it: from a pod, whose way to the overlay needs source NAT on the node."""
    server, domain = str(bind_address(task)), setting(task, "domain_name")
    done = run_here(task, "bind", "nslookup", domain, server)
    why = f"nslookup {domain} {server} ended with {done.exit_code}: {done.log.strip()}"
    fix = "verify phase 4 first; pods need source NAT to the overlay on this node"
    expect(done.exit_code == 0, f"BIND at {server} does not answer pods on {task.host.name}", why=why, fix=fix)
    return passed(task, f"{server} answers for {domain}")


def pods_ask_the_cluster_dns(task: Task) -> Result:
    """With the wildcard, a search domain below the domain would have every outside name end at the ingress."""
    domain = setting(task, "domain_name")
    lines = [line.split() for line in lookups(task).resolv_conf.splitlines() if line.strip()]
    servers = [words[1] for words in lines if words[0] == "nameserver" and len(words) > 1]
    search = [word for words in lines if words[0] == "search" for word in words[1:]]
    why = f"expected nameserver {CLUSTER_DNS} alone, seen {', '.join(servers) or 'none'}"
    expect(servers == [CLUSTER_DNS], "pods do not ask the cluster's DNS", why=why, fix="see kubelet's --cluster-dns")
    inside = [word for word in search if word.rstrip(".") == domain or word.rstrip(".").endswith(f".{domain}")]
    fix = "take it out of the node's search domains"
    expect(not inside, f"pods search in {domain}", why=f"search {' '.join(search)}", fix=fix)
    return passed(task, f"nameserver {CLUSTER_DNS}, search {' '.join(search)}")


def pods_resolve_names(task: Task) -> Result:
    service = (kube(task).get("v1", "Service", "kubernetes", "default") or {}).get("spec") or {}
    exact = {SERVICE_NAME: str(service.get("clusterIP")), **expected(task)}

    def wrong(report: Report) -> list[str]:
        programs = {name: report.programs.get(name, ()) for name in public_names(task)}
        answers = {name: report[name].addresses for name in exact}
        return [*_not(exact, answers), *_hidden(task, report), *_not_public(task, programs)]

    report = lookups_when(task, lambda found: not wrong(found))
    return _all_resolve(task, "pods", wrong(report), [*exact, *acme_names(task), *public_names(task)])


def node_resolves_names(task: Task) -> Result:
    names = {name: address_of(name) for name in (*_inside(task), *_outside(task))}

    def ask() -> Addresses:
        read(task, *names.values())  # in one round trip
        return {name: read(task, fact) for name, fact in names.items()}

    def wrong(found: Addresses) -> list[str]:
        return [*_not(_inside(task), found), *_not_public(task, {name: found[name] for name in _outside(task)})]

    settles = not bind_address(task) or is_sent_to_bind(task)  # what was never set up does not come right by itself
    found = settled(task, ask, lambda found: not (settles and wrong(found)), forget=tuple(names.values()))
    return _all_resolve(task, "the node", wrong(found), names)


def _inside(task: Task) -> Mapping[str, str]:
    """A node is sent to BIND alone for the domain's names; where CoreDNS serves them, they are for pods."""
    return expected(task) if bind_address(task) else {}


def _outside(task: Task) -> list[str]:
    return [name for name in public_names(task) if not name.endswith(".")]


def _not(exact: Mapping[str, str], found: Addresses) -> Iterator[str]:
    for name, address in exact.items():
        if found[name] != (address,):
            yield f"{name}: expected {address}, seen {', '.join(found[name]) or 'nothing'}"


def _hidden(task: Task, report: Report) -> Iterator[str]:
    """BIND's wildcard would answer them with an ingress; public servers say that there is no such name."""
    for name in acme_names(task):
        if not report[name].answered or any(in_overlay(task, address) for address in report[name].addresses):
            yield f"{name}: expected an answer of public servers without an ingress, seen {report[name]}"


def _not_public(task: Task, found: Addresses) -> Iterator[str]:
    """As programs resolve them: with a search domain and the wildcard, they would be answered with the ingress."""
    for name, addresses in found.items():
        if not addresses or any(in_overlay(task, address) for address in addresses):
            yield f"{name}: expected a public address, seen {', '.join(addresses) or 'nothing'}"


def _all_resolve(task: Task, who: str, wrong: list[str], names: Iterable[str]) -> Result:
    bind = f"BIND says, `dig @{bind_address(task)} NAME`, and what " if bind_address(task) else ""
    fix = f"see what {bind}CoreDNS says, `kubectl -n kube-system logs deployment/coredns`; that dns_servers answer"
    expect(not wrong, f"not every name resolves for {who}", why="\n".join(wrong), fix=fix)
    return passed(task, ", ".join(names))
