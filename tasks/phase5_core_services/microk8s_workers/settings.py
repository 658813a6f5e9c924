"""The settings of workers."""

from __future__ import annotations


class Settings:
    microk8s_force_join: bool
    """Join also when the cluster has a node of this name that we did not join."""
