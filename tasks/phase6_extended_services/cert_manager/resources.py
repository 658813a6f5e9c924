"""What cert-manager consists of here: the chart, issuers, the certificate, its copies, and the job that renews them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from nornir.core.task import Task

from tasks.phase6_extended_services.cert_manager.names import (
    API,
    AUTHORITY,
    NAMESPACE,
    SOURCE_NAMESPACE,
    TOKEN_SECRET,
    acme,
    certificate_name,
    copied_secrets,
    issuer,
    names,
)
from tasks.phase6_extended_services.cert_manager.settings import ACME_SERVERS, TOKEN
from tasks.phase6_extended_services.cert_manager.tls import TYPE
from tasks.shared.cluster.access import CLUSTER
from tasks.shared.cluster.control_plane import Object, kube, there_is_a_cluster
from thinkube_nornir.cluster.objects import Reference
from thinkube_nornir.context import secret, setting
from thinkube_nornir.resources import HelmRelease, Manifest, NotKnown, from_setting
from thinkube_nornir.secret import Secret
from thinkube_nornir.templates import render

REPOSITORY = "https://charts.jetstack.io"
COPIER = "certificate-copier"
_MADE_BY_CONTROLLER = (AUTHORITY, "cert-manager-webhook-ca", *(f"{name}-account-key" for name in ACME_SERVERS))
_LEASES = ("cert-manager-controller", "cert-manager-cainjector-leader-election")
_LOG = f"see why: `kubectl -n {NAMESPACE} logs deployment/cert-manager`"


def _namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _secret(name: str, namespace: str, kind: str, data: Mapping[str, str]) -> Object:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": metadata, "data": dict(data)}


def _token(task: Task) -> list[Object]:
    if not acme(task):
        return []
    encoded = base64.b64encode(secret(task, TOKEN).reveal().encode()).decode()
    Secret(encoded)
    return [_secret(TOKEN_SECRET, NAMESPACE, "Opaque", {"api-token": encoded})]


def source(task: Task) -> Object | None:
    """The certificate's secret."""
    return (
        kube(task).get("v1", "Secret", certificate_name(task), SOURCE_NAMESPACE) if there_is_a_cluster(task) else None
    )


def _copies(task: Task) -> list[Object]:
    """
    Raises:
        NotKnown: there is nothing to copy.
    """
    data = dict((source(task) or {}).get("data") or {})
    if not data.get("tls.key"):
        why = f"secret {SOURCE_NAMESPACE}/{certificate_name(task)} is not there, or has no key"
        raise NotKnown(
            "there is no certificate to copy", why=why, fix="see why it is not issued: verify phase6.cert_manager"
        )
    Secret(data["tls.key"])
    return [_secret(name, namespace, TYPE, data) for namespace, name in copied_secrets(task).items()]


def _left_by_certificate(task: Task) -> dict[Reference, Reference]:
    name = certificate_name(task)
    return (
        {} if stays(task) else {_reference("Certificate", name, SOURCE_NAMESPACE): _secret_of(name, SOURCE_NAMESPACE)}
    )


def _left_by_issuers(_: Task) -> dict[Reference, Reference]:
    accounts = {_reference("ClusterIssuer", name): _secret_of(f"{name}-account-key") for name in ACME_SERVERS}
    return accounts | {_reference("Certificate", AUTHORITY, NAMESPACE): _secret_of(AUTHORITY)}


def _reference(kind: str, name: str, namespace: str = "") -> Reference:
    return Reference(API, kind, name, namespace)


def _secret_of(name: str, namespace: str = NAMESPACE) -> Reference:
    return Reference("v1", "Secret", name, namespace)


def stays(task: Task) -> str:
    """Why a rollback leaves the certificate's secret; empty when it does not."""
    found = source(task) or {}
    if (found.get("metadata", {}).get("annotations") or {}).get("cert-manager.io/issuer-name") != "letsencrypt-prod":
        return ""
    return f"secret {SOURCE_NAMESPACE}/{certificate_name(task)} was left: Let's Encrypt gives few new ones in a week"


def _certificate(task: Task) -> dict[str, Any]:
    name = certificate_name(task)
    return {"name": name, "namespace": SOURCE_NAMESPACE, "names": names(task), "issuer": issuer(task)}


def _copier(task: Task) -> dict[str, Any]:
    """Its first Job is named after all that it runs, so that it runs anew when any of that has changed."""
    values = {
        "copier": COPIER,
        "image": setting(task, "certificate_copier_image"),
        "namespace": NAMESPACE,
        "source_namespace": SOURCE_NAMESPACE,
        "source": certificate_name(task),
        "copies": copied_secrets(task),
        "script": render(task, "cert_manager/copy_certificate.py"),
        "checksum": "",
    }
    content = render(task, "cert_manager/copier.yaml.j2", **values)
    return values | {"checksum": hashlib.sha256(content.encode()).hexdigest()[:16]}


NAMESPACE_OF_ITS_OWN = Manifest(
    "namespace of cert-manager",
    CLUSTER,
    objects=[_namespace(NAMESPACE)],
    belongs=lambda obj: obj["kind"] == "Secret" and obj["metadata"]["name"] in _MADE_BY_CONTROLLER,
)
RELEASE = HelmRelease(
    "cert-manager",
    NAMESPACE,
    "cert-manager",
    version=from_setting("cert_manager_version"),
    repository=from_setting("helm_chart_source", REPOSITORY),
    cluster=CLUSTER,
    template="cert_manager/values.yaml.j2",
    leaves=(
        _secret_of("cert-manager-webhook-ca"),
        *(Reference("coordination.k8s.io/v1", "Lease", name, "kube-system") for name in _LEASES),
    ),
)
TOKEN_OF_CLOUDFLARE = Manifest("token of Cloudflare", CLUSTER, objects=_token)
ISSUERS = Manifest(
    "issuers",
    CLUSTER,
    template="cert_manager/issuers.yaml.j2",
    values={
        "servers": ACME_SERVERS,
        "token_secret": TOKEN_SECRET,
        "namespace": NAMESPACE,
        "ca": AUTHORITY,
    },
    ready="Ready",
    leaves=_left_by_issuers,
    fix=f"an account needs outgoing HTTPS, and an address that Let's Encrypt accepts; {_LOG}",
    timeout=60,
)
CERTIFICATE = Manifest(
    "certificate",
    CLUSTER,
    template="cert_manager/certificate.yaml.j2",
    values=_certificate,
    leaves=_left_by_certificate,
)
NAMESPACES = Manifest(
    "namespaces of copies", CLUSTER, objects=lambda task: [_namespace(name) for name in copied_secrets(task)]
)
COPIES = Manifest("copies of the certificate", CLUSTER, objects=_copies)
RENEWAL = Manifest(
    "renewal of copies",
    CLUSTER,
    template="cert_manager/copier.yaml.j2",
    values=_copier,
    timeout=540,  # shorter than the Job's own deadline, which takes away the pods that say why
)
