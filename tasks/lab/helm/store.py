"""Where helm keeps its releases: a Secret of the release's namespace for each revision.

Source: helm/helm@v3.19.2 pkg/storage/driver/secrets.go
Source: helm/helm@v3.19.2 pkg/storage/driver/util.go
"""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from thinkube_nornir.lab.kube import KubeApi, Object

TYPE = "helm.sh/release.v1"
PENDING = ("pending-install", "pending-upgrade", "pending-rollback")


@dataclass(frozen=True)
class Revision:
    """One revision of a release, as `helm history` knows it."""

    name: str
    namespace: str
    revision: int
    status: str
    chart: str
    version: str
    app_version: str
    description: str
    values: Object = field(default_factory=dict)
    manifest: list[Object] = field(default_factory=list)
    updated: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    first_deployed: str = field(default_factory=lambda: datetime.now(UTC).isoformat())

    def row(self) -> dict[str, Any]:
        """The revision as `list` and `history` print it."""
        chart = f"{self.chart}-{self.version}"
        return {
            "updated": self.updated.replace("T", " "),
            "status": self.status,
            "chart": chart,
            "app_version": self.app_version,
        }


def save(api: KubeApi, revision: Revision) -> Revision:
    """Raises ApiError 404: the namespace is not there."""
    name = f"sh.helm.release.v1.{revision.name}.v{revision.revision}"
    labels = {"name": revision.name, "owner": "helm", "status": revision.status, "version": str(revision.revision)}
    metadata = {"name": name, "namespace": revision.namespace, "labels": labels}
    data = {"release": base64.b64encode(_encoded(revision)).decode()}
    api.apply({"apiVersion": "v1", "kind": "Secret", "type": TYPE, "metadata": metadata, "data": data}, manager="helm")
    return revision


def _encoded(revision: Revision) -> bytes:
    info = {"status": revision.status, "description": revision.description, "last_deployed": revision.updated}
    chart = {"name": revision.chart, "version": revision.version, "appVersion": revision.app_version}
    release = {
        "name": revision.name,
        "namespace": revision.namespace,
        "version": revision.revision,
        "info": info | {"first_deployed": revision.first_deployed},
        "chart": {"metadata": chart},
        "config": revision.values,
        "manifest": "".join(f"---\n{json.dumps(obj)}\n" for obj in revision.manifest),
    }
    return base64.b64encode(gzip.compress(json.dumps(release).encode(), 1))


def _decoded(data: str) -> Revision:
    release = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(data))))
    info, chart = release["info"], release["chart"]["metadata"]
    return Revision(
        *(release["name"], release["namespace"], release["version"], info["status"]),
        *(chart["name"], chart["version"], chart["appVersion"], info["description"], release["config"]),
        [json.loads(part) for part in release["manifest"].split("---\n") if part],
        info["last_deployed"],
        info["first_deployed"],
    )


def marked(api: KubeApi, revision: Revision, status: str, description: str) -> Revision:
    return save(api, replace(revision, status=status, description=description))


def revisions(api: KubeApi, name: str = "", namespace: str = "") -> list[Revision]:
    """Oldest first; of all releases, or of the one of this name."""
    secrets = [s for s in api.list("v1", "Secret", namespace) if s.get("type") == TYPE]
    found = [_decoded(s["data"]["release"]) for s in secrets]
    return sorted((r for r in found if name in ("", r.name)), key=lambda r: (r.namespace, r.name, r.revision))


def last(api: KubeApi, name: str, namespace: str) -> Revision | None:
    return next(reversed(revisions(api, name, namespace)), None)


def forget(api: KubeApi, name: str, namespace: str) -> None:
    for revision in revisions(api, name, namespace):
        api.delete("v1", "Secret", f"sh.helm.release.v1.{name}.v{revision.revision}", namespace)
