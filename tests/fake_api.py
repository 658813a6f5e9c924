"""A Kubernetes API in memory, in the place of the cluster door's HTTP client: objects, applies, probe pods.

api = FakeApi()
api.add(node("tkc", "192.168.1.110"))
context.clusters["tkc"] = api.opened()
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

from thinkube_nornir.cluster.handle import Clusters
from thinkube_nornir.cluster.messages import Answer, Call, Object, refusal
from thinkube_nornir.cluster.ownership import MANAGER
from thinkube_nornir.errors import ClusterError

KINDS = {
    "v1": {
        "nodes": "Node",
        "pods": "Pod",
        "configmaps": "ConfigMap",
        "secrets": "Secret",
        "namespaces": "Namespace",
        "persistentvolumes": "PersistentVolume",
        "persistentvolumeclaims": "PersistentVolumeClaim",
        "services": "Service",
        "endpoints": "Endpoints",
        "events": "Event",
    },
    "batch/v1": {"jobs": "Job"},
    "apps/v1": {"deployments": "Deployment", "daemonsets": "DaemonSet"},
    "storage.k8s.io/v1": {"storageclasses": "StorageClass"},
}
_CLUSTER_WIDE = ("nodes", "storageclasses", "namespaces", "persistentvolumes")
Place = tuple[str, str, str, str]


class FakeApi:
    host = "tkc"

    def __init__(self) -> None:
        self.objects: dict[Place, Object] = {}
        self.raw = {"/readyz": "ok"}
        self.pod: Callable[[Object], tuple[int, str]] = lambda _: (0, "")
        """A probe pod's exit code and log."""
        self.down: str = ""
        """Why the API does not answer."""
        self.rolls_out = True
        """Whether a changed Deployment becomes available."""
        self._version = 0
        self.writes: list[str] = []
        """Method and path of every request that alters, probe pods and dry runs aside."""

    def opened(self) -> Clusters:
        slot = Clusters()
        slot.client = self  # type: ignore[assignment]
        return slot

    def add(self, obj: Object) -> Object:
        self.objects[_place(obj)] = obj
        return obj

    def get(self, kind: str, name: str, namespace: str = "") -> Object:
        return next(o for (_, k, ns, n), o in self.objects.items() if (k, ns, n) == (kind, namespace, name))

    def drop(self, kind: str, name: str, namespace: str = "") -> None:
        del self.objects[_place(self.get(kind, name, namespace))]

    def ask(self, call: Call, deadline: Any) -> Object:
        answer = self.request(call, deadline)
        if not answer.good:
            raise refusal(answer, call.doing, self.host)
        return dict(answer.json())

    def stream(self, call: Call, seconds: float) -> Iterator[Object]:
        """Nothing ever happens here by itself."""
        yield from ()

    def close(self) -> None:
        """Nothing is open."""

    def request(self, call: Call, deadline: Any) -> Answer:
        if self.down:
            raise ClusterError(f"{call.doing} failed (cluster of tkc): no answer", why=self.down)
        if call.path in self.raw:
            return Answer(200, self.raw[call.path].encode())
        if call.path == "/version":
            return _json(200, {"gitVersion": "v1.35.0"})
        if call.path == "/apis":
            groups = [version for version in KINDS if "/" in version]
            return _json(200, {"groups": [{"name": g, "preferredVersion": {"groupVersion": g}} for g in groups]})
        version, plural, namespace, name = _parsed(call.path)
        if not plural:
            served = [
                {"name": p, "kind": k, "namespaced": p not in _CLUSTER_WIDE, "verbs": ["list", "delete"]}
                for p, k in KINDS[version].items()
            ]
            return _json(200, {"resources": served})
        kind = KINDS[version][plural]
        if name.endswith("/log"):
            return Answer(200, self.pod(self.get("Pod", name.removesuffix("/log"), namespace))[1].encode())
        if call.method == "GET" and not name:
            return _json(200, {"items": self._listed(version, kind, namespace, call.query), "metadata": {}})
        return self._single(call, (version, kind, namespace, name))

    def _listed(self, version: str, kind: str, namespace: str, query: Any) -> list[Object]:
        places = [p for p in sorted(self.objects) if p[:2] == (version, kind) and namespace in ("", p[2])]
        found = [self.objects[place] for place in places]
        for selector in filter(None, query.get("labelSelector", "").split(",")):
            key, _, value = selector.partition("=")
            found = [o for o in found if (o["metadata"].get("labels") or {}).get(key) == value]
        for selector in filter(None, query.get("fieldSelector", "").split(",")):
            key, _, value = selector.partition("=")
            found = [o for o in found if _at(o, key) == value]
        return copy.deepcopy(found)

    def _single(self, call: Call, place: Place) -> Answer:
        if call.method == "POST" and place[1] == "Pod":
            return _json(201, self._started(call.body or {}))
        if call.method == "POST":
            found = call.body or {}
            return _json(409, {}) if _place(found) in self.objects else _json(201, self.add(found))
        live = self.objects.get(place)
        if call.method == "PATCH":
            return self._applied(call, place, live)
        if live is None:
            return _json(404, {"message": f"{place} not found"})
        if call.method == "DELETE":
            if place[1] not in ("Pod", "Secret"):
                self.writes.append(f"DELETE {call.path}")
            del self.objects[place]
        if call.method == "PUT":
            self.writes.append(f"PUT {call.path}")
            self._stored(place, copy.deepcopy(call.body or {}), live)
        return _json(200, self.objects.get(place, live))

    def _started(self, manifest: Object) -> Object:
        metadata = manifest["metadata"]
        number = len(self.objects)
        pod = manifest | {
            "metadata": metadata
            | {
                "name": f"{metadata['generateName']}{number}",
                "uid": f"u{number}",
                "creationTimestamp": "2026-01-01T00:00:00Z",
            }
        }
        code, _ = self.pod(pod)
        state = {"terminated": {"exitCode": code}}
        pod["status"] = {"phase": "Failed" if code else "Succeeded", "containerStatuses": [{"state": state}]}
        return self.add(pod)

    def _applied(self, call: Call, place: Place, live: Object | None) -> Answer:
        new = _merged(live or {}, call.body or {})
        if "apply" in call.content_type:
            ours = {
                "manager": MANAGER,
                "operation": "Apply",
                "apiVersion": place[0],
                "fieldsV1": _fields(call.body or {}),
            }
            new["metadata"]["managedFields"] = [ours]
        if "dryRun" not in call.query:
            self.writes.append(f"PATCH {call.path}")
            self._stored(place, new, live)
        return _json(200, new)

    def _stored(self, place: Place, new: Object, live: Object | None) -> None:
        if live is not None and new.get("spec") != live.get("spec"):
            generation = live["metadata"].get("generation", 1) + 1
            new["metadata"]["generation"] = generation
            if self.rolls_out:
                wanted = new["spec"].get("replicas", 1)
                counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), wanted)
                found = counts if live["kind"] == "Deployment" else {}
                new["status"] = (live.get("status") or {}) | found | {"observedGeneration": generation}
        self._version += 1
        new["metadata"]["resourceVersion"] = str(self._version)
        self.objects[place] = new


def _json(status: int, body: Any) -> Answer:
    return Answer(status, json.dumps(body).encode())


def _place(obj: Object) -> Place:
    return obj["apiVersion"], obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _parsed(path: str) -> tuple[str, str, str, str]:
    """apiVersion, plural, namespace, name."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    size = 2 if parts[0] == "api" else 3
    version, rest = "/".join(parts[1:size]), parts[size:]
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    return version, rest[0] if rest else "", namespace, "/".join(rest[1:])


def _at(obj: Object, path: str) -> Any:
    value: Any = obj
    for part in path.split("."):
        value = (value or {}).get(part)
    return value


def _merged(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return copy.deepcopy(new)
    return {**copy.deepcopy(old), **{key: _merged(old.get(key), value) for key, value in new.items()}}


def _fields(obj: Object) -> Object:
    named = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind", "name", "namespace")}
    return {f"f:{key}": _fields(value) if isinstance(value, dict) else {} for key, value in named.items()}
