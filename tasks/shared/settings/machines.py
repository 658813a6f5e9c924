"""The settings of machines and VMs: which VM runs where, and whether its machine has room for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from tasks.shared.settings.values import (
    Amount,
    Interface,
    InterfaceAddress,
    InterfaceAddress6,
    Label,
    LxdImage,
    Package,
    Size,
    size_bytes,
)
from thinkube_nornir.settings.schema import Hosts, Mistake, Required, in_group

VM_ROLES = ("dns_containers", "controllers", "workers")


class Settings:
    """Machines and VMs."""

    arch: Annotated[Literal["x86_64", "arm64"], Required("baremetal", "lxd_containers")]
    """Processor architecture."""
    server_type: Annotated[Literal["desktop", "headless"], Required("baremetal")]
    """Whether the machine has a display, and so keeps a GPU for it."""
    memory: Annotated[Size, Required("lxd_containers")]
    """Memory that a machine has, or a VM gets."""
    cpu_cores: Annotated[Amount, Required("lxd_containers")]
    """Processor cores that a machine has, or a VM gets."""
    disk_size: Annotated[Size, Required("lxd_containers")]
    """Disk that a machine has, or a VM gets."""
    parent_host: Annotated[Label, Required("lxd_containers")]
    """The machine that the VM runs on."""
    vm_packages: list[Package]
    """Packages that the VM gets beside the needed ones."""
    lxd_image: Annotated[LxdImage, Required("lxd_containers")]
    """What the VM is made from."""
    lxd_network_name: Interface
    """The machine's own network for its VMs."""
    lxd_network_ipv4_address: Annotated[InterfaceAddress, Required("baremetal")]
    """The machine's address in it; it ends there, so it may be the same on every machine."""
    lxd_network_ipv6_address: InterfaceAddress6
    """The machine's IPv6 address in it."""


def one_lxd_primary(hosts: Hosts) -> Iterator[Mistake]:
    members, primaries = in_group(hosts, "lxd_cluster"), in_group(hosts, "lxd_primary")
    if members and len(primaries) != 1:
        found = ", ".join(host.name for host in primaries) or "none"
        yield Mistake(f"lxd_primary must have exactly one host, not {found}", host=(primaries or members)[-1].name)


def vm_has_a_parent_and_one_role(hosts: Hosts) -> Iterator[Mistake]:
    machines = [host.name for host in in_group(hosts, "baremetal")]
    for vm in in_group(hosts, "lxd_containers"):
        roles = [role for role in VM_ROLES if role in vm.groups]
        if len(roles) != 1:
            what = f"{vm.name} must be in exactly one of {', '.join(VM_ROLES)}, not in {' and '.join(roles) or 'none'}"
            yield Mistake(what, host=vm.name)
        parent = vm.settings.get("parent_host")
        if parent and parent not in machines:
            what = f"{vm.name}: parent_host {parent} is not in baremetal"
            yield Mistake(what, f"baremetal: {', '.join(machines) or 'empty'}", vm.name, "parent_host")


def vms_fit_on_their_parent(hosts: Hosts) -> Iterator[Mistake]:
    for parent in in_group(hosts, "baremetal"):
        vms = [vm for vm in in_group(hosts, "lxd_containers") if vm.settings.get("parent_host") == parent.name]
        for name in ("memory", "cpu_cores", "disk_size"):
            if name not in parent.settings:
                continue
            needed = sum(_amount(vm.settings[name]) for vm in vms if name in vm.settings)
            if needed > _amount(parent.settings[name]):
                each = ", ".join(f"{vm.name} {vm.settings[name]}" for vm in vms if name in vm.settings)
                what = f"{parent.name} has {name} {parent.settings[name]}, its VMs need more: {each}"
                yield Mistake(what, "", parent.name, name)


RULES = (one_lxd_primary, vm_has_a_parent_and_one_role, vms_fit_on_their_parent)


def _amount(value: int | str) -> int:
    return value if isinstance(value, int) else size_bytes(value)
