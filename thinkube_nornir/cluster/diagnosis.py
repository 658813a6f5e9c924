"""Why pods do not run, in the cluster's own words: their containers' reasons, events about them, last log lines.

Source: kubernetes/kubernetes@v1.36.2 pkg/kubelet/kuberuntime/kuberuntime_container.go, pkg/kubelet/images/types.go
Source: kubernetes/kubernetes@v1.36.2 pkg/kubelet/eviction/eviction_manager.go, pkg/util/node/node.go
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from thinkube_nornir.cluster.deadline import Deadline
from thinkube_nornir.cluster.handle import Cluster, selectors
from thinkube_nornir.cluster.messages import Call, Object
from thinkube_nornir.context import context
from thinkube_nornir.errors import ThinkubeError
from thinkube_nornir.secret import redact

_STARTING = ("ContainerCreating", "PodInitializing")
_ENDED_WELL = ("Completed",)
_LONGEST = 500  # characters of one message
_PODS, _EVENTS, _LINES = 3, 6, 20
_BYTES = 4_000  # of a log's last lines
_READ = 15.0  # seconds for all looks at what failed; the step itself may have no time left
_KILLED = ("Preempted", "TaintManagerEviction")  # events that are no warnings, and yet say what became of a pod


def troubles(pod: Object) -> list[str]:
    """What keeps a pod from running or has ended it, one statement each; none when all is well or only starting.

    >>> crash = {"exitCode": 1, "reason": "Error"}
    >>> waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
    >>> troubles({"status": {"containerStatuses": [
    ...     {"name": "web", "state": waiting, "lastState": {"terminated": crash}}]}})
    ['container web: CrashLoopBackOff: back-off 10s; before: Error, exit code 1']
    """
    status = pod.get("status") or {}
    described = [_said(status.get("reason"), status.get("message"))] if status.get("reason") else []
    for condition in status.get("conditions") or []:
        kind, holds = condition.get("type"), condition.get("status")
        if (kind, holds) in (("DisruptionTarget", "True"), ("PodScheduled", "False")):
            described.append(_said(condition.get("reason") or kind, condition.get("message")))
    described += [f"container {c.get('name')}: {why}" for c in _containers(pod) if (why := _of_container(c))]
    return described


def _containers(pod: Object) -> list[Object]:
    """The statuses of its containers, those that run before the others first."""
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def _of_container(container: Object) -> str:
    state, last = container.get("state") or {}, (container.get("lastState") or {}).get("terminated")
    before = f"; before: {_end(last)}" if last else ""
    if waiting := state.get("waiting"):
        starting = waiting.get("reason") in (None, *_STARTING)
        return "" if starting and not last else _said(waiting.get("reason"), waiting.get("message")) + before
    if ended := state.get("terminated"):
        return "" if ended.get("reason") in _ENDED_WELL and not ended.get("exitCode") else _end(ended)
    return f"started again{before}" if last and not container.get("ready") else ""


def _end(terminated: Object) -> str:
    how = f"signal {terminated['signal']}" if terminated.get("signal") else f"exit code {terminated.get('exitCode')}"
    words = f"{terminated.get('reason') or 'ended'}, {how}"
    return _said(words, terminated.get("message"))


def _said(reason: object, message: object) -> str:
    text = " ".join(str(message or "").split())
    return f"{reason or 'waiting'}: {text[:_LONGEST]}" if text else str(reason or "waiting")


def pod_troubles(kube: Cluster, pod: Object) -> str:
    """What the pod, the events about it and its last log lines say.

    That something of it cannot be read is said there, and is no error: it must not hide what it would explain.
    """
    reading, at = _Reading(kube, pod["metadata"]["namespace"]), pod["metadata"]
    try:
        now = reading.get("v1", "Pod", at["name"])
    except ThinkubeError as error:
        return f"the pod could not be read: {error.what}"
    return reading.described([now] if now else [], lambda _: True, f"involvedObject.uid={at['uid']}")


def workload_troubles(kube: Cluster, api_version: str, kind: str, name: str, namespace: str) -> str:
    """What those pods of a Deployment, DaemonSet, StatefulSet or Job say that are not ready; as `pod_troubles`."""
    reading = _Reading(kube, namespace)
    try:
        owner = reading.get(api_version, kind, name) or {}
        pods = [pod for pod in reading.objects("Pod") if _belongs(pod, owner) and not _is_ready(pod)]
    except ThinkubeError as error:
        return f"its pods could not be read: {error.what}"
    return reading.described(pods, lambda about: about == name or about.startswith(f"{name}-"))


def namespace_troubles(kube: Cluster, namespace: str) -> str:
    """What those pods of a namespace say that are not ready; as `pod_troubles`."""
    reading = _Reading(kube, namespace)
    try:
        pods = [pod for pod in reading.objects("Pod") if not _is_ready(pod)]
    except ThinkubeError as error:
        return f"the pods of {namespace} could not be read: {error.what}"
    return reading.described(pods, lambda _: True)


class _Reading:
    """One look at a namespace after something failed; all of it within _READ seconds."""

    def __init__(self, kube: Cluster, namespace: str) -> None:
        self._kube, self._namespace = kube, namespace
        self._within = Deadline(time.monotonic() + _READ, context(kube.task).cancelled)

    def get(self, api_version: str, kind: str, name: str) -> Object | None:
        path = self._kube.must_serve(api_version, kind).path(self._namespace, name)
        answer = self._kube.client.request(Call("GET", path, doing=f"reading {kind} {name}"), self._within)
        return answer.json() if answer.good else None

    def objects(self, kind: str, chosen: str = "") -> list[Object]:
        return self._kube.listing(
            self._kube.must_serve("v1", kind), self._namespace, selectors("", chosen), self._within
        )[0]

    def described(self, pods: list[Object], concerns: Callable[[str], bool], chosen: str = "") -> str:
        """
        Args:
            concerns: whether events about an object of this name are of interest.
            chosen: a field selector for the events.
        """
        return redact("\n".join([*self._pods(pods), *self._events(concerns, chosen)]))

    def _pods(self, pods: list[Object]) -> Iterator[str]:
        for pod in sorted(pods, key=lambda pod: (not troubles(pod), pod["metadata"]["name"]))[:_PODS]:
            yield f"pod {pod['metadata']['name']}: {'; '.join(troubles(pod)) or _phase(pod)}"
            for name, previous in _with_log(pod):
                yield from self._log(pod, name, previous)
        if len(pods) > _PODS:
            yield f"and {len(pods) - _PODS} more pods that are not ready"

    def _log(self, pod: Object, container: str, previous: bool) -> Iterator[str]:
        """Nothing when there is none (any more)."""
        query = {"container": container, "tailLines": str(_LINES), "limitBytes": str(_BYTES)}
        query |= {"previous": "true"} if previous else {}
        try:
            path = self._kube.must_serve("v1", "Pod").path(self._namespace, pod["metadata"]["name"])
            answer = self._kube.client.request(Call("GET", f"{path}/log", query, doing="reading a log"), self._within)
        except ThinkubeError:
            return
        if answer.good and (text := answer.body.decode(errors="backslashreplace").rstrip()):
            yield f"last lines of container {container}{' before it was started again' if previous else ''}:"
            yield from (f"  {line}" for line in text.splitlines())

    def _events(self, concerns: Callable[[str], bool], chosen: str) -> list[str]:
        """The latest ones: warnings, and what ended a pod."""
        try:
            found = self.objects("Event", chosen)
        except ThinkubeError as error:
            return [f"the events could not be read: {error.what}"]
        mine = [e for e in found if concerns(str((e.get("involvedObject") or {}).get("name", "")))]
        bad = [e for e in mine if e.get("type") != "Normal" or e.get("reason") in _KILLED]
        described = [f"event {_said(e.get('reason'), e.get('message'))}" for e in sorted(bad, key=_when)]
        return list(dict.fromkeys(described))[-_EVENTS:]


def _belongs(pod: Object, owner: Object) -> bool:
    labels = pod["metadata"].get("labels") or {}
    wanted = ((owner.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    return bool(wanted) and wanted.items() <= labels.items()


def _is_ready(pod: Object) -> bool:
    """Or has ended well, as a Job's does."""
    status = pod.get("status") or {}
    ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions") or [])
    return ready or status.get("phase") == "Succeeded"


def _phase(pod: Object) -> str:
    """Of a pod that says nothing of its troubles itself: an event may."""
    states = [(c.get("state") or {}).get("waiting") or {} for c in _containers(pod)]
    reasons = [str(state["reason"]) for state in states if state.get("reason")]
    return ", ".join([str((pod.get("status") or {}).get("phase", "Unknown")), *(reasons[:1] or ["not ready"])])


def _with_log(pod: Object) -> Iterator[tuple[str, bool]]:
    """Containers whose log may say why, and whether that is their last life's: of those that crash again and again."""
    for container in _containers(pod):
        state = container.get("state") or {}
        again = bool((container.get("lastState") or {}).get("terminated")) and "terminated" not in state
        ended_well = (state.get("terminated") or {}).get("exitCode") == 0
        if (again or {"running", "terminated"} & set(state)) and not (ended_well or container.get("ready")):
            yield container.get("name", ""), again


def _when(event: Object) -> str:
    """Events of the older and the newer form."""
    times = (event.get("lastTimestamp"), event.get("eventTime"), (event.get("metadata") or {}).get("creationTimestamp"))
    return str(next((time for time in times if time), ""))
