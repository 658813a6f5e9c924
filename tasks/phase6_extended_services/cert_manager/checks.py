"""What must be true of cert-manager and of the certificate, up to the bytes that are served."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime, timedelta

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.cert_manager import copies
from tasks.phase6_extended_services.cert_manager.issuing import (
    ACME_API,
    API,
    AUTHORITY,
    DEFINITION,
    DEPLOYMENTS,
    KINDS,
    NAMESPACE,
    SOURCE_NAMESPACE,
    TOKEN_SECRET,
    acme,
    certificate_name,
    copied_secrets,
    issuers,
    names,
    release,
)
from tasks.phase6_extended_services.cert_manager.settings import CA
from tasks.shared.cluster.control_plane import Object, expect, kube, name_of
from tasks.shared.cluster.kubernetes_distribution import DISTRIBUTION
from tasks.shared.cluster.probes import acme_names
from tasks.shared.cluster.tls import Pair, read_certificate, read_pair
from tasks.shared.cluster.workloads import expect_rolled_out
from thinkube_nornir.cluster import condition_true, seen
from thinkube_nornir.context import setting
from thinkube_nornir.fixes import set_up
from thinkube_nornir.helm import deviations
from thinkube_nornir.outcome import passed

_RENEWED = timedelta(days=29)  # renewal begins thirty days before the end, and may take its time
_ORGANIZATIONS = {"letsencrypt-prod": "Let's Encrypt", "letsencrypt-staging": "(STAGING) Let's Encrypt"}
LOG = f"see why: `kubectl -n {NAMESPACE} logs deployment/cert-manager`"


def is_current(obj: Object | None) -> bool:
    """Ready, and said so of what is now asked for: the condition of a changed object is of the former one."""
    if obj is None or not condition_true(obj, "Ready"):
        return False
    ready = next(c for c in obj["status"]["conditions"] if c["type"] == "Ready")
    generation = int(obj["metadata"].get("generation", 0))
    return int(ready.get("observedGeneration", generation)) >= generation


def told(obj: Object | None) -> str:
    """What an object's conditions say, the good ones too."""
    conditions = ((obj or {}).get("status") or {}).get("conditions") or ()
    lines = [f"{c.get('type')}={c.get('status')} {c.get('reason', '')}: {c.get('message', '')}" for c in conditions]
    return "\n".join(lines) or seen(obj)


def release_is_as_wanted(task: Task) -> Result:
    wrong = deviations(task, DISTRIBUTION.HELM, release(task))
    expect(not wrong, "the release is not as wanted", why="\n".join(wrong), fix=set_up(task))
    return passed(task, f"cert-manager {release(task).version} is deployed")


def definitions_are_established(task: Task) -> Result:
    api = kube(task)
    found = {name: api.get(*DEFINITION, name) for name in KINDS}
    wrong = {name: seen(obj) for name, obj in found.items() if not condition_true(obj, "Established")}
    why = "\n".join(f"{name}: {state}" for name, state in wrong.items())
    expect(not wrong, f"not all definitions are Established: {', '.join(wrong)}", why=why, fix=set_up(task))
    return passed(task, f"{len(found)} definitions are Established")


def deployments_are_available(task: Task) -> Result:
    expect_rolled_out(task, [("Deployment", name) for name in DEPLOYMENTS], NAMESPACE, "not available")
    return passed(task, f"available: {', '.join(DEPLOYMENTS)}")


def controller_asks_public_resolvers(task: Task) -> Result:
    """Each argument once: one that was added by hand is added again with each upgrade."""
    found = kube(task).get("apps/v1", "Deployment", DEPLOYMENTS[0], NAMESPACE) or {}
    containers = ((found.get("spec") or {}).get("template") or {}).get("spec", {}).get("containers") or [{}]
    given = [str(word) for word in containers[0].get("args") or ()]
    wanted = {
        "--dns01-recursive-nameservers": release(task).values["dns01RecursiveNameservers"],
        "--dns01-recursive-nameservers-only": "true",
    }
    wrong = []
    for name, value in wanted.items():
        values = [word.partition("=")[2] for word in given if word.partition("=")[0] == name]
        if values != [value]:
            wrong.append(f"{name}: expected {value} once, seen {', '.join(values) or 'none'}")
    expect(not wrong, "the controller does not ask public resolvers alone", why="\n".join(wrong), fix=set_up(task))
    return passed(task, f"challenges are looked up at {wanted['--dns01-recursive-nameservers']}")


def issuers_are_ready(task: Task) -> Result:
    api = kube(task)
    found = {name: api.get(API, "ClusterIssuer", name) for name in issuers(task)}
    wrong = {name: told(obj) for name, obj in found.items() if not _may_issue(task, obj)}
    why = "\n".join(f"{name}: {state}" for name, state in wrong.items())
    expect(not wrong, f"issuers are not ready: {', '.join(wrong)}", why=why, fix=LOG)
    return passed(task, f"ready: {', '.join(found)}")


def _may_issue(task: Task, obj: Object | None) -> bool:
    if obj is None or not is_current(obj):
        return False
    reason = next(c.get("reason") for c in obj["status"]["conditions"] if c["type"] == "Ready")
    return not acme(task) or reason == "ACMEAccountRegistered"


def token_is_stored(task: Task) -> Result:
    if not acme(task):
        return passed(task, "no issuer needs a token")
    found = kube(task).get("v1", "Secret", TOKEN_SECRET, NAMESPACE)
    try:
        value = base64.b64decode(((found or {}).get("data") or {}).get("api-token") or "")
    except binascii.Error:
        value = b""
    why = f"{NAMESPACE}/{TOKEN_SECRET} has no key api-token, or nothing in it" if found else "the secret is not there"
    expect(value.strip(), "the controller has no token for Cloudflare", why=why, fix=set_up(task))
    return passed(task, f"{NAMESPACE}/{TOKEN_SECRET} has a token")


def certificate_is_ready(task: Task) -> Result:
    name = certificate_name(task)
    found = kube(task).get(API, "Certificate", name, SOURCE_NAMESPACE)
    why = f"{told(found)}\n{issuing_state(task)}".strip()
    expect(is_current(found), f"certificate {name} is not Ready", why=why, fix=LOG)
    end = str(((found or {}).get("status") or {}).get("notAfter", ""))
    late = not end or datetime.fromisoformat(end) < datetime.now(UTC) + _RENEWED
    why = f"it ends at {end or 'no known time'}, and should have been renewed by now\n{issuing_state(task)}".strip()
    expect(not late, f"certificate {name} is not renewed", why=why, fix=LOG)
    failed = _failed_orders(task)
    why = "\n".join(f"Order {order}: {state}" for order, state in failed.items())
    expect(not failed, "orders failed", why=why, fix=f"remove the cause, then {set_up(task)}")
    return passed(task, f"certificate {name} is good until {end}")


def issuing_state(task: Task) -> str:
    """How far the issuing is: what requests, orders and challenges say."""
    api, lines = kube(task), []
    for version, kind in ((API, "CertificateRequest"), (ACME_API, "Order"), (ACME_API, "Challenge")):
        for obj in api.list(version, kind, SOURCE_NAMESPACE):
            if name_of(obj).startswith(f"{certificate_name(task)}-"):
                status = obj.get("status") or {}
                state = f"{status.get('state', '')} {status.get('reason', '')}".strip() or told(obj)
                lines.append(f"{kind} {name_of(obj)}: {state}")
    return "\n".join(lines)


def refused_challenges(task: Task) -> frozenset[str]:
    """Challenges whose record was not made, by name: cert-manager says why in their reason."""
    found = kube(task).list(ACME_API, "Challenge", SOURCE_NAMESPACE)
    mine = {
        name_of(obj): obj.get("status") or {} for obj in found if name_of(obj).startswith(f"{certificate_name(task)}-")
    }
    return frozenset(n for n, s in mine.items() if s.get("processing") and s.get("reason") and not s.get("presented"))


def _failed_orders(task: Task) -> dict[str, str]:
    """Of the certificate as it is asked for now."""
    found = kube(task).list(ACME_API, "Order", SOURCE_NAMESPACE)
    mine = [obj for obj in found if name_of(obj).startswith(f"{certificate_name(task)}-")]
    states = {name_of(obj): obj.get("status") or {} for obj in mine}
    bad = ("errored", "invalid", "expired")
    return {n: f"{s['state']} {s.get('reason', '')}" for n, s in states.items() if s.get("state") in bad}


def secret_holds_the_certificate(task: Task) -> Result:
    faults = certificate_faults(task)
    place = f"{SOURCE_NAMESPACE}/{certificate_name(task)}"
    expect(not faults, f"secret {place} does not hold the certificate", why="\n".join(faults), fix=set_up(task))
    return passed(task, f"{place} is for {', '.join(names(task))}")


def certificate_faults(task: Task) -> tuple[str, ...]:
    """What is wrong with what would be served, by its bytes; empty when nothing is."""
    found = copies.source(task)
    if found is None:
        return ("it is not there",)
    try:
        pair = read_pair(found)
    except (ValueError, TypeError) as error:
        return (f"it cannot be read: {error}",)
    wanted = frozenset(names(task))
    statements = {
        f"it is for {', '.join(sorted(pair.names)) or 'no name'}, not for {', '.join(sorted(wanted))}": (
            pair.names != wanted
        ),
        "its key is of another certificate": not pair.key_matches,
        f"it ended at {pair.end:%Y-%m-%d %H:%M}": pair.end <= datetime.now(UTC),
        "nobody signed it but itself: a placeholder": pair.self_signed,
        f"it was signed by {pair.issuer}, not by {_signer(task)}": not _is_signed(task, pair),
    }
    return tuple(text for text, holds in statements.items() if holds)


def _signer(task: Task) -> str:
    chosen = str(setting(task, "acme_issuer"))
    return "the installation's own authority" if chosen == CA else _ORGANIZATIONS[chosen]


def _is_signed(task: Task, pair: Pair) -> bool:
    if acme(task):
        return pair.organization == _signer(task)
    authority = kube(task).get("v1", "Secret", AUTHORITY, NAMESPACE)
    try:
        return authority is not None and pair.signed_by(read_certificate(authority))
    except ValueError:
        return False


def copies_are_current(task: Task) -> Result:
    wanted, wrong = _fingerprint(copies.source(task)), []
    for namespace, name in copied_secrets(task).items():
        found = _fingerprint(kube(task).get("v1", "Secret", name, namespace))
        if not wanted or found != wanted:
            wrong.append(f"{namespace}/{name}: expected {wanted or 'a certificate'}, seen {found or 'none'}")
    expect(not wrong, "copies of the certificate are not current", why="\n".join(wrong), fix=set_up(task))
    return passed(task, f"current: {', '.join(copied_secrets(task).values()) or 'there are no copies'}")


def _fingerprint(secret: Object | None) -> str:
    """Empty for a secret that is not there, or cannot be served."""
    try:
        pair = read_pair(secret or {})
    except (ValueError, TypeError):
        return ""
    return pair.fingerprint if pair.key_matches else ""


def acme_names_bypass_bind(task: Task) -> Result:
    """BIND's wildcard would answer for them. The zones of CoreDNS' server blocks stand before a `{`."""
    found = kube(task).get("v1", "ConfigMap", "coredns", "kube-system") or {}
    lines = ((found.get("data") or {}).get("Corefile") or "").splitlines()
    zones = {zone.removesuffix(":53").rstrip(".") for line in lines if line.endswith("{") for zone in line.split()}
    lacking = [name for name in acme_names(task) if name not in zones]
    why = f"the Corefile has no server block for {', '.join(lacking)}"
    expect(
        not lacking, "names for ACME challenges do not go to public servers", why=why, fix="run phase5.coredns again"
    )
    return passed(task, f"CoreDNS has rules for {', '.join(acme_names(task))}")
