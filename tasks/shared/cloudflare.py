"""Cloudflare's API, asked from a host with a token.

A token belongs to a user or to an account, and only a user's is known to /user/tokens/verify: so the zone is looked up,
which both can.

Source: cert-manager/cert-manager@v1.20.3 pkg/issuer/acme/dns/cloudflare/cloudflare.go
"""

from __future__ import annotations

import json
from typing import Any

from nornir.core.task import Task

from tasks.shared.cluster.control_plane import expect
from thinkube_nornir.errors import CheckFailed
from thinkube_nornir.remote import run
from thinkube_nornir.secret import Secret

_API = "https://api.cloudflare.com/client/v4"
_SECONDS = "20"
_FIX = "make a token with Zone:Read and DNS:Edit for this zone, and set it as CLOUDFLARE_TOKEN"


def zone_of(task: Task, token: Secret, domain: str) -> dict[str, Any]:
    """The zone that the domain is in: its own, or a parent's.

    Raises:
        CheckFailed: the token sees none.
    """
    labels = domain.split(".")
    for name in (".".join(labels[i:]) for i in range(len(labels) - 1)):
        found = ask(task, token, f"/zones?name={name}").get("result") or []
        if found:
            return dict(found[0])
    raise CheckFailed(
        f"the token sees no zone of {domain}",
        why="Cloudflare lists none for the domain, nor for what is above it",
        fix="the domain's zone must be at Cloudflare, and the token made for this zone",
    )


def ask(task: Task, token: Secret, path: str) -> dict[str, Any]:
    """The token goes by stdin: arguments are in every process list.

    Raises:
        CheckFailed: there is no answer, or Cloudflare refuses the token.
    """
    lines = [f'url = "{_API}{path}"', f'header = "Authorization: Bearer {token.reveal()}"']
    argv = ("curl", "--silent", "--show-error", "--max-time", _SECONDS, "--config", "-")
    done = run(task, *argv, stdin="\n".join(lines).encode(), accept=tuple(range(256)))
    expect(
        done.status == 0,
        "Cloudflare does not answer the control plane",
        why=f"curl ended with {done.status}: {done.stderr.decode(errors='backslashreplace').strip()}",
        fix="the control plane needs curl, name resolution and outgoing HTTPS",
    )
    try:
        answer = dict(json.loads(done.text))
    except ValueError:
        fix = "see what answers at api.cloudflare.com"
        raise CheckFailed("Cloudflare's answer is not understood", why=done.text[:500], fix=fix) from None
    why = f"{path.partition('?')[0]}: {_errors(answer.get('errors')) or 'it says no reason'}"
    expect(answer.get("success"), "Cloudflare refuses the token", why=why, fix=_FIX)
    return answer


def _errors(found: Any) -> str:
    """With those below them, which often say more: `6003: Invalid request headers <- 6111: Invalid format ...`."""
    messages = []
    for error in found or ():
        below = _errors(error.get("error_chain"))
        messages.append(f"{error.get('code')}: {error.get('message')}" + (f" <- {below}" if below else ""))
    return "; ".join(messages)
