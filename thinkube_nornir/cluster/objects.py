"""Objects as plain values: what of them we keep and compare, and how a difference looks to people."""

from __future__ import annotations

import base64
import copy
import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from thinkube_nornir import readable_yaml
from thinkube_nornir.cluster.handle import spoken
from thinkube_nornir.cluster.messages import Object
from thinkube_nornir.errors import ClusterError
from thinkube_nornir.secret import MASK, redact

_SERVERS_OWN = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
_KEY = "object:"
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True)
class Reference:
    """Which object is meant."""

    api_version: str
    kind: str
    name: str
    namespace: str = ""

    def __str__(self) -> str:
        return spoken(self.kind, self.name, self.namespace)

    @property
    def key(self) -> str:
        """Under which a change is recorded: `object:v1/ConfigMap/kube-system/coredns`."""
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{_KEY}{self.api_version}/{self.kind}/{place}"

    @staticmethod
    def of(key: str) -> Reference | None:
        """The object that such a key means; None for a key of something else.

        >>> Reference.of("object:rbac.authorization.k8s.io/v1/Role/shop/reader")
        Reference(api_version='rbac.authorization.k8s.io/v1', kind='Role', name='reader', namespace='shop')
        """
        found = re.fullmatch(_KEY + r"((?:[^/]+/)?v\d[^/]*)/([A-Z][^/]*)/(?:([^/]+)/)?([^/]+)", key)
        return Reference(found[1], found[2], found[4], found[3] or "") if found else None

    @property
    def place(self) -> tuple[str, str, str, str]:
        """As the calls of this package take it."""
        return self.api_version, self.kind, self.name, self.namespace


def reference(manifest: Object) -> Reference:
    """
    Raises:
        ClusterError: the manifest does not name an object.
    """
    try:
        metadata = manifest["metadata"]
        return Reference(manifest["apiVersion"], manifest["kind"], metadata["name"], metadata.get("namespace", ""))
    except (KeyError, TypeError) as error:
        raise ClusterError(f"a manifest has no {error}", fix="give it apiVersion, kind and metadata.name") from None


def as_kept(manifest: Object) -> Object:
    """The manifest with a Secret's stringData as data.

    The API keeps it so, but goes on to say that stringData is owned: a key that the manifest no longer has would stay
    for ever, and a key with the very same value be a conflict with whoever else applied it.
    """
    if manifest.get("kind") != "Secret" or "stringData" not in manifest:
        return manifest
    plain = {name: base64.b64encode(str(text).encode()).decode() for name, text in manifest["stringData"].items()}
    rest = {name: value for name, value in manifest.items() if name != "stringData"}
    return rest | {"data": {**(manifest.get("data") or {}), **plain}}


def cleaned(obj: Object) -> Object:
    """What people wrote: without the status and what the server adds to the metadata."""
    rest = copy.deepcopy({name: value for name, value in obj.items() if name != "status"})
    for name in _SERVERS_OWN:
        rest.get("metadata", {}).pop(name, None)
    return rest


def same(one: Object | None, other: Object | None) -> bool:
    return (one and cleaned(one)) == (other and cleaned(other))


def current_pods(pods: Iterable[Object]) -> list[Object]:
    """Those that count: one that is being deleted, failed or was evicted has a replacement, and proves nothing.

    >>> [pod["metadata"]["name"] for pod in current_pods([
    ...     {"metadata": {"name": "old", "deletionTimestamp": "2026-01-01T00:00:00Z"}},
    ...     {"metadata": {"name": "evicted"}, "status": {"phase": "Failed", "reason": "Evicted"}},
    ...     {"metadata": {"name": "new"}, "status": {"phase": "Running"}},
    ... ])]
    ['new']
    """
    return [p for p in pods if not p["metadata"].get("deletionTimestamp") and _phase(p) != "Failed"]


def _phase(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase", ""))


def diff(previous: Object | None, new: Object | None) -> str:
    """Unified diff of the two as YAML. The values of a Secret are never shown, only that they differ."""
    name = str(reference(new or previous or {}))
    old, now = (cleaned(obj) if obj else None for obj in (previous, new))
    if (new or previous or {}).get("kind") == "Secret":
        old, now = _masked(old, now, ""), _masked(now, old, " (new)")
    before, after = (readable_yaml.lines(obj) if obj else [] for obj in (old, now))
    changes = difflib.unified_diff(before, after, name if previous else "/dev/null", name if new else "/dev/null")
    return redact("".join(changes))


def _masked(secret: Object | None, other: Object | None, mark: str) -> Object | None:
    if secret is None:
        return None
    for part in ("data", "stringData"):
        theirs = (other or {}).get(part) or {}
        values = secret.get(part) or {}
        if values:
            changed = {name for name, value in values.items() if theirs.get(name) not in (value, MASK, MASK + mark)}
            secret = secret | {part: {name: MASK + mark * (name in changed) for name in values}}
    annotations = secret.get("metadata", {}).get("annotations") or {}
    if _APPLIED in annotations:
        hidden = {"annotations": annotations | {_APPLIED: MASK}}
        secret = secret | {"metadata": secret["metadata"] | hidden}
    return secret
