"""What an emulated chart is: where it is published, its values, and the objects it renders to.

Source: helm/helm@v3.19.5 pkg/action/install.go
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.lab.microk8s.node import Node
from thinkube_nornir.lab.kube import Controller, Object


@dataclass(frozen=True)
class Rendering:
    """What a chart's templates see."""

    release: str
    namespace: str
    values: Object
    """The chart's defaults, with what the user gave over them."""
    version: str
    app_version: str


@dataclass(frozen=True)
class Chart:
    """
    Args:
        repo: the address under which it is published, as the user gives it.
        versions: to the version of what it installs.
        defaults: its values.yaml: a key that is not in it is refused where the chart has a schema; below an empty map
            or null all keys are free.
        render: its templates; objects without a namespace get the release's. The annotation
            `helm.sh/resource-policy: keep` keeps an object at uninstall.
        controllers: what its pods do, while they run; added to the API once, when the chart is first installed there.
        definitions: what stands in its folder crds, by its version: made before all else when a release is installed,
            unless it is there, and never changed or removed.
        renews_definitions: a hook of the chart applies them all before an upgrade.
        has_schema: without one, helm takes any values.
    """

    name: str
    repo: str
    versions: Mapping[str, str]
    defaults: Object
    render: Callable[[Rendering], list[Object]]
    controllers: Callable[[Node], Sequence[Controller]] = lambda _: ()
    definitions: Callable[[str], Sequence[Object]] = lambda _: ()
    renews_definitions: bool = False
    has_schema: bool = True

    def unknown_values(self, given: Mapping[str, Any]) -> list[str]:
        """As a values schema complains about them."""
        return list(_unknown(given, self.defaults, "(root)")) if self.has_schema else []

    def rendering(self, release: str, namespace: str, version: str, given: Object) -> Rendering:
        return Rendering(release, namespace, merged(self.defaults, given), version, self.versions[version])


def _unknown(given: Mapping[str, Any], known: Mapping[str, Any], where: str) -> Sequence[str]:
    found: list[str] = []
    for name, value in given.items():
        inner = known.get(name)
        if name not in known:
            found.append(f"- {where}: Additional property {name} is not allowed")
        elif isinstance(inner, dict) and isinstance(value, dict) and inner:
            found += _unknown(value, inner, name if where == "(root)" else f"{where}.{name}")
        elif isinstance(inner, (dict, bool)) and type(inner) is not type(value) and value is not None:
            kind = {dict: "object", bool: "boolean"}[type(inner)]
            told = {str: "string", bool: "boolean", int: "integer", list: "array", dict: "object"}.get(type(value))
            path = name if where == "(root)" else f"{where}.{name}"
            found.append(f"- {path}: Invalid type. Expected: {kind}, given: {told}")
    return found


def merged(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> Object:
    """Maps are merged, anything else is replaced, null takes a default away."""
    result = dict(defaults)
    for name, value in given.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = merged(result[name], value)
        else:
            result[name] = value
    return result
