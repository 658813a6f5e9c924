"""Changes of objects: apply and delete. A dry run only promises them, and the change log knows them all."""

from __future__ import annotations

import re

from nornir.core.task import Result

from thinkube_nornir.cluster.deadline import deadline
from thinkube_nornir.cluster.deletion import erase, gone, is_going
from thinkube_nornir.cluster.handle import Cluster
from thinkube_nornir.cluster.managed import forget, known_as_managed, recorded, settle
from thinkube_nornir.cluster.messages import Answer, Call, Object, refusal
from thinkube_nornir.cluster.objects import Reference, as_kept, diff, reference, same
from thinkube_nornir.cluster.ownership import AS_MANAGER, MANAGER, is_owned_by_us, managers
from thinkube_nornir.context import context, note_retry
from thinkube_nornir.errors import ClusterError, Refused
from thinkube_nornir.outcome import changed, unchanged
from thinkube_nornir.remote.exchange import must_not_be_read_only
from thinkube_nornir.secret import redact

_ATTEMPTS = 10  # applying to an object that someone else writes at the same moment


def apply(
    kube: Cluster,
    manifest: Object,
    *,
    summary: str = "",
    force: bool = False,
    timeout: float = 120.0,
    part: str = "",
) -> Result:
    """Make an object, or the fields of it that the manifest names, as the manifest says: a server-side apply.

    One that is being deleted is never as wanted: it is made anew when it has gone.

    Args:
        force: take fields over from whoever manages them now; `restore` gives them back.
        part: the resource that declares the object, for the record.
        timeout: seconds in which an object that is being deleted must go.

    Raises:
        Refused: others manage these fields, or a Secret that is not managed has another content.
        ClusterError: the API does not accept the manifest.
        DeadlinePassed: the object is being deleted and does not go; names what holds it.
    """
    ref, manifest = reference(manifest), as_kept(manifest)
    live = kube.get(ref.api_version, ref.kind, ref.name, ref.namespace)
    if live and is_going(live):
        must_not_be_read_only(kube.task, f"create {ref}, which is being deleted")
        if context(kube.task).dry_run:
            return changed(
                kube.task, f"create {ref} when its deletion is over", diff=diff(None, manifest), planned=True
            )
        live = gone(kube, ref, live, timeout)
    summary = redact(summary or f"{'change' if live else 'create'} {ref}")
    wanted = _promised(kube, ref, manifest, force)
    if same(live, wanted):
        settle(kube, ref)
        return unchanged(kube.task, f"{ref} is as wanted")
    must_not_be_read_only(kube.task, summary)
    _must_be_restorable(kube, ref, live)
    shown = diff(live, wanted if live else manifest)  # what the server fills in is no news
    if context(kube.task).dry_run:
        return changed(kube.task, summary, diff=shown, planned=True)
    with recorded(kube, ref, summary, live, part):
        made = _applied(kube, ref, manifest, force)
        if is_going(made):  # somebody deleted it since it was looked at
            gone(kube, ref, made, timeout)
            _applied(kube, ref, manifest, force)
    return changed(kube.task, summary, diff=shown)


def delete(
    kube: Cluster,
    api_version: str,
    kind: str,
    name: str,
    namespace: str = "",
    *,
    summary: str = "",
    undo: bool = True,
    timeout: float = 120.0,
) -> Result:
    """Delete an object and wait until it is gone.

    One that `apply` created is forgotten; of any other the previous state is kept for `restore`.

    Args:
        undo: False for what nobody will want back, such as what a controller made for an object that we made.

    Raises:
        DeadlinePassed: it is still there after `timeout` seconds; names the finalizers that hold it.
    """
    ref = Reference(api_version, kind, name, namespace)
    live = kube.get(api_version, kind, name, namespace)
    change = known_as_managed(kube, ref)
    created_by_us = change is not None and change.before["object"] is None
    if live is None:
        if change and created_by_us:
            forget(kube, change)
        return unchanged(kube.task, f"{ref} is not there")
    summary = redact(summary or f"delete {ref}")
    must_not_be_read_only(kube.task, summary)
    if context(kube.task).dry_run:
        return changed(kube.task, summary, diff=diff(live, None), planned=True)
    if undo and not created_by_us:
        _must_be_restorable(kube, ref, live)
        with recorded(kube, ref, summary, live):
            erase(kube, ref, live, timeout)
    else:
        erase(kube, ref, live, timeout)
    if change and (created_by_us or not undo):
        forget(kube, change)
    return changed(kube.task, summary, diff=diff(live, None))


def drop_finalizer(kube: Cluster, obj: Object, finalizer: str, *, summary: str) -> Result:
    """Let an object that is being deleted go, though its controller has not done what the finalizer stands for."""
    at = obj["metadata"]
    ref = Reference(obj["apiVersion"], obj["kind"], at["name"], at.get("namespace", ""))
    kept = [name for name in at.get("finalizers") or [] if name != finalizer]
    must_not_be_read_only(kube.task, summary)
    if context(kube.task).dry_run:
        return changed(kube.task, summary, planned=True)
    path = kube.must_serve(ref.api_version, ref.kind).path(ref.namespace, ref.name)
    change = {"metadata": {"finalizers": kept or None, "uid": at["uid"]}}
    call = Call("PATCH", path, {"fieldManager": MANAGER}, change, "application/merge-patch+json", summary)
    answer = kube.client.request(call, deadline(kube.task))
    if not answer.good and answer.status not in (404, 409):  # gone meanwhile, or another one of that name
        raise refusal(answer, call.doing, kube.host)
    return changed(kube.task, summary)


def _promised(kube: Cluster, ref: Reference, manifest: Object, force: bool) -> Object:
    """The object as an apply would leave it; the manifest itself when a dry run cannot ask the API yet."""
    early = context(kube.task).dry_run  # the namespace or the CRD may be only promised so far
    if early and kube.kind(ref.api_version, ref.kind) is None:
        return manifest
    try:
        return _applied(kube, ref, manifest, force, dry_run=True)
    except ClusterError as error:
        if early and error.status == 404:
            return manifest
        raise


def _applied(kube: Cluster, ref: Reference, manifest: Object, force: bool, *, dry_run: bool = False) -> Object:
    query = AS_MANAGER | {"force": str(force).lower()}
    call = Call(
        "PATCH",
        kube.must_serve(ref.api_version, ref.kind).path(ref.namespace, ref.name),
        query | ({"dryRun": "All"} if dry_run else {}),
        manifest,
        "application/apply-patch+yaml",  # JSON is YAML
        f"applying {ref}",
    )
    within = deadline(kube.task)
    for _ in within.attempts(_ATTEMPTS):
        answer = kube.client.request(call, within)
        if answer.status != 409 or answer.causes:
            break
        note_retry(kube.task, f"{call.doing}: it changed meanwhile")
    if answer.good:
        return answer.json()
    if answer.status == 409 and answer.causes:
        raise _conflict(answer, ref)
    raise refusal(answer, call.doing, kube.host)


def _conflict(answer: Answer, ref: Reference) -> Refused:
    fields = []
    for cause in answer.causes:
        other = re.search(r'conflict with "([^"]+)"', cause.get("message", ""))
        fields.append(f"{cause.get('field', '?')} belongs to {other[1] if other else cause.get('message', 'another')}")
    return Refused(
        f"{ref} is partly managed by others, who want something else there",
        why=redact("\n".join(fields)),
        fix="leave these fields out, or have their owner give them up; a step may take them over with force=True",
    )


def _must_be_restorable(kube: Cluster, ref: Reference, live: Object | None) -> None:
    """The previous content of a Secret could only be kept where no secret may be: in the journal."""
    if ref.kind != "Secret" or live is None or is_owned_by_us(live) or known_as_managed(kube, ref):
        return
    raise Refused(
        f"{ref} exists with another content and is not managed",
        why=f"it belongs to {', '.join(managers(live)) or 'someone else'}, and rollback could not put it back",
        fix="see whether it is still needed; delete or rename it, then run again",
    )
