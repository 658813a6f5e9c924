"""What a release consists of: the objects that helm stores with each revision, in a Secret beside them.

Source: helm/helm@v3.19.2 pkg/storage/driver/secrets.go
Source: helm/helm@v3.19.2 pkg/storage/driver/util.go (encodeRelease)
Source: helm/helm@v3.19.2 pkg/action/validate.go (setMetadataVisitor)
"""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import yaml

from thinkube_nornir.cluster import Cluster, Object
from thinkube_nornir.errors import ThinkubeError

MANAGER = "helm"
"""Under which helm's fields are managed."""
_MANAGED_BY = {"app.kubernetes.io/managed-by": "Helm"}
_KEEP = ("helm.sh/resource-policy", "keep")
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Stored:
    """One revision of a release."""

    objects: tuple[Object, ...]
    """With their namespaces, and with the marks that helm gives each of them."""
    first_deployed: datetime
    """When the release was first installed."""

    @property
    def kept(self) -> tuple[Object, ...]:
        """Those that helm does not remove when the release is uninstalled."""
        return tuple(o for o in self.objects if (o["metadata"].get("annotations") or {}).get(_KEEP[0]) == _KEEP[1])

    def brought(self, live: Object) -> bool:
        """Whether the object was made when the release was there; one that it found was kept from an earlier one."""
        made = datetime.fromisoformat(live["metadata"]["creationTimestamp"])  # whole seconds
        return made >= self.first_deployed.replace(microsecond=0)


def stored(kube: Cluster, name: str, namespace: str, revision: int) -> Stored:
    """
    Raises:
        ThinkubeError: it is not stored there, or cannot be read.
    """
    secret = kube.get("v1", "Secret", f"sh.helm.release.v1.{name}.v{revision}", namespace)
    try:
        documents, first_deployed = _decoded(str((secret or {})["data"]["release"]))
    except (KeyError, ValueError, OSError, yaml.YAMLError) as error:
        why = f"Secret {namespace}/sh.helm.release.v1.{name}.v{revision}: {error}"
        fix = f"see whether helm can: `helm -n {namespace} get manifest {name}`"
        raise ThinkubeError(f"what release {name} consists of cannot be read", why=why, fix=fix) from error
    objects = [obj for document in documents for obj in _listed(document)]
    return Stored(tuple(_marked(kube, obj, name, namespace) for obj in objects), first_deployed)


@lru_cache(maxsize=8)  # a chart with CRDs has megabytes of YAML, and a run looks at the same revision twice
def _decoded(text: str) -> tuple[tuple[Object, ...], datetime]:
    packed = base64.b64decode(base64.b64decode(text))
    release = json.loads(gzip.decompress(packed) if packed.startswith(_GZIP) else packed)
    documents = yaml.load_all(release.get("manifest") or "", _Loader)
    first = datetime.fromisoformat(release["info"]["first_deployed"])
    return tuple(document for document in documents if document), first


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the quick one, where it is built
    """Times stay texts, as they are for the API."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as its base has it
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _listed(document: Object) -> list[Object]:
    return list(document.get("items") or ()) if document.get("kind") == "List" else [document]


def _marked(kube: Cluster, obj: Object, name: str, namespace: str) -> Object:
    metadata: dict[str, Any] = dict(obj["metadata"])
    notes = {"meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": namespace}
    metadata["labels"] = {**(metadata.get("labels") or {}), **_MANAGED_BY}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), **notes}
    served = kube.kind(obj["apiVersion"], obj["kind"])
    if served is not None and served.namespaced:
        metadata.setdefault("namespace", namespace)
    return dict(_without_nulls({**obj, "metadata": metadata}))


def _without_nulls(value: Any) -> Any:
    """A chart's null says nothing; in an apply it would take away what is there."""
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value
