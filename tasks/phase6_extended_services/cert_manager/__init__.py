"""cert-manager: one certificate for the apex, all services and Knative's, renewed by itself.

setup     installs the chart, makes issuers, waits for the real certificate, copies it to the namespaces that serve it
verify    parses what is served: names, issuer, key, end; and each copy
rollback  takes certificates back while the controller runs, then the chart; a certificate of Let's Encrypt stays

`acme_issuer: ca` needs no Internet and no token: the installation's own authority signs. With letsencrypt-staging or
letsencrypt-prod, Let's Encrypt does, and asks for TXT records that cert-manager writes at Cloudflare.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.cert_manager import checks, copier, copies
from tasks.phase6_extended_services.cert_manager import rollback as removal
from tasks.phase6_extended_services.cert_manager.cloudflare import token_sees_the_zone
from tasks.phase6_extended_services.cert_manager.issuing import (
    API,
    DEFINITION,
    KINDS,
    NAMESPACE,
    REPOSITORY,
    SOURCE_NAMESPACE,
    TOKEN_SECRET,
    acme,
    certificate_manifest,
    certificate_name,
    issuer_manifests,
    issuers,
    release,
)
from tasks.phase6_extended_services.cert_manager.settings import TOKEN, is_acme
from tasks.shared.cluster.control_plane import CONTROL_PLANE, Object, kube, there_is_a_cluster, where_a_cluster_is
from tasks.shared.cluster.kubernetes_distribution import DISTRIBUTION
from tasks.shared.cluster.workloads import look_into
from tasks.shared.hosts.network_requirements import sources_answer
from thinkube_nornir.cluster import apply, condition_true, delete, wait
from thinkube_nornir.command import Fact
from thinkube_nornir.component import Component, chain, here, step
from thinkube_nornir.context import context, secret
from thinkube_nornir.errors import CheckFailed, DeadlinePassed, Refused, ThinkubeError
from thinkube_nornir.fixes import set_up
from thinkube_nornir.helm import install_or_upgrade, releases, values_of
from thinkube_nornir.outcome import all_of, skipped, unchanged
from thinkube_nornir.secret import Secret

SOURCES = sources_answer(REPOSITORY, "quay.io")

_ISSUERS = 60.0  # seconds
_CERTIFICATE = 900.0  # two to ten minutes: three names, each a record, its propagation and a TTL
_LOOK = 60.0


def create_namespace(task: Task) -> Result:
    return apply(kube(task), copies.namespace(NAMESPACE))


def install_release(task: Task) -> Result:
    """The chart's own start-up check answers before helm ends, so the webhook is there for what comes next."""
    api = kube(task)
    there = [name for name in KINDS if api.get(*DEFINITION, name)]
    before, look = {"definitions": there}, look_into(task, NAMESPACE)
    return install_or_upgrade(task, DISTRIBUTION.HELM, release(task), before=before, look=look)


def write_token(task: Task) -> Result:
    if not acme(task):
        return unchanged(task, "no issuer needs a token")
    encoded = base64.b64encode(secret(task, TOKEN).reveal().encode()).decode()
    Secret(encoded)
    metadata = {"name": TOKEN_SECRET, "namespace": NAMESPACE}
    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"api-token": encoded}}
    return apply(kube(task), manifest)


def create_issuers(task: Task) -> Result:
    api = kube(task)
    return all_of(task, *[apply(api, manifest) for manifest in issuer_manifests(task)])


def await_issuers(task: Task) -> Result:
    api = kube(task)
    for name in issuers(task):
        if checks.is_current(api.get(API, "ClusterIssuer", name)):
            continue
        if context(task).dry_run:
            return skipped(task, f"a dry run does not wait for issuer {name}")
        _await_issuer(task, name)
    return unchanged(task, f"ready: {', '.join(issuers(task))}")


def _await_issuer(task: Task, name: str) -> None:
    what = f"issuer {name} to be Ready"
    try:
        wait(kube(task), API, "ClusterIssuer", name, condition=checks.is_current, what=what, timeout=_ISSUERS)
    except DeadlinePassed as error:
        account = "an account needs outgoing HTTPS, name resolution, and an address that Let's Encrypt accepts"
        raise DeadlinePassed(error.what, why=error.why, fix=account if acme(task) else checks.LOG) from error


def request_certificate(task: Task) -> Result:
    """After a failure cert-manager waits an hour or longer; asked anew, it tries at once. The secret stays there."""
    api, name = kube(task), certificate_name(task)
    live = api.get(API, "Certificate", name, SOURCE_NAMESPACE)
    results = []
    if live is None:
        _must_be_free(task, name)
    cause = _why_anew(task, live) if live is not None else ""
    if cause:
        summary = f"ask for certificate {name} anew: {cause}"
        results.append(delete(api, API, "Certificate", name, SOURCE_NAMESPACE, summary=summary))
    return all_of(task, *results, apply(api, certificate_manifest(task)))


def _must_be_free(task: Task, name: str) -> None:
    """
    Raises:
        Refused: cert-manager would overwrite somebody's secret.
    """
    found = copies.source(task)
    notes = (found or {}).get("metadata", {}).get("annotations") or {}
    if found is not None and notes.get("cert-manager.io/certificate-name") != name:
        raise Refused(
            f"secret {SOURCE_NAMESPACE}/{name} is there, and cert-manager did not make it",
            why="it would be overwritten, and rollback could not put it back",
            fix="delete or rename it, then run again",
        )


def _why_anew(task: Task, certificate: Object) -> str:
    """Empty when it is not to be asked for anew."""
    if _gave_up(certificate):
        return f"it failed at {certificate['status']['lastFailureTime']}"
    return "a challenge could not be presented" if checks.refused_challenges(task) else ""


def _gave_up(certificate: Object) -> bool:
    failed = (certificate.get("status") or {}).get("lastFailureTime")
    return bool(failed) and not condition_true(certificate, "Issuing") and not condition_true(certificate, "Ready")


def await_certificate(task: Task) -> Result:
    """The secret alone proves nothing: a placeholder that nobody signed may be in it."""
    if not checks.certificate_faults(task):
        return unchanged(task, f"certificate {certificate_name(task)} is issued")
    if context(task).dry_run:
        return skipped(task, "a dry run does not wait for a certificate")
    name = certificate_name(task)

    def issued(found: Object | None) -> bool:
        if found is not None and _gave_up(found):
            raise _refused(task, found)
        return checks.is_current(found)

    _await_issue(task, name, issued)
    faults = checks.certificate_faults(task)
    if faults:
        why = "\n".join(faults)
        raise CheckFailed("the certificate is not the wanted one", why=why, fix=set_up(task))
    return unchanged(task, f"certificate {name} is issued")


def _await_issue(task: Task, name: str, issued: Callable[[Object | None], bool]) -> None:
    """A record that Cloudflare refuses fails nothing: cert-manager tries again for ever, at growing intervals.

    So we look by ourselves, and end the wait when two looks find the same challenge refused.

    Source: cert-manager/cert-manager@v1.20.3 pkg/controller/acmechallenges/sync.go
    """
    api, end, refused = kube(task), time.monotonic() + _CERTIFICATE, frozenset[str]()
    while True:
        left = end - time.monotonic()
        what, limit = f"certificate {name} to be issued", min(_LOOK, left)
        try:
            wait(api, API, "Certificate", name, SOURCE_NAMESPACE, condition=issued, what=what, timeout=limit)
        except DeadlinePassed as error:
            now = checks.refused_challenges(task)
            if now & refused:
                raise _refused(task, api.get(API, "Certificate", name, SOURCE_NAMESPACE) or {}) from error
            refused = now
            if left > _LOOK:
                continue
            fix = "a challenge that waits for its record: see that the resolvers in dns01_resolvers answer on port 53"
            what = f"waited {_CERTIFICATE:g} s for {what}"
            raise DeadlinePassed(what, why=f"{error.why}\n{checks.issuing_state(task)}", fix=fix) from error
        return


def _refused(task: Task, certificate: Object) -> ThinkubeError:
    return ThinkubeError(
        f"certificate {certificate_name(task)} was not issued",
        why=f"{checks.told(certificate)}\n{checks.issuing_state(task)}".strip(),
        fix="remove the cause, then run again: it is asked for anew at once",
    )


def _facts(task: Task) -> tuple[Fact[Any], ...]:
    helm = DISTRIBUTION.HELM
    return releases(helm), values_of(helm, release(task).name, NAMESPACE)


COMPONENT = Component(
    title="cert-manager and certificate",
    number=10,
    group=CONTROL_PLANE,
    needs=(here("phase5.coredns"),),
    settings=("domain_name", "acme_issuer", "cert_manager_version"),
    secrets=(TOKEN,),
    uses_secrets=lambda host: is_acme({"acme_issuer": host.get("acme_issuer")}),
    preconditions=chain(step(SOURCES, early=True), step(token_sees_the_zone, early=True)),
    setup=chain(
        create_namespace,
        install_release,
        write_token,
        create_issuers,
        await_issuers,
        request_certificate,
        step(await_certificate, timeout=_CERTIFICATE + 60),
        copies.create_namespaces,
        copies.copy_certificate,
        copier.install_copier,
        step(copier.run_copier, timeout=copier.RUN + 60),
        facts=_facts,
    ),
    verify=chain(
        checks.release_is_as_wanted,
        checks.definitions_are_established,
        checks.deployments_are_available,
        checks.controller_asks_public_resolvers,
        checks.issuers_are_ready,
        checks.token_is_stored,
        checks.certificate_is_ready,
        checks.secret_holds_the_certificate,
        checks.copies_are_current,
        copier.renewals_reach_the_copies,
        copier.copier_has_run,
        checks.acme_names_bypass_bind,
        facts=_facts,
    ),
    rollback=chain(
        *map(
            where_a_cluster_is,
            (
                copier.remove_copier,
                copies.remove_copies,
                removal.remove_certificate,
                removal.remove_certificate_secret,
                removal.remove_authority,
                removal.remove_issuers,
                removal.remove_account_keys,
                removal.remove_token,
                removal.remove_definitions,
                removal.uninstall_release,
                copies.remove_namespaces,
                removal.remove_namespace,
            ),
        ),
        facts=lambda task: _facts(task) if there_is_a_cluster(task) else (),
    ),
)
