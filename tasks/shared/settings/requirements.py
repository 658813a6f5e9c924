"""The settings of what a host must have, which is checked before anything is changed."""

from __future__ import annotations

from tasks.shared.hosts.supported import NODE_DISK
from tasks.shared.settings.values import ChartSource, Registry, Size


class Settings:
    """What a host must have.

    Checked before anything is changed.
    """

    allow_unsupported: bool
    """Go on with an operating system or a MicroK8s channel that this version was not made for."""
    node_disk: Size = NODE_DISK
    """Free room for images and volumes before MicroK8s is installed."""
    node_memory: Size
    """Memory of the host, at least; 2GB for the control plane and 1GB for workers when not set."""
    registries: list[Registry]
    """Registries that nodes must reach over HTTPS; those of MicroK8s' own images when not set, [] for none."""
    helm_chart_source: ChartSource
    """A mirror of all charts; each chart's public repository when not set."""
