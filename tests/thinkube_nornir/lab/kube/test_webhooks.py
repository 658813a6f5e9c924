"""Admission webhooks of the lab's API, which are asked as a real kube-apiserver 1.36 asked them.

Its answers are in webhook_refusals.json; with a real server at hand they are compared with that file, too.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from tests.certificates import Authority
from tests.light_lab import eventually
from tests.openssh import free_port
from tests.thinkube_nornir.lab.kube.conftest import Lab, workload
from thinkube_nornir.lab.kube import Object

CASES: list[Object] = json.loads(Path(__file__).with_name("webhook_refusals.json").read_text())
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"


def _patch(*operations: Object) -> Object:
    return {
        "allowed": True,
        "patchType": "JSONPatch",
        "patch": base64.b64encode(json.dumps(operations).encode()).decode(),
    }


ANSWERS: dict[str, Object] = {
    "/allow": {"allowed": True},
    "/warn": {"allowed": True, "warnings": ["mind the gap"]},
    "/deny": {"allowed": False, "status": {"message": "no way", "code": 422, "reason": "Invalid"}},
    "/deny-bare": {"allowed": False},
    "/deny-reason": {"allowed": False, "status": {"reason": "Because"}},
    "/deny-ok": {"allowed": False, "status": {"message": "no", "code": 200}},
    "/patch": _patch({"op": "add", "path": "/data/added", "value": "by a webhook"}),
    "/other-uid": {"allowed": True, "uid": "another"},
}


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        path = self.path.partition("?")[0]
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        seen: list[Object] = self.server.seen  # type: ignore[attr-defined]
        seen.append(asked["request"] | {"path": path})
        if path == "/slow":
            time.sleep(3)
        answer = {"uid": asked["request"]["uid"]} | ANSWERS.get(path, {"allowed": True})
        body = json.dumps({"apiVersion": asked["apiVersion"], "kind": asked["kind"], "response": answer}).encode()
        status = 500 if path == "/broken" else 200
        body = {"/broken": b"out of order", "/absent": b"{}"}.get(path, body)
        try:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            return  # who asked has not waited

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


class Webhooks:
    """An HTTPS server with an answer of its own at each path."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority()
        for name, content in zip(("crt", "key"), self.authority.issue("hooks", "127.0.0.1"), strict=True):
            (folder / name).write_bytes(content)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "crt", folder / "key")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # who does not trust us hangs up
        self.seen: list[Object] = []
        self._server.seen = self.seen  # type: ignore[attr-defined]
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhooks]:
    server = Webhooks(tmp_path_factory.mktemp("hooks"))
    yield server
    server.close()


def asked(api: client.ApiClient, method: str, path: str, body: Object | None = None) -> tuple[int, Any, str]:
    settings: Any = api.configuration
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if method == "PATCH":
        headers["Content-Type"] = "application/merge-patch+json"
    headers |= {one["key"]: one["value"] for one in settings.auth_settings().values()}
    pool = api.rest_client.pool_manager
    sent = None if body is None else json.dumps(body).encode()
    answer = pool.request(method, f"{settings.host}{path}", body=sent, headers=headers)
    return answer.status, json.loads(answer.data), answer.headers.get("Warning", "")


def configuration(kind: str, name: str, hook: Object, hooks: Webhooks, closed: int) -> Object:
    """Concerns the ConfigMaps whose label `case` is its name, unless the hook says otherwise."""
    where = hook.get("clientConfig") or {}
    url = where.get("url", "").replace("SERVER", f"127.0.0.1:{hooks.port}").replace("CLOSED", f"127.0.0.1:{closed}")
    trusted = Authority() if where.get("caBundle") == "another" else hooks.authority
    config = {"url": url, "caBundle": base64.b64encode(trusted.pem).decode()} if url else where
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}
    usual = {
        "name": f"{name}.example.org",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "objectSelector": {"matchLabels": {"case": name}},
        "rules": [rule],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": f"{kind}WebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [usual | hook | {"clientConfig": config}],
    }


def config_map(case: str, name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"case": case}},
        "data": {"a": "b"},
    }


@pytest.fixture(scope="module")
def configured(anywhere: client.ApiClient, hooks: Webhooks) -> Iterator[int]:
    """All configurations of the cases; a real server takes a moment until it asks the last one."""
    closed = free_port()
    paths = []
    for case in [
        *CASES,
        {"case": "zz-last", "kind": "Validating", "hook": {"clientConfig": {"url": "https://SERVER/deny"}}},
    ]:
        body = configuration(case["kind"], case["case"], case["hook"], hooks, closed)
        path = f"/apis/admissionregistration.k8s.io/v1/{case['kind'].lower()}webhookconfigurations"
        status, answer, _ = asked(anywhere, "POST", path, body)
        assert status == 201, answer
        paths.append(f"{path}/{case['case']}")
    until = time.monotonic() + 20
    while asked(anywhere, "POST", f"{CONFIGMAPS}?dryRun=All", config_map("zz-last", "canary"))[0] == 201:
        assert time.monotonic() < until, "the webhooks are not asked"
        time.sleep(0.05)
    yield closed
    for path in paths:
        asked(anywhere, "DELETE", path)


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_a_webhook_is_asked_as_by_a_real_server(
    anywhere: client.ApiClient, hooks: Webhooks, configured: int, case: Object
) -> None:
    """Status, reason and message of what is refused; what was added, and said as a warning, of what is not."""
    status, answer, warning = asked(
        anywhere, "POST", f"{CONFIGMAPS}?dryRun=All", config_map(case["case"], case["case"])
    )

    got: Object = {"status": status}
    if status == 201:
        got |= {"data": answer["data"]}
    else:
        text = (
            answer["message"].replace(f"127.0.0.1:{hooks.port}", "SERVER").replace(f"127.0.0.1:{configured}", "CLOSED")
        )
        text = re.sub(r" \(possibly because of .*\)", "", text)  # Go's guess at a certificate's fault
        got |= {"reason": answer.get("reason", ""), "message": re.sub(r'"[0-9a-f-]{36}"', '"UID"', text)}
    got |= {"warning": warning} if warning else {}
    assert got == case["answer"]


def hook(name: str, service: str) -> Object:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}
    where = {"service": {"namespace": "default", "name": service, "path": "/x"}}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [{"name": f"{name}.example.org", "sideEffects": "None", "clientConfig": where, "rules": [rule]}],
    }


def test_a_service_without_ready_pods_refuses_and_is_asked_once_it_has_some(lab: Lab, api: client.ApiClient) -> None:
    """What happens while the pods of cert-manager's or MetalLB's webhook start: 500, then behaviour code answers."""
    denied = {"allowed": False, "status": {"message": "pools overlap", "code": 403}}
    ports = [{"port": 443}]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hook", "namespace": "default"}}
    lab.do(lambda: lab.api.create(service | {"spec": {"selector": {"app": "hook"}, "ports": ports}}))
    lab.do(lambda: lab.api.create(hook("w", "hook")))
    lab.do(lambda: lab.api.webhooks.update({("default", "hook"): lambda _: denied}))

    early = asked(api, "POST", CONFIGMAPS, config_map("x", "c1"))
    lab.do(lambda: lab.api.create(workload("Deployment", "hook", replicas=1)))
    assert eventually(lambda: asked(api, "POST", CONFIGMAPS, config_map("x", "c1"))[0] != 500, 30)
    late = asked(api, "POST", CONFIGMAPS, config_map("x", "c1"))

    assert early[0] == 500
    assert 'Post "https://hook.default.svc:443/x?timeout=10s": dial tcp 10.152.' in early[1]["message"]
    assert early[1]["message"].endswith(":443: connect: connection refused")
    assert (late[0], late[1]["message"]) == (403, 'admission webhook "w.example.org" denied the request: pools overlap')


def test_a_change_is_shown_with_what_was_there(lab: Lab, api: client.ApiClient, hooks: Webhooks) -> None:
    """And with who asks; what a controller of the lab writes is not shown."""
    body = configuration("Validating", "seen", {"clientConfig": {"url": "https://SERVER/allow"}}, hooks, 0)
    lab.do(lambda: lab.api.create(body))
    lab.do(lambda: lab.api.create(config_map("seen", "c1") | {"metadata": {"name": "c1", "namespace": "default"}}))
    hooks.seen.clear()

    labelled = {"metadata": {"labels": {"case": "seen"}}, "data": {"a": "c"}}
    assert asked(api, "PATCH", f"{CONFIGMAPS}/c1", labelled)[0] == 200

    (seen,) = hooks.seen
    assert (seen["operation"], seen["name"], seen["namespace"]) == ("UPDATE", "c1", "default")
    assert (seen["oldObject"]["data"], seen["object"]["data"]) == ({"a": "b"}, {"a": "c"})
    assert (seen["userInfo"]["username"], seen["dryRun"]) == ("admin", False)


def test_a_webhook_that_does_not_answer_can_be_removed(lab: Lab, api: client.ApiClient) -> None:
    """Configurations of webhooks are shown to none, else a broken one would stay for ever."""
    broken = hook("w", "nowhere")
    broken["webhooks"][0]["rules"][0] |= {"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}
    lab.do(lambda: lab.api.create(broken))
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/w"

    assert asked(api, "POST", CONFIGMAPS, config_map("x", "c1"))[0] == 500
    assert asked(api, "PATCH", path, {"metadata": {"labels": {"a": "b"}}})[0] == 200
    assert asked(api, "DELETE", path)[0] == 200
    assert asked(api, "POST", CONFIGMAPS, config_map("x", "c1"))[0] == 201
