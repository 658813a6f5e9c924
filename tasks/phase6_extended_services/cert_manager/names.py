"""What the certificate is called, what it is for, who signs it, and where its copies go."""

from __future__ import annotations

from nornir.core.task import Task

from tasks.phase6_extended_services.cert_manager.settings import ACME_SERVERS, CA
from tasks.shared.address_pool import knative
from tasks.shared.settings.services import ingress_namespaces
from thinkube_nornir.context import setting

NAMESPACE = "cert-manager"
SOURCE_NAMESPACE = "default"
"""Where the certificate itself is; copies of its secret are where it is served."""
API, ACME_API = "cert-manager.io/v1", "acme.cert-manager.io/v1"
TOKEN_SECRET = "cloudflare-api-token"  # noqa: S105  its name
AUTHORITY = "thinkube-ca"
"""The installation's own authority: a ClusterIssuer, the Certificate it signs with, and that one's secret."""
ISSUERS = (*ACME_SERVERS, AUTHORITY, f"{AUTHORITY}-root")
"""All ClusterIssuers that we ever make."""


def acme(task: Task) -> bool:
    return setting(task, "acme_issuer") in ACME_SERVERS


def issuer(task: Task) -> str:
    """The ClusterIssuer that signs."""
    chosen = str(setting(task, "acme_issuer"))
    return AUTHORITY if chosen == CA else chosen


def names(task: Task) -> tuple[str, ...]:
    """What the certificate is for: the apex, services, and Knative's services when Knative is on."""
    domain = setting(task, "domain_name")
    return domain, f"*.{domain}", *([f"*.kn.{domain}"] if knative(task) else [])


def certificate_name(task: Task) -> str:
    """Of the Certificate and of its secret: `home-example-tls`."""
    return f"{setting(task, 'domain_name').replace('.', '-')}-tls"


def copied_secrets(task: Task) -> dict[str, str]:
    """Namespace to the name of the secret there: both ingresses, and whoever else serves it."""
    places = dict.fromkeys([*ingress_namespaces(task), *setting(task, "certificate_namespaces", ())])
    return {namespace: f"{namespace}-tls-secret" for namespace in places}
