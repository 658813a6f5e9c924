"""Releases as plain values: as they should be, as helm shows them, and how the two differ."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from nornir.core.task import Task

from thinkube_nornir import readable_yaml
from thinkube_nornir.command import Completed, Fact
from thinkube_nornir.remote import read
from thinkube_nornir.secret import Secret, redact

Helm = tuple[str, ...]
"""How to call helm on the host: a program, by its full path, and what stands before the verb."""


@dataclass(frozen=True)
class Release:
    """A release as it should be.

    Args:
        chart: its name in the repository, `ingress-nginx`.
        repo: `https://...`, `oci://...`, or an absolute path on the host that holds `<chart>-<version>.tgz`.
        values: those that are declared; the chart's defaults are not repeated. A Secret in them is shown to nobody.
        timeout: seconds its objects may take to become ready.
    """

    name: str
    namespace: str
    chart: str
    version: str
    repo: str
    values: Mapping[str, Any] = field(default_factory=dict)
    timeout: float = 600.0

    @property
    def source(self) -> tuple[str, ...]:
        """The arguments that name the chart."""
        if self.repo.startswith("/"):
            return (f"{self.repo.rstrip('/')}/{self.chart}-{self.version}.tgz",)
        if self.repo.startswith("oci://"):
            return (f"{self.repo.rstrip('/')}/{self.chart}", "--version", self.version)
        return (self.chart, "--repo", self.repo, "--version", self.version)


@dataclass(frozen=True)
class Installed:
    """A release as `helm list` shows it."""

    name: str
    namespace: str
    revision: int
    status: str
    """`deployed`, `failed`, `pending-install`, `pending-upgrade`, `pending-rollback`, `uninstalling`."""
    chart: str
    """With its version: `cert-manager-v1.20.3`."""

    def is_of(self, release: Release) -> bool:
        """Whether it is this chart in this version; helm takes versions with and without a `v`."""
        version = self.chart.removeprefix(f"{release.chart}-")
        return version.removeprefix("v") == release.version.removeprefix("v")


def releases(helm: Helm) -> Fact[tuple[Installed, ...]]:
    """Those of all namespaces, in any state."""
    argv = (*helm, "list", "--all", "--all-namespaces", "--max", "0", "--output", "json")
    return Fact("helm releases", argv, _parse_list, root=True)


def values_of(helm: Helm, name: str, namespace: str) -> Fact[dict[str, Any]]:
    """What the release was installed with; nothing when there is none."""
    argv = (*helm, "get", "values", name, "--namespace", namespace, "--output", "json")
    return Fact(f"values of {namespace}/{name}", argv, _parse_values, root=True, accept=(0, 1))


def history(helm: Helm, name: str, namespace: str) -> Fact[dict[int, str]]:
    """Each revision that is kept, and its status."""
    argv = (*helm, "history", name, "--namespace", namespace, "--output", "json")
    return Fact(f"history of {namespace}/{name}", argv, _parse_history, root=True)


def definitions_of(helm: Helm, release: Release) -> Fact[tuple[dict[str, Any], ...]]:
    """The CRDs in the folder crds/ of the chart and of its subcharts."""
    return Fact(
        f"CRDs of {release.chart} {release.version}",
        (*helm, "show", "crds", *release.source),
        _parse_objects,
        root=True,
    )


def installed(task: Task, helm: Helm, name: str, namespace: str) -> Installed | None:
    found = read(task, releases(helm))
    return next((r for r in found if (r.name, r.namespace) == (name, namespace)), None)


def diff(previous: Mapping[str, Any], release: Release) -> str:
    """Unified diff of the values as YAML."""
    name = f"values of release {release.namespace}/{release.name}"
    before, after = (
        readable_yaml.lines(dict(values)) if values else [] for values in (previous, plain(release.values))
    )
    return redact("".join(difflib.unified_diff(before, after, name, name)))


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON brings them back, secrets revealed."""
    return dict(json.loads(json.dumps(values, default=_revealed)))


def _revealed(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"a release's values cannot hold {type(value).__name__}")


def _parse_list(done: Completed) -> tuple[Installed, ...]:
    fields = ("name", "namespace", "revision", "status", "chart")
    rows = [{name: row[name] for name in fields} for row in json.loads(done.text) or ()]
    return tuple(Installed(**{**row, "revision": int(row["revision"])}) for row in rows)


def _parse_values(done: Completed) -> dict[str, Any]:
    if done.status == 0:
        return dict(json.loads(done.text) or {})
    message = done.stderr.decode(errors="backslashreplace").strip()
    if "release: not found" not in message:
        raise ValueError(message or f"exit status {done.status}")
    return {}


def _parse_objects(done: Completed) -> tuple[dict[str, Any], ...]:
    return tuple(found for found in yaml.safe_load_all(done.text) if found)


def _parse_history(done: Completed) -> dict[int, str]:
    return {int(row["revision"]): str(row["status"]) for row in json.loads(done.text) or ()}
