"""The settings of MicroK8s that all its nodes share: one control plane, one version."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from annotated_types import Ge, Le

from tasks.shared.hosts.supported import MICROK8S
from tasks.shared.settings.values import Channel
from thinkube_nornir.settings.schema import Hosts, HostSettings, Mistake, in_group


class Settings:
    """MicroK8s."""

    microk8s_channel: Channel = "1.35/stable"
    """The snap's channel, the same on all nodes."""
    token_ttl: Annotated[int, Ge(1), Le(86400)] = 300  # good for a join and its second try, and not for much longer
    """Seconds that a join token lives."""


def one_control_plane(hosts: Hosts) -> Iterator[Mistake]:
    members = in_group(hosts, "microk8s")
    controls, workers = in_group(hosts, "microk8s_control_plane"), in_group(hosts, "microk8s_workers")
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
    for host in in_group(hosts, "microk8s", "microk8s_channel"):
        first = first or host
        wanted, channel = first.settings["microk8s_channel"], host.settings["microk8s_channel"]
        if channel != wanted:
            what = f"{host.name} has microk8s_channel {channel}, {first.name} has {wanted}"
            yield Mistake(what, "give all of them the same", host.name, "microk8s_channel")


def channel_is_supported(hosts: Hosts) -> Iterator[Mistake]:
    """A channel is named once, however many hosts have it."""
    found = {h.settings["microk8s_channel"]: h for h in in_group(hosts, "microk8s", "microk8s_channel")}
    for channel, host in found.items():
        if channel.partition("/")[0] not in MICROK8S and not host.settings.get("allow_unsupported"):
            what = f"microk8s_channel {channel} is not one of {', '.join(MICROK8S)}"
            yield Mistake(what, "or set allow_unsupported: true", host.name, "microk8s_channel")


RULES = (one_control_plane, one_channel, channel_is_supported)
