"""Whether the ingress addresses are ours to take: in the LAN anybody may have one, the router's DHCP among them."""

from __future__ import annotations

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.ingress.metallb import addresses_of, load_balancer_services
from tasks.shared.address_pool import ingress_addresses, pool_is_in_overlay
from tasks.shared.cluster.control_plane import kube, there_is_a_cluster
from thinkube_nornir.command import Fact
from thinkube_nornir.errors import CheckFailed, ThinkubeError
from thinkube_nornir.outcome import passed
from thinkube_nornir.remote import read

_ANSWERED = 0


def ping(address: str) -> Fact[bool]:
    """Whether somebody answers; nobody does, either, where ping is not installed."""
    argv = ("ping", "-q", "-n", "-c", "1", "-W", "1", address)
    return Fact(f"ping {address}", argv, lambda done: done.status == _ANSWERED, accept=None)


def addresses_are_nobodys(task: Task) -> Result:
    """In the overlay they are given by ZeroTier, to the control plane itself.

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
            fix="give load_balancer_range addresses that nobody has, outside of the range of the router's DHCP",
        )
    return passed(task, f"nobody answers at {', '.join(wanted)}" if wanted else "our services have the addresses")


def _held(task: Task) -> set[str]:
    """By services of the cluster; all of them while it cannot be asked, which a phase before this one mends."""
    try:
        if not there_is_a_cluster(task):
            return set()
        return {a for service in load_balancer_services(kube(task)) for a in addresses_of(service)}
    except ThinkubeError:
        return set(ingress_addresses(task))
