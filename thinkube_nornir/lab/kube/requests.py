"""What a request body holds, and how it must be labelled.

Source: kubernetes/apiserver@v0.35.0 pkg/endpoints/handlers/negotiation/errors.go
Source: kubernetes/apimachinery@v0.35.0 pkg/runtime/serializer/json/meta.go
Unproven: which of these types the real server lists first, and its words for a body that is no object.
"""

from __future__ import annotations

import json
from typing import Any

import yaml
from aiohttp import web

from thinkube_nornir.lab.kube.objects import Object
from thinkube_nornir.lab.kube.status import ApiError

PATCHES = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
}
_BODIES = {"application/json", "application/yaml", "application/octet-stream"}  # the last is aiohttp's word for none
_UNKNOWN = "the body of the request was in an unknown format - accepted media types include: "


async def object_in(request: web.Request) -> Object:
    """The object of a POST, PUT or DELETE; empty when there is no body."""
    if request.content_type not in _BODIES:
        raise ApiError(415, _UNKNOWN + ", ".join(sorted(_BODIES)))
    body = _parse(await request.read(), yaml_too=request.content_type == "application/yaml")
    if not isinstance(body, dict):
        raise ApiError(400, "the body of the request is not an object")
    return body


async def patch_in(request: web.Request) -> tuple[str, Any]:
    """The kind of a patch (see PATCHES) and its body."""
    kind = PATCHES.get(request.content_type)
    if kind is None:
        raise ApiError(415, _UNKNOWN + ", ".join(PATCHES))
    body = _parse(await request.read(), yaml_too=kind == "apply")
    if kind != "json" and not isinstance(body, dict):
        raise ApiError(400, "the body of the patch is not an object")
    return kind, body


def check_accept(request: web.Request) -> None:
    """We speak JSON; who takes nothing but protobuf cannot be served."""
    accepted = request.headers.get("Accept", "*/*")
    if not any(kind in accepted for kind in ("json", "*/*", "application/*", "text/")):
        raise ApiError(406, "only the following media types are accepted: application/json")


def name_in(field_selector: str) -> str:
    """The one name that a list or watch asks for, which roles may allow by name."""
    wanted = [part.partition("=")[2].lstrip("=") for part in field_selector.split(",") if part[:14] == "metadata.name="]
    return wanted[0] if len(wanted) == 1 else ""


def _parse(data: bytes, *, yaml_too: bool) -> Any:
    if not data:
        return {}
    try:
        return json.loads(data)
    except ValueError as error:
        if not yaml_too:
            raise ApiError(400, f"couldn't get version/kind; json parse error: {error}") from error
    try:
        return yaml.safe_load(data)
    except yaml.YAMLError as error:
        raise ApiError(400, f"error decoding YAML: {error}") from error
