"""Manifest: objects of a Kubernetes cluster that are there and as declared, down to the running of their workloads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nornir.core.task import Result, Task

from thinkube_nornir.change_log import Change
from thinkube_nornir.cluster import Cluster, Object, apply, delete, foreign_in_namespace, restore, rolled_out, wait
from thinkube_nornir.cluster.deadline import deadline
from thinkube_nornir.cluster.deletion import erase
from thinkube_nornir.cluster.managed import known_as_managed, settle
from thinkube_nornir.cluster.objects import Reference, diff, reference
from thinkube_nornir.cluster.ownership import is_owned_by_us
from thinkube_nornir.command import Fact
from thinkube_nornir.context import component_of, context
from thinkube_nornir.errors import CheckFailed, DeadlinePassed, ThinkubeError
from thinkube_nornir.outcome import all_of, changed, said_with_changes, skipped, unchanged
from thinkube_nornir.resources.base import NotKnown, Resource, State, resolve
from thinkube_nornir.resources.clusters import ClusterAccess
from thinkube_nornir.resources.comparison import (
    WORKLOADS,
    Finding,
    as_state,
    compare,
    conditions,
    has_failed,
    is_ready,
    troubles,
    unready,
    wanted,
)

_DEFINITION = "CustomResourceDefinition"
_ATTEMPTS = 10  # at looking up a kind
_GONE = 120.0  # seconds for an object that is deleted


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
        ready: a condition that must be true of each object whose kind says nothing else, such as `Ready`; empty for
            none. Workloads must be rolled out, Jobs complete, the last run of a CronJob a success.
        fix: what helps where an object does not become ready.
        belongs: says of what is in a namespace of it whether it belongs to it, though nobody recorded it.
        leaves: what a controller makes for an object and does not remove: it goes right after an object that we made.
        timeout: seconds in which one of them must become ready, or be rolled out.
    """

    what: str
    cluster: ClusterAccess
    objects: Sequence[Object] | Callable[[Task], Sequence[Object]] = ()
    template: str = ""
    values: Mapping[str, Any] | Callable[[Task], Mapping[str, Any]] = field(default_factory=dict)
    ready: str = ""
    fix: str = ""
    belongs: Callable[[Object], bool] = lambda _: False
    leaves: Callable[[Task], Mapping[Reference, Reference]] = lambda _: {}
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
        try:
            result = super().set_up(task)
        except NotKnown as error:
            if context(task).dry_run:
                return skipped(task, f"not known yet: {error.what}")
            raise
        for record in self._recorded(task):
            if record.change.state == "intended" and not self.absent_because(task):
                settle(self.cluster.connect(task), record.ref)
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
        results = self._rolled_back(kube, self._undeclared(task, manifests))
        for manifest in manifests:
            live = kube.get(*(ref := reference(manifest)).place)
            if has_failed(live):
                results.append(delete(kube, *ref.place, summary=f"delete {ref}, which failed", undo=False))
                live = None
            if compare(kube, manifest, live):
                force = ref.kind != "Secret" or known_as_managed(kube, ref) is not None  # of others it is kept nowhere
                results.append(apply(kube, wanted(manifest, live), force=force, part=self.name))
                if ref.kind == _DEFINITION and not context(task).dry_run:
                    self._await_kind(kube, manifest)
        if context(task).dry_run:
            return all_of(task, *results) if results else skipped(task, f"a dry run does not wait for {self.what}")
        for manifest in manifests:
            self._await_ready(kube, manifest)
        return all_of(task, *results) if results else unchanged(task, f"{self.title} is as declared")

    def restore(self, task: Task) -> Result:
        """An object that is not managed any more, because others use it, is said beside those that went."""
        records = self._recorded(task)
        if not records:
            return unchanged(task, f"nothing of {self.title} is managed")
        if not self.cluster.exists(task):
            return _forgotten(task, records)
        kube = self.cluster.connect(task)
        return said_with_changes(task, self._rolled_back(kube, [*reversed(records)]))

    def _recorded(self, task: Task) -> list[_Record]:
        """What is managed of it, in the order in which it was made."""
        changes = context(task).change_log.changes(host=task.host.name, component=component_of(task))
        found = [(ref, change) for change in changes if (ref := Reference.of(change.key))]
        unnamed = any(not change.before.get("part") for _, change in found)  # recorded without the resource's name
        declared = self._known(task) if unnamed else frozenset()
        return [
            _Record(ref, change)
            for ref, change in found
            if change.before.get("part") == self.name or (not change.before.get("part") and ref in declared)
        ]

    def _known(self, task: Task) -> frozenset[Reference]:
        """What is declared, as far as that can be known by now."""
        try:
            return frozenset(reference(manifest) for manifest in self.declared(task))
        except ThinkubeError:
            return frozenset()

    def _undeclared(self, task: Task, manifests: Sequence[Object]) -> list[_Record]:
        """Without namespaces, in which others may have something by now: they are left to the rollback."""
        declared = {reference(manifest) for manifest in manifests}
        left = [record for record in self._recorded(task) if record.ref not in declared]
        return [record for record in reversed(left) if record.ref.kind != "Namespace"]

    def _rolled_back(self, kube: Cluster, records: Sequence[_Record]) -> list[Result]:
        leaves = self.leaves(kube.task) if records else {}
        return [result for record in records for result in self._one_rolled_back(kube, record, leaves.get(record.ref))]

    def _one_rolled_back(self, kube: Cluster, record: _Record, leaf: Reference | None) -> list[Result]:
        ref, made = record.ref, record.change.before["object"] is None
        if made and ref.kind == "Namespace" and (held := foreign_in_namespace(kube, ref.name, belongs=self.belongs)):
            return [unchanged(kube.task, f"{ref} was left: it holds {', '.join(map(str, held))}")]
        if not (made and leaf):
            return [restore(kube, *ref.place)]
        live = kube.get(*ref.place)
        goes = live is not None and is_owned_by_us(live)
        if live and goes and not context(kube.task).dry_run:
            erase(kube, ref, live, _GONE)  # its record stays until the rest has gone, too
        gone = changed(kube.task, f"delete {ref}") if goes else unchanged(kube.task, f"{ref} is gone")
        left = delete(kube, *leaf.place, undo=False)
        ended = restore(kube, *ref.place)
        return [ended if ended.changed else gone, left]

    def _finding(self, kube: Cluster, manifest: Object) -> Finding | None:
        live = kube.get(*reference(manifest).place)
        found = compare(kube, manifest, live)
        if found is None and live is not None and (found := unready(kube, live, self.ready)) and found.fix and self.fix:
            return replace(found, fix=self.fix)
        return found

    def _await_ready(self, kube: Cluster, manifest: Object) -> None:
        """
        Raises:
            CheckFailed: a Job failed.
            DeadlinePassed: it did not become ready.
        """
        ref = reference(manifest)
        if ref.kind in WORKLOADS:
            rolled_out(kube, ref.kind, ref.name, ref.namespace, timeout=self.timeout)
        elif ref.kind not in ("CronJob", _DEFINITION) and not is_ready(manifest, self.ready):
            self._await_condition(kube, ref)

    def _await_kind(self, kube: Cluster, definition: Object) -> None:
        """Objects of it may follow at once: the API serves a kind a moment after it says that it is established."""
        self._await_condition(kube, reference(definition))
        spec = definition["spec"]
        version = next(v["name"] for v in spec["versions"] if v["storage"])
        for _ in deadline(kube.task, self.timeout).attempts(_ATTEMPTS):
            if kube.kind(f"{spec['group']}/{version}", spec["names"]["kind"]):
                return

    def _await_condition(self, kube: Cluster, ref: Reference) -> None:
        def ended(found: Object | None) -> bool:
            return is_ready(found, self.ready) or has_failed(found)

        try:
            found = wait(kube, *ref.place, condition=ended, what=f"{ref} to be ready", timeout=self.timeout)
        except DeadlinePassed as error:
            why = f"{error.why}\n{troubles(kube, ref)}".rstrip()
            raise DeadlinePassed(error.what, why=why, fix=self.fix or error.fix) from error
        if has_failed(found):
            why, again = f"{conditions(found)}\n{troubles(kube, ref)}".rstrip(), "remove the cause, then run again"
            raise CheckFailed(f"{ref} failed", why=why, fix=self.fix or again)


def _forgotten(task: Task, records: Sequence[_Record]) -> Result:
    run, names = context(task), ", ".join(str(record.ref) for record in records)
    if not run.dry_run:
        for record in records:
            run.change_log.undone(record.change)
    return changed(task, f"forget {names}: their cluster has gone", planned=run.dry_run)
