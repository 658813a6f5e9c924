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
        hooks: seconds that its jobs take after an installation.
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
    hooks: float = 0.0

    def unknown_values(self, given: Mapping[str, Any], *, modern: bool) -> list[str]:
        """The values that the chart's schema does not know, as helm reports them.

        Source: helm/helm@v3.17.2 pkg/chartutil/jsonschema.go
        Source: helm/helm@v3.19.2 pkg/chartutil/jsonschema.go
        Unproven: how helm 3.18 and newer words several values that a schema refuses.

        Args:
            modern: as helm from 3.18 on, whose validator is another one.
        """
        if not self.has_schema:
            return []
        return [_modern(w) if modern else _classic(w) for w in _unknown(given, self.defaults, ())]

    def rendering(self, release: str, namespace: str, version: str, given: Object) -> Rendering:
        return Rendering(release, namespace, merged(self.defaults, given), version, self.versions[version])


@dataclass(frozen=True)
class _Wrong:
    at: tuple[str, ...]
    name: str = ""
    """The name of a property that is not known there; empty for a value of another kind."""
    wanted: str = ""
    given: str = ""


def _unknown(given: Mapping[str, Any], known: Mapping[str, Any], at: tuple[str, ...]) -> Sequence[_Wrong]:
    found: list[_Wrong] = []
    for name, value in given.items():
        inner = known.get(name)
        if name not in known:
            found.append(_Wrong(at, name))
        elif isinstance(inner, dict) and isinstance(value, dict) and inner:
            found += _unknown(value, inner, (*at, name))
        elif isinstance(inner, (dict, bool)) and type(inner) is not type(value) and value is not None:
            kinds = {str: "string", bool: "boolean", int: "integer", list: "array", dict: "object"}
            found.append(_Wrong((*at, name), wanted=kinds[type(inner)], given=kinds.get(type(value), "number")))
    return found


def _classic(wrong: _Wrong) -> str:
    where = ".".join(wrong.at) or "(root)"
    if wrong.name:
        return f"- {where}: Additional property {wrong.name} is not allowed"
    return f"- {where}: Invalid type. Expected: {wrong.wanted}, given: {wrong.given}"


def _modern(wrong: _Wrong) -> str:
    where = "".join(f"/{name}" for name in wrong.at)
    if wrong.name:
        return f"- at '{where}': additional properties '{wrong.name}' not allowed"
    return f"- at '{where}': got {wrong.given}, want {wrong.wanted}"


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
