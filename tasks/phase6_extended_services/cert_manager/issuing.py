"""What certificates are made of: names, manifests, and the one Certificate that all services share."""

from __future__ import annotations

from typing import Any

from nornir.core.task import Task

from tasks.phase6_extended_services.cert_manager.settings import ACME_SERVERS, CA
from tasks.shared.address_pool import knative
from tasks.shared.cluster.control_plane import Object
from tasks.shared.settings.services import ingress_namespaces
from thinkube_nornir.context import setting
from thinkube_nornir.helm import Release
from thinkube_nornir.templates import render_yaml

NAMESPACE = "cert-manager"
RELEASE = "cert-manager"
REPOSITORY = "https://charts.jetstack.io"
DEPLOYMENTS = ("cert-manager", "cert-manager-cainjector", "cert-manager-webhook")
API = "cert-manager.io/v1"
ACME_API = "acme.cert-manager.io/v1"
KINDS = {
    "certificates.cert-manager.io": (API, "Certificate"),
    "certificaterequests.cert-manager.io": (API, "CertificateRequest"),
    "issuers.cert-manager.io": (API, "Issuer"),
    "clusterissuers.cert-manager.io": (API, "ClusterIssuer"),
    "orders.acme.cert-manager.io": (ACME_API, "Order"),
    "challenges.acme.cert-manager.io": (ACME_API, "Challenge"),
}
"""By the name of the CustomResourceDefinition."""
DEFINITION = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
TOKEN_SECRET = "cloudflare-api-token"  # noqa: S105  its name
AUTHORITY = "thinkube-ca"
"""The installation's own authority: a ClusterIssuer, the Certificate it signs with, and that one's secret."""
AUTHORITY_ORGANIZATION = "thinkube"
SOURCE_NAMESPACE = "default"
_INSTALL = 600.0  # seconds; images over a slow line


def acme(task: Task) -> bool:
    return setting(task, "acme_issuer") in ACME_SERVERS


def issuer(task: Task) -> str:
    """The ClusterIssuer that signs."""
    chosen = str(setting(task, "acme_issuer"))
    return AUTHORITY if chosen == CA else chosen


def issuers(task: Task) -> tuple[str, ...]:
    """Every ClusterIssuer that should be there."""
    return tuple(ACME_SERVERS) if acme(task) else (f"{AUTHORITY}-root", AUTHORITY)


def names(task: Task) -> tuple[str, ...]:
    """What the certificate is for: the apex, services, and Knative's services when Knative is on."""
    domain = setting(task, "domain_name")
    return domain, f"*.{domain}", *([f"*.kn.{domain}"] if knative(task) else [])


def certificate_name(task: Task) -> str:
    """Of the Certificate and of its secret: `home-example-tls`."""
    return f"{setting(task, 'domain_name').replace('.', '-')}-tls"


def copied_secrets(task: Task) -> dict[str, str]:
    """Target namespace to the name of the secret there: both ingresses, and whoever else serves it."""
    places = dict.fromkeys([*ingress_namespaces(task), *setting(task, "certificate_namespaces", ())])
    return {namespace: f"{namespace}-tls-secret" for namespace in places}


def release(task: Task) -> Release:
    resolvers = setting(task, "dns01_resolvers")
    (values,) = render_yaml(task, "cert_manager/values.yaml.j2", resolvers=resolvers)
    version, source = setting(task, "cert_manager_version"), setting(task, "helm_chart_source", REPOSITORY)
    return Release(RELEASE, NAMESPACE, RELEASE, version, source, values, _INSTALL)


def issuer_manifests(task: Task) -> list[Object]:
    return manifests(
        task,
        "issuers",
        acme=acme(task),
        servers=ACME_SERVERS,
        email=setting(task, "acme_email", ""),
        domain=setting(task, "domain_name"),
        token_secret=TOKEN_SECRET,
        namespace=NAMESPACE,
        ca=AUTHORITY,
        ca_organization=AUTHORITY_ORGANIZATION,
    )


def certificate_manifest(task: Task) -> Object:
    name, place = certificate_name(task), SOURCE_NAMESPACE
    return manifests(task, "certificate", name=name, namespace=place, names=names(task), issuer=issuer(task))[0]


def manifests(task: Task, template: str, **values: Any) -> list[Object]:
    return render_yaml(task, f"cert_manager/{template}.yaml.j2", **values)
