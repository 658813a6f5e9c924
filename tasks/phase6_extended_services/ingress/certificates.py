"""The certificate that a controller serves: what is wrong with its copy, and what a client must trust."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from nornir.core.task import Task

from tasks.phase6_extended_services.ingress.controller import Controller
from tasks.shared.cluster.control_plane import Object, kube
from tasks.shared.cluster.tls import read_pair
from thinkube_nornir.context import setting

PUBLIC = "letsencrypt-prod"
"""The one issuer that every client trusts already."""


def secret_of(task: Task, controller: Controller) -> Object | None:
    return kube(task).get("v1", "Secret", controller.secret, controller.namespace)


def faults_of(secret: Object | None, domain: str) -> list[str]:
    """What keeps it from being a valid certificate for all names of a domain; empty when nothing does."""
    if secret is None:
        return ["it is not there"]
    try:
        pair = read_pair(secret)
    except (ValueError, TypeError) as error:
        return [f"it holds no certificate with its key: {error}"]
    names, wanted = ", ".join(sorted(pair.names)) or "no name", f"*.{domain}"
    statements = {
        f"it covers {names}, not {wanted}": wanted not in pair.names,
        f"it ended at {pair.end:%Y-%m-%d}": pair.end <= datetime.now(UTC),
        "its key is of another certificate": not pair.key_matches,
    }
    return [text for text, holds in statements.items() if holds]


def trusted(task: Task, controller: Controller) -> str:
    """What must be in the chain that the controller shows, PEM; empty for what every client trusts.

    Its authority, else the certificate itself: curl accepts a chain that ends in any certificate it was given.
    """
    if setting(task, "acme_issuer") == PUBLIC:
        return ""
    data = (secret_of(task, controller) or {}).get("data") or {}
    return base64.b64decode(data.get("ca.crt") or data.get("tls.crt") or "").decode(errors="replace")
