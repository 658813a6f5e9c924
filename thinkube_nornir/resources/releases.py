"""HelmRelease: a chart that is installed in its version with its values, and of which nothing was changed or deleted.

`helm upgrade` looks at less: what it renders it compares with the last revision, and, for kinds that helm knows, with
what is there; of custom kinds it repairs nothing, and where chart, version and values are the same nobody calls it. So
its objects are compared with what helm stored, and what differs is applied from that as helm's own, and nothing beside.

Source: helm/helm@v3.19.2 pkg/kube/client.go (update, createPatch)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nornir.core.task import Result, Task

from thinkube_nornir.cluster import Cluster, Object, delete, namespace_troubles, rolled_out
from thinkube_nornir.cluster.deletion import gone, is_going
from thinkube_nornir.cluster.managed import known_as_managed
from thinkube_nornir.cluster.objects import Reference, reference
from thinkube_nornir.cluster.ownership import is_owned_by_us
from thinkube_nornir.command import Fact
from thinkube_nornir.context import context
from thinkube_nornir.errors import Refused
from thinkube_nornir.helm import (
    Release,
    deviations,
    install_or_upgrade,
    installed,
    key,
    recorded,
    releases,
    uninstall,
    values_of,
)
from thinkube_nornir.helm.releases import diff
from thinkube_nornir.helm.stored import MANAGER, Stored, stored
from thinkube_nornir.outcome import all_of, changed, said_with_changes, skipped, unchanged
from thinkube_nornir.remote import undo
from thinkube_nornir.remote.exchange import must_not_be_read_only
from thinkube_nornir.resources.base import Resource, State, resolve
from thinkube_nornir.resources.clusters import ClusterAccess
from thinkube_nornir.resources.comparison import WORKLOADS, Finding, apply_as, as_state, compare, unready, wanted

Text = str | Callable[[Task], str]
_GONE = 120.0  # seconds for an object that somebody deleted
_HELMS = "app.kubernetes.io/managed-by=Helm"
_DEFINITION = "CustomResourceDefinition"


@dataclass(frozen=True)
class HelmRelease(Resource):
    """A release of a chart, in a namespace that is there.

    Args:
        repository: `https://...`, `oci://...`, or an absolute path on the host that holds `<chart>-<version>.tgz`.
        template: renders to the chart's values, in place of `values`; below config.yaml's templates folder.
        given: what the template uses beside the inventory.
        leaves: what its pods make by themselves and nobody removes; it goes with a release that we brought.
        timeout: seconds in which its objects must become ready.
    """

    release: str
    namespace: Text
    chart: str
    version: Text
    repository: Text
    cluster: ClusterAccess
    values: Mapping[str, Any] | Callable[[Task], Mapping[str, Any]] = field(default_factory=dict)
    template: str = ""
    given: Mapping[str, Any] | Callable[[Task], Mapping[str, Any]] = field(default_factory=dict)
    leaves: Sequence[Reference] = ()
    timeout: float = 600.0

    def __post_init__(self) -> None:
        if self.values and self.template:
            raise TypeError(f"{self.name} has values or a template, not both")

    @property
    def words(self) -> tuple[str, ...]:
        return "release", self.label or self.release

    def declared(self, task: Task) -> Release:
        values = resolve(task, self.values)
        if self.template:
            from thinkube_nornir.templates import render_yaml  # components are listed without it

            (values,) = render_yaml(task, self.template, **resolve(task, self.given))
        where = (resolve(task, self.namespace), self.chart, resolve(task, self.version), resolve(task, self.repository))
        return Release(self.release, *where, values or {}, self.timeout)

    def facts(self, task: Task) -> tuple[Fact[Any], ...]:
        if not self.cluster.exists(task):
            return ()
        helm = self.cluster.helm
        return releases(helm), values_of(helm, self.release, resolve(task, self.namespace))

    def set_up(self, task: Task) -> Result:
        if context(task).dry_run and not self.absent_because(task) and not self.cluster.exists(task):
            release = self.declared(task)
            summary = f"install release {self.release}: {release.chart} {release.version}"
            return changed(task, summary, diff=diff({}, release), planned=True)
        return super().set_up(task)

    def state(self, task: Task) -> State:
        release = self.declared(task)
        if wrong := deviations(task, self.cluster.helm, release):
            expected = f"{release.chart} {release.version} is deployed, with the values that are declared"
            return State(expected, "\n".join(wrong), f"release {self.release} is not as declared")
        kube = self.cluster.connect(task)
        objects = self._stored(task, kube).objects
        live = _live(kube, objects)
        findings = [found for manifest in objects if (found := _finding(kube, manifest, live[reference(manifest)]))]
        title = f"{self.title}, {release.chart} {release.version}"
        return as_state(title, [reference(obj) for obj in objects], findings)

    def apply(self, task: Task) -> Result:
        release, kube, helm = self.declared(task), self.cluster.connect(task), self.cluster.helm
        upgraded = install_or_upgrade(task, helm, release, look=lambda: namespace_troubles(kube, release.namespace))
        if upgraded.changed and context(task).dry_run:
            return upgraded
        objects = self._stored(task, kube).objects
        results = [result for manifest in objects if (result := _repaired(kube, manifest))]
        if context(task).dry_run:
            return all_of(task, *results) if results else skipped(task, f"a dry run does not wait for {self.release}")
        for ref in map(reference, objects):
            if ref.kind in WORKLOADS:
                rolled_out(kube, ref.kind, ref.name, ref.namespace, timeout=self.timeout)
        return all_of(task, upgraded, *results)

    def restore(self, task: Task) -> Result:
        """What the chart keeps goes with a release that is managed, unless others have objects of such a kind."""
        namespace, helm = resolve(task, self.namespace), self.cluster.helm
        record = recorded(task, self.release, namespace)
        if record is None:
            return unchanged(task, f"{self.title} is not managed")
        if not self.cluster.exists(task):
            return undo(task, key(self.release, namespace), f"forget {self.title}: its cluster has gone", root=True)
        if record["revision"] is not None or installed(task, helm, self.release, namespace) is None:
            return uninstall(task, helm, self.release, namespace)
        kube = self.cluster.connect(task)
        definitions = self._definitions_gone(kube, self._stored(task, kube))
        ended = uninstall(task, helm, self.release, namespace)
        leftovers = [delete(kube, *ref.place, undo=False) for ref in self.leaves]
        return said_with_changes(task, [*definitions, ended, *leftovers])

    def _stored(self, task: Task, kube: Cluster) -> Stored:
        namespace = resolve(task, self.namespace)
        there = installed(task, self.cluster.helm, self.release, namespace)
        return stored(kube, self.release, namespace, there.revision if there else 0)

    def _definitions_gone(self, kube: Cluster, revision: Stored) -> list[Result]:
        """The definitions that the chart keeps and this release brought.

        Raises:
            Refused: others have objects of a kind that helm would remove.
        """
        results = []
        for obj in revision.objects:
            if obj["kind"] != _DEFINITION or (live := kube.get(*reference(obj).place)) is None:
                continue
            kept, others = obj in revision.kept, _objects_of_others(kube, live)
            if others and not kept:
                raise Refused(
                    f"release {self.release} has the definition of {live['spec']['names']['kind']}, which others use",
                    why=f"with it would go {', '.join(others)}",
                    fix="delete these objects, or move them to another cluster, then roll back again",
                )
            if others:
                left = f"{reference(obj)} was left: others have {', '.join(others)}"
                results.append(unchanged(kube.task, left))
            elif kept and revision.brought(live):
                results.append(delete(kube, *reference(obj).place, undo=False))
        return results


def _live(kube: Cluster, objects: Sequence[Object]) -> dict[Reference, Object | None]:
    """What is there of them: those of a kind are listed together by helm's mark, and what lacks it is looked up."""
    references = list(map(reference, objects))
    places = dict.fromkeys((ref.api_version, ref.kind, ref.namespace) for ref in references)
    listed = [obj for place in places for obj in kube.list(*place, label_selector=_HELMS)]
    found = {reference(obj): obj for obj in listed}
    return {ref: found.get(ref) or kube.get(*ref.place) for ref in references}


def _finding(kube: Cluster, manifest: Object, live: Object | None) -> Finding | None:
    return compare(kube, manifest, live, MANAGER) or (unready(kube, live) if live else None)


def _repaired(kube: Cluster, manifest: Object) -> Result | None:
    """None when it was as helm stored it."""
    ref = reference(manifest)
    live = kube.get(*ref.place)
    if (found := compare(kube, manifest, live, MANAGER)) is None:
        return None
    summary = f"{'repair' if live else 'create'} {ref}, which {found.wrong}"
    must_not_be_read_only(kube.task, summary)
    if context(kube.task).dry_run:
        return changed(kube.task, summary, planned=True)
    if live and is_going(live):
        live = gone(kube, ref, live, _GONE)
    apply_as(kube, wanted(manifest, live), MANAGER)
    return changed(kube.task, summary)


def _objects_of_others(kube: Cluster, definition: Object) -> list[str]:
    spec = definition["spec"]
    version = next(v["name"] for v in spec["versions"] if v.get("storage"))
    found = kube.list(f"{spec['group']}/{version}", spec["names"]["kind"])
    foreign = [obj for obj in found if not obj["metadata"].get("ownerReferences") and not _is_known(kube, obj)]
    return sorted(str(reference(obj)) for obj in foreign)


def _is_known(kube: Cluster, obj: Object) -> bool:
    release = (obj["metadata"].get("annotations") or {}).get("meta.helm.sh/release-name")
    return is_owned_by_us(obj) or known_as_managed(kube, reference(obj)) is not None or release is not None
