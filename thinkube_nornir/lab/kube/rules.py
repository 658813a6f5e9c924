"""What names, keys, ports and the like must look like, and the words in which an API server refuses others.

Source: kubernetes/kubernetes@v1.36.2 staging/src/k8s.io/apimachinery/pkg/util/validation/validation.go
Source: kubernetes/kubernetes@v1.36.2 staging/src/k8s.io/apimachinery/pkg/util/validation/field/errors.go
Source: kubernetes/kubernetes@v1.36.2 staging/src/k8s.io/apimachinery/pkg/api/validate/content/kube.go
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from thinkube_nornir.lab.kube.status import Cause

Rule = Callable[[Any], Iterator[str]]
"""Says what is wrong with a value; nothing when it is right."""

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL35 = r"[a-z]([-a-z0-9]*[a-z0-9])?"
_VALUE = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
_NAME = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_KEY = "[-._a-zA-Z0-9]+"
_WILDCARD = rf"\*\.{_SUBDOMAIN}"


def invalid(field: str, value: object, why: str) -> Cause:
    return Cause(field, f"Invalid value: {shown(value)}: {why}")


def required(field: str, why: str = "") -> Cause:
    return Cause(field, f"Required value{f': {why}' if why else ''}", "FieldValueRequired")


def forbidden(field: str, why: str) -> Cause:
    return Cause(field, f"Forbidden: {why}", "FieldValueForbidden")


def duplicate(field: str, value: object) -> Cause:
    return Cause(field, f"Duplicate value: {shown(value)}", "FieldValueDuplicate")


def unsupported(field: str, value: object, allowed: Iterable[str]) -> Cause:
    listed = ", ".join(f'"{one}"' for one in allowed)
    return Cause(field, f"Unsupported value: {shown(value)}: supported values: {listed}", "FieldValueNotSupported")


def shown(value: object) -> str:
    """As Go prints it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def broken(field: str, value: Any, rule: Rule) -> Iterator[Cause]:
    """One cause for each thing that the rule says of the value."""
    return (invalid(field, value, why) for why in rule(value))


def among(field: str, value: Any, *allowed: str) -> Iterator[Cause]:
    if value is not None and value not in allowed:
        yield unsupported(field, value, allowed)


def not_negative(field: str, value: Any) -> Iterator[Cause]:
    if isinstance(value, int) and value < 0:
        yield invalid(field, value, "must be greater than or equal to 0")


def label(value: str) -> Iterator[str]:
    """A DNS label, RFC 1123."""
    if not re.fullmatch(_LABEL, value):
        wrong = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and"
        yield f"{wrong} must start and end with an alphanumeric character {_example(_LABEL, 'my-name', '123-abc')}"
    yield from _at_most(value, 63)


def label35(value: str) -> Iterator[str]:
    """A DNS label, RFC 1035: it begins with a letter."""
    if not re.fullmatch(_LABEL35, value):
        wrong = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic"
        yield f"{wrong} character, and end with an alphanumeric character {_example(_LABEL35, 'my-name', 'abc-123')}"
    yield from _at_most(value, 63)


def subdomain(value: str) -> Iterator[str]:
    if len(value) > 253:
        yield "must be no more than 253 characters"
    elif not re.fullmatch(_SUBDOMAIN, value):
        wrong = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and"
        yield f"{wrong} must start and end with an alphanumeric character {_example(_SUBDOMAIN, 'example.com')}"


def wildcard(value: str) -> Iterator[str]:
    if not re.fullmatch(_WILDCARD, value):
        wrong = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must"
        rest = "consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character"
        yield f"{wrong} {rest} {_example(_WILDCARD, '*.example.com')}"


def label_value(value: str) -> Iterator[str]:
    if len(value) > 63:
        yield "must be no more than 63 bytes"
    elif not re.fullmatch(_VALUE, value):
        wrong = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must"
        yield f"{wrong} start and end with an alphanumeric character {_example(_VALUE, 'MyValue', 'my_value', '12345')}"


def qualified_name(value: str) -> Iterator[str]:
    """A key of labels, annotations or resources: a name, and perhaps a domain before it."""
    domain, _, name = value.rpartition("/")
    examples = _example(_NAME, "MyName", "my.name", "123-abc")
    consists = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric"
    if value.count("/") > 1:
        yield (
            f"a valid label key {consists} character {examples} with an optional DNS subdomain prefix and '/' "
            "(e.g. 'example.com/MyName')"
        )
        return
    if "/" in value:
        yield from (f"prefix part {why}" for why in ("must be non-empty",) if not domain)
        yield from (f"prefix part {why}" for why in subdomain(domain) if domain)
    if not name:
        yield "name part must be non-empty"
    elif len(name) > 63:
        yield "name part must be no more than 63 bytes"
    if not re.fullmatch(_NAME, name):
        yield f"name part {consists} character {examples}"


def data_key(value: str) -> Iterator[str]:
    if not re.fullmatch(_KEY, value):
        wrong = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
        yield f"{wrong} {_example(_KEY, 'key.name', 'KEY_NAME', 'key-name')}"
    elif value == ".":
        yield "must not be '.'"
    elif value == "..":
        yield "must not be '..'"
    elif value.startswith(".."):
        yield "must not start with '..'"


def port(value: Any) -> Iterator[str]:
    if not 1 <= value <= 65535:
        yield "must be between 1 and 65535, inclusive"


def port_name(value: str) -> Iterator[str]:
    """IANA_SVC_NAME."""
    if len(value) > 15:
        yield "must be no more than 15 characters"
    if not re.fullmatch("[-a-z0-9]*", value):
        yield "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    elif not re.search("[a-z]", value):
        yield "must contain at least one letter (a-z)"
    elif "--" in value:
        yield "must not contain consecutive hyphens"
    elif value.startswith("-") or value.endswith("-"):
        yield "must not begin or end with a hyphen"


def port_or_name(value: Any) -> Iterator[str]:
    yield from port_name(value) if isinstance(value, str) else port(value)


def address(value: str) -> Iterator[str]:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        yield "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"


def network(value: str) -> Iterator[str]:
    try:
        ipaddress.ip_interface(value if "/" in value else "")
    except ValueError:
        yield "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def labels(field: str, value: Mapping[str, str]) -> Iterator[Cause]:
    for key, text in value.items():
        yield from broken(field, key, qualified_name)
        yield from broken(field, text, label_value)


def _at_most(value: str, length: int) -> Iterator[str]:
    if len(value) > length:
        yield f"must be no more than {length} characters"


def _example(pattern: str, *examples: str) -> str:
    return f"(e.g. {',  or '.join(repr(one) for one in examples)}, regex used for validation is '{pattern}')"
