"""Whether the addresses that the ingresses shall have are free, and who has which one now."""

from __future__ import annotations

from ipaddress import ip_address

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.ingress.controllers import controllers
from tasks.shared.address_pool import RANGE, ends, ingress_addresses, pool_is_in_overlay
from tasks.shared.cluster.control_plane import Object, kube, there_is_a_cluster
from thinkube_nornir.cluster import Cluster
from thinkube_nornir.command import Fact
from thinkube_nornir.context import setting
from thinkube_nornir.errors import CheckFailed, Refused, ThinkubeError
from thinkube_nornir.outcome import passed, unchanged
from thinkube_nornir.remote import read

_ANSWERED = 0


def place(obj: Object) -> str:
    """
    >>> place({"metadata": {"name": "web", "namespace": "shop"}})
    'shop/web'
    """
    return f"{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}".lstrip("/")


def load_balancer_services(api: Cluster) -> list[Object]:
    return [s for s in api.list("v1", "Service") if s["spec"].get("type") == "LoadBalancer"]


def addresses_of(service: Object) -> list[str]:
    found = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return [str(entry["ip"]) for entry in found if entry.get("ip")]


def ping(address: str) -> Fact[bool]:
    """Whether somebody answers; nobody does, either, where ping is not installed."""
    argv = ("ping", "-q", "-n", "-c", "1", "-W", "1", address)
    return Fact(f"ping {address}", argv, lambda done: done.status == _ANSWERED, accept=None)


def addresses_are_nobodys(task: Task) -> Result:
    """In the overlay they are given by ZeroTier; in the LAN anybody may have one, the router's DHCP among them.

    Raises:
        CheckFailed: a machine answers there, and no service of the cluster has the address.
    """
    if pool_is_in_overlay(task):
        return passed(task, "the overlay's addresses are given by ZeroTier")
    held = _held(task)
    wanted = [address for address in ingress_addresses(task) if address not in held]
    taken = [address for address in wanted if read(task, ping(address))]
    if taken:
        raise CheckFailed(
            "an ingress address is in use",
            why="\n".join(f"{address} answers {task.host.name}'s ping, and no service has it" for address in taken),
            fix=f"give {RANGE} addresses that nobody has, outside of the range of the router's DHCP",
        )
    return passed(task, f"nobody answers at {', '.join(wanted)}" if wanted else "our services have the addresses")


def _held(task: Task) -> set[str]:
    """By services of the cluster; all of them while it cannot be asked, which a phase before this one repairs."""
    try:
        if not there_is_a_cluster(task):
            return set()
        return {a for service in load_balancer_services(kube(task)) for a in addresses_of(service)}
    except ThinkubeError:
        return set(ingress_addresses(task))


def keep_addresses_of_others(task: Task) -> Result:
    """Helm would wait for an address that another service has, and end without saying why.

    Raises:
        Refused: another service has an ingress controller's address, or would lose its own with our pool.
    """
    pool = str(setting(task, RANGE))
    first, last = ends(pool)
    wanted = {f"{c.namespace}/{c.workload}": c.address for c in controllers(task)}
    given = [
        (place(s), a) for s in load_balancer_services(kube(task)) for a in addresses_of(s) if place(s) not in wanted
    ]
    taken = [f"Service {name} has {a}, an ingress controller's" for name, a in given if a in wanted.values()]
    outside = [f"Service {name} has {a}, outside of {pool}" for name, a in given if not _within(a, first, last)]
    if taken or outside:
        raise Refused(
            "services of others have addresses that our pool has no place for",
            why="\n".join((*taken, *outside)),
            fix=f"give these services other addresses (spec.loadBalancerIP), or change {RANGE}, then run again",
        )
    return unchanged(task, f"{' and '.join(wanted.values())} are free, and no service loses its address")


def _within(address: str, first: object, last: object) -> bool:
    found = ip_address(address)
    return type(found) is type(first) and bool(first <= found <= last)  # type: ignore[operator]
