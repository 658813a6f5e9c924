"""Takes secrets out of what hosts and clusters answered: those that are known, and what looks like one."""

from __future__ import annotations

import json
import re
from typing import Any

from thinkube_nornir.secret import redact

REMOVED = "[removed]"

_KEYS = re.compile(r"-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)
_NAMED = re.compile(
    r"""(?ix) (
        ["']? \b (?: client-key-data | client-certificate-data
                  | (?:[\w.-]*[_-])? (?:token|password|passwd|secret|api-?key) ) ["']?
        \s* [:=] \s*
    ) ("[^"\n]*" | '[^'\n]*' | [^\s,;}"']+)"""
)
_BEARER = re.compile(r"(?i)(\bbearer\s+)[\w.~+/=-]{8,}")
_JOIN = re.compile(r"(:25000/)[^\s\"',]+")
_PUBLIC = ("tls.crt", "ca.crt")
"""Of a Secret's data: what every client of the service gets to see."""
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def scrub(text: str) -> str:
    """The text without secrets.

    >>> scrub("client-key-data: LS0tLS1C\\nserver: https://192.168.1.110:16443")
    'client-key-data: [removed]\\nserver: https://192.168.1.110:16443'
    """
    text = _KEYS.sub(rf"-----BEGIN \1-----{REMOVED}", redact(text))
    text = _BEARER.sub(rf"\g<1>{REMOVED}", text)
    text = _JOIN.sub(rf"\g<1>{REMOVED}", text)
    return _NAMED.sub(_without_value, text)


def scrub_body(text: str) -> str:
    """An answer of the API: Secrets lose their data, but for certificates; everything else is text."""
    try:
        value = json.loads(text)
    except ValueError:
        return scrub(text)
    return json.dumps(_scrubbed(value), ensure_ascii=True)


def _scrubbed(value: Any) -> Any:
    if isinstance(value, list):
        return [_scrubbed(item) for item in value]
    if isinstance(value, str):
        return scrub(value)
    if not isinstance(value, dict):
        return value
    if value.get("kind") == "SecretList":
        value = {**value, "items": [{**item, "kind": "Secret"} for item in value.get("items") or ()]}
    if value.get("kind") == "Secret":
        return {name: _of_secret(name, part) for name, part in value.items()}
    return {name: REMOVED if _NAMED.fullmatch(f"{name}=x") and isinstance(part, str) else _scrubbed(part)
            for name, part in value.items()}  # fmt: skip


def _of_secret(name: str, part: Any) -> Any:
    if name in ("data", "stringData") and isinstance(part, dict):
        return {key: content if key in _PUBLIC else REMOVED for key, content in part.items()}
    if name == "metadata" and _APPLIED in (part.get("annotations") or {}):
        return {**part, "annotations": {**part["annotations"], _APPLIED: REMOVED}}
    return _scrubbed(part)


def _without_value(found: re.Match[str]) -> str:
    quote = found[2][0] if found[2][0] in "\"'" else ""
    return f"{found[1]}{quote}{REMOVED}{quote}"
