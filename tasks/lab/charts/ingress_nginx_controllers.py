"""What a release of ingress-nginx writes by itself: a lease, its webhook's key, and the addresses of Ingress objects.

Source: kubernetes/ingress-nginx@011432121951 internal/ingress/status/status.go
Source: kubernetes/ingress-nginx@helm-chart-4.13.9 charts/ingress-nginx (as Helm renders it: the hook's --secret-name)
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.lab.load_balancer import addresses_of
from tasks.lab.microk8s.rollout import complete
from tasks.lab.nginx import arguments, serves
from thinkube_nornir.lab.kube import Controller, Object
from thinkube_nornir.lab.kube.objects import Key, labels_of, name_of, namespace_of

NAME = "ingress-nginx"


class Traces(Controller):
    """What a release leaves beside its manifest: the lease of its leader, and the key that a hook made for its webhook.

    helm removes neither.
    """

    kind = ("apps/v1", "Deployment")

    def reconcile(self, obj: Object) -> None:
        if labels_of(obj).get("app.kubernetes.io/name") != NAME or not complete(obj):
            return
        given, namespace = arguments(obj), namespace_of(obj)
        lease = _trace("coordination.k8s.io/v1", "Lease", given["--election-id"])
        secret = _trace("v1", "Secret", f"{name_of(obj).removesuffix('-controller')}-admission")
        for trace, wanted in ((lease, True), (secret, "--validating-webhook" in given)):
            at = trace["metadata"]
            if wanted and self.cluster.get(trace["apiVersion"], trace["kind"], at["name"], namespace) is None:
                self.cluster.create(trace | {"metadata": at | {"namespace": namespace}})


def _trace(version: str, kind: str, name: str) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}}


class Addresses(Controller):
    """Ingress objects show the address of the service that their controller publishes."""

    kind = ("networking.k8s.io/v1", "Ingress")
    watches = (("v1", "Service"), ("apps/v1", "Deployment"))

    def concerned(self, changed: Object) -> Sequence[Key]:
        ours = labels_of(changed).get("app.kubernetes.io/name") == NAME
        return list(self.every()) if ours else []

    def reconcile(self, obj: Object) -> None:
        for deployment in self.cluster.list("apps/v1", "Deployment"):
            if labels_of(deployment).get("app.kubernetes.io/name") != NAME or not serves(self.cluster, deployment, obj):
                continue
            service = self.cluster.get("v1", "Service", name_of(deployment), namespace_of(deployment))
            shown = [{"ip": address} for address in addresses_of(service or {})]
            self.cluster.set_status(obj, manager="nginx", loadBalancer={"ingress": shown or None})
