"""Paths of the API: which resource, object and subresource a request means, and what else its query says.

Source: kubernetes/apiserver@v0.35.0 pkg/endpoints/request/requestinfo.go (namespaceSubresources)
Source: kubernetes/apimachinery@v0.35.0 pkg/apis/meta/v1/validation/validation.go (fieldManager)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from thinkube_nornir.lab.kube.deletion import Deletion
from thinkube_nornir.lab.kube.objects import Key, Object
from thinkube_nornir.lab.kube.resources import Registry, Resource
from thinkube_nornir.lab.kube.status import ApiError
from thinkube_nornir.lab.kube.writes import Options

_NO_RESOURCE = "the server could not find the requested resource"


@dataclass(frozen=True)
class Target:
    """`name` is empty for a collection, `namespace` for all of them or for a resource that has none."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    user: str = ""
    """Who asks."""

    @property
    def key(self) -> Key:
        return self.namespace, self.name


def segments(raw_path: str) -> list[str]:
    return [unquote(part) for part in raw_path.split("/") if part]


def target(registry: Registry, path: list[str]) -> Target:
    """The target of `api/v1/...` or `apis/<group>/<version>/...`.

    Raises:
        ApiError: 404, no such resource or subresource.
    """
    start = 2 if path[0] == "api" else 3
    if len(path) <= start:
        raise ApiError(404, _NO_RESOURCE)
    group, version, rest = (path[1] if start == 3 else ""), path[start - 1], path[start:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and not (len(rest) == 3 and rest[2] in ("status", "finalize")):
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = [*rest, "", ""][:3]
    resource = registry.by_path(group, version, plural)
    misplaced = bool(namespace) != resource.namespaced and bool(namespace or name)
    unknown = bool(subresource) and subresource not in resource.subresources
    if misplaced or unknown or len(rest) > 3:
        raise ApiError(404, _NO_RESOURCE)
    return Target(resource, namespace, name, subresource)


def write_options(where: Target, query: Mapping[str, str], user_agent: str, *, applying: bool = False) -> Options:
    manager = query.get("fieldManager", "")
    if applying and not manager:
        message = 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
        raise ApiError(422, message)
    return Options(
        manager=manager or user_agent.partition("/")[0] or "unknown",
        subresource=where.subresource if where.subresource == "status" else "",
        dry_run=_dry_run(query),
        force=query.get("force", "").lower() == "true",
        validation=query.get("fieldValidation") or "Warn",
        user=where.user,
    )


def deletion_of(query: Mapping[str, str], body: Object) -> Deletion:
    """DeleteOptions, from the body or else the query."""
    grace = body.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    policy = body.get("propagationPolicy") or query.get("propagationPolicy")
    if policy is None:
        orphan = str(body.get("orphanDependents", query.get("orphanDependents", ""))).lower()
        policy = {"true": "Orphan", "false": "Background"}.get(orphan, "")
    if policy not in ("", "Background", "Foreground", "Orphan"):
        raise ApiError(422, f'invalid DeleteOptions: propagationPolicy: Unsupported value: "{policy}"')
    return Deletion(
        policy=policy,
        grace=None if grace is None else int(grace),
        dry_run=_dry_run(query) or "All" in (body.get("dryRun") or []),
        preconditions=body.get("preconditions") or {},
    )


def _dry_run(query: Mapping[str, str]) -> bool:
    wanted = query.get("dryRun")
    if wanted not in (None, "", "All"):
        raise ApiError(422, f'dryRun: Unsupported value: "{wanted}": supported values: "All"')
    return wanted == "All"
