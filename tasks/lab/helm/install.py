"""helm upgrade --install, rollback, uninstall, and the CRDs that a chart keeps apart.

Source: helm/helm@v3.19.2 cmd/helm/upgrade.go
Source: helm/helm@v3.19.2 pkg/action/upgrade.go
Source: helm/helm@v3.19.2 pkg/action/install.go
Source: helm/helm@v3.19.2 pkg/action/rollback.go
Source: helm/helm@v3.19.2 pkg/chartutil/values.go
Source: NVIDIA/gpu-operator@v25.10.1 deployments/gpu-operator/templates/upgrade_crd.yaml
Unproven: how long the hooks of a chart take after its installation.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import yaml

from tasks.lab import internet
from tasks.lab.charts import CHARTS
from tasks.lab.charts.chart import Chart
from tasks.lab.helm import objects, store
from tasks.lab.helm.command import error, namespace, number, seconds
from tasks.lab.helm.store import PENDING, Revision
from tasks.lab.microk8s.node import Node
from tasks.lab.tool import Arguments, ToolError
from thinkube_nornir.lab.emulation import Call, Reply, pause
from thinkube_nornir.lab.kube import ApiError, Object

_LATE = "context deadline exceeded"


async def upgrade(node: Node, words: list[str], given: Arguments, call: Call) -> Reply:
    number(words, 2, "helm upgrade")
    name, space = words[0], namespace(given)
    faults = node.host.lab.state.get("helm_faults") or []
    if faults:
        raise ToolError(1, faults.pop(0) + "\n")
    previous = store.last(node.api, name, space)
    if previous is None and not given.flags & {"--install", "-i"}:
        raise error(f'UPGRADE FAILED: "{name}" has no deployed releases')
    chart, version = _chart(call, words[1], given)
    prefix = "UPGRADE FAILED: " if previous else ""
    if previous is not None and previous.status in PENDING:
        raise error("UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress")
    values = _values(call, given)
    if wrong := chart.unknown_values(values, modern=node.minor >= (1, 34)):
        message = "values don't meet the specifications of the schema(s) in the following chart(s)"
        raise error(f"{prefix}{message}:\n{chart.name}:\n" + "\n".join(wrong))
    if previous is None:
        await objects.define(node.api, chart.definitions(version))
    elif chart.renews_definitions:
        await objects.apply(node.api, chart.definitions(version), ())
    rendered = chart.render(chart.rendering(name, space, version, values))
    objects.check_kinds(node.api, rendered, prefix)
    wanted = objects.owned(rendered, name, space, node.api)
    objects.check_ownership(node.api, wanted, name, space, upgrade=previous is not None)
    count = previous.revision + 1 if previous else 1
    status = "pending-upgrade" if previous else "pending-install"
    identity = (chart.name, version, chart.versions[version])
    doing = "Preparing upgrade" if previous else "Initial install underway"
    revision = Revision(name, space, count, status, *identity, doing, values, wanted)
    if previous is not None:
        revision = replace(revision, first_deployed=previous.first_deployed)
    return await _apply_revision(node, revision, given, chart, previous)


async def show(_node: Node, words: list[str], given: Arguments, call: Call) -> Reply:
    """`helm show crds CHART`."""
    if words[:1] != ["crds"]:
        raise error(f'unknown command "{" ".join(words[:1])}" for "helm show"')
    number(words[1:], 1, "helm show crds")
    chart, version = _chart(call, words[1], given)
    return Reply(0, "".join(f"---\n{yaml.safe_dump(crd)}" for crd in chart.definitions(version)))


async def _apply_revision(
    node: Node, revision: Revision, given: Arguments, chart: Chart, previous: Revision | None
) -> Reply:
    name, space = revision.name, revision.namespace
    prefix = "UPGRADE FAILED: " if previous else ""
    try:
        store.save(node.api, revision)
        _attach(node, chart)
        await objects.apply(node.api, revision.manifest, previous.manifest if previous else [])
    except ApiError as refused:
        if store.last(node.api, name, space):
            store.marked(node.api, revision, "failed", refused.message)
        raise error(f"{prefix}create: failed to create: {refused.message}") from None
    waits = given.flags & {"--wait", "--atomic"}
    if waits and not await objects.ready(node.api, revision.manifest, seconds(given)):
        store.marked(node.api, revision, "failed", f'{"Upgrade" if previous else "Release"} "{name}" failed: {_LATE}')
        if "--atomic" in given.flags:
            raise error(prefix + await _rolled_back(node, revision, previous))
        raise error(f"{prefix}{_LATE}")
    if previous is None:
        await pause(node.host.lab, chart.hooks)
    _supersede(node, revision)
    store.marked(node.api, revision, "deployed", "Upgrade complete" if previous else "Install complete")
    head = (
        f'Release "{name}" has been upgraded. Happy Helming!\n'
        if previous
        else f'Release "{name}" does not exist. Installing it now.\n'
    )
    message = f"NAME: {name}\nNAMESPACE: {space}\nSTATUS: deployed\nREVISION: {revision.revision}\n"
    return Reply(0, head + message)


def _supersede(node: Node, revision: Revision) -> None:
    for old in store.revisions(node.api, revision.name, revision.namespace):
        if old.status == "deployed" and old.revision != revision.revision:
            store.marked(node.api, old, "superseded", old.description)


async def _rolled_back(node: Node, failed: Revision, previous: Revision | None) -> str:
    """What --atomic does after a failure, and says."""
    name = failed.name
    if previous is None:
        objects.remove(node.api, failed.manifest)
        store.forget(node.api, name, failed.namespace)
        return f"release {name} failed, and has been uninstalled due to atomic being set: {_LATE}"
    good = _deployed(node, failed)
    if good is not None:
        await _again(node, good, failed)
    return f"release {name} failed, and has been rolled back due to atomic being set: {_LATE}"


def _deployed(node: Node, revision: Revision) -> Revision | None:
    found = store.revisions(node.api, revision.name, revision.namespace)
    return next((r for r in reversed(found) if r.status in ("deployed", "superseded")), None)


async def _again(node: Node, good: Revision, latest: Revision) -> Revision:
    """A previous revision as a new one."""
    count, description = latest.revision + 1, f"Rollback to {good.revision}"
    what = (good.chart, good.version, good.app_version, description, good.values, good.manifest)
    made = Revision(good.name, good.namespace, count, "pending-rollback", *what, first_deployed=latest.first_deployed)
    revision = store.save(node.api, made)
    await objects.apply(node.api, revision.manifest, latest.manifest)
    if latest.status in PENDING:
        store.marked(node.api, latest, "failed", latest.description)
    _supersede(node, revision)
    return store.marked(node.api, revision, "deployed", description)


def _chart(call: Call, reference: str, given: Arguments) -> tuple[Chart, str]:
    """The chart and its version.

    Raises:
        ToolError: as helm says it: no such repository, chart, version or file.
    """
    repo, version = given.value("--repo"), given.value("--version")
    if reference.startswith("/"):
        return _from_file(call, reference)
    if reference.startswith("oci://"):
        repo, _, reference = reference.rpartition("/")
    elif not repo:
        raise error(f"non-absolute URLs should be in form of repo_name/path_to_chart, got: {reference}")
    published = [chart for chart in CHARTS.values() if chart.repo.rstrip("/") == repo.rstrip("/")]
    host = repo.partition("://")[2].partition("/")[0]
    blocked = host in internet.REPOSITORIES and not internet.is_reached(call.host, host)
    if not published or blocked:
        cause = f'Get "{repo}/index.yaml": dial tcp: lookup {host}: no such host'
        raise error(f'looks like "{repo}" is not a valid chart repository or cannot be reached: {cause}')
    found = next((chart for chart in published if chart.name == reference), None)
    exact = None if found is None else _version(found, version)
    if found is None or exact is None:
        wanted = f'chart "{reference}" version "{version}"' if version else f'chart "{reference}"'
        raise error(f"{wanted} not found in {repo} repository")
    return found, exact


def _version(chart: Chart, wanted: str) -> str | None:
    """The chart's version, named with or without a leading v; the newest when none is named."""
    if not wanted:
        return next(iter(chart.versions))
    return next((v for v in chart.versions if v.removeprefix("v") == wanted.removeprefix("v")), None)


def _from_file(call: Call, path: str) -> tuple[Chart, str]:
    file = path.rpartition("/")[2]
    for chart in CHARTS.values():
        for version in chart.versions:
            if file == f"{chart.name}-{version}.tgz" and call.host.files.exists(path):
                return chart, version
    raise error(f'path "{path}" not found')


def _values(call: Call, given: Arguments) -> Object:
    merged: Object = {}
    for path in [*given.values.get("-f", []), *given.values.get("--values", [])]:
        text = call.stdin if path == "-" else call.host.files.read(path)
        try:
            read = yaml.safe_load(text) or {}
        except yaml.YAMLError as mistake:
            raise error(f"failed to parse {path}: error converting YAML to JSON: yaml: {mistake}") from None
        if not isinstance(read, dict):
            raise error(f"failed to parse {path}: error unmarshaling JSON: cannot unmarshal into Go value of type map")
        merged |= read
    return merged


def _attach(node: Node, chart: Chart) -> None:
    """The chart's controllers, once for each API."""
    api, known = cast("tuple[object, set[str]]", node.host.state.get("charts", (None, set())))
    if api is not node.api:
        known = set()
    if chart.name not in known:
        for controller in chart.controllers(node):
            node.api.add_controller(controller)
    node.host.state["charts"] = (node.api, known | {chart.name})


async def uninstall(node: Node, words: list[str], given: Arguments, _call: Call) -> Reply:
    number(words, 1, "helm uninstall")
    name, space = words[0], namespace(given)
    revision = store.last(node.api, name, space)
    if revision is None:
        raise error(f"uninstall: Release not loaded: {name}: release: not found")
    revision = store.marked(node.api, revision, "uninstalling", "Deletion in progress (or silently failed)")
    kept = objects.remove(node.api, revision.manifest)
    left = [obj for obj in revision.manifest if obj not in kept]
    if "--wait" in given.flags and not await objects.gone(node.api, left, seconds(given)):
        raise error(_LATE)
    store.forget(node.api, name, space)
    named = "".join(f"[{obj['kind']}] {obj['metadata']['name']}\n" for obj in kept)
    message = f"These resources were kept due to the resource policy:\n{named}\n" if kept else ""
    return Reply(0, f'{message}release "{name}" uninstalled\n')


async def rollback(node: Node, words: list[str], given: Arguments, _call: Call) -> Reply:
    name, space = words[0] if words else "", namespace(given)
    found = store.revisions(node.api, name, space)
    if not found:
        raise error("release: not found")
    wanted = int(words[1]) if len(words) > 1 and words[1].isdigit() else found[-1].revision - 1
    good = next((r for r in found if r.revision == wanted), None)
    if good is None:
        raise error(f"release has no {wanted} version")
    revision = await _again(node, good, found[-1])
    if "--wait" in given.flags and not await objects.ready(node.api, revision.manifest, seconds(given)):
        store.marked(node.api, revision, "failed", f'Rollback "{name}" failed: {_LATE}')
        raise error(_LATE)
    return Reply(0, "Rollback was a success! Happy Helming!\n")
