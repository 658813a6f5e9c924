"""Errors of the API, and the Status objects a client reads them from.

Source: kubernetes/apimachinery@v0.35.0 pkg/api/errors/errors.go
Source: kubernetes/apiserver@v0.35.0 pkg/registry/generic/registry/store.go (create)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from thinkube_nornir.lab.kube.objects import Object

REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    410: "Expired",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


@dataclass(frozen=True)
class Cause:
    """One detail of an error: which field, and what is wrong with it."""

    field: str
    message: str
    reason: str = "FieldValueInvalid"

    @property
    def data(self) -> Object:
        return {"reason": self.reason, "message": self.message, "field": self.field}


class ApiError(Exception):
    """A request that the API refuses, as its client will see it."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        reason: str | None = None,
        causes: Sequence[Cause] = (),
        details: Object | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = REASONS.get(code, "") if reason is None else reason
        self.causes = tuple(causes)
        self.details = details or {}

    @property
    def status(self) -> Object:
        details = dict(self.details)
        if self.causes:
            details["causes"] = [cause.data for cause in self.causes]
        if self.code in (429, 503):
            details["retryAfterSeconds"] = 1
        return _status("Failure", self.code, message=self.message, reason=self.reason, details=details)


def success(**details: Any) -> Object:
    return _status("Success", 0, details=details)


def not_found(plural: str, group: str, name: str) -> ApiError:
    return ApiError(404, f'{_qualified(plural, group)} "{name}" not found', details=_details(plural, group, name))


def already_exists(plural: str, group: str, name: str, *, going: bool) -> ApiError:
    """`going`: it is being deleted."""
    message = f'{"object is being deleted: " * going}{_qualified(plural, group)} "{name}" already exists'
    return ApiError(409, message, reason="AlreadyExists", details=_details(plural, group, name))


def forbidden(plural: str, group: str, name: str, why: str, causes: Sequence[Cause] = ()) -> ApiError:
    named = f' "{name}"' if name else ""
    details = {field: value for field, value in _details(plural, group, name).items() if value}
    return ApiError(403, f"{_qualified(plural, group)}{named} is forbidden: {why}", causes=causes, details=details)


def conflict(plural: str, group: str, name: str, why: str) -> ApiError:
    message = f'Operation cannot be fulfilled on {_qualified(plural, group)} "{name}": {why}'
    return ApiError(409, message, details=_details(plural, group, name))


def invalid(kind: str, group: str, name: str, causes: Sequence[Cause]) -> ApiError:
    reported = list(dict.fromkeys(f"{cause.field}: {cause.message}" for cause in causes))
    text = reported[0] if len(reported) == 1 else f"[{', '.join(reported)}]"
    message = f'{_qualified(kind, group)} "{name}" is invalid: {text}'
    return ApiError(422, message, causes=causes, details=_details(kind, group, name))


def _qualified(plural: str, group: str) -> str:
    return f"{plural}.{group}" if group else plural


def _details(kind: str, group: str, name: str) -> Object:
    return {"name": name, "kind": kind} | ({"group": group} if group else {})


def _status(status: str, code: int, **more: Any) -> Object:
    body: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": status}
    body |= {name: value for name, value in more.items() if value}
    return body | ({"code": code} if code else {})
