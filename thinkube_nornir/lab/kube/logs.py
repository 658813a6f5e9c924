"""Pod logs: what a runtime hands back, and who waits for it.

Source: kubernetes/kubernetes@008b3652959c pkg/registry/core/pod/strategy.go (validateContainer)
Source: kubernetes/kubernetes@v1.36.2 pkg/kubelet/kubelet_pods.go (validateContainerLogStatus)
Source: kubernetes/kubernetes@v1.36.2 pkg/registry/core/pod/strategy.go (LogLocation)
Unproven: the log of each container of a pod is the pod's here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from thinkube_nornir.lab.kube.objects import Object, dig, name_of, uid_of
from thinkube_nornir.lab.kube.status import ApiError


@dataclass
class _Log:
    content: bytes = b""
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Logs:
    """Logs by the pod's uid; they go when the pod does."""

    def __init__(self) -> None:
        self._logs: dict[str, _Log] = {}

    def begin(self, pod: Object) -> None:
        self._logs.setdefault(uid_of(pod), _Log())

    def end(self, pod: Object, content: bytes) -> None:
        log = self._logs.setdefault(uid_of(pod), _Log())
        log.content += content
        log.ended.set()

    def forget(self, pod: Object) -> None:
        log = self._logs.pop(uid_of(pod), None)
        if log is not None:
            log.ended.set()

    def read(self, pod: Object, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        """The log so far; with `follow`, also what comes until the pod ends.

        Raises:
            ApiError: 400, the pod has not started or has no such container.
        """
        spec = pod["spec"]
        names = [c["name"] for c in [*(spec.get("initContainers") or []), *spec["containers"]]]
        container = query.get("container") or (spec["containers"][0]["name"] if len(spec["containers"]) == 1 else "")
        if not container:
            why = f"a container name must be specified for pod {name_of(pod)}, choose one of: [{' '.join(names)}]"
            raise ApiError(400, why)
        if container not in names:
            raise ApiError(400, f"container {container} is not valid for pod {name_of(pod)}")
        if not spec.get("nodeName"):
            raise ApiError(400, f"pod {name_of(pod)} does not have a host assigned")
        _check(pod, container, previous=query.get("previous") == "true")
        log = self._logs.get(uid_of(pod)) or _Log()
        return _chunks(log, query)


def _check(pod: Object, name: str, *, previous: bool) -> None:
    """The kubelet's refusals, which the API server passes on."""
    statuses = dig(pod, "status", "containerStatuses", default=[])
    found: Object = next((status for status in statuses if status["name"] == name), {})
    state, last = found.get("state") or {}, dig(found, "lastState", "terminated", default={})
    what = f'container "{name}" in pod "{name_of(pod)}"'
    if not found:
        raise ApiError(400, f"{what} is not available")
    if previous and not last:
        raise ApiError(400, f"previous terminated {what} not found")
    if (waiting := state.get("waiting")) and not last:
        reported = "trying and failing to pull image" if waiting["reason"] == "ImagePullBackOff" else waiting["reason"]
        raise ApiError(400, f"{what} is waiting to start: {reported}")


async def _chunks(log: _Log, query: Mapping[str, str]) -> AsyncIterator[bytes]:
    sent = len(log.content)
    yield _tail(log.content, query.get("tailLines"))
    if query.get("follow") == "true":
        await log.ended.wait()
        yield log.content[sent:]


def _tail(content: bytes, lines: str | None) -> bytes:
    """
    >>> _tail(b"a\\nb\\nc\\n", "2")
    b'b\\nc\\n'
    """
    if lines is None:
        return content
    count = int(lines)
    return b"".join(content.splitlines(keepends=True)[-count:]) if count else b""
