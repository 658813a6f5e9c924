"""The lab's Kubernetes API: a real HTTPS server with discovery, watches, server-side apply, and the few controllers needed.

Knows Kubernetes, and no distribution of it: who installs it (tasks/lab) creates a KubeApi, adds nodes and manifests.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True)
class PodExit:
    """How a pod's only container ended."""

    code: int
    log: bytes


class ImagePullError(Exception):
    """Raised by a PodRuntime: the pod waits with reason ImagePullBackOff and this message."""


PodRuntime = Callable[[Object, str], Awaitable[PodExit | None]]
"""Runs (pod, node name); None for a pod that keeps running. Controllers call it once a pod is bound to a Ready node."""


@dataclass
class Fault:
    """Answer matching requests with an error, or late. `times` None for always."""

    method: str = ""
    """`GET`, `PATCH`; empty for all."""
    path: str = ""
    """A regular expression searched in the path."""
    status: int = 0
    """HTTP status; 0 for only the delay; -1 to drop the connection."""
    delay: float = 0.0
    times: int | None = 1


class KubeApi:
    """One cluster's API. All methods are called in the event loop's thread; objects are plain dicts as in JSON."""

    faults: list[Fault]

    def __init__(self, *, version: str = "v1.32.3", runtime: PodRuntime | None = None) -> None:
        raise NotImplementedError

    async def start(self, address: str = "127.0.0.1", port: int = 0) -> None:
        """Serve HTTPS. Port 0 takes a free one; see `port`."""
        raise NotImplementedError

    async def stop(self) -> None:
        raise NotImplementedError

    @property
    def port(self) -> int:
        raise NotImplementedError

    def kubeconfig(self, server: str) -> str:
        """An admin kubeconfig (client certificate) for `https://...` as the caller reaches it; any address verifies."""
        raise NotImplementedError

    def add_node(self, name: str, *, address: str, labels: dict[str, str] | None = None, version: str = "") -> Object:
        """Register a Ready node with this InternalIP; `version` empty for the API's own."""
        raise NotImplementedError

    def set_node_ready(self, name: str, ready: bool, reason: str = "") -> None:
        raise NotImplementedError

    def remove_node(self, name: str) -> None:
        """The Node and the pods on it."""
        raise NotImplementedError

    def apply(self, obj: Object) -> Object:
        """Create or replace, as an addon's `kubectl apply` would."""
        raise NotImplementedError

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Object | None:
        raise NotImplementedError

    def list(self, api_version: str, kind: str, namespace: str = "") -> list[Object]:
        raise NotImplementedError

    def delete(self, api_version: str, kind: str, name: str, namespace: str = "") -> bool:
        raise NotImplementedError
