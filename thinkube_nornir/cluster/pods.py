"""Probe pods: the one thing that a verify chain may create in a cluster, because only a pod sees what pods see.

It carries our labels, ends by itself (activeDeadlineSeconds) when the controller is killed, and is deleted whatever
happens. What a killed run left behind is removed by the next one: leftovers.py.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from thinkube_nornir.cluster.deadline import deadline
from thinkube_nornir.cluster.diagnosis import pod_troubles
from thinkube_nornir.cluster.handle import Cluster
from thinkube_nornir.cluster.leftovers import labels, remove, sweep
from thinkube_nornir.cluster.messages import Call, Object, refusal
from thinkube_nornir.cluster.ownership import AS_MANAGER
from thinkube_nornir.cluster.waits import seen, wait
from thinkube_nornir.context import context
from thinkube_nornir.errors import ClusterError, DeadlinePassed, SkippedInDryRun
from thinkube_nornir.secret import redact

log = logging.getLogger(__name__)

_LOG = 1_000_000  # bytes of a pod's log that are read
_HOPELESS = ("InvalidImageName", "ErrImageNeverPull")  # others may pass: a pull is tried again


@dataclass(frozen=True)
class PodRun:
    """How a probe pod's container ended."""

    exit_code: int
    log: str


def probe_pod(name: str, image: str, command: Sequence[str], *, node: str = "", namespace: str = "default") -> Object:
    """The manifest of a pod that runs one command, with no rights in the cluster.

    Args:
        name: its beginning; the API completes it. Dots of a node's name become dashes.
        node: run it there, also when the node is cordoned; empty for anywhere.
    """
    container = {"name": "probe", "image": image, "command": list(command), "imagePullPolicy": "IfNotPresent"}
    spec: Object = {"containers": [container], "automountServiceAccountToken": False, "enableServiceLinks": False}
    if node:
        spec |= {"nodeName": node, "tolerations": [{"operator": "Exists"}]}
    metadata = {"generateName": f"{name.replace('.', '-')[:50]}-", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def run_pod(kube: Cluster, manifest: Object, *, timeout: float = 180.0) -> PodRun:
    """Run a pod to its end and return how it ended; it is gone afterwards. A command that fails is no error here.

    Args:
        manifest: from `probe_pod`, or any Pod with one container; gets our labels, generateName and a deadline.
        timeout: seconds for all of it, the image's pull included.

    Raises:
        ClusterError: it could not run: no such image, rejected, evicted; `why` has phase, reason and events.
        DeadlinePassed: it did not end in time; `why` likewise.
        NotRehearsed: in a dry run, which creates nothing.
    """
    if context(kube.task).dry_run:
        raise SkippedInDryRun("a dry run starts no probe pod", fix="run verify to make this check")
    pod = _created(kube, _limited(manifest, timeout))
    try:
        sweep(kube, pod)
        return _ended(kube, pod, timeout)
    finally:
        remove(kube, pod)


def _limited(manifest: Object, timeout: float) -> Object:
    metadata = dict(manifest["metadata"])
    name = metadata.pop("name", "probe")
    metadata |= {"labels": (metadata.get("labels") or {}) | labels()}
    metadata = {"generateName": f"{name}-", "namespace": "default"} | metadata
    ends = {"restartPolicy": "Never", "activeDeadlineSeconds": math.ceil(timeout), "terminationGracePeriodSeconds": 0}
    return manifest | {"metadata": metadata, "spec": manifest["spec"] | ends}


def _created(kube: Cluster, manifest: Object) -> Object:
    path = kube.must_serve("v1", "Pod").path(manifest["metadata"]["namespace"])
    # An answer that is lost leaves a pod nobody knows: it ends by itself and is swept later.
    call = Call("POST", path, AS_MANAGER, manifest, doing="creating a probe pod", repeatable=False)
    return kube.client.ask(call, deadline(kube.task))


def _ended(kube: Cluster, pod: Object, timeout: float) -> PodRun:
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    try:
        last = wait(
            kube,
            *("v1", "Pod", name, namespace),
            condition=_over,
            what=f"probe pod {namespace}/{name} to end",
            timeout=timeout,
            show=_why,
        )
    except DeadlinePassed as error:
        error.why = f"{error.why}\n{pod_troubles(kube, pod)}".rstrip()
        raise
    if last is None or (end := _end_of(last)) is None:
        raise ClusterError(
            f"probe pod {namespace}/{name} could not run (cluster of {kube.host})",
            why=redact(f"{_why(last)}\n{pod_troubles(kube, pod)}".rstrip()),
            fix="see the reason above; the pod itself is deleted",
        )
    return PodRun(end["exitCode"], pod_log(kube, pod))


def _over(pod: Object | None) -> bool:
    """It ended, or never will."""
    if pod is None:
        return True
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed") or _waiting(pod).get("reason") in _HOPELESS


def _container_state(pod: Object) -> Object:
    statuses = (pod.get("status") or {}).get("containerStatuses") or [{}]
    return dict(statuses[0].get("state") or {})


def _waiting(pod: Object) -> Object:
    return dict(_container_state(pod).get("waiting") or {})


def _end_of(pod: Object) -> Any:
    return _container_state(pod).get("terminated")


def _why(pod: Object | None) -> str:
    return "someone else deleted it" if pod is None else seen(pod)


def pod_log(kube: Cluster, pod: Object) -> str:
    """The log of a pod with one container.

    Raises:
        ClusterError: there is none yet, or no more.
    """
    path = f"{_path(kube, pod)}/log"
    call = Call("GET", path, {"limitBytes": str(_LOG)}, doing=f"reading the log of pod {pod['metadata']['name']}")
    answer = kube.client.request(call, deadline(kube.task))
    if not answer.good:
        raise refusal(answer, call.doing, kube.host)
    return redact(answer.body.decode(errors="backslashreplace"))


def _path(kube: Cluster, pod: Object) -> str:
    return kube.must_serve("v1", "Pod").path(pod["metadata"]["namespace"], pod["metadata"]["name"])
