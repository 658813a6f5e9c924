"""An HTTPS server that answers from a script, for what a good API server does not do on request.

    with ScriptedApi({"GET /version": [Reply(503), Drop(), Reply(200, {"gitVersion": "v1"})]}) as api:
        ...
        assert api.asked == ["GET /version"] * 3

A request that nobody scripted is answered with 500 and listed in `api.unscripted`, which the exit asserts to be empty.
"""

from __future__ import annotations

import json
import ssl
import tempfile
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.certificates import Authority, kubeconfig

TOKEN = "sTOKENs-never-shown"
CORE = {
    "resources": [
        {"name": "pods", "kind": "Pod", "namespaced": True},
        {"name": "nodes", "kind": "Node", "namespaced": False},
        {"name": "events", "kind": "Event", "namespaced": True},
        {"name": "secrets", "kind": "Secret", "namespaced": True},
        {"name": "pods/log", "kind": "Pod", "namespaced": True},
    ]
}


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: Any = None
    """A dict is sent as JSON; a list as the lines of a watch."""
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False
    """Lose the connection: before the answer, or after these lines of a watch."""


def failure(status: int, message: str, *causes: Mapping[str, str], **headers: str) -> Reply:
    body = {
        "kind": "Status",
        "status": "Failure",
        "code": status,
        "message": message,
        "details": {"causes": list(causes)},
    }
    return Reply(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


_NONE = Reply(200, {"items": []})
_RECORDS = {
    "GET /api/v1/namespaces/kube-system/secrets": _NONE,
    "POST /api/v1/namespaces/kube-system/secrets": Reply(201, {}),
    "GET /api/v1/pods": _NONE,
    "GET /apis/batch/v1": Reply(200, {"resources": [{"name": "jobs", "kind": "Job", "namespaced": True}]}),
    "GET /apis/batch/v1/jobs": _NONE,
}
_FORGET = "DELETE /api/v1/namespaces/kube-system/secrets/thinkube-change-"
"""What every change of an object asks for: records of earlier ones, and probes that a killed run left."""


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    body: bytes


class ScriptedApi:
    """Args: script: "METHOD /path" to one reply, or to several in turn, of which the last one stays."""

    def __init__(
        self, script: Mapping[str, Reply | Sequence[Reply]], *addresses: str, authority: Authority | None = None
    ) -> None:
        usual = {"GET /api/v1": Reply(200, CORE), "GET /version": Reply(200, {"gitVersion": "v1.32.3"}), **_RECORDS}
        self.script: Mapping[str, Reply | Sequence[Reply]] = {**usual, **script}
        self.authority = authority or Authority()
        self.requests: list[Request] = []
        self.unscripted: list[str] = []
        self._turns: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.api = self
        self._server.socket = _context(self.authority, addresses or ("127.0.0.1",)).wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def asked(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.requests]

    def kubeconfig(self, server: str = "") -> str:
        return kubeconfig(server or f"https://127.0.0.1:{self.port}", self.authority.pem, token=TOKEN)

    def answer(self, request: Request) -> Reply:
        name = f"{request.method} {request.path}"
        with self._lock:
            self.requests.append(request)
            if name not in self.script and name.startswith(_FORGET):
                return Reply(200, {})
            if name not in self.script:
                self.unscripted.append(name)
                return Reply(500, {"message": f"nobody scripted {name}"})
            replies = self.script[name]
            if isinstance(replies, Reply):
                return replies
            self._turns[name] += 1
            return replies[min(self._turns[name], len(replies)) - 1]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        if kind is None:
            assert self.unscripted == []


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    api: ScriptedApi

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer takes 40 ms
    server: _Server

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(self.command, parts.path, parse_qs(parts.query), dict(self.headers), body)
        reply = self.server.api.answer(request)
        if reply.drop and not isinstance(reply.body, list):
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if isinstance(reply.body, list):
            self._lines(reply)
            return
        content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body or {}).encode()
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _lines(self, reply: Reply) -> None:
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in reply.body:
            content = json.dumps(line).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
        if reply.drop:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815  # the library's names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Quiet."""


def _context(authority: Authority, addresses: Sequence[str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        pem = Path(folder) / "server.pem"
        pem.write_bytes(b"".join(authority.issue("server", *addresses)))
        context.load_cert_chain(pem)
    return context
