"""CoreDNS and node DNS: pods and nodes resolve the domain through BIND, ACME names and the rest through public servers.

setup     writes the Corefile and rolls it out, then gives each node a routing domain for systemd-resolved
verify    asks from a pod on each node, and from each node itself
rollback  puts back the Corefile and the drop-ins that were there before

Without name servers in the inventory CoreDNS answers for the domain itself, for pods; nodes are left alone: at a cold
start no image could be pulled by a node that asks the cluster for names.
"""

from __future__ import annotations

from tasks.phase5_core_services.coredns import checks
from tasks.phase5_core_services.coredns.corefile import apply_corefile, restore_corefile, roll_out_corefile
from tasks.shared.cluster import names
from tasks.shared.cluster.control_plane import CONTROL_PLANE
from tasks.shared.hosts import resolver
from thinkube_nornir.component import Component, chain, here, step
from thinkube_nornir.context import setting
from thinkube_nornir.resources import File, Unit

ROUTING_DOMAIN = File(
    resolver.DROP_IN,
    template="coredns/resolved.conf.j2",
    values=lambda task: {"domain": setting(task, "domain_name"), "bind": resolver.bind_address(task)},
    unless=resolver.without_name_servers,
)
RESOLVER = Unit(
    "systemd-resolved.service", restart_on=(ROUTING_DOMAIN, resolver.DROP_INS), unless=resolver.without_name_servers
)
COMPONENT = Component(
    title="CoreDNS and node DNS",
    number=30,
    group="microk8s",
    needs=("phase5.microk8s_control", here("phase5.microk8s_workers")),
    settings=("domain_name", "dns_servers", "load_balancer_range"),
    preconditions=chain(step(names.bind_answers_pods, on=CONTROL_PLANE)),
    setup=chain(
        step(apply_corefile, on=CONTROL_PLANE),
        step(roll_out_corefile, on=CONTROL_PLANE),
        resolver.set_aside_conflicts,
        ROUTING_DOMAIN,
        RESOLVER,
        facts=lambda _: (resolver.CAPTURES_ALL,),
    ),
    verify=chain(
        step(checks.corefile_is_as_wanted, on=CONTROL_PLANE),
        step(checks.coredns_is_available, on=CONTROL_PLANE),
        step(checks.dns_service_has_endpoints, on=CONTROL_PLANE),
        names.pods_ask_the_cluster_dns,
        names.pods_resolve_names,
        resolver.no_drop_in_captures_all_names,
        resolver.node_routes_the_domain_to_bind,
        names.node_resolves_names,
        facts=lambda task: (*resolver.FACTS, *names.facts(task)),
    ),
    rollback=chain(step(restore_corefile, on=CONTROL_PLANE), resolver.put_back_conflicts),
)
