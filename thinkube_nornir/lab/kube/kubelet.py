"""The kubelets of all nodes: start bound pods by the runtime, tell how they are, and end them.

A pod that is deleted stays, with its deletionTimestamp, until its containers have ended; only then it is removed.

Unproven: the order of a pod's last status and its removal is that of the documentation on the termination of pods.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from thinkube_nornir.lab.kube.containers import (
    CREATING,
    PodExit,
    back_off,
    conditions,
    lacks,
    starts_again,
    status_of,
    waiting,
)
from thinkube_nornir.lab.kube.controllers import Controller
from thinkube_nornir.lab.kube.deletion import Deletion
from thinkube_nornir.lab.kube.logs import Logs
from thinkube_nornir.lab.kube.objects import (
    Key,
    Object,
    dig,
    is_true,
    key_of,
    name_of,
    namespace_of,
    now,
    terminating,
    uid_of,
)


class ImagePullError(Exception):
    """Raised by a PodRuntime: the pod waits with reason ImagePullBackOff, and this message is why."""


PodRuntime = Callable[[Object, str], Awaitable[PodExit | None]]
"""Runs (pod, node name); None for a pod that keeps running. Controllers call it once a pod is bound to a Ready node.

Raises ImagePullError for an image that cannot be had; any other exception is a container that cannot start. One that
ends although its restartPolicy wants it to run is in CrashLoopBackOff, too. All stay so until the pod is deleted.
"""


PodStop = Callable[[Object, str], Awaitable[None]]
"""Ends the containers of (pod, node name); returns when they have ended, within deletionGracePeriodSeconds."""


class Kubelet(Controller):
    kind = ("v1", "Pod")
    watches = (("v1", "Node"), ("v1", "PersistentVolumeClaim"), ("v1", "ConfigMap"), ("v1", "Secret"))

    def __init__(self, runtime: PodRuntime | None, logs: Logs, stop: PodStop | None = None) -> None:
        """
        Args:
            stop: None for containers that end at once.
        """
        self._runtime = runtime
        self._stop = stop
        self._logs = logs
        self._running: dict[str, asyncio.Task[None]] = {}
        """What the runtime does now, by the pod's uid; also of pods that were started and keep running."""
        self._stopping: dict[str, asyncio.Task[None]] = {}
        self._halted = False
        self._addresses: dict[str, str] = {}

    @property
    def busy(self) -> list[asyncio.Task[None]]:
        """Pods that the runtime is at, or that are ending."""
        return [task for task in (*self._running.values(), *self._stopping.values()) if not task.done()]

    async def stop(self) -> None:
        """Cancel what the runtime still does, and begin nothing more until `start`."""
        self._halted = True
        busy = self.busy
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
        self._running = {uid: task for uid, task in self._running.items() if not task.cancelled()}
        self._stopping = {uid: task for uid, task in self._stopping.items() if not task.cancelled()}

    def start(self) -> None:
        self._halted = False

    def concerned(self, changed: Object) -> Iterable[Key]:
        pods = self.cluster.store.list("pods")
        if changed["kind"] == "Node":
            return [key_of(pod) for pod in pods if pod["spec"].get("nodeName") == name_of(changed)]
        near = [pod for pod in pods if namespace_of(pod) == namespace_of(changed)]
        return [key_of(pod) for pod in near if pod["status"].get("phase") == "Pending"]

    def reconcile(self, obj: Object) -> None:
        node = self.cluster.get("v1", "Node", obj["spec"].get("nodeName") or "")
        if self._halted or node is None or not is_true(node, "Ready"):
            return
        if terminating(obj):
            self._end(obj, node)
        elif uid_of(obj) in self._running:
            self._recover(obj)
        elif obj["status"].get("phase") == "Pending" and self._volumes_bound(obj) and self._has_all(obj, node):
            self._start(obj, node)

    def gone(self, obj: Object) -> None:
        self._logs.forget(obj)
        self._addresses.pop(uid_of(obj), None)
        for tasks in (self._running, self._stopping):
            if task := tasks.pop(uid_of(obj), None):
                task.cancel()

    def evict(self, pod: Object, reason: str) -> None:
        """What ran is ended; the pod itself is kept, as evidence."""
        self.gone(pod)
        node = self.cluster.get("v1", "Node", pod["spec"]["nodeName"]) or {}
        self._report(pod, node, "Failed", PodExit(137, b"").state, ready=False)
        message = "The node was low on resource: memory."
        self.cluster.set_status(pod, reason=reason, message=message, manager="kubelet")
        self.cluster.set_condition(pod, "DisruptionTarget", True, "TerminationByKubelet", message)
        self.cluster.event(pod, reason, message, warning=True)

    def _end(self, pod: Object, node: Object) -> None:
        """The pod is removed when its containers have ended; one whose containers never ran, at once."""
        uid, runs = uid_of(pod), pod["status"].get("phase") == "Running" and _runs(pod)
        if self._stop is None or not runs or (uid in self._stopping and self._stopping[uid].done()):
            self.cluster.remove(pod, how=Deletion(grace=0))
        elif uid not in self._stopping:
            self._stopping[uid] = asyncio.get_running_loop().create_task(self._stopped(pod, node, self._stop))
            self._stopping[uid].add_done_callback(self._note_failure)

    async def _stopped(self, pod: Object, node: Object, stop: PodStop) -> None:
        await stop(pod, name_of(node))
        self._report(pod, node, "Succeeded", PodExit(0, b"").state, ready=False)
        present = self.cluster.get("v1", "Pod", name_of(pod), namespace_of(pod))
        if present is not None and uid_of(present) == uid_of(pod):
            self.cluster.remove(pod, how=Deletion(grace=0))

    def _recover(self, pod: Object) -> None:
        """After its node was away, a pod that still runs is ready again."""
        task = self._running[uid_of(pod)]
        if task.done() and pod["status"].get("phase") == "Running" and not is_true(pod, "Ready"):
            ready = dig(pod, "status", "containerStatuses", default=[{}])[0].get("ready")
            if ready:
                self.cluster.set_condition(pod, "Ready", True)

    def _volumes_bound(self, pod: Object) -> bool:
        names = [dig(volume, "persistentVolumeClaim", "claimName") for volume in pod["spec"].get("volumes") or []]
        claims = [
            self.cluster.get("v1", "PersistentVolumeClaim", name, namespace_of(pod))
            for name in names
            if name is not None
        ]
        return all(claim is not None and dig(claim, "status", "phase") == "Bound" for claim in claims)

    def _start(self, pod: Object, node: Object) -> None:
        task = asyncio.get_running_loop().create_task(self._run(pod, node))
        self._running[uid_of(pod)] = task
        task.add_done_callback(self._note_failure)

    def _note_failure(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.cluster.queue.failed(error)

    def _has_all(self, pod: Object, node: Object) -> bool:
        """Whether the ConfigMaps and Secrets are there without which its containers cannot be made."""
        missing = lacks(pod, lambda kind, name: self.cluster.get("v1", kind, name, namespace_of(pod)))
        if missing is None:
            return True
        state, reason, message = missing
        if dig(pod, "status", "containerStatuses", default=[{}])[0].get("state") != state:
            self._report(pod, node, "Pending", state, ready=False)
            self.cluster.event(pod, reason, message, warning=True)
        return False

    async def _run(self, pod: Object, node: Object) -> None:
        self._report(pod, node, "Pending", CREATING, ready=False)
        try:
            ended = await self._runtime(pod, name_of(node)) if self._runtime else None
        except ImagePullError as error:
            image = pod["spec"]["containers"][0]["image"]
            reported = f'Back-off pulling image "{image}": ErrImagePull: {error}'
            self._report(pod, node, "Pending", waiting("ImagePullBackOff", reported), ready=False)
            self._warn(pod, "Failed", f'Failed to pull image "{image}": {error}')
            return
        except Exception as error:
            ended = PodExit(128, b"", "StartError", str(error))
            self._warn(pod, "Failed", f"Error: {error}")
        if ended is None:
            self._logs.begin(pod)
            self._report(pod, node, "Running", {"running": {"startedAt": now()}}, ready=True)
            return
        self._logs.end(pod, ended.log)
        if starts_again(pod, ended.code):
            self._report(pod, node, "Running", back_off(pod), ready=False, last=ended.state)
            name = pod["spec"]["containers"][0]["name"]
            self._warn(pod, "BackOff", f"Back-off restarting failed container {name} in pod {name_of(pod)}")
        else:
            self._report(pod, node, "Failed" if ended.code else "Succeeded", ended.state, ready=False)

    def _warn(self, pod: Object, reason: str, message: str) -> None:
        if self.cluster.get("v1", "Pod", name_of(pod), namespace_of(pod)):
            self.cluster.event(pod, reason, message, warning=True)

    def _report(
        self, pod: Object, node: Object, phase: str, state: Object, *, ready: bool, last: Object | None = None
    ) -> None:
        """Write the pod's status, unless it is gone; `last` is the containers' lastState, if they have one."""
        present = self.cluster.get("v1", "Pod", name_of(pod), namespace_of(pod))
        if present is None or uid_of(present) != uid_of(pod):
            return
        set_status = partial(self.cluster.set_status, present, manager="kubelet")
        address = self._addresses.setdefault(uid_of(pod), self._free_address(pod, node))
        started = dig(present, "status", "startTime", default=now())
        set_status(
            phase=phase,
            hostIP=_internal_ip(node),
            hostIPs=[{"ip": _internal_ip(node)}],
            podIP=address,
            podIPs=[{"ip": address}],
            startTime=started,
            containerStatuses=[
                status_of(container, state, last or {}, ready) for container in pod["spec"]["containers"]
            ],
            conditions=conditions(present, phase, ready),
        )

    def _free_address(self, pod: Object, node: Object) -> str:
        if pod["spec"].get("hostNetwork"):
            return _internal_ip(node)
        taken = set(self._addresses.values())
        free = (f"10.1.{high}.{low}" for high in range(1, 255) for low in range(1, 255))
        return next(address for address in free if address not in taken)


def _internal_ip(node: Object) -> str:
    addresses = dig(node, "status", "addresses", default=[])
    return next((str(a["address"]) for a in addresses if a["type"] == "InternalIP"), "")


def _runs(pod: Object) -> bool:
    statuses = dig(pod, "status", "containerStatuses", default=[])
    return any("running" in (status.get("state") or {}) for status in statuses)
