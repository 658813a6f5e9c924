"""Quantities such as `500m` and `1Gi`, and what a container may ask for of them.

Source: kubernetes/kubernetes@v1.36.2 staging/src/k8s.io/apimachinery/pkg/api/resource/quantity.go
Source: kubernetes/kubernetes@v1.36.2 pkg/apis/core/validation/validation.go (ValidateContainerResourceRequirements)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

from thinkube_nornir.lab.kube.objects import Object
from thinkube_nornir.lab.kube.rules import broken, invalid, qualified_name, required
from thinkube_nornir.lab.kube.status import Cause

_STANDARD = ("cpu", "memory", "ephemeral-storage")
_SCALES = {"": 0, "m": -3, "u": -6, "n": -9, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


def resources(wanted: Object, where: str) -> Iterator[Cause]:
    limits, requests = wanted.get("limits") or {}, wanted.get("requests") or {}
    for group, listed in (("limits", limits), ("requests", requests)):
        for name, amount in listed.items():
            yield from _amount(name, str(amount), f"{where}.{group}[{name}]")
    for name, amount in requests.items():
        if name not in limits and "/" in name:
            yield required(f"{where}.limits", "Limit must be set for non overcommitable resources")
        elif name in limits and "/" not in name and _less(limits[name], amount):
            reported = f"must be less than or equal to {name} limit of {limits[name]}"
            yield invalid(f"{where}.requests", str(amount), reported)


def _amount(name: str, amount: str, field: str) -> Iterator[Cause]:
    yield from broken(field, name, qualified_name)
    if "/" not in name and name not in _STANDARD and not name.startswith("hugepages-"):
        yield invalid(field, name, "must be a standard resource type or fully qualified")
        yield invalid(field, name, "must be a standard resource for containers")
    number = quantity(amount)
    if number is not None and number < 0:
        yield invalid(field, amount, "must be greater than or equal to 0")
    elif number is not None and "/" in name and number != int(number):
        yield invalid(field, amount, "must be an integer")


def _less(limit: object, request: object) -> bool:
    most, wanted = quantity(str(limit)), quantity(str(request))
    return most is not None and wanted is not None and most < wanted


def quantity(text: str) -> Decimal | None:
    """The number that a quantity stands for; None when it is none.

    >>> quantity("500m"), quantity("1Ki"), quantity("x")
    (Decimal('0.500'), Decimal('1024'), None)
    """
    found = re.fullmatch(r"([+-]?[0-9.]+)(?:([KMGTPE]i)|([numkMGTPE]?)|[eE]([+-]?[0-9]+))", text)
    if not found:
        return None
    try:
        number = Decimal(found[1])
    except InvalidOperation:
        return None
    if found[2]:
        return number * Decimal(1024 ** ("KMGTPE".index(found[2][0]) + 1))
    return number.scaleb(int(found[4]) if found[4] else _SCALES[found[3] or ""])
