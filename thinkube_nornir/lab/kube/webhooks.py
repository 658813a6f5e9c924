"""Admission webhooks: which of them a request concerns, and what their answers make of it.

A write that needs an answer raises Unanswered; who serves the request gets the answer (webhook_calls.py) and makes the
same write again, with all answers so far. So a slow webhook holds up nobody else.

Left out: matchConditions, reinvocation, requests to delete, conversion to a webhook's own version of the kind, and what
controllers write, of which real ones are asked, too.

Source: kubernetes/kubernetes@v1.36.2 staging/src/k8s.io/apiserver/pkg/admission/plugin/webhook/
    generic/webhook.go, predicates/rules/rules.go, predicates/namespace/matcher.go, predicates/object/matcher.go,
    mutating/dispatcher.go, validating/dispatcher.go, request/admissionreview.go, errors/statuserror.go
Unproven: the order of several configurations; here it is that of their names.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from thinkube_nornir.lab.kube.objects import Object, clone, labels_of, name_of, namespace_of
from thinkube_nornir.lab.kube.patch import json_patch
from thinkube_nornir.lab.kube.resources import Resource
from thinkube_nornir.lab.kube.selectors import selects
from thinkube_nornir.lab.kube.status import ApiError
from thinkube_nornir.lab.kube.store import Store

GROUP = "admissionregistration.k8s.io"
MUTATING, VALIDATING = f"mutatingwebhookconfigurations.{GROUP}", f"validatingwebhookconfigurations.{GROUP}"

Id = tuple[str, str, str]
"""Kind of the configuration, its name, the webhook's name."""


class NoAnswer(Exception):
    """A webhook could not be called, or what it said is no answer."""


Answers = dict[Id, Object | NoAnswer]


class Unanswered(Exception):
    """A webhook must be asked before the write can be made."""

    def __init__(self, webhook: Id, hook: Object, review: Object) -> None:
        super().__init__(webhook)
        self.webhook = webhook
        self.hook = hook
        self.review = review


@dataclass(frozen=True)
class Request:
    """What a webhook is asked about."""

    resource: Resource
    obj: Object
    live: Object | None
    subresource: str
    user: str
    dry_run: bool

    @property
    def operation(self) -> str:
        return "CREATE" if self.live is None else "UPDATE"

    def review(self) -> Object:
        at = self.resource
        kind = {"group": at.group, "version": at.version, "kind": at.kind}
        resource = {"group": at.group, "version": at.version, "resource": at.plural}
        request: Object = {"uid": str(uuid.uuid4()), "kind": kind, "resource": resource, "requestKind": kind}
        request |= {"requestResource": resource, "name": name_of(self.obj), "operation": self.operation}
        request |= {"userInfo": {"username": self.user}, "object": self.obj, "oldObject": self.live}
        request |= {"dryRun": self.dry_run} | ({"subResource": self.subresource} if self.subresource else {})
        request |= {"namespace": namespace_of(self.obj)} if at.namespaced else {}
        return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def mutate(store: Store, request: Request, answers: Answers, warnings: list[str]) -> Object:
    """The object as the mutating webhooks leave it."""
    obj = request.obj
    for webhook, hook in _concerned(store, MUTATING, request):
        now = replace(request, obj=obj)
        response = _response(webhook, hook, now, answers, warnings)
        if response is not None and response.get("patch"):
            obj = json_patch(clone(obj), json.loads(base64.b64decode(response["patch"])))
    return obj


def validate(store: Store, request: Request, answers: Answers, warnings: list[str]) -> None:
    for webhook, hook in _concerned(store, VALIDATING, request):
        _response(webhook, hook, request, answers, warnings)


def _response(webhook: Id, hook: Object, request: Request, answers: Answers, warnings: list[str]) -> Object | None:
    """
    Raises:
        Unanswered: it was not asked yet.
        ApiError: it denies the request, or does not answer and must.
    """
    name = webhook[2]
    if webhook not in answers:
        raise Unanswered(webhook, hook, request.review())
    answer = answers[webhook]
    if isinstance(answer, NoAnswer):
        if hook["failurePolicy"] == "Ignore":
            return None
        why = f'failed calling webhook "{name}": {answer}'
        raise ApiError(500, f"Internal error occurred: {why}", details={"causes": [{"message": why}]})
    warnings.extend(answer.get("warnings") or ())
    if not answer.get("allowed"):
        raise _denied(name, answer.get("status") or {})
    return answer


def _denied(name: str, status: Object) -> ApiError:
    said = status.get("message") or status.get("reason")
    reported = f": {said}" if said else " without explanation"
    code = max(int(status.get("code") or 0), 400)
    reason = str(status.get("reason") or "")
    message = f'admission webhook "{name}" denied the request{reported}'
    return ApiError(code, message, reason=reason, details=status.get("details"))


def _concerned(store: Store, kind: str, request: Request) -> Iterator[tuple[Id, Object]]:
    if request.resource.group == GROUP:
        return  # else a broken webhook could not be removed
    for configuration in store.list(kind):
        for hook in configuration.get("webhooks") or ():
            if _matches(store, hook, request):
                yield (kind, name_of(configuration), hook["name"]), hook


def _matches(store: Store, hook: Object, request: Request) -> bool:
    if not any(_rule_matches(rule, hook.get("matchPolicy", "Equivalent"), request) for rule in hook.get("rules") or ()):
        return False
    objects = [obj for obj in (request.obj, request.live) if obj]
    if not any(selects(hook.get("objectSelector") or {}, labels_of(obj)) for obj in objects):
        return False
    labels = _namespace_labels(store, request)
    return labels is None or selects(hook.get("namespaceSelector") or {}, labels)


def _namespace_labels(store: Store, request: Request) -> Mapping[str, str] | None:
    """None for what has no namespace: such an object is never left out by it."""
    if request.resource.kind == "Namespace" and not request.resource.group:
        return labels_of(request.obj)
    if not request.resource.namespaced:
        return None
    return labels_of(store.get("namespaces", ("", namespace_of(request.obj))) or {"metadata": {}})


def _rule_matches(rule: Object, policy: str, request: Request) -> bool:
    at = request.resource
    scope = rule.get("scope") or "*"
    if scope != "*" and (scope == "Namespaced") is not at.namespaced:
        return False
    versions = {at.version} if policy == "Exact" else {at.version, *at.versions}
    return (
        _is_in(rule.get("operations"), request.operation)
        and _is_in(rule.get("apiGroups"), at.group)
        and any(_is_in(rule.get("apiVersions"), version) for version in versions)
        and any(_resource_matches(wanted, request) for wanted in rule.get("resources") or ())
    )


def _is_in(wanted: Any, value: str) -> bool:
    return "*" in (wanted or ()) or value in (wanted or ())


def _resource_matches(wanted: str, request: Request) -> bool:
    """Without a slash no subresource is meant."""
    """Without a slash no subresource is meant."""
    resource, _, subresource = wanted.partition("/")
    return resource in ("*", request.resource.plural) and subresource in ("*", request.subresource)
