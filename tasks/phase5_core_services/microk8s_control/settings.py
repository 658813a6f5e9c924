"""The settings of the control plane."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.shared.settings.values import Addon


class Settings:
    microk8s_addons: Sequence[Addon] = ("dns", "hostpath-storage", "helm3")
    """Addons of MicroK8s that are switched on."""
