"""The cluster door against an API server that fails on request: retries, deadlines, TLS, tunnel, watches."""

from __future__ import annotations

import logging
import socket
import ssl
import stat
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import urllib3
from urllib3.exceptions import SSLError
from urllib3.util.ssl_ import create_urllib3_context

from tests.certificates import Authority, kubeconfig
from tests.cluster_client import ClusterClient
from tests.scripted_api import TOKEN, Reply, ScriptedApi, failure
from thinkube_nornir.cluster import Cluster, apply, leftovers, probe_pod, run_pod, wait
from thinkube_nornir.cluster.client import Client
from thinkube_nornir.cluster.deadline import Deadline
from thinkube_nornir.cluster.messages import Call
from thinkube_nornir.context import retries_of
from thinkube_nornir.errors import (
    Cancelled,
    ClusterError,
    ClusterUnreachable,
    DeadlinePassed,
    SkippedInDryRun,
    Unreachable,
)

NODE = "GET /api/v1/nodes/n1"
NODES = "GET /api/v1/nodes"
DROP = Reply(drop=True)


@pytest.fixture
def open_client(tmp_path: Path) -> Any:
    doors: list[ClusterClient] = []

    def make(text: str, **more: Any) -> ClusterClient:
        doors.append(ClusterClient(tmp_path, text, **more))
        return doors[-1]

    yield make
    for client in doors:
        client.close()


def node(kube: Cluster) -> Any:
    return kube.get("v1", "Node", "n1")


def test_reads_are_repeated_while_the_server_restarts(open_client: Any) -> None:
    """A read outlives 503s, a lost connection and a 429, within its deadline."""
    replies = [failure(503, "starting"), DROP, failure(429, "busy"), Reply(200, {"kind": "Node"})]
    with ScriptedApi({NODE: replies}) as api:
        found, retries = open_client(api.kubeconfig()).use(lambda kube: (node(kube), retries_of(kube.task)))
        assert found == {"kind": "Node"}
        assert api.asked.count(NODE) == 4
    assert retries.count == 3
    assert "busy" in retries.reason


def test_a_server_that_stays_ill_is_an_error_that_says_so(open_client: Any) -> None:
    """When the deadline passes, the last answer is the evidence."""
    with ScriptedApi({NODE: failure(503, "etcd is not there")}) as api, pytest.raises(ClusterError) as caught:
        open_client(api.kubeconfig(), command=0.5).use(node)
    assert caught.value.status == 503
    assert "etcd is not there" in caught.value.why
    assert "tkc" in caught.value.what
    assert "tkc" in caught.value.fix


def test_the_last_real_answer_is_told_when_later_attempts_get_none(open_client: Any) -> None:
    """That the connection was lost in the end says less than what the server said before."""
    with ScriptedApi({NODE: [failure(503, "etcd is not there"), DROP]}) as api, pytest.raises(ClusterError) as caught:
        open_client(api.kubeconfig(), command=0.5).use(node)
    assert caught.value.status is None
    assert "no answer" in caught.value.what
    assert "its last answer before that: the API failed (HTTP 503): etcd is not there" in caught.value.why


def test_a_write_may_take_as_long_as_an_admission_webhook(open_client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """30 s; the API server ends it after 34. A read that is silent for 15 s is asked again."""
    manifest = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}
    allowed: dict[str, set[float]] = {}
    send = Client._send

    def recorded(client: Client, call: Call, *, connect: float, read: float, preload: bool = True) -> Any:
        allowed.setdefault(call.method, set()).add(round(read))
        return send(client, call, connect=connect, read=read, preload=preload)

    monkeypatch.setattr(Client, "_send", recorded)
    with ScriptedApi({NODE: failure(404, "no"), APPLY: Reply(201, manifest)}) as api:
        open_client(api.kubeconfig(), command=60).use(lambda kube: apply(kube, manifest))
    assert allowed["GET"] == {15}
    assert min(allowed["PATCH"]) > 34


def test_the_server_names_how_long_to_wait(open_client: Any) -> None:
    """Retry-After is honoured: a second that does not fit in the deadline is not waited for."""
    with ScriptedApi({NODE: failure(429, "busy", Retry_After="60")}) as api, pytest.raises(ClusterError) as caught:
        open_client(api.kubeconfig(), command=5).use(node)
    assert caught.value.status == 429
    assert api.asked.count(NODE) == 1


def test_a_dead_server_is_waited_for_once(open_client: Any) -> None:
    """Who asks after a call that waited in vain makes one attempt; once the server answers, patience is back."""
    alive = Reply(200, {"kind": "Node", "metadata": {"name": "n1"}})
    with ScriptedApi({NODE: DROP}) as api:
        client = open_client(api.kubeconfig(), command=0.5)
        with pytest.raises(ClusterError):
            client.use(node)
        asked = api.asked.count(NODE)
        with pytest.raises(ClusterError):
            client.use(node)
        assert api.asked.count(NODE) == asked + 1
        api.script = {**api.script, NODE: [alive, DROP, alive]}
        assert client.use(node) == client.use(node)


def test_what_cannot_be_repeated_is_sent_once(open_client: Any) -> None:
    """The creation of a pod whose answer is lost is an error: a second one would make a second pod."""
    create = "POST /api/v1/namespaces/default/pods"
    with ScriptedApi({create: DROP}) as api, pytest.raises(ClusterError, match="creating a probe pod failed"):
        open_client(api.kubeconfig()).use(lambda kube: run_pod(kube, probe_pod("p", "image", ["true"])))
    assert api.asked.count(create) == 1


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (failure(401, "Unauthorized"), "does not accept our credentials"),
        (failure(403, 'nodes "n1" is forbidden'), "our user may not do that"),
        (failure(422, "invalid", {"field": "spec.x", "message": "must be positive"}), "spec.x: must be positive"),
        (failure(400, f"bad token {TOKEN}"), "bad token ********"),
    ],
)
def test_refusals_are_explained_and_not_repeated(open_client: Any, reply: Reply, told: str) -> None:
    """An answer that another attempt would not better is told at once, with causes and without secrets."""
    with ScriptedApi({NODE: reply}) as api, pytest.raises(ClusterError) as caught:
        open_client(api.kubeconfig()).use(node)
    assert told in caught.value.why
    assert caught.value.status == reply.status
    assert api.asked.count(NODE) == 1


RIGHT = 'secrets is forbidden: User "system:serviceaccount:a:b" cannot create resource "secrets" in API group ""'
GOING = {"reason": "NamespaceTerminating", "message": "namespace n is being terminated", "field": "metadata.namespace"}


@pytest.mark.parametrize(
    ("reply", "why", "fix"),
    [
        (
            failure(403, f'{RIGHT} in the namespace "default"'),
            "system:serviceaccount:a:b may not create secrets in namespace default",
            "give system:serviceaccount:a:b a Role there with the verb create on secrets",
        ),
        (
            failure(403, 'User "me" cannot get resource "deployments/scale" in API group "apps" at the cluster scope'),
            "me may not get deployments/scale.apps in the whole cluster",
            "give me a ClusterRole with the verb get on deployments/scale.apps",
        ),
        (
            failure(403, 'forbidden: User "me" cannot get path "/metrics"'),
            "me may not get /metrics",
            "use the kubeconfig of an administrator on tkc",
        ),
        (
            failure(403, "unable to create new content in namespace n because it is being terminated", GOING),
            "the namespace is being deleted",
            "run again once it is gone",
        ),
        (
            failure(403, 'pods "p" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'),
            "the namespace admits pods of the security level restricted only",
            "pod-security.kubernetes.io/enforce",
        ),
        (
            failure(403, "forbidden: exceeded quota: few, requested: pods=1, used: pods=2, limited: pods=2"),
            "quota few of the namespace is used up: requested: pods=1, used: pods=2, limited: pods=2",
            "raise the ResourceQuota few",
        ),
        (
            failure(403, "forbidden: failed quota: few: must specify limits.cpu for: c"),
            "quota few of the namespace wants every pod to say its limits.cpu for: c",
            "LimitRange",
        ),
        (
            failure(403, 'admission webhook "policy.example.org" denied the request: no'),
            "the cluster's admission webhook policy.example.org does not let it pass",
            "policy.example.org",
        ),
        (
            failure(400, 'admission webhook "policy.example.org" denied the request: no'),
            "the cluster's admission webhook policy.example.org does not let it pass",
            "policy.example.org",
        ),
        (
            failure(500, 'failed calling webhook "w.example.org": failed to call webhook: connection refused'),
            "the cluster's admission webhook w.example.org does not answer",
            "see that the pods behind it run",
        ),
        (
            failure(422, "forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: never"),
            "the cluster's admission policy p does not let it pass",
            "validatingadmissionpolicy p",
        ),
        (failure(403, "forbidden"), "our user may not do that", "kubeconfig on tkc"),
    ],
    ids=[
        "a right",
        "in the cluster",
        "a path",
        "namespace goes",
        "security",
        "quota",
        "limits",
        "webhook",
        "as 400",
        "silent",
        "policy",
        "unknown",
    ],
)
def test_each_kind_of_forbidden_has_its_own_remedy(open_client: Any, reply: Reply, why: str, fix: str) -> None:
    with ScriptedApi({NODE: reply}) as api, pytest.raises(ClusterError) as caught:
        open_client(api.kubeconfig(), command=0.5).use(node)
    assert caught.value.why.startswith(why)
    assert f"(HTTP {reply.status})" in caught.value.why
    assert fix in caught.value.fix
    assert "{" not in caught.value.fix


APPLY = "PATCH /api/v1/nodes/n1"
WEBHOOK = Reply(500, {"reason": "InternalError", "message": "failed calling webhook: connection refused"})
UNTYPED = Reply(500, {"reason": "", "message": "failed to create typed patch object: .x: field not declared in schema"})


def test_an_apply_outlives_a_webhook_that_is_not_up_yet(open_client: Any) -> None:
    live = Reply(200, {"kind": "Node", "metadata": {"name": "n1"}})
    manifest = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}
    with ScriptedApi({NODE: live, APPLY: [WEBHOOK, live]}) as api:
        open_client(api.kubeconfig()).use(lambda kube: apply(kube, manifest))
        assert api.asked.count(APPLY) == 2


def test_a_manifest_with_an_unknown_field_fails_at_once(open_client: Any) -> None:
    """The API calls it a failure of its own (500); no second attempt would end otherwise."""
    manifest = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "x": 1}
    with ScriptedApi({NODE: failure(404, "no"), APPLY: UNTYPED}) as api, pytest.raises(ClusterError) as caught:
        open_client(api.kubeconfig()).use(lambda kube: apply(kube, manifest))
    assert api.asked.count(APPLY) == 1
    assert "the object is not valid" in caught.value.why


@pytest.mark.parametrize(
    ("failed", "states"),
    [(failure(422, "invalid"), []), (DROP, ["intended"])],
    ids=["refused: it never was", "lost: it may be there"],
)
def test_the_change_log_keeps_what_may_have_happened(open_client: Any, failed: Reply, states: list[str]) -> None:
    """What the API clearly refused is not ours; what got no answer stays an intention."""
    manifest = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}
    with ScriptedApi({NODE: failure(404, "no"), APPLY: [Reply(200, manifest), failed]}) as api:
        client = open_client(api.kubeconfig(), command=0.5)
        with pytest.raises(ClusterError):
            client.use(lambda kube: apply(kube, manifest))
    assert [change.state for change in client.change_log.changes()] == states


def test_nothing_there_is_none(open_client: Any) -> None:
    with ScriptedApi({NODE: failure(404, "not found")}) as api:
        assert open_client(api.kubeconfig()).use(node) is None


def test_a_kind_that_is_not_installed_has_no_objects(open_client: Any) -> None:
    """Without its CRD a kind has no objects: rollback of a half-finished set-up finds nothing."""
    with ScriptedApi({"GET /apis/cert-manager.io/v1": failure(404, "not found")}) as api:
        client = open_client(api.kubeconfig())
        assert client.use(lambda kube: kube.get("cert-manager.io/v1", "Certificate", "c", "default")) is None
        assert client.use(lambda kube: kube.list("cert-manager.io/v1", "Certificate")) == []


def test_a_kind_whose_crd_was_removed_since_has_no_objects(open_client: Any) -> None:
    """A rollback removes it, and later steps of the same run look again."""
    served = {"resources": [{"name": "certificates", "kind": "Certificate", "namespaced": True}]}
    listing = "GET /apis/cert-manager.io/v1/certificates"
    answers = {"GET /apis/cert-manager.io/v1": Reply(200, served), listing: failure(404, "the server could not find")}
    with ScriptedApi(answers) as api:
        assert open_client(api.kubeconfig()).use(lambda kube: kube.list("cert-manager.io/v1", "Certificate")) == []


def test_a_misspelt_kind_of_kubernetes_is_an_error(open_client: Any) -> None:
    """A typing error must not look like an empty list."""
    with ScriptedApi({}) as api, pytest.raises(ClusterError, match="knows no Nodee of v1"):
        open_client(api.kubeconfig()).use(lambda kube: kube.list("v1", "Nodee"))


def test_a_cluster_is_opened_once_for_all_threads(open_client: Any) -> None:
    """Many steps share one client: one kubeconfig read, one discovery of a kind at most per thread."""
    with ScriptedApi({NODE: Reply(200, {"kind": "Node"})}) as api:
        client = open_client(api.kubeconfig())
        threads = [threading.Thread(target=client.use, args=(node,)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert api.asked.count(NODE) == 16
    assert client.read == 1


def test_the_kubeconfig_is_kept_private(open_client: Any, tmp_path: Path) -> None:
    """What lies on the controller's disk can be read by its owner alone."""
    with ScriptedApi({}) as api:
        open_client(api.kubeconfig()).use(lambda kube: kube.version())
    kept = sorted((tmp_path / "state").iterdir())
    assert [path.name for path in kept] == ["kubeconfig-tkc"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}


def tunnel(client: ClusterClient, api: ScriptedApi, before: Callable[[], None] = lambda: None) -> list[tuple[str, int]]:
    """Let the host forward to the scripted API; returns the addresses asked for."""
    asked: list[tuple[str, int]] = []

    def forward(address: str, port: int) -> socket.socket:
        asked.append((address, port))
        before()
        return socket.create_connection(("127.0.0.1", api.port), 5)

    client.host.forward = forward  # type: ignore[method-assign]
    return asked


def test_the_lab_is_reached_through_ssh_only(open_client: Any) -> None:
    """In the lab an address may belong to a real machine out here: nothing is sent to it."""
    with ScriptedApi({NODE: Reply(200, {"kind": "Node"})}, "192.0.2.110") as api:
        client = open_client(api.kubeconfig("https://192.0.2.110:16443"), target="lab")
        asked = tunnel(client, api)
        assert client.use(node) == {"kind": "Node"}
    assert asked == [("192.0.2.110", 16443)]


@pytest.mark.parametrize(("target", "tunnelled"), [("ssh", False), ("lab", True)])
def test_an_api_that_answers_is_asked_directly(
    open_client: Any, monkeypatch: pytest.MonkeyPatch, target: str, tunnelled: bool
) -> None:
    """Without the way through SSH, unless it is the lab."""
    monkeypatch.setattr("thinkube_nornir.cluster.handle._is_loopback", lambda _: False)
    with ScriptedApi({NODE: Reply(200, {"kind": "Node"})}) as api:
        client = open_client(api.kubeconfig(), target=target)
        asked = tunnel(client, api)
        assert client.use(node) == {"kind": "Node"}
    assert bool(asked) is tunnelled


def test_a_loopback_address_means_the_host_s_own(open_client: Any) -> None:
    """`https://127.0.0.1` in a kubeconfig is that host's loopback, never the controller's."""
    with ScriptedApi({NODE: Reply(200, {"kind": "Node"})}) as api, ScriptedApi({}, authority=api.authority) as unknown:
        client = open_client(api.kubeconfig(f"https://127.0.0.1:{unknown.port}"))
        asked = tunnel(client, api)
        assert client.use(node) == {"kind": "Node"}
        assert unknown.requests == []
    assert asked == [("127.0.0.1", unknown.port)]


def test_a_broken_tunnel_is_made_anew(open_client: Any) -> None:
    """Lost connections and a host that is away for a moment do not end a read."""
    with ScriptedApi({NODE: [DROP, DROP, Reply(200, {"kind": "Node"})]}) as api:
        client = open_client(api.kubeconfig(), target="lab")
        troubles: list[Exception] = [ConnectionError("the connection was lost"), OSError("refused")]
        asked = tunnel(client, api, lambda: _raise(troubles.pop()) if troubles else None)
        assert client.use(node) == {"kind": "Node"}
    assert len(asked) >= 5


def _raise(error: Exception) -> None:
    raise error


def test_an_unreachable_host_is_named(open_client: Any) -> None:
    """It is asked once, a wait for something on it ends at once, and the run knows that it has lost the host."""
    with ScriptedApi({}) as api:
        client = open_client(api.kubeconfig(), target="lab", command=60)
        asked = tunnel(client, api, lambda: _raise(Unreachable("tkc: the link is down")))
        with pytest.raises(ClusterUnreachable) as caught:
            client.use(lambda kube: wait(kube, "v1", "Node", "n1", condition=bool, what="a node", timeout=600))
    assert "the link is down" in caught.value.why
    assert len(asked) == 1
    assert "tkc" in client.context.roster.losses


def silent_server(open_client: Any, monkeypatch: pytest.MonkeyPatch, api: ScriptedApi) -> tuple[Any, list[float]]:
    """A client whose clock each attempt moves on by as long as it may take, without an answer; and the attempts."""
    now, attempts = [time.monotonic() + 1], []
    client = open_client(api.kubeconfig(), command=60)
    client.use(lambda kube: kube.version())
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def silent(_client: Client, _call: Call, *, connect: float, read: float, preload: bool = True) -> Any:
        attempts.append(now[0])
        now[0] += connect
        raise urllib3.exceptions.ReadTimeoutError(None, "", "")  # type: ignore[arg-type]

    monkeypatch.setattr(Client, "_send", silent)
    monkeypatch.setattr(Deadline, "pause", lambda _self, _seconds: None)
    return client, attempts


def test_a_silent_server_is_waited_for_once(open_client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One command's time, by a wait that would have many minutes; the checks after it fail at once."""
    with ScriptedApi({}) as api:
        client, attempts = silent_server(open_client, monkeypatch, api)
        with pytest.raises(ClusterUnreachable) as caught:
            client.use(lambda kube: wait(kube, "v1", "Node", "n1", condition=bool, what="a node", timeout=600))
        waited = len(attempts)
        for _ in range(20):
            with pytest.raises(ClusterUnreachable):
                client.use(node)

    assert attempts[-1] + 15 - attempts[0] <= 75
    assert len(attempts) == waited
    assert "nothing came from it for 60 s" in caught.value.why


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS as urllib3 sets it up on Python 3.13 and newer, whatever Python this is."""
    monkeypatch.setattr("urllib3.util.ssl_.sys", SimpleNamespace(version_info=(3, 13)))


def test_strict_x509_refuses_an_authority_without_key_usage(strict: None) -> None:
    """What the tests below are about: the library's own settings would not do."""
    with ScriptedApi({}) as api:
        context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
        context.load_verify_locations(cadata=api.authority.pem.decode())
        pool = urllib3.PoolManager(ssl_context=context, retries=False)
        with pool, pytest.raises(SSLError, match="key usage"):
            pool.request("GET", f"https://127.0.0.1:{api.port}/version")


def test_an_authority_without_key_usage_is_accepted(open_client: Any, strict: None) -> None:
    """MicroK8s made such authorities until 1.33, and its clusters keep them."""
    with ScriptedApi({NODE: Reply(200, {"kind": "Node"})}) as api:
        assert open_client(api.kubeconfig()).use(node) == {"kind": "Node"}


def test_one_flag_of_strict_tls_is_cleared_and_no_other(open_client: Any, strict: None) -> None:
    """Chain, name and the library's other settings stay."""
    plain = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    with ScriptedApi({}) as api:
        context = open_client(api.kubeconfig()).use(lambda kube: kube.client.tls)

    assert plain.verify_flags == context.verify_flags | ssl.VERIFY_X509_STRICT
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (context.options, context.minimum_version) == (plain.options, plain.minimum_version)


def test_certificates_that_cannot_be_read_are_an_error_that_says_so(open_client: Any) -> None:
    text = kubeconfig("https://127.0.0.1:16443", b"no certificate", token=TOKEN)
    with pytest.raises(ClusterError, match="the kubeconfig from tkc cannot be used"):
        open_client(text).use(node)


@pytest.mark.parametrize("addresses", [("127.0.0.1",), ("192.0.2.99",)], ids=["another authority", "another address"])
def test_a_server_that_is_not_ours_gets_nothing(open_client: Any, strict: None, addresses: tuple[str, ...]) -> None:
    """Through the tunnel too, a certificate of another authority or address ends it, at once and before the token."""
    ours = Authority("ours")
    with ScriptedApi({}, *addresses, authority=Authority() if addresses == ("127.0.0.1",) else ours) as api:
        client = open_client(kubeconfig("https://127.0.0.1:16443", ours.pem, token=TOKEN), target="lab")
        asked = tunnel(client, api)
        with pytest.raises(ClusterError, match="no answer") as caught:
            client.use(node)
        assert api.requests == []
    assert "certificate is not the one" in caught.value.why
    assert len(asked) == 1


def state(ready: bool, version: str) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": str(ready), "reason": "KubeletNotReady", "message": "no network"}]
    return {"metadata": {"name": "n1", "resourceVersion": version}, "status": {"conditions": conditions}}


def listing(version: str, *items: Any) -> Reply:
    return Reply(200, {"metadata": {"resourceVersion": version}, "items": list(items)})


def event(kind: str, obj: Any) -> dict[str, Any]:
    return {"type": kind, "object": obj}


def ready(kube: Cluster, timeout: float = 5.0) -> Any:
    def is_ready(obj: Any) -> bool:
        return obj is not None and obj["status"]["conditions"][0]["status"] == "True"

    return wait(kube, "v1", "Node", "n1", condition=is_ready, what="Node n1 to be Ready", timeout=timeout)


GONE = event("ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"})


@pytest.mark.parametrize(
    "replies",
    [
        pytest.param(
            [listing("1"), Reply(200, [event("ADDED", state(False, "2")), event("MODIFIED", state(True, "3"))])],
            id="it appears, then changes",
        ),
        pytest.param(
            [listing("1", state(False, "1")), Reply(200, [], drop=True), listing("3", state(True, "3"))],
            id="the stream is dropped, and the change came meanwhile",
        ),
        pytest.param(
            [listing("1", state(False, "1")), Reply(200, [GONE]), listing("3", state(True, "3"))],
            id="the server forgot where we were",
        ),
        pytest.param(
            [listing("1", state(False, "1")), failure(410, "gone"), listing("3", state(True, "3"))],
            id="the server forgot, as a status",
        ),
        pytest.param(
            [listing("1", state(False, "1")), failure(500, "etcd"), listing("3", state(True, "3"))],
            id="the watch fails",
        ),
        pytest.param(
            [listing("1", state(True, "1")), failure(500, "must not be asked")],
            id="it is so already",
        ),
    ],
)
def test_a_wait_ends_when_its_condition_holds(open_client: Any, replies: list[Reply]) -> None:
    """Changes are seen whether they come as events, or while the watch was broken."""
    with ScriptedApi({NODES: replies}) as api:
        assert open_client(api.kubeconfig()).use(ready)["metadata"]["name"] == "n1"
        assert api.asked.count(NODES) == len(replies) - (replies[-1].status == 500)


def test_a_watch_goes_on_from_where_it_was(open_client: Any) -> None:
    """When the server ends a watch, the next one starts at the last version that was seen, bookmarks too."""
    bookmark = event("BOOKMARK", {"metadata": {"resourceVersion": "7"}})
    replies = [listing("1"), Reply(200, [bookmark]), Reply(200, [event("ADDED", state(True, "8"))])]
    with ScriptedApi({NODES: replies}) as api:
        open_client(api.kubeconfig()).use(ready)
        versions = [r.query.get("resourceVersion") for r in api.requests if r.path == "/api/v1/nodes"]
    assert versions == [None, ["1"], ["7"]]


def test_a_wait_that_ends_in_vain_says_what_it_saw(open_client: Any) -> None:
    replies = [listing("1", state(False, "1")), Reply(200, [])]
    with ScriptedApi({NODES: replies}) as api, pytest.raises(DeadlinePassed) as caught:
        open_client(api.kubeconfig()).use(lambda kube: ready(kube, 0.3))
    assert caught.value.what.startswith("waited 0.3 s for Node n1 to be Ready")
    assert "Ready=False (KubeletNotReady: no network)" in caught.value.why


def test_a_server_that_ends_every_watch_is_not_run_over(open_client: Any) -> None:
    """Watches that end at once are asked for again after a pause, not in a tight loop."""
    replies = [listing("1", state(False, "1")), Reply(200, [])]
    with ScriptedApi({NODES: replies}) as api:
        with pytest.raises(DeadlinePassed):
            open_client(api.kubeconfig()).use(lambda kube: ready(kube, 0.9))
        assert api.asked.count(NODES) < 10


def test_a_wait_through_failures_tells_of_them(open_client: Any) -> None:
    with ScriptedApi({NODES: failure(503, "etcd is not there")}) as api, pytest.raises(DeadlinePassed) as caught:
        open_client(api.kubeconfig()).use(lambda kube: ready(kube, 0.6))
    assert "etcd is not there" in caught.value.why


def test_a_wait_tells_the_last_real_answer(open_client: Any) -> None:
    """Though no later attempt got one."""
    script = {NODES: [failure(503, "etcd is not there"), DROP]}
    with ScriptedApi(script) as api, pytest.raises(DeadlinePassed) as caught:
        open_client(api.kubeconfig()).use(lambda kube: ready(kube, 1.0))
    assert "etcd is not there" in caught.value.why


def test_a_refused_wait_ends_at_once(open_client: Any) -> None:
    """Waiting does not help against a lack of rights."""
    with ScriptedApi({NODES: failure(403, "forbidden")}) as api, pytest.raises(ClusterError) as caught:
        open_client(api.kubeconfig()).use(ready)
    assert caught.value.status == 403


def test_a_cancelled_run_ends_its_waits(open_client: Any) -> None:
    with ScriptedApi({NODES: [listing("1"), Reply(200, [])]}) as api:
        client = open_client(api.kubeconfig())
        threading.Timer(0.2, client.context.cancelled.set).start()
        with pytest.raises(Cancelled):
            client.use(lambda kube: ready(kube, 60))


STAMP = {"uid": "u1", "creationTimestamp": "2026-01-01T12:00:00Z", "resourceVersion": "1"}
AT = {"name": "p-x", "namespace": "default", **STAMP}
POD: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", "metadata": AT, "spec": {}}
PODS = "/api/v1/namespaces/default/pods"


def pod_script(**more: Any) -> dict[str, Any]:
    pulling = {"reason": "ImagePullBackOff", "message": "no such image"}
    status = {"phase": "Pending", "containerStatuses": [{"state": {"waiting": pulling}}]}
    return {
        f"POST {PODS}": Reply(201, POD),
        "GET /api/v1/pods": listing("1"),
        "GET /apis/batch/v1": Reply(200, {"resources": [{"name": "jobs", "kind": "Job", "namespaced": True}]}),
        "GET /apis/batch/v1/jobs": listing("1"),
        f"GET {PODS}": [listing("1", POD | {"status": status}), Reply(200, [])],
        f"GET {PODS}/p-x": Reply(200, POD | {"status": status}),
        "GET /api/v1/namespaces/default/events": listing("1", {"reason": "Failed", "message": "pull refused"}),
        f"DELETE {PODS}/p-x": Reply(200, {}),
    } | more


def probe(kube: Cluster, timeout: float = 0.4) -> Any:
    return run_pod(kube, probe_pod("p", "image", ["true"]), timeout=timeout)


def test_a_pod_that_does_not_run_says_why_and_is_removed(open_client: Any) -> None:
    with ScriptedApi(pod_script()) as api:
        with pytest.raises(DeadlinePassed) as caught:
            open_client(api.kubeconfig()).use(probe)
        assert api.asked[-1] == f"DELETE {PODS}/p-x"
    assert "ImagePullBackOff: no such image" in caught.value.why
    assert "event Failed: pull refused" in caught.value.why


def test_a_cancelled_probe_is_removed(open_client: Any) -> None:
    with ScriptedApi(pod_script()) as api:
        client = open_client(api.kubeconfig())
        threading.Timer(0.2, client.context.cancelled.set).start()
        with pytest.raises(Cancelled):
            client.use(lambda kube: probe(kube, 60))
        assert api.asked[-1] == f"DELETE {PODS}/p-x"


def test_a_probe_that_cannot_be_removed_is_told(open_client: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The step's own error comes through, and the log says what becomes of the pod."""
    script = pod_script(**{f"DELETE {PODS}/p-x": failure(403, "forbidden")})
    with ScriptedApi(script) as api, caplog.at_level(logging.WARNING), pytest.raises(DeadlinePassed):
        open_client(api.kubeconfig()).use(probe)
    assert "it ends by itself" in caplog.text


def made(name: str, at: str, **labels: str) -> dict[str, Any]:
    metadata = POD["metadata"] | {"name": name, "creationTimestamp": at, "labels": labels}
    return {"metadata": metadata, "spec": {"activeDeadlineSeconds": 60}}


def test_left_over_probes_are_swept_once(open_client: Any) -> None:
    """Of whom nothing is known: those whose deadline is over by the server's clock; another run's probe goes on."""
    pods = listing("1", made("old", "2026-01-01T11:57:59Z"), made("young", "2026-01-01T11:58:01Z"))
    jobs = listing("1", made("job", "2026-01-01T11:57:59Z"))
    gone = {f"DELETE {PODS}/old": Reply(200, {}), "DELETE /apis/batch/v1/namespaces/default/jobs/job": Reply(200, {})}
    script = pod_script(**{"GET /api/v1/pods": pods, "GET /apis/batch/v1/jobs": jobs}, **gone)
    with ScriptedApi(script) as api:
        client = open_client(api.kubeconfig())
        for _ in range(2):
            with pytest.raises((ClusterError, DeadlinePassed)):
                client.use(probe)
        assert [line for line in api.asked if line.startswith("DELETE")] == [*gone, *2 * [f"DELETE {PODS}/p-x"]]


def test_a_probe_goes_on_when_leftovers_cannot_be_looked_for(open_client: Any) -> None:
    script = pod_script(**{"GET /api/v1/pods": failure(403, "forbidden")})
    with ScriptedApi(script) as api, pytest.raises(DeadlinePassed, match="probe pod default/p-x"):
        open_client(api.kubeconfig()).use(probe)


NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
DEAD, ALIVE = "2026-01-01T11:50:00Z", "2026-01-01T11:59:59Z"


@pytest.mark.parametrize(
    ("at", "maker", "left"),
    [
        pytest.param(ALIVE, leftovers.labels()[leftovers.MAKER], False, id="this process is alive"),
        pytest.param(DEAD, leftovers.labels()[leftovers.MAKER], False, id="alive, though it takes its time"),
        pytest.param(ALIVE, f"{leftovers.labels()[leftovers.MAKER]}0", True, id="another one had our number"),
        pytest.param(ALIVE, f"{leftovers._place()}.4194305.1", True, id="there is no such process"),
        pytest.param(ALIVE, "0123456789ab.1.1", False, id="another controller's"),
        pytest.param(DEAD, "0123456789ab.1.1", True, id="another controller's, long over"),
        pytest.param(ALIVE, "nonsense", False, id="a label that says nothing"),
    ],
)
def test_who_made_a_probe_says_whether_it_is_left_over(at: str, maker: str, left: bool) -> None:
    """At once when its process has ended; never while it lives; by age when nobody here can tell."""
    assert leftovers.is_left(made("p", at, **{leftovers.MAKER: maker}), NOW) is left


def test_each_attempt_waits_longer_by_chance() -> None:
    """Those who met at one moment do not meet again; the last attempt is followed by no pause."""
    pauses: list[float] = []

    class Counted(Deadline):
        def pause(self, seconds: float) -> None:
            pauses.append(seconds)

    assert list(Counted(time.monotonic() + 3600, threading.Event()).attempts(8)) == [1, 2, 3, 4, 5, 6, 7, 8]
    nominal = [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    assert all(0.5 <= pause / plain <= 1.5 for pause, plain in zip(pauses, nominal, strict=True))
    assert len({round(pause / plain, 6) for pause, plain in zip(pauses, nominal, strict=True)}) > 1


def test_attempts_end_with_the_patience() -> None:
    assert list(Deadline(time.monotonic(), threading.Event()).attempts(8)) == [1]


BUSY = failure(409, "Operation cannot be fulfilled on nodes: the object has been modified")


def test_an_apply_meets_another_writer_again_and_again(open_client: Any) -> None:
    """A conflict over nobody's field is none of ours: it is sent again, and counted."""
    manifest = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}
    good = Reply(200, manifest)
    with ScriptedApi({NODE: failure(404, "no"), APPLY: [good, BUSY, BUSY, good]}) as api:
        retries = open_client(api.kubeconfig()).use(lambda kube: (apply(kube, manifest), retries_of(kube.task))[1])
        assert api.asked.count(APPLY) == 4
    assert retries.count == 2


def test_an_apply_does_not_try_for_ever(open_client: Any) -> None:
    manifest = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}
    with ScriptedApi({NODE: failure(404, "no"), APPLY: BUSY}) as api, pytest.raises(ClusterError) as caught:
        open_client(api.kubeconfig(), command=0.5).use(lambda kube: apply(kube, manifest))
    assert caught.value.status == 409
    assert 1 < api.asked.count(APPLY) < 10


SERVED = Reply(200, {"resources": [{"name": "widgets", "kind": "Widget", "namespaced": True}]})
WIDGETS = "GET /apis/example.com/v1/namespaces/default/widgets"


def test_a_wait_outlives_the_removal_and_the_return_of_a_definition(open_client: Any) -> None:
    """While its CRD is away there are no objects; afterwards it may be served in another way."""
    widget = {"metadata": {"name": "w", "namespace": "default", "resourceVersion": "9"}}
    renamed = Reply(200, {"resources": [{"name": "wdgts", "kind": "Widget", "namespaced": True}]})
    no_path = failure(404, "the server could not find the requested resource")
    script = {
        "GET /apis/example.com/v1": [SERVED, failure(404, "no such group"), renamed],
        WIDGETS: [listing("1"), no_path],
        WIDGETS.replace("widgets", "wdgts"): [listing("9", widget)],
    }
    with ScriptedApi(script) as api:
        client = open_client(api.kubeconfig())
        found = client.use(
            lambda kube: wait(
                kube,
                *("example.com/v1", "Widget", "w", "default"),
                condition=bool,
                what="the widget",
                timeout=10,
            )
        )
    assert found["metadata"]["resourceVersion"] == "9"


def test_reading_looks_up_anew_how_a_kind_is_served(open_client: Any) -> None:
    """An object that is not there is no reason for it; a path that is not there is."""
    nothing = Reply(404, {"message": 'widgets "w" not found', "details": {"name": "w", "kind": "widgets"}})
    no_path = failure(404, "the server could not find the requested resource")
    discovery = "GET /apis/example.com/v1"
    with ScriptedApi({discovery: SERVED, f"{WIDGETS}/w": [nothing, nothing, no_path, nothing]}) as api:
        client = open_client(api.kubeconfig())
        asked = []
        for _ in range(4):
            client.use(lambda kube: kube.get("example.com/v1", "Widget", "w", "default"))
            asked.append(api.asked.count(discovery))
    assert asked == [1, 1, 1, 2]


def test_a_dry_run_starts_no_probe(open_client: Any) -> None:
    with ScriptedApi({}) as api:
        client = open_client(api.kubeconfig())
        client.context.dry_run = True
        with pytest.raises(SkippedInDryRun):
            client.use(probe)
        assert not [line for line in api.asked if line.startswith("POST")]
