"""CoreDNS and node DNS: pods and nodes resolve the domain through BIND, ACME names and the rest through public servers.

setup     writes the Corefile and rolls it out, then gives each node a routing domain for systemd-resolved
verify    asks from a pod on each node, and from each node itself
rollback  puts back the Corefile and the drop-ins that were there before

The cluster's part is done once, on the control plane; the nodes' part on every node.

Without name servers in the inventory CoreDNS answers for the domain itself, for pods; nodes are left alone: at a cold
start no image could be pulled by a node that asks the cluster for names.
"""

from __future__ import annotations

from typing import Any

from nornir.core.task import Result, Task

from tasks.phase5_core_services.coredns import checks
from tasks.phase5_core_services.coredns.checks import CAPTURES_ALL, DROP_IN, corefile
from tasks.shared.cluster.control_plane import CONTROL_PLANE, kube
from tasks.shared.cluster.probes import bind_address
from thinkube_nornir.cluster import apply, rolled_out
from thinkube_nornir.cluster import restore as restore_object
from thinkube_nornir.command import Fact
from thinkube_nornir.component import Component, chain, here, step
from thinkube_nornir.context import component_of, context, setting
from thinkube_nornir.errors import DeadlinePassed, ThinkubeError
from thinkube_nornir.outcome import all_of, unchanged
from thinkube_nornir.remote import change, read, undo
from thinkube_nornir.resources import File, Unit

CONFIG_MAP = ("v1", "ConfigMap", "coredns", "kube-system")
DEPLOYMENT = ("apps/v1", "Deployment", "coredns", "kube-system")
ANNOTATION = "thinkube-nornir/corefile-version"
_ASIDE = "set-aside:"
_ROLL_OUT = 120.0  # seconds

ROUTING_DOMAIN = File(
    DROP_IN,
    template="coredns/resolved.conf.j2",
    values=lambda task: {"domain": setting(task, "domain_name"), "bind": bind_address(task)},
    unless=checks.without_name_servers,
)
"""The global servers are asked for names that no routing domain matches, too: only a link can be kept out of them.

Source: redhat-plumbers/systemd-rhel9@fc7505713e60 src/resolve/resolved-dns-scope.c (dns_scope_good_domain)
"""
RESOLVER = Unit(
    "systemd-resolved.service", restart_on=(ROUTING_DOMAIN, checks.DROP_INS), unless=checks.without_name_servers
)


def apply_corefile(task: Task) -> Result:
    """Takes the file over from the addon's own apply; the former one is kept."""
    return apply(kube(task), _manifest(CONFIG_MAP, data={"Corefile": corefile(task)}), force=True)


def roll_out_corefile(task: Task) -> Result:
    """New pods for a new file: their template names the file's version, so a killed run sees what is still to be done.

    The version and not a digest: what was reset and written again has the old digest, and must be served again.
    """
    api = kube(task)
    version = (api.get(*CONFIG_MAP) or {}).get("metadata", {}).get("resourceVersion", "")
    template = {"metadata": {"annotations": {ANNOTATION: version}}}
    manifest = _manifest(DEPLOYMENT, spec={"template": template})
    result = apply(api, manifest, summary="restart CoreDNS with the new Corefile", force=True)
    if context(task).dry_run:
        return result
    try:
        rolled_out(api, DEPLOYMENT[1], DEPLOYMENT[2], DEPLOYMENT[3], timeout=_ROLL_OUT)
    except DeadlinePassed as error:
        _put_back(task)
        why = f"{error.what}: {error.why}\nThe former Corefile was put back."
        fix = "see why: `kubectl -n kube-system logs deployment/coredns --previous`"
        raise ThinkubeError("CoreDNS does not start with our Corefile", why=why, fix=fix) from error
    return result


def _put_back(task: Task) -> Result:
    api = kube(task)
    return all_of(task, restore_object(api, *CONFIG_MAP), restore_object(api, *DEPLOYMENT))


def set_aside_conflicts(task: Task) -> Result:
    """Drop-ins that draw every name to their own servers; without `.conf` at its end resolved does not read a file."""
    if not bind_address(task):
        return put_back_conflicts(task)
    conflicts = [path for path in read(task, CAPTURES_ALL) if path != DROP_IN]
    if not conflicts:
        return unchanged(task, "no drop-in captures all names")
    moved = [
        change(
            task,
            f"set {path} aside",
            *("mv", "--no-clobber", path, f"{path}.before-thinkube"),
            root=True,
            key=f"{_ASIDE}{path}",
        )
        for path in conflicts
    ]
    return all_of(task, *moved)


def restore_corefile(task: Task) -> Result:
    """An API that has gone took the Corefile with it; one that merely does not answer is an error."""
    change_log = context(task).change_log
    keys = [f"object:{version}/{kind}/{space}/{name}" for version, kind, name, space in (CONFIG_MAP, DEPLOYMENT)]
    if not any(change_log.managed(task.host.name, key) for key in keys):
        return unchanged(task, "the Corefile is not ours")
    result = _put_back(task)
    if not context(task).dry_run:
        rolled_out(kube(task), DEPLOYMENT[1], DEPLOYMENT[2], DEPLOYMENT[3], timeout=_ROLL_OUT)
    return result


def put_back_conflicts(task: Task) -> Result:
    results = []
    for record in context(task).change_log.changes(host=task.host.name, component=component_of(task)):
        if record.key.startswith(_ASIDE):
            path = record.key.removeprefix(_ASIDE)
            argv = ("mv", "--no-clobber", f"{path}.before-thinkube", path)
            results.append(undo(task, record.key, f"put {path} back", *argv, root=True))
    return all_of(task, *results) if results else unchanged(task, "no drop-in is set aside")


def _manifest(place: tuple[str, str, str, str], **fields: Any) -> dict[str, Any]:
    version, kind, name, namespace = place
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, **fields}


def _setup_facts(_: Task) -> tuple[Fact[Any], ...]:
    return (CAPTURES_ALL,)


COMPONENT = Component(
    title="CoreDNS and node DNS",
    number=30,
    group="microk8s",
    needs=("phase5.microk8s_control", here("phase5.microk8s_workers")),
    settings=(
        "domain_name",
        "dns_servers",
        "load_balancer_range",
    ),
    preconditions=chain(step(checks.bind_answers_pods, on=CONTROL_PLANE)),
    setup=chain(
        step(apply_corefile, on=CONTROL_PLANE),
        step(roll_out_corefile, on=CONTROL_PLANE),
        set_aside_conflicts,
        ROUTING_DOMAIN,
        RESOLVER,
        facts=_setup_facts,
    ),
    verify=chain(
        step(checks.corefile_is_as_wanted, on=CONTROL_PLANE),
        step(checks.coredns_is_available, on=CONTROL_PLANE),
        step(checks.coredns_does_not_restart, on=CONTROL_PLANE),
        checks.pods_ask_the_cluster_dns,
        checks.pods_resolve_services,
        checks.pods_resolve_public_names,
        checks.pods_ask_public_servers_for_acme_names,
        checks.pods_resolve_the_domain,
        checks.no_drop_in_captures_all_names,
        checks.node_routes_the_domain_to_bind,
        checks.node_resolves_the_domain,
        checks.node_resolves_public_names,
        facts=checks.facts,
    ),
    rollback=chain(
        step(restore_corefile, on=CONTROL_PLANE),
        put_back_conflicts,
    ),
)
