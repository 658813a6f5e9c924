"""Resource quotas: pods, their limits and requests, and how many objects of a kind a namespace may have.

Source: kubernetes/kubernetes@v1.36.2 staging/src/k8s.io/apiserver/pkg/admission/plugin/resourcequota/controller.go
Source: kubernetes/kubernetes@v1.36.2 pkg/quota/v1/evaluator/core/pods.go
Unproven: quotas with scopes are not looked at, and what is in use is counted here at the request, not kept in a status.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from thinkube_nornir.lab.kube import status
from thinkube_nornir.lab.kube.objects import Object, dig, name_of, namespace_of
from thinkube_nornir.lab.kube.quantities import quantity
from thinkube_nornir.lab.kube.store import Store

_COUNTED = ("pods", "services", "secrets", "configmaps", "persistentvolumeclaims")
_ENDED = ("Succeeded", "Failed")


def admit(store: Store, plural: str, group: str, obj: Object) -> None:
    """
    Raises:
        ApiError: 403, a quota of the namespace is used up, or wants a limit that a container does not have.
    """
    for quota in store.list("resourcequotas", namespace_of(obj)):
        hard = dig(quota, "spec", "hard", default={})
        concerned = [name for name in sorted(hard) if _concerns(name, plural, group)]
        if plural == "pods" and (why := _missing(obj, concerned)):
            raise status.forbidden(plural, group, name_of(obj), f"failed quota: {name_of(quota)}: {why}")
        over = [(name, *_numbers(store, plural, group, name, obj)) for name in concerned]
        over = [one for one in over if one[1] + one[2] > (quantity(str(hard[one[0]])) or 0)]
        if over:
            reported = [",".join(f"{one[0]}={_shown(one[part])}" for one in over) for part in (1, 2)]
            limits = ",".join(f"{one[0]}={hard[one[0]]}" for one in over)
            why = f"exceeded quota: {name_of(quota)}, requested: {reported[0]}, used: {reported[1]}, limited: {limits}"
            raise status.forbidden(plural, group, name_of(obj), why)


def _concerns(name: str, plural: str, group: str) -> bool:
    counted = f"count/{plural}.{group}" if group else f"count/{plural}"
    computed = plural == "pods" and _part(name) is not None
    return name == counted or computed or (name == plural and name in _COUNTED and not group)


def _part(name: str) -> tuple[str, str] | None:
    """`limits.cpu` and the like; `cpu` alone means requests."""
    group, _, resource = name.partition(".")
    if group in ("limits", "requests") and resource:
        return group, resource
    return ("requests", name) if name in ("cpu", "memory") else None


def _missing(pod: Object, names: list[str]) -> str:
    """Every container must say what is limited."""
    reported: dict[str, list[str]] = {}
    for name in names:
        if (part := _part(name)) and "/" not in part[1]:
            lacking = [c["name"] for c in pod["spec"]["containers"] if not dig(c, "resources", part[0], part[1])]
            reported |= {name: lacking} if lacking else {}
    if not reported:
        return ""
    containers = sorted({one for listed in reported.values() for one in listed})
    return f"must specify {','.join(sorted(reported))} for: {','.join(containers)}"


def _numbers(store: Store, plural: str, group: str, name: str, obj: Object) -> tuple[Decimal, Decimal]:
    """What the object asks for, and what the others have."""
    kept = store.list(f"{plural}.{group}" if group else plural, namespace_of(obj))
    others = [one for one in kept if name_of(one) != name_of(obj)]
    if plural == "pods":
        others = [one for one in others if dig(one, "status", "phase") not in _ENDED]
    part = _part(name) if plural == "pods" else None
    if part is None:
        return Decimal(1), Decimal(len(others))
    return sum(_asked(obj, part), Decimal(0)), sum((a for one in others for a in _asked(one, part)), Decimal(0))


def _asked(pod: Object, part: tuple[str, str]) -> Iterator[Decimal]:
    for container in pod["spec"]["containers"]:
        yield quantity(str(dig(container, "resources", *part, default=0))) or Decimal(0)


def _shown(number: object) -> str:
    """As the API server writes quantities: whole, or in thousandths."""
    value = Decimal(str(number))
    return f"{value:.0f}" if value == value.to_integral_value() else f"{value * 1000:.0f}m"
