"""A helm that installs one chart into a cluster, as helm does it, and answers what the door to helm asks."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from tests.fake_host import Reply
from tests.thinkube_nornir.resources.cluster_host import ClusterHost
from thinkube_nornir.cluster import Object
from thinkube_nornir.command import Command

HELM = ("/snap/bin/helm",)
Render = Callable[[Object], Sequence[Object]]
"""Values to objects; those without a namespace get the release's."""


class FakeHelm:
    """Keeps its revisions as helm does: each in a Secret of the namespace."""

    def __init__(self, cluster: ClusterHost, name: str, namespace: str, render: Render) -> None:
        self.cluster, self.name, self.namespace, self.render = cluster, name, namespace, render
        self.revisions: list[dict[str, Any]] = []
        cluster.host.answers |= {"/snap/bin/helm": self._answer, "pgrep": Reply(1), "true": ""}

    def _answer(self, command: Command) -> Reply:
        reply: Reply = getattr(self, f"_{command.argv[1]}")(command)
        return reply

    def _list(self, _: Command) -> Reply:
        rows = [
            {
                "name": self.name,
                "namespace": self.namespace,
                "revision": str(r["version"]),
                "status": r["info"]["status"],
                "chart": f"web-{r['chart']['metadata']['version']}",
            }
            for r in self.revisions[-1:]
        ]
        return Reply(stdout=json.dumps(rows))

    def _get(self, _: Command) -> Reply:
        if not self.revisions:
            return Reply(1, stderr="Error: release: not found\n")
        return Reply(stdout=json.dumps(self.revisions[-1]["config"]))

    def _upgrade(self, command: Command) -> Reply:
        version = command.argv[command.argv.index("--version") + 1]
        self.install(version, json.loads(command.stdin))
        return Reply()

    def _rollback(self, command: Command) -> Reply:
        old = self.revisions[int(command.argv[3]) - 1]
        self.install(old["chart"]["metadata"]["version"], old["config"])
        return Reply()

    def _uninstall(self, _: Command) -> Reply:
        for obj in reversed(self._marked()):
            if not (obj["metadata"].get("annotations") or {}).get("helm.sh/resource-policy"):
                self.cluster.delete(obj)
        for revision in self.revisions:
            self.cluster.delete(self._secret(revision))
        self.revisions.clear()
        return Reply()

    def install(self, version: str, values: Object) -> None:
        """What is there is changed where the chart changed, and what is not there is made."""
        self.cluster.manager = "helm"
        objects = list(self.render(values))
        first = self.revisions[0]["info"]["first_deployed"] if self.revisions else datetime.now(UTC).isoformat()
        for old in self.revisions:
            old["info"]["status"] = "superseded"
        revision = {
            "name": self.name,
            "namespace": self.namespace,
            "version": len(self.revisions) + 1,
            "info": {"status": "deployed", "first_deployed": first},
            "chart": {"metadata": {"version": version}},
            "config": values,
            "manifest": "".join(f"---\n# Source: web\n{json.dumps(obj)}\n" for obj in objects),
        }
        self.revisions.append(revision)
        self.cluster.create(self._secret(revision))
        for obj in self._marked():
            if self.cluster.get(obj) is None:
                self.cluster.create(obj)
            else:
                self.cluster.patch(obj, obj)
        self.cluster.manager = "kubectl"

    def _secret(self, revision: dict[str, Any]) -> Object:
        packed = base64.b64encode(gzip.compress(json.dumps(revision).encode()))
        name = f"sh.helm.release.v1.{self.name}.v{revision['version']}"
        labels = {"owner": "helm", "name": self.name}
        metadata = {"name": name, "namespace": self.namespace, "labels": labels}
        data = {"release": base64.b64encode(packed).decode()}
        return {"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1", "metadata": metadata, "data": data}

    def _marked(self) -> list[Object]:
        """With the marks that are not in what helm stores."""
        found = []
        for obj in self.render(self.revisions[-1]["config"]):
            metadata = dict(obj["metadata"])
            metadata["labels"] = (metadata.get("labels") or {}) | {"app.kubernetes.io/managed-by": "Helm"}
            notes = {"meta.helm.sh/release-name": self.name, "meta.helm.sh/release-namespace": self.namespace}
            metadata["annotations"] = (metadata.get("annotations") or {}) | notes
            if obj["kind"] not in ("CustomResourceDefinition", "ClusterRole", "Spanner"):
                metadata.setdefault("namespace", self.namespace)
            found.append({**obj, "metadata": metadata})
        return found
