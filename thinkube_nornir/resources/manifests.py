"""Manifest: objects of a Kubernetes cluster that are there and as declared, down to the running of their workloads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nornir.core.task import Result, Task

from thinkube_nornir.change_log import Change
from thinkube_nornir.cluster import Cluster, Object, apply, foreign_in_namespace, restore, rolled_out, wait
from thinkube_nornir.cluster.managed import settle
from thinkube_nornir.cluster.objects import Reference, diff, reference
from thinkube_nornir.command import Fact
from thinkube_nornir.context import component_of, context
from thinkube_nornir.outcome import all_of, changed, said_with_changes, skipped, unchanged
from thinkube_nornir.resources.base import Resource, State, resolve
from thinkube_nornir.resources.clusters import ClusterAccess
from thinkube_nornir.resources.comparison import WORKLOADS, Finding, as_state, compare, is_ready, unready, wanted


@dataclass(frozen=True)
class _Record:
    ref: Reference
    change: Change


@dataclass(frozen=True)
class Manifest(Resource):
    """Objects, from a template below config.yaml's templates folder or from a function of the task.

    They are applied in their order, and removed in the reverse one. Fields that are not declared are left to others.
    An object that an earlier run made and that is declared no more goes. A namespace stays while anything is in it.

    Args:
        what: the objects together are, for the names of the steps.
        values: what the template uses beside the inventory.
        ready: a condition that must be true of each object that is no workload, such as `Ready`; empty for none.
        timeout: seconds in which one of them must become ready, or be rolled out.
    """

    what: str
    cluster: ClusterAccess
    objects: Sequence[Object] | Callable[[Task], Sequence[Object]] = ()
    template: str = ""
    values: Mapping[str, Any] | Callable[[Task], Mapping[str, Any]] = field(default_factory=dict)
    ready: str = ""
    timeout: float = 600.0

    def __post_init__(self) -> None:
        if bool(self.objects) == bool(self.template):
            raise TypeError(f"{self.name} has objects or a template, one of the two")

    @property
    def words(self) -> tuple[str, ...]:
        return "manifest", self.label or self.what

    def facts(self, task: Task) -> tuple[Fact[Any], ...]:
        """None: hosts know nothing of it."""
        return ()

    def declared(self, task: Task) -> list[Object]:
        if not self.template:
            return list(resolve(task, self.objects))
        from thinkube_nornir.templates import render_yaml  # components are listed without it

        return [found for found in render_yaml(task, self.template, **resolve(task, self.values)) if found]

    def set_up(self, task: Task) -> Result:
        if context(task).dry_run and not self.absent_because(task) and not self.cluster.exists(task):
            manifests = self.declared(task)
            names, shown = ", ".join(str(reference(m)) for m in manifests), "".join(diff(None, m) for m in manifests)
            return changed(task, f"create {names}", diff=shown, planned=True)
        result = super().set_up(task)
        if not self.absent_because(task):
            kube = self.cluster.connect(task)
            for manifest in self.declared(task):
                settle(kube, reference(manifest))
        return result

    def state(self, task: Task) -> State:
        kube, manifests = self.cluster.connect(task), self.declared(task)
        findings = [found for manifest in manifests if (found := self._finding(kube, manifest))]
        undeclared = self._undeclared(task, manifests)
        findings += [Finding(record.ref, "is declared no more", "not there", "there") for record in undeclared]
        return as_state(self.title, [reference(manifest) for manifest in manifests], findings)

    def apply(self, task: Task) -> Result:
        """What is declared no more goes first: it may hold what takes its place."""
        kube, manifests = self.cluster.connect(task), self.declared(task)
        results = [self._taken_back(kube, record) for record in self._undeclared(task, manifests)]
        for manifest in manifests:
            live = kube.get(*reference(manifest).place)
            if compare(kube, manifest, live):
                results.append(apply(kube, wanted(manifest, live), force=True, part=self.name))
        if context(task).dry_run:
            return all_of(task, *results) if results else skipped(task, f"a dry run does not wait for {self.what}")
        for manifest in manifests:
            self._await_ready(kube, reference(manifest))
        return all_of(task, *results) if results else unchanged(task, f"{self.title} is ready by now")

    def restore(self, task: Task) -> Result:
        """An object that is not ours any more, because others use it, is said beside those that went."""
        records = self._recorded(task)
        if not records:
            return unchanged(task, f"nothing of {self.title} is ours")
        if not self.cluster.exists(task):
            return _forgotten(task, records)
        kube = self.cluster.connect(task)
        return said_with_changes(task, [self._taken_back(kube, record) for record in reversed(records)])

    def _recorded(self, task: Task) -> list[_Record]:
        """What is ours of it, in the order in which it was made."""
        changes = context(task).change_log.changes(host=task.host.name, component=component_of(task))
        found = [(ref, change) for change in changes if (ref := Reference.of(change.key))]
        nobodys = any(not change.before.get("part") for _, change in found)  # recorded without the resource's name
        declared = {reference(manifest) for manifest in self.declared(task)} if nobodys else set()
        return [
            _Record(ref, change)
            for ref, change in found
            if change.before.get("part") == self.name or (not change.before.get("part") and ref in declared)
        ]

    def _undeclared(self, task: Task, manifests: Sequence[Object]) -> list[_Record]:
        """Without namespaces, in which others may have something by now: they are left to the rollback."""
        declared = {reference(manifest) for manifest in manifests}
        left = [record for record in self._recorded(task) if record.ref not in declared]
        return [record for record in reversed(left) if record.ref.kind != "Namespace"]

    def _taken_back(self, kube: Cluster, record: _Record) -> Result:
        made = record.change.before["object"] is None
        if made and record.ref.kind == "Namespace" and (held := foreign_in_namespace(kube, record.ref.name)):
            return unchanged(kube.task, f"{record.ref} was left: it holds {', '.join(map(str, held))}")
        return restore(kube, *record.ref.place)

    def _finding(self, kube: Cluster, manifest: Object) -> Finding | None:
        live = kube.get(*reference(manifest).place)
        found = compare(kube, manifest, live)
        return found or (unready(kube, live, self.ready) if live else None)

    def _await_ready(self, kube: Cluster, ref: Reference) -> None:
        if ref.kind in WORKLOADS:
            rolled_out(kube, ref.kind, ref.name, ref.namespace, timeout=self.timeout)
        elif self.ready or ref.kind == "CustomResourceDefinition":
            what = f"{ref} to be {self.ready or 'Established'}"
            ready = self.ready
            wait(kube, *ref.place, condition=lambda o: is_ready(o, ready), what=what, timeout=self.timeout)


def _forgotten(task: Task, records: Sequence[_Record]) -> Result:
    run, names = context(task), ", ".join(str(record.ref) for record in records)
    if not run.dry_run:
        for record in records:
            run.change_log.undone(record.change)
    return changed(task, f"forget {names}: their cluster has gone", planned=run.dry_run)
