"""Objects of a cluster as they are, beside what was declared: what is missing, differs, or does not run yet.

What the API adds by itself, as defaults, is no difference: where the two are not plainly alike, the API says what an
apply would change. Source: kubernetes/kubernetes@v1.36.2
    staging/src/k8s.io/apiserver/pkg/endpoints/handlers/patch.go (dryRun, fieldManager, force)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from thinkube_nornir.cluster import Cluster, Object, condition_true, is_rolled_out, seen, workload_troubles
from thinkube_nornir.cluster.deadline import deadline
from thinkube_nornir.cluster.messages import Call, refusal
from thinkube_nornir.cluster.objects import Reference, as_kept, cleaned, reference
from thinkube_nornir.cluster.ownership import MANAGER, owned_by_us
from thinkube_nornir.errors import ClusterError
from thinkube_nornir.resources.base import State

_SCALED = ("Deployment", "StatefulSet")
WORKLOADS = (*_SCALED, "DaemonSet")
_CONDITIONS = {"CustomResourceDefinition": "Established", "Job": "Complete"}
_INVALID = 422
_SHOWN = 6  # differences of one object
_LONGEST = 120  # characters of one value
_NOTHING: Any = object()


@dataclass(frozen=True)
class Finding:
    """What is wrong with one object."""

    ref: Reference
    wrong: str
    """Completes "ConfigMap shop/web ...": "is missing"."""
    expected: str
    seen: str
    fix: str = ""
    """What to do where a set-up does not repair it."""


def as_state(what: str, references: Sequence[Reference], findings: Sequence[Finding]) -> State:
    """Of several objects that belong together; `what` is how they are called."""
    if not findings:
        names = ", ".join(map(str, references)) if len(references) <= _SHOWN else f"{len(references)} objects"
        return State(f"{what}: {names or 'no objects'}", f"{what}: {names or 'no objects'}")
    expected = "\n".join(f"{found.ref}: {found.expected}" for found in findings)
    there = "\n".join(f"{found.ref}: {found.seen}" for found in findings)
    wrong = "; ".join(f"{found.ref} {found.wrong}" for found in findings)
    fixes = [found.fix for found in findings]
    return State(expected, there, wrong, fix=fixes[0] if all(fixes) else "")


def compare(kube: Cluster, manifest: Object, live: Object | None, manager: str = MANAGER) -> Finding | None:
    """None when the object is there, is not being deleted, and is as the manifest says."""
    ref = reference(manifest)
    if live is None:
        return Finding(ref, "is missing", "there", "not there")
    if live["metadata"].get("deletionTimestamp"):
        return Finding(ref, "is being deleted", "there", "being deleted")
    manifest = wanted(manifest, live)
    if _contains(live, cleaned(manifest)) and (manager != MANAGER or _covers(manifest, owned_by_us(live))):
        return None
    try:
        new = apply_as(kube, manifest, manager, dry_run=True)
    except ClusterError as error:
        if error.status != _INVALID:  # else it differs where it cannot be changed
            raise
        return Finding(ref, "is another one, which cannot become as declared", "as declared", error.why)
    found = list(_differences(cleaned(live), cleaned(new)))
    if not found:
        return None
    masked = ref.kind == "Secret"
    shown = [(path, *(_shown(path, value, masked) for value in values)) for path, *values in found[:_SHOWN]]
    more = f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return Finding(
        ref,
        f"has another {found[0][0]}" + (f", and {len(found) - 1} more differences" if len(found) > 1 else ""),
        ", ".join(f"{path} {there}" for path, _, there in shown) + more,
        ", ".join(f"{path} {here}" for path, here, _ in shown) + more,
    )


def wanted(manifest: Object, live: Object | None) -> Object:
    """The manifest, with what it leaves to others where they have turned it off.

    A workload whose number of replicas is not said has one at least: whoever scales it may say any other. Rules of an
    aggregated role are its controller's.
    """
    manifest = as_kept(manifest)
    spec = manifest.get("spec") or {}
    if manifest["kind"] in _SCALED and "replicas" not in spec and ((live or {}).get("spec") or {}).get("replicas") == 0:
        return {**manifest, "spec": {**spec, "replicas": 1}}
    if manifest.get("aggregationRule"):
        return {name: value for name, value in manifest.items() if name != "rules"}
    return manifest


def unready(kube: Cluster, live: Object, condition: str = "") -> Finding | None:
    """What keeps an object from doing what it is there for; None when it does.

    Args:
        condition: that has to be true of every object whose kind says nothing else; empty for none.
    """
    ref = reference(live)
    if is_ready(live, condition):
        return None
    if ref.kind == "CronJob":
        command = f"kubectl -n {ref.namespace} create job --from=cronjob/{ref.name} {ref.name}-by-hand"
        fix = f"remove the cause, and run it: `{command}`"
        return Finding(ref, "has not run well", "its last run succeeded", seen(live), fix)
    reason = "\n".join(filter(None, (conditions(live), troubles(kube, ref))))
    wrong, expected = ("is not rolled out", "rolled out") if ref.kind in WORKLOADS else ("is not ready", "ready")
    place = f"-n {ref.namespace} get pods,events" if ref.namespace else f"describe {ref.kind.lower()} {ref.name}"
    fix = "" if has_failed(live) else f"see why: `kubectl {place}`"
    return Finding(ref, "failed" if has_failed(live) else wrong, expected, reason, fix)


def is_ready(live: Object | None, condition: str = "") -> bool:
    """Workloads are rolled out, Jobs complete, definitions established; else the condition holds for what is asked."""
    if live is None or live["kind"] in WORKLOADS:
        return is_rolled_out(live)
    if live["kind"] == "CronJob":
        return _has_run_well(live.get("status") or {})
    condition = _CONDITIONS.get(live["kind"], condition)
    if not condition:
        return True
    found = [c for c in (live.get("status") or {}).get("conditions") or () if c.get("type") == condition]
    generation = int(live["metadata"].get("generation", 0))
    return condition_true(live, condition) and int(found[0].get("observedGeneration", generation)) >= generation


def has_failed(live: Object | None) -> bool:
    """Whether it is a Job that failed, and never runs again."""
    return live is not None and live["kind"] == "Job" and condition_true(live, "Failed")


def _has_run_well(status: Object) -> bool:
    """Both times are of one clock, and written alike. Source: kubernetes/kubernetes@003e86297d18
    pkg/controller/cronjob/cronjob_controllerv2.go
    """
    scheduled, succeeded = str(status.get("lastScheduleTime") or ""), str(status.get("lastSuccessfulTime") or "")
    return bool(status.get("active")) or scheduled <= succeeded


def conditions(live: Object | None) -> str:
    """What an object's conditions say, the good ones too; or what else its status has."""
    found = ((live or {}).get("status") or {}).get("conditions") or ()
    lines = [f"{c.get('type')}={c.get('status')} {c.get('reason', '')}: {c.get('message', '')}" for c in found]
    return "\n".join(lines) or seen(live)


def troubles(kube: Cluster, ref: Reference) -> str:
    """What the pods of a workload or Job say that are not ready; nothing for other kinds."""
    return workload_troubles(kube, *ref.place) if ref.kind in (*WORKLOADS, "Job") else ""


def apply_as(kube: Cluster, manifest: Object, manager: str, *, dry_run: bool = False) -> Object:
    """A server-side apply that takes fields over from whoever manages them; what came of it, or would."""
    ref = reference(manifest)
    strict = "Strict" if manager == MANAGER else "Ignore"  # of a manifest that others wrote
    query = {"fieldManager": manager, "fieldValidation": strict, "force": "true"}
    query |= {"dryRun": "All"} if dry_run else {}
    path = kube.must_serve(ref.api_version, ref.kind).path(ref.namespace, ref.name)
    call = Call("PATCH", path, query, manifest, "application/apply-patch+yaml", f"applying {ref}")
    answer = kube.client.request(call, deadline(kube.task))
    if not answer.good:
        raise refusal(answer, call.doing, kube.host)
    return answer.json()


def _contains(live: Any, declared: Any) -> bool:
    """Whether all that is declared is plainly so; what the API would write in another form is not."""
    if isinstance(declared, dict):
        return isinstance(live, dict) and all(_contains(live.get(name, _NOTHING), declared[name]) for name in declared)
    if isinstance(declared, list):
        return isinstance(live, list) and len(live) == len(declared) and all(map(_contains, live, declared))
    return bool(live == declared)


def _covers(declared: Any, owned: Object) -> bool:
    """Whether all fields that this program set are still declared; one that is not goes with the next apply."""
    found = [(_at(declared, name), inner) for name, inner in owned.items() if name != "."]
    return all(value is not _NOTHING and _covers(value, inner) for value, inner in found)


def _at(declared: Any, name: str) -> Any:
    """The field, or the item of a list, that a name in managedFields means."""
    kind, _, key = name.partition(":")
    if isinstance(declared, dict):
        return declared.get(key, _NOTHING)
    if not isinstance(declared, list):
        return _NOTHING
    meant = json.loads(key)
    if kind == "v":
        return meant if meant in declared else _NOTHING
    return next((item for item in declared if isinstance(item, dict) and meant.items() <= item.items()), _NOTHING)


def _differences(live: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Path, value now, value after an apply."""
    if isinstance(live, dict) and isinstance(new, dict):
        for name in sorted({*live, *new}):
            inner = f"{path}.{name}".removeprefix(".")
            yield from _differences(live.get(name, _NOTHING), new.get(name, _NOTHING), inner)
    elif isinstance(live, list) and isinstance(new, list) and len(live) == len(new):
        for number, (one, other) in enumerate(zip(live, new, strict=True)):
            yield from _differences(one, other, f"{path}[{number}]")
    elif live != new:
        yield path, live, new


def _shown(path: str, value: Any, masked: bool) -> str:
    if value is _NOTHING:
        return "not set"
    if masked and path.partition(".")[0] in ("data", "stringData"):
        return "set to another value"
    text = json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
