"""What a release of ingress-nginx leaves beside its manifest. It serves nothing here: a move to Traefik removes it.

Source: kubernetes/ingress-nginx@011432121951 internal/ingress/status/status.go
Source: kubernetes/ingress-nginx@helm-chart-4.13.9 charts/ingress-nginx (as Helm renders it: the hook's --secret-name)
"""

from __future__ import annotations

from tasks.lab.microk8s.rollout import complete
from thinkube_nornir.lab.kube import Controller, Object
from thinkube_nornir.lab.kube.objects import dig, labels_of, name_of, namespace_of

NAME = "ingress-nginx"


class Traces(Controller):
    """The lease of its leader, and the key that a hook made for its webhook: helm removes neither."""

    kind = ("apps/v1", "Deployment")

    def reconcile(self, obj: Object) -> None:
        if labels_of(obj).get("app.kubernetes.io/name") != NAME or not complete(obj):
            return
        words = dig(obj, "spec", "template", "spec", "containers")[0].get("args") or []
        given, namespace = {n: v for n, _, v in (word.partition("=") for word in words)}, namespace_of(obj)
        lease = _trace("coordination.k8s.io/v1", "Lease", given["--election-id"])
        secret = _trace("v1", "Secret", f"{name_of(obj).removesuffix('-controller')}-admission")
        for trace, wanted in ((lease, True), (secret, "--validating-webhook" in given)):
            at = trace["metadata"]
            if wanted and self.cluster.get(trace["apiVersion"], trace["kind"], at["name"], namespace) is None:
                self.cluster.create(trace | {"metadata": at | {"namespace": namespace}})


def _trace(version: str, kind: str, name: str) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}}
