"""States of containers as a kubelet reports them, and what a pod still lacks before its containers can be made.

Source: kubernetes/kubernetes@v1.36.2 pkg/kubelet/kubelet_pods.go (makeEnvironmentVariables, validateContainerLogStatus)
Source: kubernetes/kubernetes@v1.36.2 pkg/kubelet/kuberuntime/kuberuntime_manager.go (doBackOff)
Source: kubernetes/kubernetes@v1.36.2 pkg/kubelet/images/image_manager.go
Unproven: a container that ended is not started again here: it stays in its first back-off. All containers of a pod are
    in the same state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from thinkube_nornir.lab.kube.objects import Object, dig, name_of, namespace_of, now, uid_of, with_condition
from thinkube_nornir.lab.kube.scheduler import ENDED

Find = Callable[[str, str], Object | None]
"""The ConfigMap or Secret of that kind and name in the pod's namespace."""


@dataclass(frozen=True)
class PodExit:
    """How a pod's only container ended."""

    code: int
    log: bytes
    reason: str = ""
    """`OOMKilled` and the like; empty for the usual one."""
    message: str = ""

    @property
    def state(self) -> Object:
        reported = {"message": self.message} if self.message else {}
        reason = self.reason or ("Error" if self.code else "Completed")
        times = {"startedAt": now(), "finishedAt": now(), "containerID": "containerd://lab"}
        return {"terminated": {"exitCode": self.code, "reason": reason, **reported, **times}}


CREATING: Object = {"waiting": {"reason": "ContainerCreating"}}


def waiting(reason: str, message: str) -> Object:
    return {"waiting": {"reason": reason, "message": message}}


def back_off(pod: Object) -> Object:
    name = pod["spec"]["containers"][0]["name"]
    whole = f"{name_of(pod)}_{namespace_of(pod)}({uid_of(pod)})"
    return waiting("CrashLoopBackOff", f"back-off 10s restarting failed container={name} pod={whole}")


def starts_again(pod: Object, code: int) -> bool:
    """Whether its restartPolicy has the kubelet start a container again that ended so."""
    policy = pod["spec"]["restartPolicy"]
    return policy == "Always" or bool(policy == "OnFailure" and code)


def status_of(container: Object, state: Object, last: Object, ready: bool) -> Object:
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": ready,
        "started": "running" in state,
        "restartCount": 1 if last else 0,
        "state": state,
        **({"lastState": last} if last else {}),
    }


def conditions(pod: Object, phase: str, ready: bool) -> list[Object]:
    found = dig(pod, "status", "conditions", default=[])
    why = "" if ready else "PodCompleted" if phase in ENDED else "ContainersNotReady"
    found = with_condition(found, "PodScheduled", True)
    found = with_condition(found, "Initialized", True, "PodCompleted" if phase in ENDED else "")
    found = with_condition(found, "ContainersReady", ready, why)
    return with_condition(found, "Ready", ready, why)


def lacks(pod: Object, find: Find) -> tuple[Object, str, str] | None:
    """The state in which the pod waits, and reason and message of the event about it; None when nothing is missing."""
    for volume in pod["spec"].get("volumes") or []:
        if missing := next(_of_volume(volume, find), ""):
            return CREATING, "FailedMount", f'MountVolume.SetUp failed for volume "{volume["name"]}" : {missing}'
    for container in pod["spec"]["containers"]:
        if missing := next(_of_environment(container, pod, find), ""):
            return waiting("CreateContainerConfigError", missing), "Failed", f"Error: {missing}"
    return None


def _of_volume(volume: Object, find: Find) -> Iterator[str]:
    sources = [volume, *(dig(volume, "projected", "sources", default=[]))]
    for source in sources:
        for kind, part, name in (("ConfigMap", "configMap", "name"), ("Secret", "secret", "secretName")):
            if wanted := source.get(part):
                named = wanted.get(name) or wanted.get("name")
                yield from _absent(kind, named, wanted, find)
                keys = [item["key"] for item in wanted.get("items") or []]
                yield from _without(kind, named, keys, wanted, find, "references non-existent config key: {key}")


def _of_environment(container: Object, pod: Object, find: Find) -> Iterator[str]:
    for source in container.get("envFrom") or []:
        for kind, part in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            if wanted := source.get(part):
                yield from _absent(kind, wanted.get("name"), wanted, find)
    for variable in container.get("env") or []:
        for kind, part in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
            if wanted := dig(variable, "valueFrom", part):
                yield from _absent(kind, wanted.get("name"), wanted, find)
                reported = f"couldn't find key {{key}} in {kind} {namespace_of(pod)}/{wanted.get('name')}"
                yield from _without(kind, wanted.get("name"), [wanted["key"]], wanted, find, reported)


def _absent(kind: str, name: Any, wanted: Object, find: Find) -> Iterator[str]:
    if not wanted.get("optional") and find(kind, str(name)) is None:
        yield f'{kind.lower()} "{name}" not found'


def _without(kind: str, name: Any, keys: list[str], wanted: Object, find: Find, reported: str) -> Iterator[str]:
    found = find(kind, str(name))
    if found is not None and not wanted.get("optional"):
        there = {*(found.get("data") or {}), *(found.get("binaryData") or {})}
        yield from (reported.format(key=key) for key in keys if key not in there)
