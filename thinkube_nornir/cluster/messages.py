"""What goes to the API and comes back, and what a bad answer means to an operator."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from thinkube_nornir.cluster import forbidden
from thinkube_nornir.errors import ClusterError, ClusterUnreachable, Unreachable
from thinkube_nornir.secret import redact

Object = dict[str, Any]
"""An object as the API speaks it."""


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Object | None = None
    content_type: str = "application/json"
    doing: str = ""
    """For messages: `reading Node tkw1`."""
    repeatable: bool = True
    """Sending it twice does no harm."""

    @property
    def url(self) -> str:
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> dict[str, Any]:
        """The body as an object; an empty one when it is something else."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def causes(self) -> list[Mapping[str, Any]]:
        """`status.details.causes`: reason, message and field of each."""
        return list((self.json().get("details") or {}).get("causes") or [])

    @property
    def names_nothing(self) -> bool:
        """Of a 404: that there is no such kind (any more), and not only no such object."""
        return not (self.json().get("details") or {}).get("name")

    @property
    def reason(self) -> str:
        """The server's own word for it: `Conflict`, `InternalError`; empty when it has none."""
        return str(self.json().get("reason") or "")

    @property
    def message(self) -> str:
        return redact(str(self.json().get("message") or self.body[:500].decode(errors="replace").strip()))

    @property
    def retry_after(self) -> float:
        """Seconds; 0 when the server names none, or a date."""
        value = self.headers.get("Retry-After", "")
        return float(value) if value.isdigit() else 0.0


_MEANING = {
    400: ("the API does not understand the request", ""),
    401: ("the API does not accept our credentials", "see whether the kubeconfig on {host} is current"),
    404: ("there is no such thing in the cluster", ""),
    409: ("something else changed or owns it", "run again; if it stays, find out who else manages this object"),
    410: ("what we knew was too old", "run again"),
    413: ("the object is too large", ""),
    422: ("the object is not valid", "correct the fields named above"),
    429: ("the API has too much to do", "run again later, or with fewer --workers"),
}


_UNTYPED = "failed to create typed patch object"
"""A manifest with a field that its kind has not; the API server says 500."""


def refusal(answer: Answer, doing: str, host: str) -> ClusterError:
    """The error for an answer that is not 2xx."""
    default = ("the API failed", "look at the API server's log on {host}, then run again")
    status = 422 if _UNTYPED in answer.message else answer.status
    meant, fix = _MEANING.get(status, default)
    if found := forbidden.admission(answer.message):
        meant, fix = found
    elif status == 403:
        meant, fix = forbidden.meaning(answer.message, answer.causes)
    lines = [f"{meant} (HTTP {answer.status}): {answer.message}"]
    lines += [redact(f"  {cause.get('field', '')}: {cause.get('message', '')}") for cause in answer.causes]
    what, fix = f"{doing} failed (cluster of {host})", fix.replace("{host}", host)
    return ClusterError(what, status=answer.status, why="\n".join(lines), fix=fix)


def unreachable_through(host: str, error: Unreachable) -> ClusterUnreachable:
    """The error for an API that is reached through a host which does not answer."""
    why = "\n".join(filter(None, (error.what, error.why)))
    fix = f"make {host} reachable, then run again"
    return ClusterUnreachable(f"the control plane {host} is unreachable", why=why, fix=fix)
