"""What the controllers share: they work only while cert-manager's pod does, and keep keys they have not handed out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from tasks.lab.issuing.authority import Key
from tasks.lab.microk8s.node import Node
from thinkube_nornir.lab.kube import Controller, Object
from thinkube_nornir.lab.kube.controllers import Kind
from thinkube_nornir.lab.kube.objects import Key as ObjectKey
from thinkube_nornir.lab.kube.objects import dig, is_true

API, ACME = "cert-manager.io/v1", "acme.cert-manager.io/v1"
NAMESPACE = "cert-manager"
DEPLOYMENT = ("apps/v1", "Deployment")
SECRET = ("v1", "Secret")


class Issuing(Controller):
    """Base: `act` is called for each object while the controller's deployment is available."""

    watches: tuple[Kind, ...] = (DEPLOYMENT,)

    def __init__(self, node: Node, keys: dict[str, Key]) -> None:
        self.node, self.lab = node, node.host.lab
        self.keys = keys
        """By the uid of the Certificate: of the request under way."""

    def concerned(self, changed: Object) -> Iterable[ObjectKey]:
        return super().concerned(changed) if changed["kind"] in ("CertificateRequest", "Order") else self.every()

    def reconcile(self, obj: Object) -> None:
        if self.running():
            self.act(obj)

    def act(self, obj: Object) -> None:
        raise NotImplementedError

    def running(self) -> bool:
        found = self.cluster.get(*DEPLOYMENT, "cert-manager", NAMESPACE)
        return bool(dig(found, "status", "availableReplicas", default=0))

    def arguments(self) -> list[str]:
        found = self.cluster.get(*DEPLOYMENT, "cert-manager", NAMESPACE)
        containers: Any = dig(found, "spec", "template", "spec", "containers", default=[{}])
        return list(containers[0].get("args") or ())

    def issuer(self, obj: Object) -> Object | None:
        wanted = obj["spec"]["issuerRef"]
        return self.cluster.get(API, wanted.get("kind", "Issuer"), wanted["name"])

    def say(self, obj: Object, kind: str, status: bool, reason: str, message: str) -> None:
        """A condition with the generation it is of. `status` as a word."""
        generation = obj["metadata"].get("generation", 1)
        self.cluster.set_condition(obj, kind, status, reason, message, observedGeneration=generation)


def is_ready(obj: Object | None) -> bool:
    return obj is not None and is_true(obj, "Ready")


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def hours(text: str | None, default: float) -> float:
    """Of a duration: `720h0m0s`, `720h`."""
    return float(text.partition("h")[0]) if text else default
