"""Rolling back what was done to an object: delete it, or put our fields back and give them to whom they belonged."""

from __future__ import annotations

from nornir.core.task import Result

from thinkube_nornir.cluster.deadline import deadline
from thinkube_nornir.cluster.deletion import erase, gone, is_going
from thinkube_nornir.cluster.handle import Cluster
from thinkube_nornir.cluster.managed import forget, known_as_managed
from thinkube_nornir.cluster.messages import Call, Object, refusal
from thinkube_nornir.cluster.objects import Reference, cleaned, diff
from thinkube_nornir.cluster.ownership import MANAGER, entries_put_back, is_owned_by_us, managers, put_back
from thinkube_nornir.context import context, note_retry
from thinkube_nornir.outcome import changed, unchanged
from thinkube_nornir.remote.exchange import must_not_be_read_only

_ATTEMPTS = 10  # replacing an object that someone else writes at the same moment


def restore(
    kube: Cluster, api_version: str, kind: str, name: str, namespace: str = "", *, timeout: float = 120.0
) -> Result:
    """Roll back what `apply` or `delete` did to an object: delete it, or put our fields back as they were.

    What others changed in it since stays. An object that is not managed, or in which others have taken all our fields
    over, is left alone. One that we made without setting a field (a bare namespace) is managed until others set one.
    """
    ref = Reference(api_version, kind, name, namespace)
    change = known_as_managed(kube, ref)
    if change is None:
        return unchanged(kube.task, f"{ref} is not managed")
    live, before = kube.get(api_version, kind, name, namespace), change.before["object"]
    if live is None and before is None:
        forget(kube, change)
        return unchanged(kube.task, f"{ref} is gone already")
    if live is not None and not is_owned_by_us(live) and (before or managers(live)):
        forget(kube, change)
        return unchanged(kube.task, f"{ref} was left alone: it now belongs to {', '.join(managers(live)) or 'others'}")
    summary = f"put back {ref}" if before else f"delete {ref}"
    must_not_be_read_only(kube.task, summary)
    target = before and (put_back(live, before) if live else before)
    shown = diff(live, target)
    if context(kube.task).dry_run:
        return changed(kube.task, summary, diff=shown, planned=True)
    if live and before and is_going(live):
        live = gone(kube, ref, live, timeout)
    if not before and live:
        erase(kube, ref, live, timeout)
    elif live:
        _replaced(kube, ref, before)
    else:
        _created(kube, ref, before)
    forget(kube, change)
    return changed(kube.task, summary, diff=shown)


def _replaced(kube: Cluster, ref: Reference, before: Object) -> None:
    """Put our fields of the live object back, then give their previous owners back what they owned."""
    path = kube.must_serve(ref.api_version, ref.kind).path(ref.namespace, ref.name)
    query, doing = {"fieldManager": MANAGER}, f"putting back {ref}"
    within = deadline(kube.task)
    for _ in within.attempts(_ATTEMPTS):
        live = kube.get(ref.api_version, ref.kind, ref.name, ref.namespace)
        if live is None:
            return _created(kube, ref, before)
        answer = kube.client.request(Call("PUT", path, query, put_back(live, before), doing=doing), within)
        if answer.status != 409:
            break
        note_retry(kube.task, f"{doing}: it changed meanwhile")
    if not answer.good:
        raise refusal(answer, doing, kube.host)
    return _given_back(kube, ref, answer.json(), before)


def _created(kube: Cluster, ref: Reference, before: Object) -> None:
    """Create the object as it was. All fields would be of this program then: see _given_back."""
    path = kube.must_serve(ref.api_version, ref.kind).path(ref.namespace)
    call = Call("POST", path, {"fieldManager": MANAGER}, cleaned(before), doing=f"creating {ref} again")
    answer = kube.client.request(call, deadline(kube.task))
    if not answer.good and answer.status != 409:  # 409: an attempt whose answer was lost made it
        raise refusal(answer, call.doing, kube.host)
    live = answer.json() if answer.good else kube.get(ref.api_version, ref.kind, ref.name, ref.namespace)
    if live:
        _given_back(kube, ref, live, before)


def _given_back(kube: Cluster, ref: Reference, live: Object, before: Object) -> None:
    """Let those own its fields who owned them before us; the API takes that only from a patch of what is there.

    Source: kubernetes/kubernetes@v1.36.2
        staging/src/k8s.io/apimachinery/pkg/util/managedfields/internal/fieldmanager.go (decodeLiveOrNew)
    """
    path = kube.must_serve(ref.api_version, ref.kind).path(ref.namespace, ref.name)
    owners = {"metadata": {"managedFields": entries_put_back(live, before)}}
    doing = f"giving {ref} back to its owners"
    call = Call("PATCH", path, {"fieldManager": MANAGER}, owners, "application/merge-patch+json", doing)
    kube.client.ask(call, deadline(kube.task))
