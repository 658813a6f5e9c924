"""The part of Cloudflare's API that certificates need: tokens, the zones they see, TXT records."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import parse_qs

from tasks.lab.state import domain
from thinkube_nornir.lab.emulation import Lab

HOST = "api.cloudflare.com"
TOKEN = "lab-cloudflare-token"  # noqa: S105  of the lab alone
"""The one token that the lab's account has from the start."""
EDITS = ("#dns_records:edit", "#dns_records:read", "#zone:read")


@dataclass
class Token:
    zones: tuple[str, ...]
    permissions: tuple[str, ...] = EDITS
    status: str = "active"


@dataclass
class Account:
    tokens: dict[str, Token] = field(default_factory=dict)
    records: dict[str, list[str]] = field(default_factory=dict)
    """TXT records by name, beside those that public resolvers know."""


def account(lab: Lab) -> Account:
    if "cloudflare" not in lab.state:
        zones = tuple(sorted({domain(host) for host in lab.hosts.values()}))
        lab.state["cloudflare"] = Account({TOKEN: Token(zones)})
    return cast(Account, lab.state["cloudflare"])


def answer(lab: Lab, path: str, query: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """Status and body of a GET below /client/v4."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    token = account(lab).tokens.get(value)
    if scheme != "Bearer" or token is None:
        return _failure(400 if not value else 401, 1000, "Invalid API Token")
    match path.removeprefix("/client/v4"):
        case "/user/tokens/verify":
            return _success({"id": "ed17574386854bf78a67040be0a770b0", "status": token.status})
        case "/zones":
            wanted = parse_qs(query).get("name", [])
            found = [zone for zone in token.zones if not wanted or zone in wanted]
            return _success([_zone(zone, token) for zone in found] if token.status == "active" else [])
    return _failure(404, 7000, "No route for that URI")


def editable_zone(lab: Lab, token: str, name: str) -> str | None:
    """The zone of a name, when this token may write records there."""
    found = account(lab).tokens.get(token)
    if found is None or found.status != "active" or "#dns_records:edit" not in found.permissions:
        return None
    return next((zone for zone in found.zones if name == zone or name.endswith(f".{zone}")), None)


def add_record(lab: Lab, name: str, value: str) -> None:
    records = account(lab).records.setdefault(name, [])
    records.append(value)
    _publish(lab, name)


def remove_record(lab: Lab, name: str, value: str) -> None:
    records = account(lab).records.get(name, [])
    if value in records:
        records.remove(value)
    _publish(lab, name)


def _publish(lab: Lab, name: str) -> None:
    """Public resolvers see it at once."""
    public: dict[tuple[str, str], tuple[str, ...]] = lab.state.setdefault("public", {})
    values = tuple(account(lab).records.get(name, ()))
    if values:
        public[name, "TXT"] = values
    else:
        public.pop((name, "TXT"), None)


def _zone(name: str, token: Token) -> dict[str, object]:
    return {"id": "023e105f4ecef8ad9ca31a8372d0c353", "name": name, "permissions": list(token.permissions)}


def _success(result: object) -> tuple[int, bytes]:
    return 200, json.dumps({"result": result, "success": True, "errors": [], "messages": []}).encode()


def _failure(status: int, code: int, message: str) -> tuple[int, bytes]:
    error = {"code": code, "message": message}
    return status, json.dumps({"result": None, "success": False, "errors": [error], "messages": []}).encode()
