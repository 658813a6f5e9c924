"""The certificate on its way: how far its issuing is, and what is wrong with what came of it."""

from __future__ import annotations

from typing import Any

from nornir.core.task import Task

from tasks.phase6_extended_services.cert_manager.names import (
    ACME_API,
    API,
    AUTHORITY,
    NAMESPACE,
    SOURCE_NAMESPACE,
    acme,
    certificate_name,
    names,
)
from tasks.phase6_extended_services.cert_manager.resources import source
from tasks.phase6_extended_services.cert_manager.tls import Pair, pair_faults, read_certificate, read_pair
from tasks.shared.cluster.control_plane import Object, kube, name_of
from thinkube_nornir.context import setting
from thinkube_nornir.resources.comparison import conditions

_ORGANIZATIONS = {"letsencrypt-prod": "Let's Encrypt", "letsencrypt-staging": "(STAGING) Let's Encrypt"}


def certificate(task: Task) -> Object | None:
    return kube(task).get(API, "Certificate", certificate_name(task), SOURCE_NAMESPACE)


def parts(task: Task, kind: str) -> dict[str, dict[str, Any]]:
    """The Orders, Challenges or CertificateRequests of the certificate: name to status."""
    found = kube(task).list(API if kind == "CertificateRequest" else ACME_API, kind, SOURCE_NAMESPACE)
    prefix = f"{certificate_name(task)}-"
    return {name_of(obj): obj.get("status") or {} for obj in found if name_of(obj).startswith(prefix)}


def issuing_state(task: Task) -> str:
    """What the certificate, its requests, orders and challenges say."""
    lines = [conditions(certificate(task))]
    for kind in ("CertificateRequest", "Order", "Challenge"):
        for name, status in parts(task, kind).items():
            state = f"{status.get('state', '')} {status.get('reason', '')}".strip() or conditions({"status": status})
            lines.append(f"{kind} {name}: {state}")
    return "\n".join(lines)


def refused_challenges(task: Task) -> frozenset[str]:
    """Those whose record was not made, by name: cert-manager says why in their reason, and tries again for ever.

    Source: cert-manager/cert-manager@v1.20.3 pkg/controller/acmechallenges/sync.go
    """
    found = parts(task, "Challenge")
    return frozenset(n for n, s in found.items() if s.get("processing") and s.get("reason") and not s.get("presented"))


def secret_faults(task: Task) -> tuple[str, ...]:
    """What is wrong with what would be served, by its bytes: a secret that is there may be a placeholder."""
    found = source(task)
    if found is None:
        return ("it is not there",)
    try:
        pair = read_pair(found)
    except (ValueError, TypeError) as error:
        return (f"it cannot be read: {error}",)
    signer = _ORGANIZATIONS.get(str(setting(task, "acme_issuer")), "the installation's own authority")
    signed = pair.organization == signer if acme(task) else _is_of_own_authority(task, pair)
    return (*pair_faults(pair, names(task)), *([] if signed else [f"it was signed by {pair.issuer}, not by {signer}"]))


def _is_of_own_authority(task: Task, pair: Pair) -> bool:
    authority = kube(task).get("v1", "Secret", AUTHORITY, NAMESPACE)
    try:
        return authority is not None and pair.signed_by(read_certificate(authority))
    except ValueError:
        return False
