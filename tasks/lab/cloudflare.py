"""The part of Cloudflare's API that certificates need: the zones a token sees, and their TXT records.

Records name their zone no more, since the change of its API that was announced for 2024-11-30.

Source: cert-manager/cert-manager@v1.20.3 pkg/issuer/acme/dns/cloudflare/cloudflare.go
Unproven: which code and status a token gets that is disabled, expired, or without DNS:Read; read in bug reports only.
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qs

from tasks.lab.state import domain
from thinkube_nornir.lab.emulation import Lab

HOST = "api.cloudflare.com"
TOKEN = "lab-cloudflare-token"  # noqa: S105  of the lab alone
"""The one token that the lab's account has from the start."""
READ, EDIT, ZONE = "DNS:Read", "DNS:Edit", "Zone:Read"
_BASE = "/client/v4"
_RECORDS = re.compile(r"/zones/([^/]*)/dns_records(?:/([^/]+))?")


@dataclass
class Token:
    zones: tuple[str, ...]
    permissions: tuple[str, ...] = (ZONE, EDIT)
    status: str = "active"
    owner: str = "user"
    """Or `account`: such a token is not known to /user/tokens/verify."""


@dataclass
class Record:
    name: str
    content: str
    id: str = field(default_factory=lambda: secrets.token_hex(16))


@dataclass
class Account:
    tokens: dict[str, Token] = field(default_factory=dict)
    records: dict[str, list[Record]] = field(default_factory=dict)
    """TXT records by name, beside those that public resolvers know."""
    pending: set[str] = field(default_factory=set)
    """Zones that the registrar has not given to Cloudflare's name servers."""


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    """Below /client/v4."""
    query: str = ""
    token: str | None = None
    """None without a header Authorization."""
    body: dict[str, Any] = field(default_factory=dict)


class Refused(Exception):
    def __init__(self, status: int, code: int, message: str, chain: tuple[int, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        below = [{"code": chain[0], "message": chain[1]}] if chain else []
        self.errors = [{"code": code, "message": message} | ({"error_chain": below} if below else {})]


def account(lab: Lab) -> Account:
    if "cloudflare" not in lab.state:
        zones = tuple(sorted({domain(host) for host in lab.hosts.values()}))
        lab.state["cloudflare"] = Account({TOKEN: Token(zones)})
    return cast(Account, lab.state["cloudflare"])


def answer(lab: Lab, path: str, query: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """Status and body of a GET, by its path below the host."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    token = None if "authorization" not in headers else value if scheme == "Bearer" else ""
    status, answer = respond(lab, Request("GET", path.removeprefix(_BASE), query, token))
    return status, json.dumps(answer).encode()


def respond(lab: Lab, request: Request) -> tuple[int, dict[str, Any]]:
    try:
        result = _result(lab, request, _token(lab, request))
    except Refused as error:
        return error.status, {"result": None, "success": False, "errors": error.errors, "messages": []}
    return 200, {"result": result, "success": True, "errors": [], "messages": []}


def _token(lab: Lab, request: Request) -> Token:
    if request.token is None:
        raise Refused(400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", request.token):
        raise Refused(400, 6003, "Invalid request headers", (6111, "Invalid format for Authorization header"))
    known = account(lab).tokens.get(request.token)
    if request.path == "/user/tokens/verify":
        if known is None or known.owner != "user":
            raise Refused(401, 1000, "Invalid API Token")
        return known
    if known is None or known.status != "active":
        raise Refused(403, 9109, "Invalid access token")
    return known


def _result(lab: Lab, request: Request, token: Token) -> Any:
    if request.path == "/user/tokens/verify":
        return {"id": "ed17574386854bf78a67040be0a770b0", "status": token.status}
    if request.path == "/zones" and request.method == "GET":
        wanted = parse_qs(request.query).get("name", [])
        seen = token.zones if ZONE in token.permissions else ()
        return [_zone(lab, zone) for zone in seen if not wanted or zone in wanted]
    found = _RECORDS.fullmatch(request.path)
    if found is None:
        raise Refused(404, 7000, "No route for that URI")
    zone = next((name for name in token.zones if _id(name) == found[1]), None)
    if not found[1]:
        path = _BASE + request.path.replace("//", "/")
        raise Refused(404, 7003, f"Could not route to {path}, perhaps your object identifier is invalid?")
    if zone is None or not _may(request.method, token):
        raise Refused(403, 10000, "Authentication error")
    return _on_records(lab, request, found[2])


def _may(method: str, token: Token) -> bool:
    return EDIT in token.permissions or (method == "GET" and READ in token.permissions)


def _on_records(lab: Lab, request: Request, record: str | None) -> Any:
    records = account(lab).records
    if request.method == "POST":
        name, content = str(request.body["name"]), str(request.body["content"])
        made = Record(name, content)
        records.setdefault(name, []).append(made)
        _publish(lab, name)
        return _shown(made)
    if request.method == "DELETE":
        for name, listed in records.items():
            records[name] = [r for r in listed if r.id != record]
            _publish(lab, name)
        return {"id": record}
    name = parse_qs(request.query).get("name", [""])[0]
    return [_shown(r) for listed in records.values() for r in listed if name in ("", r.name)]


def _shown(record: Record) -> dict[str, object]:
    return {"id": record.id, "name": record.name, "type": "TXT", "content": record.content, "ttl": 120}


def _publish(lab: Lab, name: str) -> None:
    """Public resolvers see it at once."""
    public: dict[tuple[str, str], tuple[str, ...]] = lab.state.setdefault("public", {})
    values = tuple(record.content for record in account(lab).records.get(name, ()))
    if values:
        public[name, "TXT"] = values
    else:
        public.pop((name, "TXT"), None)


def _id(zone: str) -> str:
    return zone.encode().hex().ljust(32, "0")[:32]


def _zone(lab: Lab, name: str) -> dict[str, object]:
    return {"id": _id(name), "name": name, "status": "pending" if name in account(lab).pending else "active"}
