"""What must hold between the settings of several hosts, and which settings a host must have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tasks.shared.hosts.supported import MICROK8S
from tasks.shared.settings.values import size_bytes
from thinkube_nornir.settings.schema import HostSettings, Mistake

Hosts = Mapping[str, HostSettings]

VM_ROLES = ("dns_containers", "controllers", "workers")

REQUIRED_OF_ALL = ("domain_name", "system_username", "network_cidr", "dns_servers")
REQUIRED_OF_GROUP = {
    "baremetal": ("lan_ip", "server_type", "arch", "network_gateway", "internal_gateway", "lxd_network_ipv4_address"),
    "lxd_containers": (
        "parent_host",
        "memory",
        "cpu_cores",
        "disk_size",
        "arch",
        "lan_ip",
        "internal_ip",
        "lxd_image",
    ),
    "zerotier_nodes": ("zerotier_ip", "zerotier_network_id", "zerotier_cidr"),
    "dns_servers": ("lan_ip",),
    "microk8s": ("lan_ip", "microk8s_channel"),
}


def required(hosts: Hosts) -> Iterator[Mistake]:
    """A setting that no host has is one mistake, not one for each host."""
    for name in REQUIRED_OF_ALL:
        without = [host for host in hosts.values() if _lacks(host, name)]
        if len(without) == len(hosts):
            yield Mistake(f"setting {name} is missing", "add it to the data of the defaults")
        else:
            yield from (_missing(host, name) for host in without)
    for host in hosts.values():
        names = {name for group, names in REQUIRED_OF_GROUP.items() if group in host.groups for name in names}
        yield from (_missing(host, name) for name in sorted(names) if _lacks(host, name))


def one_control_plane(hosts: Hosts) -> Iterator[Mistake]:
    members = _in(hosts, "microk8s")
    controls, workers = _in(hosts, "microk8s_control_plane"), _in(hosts, "microk8s_workers")
    if members and len(controls) != 1:
        found = ", ".join(host.name for host in controls) or "none"
        yield Mistake(
            f"microk8s_control_plane must have exactly one host, not {found}", host=(controls or members)[-1].name
        )
    for host in members:
        if (host in controls) == (host in workers):
            what = f"{host.name} is in microk8s, so it must be in one of microk8s_control_plane and microk8s_workers"
            yield Mistake(what, host=host.name)


def one_channel(hosts: Hosts) -> Iterator[Mistake]:
    """A worker of another version than the control plane fails to join, or misbehaves."""
    first: HostSettings | None = None
    for host in _in(hosts, "microk8s", "microk8s_channel"):
        first = first or host
        wanted, channel = first.settings["microk8s_channel"], host.settings["microk8s_channel"]
        if channel != wanted:
            what = f"{host.name} has microk8s_channel {channel}, {first.name} has {wanted}"
            yield Mistake(what, "give all of them the same", host.name, "microk8s_channel")


def channel_is_supported(hosts: Hosts) -> Iterator[Mistake]:
    """Once, however many hosts have it."""
    found = {h.settings["microk8s_channel"]: h for h in _in(hosts, "microk8s", "microk8s_channel")}
    for channel, host in found.items():
        if channel.partition("/")[0] not in MICROK8S and not host.settings.get("allow_unsupported"):
            what = f"microk8s_channel {channel} is not one of {', '.join(MICROK8S)}"
            yield Mistake(what, "or set allow_unsupported: true", host.name, "microk8s_channel")


def one_lxd_primary(hosts: Hosts) -> Iterator[Mistake]:
    members, primaries = _in(hosts, "lxd_cluster"), _in(hosts, "lxd_primary")
    if members and len(primaries) != 1:
        found = ", ".join(host.name for host in primaries) or "none"
        yield Mistake(f"lxd_primary must have exactly one host, not {found}", host=(primaries or members)[-1].name)


def vm_has_a_parent_and_one_role(hosts: Hosts) -> Iterator[Mistake]:
    machines = [host.name for host in _in(hosts, "baremetal")]
    for vm in _in(hosts, "lxd_containers"):
        roles = [role for role in VM_ROLES if role in vm.groups]
        if len(roles) != 1:
            what = f"{vm.name} must be in exactly one of {', '.join(VM_ROLES)}, not in {' and '.join(roles) or 'none'}"
            yield Mistake(what, host=vm.name)
        parent = vm.settings.get("parent_host")
        if parent and parent not in machines:
            what = f"{vm.name}: parent_host {parent} is not in baremetal"
            yield Mistake(what, f"baremetal: {', '.join(machines) or 'empty'}", vm.name, "parent_host")


def gpu_has_a_slot_of_its_own(hosts: Hosts) -> Iterator[Mistake]:
    taken: dict[tuple[str, str], str] = {}
    for vm in hosts.values():
        passed, slot = vm.settings.get("gpu_passthrough", False), vm.settings.get("pci_slot")
        if passed != ("gpu_passthrough_vms" in vm.groups) and "gpu_passthrough" not in vm.mistaken:
            what = f"{vm.name}: gpu_passthrough is {str(passed).lower()}, but group gpu_passthrough_vms says otherwise"
            yield Mistake(what, "set both or none", vm.name, "gpu_passthrough")
        if passed and _lacks(vm, "pci_slot"):
            yield Mistake(f"{vm.name}: gpu_passthrough needs a pci_slot", "see `lspci` on the parent", vm.name)
        if slot and not passed and "gpu_passthrough" not in vm.mistaken:
            yield Mistake(f"{vm.name}: pci_slot is set, and gpu_passthrough is not", "", vm.name, "pci_slot")
        if slot:
            yield from _slot(hosts, vm, slot, taken)


def _slot(hosts: Hosts, vm: HostSettings, slot: str, taken: dict[tuple[str, str], str]) -> Iterator[Mistake]:
    parent = vm.settings.get("parent_host", "")
    other = taken.setdefault((parent, slot), vm.name)
    if other != vm.name:
        yield Mistake(f"{vm.name} and {other} both get {slot} of {parent}", "", vm.name, "pci_slot")
    reserved = hosts[parent].settings.get("assigned_pci_slots") if parent in hosts else None
    if reserved is not None and slot not in reserved:
        what = f"{vm.name}: {slot} is not among {parent}'s assigned_pci_slots ({', '.join(reserved) or 'none'})"
        yield Mistake(what, "", vm.name, "pci_slot")


def vms_fit_on_their_parent(hosts: Hosts) -> Iterator[Mistake]:
    for parent in _in(hosts, "baremetal"):
        vms = [vm for vm in _in(hosts, "lxd_containers") if vm.settings.get("parent_host") == parent.name]
        for name in ("memory", "cpu_cores", "disk_size"):
            if name not in parent.settings:
                continue
            needed = sum(_amount(vm.settings[name]) for vm in vms if name in vm.settings)
            if needed > _amount(parent.settings[name]):
                each = ", ".join(f"{vm.name} {vm.settings[name]}" for vm in vms if name in vm.settings)
                what = f"{parent.name} has {name} {parent.settings[name]}, its VMs need more: {each}"
                yield Mistake(what, "", parent.name, name)


CHECKS = (
    required,
    one_control_plane,
    one_channel,
    channel_is_supported,
    one_lxd_primary,
    vm_has_a_parent_and_one_role,
    gpu_has_a_slot_of_its_own,
    vms_fit_on_their_parent,
)


def _lacks(host: HostSettings, name: str) -> bool:
    return name not in host.settings and name not in host.mistaken


def _missing(host: HostSettings, name: str) -> Mistake:
    return Mistake(f"{host.name}: setting {name} is missing", host=host.name)


def _in(hosts: Hosts, group: str, setting: str = "") -> list[HostSettings]:
    """The hosts of a group; only those that have the setting, when one is named."""
    members: Iterable[HostSettings] = (host for host in hosts.values() if group in host.groups)
    return [host for host in members if not setting or setting in host.settings]


def _amount(value: int | str) -> int:
    return value if isinstance(value, int) else size_bytes(value)
