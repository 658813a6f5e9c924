"""What Cloudflare says to the token: asked from the control plane, as cert-manager will ask there.

A token belongs to a user or to an account, and only a user's is known to /user/tokens/verify: so the zone is looked up,
which both can. That the token may also edit records shows only when one is written: reading them needs DNS:Read, which
DNS:Edit includes.

Source: cert-manager/cert-manager@v1.20.3 pkg/issuer/acme/dns/cloudflare/cloudflare.go
"""

from __future__ import annotations

import json
from typing import Any

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.cert_manager.issuing import acme
from tasks.phase6_extended_services.cert_manager.settings import TOKEN
from tasks.shared.cluster.control_plane import expect
from thinkube_nornir.context import secret, setting
from thinkube_nornir.errors import CheckFailed
from thinkube_nornir.outcome import passed
from thinkube_nornir.remote import run

_API = "https://api.cloudflare.com/client/v4"
_SECONDS = "20"
_FIX = "make a token with Zone:Read and DNS:Edit for this zone, and set it as CLOUDFLARE_TOKEN"


def token_sees_the_zone(task: Task) -> Result:
    """Before anything is changed: cert-manager would try again and again with a wrong token, and say so nowhere."""
    if not acme(task):
        return passed(task, "certificates come from the installation's own authority")
    zone = _zone(task)
    state = zone.get("status")
    expect(
        state == "active",
        f"zone {zone['name']} is not active",
        why=f"its status is {state}: Cloudflare's servers do not answer for it",
        fix="set the name servers that Cloudflare names for the zone at the domain's registrar",
    )
    _asked(task, f"/zones/{zone['id']}/dns_records?type=TXT&per_page=5")
    return passed(task, f"the token sees zone {zone['name']} and its records")


def _zone(task: Task) -> dict[str, Any]:
    """The zone that the domain is in: its own, or a parent's."""
    domain = setting(task, "domain_name")
    labels = domain.split(".")
    for name in (".".join(labels[i:]) for i in range(len(labels) - 1)):
        found = _asked(task, f"/zones?name={name}").get("result") or []
        if found:
            return dict(found[0])
    raise CheckFailed(
        f"the token sees no zone of {domain}",
        why="Cloudflare lists none for the domain, nor for what is above it",
        fix="the domain's zone must be at Cloudflare, and the token made for this zone",
    )


def _asked(task: Task, path: str) -> dict[str, Any]:
    """The token goes by stdin: arguments are in every process list."""
    lines = [f'url = "{_API}{path}"', f'header = "Authorization: Bearer {secret(task, TOKEN).reveal()}"']
    argv = ("curl", "--silent", "--show-error", "--max-time", _SECONDS, "--config", "-")
    done = run(task, *argv, stdin="\n".join(lines).encode(), accept=tuple(range(256)))
    told = done.stderr.decode(errors="backslashreplace").strip()
    expect(
        done.status == 0,
        "Cloudflare does not answer the control plane",
        why=f"curl ended with {done.status}: {told}",
        fix="the control plane needs curl, name resolution and outgoing HTTPS",
    )
    try:
        answer = dict(json.loads(done.text))
    except ValueError:
        raise CheckFailed(
            "Cloudflare's answer is not understood", why=done.text[:500], fix="see what answers at api.cloudflare.com"
        ) from None
    why = f"{path.partition('?')[0]}: {_errors(answer.get('errors')) or 'it says no reason'}"
    expect(answer.get("success"), "Cloudflare refuses the token", why=why, fix=_FIX)
    return answer


def _errors(found: Any) -> str:
    """With those below them, which often say more: `6003: Invalid request headers <- 6111: Invalid format ...`."""
    told = []
    for error in found or ():
        below = _errors(error.get("error_chain"))
        told.append(f"{error.get('code')}: {error.get('message')}" + (f" <- {below}" if below else ""))
    return "; ".join(told)
