"""cert-manager: one certificate for the apex, all services and Knative's, renewed by itself.

setup     installs the chart, makes issuers, waits for the real certificate, copies it to the namespaces that serve it
verify    parses what is served: names, issuer, key, end; and each copy
rollback  removes certificates while the controller runs, then the chart; a certificate of Let's Encrypt stays

`acme_issuer: ca` needs no Internet and no token: the installation's own authority signs. With letsencrypt-staging or
letsencrypt-prod, Let's Encrypt does, and asks for TXT records that cert-manager writes at Cloudflare.
"""

from __future__ import annotations

from tasks.phase6_extended_services.cert_manager import checks, requesting, rollback
from tasks.phase6_extended_services.cert_manager.resources import (
    CERTIFICATE,
    COPIES,
    ISSUERS,
    NAMESPACE_OF_ITS_OWN,
    NAMESPACES,
    RELEASE,
    RENEWAL,
    REPOSITORY,
    TOKEN_OF_CLOUDFLARE,
)
from tasks.phase6_extended_services.cert_manager.settings import TOKEN, is_acme
from tasks.shared.cluster.control_plane import CONTROL_PLANE, where_a_cluster_is
from tasks.shared.hosts.network_requirements import sources_answer
from thinkube_nornir.component import Component, chain, here, step

COMPONENT = Component(
    title="cert-manager and certificate",
    number=10,
    group=CONTROL_PLANE,
    needs=(here("phase5.coredns"),),
    settings=("domain_name", "acme_issuer", "cert_manager_version"),
    secrets=(TOKEN,),
    uses_secrets=lambda host: is_acme({"acme_issuer": host.get("acme_issuer")}),
    preconditions=chain(
        step(sources_answer(REPOSITORY, "quay.io"), early=True),
        step(checks.token_sees_the_zone, early=True),
    ),
    manages=(NAMESPACE_OF_ITS_OWN, RELEASE, TOKEN_OF_CLOUDFLARE, ISSUERS),
    setup=chain(
        requesting.end_failed_request,
        CERTIFICATE,
        step(requesting.await_certificate, timeout=requesting.TIMEOUT + 60),
        NAMESPACES,
        COPIES,
        step(RENEWAL, timeout=RENEWAL.timeout + 60),
    ),
    verify=chain(
        checks.certificate_is_ready,
        checks.secret_holds_the_certificate,
        checks.acme_names_bypass_bind,
    ),
    rollback=chain(
        RENEWAL,
        COPIES,
        CERTIFICATE,
        where_a_cluster_is(rollback.end_challenges),
    ),
)
