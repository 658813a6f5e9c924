"""What must be true of name resolution: in the cluster, from a pod on this node, and from this node itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

from nornir.core.task import Result, Task

from tasks.shared.address_pool import ingress_addresses
from tasks.shared.cluster.control_plane import DNS_LABEL, Object, expect, kube, name_of
from tasks.shared.cluster.probes import (
    POD_REPORT,
    SERVICE_NAME,
    Lookup,
    Report,
    acme_names,
    bind_address,
    expected,
    in_overlay,
    lookups,
    lookups_when,
    node_lookup,
    public_names,
    run_here,
)
from tasks.shared.cluster.settling import settled
from tasks.shared.hosts.node_facts import HOSTNAME, RESOLVER_DOMAINS, RESOLVER_SERVERS, grep
from tasks.shared.microk8s.facts import parse_present
from thinkube_nornir.cluster import condition_true, current_pods, is_rolled_out, seen, troubles
from thinkube_nornir.command import Fact
from thinkube_nornir.component import StepFunction
from thinkube_nornir.context import setting
from thinkube_nornir.errors import CheckFailed
from thinkube_nornir.fixes import set_up
from thinkube_nornir.outcome import passed
from thinkube_nornir.remote import read
from thinkube_nornir.templates import render

DROP_INS = "/etc/systemd/resolved.conf.d"
DROP_IN = f"{DROP_INS}/10-thinkube.conf"
CAPTURES_ALL = grep(r"^Domains=(.*[[:space:]])?~\.([[:space:]]|$)", DROP_INS)
DROP_IN_IS_THERE = Fact("our drop-in of systemd-resolved", ("test", "-e", DROP_IN), parse_present, accept=(0, 1))
Addresses = dict[str, tuple[str, ...]]
"""Of names."""
WITHOUT_NAME_SERVERS = "left out: no name servers in the inventory, CoreDNS serves the domain"
_LATELY = timedelta(minutes=5)  # as long as the pause between two attempts to start a failing container may get


def facts(task: Task) -> tuple[Fact[Any], ...]:
    names = (*(expected(task) if bind_address(task) else ()), *_plain(public_names(task)))
    return (HOSTNAME, CAPTURES_ALL, DROP_IN_IS_THERE, RESOLVER_SERVERS, RESOLVER_DOMAINS, *map(node_lookup, names))


def without_name_servers(task: Task) -> str:
    return "" if bind_address(task) else WITHOUT_NAME_SERVERS


def with_name_servers(check: StepFunction) -> StepFunction:
    """A check that means something only where BIND serves the domain, and nodes are sent there for it."""

    @wraps(check)
    def guarded(task: Task) -> Result:
        return check(task) if bind_address(task) else passed(task, WITHOUT_NAME_SERVERS)

    return guarded


def corefile(task: Task) -> str:
    domain = setting(task, "domain_name")
    return render(
        task,
        "coredns/Corefile.j2",
        acme=acme_names(task),
        zones=dict(zip((domain, f"kn.{domain}"), ingress_addresses(task), strict=False)),
        bind=bind_address(task),
        public=setting(task, "dns_servers"),
    )


@with_name_servers
def bind_answers_pods(task: Task) -> Result:
    """As CoreDNS will ask it: from a pod, whose way to the overlay needs source NAT on the node."""
    server, domain = str(bind_address(task)), setting(task, "domain_name")
    done = run_here(task, "bind", "nslookup", domain, server)
    why = f"nslookup {domain} {server} ended with {done.exit_code}: {done.log.strip()}"
    fix = "verify phase 4 first; pods need source NAT to the overlay on this node"
    expect(done.exit_code == 0, f"BIND at {server} does not answer pods on {task.host.name}", why=why, fix=fix)
    return passed(task, f"{server} answers for {domain}")


def corefile_is_as_wanted(task: Task) -> Result:
    found = kube(task).get("v1", "ConfigMap", "coredns", "kube-system") or {}
    lines, wanted = ((found.get("data") or {}).get("Corefile") or "").splitlines(), corefile(task).splitlines()
    differing = [f"{side} {line}" for side, line in _differences(lines, wanted)]
    fix = f"{set_up(task)}; disabling and enabling addon dns resets the file"
    expect(not differing, "the Corefile is not the wanted one", why=_first(differing), fix=fix)
    return passed(task, "the Corefile is as wanted")


def _first(lines: list[str], most: int = 10) -> str:
    more = [f"... and {len(lines) - most} more"] if len(lines) > most else []
    return "\n".join([*lines[:most], *more])


def _differences(lines: list[str], wanted: list[str]) -> Iterable[tuple[str, str]]:
    yield from (("missing:", line) for line in wanted if line not in lines)
    yield from (("not ours:", line) for line in lines if line not in wanted)
    if sorted(lines) == sorted(wanted) and lines != wanted:
        yield "order:", "the same lines in another order"


def coredns_is_available(task: Task) -> Result:
    found = kube(task).get("apps/v1", "Deployment", "coredns", "kube-system")
    fix = "see why: `kubectl -n kube-system logs deployment/coredns`"
    expect(is_rolled_out(found), "CoreDNS is not available", why=seen(found), fix=fix)
    return passed(task, "Deployment coredns is rolled out")


def coredns_does_not_restart(task: Task) -> Result:
    pods = current_pods(kube(task).list("v1", "Pod", "kube-system", label_selector=DNS_LABEL))
    restless = {name_of(pod): told for pod in pods if (told := _unrest(pod))}
    why = "\n".join(f"{name}: {told}" for name, told in restless.items()) or "there is no pod of CoreDNS"
    fix = "see why: `kubectl -n kube-system logs deployment/coredns --previous`"
    expect(pods and not restless, "pods of CoreDNS do not stay up", why=why, fix=fix)
    return passed(task, f"{len(pods)} pods stay up")


def _unrest(pod: Object) -> str:
    """Why a pod is not at rest; empty when it is."""
    for container in pod.get("status", {}).get("containerStatuses") or ():
        if (container.get("state") or {}).get("waiting"):
            return "; ".join(troubles(pod)) or seen(pod)
        ended = (container.get("lastState") or {}).get("terminated") or {}
        if ended.get("finishedAt") and datetime.now(UTC) - datetime.fromisoformat(ended["finishedAt"]) < _LATELY:
            return f"restarted {container.get('restartCount')} times, last at {ended['finishedAt']}"
    return "" if condition_true(pod, "Ready") else f"not Ready: {seen(pod)}"


def pods_ask_the_cluster_dns(task: Task) -> Result:
    service = kube(task).get("v1", "Service", "kube-dns", "kube-system") or {}
    address, domain = (service.get("spec") or {}).get("clusterIP"), setting(task, "domain_name")
    lines = [line.split() for line in lookups(task).resolv_conf.splitlines() if line.strip()]
    servers = [words[1] for words in lines if words[0] == "nameserver" and len(words) > 1]
    search = [word for words in lines if words[0] == "search" for word in words[1:]]
    why = f"expected nameserver {address} alone, seen {', '.join(servers) or 'none'}"
    expect(servers == [address], "pods do not ask the cluster's DNS", why=why, fix="see kubelet's --cluster-dns")
    inside = [word for word in search if word.rstrip(".") == domain or word.rstrip(".").endswith(f".{domain}")]
    fix = "take it out of the node's search domains: with the wildcard, every outside name would end at the ingress"
    expect(not inside, f"pods search in {domain}", why=f"search {' '.join(search)}", fix=fix)
    return passed(task, f"nameserver {address}, search {' '.join(search)}")


def pods_resolve_services(task: Task) -> Result:
    service = kube(task).get("v1", "Service", "kubernetes", "default") or {}
    wanted = ((service.get("spec") or {}).get("clusterIP"),)
    found = lookups_when(task, lambda report: report[SERVICE_NAME].addresses == wanted)[SERVICE_NAME]
    why = f"expected {wanted[0]}, seen {found}"
    expect(found.addresses == wanted, f"pods do not resolve {SERVICE_NAME}", why=why, fix=_COREDNS_LOG)
    return passed(task, f"{SERVICE_NAME} is {wanted[0]}")


def pods_resolve_public_names(task: Task) -> Result:
    """As programs in pods do: a search domain under the wildcard shows itself only so."""

    def ask() -> Addresses:
        return {name: lookups(task).programs.get(name, ()) for name in public_names(task)}

    return _public(task, "pods", ask, POD_REPORT)


def pods_ask_public_servers_for_acme_names(task: Task) -> Result:
    """BIND's wildcard would answer them with an ingress; public servers say that there is no such name."""

    def wrong(report: Report) -> dict[str, Lookup]:
        return {name: report[name] for name in acme_names(task) if not _from_outside(task, report[name])}

    found = wrong(lookups_when(task, lambda report: not wrong(report)))
    why = "\n".join(f"{name}: expected an answer without an ingress, seen {seen}" for name, seen in found.items())
    expect(not found, "names for ACME challenges are not asked of public servers", why=why, fix=set_up(task))
    return passed(task, f"{', '.join(acme_names(task))}: public servers answer")


def _from_outside(task: Task, found: Lookup) -> bool:
    return found.answered and not any(in_overlay(task, address) for address in found.addresses)


def pods_resolve_the_domain(task: Task) -> Result:
    def ask() -> Addresses:
        return {name: lookups(task)[name].addresses for name in expected(task)}

    return _domain(task, "pods", ask, POD_REPORT)


@with_name_servers
def no_drop_in_captures_all_names(task: Task) -> Result:
    found = [path for path in read(task, CAPTURES_ALL) if path != DROP_IN]
    why = f"Domains=~. stands in {', '.join(found)}"
    fix = f"{set_up(task)}; it sets such files aside"
    expect(not found, "a drop-in of systemd-resolved captures all names", why=why, fix=fix)
    return passed(task, "no drop-in has Domains=~.")


@with_name_servers
def node_routes_the_domain_to_bind(task: Task) -> Result:
    servers, domains = read(task, RESOLVER_SERVERS, RESOLVER_DOMAINS)
    bind, wanted = bind_address(task), f"~{setting(task, 'domain_name')}"
    why = f"seen: servers {', '.join(servers) or 'none'}; domains {', '.join(domains) or 'none'}"
    what = f"systemd-resolved does not ask {bind}, and it alone, for {wanted}"
    if not (servers == (bind,) and wanted in domains):
        _expect_drop_in(task)
        raise CheckFailed(what, why=why, fix=set_up(task))
    return passed(task, f"{wanted} is asked of {bind}")


@with_name_servers
def node_resolves_the_domain(task: Task) -> Result:
    """What was never set up does not settle: it is not waited for."""
    facts = {name: node_lookup(name) for name in expected(task)}
    if _read_all(task, facts) != {name: (address,) for name, address in expected(task).items()}:
        _expect_drop_in(task)
    return _domain(task, "the node", lambda: _read_all(task, facts), *facts.values())


def _expect_drop_in(task: Task) -> None:
    why = f"{DROP_IN} is missing: systemd-resolved is told of no server for {setting(task, 'domain_name')}"
    expect(read(task, DROP_IN_IS_THERE), "this node is not sent to BIND", why=why, fix=set_up(task))


def node_resolves_public_names(task: Task) -> Result:
    facts = {name: node_lookup(name) for name in _plain(public_names(task))}
    return _public(task, "the node", lambda: _read_all(task, facts), *facts.values())


_COREDNS_LOG = "see why: `kubectl -n kube-system logs deployment/coredns`"


def _read_all(task: Task, facts: dict[str, Fact[tuple[str, ...]]]) -> Addresses:
    read(task, *facts.values())  # in one round trip
    return {name: read(task, fact) for name, fact in facts.items()}


def _domain(task: Task, who: str, ask: Callable[[], Addresses], *facts: Fact[Any]) -> Result:
    def wrong(found: Addresses) -> dict[str, str]:
        return {name: address for name, address in expected(task).items() if found[name] != (address,)}

    found = settled(task, ask, lambda found: not wrong(found), forget=facts)
    lines = (f"{name}: expected {a}, seen {', '.join(found[name]) or 'nothing'}" for name, a in wrong(found).items())
    bind = bind_address(task)
    fix = f"see what BIND says: dig @{bind} {setting(task, 'domain_name')}" if bind else _COREDNS_LOG
    expect(not wrong(found), f"not every name of the domain resolves for {who}", why="\n".join(lines), fix=fix)
    return passed(task, ", ".join(f"{name} is {address}" for name, address in expected(task).items()))


def _public(task: Task, who: str, ask: Callable[[], Addresses], *facts: Fact[Any]) -> Result:
    """With a search domain and the wildcard, an outside name would be answered with the ingress."""

    def wrong(found: Addresses) -> Addresses:
        return {n: a for n, a in found.items() if not a or any(in_overlay(task, one) for one in a)}

    found = settled(task, ask, lambda found: not wrong(found), forget=facts)
    lines = (f"{name}: expected a public address, seen {', '.join(a) or 'nothing'}" for name, a in wrong(found).items())
    fix = "see that dns_servers are reachable, and that no search domain is set"
    expect(not wrong(found), f"not every public name resolves for {who}", why="\n".join(lines), fix=fix)
    return passed(task, f"{len(found)} public names resolve")


def _plain(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if not name.endswith("."))
