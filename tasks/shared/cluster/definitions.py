"""Definitions (CRDs) that a chart has in its folder crds/: helm installs those that are missing, once.

It never changes or removes one, so a component brings them up to date before an upgrade, and takes those that came with
it away again, while nobody else has objects of them: these would go with them.

Source: helm/helm@v3.19.2 pkg/action/install.go
Source: kubernetes/cli-runtime@v0.34.0 pkg/resource/query_param_verifier_v3.go
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nornir.core.task import Result, Task

from tasks.shared.cluster.control_plane import Object, kube, name_of
from tasks.shared.cluster.kubernetes_distribution import DISTRIBUTION
from thinkube_nornir.cluster import Cluster, apply, delete, restore
from thinkube_nornir.cluster.objects import reference
from thinkube_nornir.helm import Release, definitions, installed
from thinkube_nornir.outcome import all_of, said_with_changes, unchanged

CRD = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")


def update_definitions(task: Task, release: Release, names: Iterable[str]) -> Result:
    """An API drops the fields of a later release's objects that earlier definitions do not know.

    Args:
        names: of some that the chart has; where none of them is there, helm will bring them all.
    """
    there, api = installed(task, DISTRIBUTION.HELM, release.name, release.namespace), kube(task)
    if there is not None and there.is_of(release):
        return unchanged(task, "the definitions are those of the release")
    if not any(api.get(*CRD, name) for name in names):
        return unchanged(task, "no definitions of an earlier release are there")
    wanted = definitions(task, DISTRIBUTION.HELM, release)
    return all_of(task, *(apply(api, crd, summary=f"update {name_of(crd)}", force=True) for crd in wanted))


def remove_definitions(
    task: Task, going: Iterable[Object], kept: Iterable[str], going_too: Callable[[Object], bool]
) -> Result:
    """
    Args:
        kept: names of those that were there before us, which get back what they were.
        going_too: whether an object goes with the component, in a dry run a little later.
    """
    api, kept = kube(task), set(kept)
    results = [unchanged(task, "no definition came with it")]
    for crd in going:
        theirs = [obj for obj in objects_of(api, crd) if not going_too(obj)]
        if name_of(crd) in kept:
            results.append(restore(api, *CRD, name_of(crd)))
        elif theirs:
            held = ", ".join(str(reference(obj)) for obj in theirs)
            results.append(unchanged(task, f"{name_of(crd)} was left: it defines {held}"))
        else:
            results.append(delete(api, *CRD, name_of(crd), undo=False))
    return said_with_changes(task, [r for r in results if r.changed or "was left" in str(r.result)] or results)


def objects_of(api: Cluster, crd: Object) -> list[Object]:
    """Of the kind that it defines."""
    version, kind = f"{crd['spec']['group']}/{served_by(crd)[0]}", crd["spec"]["names"]["kind"]
    return api.list(version, kind) if api.kind(version, kind) is not None else []


def served_by(crd: Object) -> list[str]:
    """The versions of it."""
    return [str(version["name"]) for version in crd["spec"]["versions"] if version.get("served")]
