"""Deployments: a ReplicaSet for each state of the template, and the rollout from one to the next.

Source: kubernetes/kubernetes@03e060242dcb pkg/controller/deployment/rolling.go
Source: kubernetes/kubernetes@064976be778a pkg/controller/deployment/recreate.go
Source: kubernetes/kubernetes@008b3652959c pkg/controller/deployment/progress.go (syncRolloutStatus)
Unproven: that Recreate waits for old pods that are ending, too, is that of the documentation; a rollout that makes no
    progress is never said to have missed progressDeadlineSeconds here.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable

from thinkube_nornir.lab.kube.controllers import Controller
from thinkube_nornir.lab.kube.objects import (
    Key,
    Object,
    annotations_of,
    clone,
    condition,
    controller_of,
    dig,
    name_of,
    namespace_of,
    owned_by,
    owner_reference,
    terminating,
    with_condition,
)
from thinkube_nornir.lab.kube.scheduler import ENDED

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


def template_hash(template: Object) -> str:
    """Ten letters that stand for a pod template, without the hash label itself."""
    bare = clone(template)
    dig(bare, "metadata", "labels", default={}).pop(HASH, None)
    digest = hashlib.sha256(json.dumps(bare, sort_keys=True).encode()).digest()
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:10])


class Deployments(Controller):
    elected = True
    kind = ("apps/v1", "Deployment")
    watches = (("apps/v1", "ReplicaSet"), ("v1", "Pod"))

    def concerned(self, changed: Object) -> Iterable[Key]:
        """Of a pod: the owner of its owner."""
        owner = controller_of(changed)
        if changed["kind"] == "Pod" and owner and owner["kind"] == "ReplicaSet":
            changed = self.cluster.get("apps/v1", "ReplicaSet", owner["name"], namespace_of(changed)) or changed
        return super().concerned(changed)

    def reconcile(self, obj: Object) -> None:
        if terminating(obj):
            return
        sets = [s for s in self.cluster.list("apps/v1", "ReplicaSet", namespace_of(obj)) if owned_by(s, obj)]
        name = f"{name_of(obj)}-{template_hash(obj['spec']['template'])}"
        new = next((s for s in sets if name_of(s) == name), None)
        old = [s for s in sets if name_of(s) != name]
        if self._waits_for_old(obj, old):
            for one in old:
                self._scale(one, 0)
            self._report(obj, new, old)
            return
        if new is None and not obj["spec"].get("paused"):
            new = self._create(obj, name, sets)
        if new is not None:
            self._mark_revision(obj, new)
            self._roll(obj, new, old)
        self._prune(obj, old)
        self._report(obj, new, old)

    def _waits_for_old(self, obj: Object, old: list[Object]) -> bool:
        """Recreate: there is no new pod while an old one is there that has not ended."""
        if obj["spec"]["strategy"]["type"] != "Recreate":
            return False
        pods = self.cluster.store.list("pods", namespace_of(obj))
        there = [p for p in pods if p["status"].get("phase") not in ENDED]
        return any(s["spec"]["replicas"] or any(owned_by(p, s) for p in there) for s in old)

    def _create(self, obj: Object, name: str, sets: list[Object]) -> Object:
        template = clone(obj["spec"]["template"])
        label = {HASH: name.rpartition("-")[2]}
        template["metadata"]["labels"] = (template["metadata"].get("labels") or {}) | label
        selector = clone(obj["spec"]["selector"])
        selector["matchLabels"] = (selector.get("matchLabels") or {}) | label
        metadata = {
            "name": name,
            "namespace": namespace_of(obj),
            "labels": template["metadata"]["labels"],
            "annotations": {REVISION: str(max((_revision(s) for s in sets), default=0) + 1)},
            "ownerReferences": [owner_reference(obj)],
        }
        spec = {"replicas": 0, "selector": selector, "template": template}
        return self.cluster.create({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec})

    def _mark_revision(self, obj: Object, new: Object) -> None:
        """Both bear the number of the revision; one that comes back becomes the newest."""
        sets = [s for s in self.cluster.list("apps/v1", "ReplicaSet", namespace_of(obj)) if owned_by(s, obj)]
        newest = max(_revision(s) for s in sets)
        revision = newest if _revision(new) == newest else newest + 1
        for bearer in (new, obj):
            if annotations_of(bearer).get(REVISION) != str(revision):
                present = self.cluster.get("apps/v1", bearer["kind"], name_of(bearer), namespace_of(bearer)) or bearer
                present["metadata"].setdefault("annotations", {})[REVISION] = str(revision)
                bearer["metadata"] = self.cluster.update(present)["metadata"]

    def _roll(self, obj: Object, new: Object, old: list[Object]) -> None:
        """One step: grow the new set as far as surge allows, shrink the old ones as far as availability allows."""
        wanted = obj["spec"]["replicas"]
        surge, unavailable = _bounds(obj["spec"])
        room = wanted + surge - sum(s["spec"]["replicas"] for s in [new, *old])
        if new["spec"]["replicas"] > wanted:
            self._scale(new, wanted)
        elif room > 0:
            self._scale(new, min(wanted, new["spec"]["replicas"] + room))
        self._shrink(new, old, least=wanted - unavailable)

    def _shrink(self, new: Object, old: list[Object], *, least: int) -> None:
        """First what is not ready. Counts no more than was asked for, as the status may not have followed yet."""
        coming = max(new["spec"]["replicas"] - _ready(new), 0)
        spare = sum(s["spec"]["replicas"] for s in [new, *old]) - least - coming
        for one in sorted(old, key=_revision):
            drop = max(min(one["spec"]["replicas"] - _ready(one), spare), 0)
            spare -= drop
            self._scale(one, one["spec"]["replicas"] - drop)
        spare = min(spare, sum(min(s["spec"]["replicas"], _ready(s)) for s in [new, *old]) - least)
        for one in sorted(old, key=_revision):
            drop = max(min(one["spec"]["replicas"], spare), 0)
            spare -= drop
            self._scale(one, one["spec"]["replicas"] - drop)

    def _scale(self, one: Object, replicas: int) -> None:
        if one["spec"]["replicas"] != replicas:
            one["spec"]["replicas"] = replicas
            one["metadata"] = self.cluster.update(one)["metadata"]

    def _prune(self, obj: Object, old: list[Object]) -> None:
        empty = [s for s in old if not s["spec"]["replicas"] and not dig(s, "status", "replicas", default=0)]
        surplus = len(empty) - obj["spec"]["revisionHistoryLimit"]
        for one in sorted(empty, key=_revision)[: max(surplus, 0)]:
            self.cluster.remove(one)

    def _report(self, obj: Object, new: Object | None, old: list[Object]) -> None:
        sets = [*old, *([new] if new else [])]
        wanted = obj["spec"]["replicas"]
        replicas = sum(dig(s, "status", "replicas", default=0) for s in sets)
        updated = dig(new, "status", "replicas", default=0)
        available = sum(_ready(s) for s in sets)
        complete = updated == wanted == replicas == available
        done = updated == replicas and _is_done(obj)
        self.cluster.set_status(
            obj,
            observedGeneration=obj["metadata"]["generation"],
            replicas=replicas or None,
            updatedReplicas=updated or None,
            readyReplicas=available or None,
            availableReplicas=available or None,
            unavailableReplicas=max(max(wanted, replicas) - available, 0) or None,
            conditions=_conditions(obj, new, complete or done, available),
        )


def _conditions(obj: Object, new: Object | None, complete: bool, available: int) -> list[Object]:
    _, unavailable = _bounds(obj["spec"])
    enough = available >= obj["spec"]["replicas"] - unavailable
    why = "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable"
    reported = f"Deployment {'has' if enough else 'does not have'} minimum availability."
    conditions = with_condition(dig(obj, "status", "conditions", default=[]), "Available", enough, why, reported)
    name = name_of(new) if new else name_of(obj)
    progress = "has successfully progressed." if complete else "is progressing."
    reason = "NewReplicaSetAvailable" if complete else "ReplicaSetUpdated"
    return with_condition(conditions, "Progressing", True, reason, f'ReplicaSet "{name}" {progress}')


def _is_done(obj: Object) -> bool:
    """Whether a rollout came to its end; while no other begins that stays said, whatever becomes of the pods."""
    return (condition(obj, "Progressing") or {}).get("reason") == "NewReplicaSetAvailable"


def _ready(replica_set: Object) -> int:
    return int(dig(replica_set, "status", "availableReplicas", default=0))


def _revision(replica_set: Object) -> int:
    return int(annotations_of(replica_set).get(REVISION, "0"))


def _bounds(spec: Object) -> tuple[int, int]:
    """How many pods more than wanted, and how many fewer available ones, a rollout may have."""
    if spec["strategy"]["type"] == "Recreate":
        return 0, 0
    rolling = spec["strategy"]["rollingUpdate"]
    surge = share(rolling["maxSurge"], spec["replicas"], up=True)
    unavailable = share(rolling["maxUnavailable"], spec["replicas"], up=False)
    return surge, min(unavailable if surge or unavailable else 1, int(spec["replicas"]))


def share(value: int | str, whole: int, *, up: bool) -> int:
    if not isinstance(value, str):
        return value
    exact = int(value.rstrip("%")) * whole / 100
    return math.ceil(exact) if up else math.floor(exact)
