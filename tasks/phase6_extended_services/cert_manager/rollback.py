"""Ending what cert-manager does at Cloudflare for a certificate, while it still runs."""

from __future__ import annotations

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.cert_manager.issuing import certificate, parts
from tasks.phase6_extended_services.cert_manager.names import ACME_API, API, ISSUERS, SOURCE_NAMESPACE, certificate_name
from tasks.phase6_extended_services.cert_manager.resources import stays
from tasks.shared.cluster.control_plane import Object, kube, name_of
from thinkube_nornir.cluster import drop_finalizer, wait_all
from thinkube_nornir.context import is_managed
from thinkube_nornir.errors import DeadlinePassed
from thinkube_nornir.outcome import all_of, unchanged

_FINALIZER = "acme.cert-manager.io/finalizer"
_CHALLENGES = 120.0  # seconds for the controller to remove its records at Cloudflare


def end_challenges(task: Task) -> Result:
    """One whose record Cloudflare does not let go stays for ever: with a token that was revoked, say.

    Source: cert-manager/cert-manager@v1.20.3 pkg/controller/acmechallenges/sync.go
    """
    managed = any(is_managed(task, f"object:{API}/ClusterIssuer/{name}") for name in ISSUERS)
    if not managed or certificate(task) is not None:
        return unchanged(task, stays(task) or "no challenge has to end")
    _await_none(task, "Order")
    try:
        _await_none(task, "Challenge")
    except DeadlinePassed:
        found, mine = kube(task).list(ACME_API, "Challenge", SOURCE_NAMESPACE), parts(task, "Challenge")
        stuck = [obj for obj in found if name_of(obj) in mine and obj["metadata"].get("deletionTimestamp")]
        if not stuck:
            raise
        return all_of(task, *[_released(task, obj) for obj in stuck])
    return unchanged(task, stays(task) or "no challenge is left")


def _released(task: Task, challenge: Object) -> Result:
    status, record = challenge.get("status") or {}, f"_acme-challenge.{challenge['spec']['dnsName']}"
    left = f"; its record {record} was left at Cloudflare" if status.get("presented") else ""
    summary = f"let Challenge {name_of(challenge)} go{left}: {status.get('reason', 'its controller does not')}"
    return drop_finalizer(kube(task), challenge, _FINALIZER, summary=summary)


def _await_none(task: Task, kind: str) -> None:
    """Their owner is gone; the controller removes their records first, and then lets them go."""
    prefix = f"{certificate_name(task)}-"
    wait_all(
        kube(task),
        *(ACME_API, kind, SOURCE_NAMESPACE),
        condition=lambda found: not any(name_of(obj).startswith(prefix) for obj in found),
        what=f"the controller to end its {kind.lower()}s of {certificate_name(task)}",
        timeout=_CHALLENGES,
    )
