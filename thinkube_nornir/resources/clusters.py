"""How a resource reaches the cluster that it belongs to: the tasks folder knows, and the engine does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nornir.core.task import Task

from thinkube_nornir.cluster import Cluster


@dataclass(frozen=True)
class ClusterAccess:
    """A cluster, as seen from the host on which the resource's steps run."""

    connect: Callable[[Task], Cluster]
    exists: Callable[[Task], bool]
    """Whether there is one by now: before it is set up, a plan promises what would be put there."""
    helm: tuple[str, ...] = ()
    """How to call helm on that host, as root."""
