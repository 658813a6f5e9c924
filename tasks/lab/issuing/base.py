"""What the controllers share: they work only while cert-manager's pod does, and keep keys they have not handed out.

Source: cert-manager/cert-manager@v1.20.3 pkg/controller/util.go
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from tasks.lab.issuing.authority import Key
from tasks.lab.microk8s.node import Node
from thinkube_nornir.lab.kube import Controller, Object
from thinkube_nornir.lab.kube.controllers import Kind
from thinkube_nornir.lab.kube.objects import Key as ObjectKey
from thinkube_nornir.lab.kube.objects import dig, is_true, key_of, terminating, uid_of

API, ACME = "cert-manager.io/v1", "acme.cert-manager.io/v1"
NAMESPACE = "cert-manager"
DEPLOYMENT = ("apps/v1", "Deployment")
SECRET = ("v1", "Secret")
_FIRST, _LONGEST = 5.0, 1800.0  # seconds between attempts after an error


class Issuing(Controller):
    """Base: `act` is called for each object while the controller's deployment is available."""

    watches: tuple[Kind, ...] = (DEPLOYMENT,)

    def __init__(self, node: Node, keys: dict[str, Key]) -> None:
        self.node, self.lab = node, node.host.lab
        self.keys = keys
        """The keys of requests in progress, by the uid of their Certificate."""
        self._errors: dict[str, int] = {}
        """How many attempts failed one after the other, by an object's uid."""
        self._due: dict[str, float] = {}
        """The time of the loop's clock before which an object is left alone, by its uid."""
        self._waiting: set[str] = set()
        """Uids of objects that are left alone for a time that was known from the beginning."""

    def concerned(self, changed: Object) -> Iterable[ObjectKey]:
        return super().concerned(changed) if changed["kind"] in ("CertificateRequest", "Order") else self.every()

    def reconcile(self, obj: Object) -> None:
        """A deletion is seen at once."""
        early = asyncio.get_running_loop().time() < self._due.get(uid_of(obj), 0.0)
        if self.running() and (terminating(obj) or not early):
            self.act(obj)

    def act(self, obj: Object) -> None:
        raise NotImplementedError

    def running(self) -> bool:
        found = self.cluster.get(*DEPLOYMENT, "cert-manager", NAMESPACE)
        return bool(dig(found, "status", "availableReplicas", default=0))

    def retry(self, obj: Object) -> None:
        """After an error, at growing intervals."""
        count = self._errors[uid_of(obj)] = self._errors.get(uid_of(obj), -1) + 1
        self.again(obj, min(_FIRST * 2**count, _LONGEST), settles=False)

    def succeeded(self, obj: Object) -> None:
        self._errors.pop(uid_of(obj), None)

    def again(self, obj: Object, seconds: float, *, settles: bool) -> None:
        """Leave the object alone for so long, of the real thing's time."""
        delay = seconds / self.lab.speed
        self._due[uid_of(obj)] = asyncio.get_running_loop().time() + delay
        again = partial(self._check_later, uid_of(obj), key_of(obj))
        self.cluster.queue.later(delay, (self, key_of(obj)), again, settles=settles)

    def waited(self, obj: Object, seconds: float) -> bool:
        """Whether the object was left alone for so long; begins with it when not."""
        if uid_of(obj) in self._waiting:
            self._waiting.discard(uid_of(obj))
            return True
        self._waiting.add(uid_of(obj))
        self.again(obj, seconds, settles=True)
        return False

    def _check_later(self, uid: str, key: ObjectKey) -> None:
        self._due[uid] = 0.0
        found = self.cluster.get(*self.kind, name=key[1], namespace=key[0])
        if found is not None and uid_of(found) == uid:
            self.reconcile(found)

    def record_event(self, obj: Object, kind: str, reason: str, message: str) -> None:
        self.cluster.event(obj, reason, message, warning=kind == "Warning")

    def version(self) -> str:
        """The version in the controller's image; what it can do depends on it."""
        found = self.cluster.get(*DEPLOYMENT, "cert-manager", NAMESPACE)
        containers: Any = dig(found, "spec", "template", "spec", "containers", default=[{"image": ""}])
        return str(containers[0]["image"]).rpartition(":")[2]

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
    """The hours in a duration: `720h0m0s`, `720h`."""
    return float(text.partition("h")[0]) if text else default
