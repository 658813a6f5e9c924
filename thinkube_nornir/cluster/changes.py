"""The cluster door's writes: apply, delete, restore. A dry run only promises them, and the ledger knows them all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from nornir.core.task import Result

from thinkube_nornir.cluster.handle import Cluster
from thinkube_nornir.cluster.messages import Answer, Call, Object, refusal
from thinkube_nornir.cluster.objects import Reference, as_kept, cleaned, diff, reference, same
from thinkube_nornir.cluster.ownership import MANAGER, OURS, entries_put_back, is_ours, managers, put_back
from thinkube_nornir.cluster.patience import patience
from thinkube_nornir.cluster.waits import wait
from thinkube_nornir.context import component_of, context, is_read_only, note_retry
from thinkube_nornir.errors import ClusterError, Refused
from thinkube_nornir.ledger import Change
from thinkube_nornir.outcome import changed, unchanged
from thinkube_nornir.remote.exchange import must_not_be_read_only
from thinkube_nornir.secret import redact

_ATTEMPTS = 5  # replacing an object that someone else writes at the same moment


def apply(kube: Cluster, manifest: Object, *, summary: str = "", force: bool = False) -> Result:
    """Make an object, or the fields of it that the manifest names, as the manifest says: a server-side apply.

    Args:
        force: take fields over from whoever manages them now; `restore` gives them back.

    Raises:
        Refused: others manage these fields, or a Secret that is not ours has another content.
        ClusterError: the API does not accept the manifest.
    """
    ref, manifest = reference(manifest), as_kept(manifest)
    live = kube.get(ref.api_version, ref.kind, ref.name, ref.namespace)
    summary = redact(summary or f"{'change' if live else 'create'} {ref}")
    wanted = _promised(kube, ref, manifest, force)
    if same(live, wanted):
        _settle(kube, ref)
        return unchanged(kube.task, f"{ref} is as wanted")
    must_not_be_read_only(kube.task, summary)
    _must_be_restorable(kube, ref, live)
    shown = diff(live, wanted if live else manifest)  # what the server fills in is no news
    if context(kube.task).dry_run:
        return changed(kube.task, summary, diff=shown, planned=True)
    with _recorded(kube, ref, summary, live):
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

    One that `apply` created is forgotten; of any other the former state is kept for `restore`.

    Args:
        undo: False for what nobody will want back, such as what a controller made for an object of ours.

    Raises:
        DeadlinePassed: it is still there after `timeout` seconds; names the finalizers that hold it.
    """
    ref = Reference(api_version, kind, name, namespace)
    live = kube.get(api_version, kind, name, namespace)
    ours = _ours(kube, ref)
    created_by_us = ours is not None and ours.before["object"] is None
    if live is None:
        if ours and created_by_us:
            _forget(kube, ours)
        return unchanged(kube.task, f"{ref} is not there")
    summary = redact(summary or f"delete {ref}")
    must_not_be_read_only(kube.task, summary)
    if context(kube.task).dry_run:
        return changed(kube.task, summary, diff=diff(live, None), planned=True)
    if undo and not created_by_us:
        _must_be_restorable(kube, ref, live)
        with _recorded(kube, ref, summary, live):
            _erase(kube, ref, live, timeout)
    else:
        _erase(kube, ref, live, timeout)
    if ours and created_by_us:
        _forget(kube, ours)
    return changed(kube.task, summary, diff=diff(live, None))


def restore(
    kube: Cluster, api_version: str, kind: str, name: str, namespace: str = "", *, timeout: float = 120.0
) -> Result:
    """Take back what `apply` or `delete` did to an object: delete it, or put our fields back as they were.

    What others changed in it since stays. An object that is not ours, or in which others have taken all of our fields
    over, is left alone. One that we made without setting a field (a bare namespace) is ours until others set one.
    """
    ref = Reference(api_version, kind, name, namespace)
    ours = _ours(kube, ref)
    if ours is None:
        return unchanged(kube.task, f"{ref} is not ours")
    live, before = kube.get(api_version, kind, name, namespace), ours.before["object"]
    if live is None and before is None:
        _forget(kube, ours)
        return unchanged(kube.task, f"{ref} is gone already")
    if live is not None and not is_ours(live) and (before or managers(live)):
        _forget(kube, ours)
        return unchanged(kube.task, f"{ref} was left alone: it now belongs to {', '.join(managers(live)) or 'others'}")
    summary = f"put back {ref}" if before else f"delete {ref}"
    must_not_be_read_only(kube.task, summary)
    target = before and (put_back(live, before) if live else before)
    shown = diff(live, target)
    if context(kube.task).dry_run:
        return changed(kube.task, summary, diff=shown, planned=True)
    if not before and live:
        _erase(kube, ref, live, timeout)
    elif live:
        _replaced(kube, ref, before)
    else:
        _created(kube, ref, before)
    _forget(kube, ours)
    return changed(kube.task, summary, diff=shown)


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
    answer = kube.client.request(call, patience(kube.task))
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
    query = OURS | {"force": str(force).lower()}
    call = Call(
        "PATCH",
        kube.must_serve(ref.api_version, ref.kind).path(ref.namespace, ref.name),
        query | ({"dryRun": "All"} if dry_run else {}),
        manifest,
        "application/apply-patch+yaml",  # JSON is YAML
        f"applying {ref}",
    )
    answer = kube.client.request(call, patience(kube.task))
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
    """The former content of a Secret could only be kept where no secret may be: in the journal."""
    if ref.kind != "Secret" or live is None or is_ours(live) or _ours(kube, ref):
        return
    raise Refused(
        f"{ref} exists with another content and is not ours",
        why=f"it belongs to {', '.join(managers(live)) or 'someone else'}, and rollback could not put it back",
        fix="see whether it is still needed; delete or rename it, then run again",
    )


def _erase(kube: Cluster, ref: Reference, live: Object, timeout: float) -> None:
    uid = live["metadata"]["uid"]
    options = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Background",
        "preconditions": {"uid": uid},
    }
    path = kube.must_serve(ref.api_version, ref.kind).path(ref.namespace, ref.name)
    call = Call("DELETE", path, body=options, doing=f"deleting {ref}")
    answer = kube.client.request(call, patience(kube.task))
    if answer.status in (404, 409):  # gone, or another one of that name by now
        return
    if not answer.good:
        raise refusal(answer, call.doing, kube.host)
    wait(
        kube,
        *(ref.api_version, ref.kind, ref.name, ref.namespace),
        condition=lambda obj: obj is None or obj["metadata"]["uid"] != uid,
        what=f"{ref} to be gone",
        timeout=timeout,
        show=_what_holds,
    )


def _what_holds(obj: Object | None) -> str:
    metadata, status = (obj or {}).get("metadata", {}), (obj or {}).get("status") or {}
    finalizers = list(metadata.get("finalizers") or []) + list((obj or {}).get("spec", {}).get("finalizers") or [])
    reasons = [
        f"{c.get('type')}: {c.get('message')}" for c in status.get("conditions") or [] if c.get("status") == "True"
    ]
    return "\n".join([f"finalizers still there: {', '.join(finalizers) or 'none'}", *reasons])


def _replaced(kube: Cluster, ref: Reference, before: Object) -> None:
    """Put our fields of the live object back, then give their former owners back what they owned."""
    path = kube.must_serve(ref.api_version, ref.kind).path(ref.namespace, ref.name)
    query, doing = {"fieldManager": MANAGER}, f"putting back {ref}"
    for _ in range(_ATTEMPTS):
        live = kube.get(ref.api_version, ref.kind, ref.name, ref.namespace)
        if live is None:
            return _created(kube, ref, before)
        answer = kube.client.request(Call("PUT", path, query, put_back(live, before), doing=doing), patience(kube.task))
        if answer.status != 409:
            break
        note_retry(kube.task, f"{doing}: it changed meanwhile")
    if not answer.good:
        raise refusal(answer, doing, kube.host)
    owners = {"metadata": {"managedFields": entries_put_back(answer.json(), before)}}
    kube.client.ask(Call("PATCH", path, query, owners, "application/merge-patch+json", doing), patience(kube.task))
    return None


def _created(kube: Cluster, ref: Reference, before: Object) -> None:
    path = kube.must_serve(ref.api_version, ref.kind).path(ref.namespace)
    call = Call("POST", path, {"fieldManager": MANAGER}, cleaned(before), doing=f"creating {ref} again")
    answer = kube.client.request(call, patience(kube.task))
    if not answer.good and answer.status != 409:  # 409: an attempt whose answer was lost made it
        raise refusal(answer, call.doing, kube.host)


def _ours(kube: Cluster, ref: Reference) -> Change | None:
    return context(kube.task).ledger.ours(kube.host, ref.key)


def _forget(kube: Cluster, ours: Change) -> None:
    run = context(kube.task)
    if not run.dry_run and not is_read_only(kube.task):
        run.ledger.undone(ours)


def _settle(kube: Cluster, ref: Reference) -> None:
    """A killed run left its intention behind, and the effect is there: it was done."""
    ours, run = _ours(kube, ref), context(kube.task)
    if ours and ours.state == "intended" and not run.dry_run and not is_read_only(kube.task):
        run.ledger.done(ours)


@contextmanager
def _recorded(kube: Cluster, ref: Reference, summary: str, live: Object | None) -> Iterator[None]:
    """Make the change ours before it happens; what the API clearly refused never was."""
    ledger, known = context(kube.task).ledger, _ours(kube, ref)
    before = None if live is None or ref.kind == "Secret" else {k: v for k, v in live.items() if k != "status"}
    intended = ledger.intend(
        host=kube.host, component=component_of(kube.task), key=ref.key, summary=summary, before={"object": before}
    )
    try:
        yield
    except (Refused, ClusterError) as error:
        if known is None and (isinstance(error, Refused) or 400 <= (error.status or 0) < 500):
            ledger.undone(intended)
        raise
    ledger.done(intended)
