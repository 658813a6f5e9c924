"""Values that are strings in JSON and something else in the API: what cannot be read is refused before all rules.

Source: kubernetes/kubernetes@v1.36.2 staging/src/k8s.io/apimachinery/pkg/api/resource/quantity.go (ErrFormatWrong)
Unproven: at which byte of a text that is no base64 the server stumbles.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from thinkube_nornir.lab.kube.objects import Object, dig
from thinkube_nornir.lab.kube.quantities import quantity

_FORM = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_POD_SPECS = (("spec",), ("spec", "template", "spec"), ("spec", "jobTemplate", "spec", "template", "spec"))


def unreadable(obj: Object) -> str:
    """What the first such value is; empty when all can be read."""
    for value in _encoded(obj):
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError, TypeError):
            return "illegal base64 data at input byte 0"
    return next((_FORM for amount in _amounts(obj) if quantity(str(amount)) is None), "")


def _encoded(obj: Object) -> Iterator[Any]:
    part = {"Secret": "data", "ConfigMap": "binaryData"}.get(str(obj.get("kind")), "")
    found = obj.get(part)
    yield from (value for value in found.values() if value is not None) if isinstance(found, dict) else ()


def _amounts(obj: Object) -> Iterator[Any]:
    kind = obj.get("kind")
    if kind == "PersistentVolumeClaim":
        yield from dig(obj, "spec", "resources", "requests", default={}).values()
    elif kind == "ResourceQuota":
        yield from dig(obj, "spec", "hard", default={}).values()
    for path in _POD_SPECS:
        spec = dig(obj, *path, default={})
        for group in ("initContainers", "containers") if isinstance(spec, dict) else ():
            for container in spec.get(group) or []:
                for part in ("limits", "requests"):
                    yield from dig(container, "resources", part, default={}).values()
