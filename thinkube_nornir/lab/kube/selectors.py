"""Label and field selectors: which objects of a list or watch are meant.

Source: kubernetes/apimachinery@v0.35.0 pkg/labels/selector.go
Source: kubernetes/apimachinery@v0.35.0 pkg/runtime/conversion.go (DefaultMetaV1FieldSelectorConversion)
Source: kubernetes/component-helpers@v0.35.0 scheduling/corev1/nodeaffinity/nodeaffinity.go
Source: kubernetes/kubernetes@008b3652959c pkg/registry/core/pod/strategy.go (ToSelectableFields)
Unproven: the fields by which other kinds than pods can be selected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from thinkube_nornir.lab.kube.objects import Object, dig, labels_of
from thinkube_nornir.lab.kube.status import ApiError

Predicate = Callable[[Object], bool]
Labels = Mapping[str, str]

_SET = re.compile(r"^(?P<key>[^\s!=,()]+)\s+(?P<op>in|notin)\s*\((?P<values>[^()]*)\)$")
_EQUAL = re.compile(r"^(?P<key>[^\s!=,()]+)\s*(?P<op>==|!=|=)\s*(?P<value>[^\s!=,()]*)$")
_EXISTS = re.compile(r"^(?P<absent>!\s*)?(?P<key>[^\s!=,()]+)$")
_COMMA = re.compile(r",(?![^(]*\))")

_FIELDS = {
    "": {"metadata.name", "metadata.namespace"},
    "Pod": {
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    },
    "Event": {
        "involvedObject.kind",
        "involvedObject.name",
        "involvedObject.namespace",
        "involvedObject.uid",
        "reason",
        "type",
    },
    "Node": {"spec.unschedulable"},
    "Namespace": {"status.phase"},
    "Secret": {"type"},
    "Job": {"status.successful"},
    "ReplicaSet": {"status.replicas"},
}


def label_predicate(text: str) -> Predicate:
    """A selector as in a query string: `app=web,tier in (a, b),!old`.

    >>> label_predicate("app in (web, db),!old")({"metadata": {"labels": {"app": "db"}}})
    True
    """
    tests = [_label_test(part.strip()) for part in _COMMA.split(text) if part.strip()]
    return lambda obj: all(test(labels_of(obj)) for test in tests)


def _label_test(part: str) -> Callable[[Labels], bool]:
    if found := _SET.match(part):
        values = {value.strip() for value in found["values"].split(",")}
        key, wanted = found["key"], found["op"] == "in"
        return lambda labels: (labels.get(key) in values) is wanted
    if found := _EQUAL.match(part):
        key, value, equal = found["key"], found["value"], found["op"] != "!="
        return lambda labels: (labels.get(key) == value) is equal
    if found := _EXISTS.match(part):
        key, present = found["key"], not found["absent"]
        return lambda labels: (key in labels) is present
    raise ApiError(400, f"unable to parse requirement: {part!r}")


def field_predicate(text: str, kind: str) -> Predicate:
    """A field selector: `metadata.name=x,status.phase!=Running`; fields a kind does not index are an error."""
    tests = [_field_test(part.strip(), kind) for part in text.split(",") if part.strip()]
    return lambda obj: all(test(obj) for test in tests)


def _field_test(part: str, kind: str) -> Predicate:
    found = _EQUAL.match(part)
    if not found:
        raise ApiError(400, f"invalid field selector {part!r}: can't understand it")
    field, value, equal = found["key"], found["value"], found["op"] != "!="
    if field not in _FIELDS[""] | _FIELDS.get(kind, set()):
        raise ApiError(400, f'field label not supported: "{field}"')
    path = field.split(".")
    return lambda obj: (_text(dig(obj, *path, default="")) == value) is equal


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def selects(selector: Object | None, labels: Labels) -> bool:
    """Whether a LabelSelector object (matchLabels, matchExpressions) takes these labels; none takes nothing."""
    if selector is None:
        return False
    equal = all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())
    return equal and all(_expression(one, labels) for one in selector.get("matchExpressions") or [])


def _expression(expression: Object, values: Labels) -> bool:
    """One requirement of a LabelSelector or of a node affinity term."""
    key, operator, wanted = expression["key"], expression["operator"], expression.get("values") or []
    value = values.get(key)
    match operator:
        case "In":
            return value in wanted
        case "NotIn":
            return value not in wanted
        case "Exists":
            return key in values
        case "DoesNotExist":
            return key not in values
        case "Gt":
            return value is not None and value.isdecimal() and int(value) > int(wanted[0])
        case "Lt":
            return value is not None and value.isdecimal() and int(value) < int(wanted[0])
    raise ApiError(400, f'"{operator}" is not a valid label selector operator')


def term_selects(term: Object, labels: Labels, name: str) -> bool:
    """Whether a node affinity term takes the node of this name."""
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not fields:
        return False
    by_field = all(_expression(one, {"metadata.name": name}) for one in fields)
    return by_field and all(_expression(one, labels) for one in expressions)
