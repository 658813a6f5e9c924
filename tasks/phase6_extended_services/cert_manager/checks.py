"""What must be true of the certificate, up to the bytes that are served."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.cert_manager.issuing import certificate, issuing_state, parts, secret_faults
from tasks.phase6_extended_services.cert_manager.names import NAMESPACE, SOURCE_NAMESPACE, acme, certificate_name, names
from tasks.phase6_extended_services.cert_manager.settings import TOKEN
from tasks.shared.cloudflare import ask, zone_of
from tasks.shared.cluster.control_plane import expect, kube
from tasks.shared.cluster.probes import acme_names
from thinkube_nornir.context import secret, setting
from thinkube_nornir.fixes import set_up
from thinkube_nornir.outcome import passed
from thinkube_nornir.resources.comparison import is_ready

_RENEWED = timedelta(days=29)  # renewal begins thirty days before the end, and may take its time
_LOG = f"see why: `kubectl -n {NAMESPACE} logs deployment/cert-manager`"


def token_sees_the_zone(task: Task) -> Result:
    """Before anything is changed: cert-manager would try again and again with a wrong token, and say so nowhere.

    That the token may also edit records shows only when one is written: reading them needs DNS:Read, which DNS:Edit
    includes.
    """
    if not acme(task):
        return passed(task, "certificates come from the installation's own authority")
    token = secret(task, TOKEN)
    zone = zone_of(task, token, setting(task, "domain_name"))
    expect(
        zone.get("status") == "active",
        f"zone {zone['name']} is not active",
        why=f"its status is {zone.get('status')}: Cloudflare's servers do not answer for it",
        fix="set the name servers that Cloudflare names for the zone at the domain's registrar",
    )
    ask(task, token, f"/zones/{zone['id']}/dns_records?type=TXT&per_page=5")
    return passed(task, f"the token sees zone {zone['name']} and its records")


def certificate_is_ready(task: Task) -> Result:
    name, found = certificate_name(task), certificate(task)
    ready = found is not None and is_ready(found, "Ready")
    expect(ready, f"certificate {name} is not Ready", why=issuing_state(task), fix=_LOG)
    end = str(((found or {}).get("status") or {}).get("notAfter", ""))
    late = not end or datetime.fromisoformat(end) < datetime.now(UTC) + _RENEWED
    why = f"it ends at {end or 'no known time'}, and should have been renewed by now\n{issuing_state(task)}"
    expect(not late, f"certificate {name} is not renewed", why=why, fix=_LOG)
    bad = {n: s for n, s in parts(task, "Order").items() if s.get("state") in ("errored", "invalid", "expired")}
    why = "\n".join(f"Order {order}: {s['state']} {s.get('reason', '')}" for order, s in bad.items())
    expect(not bad, "orders failed", why=why, fix=f"remove the cause, then {set_up(task)}")
    return passed(task, f"certificate {name} is good until {end}")


def secret_holds_the_certificate(task: Task) -> Result:
    faults, place = secret_faults(task), f"{SOURCE_NAMESPACE}/{certificate_name(task)}"
    expect(not faults, f"secret {place} does not hold the certificate", why="\n".join(faults), fix=set_up(task))
    return passed(task, f"{place} is for {', '.join(names(task))}")


def acme_names_bypass_bind(task: Task) -> Result:
    """BIND's wildcard would answer for them. The zones of CoreDNS' server blocks stand before a `{`."""
    found = kube(task).get("v1", "ConfigMap", "coredns", "kube-system") or {}
    lines = ((found.get("data") or {}).get("Corefile") or "").splitlines()
    zones = {zone.removesuffix(":53").rstrip(".") for line in lines if line.endswith("{") for zone in line.split()}
    lacking = ", ".join(name for name in acme_names(task) if name not in zones)
    why, fix = f"the Corefile has no server block for {lacking}", "run phase5.coredns again"
    expect(not lacking, "names for ACME challenges do not go to public servers", why=why, fix=fix)
    return passed(task, f"CoreDNS has rules for {', '.join(acme_names(task))}")
