"""Cloudflare's answer to whether the token is good: asked from the control plane, as cert-manager will ask there."""

from __future__ import annotations

import json
from typing import Any

from nornir.core.task import Result, Task

from tasks.certificate_settings import TOKEN
from tasks.control_plane import expect
from tasks.phase6_extended_services._issuing import acme
from thinkube_nornir.context import secret, setting
from thinkube_nornir.errors import CheckFailed
from thinkube_nornir.outcome import unchanged
from thinkube_nornir.remote import run

_API = "https://api.cloudflare.com/client/v4"
_EDIT = "#dns_records:edit"
_SECONDS = "20"
_FIX = "make a token with Zone:Read and DNS:Edit for this zone, and set it as CLOUDFLARE_TOKEN"


def token_may_edit_the_zone(task: Task) -> Result:
    """Before anything is changed: with a wrong token, cert-manager waits an hour before it tries again."""
    if not acme(task):
        return unchanged(task, "certificates come from the installation's own authority")
    state = (_asked(task, "/user/tokens/verify").get("result") or {}).get("status")
    expect(state == "active", "Cloudflare does not accept the token", why=f"its status is {state}", fix=_FIX)
    zone = _zone(task)
    given = zone.get("permissions")
    why = f"the token may: {', '.join(given or ()) or 'nothing'}"
    expect(given is None or _EDIT in given, f"the token cannot edit zone {zone['name']}", why=why, fix=_FIX)
    return unchanged(task, f"the token may edit zone {zone['name']}")


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
    errors = "; ".join(f"{e.get('code')}: {e.get('message')}" for e in answer.get("errors") or ())
    expect(answer.get("success"), "Cloudflare refuses the token", why=errors or "it says no reason", fix=_FIX)
    return answer
