"""Schemas of the lab's CRDs, in few words: `struct("addresses", addresses=TEXTS, autoAssign=flag(default=True))`.

What nobody here writes is left open (ANYTHING): there the lab takes more than the real definition.

Unproven: what the real definitions refuse beyond what is written here.
"""

from __future__ import annotations

from typing import Any

from thinkube_nornir.lab.kube import Object

TEXT: Object = {"type": "string"}
NUMBER: Object = {"type": "integer"}
FLAG: Object = {"type": "boolean"}
TEXT_MAP: Object = {"type": "object", "additionalProperties": TEXT}
ANYTHING: Object = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def whole(spec: Object, *required: str, status: Object = ANYTHING) -> Object:
    """The schema of an object with spec and status."""
    return struct(*required, spec=spec, status=status)


def struct(*required: str, **fields: Object) -> Object:
    """A map with these fields and no others."""
    return {"type": "object", "properties": fields} | ({"required": list(required)} if required else {})


def each(item: Object) -> Object:
    """A list; replaced as a whole."""
    return {"type": "array", "items": item}


def one_of(*values: str, default: Any = None) -> Object:
    return {"type": "string", "enum": list(values)} | ({} if default is None else {"default": default})


def defaulting(schema: Object, default: Any) -> Object:
    return schema | {"default": default}


def atomic(schema: Object) -> Object:
    return schema | {"x-kubernetes-map-type": "atomic"}


TEXTS: Object = each(TEXT)
LABEL_SELECTOR: Object = struct(
    matchExpressions=each(struct("key", "operator", key=TEXT, operator=TEXT, values=TEXTS)), matchLabels=TEXT_MAP
)
