"""The lab's HTTPS server: credentials, faults, refusals, and its life."""

from __future__ import annotations

import base64
import json
import ssl
from typing import Any

import pytest
import yaml
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from urllib3 import PoolManager, Retry

from tests.thinkube_nornir.lab.kube.conftest import Lab, connect, resource, stream, use
from thinkube_nornir.lab.kube import Fault, User

ADMIN = User("admin", ("system:masters",))


def asked(lab: Lab, method: str, path: str, *, credentials: bool = True, **more: Any) -> tuple[int, Any]:
    """A bare request: status and body, decoded when it is JSON."""
    config = yaml.safe_load(lab.kubeconfig)
    authority = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
    headers = more.pop("headers", {}) | ({"Authorization": "Bearer test"} if credentials else {})
    lab.do(lambda: lab.api.tokens.update({"test": ADMIN}))
    with PoolManager(ssl_context=ssl.create_default_context(cadata=authority), retries=Retry(0)) as pool:
        url = f"https://127.0.0.1:{lab.do(lambda: lab.api.port)}{path}"
        answer = pool.request(method, url, headers=headers, **more)
    json_body = "json" in answer.headers["Content-Type"]
    return answer.status, json.loads(answer.data) if json_body else answer.data.decode()


def test_who_has_no_credentials_gets_nothing(lab: Lab) -> None:
    """Without certificate or token: 401 for objects and discovery, health and version are public."""
    assert asked(lab, "GET", "/api/v1/namespaces", credentials=False)[0] == 401
    assert asked(lab, "GET", "/api", credentials=False)[1]["reason"] == "Unauthorized"
    assert asked(lab, "GET", "/readyz", credentials=False) == (200, "ok")
    assert asked(lab, "GET", "/version", credentials=False)[1]["gitVersion"] == "v1.32.3"


def test_a_token_is_enough(lab: Lab) -> None:
    """A bearer token that is known stands for a certificate; another one does not."""
    assert asked(lab, "GET", "/api/v1/namespaces")[0] == 200
    wrong = {"Authorization": "Bearer wrong"}
    assert asked(lab, "GET", "/api/v1/namespaces", credentials=False, headers=wrong)[0] == 401


@pytest.mark.parametrize(
    ("method", "path", "content_type", "body", "code", "reason"),
    [
        ("POST", "/api/v1/namespaces/default/configmaps", "application/json", "{", 400, "BadRequest"),
        ("POST", "/api/v1/namespaces/default/configmaps", "application/json", '{"data": 1}', 400, "BadRequest"),
        ("POST", "/api/v1/namespaces/default/configmaps", "application/x-protobuf", "x", 415, "UnsupportedMediaType"),
        ("PATCH", "/api/v1/namespaces/default/configmaps/x", "text/plain", "x", 415, "UnsupportedMediaType"),
        ("POST", "/api/v1/namespaces/default", "application/json", "{}", 405, "MethodNotAllowed"),
        ("POST", "/api/v1/configmaps", "application/json", "{}", 405, "MethodNotAllowed"),
        ("GET", "/api/v1/gadgets", "application/json", None, 404, "NotFound"),
        ("GET", "/api", "application/json", None, 200, None),
        ("GET", "/apis/apps/v1/deployments/web", "application/json", None, 404, "NotFound"),
        ("GET", "/api/v1/pods?labelSelector=a+b", "application/json", None, 400, "BadRequest"),
        ("GET", "/api/v1/pods?fieldSelector=spec.x%3Dy", "application/json", None, 400, "BadRequest"),
        ("GET", "/elsewhere", "application/json", None, 404, "NotFound"),
    ],
)
def test_refusals_are_status_objects(
    lab: Lab, method: str, path: str, content_type: str, body: str | None, code: int, reason: str | None
) -> None:
    """Code and reason are those of a real server."""
    status, answer = asked(lab, method, path, headers={"Content-Type": content_type}, body=body)

    assert (status, answer.get("reason")) == (code, reason)


def test_faults_answer_in_place_of_the_api(lab: Lab, api: client.ApiClient) -> None:
    """A fault is used as often as it says, on the method and path it names."""
    fault = Fault(method="GET", path="/configmaps$", status=503, times=2)
    lab.do(lambda: lab.api.faults.append(fault))

    answers = [asked(lab, "GET", "/api/v1/namespaces/default/configmaps")[0] for _ in range(3)]

    assert answers == [503, 503, 200]
    assert asked(lab, "GET", "/api/v1/namespaces")[0] == 200


def test_too_many_requests_says_when_to_come_again(lab: Lab, api: client.ApiClient) -> None:
    """429 has Retry-After, which the official client obeys by itself for reads."""
    lab.do(lambda: lab.api.faults.append(Fault(method="POST", status=429)))

    with pytest.raises(ApiException) as caught:
        use(client.CoreV1Api, api).create_namespace({"metadata": {"name": "x"}})

    assert (caught.value.status, (caught.value.headers or {})["Retry-After"]) == (429, "1")


def test_a_dropped_connection_is_no_answer(lab: Lab) -> None:
    """Status -1 cuts the line."""
    lab.do(lambda: lab.api.faults.append(Fault(path="namespaces", status=-1)))

    with pytest.raises(Exception, match=r"Connection aborted|EOF|reset"):
        asked(lab, "GET", "/api/v1/namespaces")


def test_the_kubeconfig_verifies_wherever_it_points(lab: Lab) -> None:
    """The server's certificate covers every address a kubeconfig was made for, from then on."""
    port = lab.do(lambda: lab.api.port)
    config = lab.do(lambda: lab.api.kubeconfig("https://192.168.1.110:16443"))
    config = config.replace(
        "https://192.168.1.110:16443", f"https://127.0.0.1:{port}\n    tls-server-name: 192.168.1.110"
    )

    with connect(config) as opened:
        assert use(client.VersionApi, opened).get_code().git_version == "v1.32.3"


def test_a_stranger_is_not_verified(lab: Lab) -> None:
    """A name that nobody asked a kubeconfig for does not verify."""
    config = lab.kubeconfig.replace("    server:", "    tls-server-name: stranger.example\n    server:")

    with connect(config) as opened, pytest.raises(Exception, match="certificate verify failed"):
        use(client.VersionApi, opened).get_code(_request_timeout=5)


def test_it_can_be_stopped_and_started_again(lab: Lab, api: client.ApiClient) -> None:
    """The objects are kept; an open watch ends instead of hanging."""
    core = use(client.CoreV1Api, api)
    core.create_namespace({"metadata": {"name": "kept"}})
    opened = core.list_namespace(watch=True, _preload_content=False)
    next(opened.stream())
    lab._wait(lab.api.stop())
    lab._wait(lab.api.start())

    with lab.client() as again:
        assert use(client.CoreV1Api, again).read_namespace("kept").status.phase == "Active"
    opened.close()


def test_a_watch_from_too_long_ago_is_gone(lab: Lab, api: client.ApiClient) -> None:
    """After a compaction: 410 for a watch and for the next page of a list."""
    core = use(client.CoreV1Api, api)
    page = core.list_namespace(limit=1)
    core.create_namespace({"metadata": {"name": "later"}})
    lab.do(lambda: lab.api.compact())

    events = stream(core.list_namespace, resource_version=page.metadata.resource_version, timeout_seconds=5)
    with pytest.raises(ApiException) as watched:
        next(events)
    with pytest.raises(ApiException) as listed:
        core.list_namespace(limit=1, _continue=page.metadata._continue)

    assert (watched.value.status, listed.value.status) == (410, 410)


def test_bookmarks_come_when_asked(lab: Lab) -> None:
    """A watch with initial events marks their end, and its own end with a last revision."""
    query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1"
    config = yaml.safe_load(lab.kubeconfig)
    authority = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
    lab.do(lambda: lab.api.tokens.update({"test": ADMIN}))
    with PoolManager(ssl_context=ssl.create_default_context(cadata=authority)) as pool:
        url = f"https://127.0.0.1:{lab.do(lambda: lab.api.port)}/api/v1/nodes?{query}"
        answer = pool.request("GET", url, headers={"Authorization": "Bearer test"})

    lines = [json.loads(line) for line in answer.data.splitlines()]
    assert [line["type"] for line in lines] == ["ADDED", "ADDED", "BOOKMARK", "BOOKMARK"]
    assert lines[2]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_discovery_knows_every_group(lab: Lab, api: client.ApiClient) -> None:
    """The dynamic client finds the kinds that the phases need."""
    for api_version, kind in (
        ("v1", "Pod"),
        ("apps/v1", "DaemonSet"),
        ("batch/v1", "Job"),
        ("networking.k8s.io/v1", "IngressClass"),
        ("storage.k8s.io/v1", "StorageClass"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole"),
        ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
        ("node.k8s.io/v1", "RuntimeClass"),
        ("coordination.k8s.io/v1", "Lease"),
    ):
        assert resource(api, api_version, kind).kind == kind
