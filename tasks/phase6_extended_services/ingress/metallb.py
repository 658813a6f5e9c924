"""MetalLB: the load balancer that gives services addresses in the overlay and answers ARP for them.

Only the control plane's node may announce: it owns the ingress addresses in the overlay itself, so with another node
two machines would answer, and a node without ZeroTier none.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.ingress.controller import controllers
from tasks.shared.address_pool import RANGE, ends
from tasks.shared.cluster.control_plane import Object, kube, registered_node
from tasks.shared.cluster.kubernetes_distribution import DISTRIBUTION
from tasks.shared.cluster.workloads import await_rolled_out
from thinkube_nornir.cluster import Cluster, apply, restore
from thinkube_nornir.context import component_of, context, setting
from thinkube_nornir.errors import Refused
from thinkube_nornir.outcome import all_of, skipped, unchanged

ADDON = "metallb"
NAMESPACE = "metallb-system"
POOL = ("metallb.io/v1beta1", "IPAddressPool", "default-addresspool", NAMESPACE)
ADVERTISEMENT = ("metallb.io/v1beta1", "L2Advertisement", "default-advertise-all-pools", NAMESPACE)
WORKLOADS = (("Deployment", "controller"), ("DaemonSet", "speaker"))
HOSTNAME_LABEL = "kubernetes.io/hostname"


def pool_range(task: Task) -> str:
    """
    Returns:
        `192.168.191.200-192.168.191.205`
    """
    return str(setting(task, RANGE))


def announcing_node(task: Task) -> str:
    """The control plane's node, by the label that chooses it."""
    return str(registered_node(task)["metadata"]["labels"][HOSTNAME_LABEL])


def load_balancer_services(api: Cluster) -> list[Object]:
    return [s for s in api.list("v1", "Service") if s["spec"].get("type") == "LoadBalancer"]


def place(obj: Object) -> str:
    """
    >>> place({"metadata": {"name": "web", "namespace": "shop"}})
    'shop/web'
    """
    return f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"


def addresses_of(service: Object) -> list[str]:
    found = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return [str(entry["ip"]) for entry in found if entry.get("ip")]


def turn_metallb_on(task: Task) -> Result:
    """Enabling it again would replace the pool with the addon's own, so one that is on is left on."""
    return DISTRIBUTION.addon(task, ADDON, pool_range(task), apart=True)


def set_pool(task: Task) -> Result:
    """
    Raises:
        Refused: services of others would lose the addresses that people reach them at.
    """
    api = kube(task)
    if context(task).dry_run and api.kind(*POOL[:2]) is None:
        return skipped(task, f"addon {ADDON} will bring its pool {pool_range(task)} along")
    outside = _outside(task, api)
    if outside:
        raise Refused(
            f"services of others have addresses outside the pool {pool_range(task)}",
            why="\n".join(outside),
            fix="widen load_balancer_range in the inventory, or move them first",
        )
    return apply(api, _manifest(POOL, {"addresses": [pool_range(task)]}), force=True)


def announce_from_control_plane(task: Task) -> Result:
    chosen = {"matchLabels": {HOSTNAME_LABEL: announcing_node(task)}}
    spec = {"ipAddressPools": [POOL[2]], "nodeSelectors": [chosen]}
    summary = f"announce addresses from {chosen['matchLabels'][HOSTNAME_LABEL]} alone"
    return apply(kube(task), _manifest(ADVERTISEMENT, spec), summary=summary, force=True)


def await_metallb(task: Task) -> Result:
    summary = f"{' and '.join(name for _, name in WORKLOADS)} are rolled out"
    return await_rolled_out(task, WORKLOADS, NAMESPACE, summary=summary)


def give_metallb_back(task: Task) -> Result:
    """As it was before us; it stays as long as a service has its address from it."""
    change_log = context(task).change_log
    keys = {f"addon:{ADDON}", *(f"object:{v}/{k}/{space}/{name}" for v, k, name, space in (POOL, ADVERTISEMENT))}
    mine = {record.key for record in change_log.changes(host=task.host.name, component=component_of(task))}
    if not keys & mine:
        return unchanged(task, "MetalLB is not ours")
    api = kube(task)
    going = {f"{c.namespace}/{c.workload}" for c in controllers(task)} if context(task).dry_run else set()
    left = [name for name in map(place, load_balancer_services(api)) if name not in going]
    if left:
        told = ", ".join(left)
        return unchanged(task, f"MetalLB was left as it is: it gives {told} its address")
    return all_of(
        task,
        restore(api, *ADVERTISEMENT),
        restore(api, *POOL),
        DISTRIBUTION.without_addon(task, ADDON),
    )


def _outside(task: Task, api: Cluster) -> list[str]:
    first, last = ends(pool_range(task))
    ours = {f"{c.namespace}/{c.workload}" for c in controllers(task)}
    given = [(place(s), address) for s in load_balancer_services(api) for address in addresses_of(s)]
    return [f"{name} has {a}" for name, a in given if name not in ours and not _within(a, first, last)]


def _within(address: str, first: Any, last: Any) -> bool:
    found = ip_address(address)
    return found.version == first.version and bool(first <= found <= last)


def _manifest(at: tuple[str, str, str, str], spec: Object) -> Object:
    version, kind, name, namespace = at
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}
