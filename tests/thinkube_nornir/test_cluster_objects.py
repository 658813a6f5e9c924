"""Objects as values: what is compared, shown and put back; and what a kubeconfig may say."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.certificates import encoded, kubeconfig
from thinkube_nornir.cluster import condition_true, current_pods, is_rolled_out, seen
from thinkube_nornir.cluster.kubeconfig import parse
from thinkube_nornir.cluster.objects import Reference, cleaned, diff, reference, same
from thinkube_nornir.cluster.ownership import MANAGER, entries_put_back, is_owned_by_us, managers, put_back
from thinkube_nornir.errors import ClusterError
from thinkube_nornir.secret import MASK, Secret, redact

CA = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def owned(obj: dict[str, Any], fields: dict[str, Any], manager: str = MANAGER) -> dict[str, Any]:
    entry = {"manager": manager, "operation": "Apply", "apiVersion": "v1", "fieldsV1": fields}
    obj["metadata"].setdefault("managedFields", []).append(entry)
    return obj


def config_map(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}, "data": data}


def test_current_pods_are_those_without_a_replacement() -> None:
    """One that is being deleted may be Ready for seconds, or for ever on a dead node; one that failed is replaced."""
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    leaving = {"metadata": {"name": "leaving", "deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": ready}
    evicted = {"metadata": {"name": "evicted"}, "status": {"phase": "Failed", "reason": "Evicted"}}
    young = {"metadata": {"name": "young"}}
    pods: list[dict[str, Any]] = [leaving, evicted, young, {"metadata": {"name": "now"}, "status": ready}]

    assert [pod["metadata"]["name"] for pod in current_pods(pods)] == ["young", "now"]


def test_put_back_restores_our_fields_and_keeps_the_others() -> None:
    """A value someone else set since then stays, ours gets its former one."""
    live = owned(config_map(Corefile="ours", added="theirs"), {"f:data": {"f:Corefile": {}}})

    result = put_back(live, config_map(Corefile="former", gone="they removed it"))

    assert result["data"] == {"Corefile": "former", "added": "theirs"}


def test_put_back_removes_what_was_not_there() -> None:
    """A label that only we set goes, and its empty container with it."""
    live = owned(config_map(a="b"), {"f:metadata": {"f:labels": {".": {}, "f:x": {}}}})
    live["metadata"]["labels"] = {"x": "y"}

    assert "labels" not in put_back(live, config_map(a="b"))["metadata"]


def test_put_back_finds_list_items_by_their_key() -> None:
    """In a list of containers only our field of our container is put back, and an item that we added goes."""
    fields: dict[str, Any] = {
        'k:{"name":"web"}': {".": {}, "f:name": {}, "f:image": {}},
        'k:{"name":"ours"}': {".": {}, "f:name": {}},
    }
    live: dict[str, Any] = {"metadata": {}, "spec": {"containers": [{"name": "ours"}, {"name": "web", "image": "2"}]}}
    owned(live, {"f:spec": {"f:containers": fields}})
    before = {"metadata": {}, "spec": {"containers": [{"name": "web", "image": "1", "tty": True}]}}

    assert put_back(live, before)["spec"]["containers"] == [{"name": "web", "image": "1"}]


def test_put_back_of_a_set_removes_our_members() -> None:
    live = owned({"metadata": {"finalizers": ["theirs", "ours"]}}, {"f:metadata": {"f:finalizers": {'v:"ours"': {}}}})

    assert put_back(live, {"metadata": {"finalizers": ["theirs"]}})["metadata"]["finalizers"] == ["theirs"]


def test_put_back_leaves_its_arguments_alone() -> None:
    live = owned(config_map(Corefile="ours"), {"f:data": {"f:Corefile": {}}})
    before = config_map(Corefile="former")
    kept = copy.deepcopy((live, before))

    put_back(live, before)

    assert (live, before) == kept


_trees: Any = st.recursive(
    st.one_of(st.integers(), st.text(max_size=3), st.lists(st.integers(), max_size=3)),
    lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3),
    max_leaves=8,
)


def _fields(value: Any) -> dict[str, Any]:
    return {f"f:{key}": _fields(inner) for key, inner in value.items()} if isinstance(value, dict) else {}


@given(st.dictionaries(st.text("abc", min_size=1, max_size=2), _trees, max_size=3), st.data())
def test_put_back_of_what_we_changed_gives_what_was(before: dict[str, Any], data: st.DataObject) -> None:
    """When nobody else wrote, changing any fields and putting them back is as if nothing had been."""
    spec = data.draw(st.dictionaries(st.text("abc", min_size=1, max_size=2), _trees, max_size=3))
    previous = {"metadata": {}, "spec": {"theirs": 1} | before}
    merged = {"metadata": {}, "spec": previous["spec"] | spec}
    live = owned(copy.deepcopy(merged), {"f:spec": {f"f:{key}": {} for key in spec}})

    assert put_back(live, previous)["spec"] == previous["spec"]


def test_the_former_owners_own_again() -> None:
    before = owned(config_map(a="1"), {"f:data": {"f:a": {}}}, "addon")
    live = owned(owned(config_map(a="2"), {"f:data": {}}, "addon"), {"f:data": {"f:a": {}}})
    owned(live, {"f:metadata": {}}, "someone")

    entries = {entry["manager"]: entry["fieldsV1"] for entry in entries_put_back(live, before)}

    assert entries == {"addon": {"f:data": {"f:a": {}}}, "someone": {"f:metadata": {}}}


def test_who_writes_the_status_owns_nothing_else() -> None:
    obj = owned(config_map(), {}, "us")
    obj["metadata"]["managedFields"].append({"manager": MANAGER, "operation": "Update", "subresource": "status"})

    assert managers(obj) == ["us"]
    assert not is_owned_by_us(obj)


def test_the_servers_own_fields_make_no_difference() -> None:
    live = config_map(a="b") | {"status": {"x": 1}}
    live["metadata"] |= {"uid": "1", "resourceVersion": "2", "generation": 3, "managedFields": []}

    assert same(live, config_map(a="b"))
    assert not same(live, config_map(a="c"))
    assert not same(None, live)
    assert cleaned(live) == config_map(a="b")


def test_a_diff_shows_what_changes() -> None:
    shown = diff(config_map(a="old"), config_map(a="new"))

    assert "-  a: old\n+  a: new\n" in shown
    assert shown.startswith("--- ConfigMap n/c\n+++ ConfigMap n/c\n")
    assert diff(None, config_map()).startswith("--- /dev/null\n")


def test_a_diff_shows_text_line_by_line() -> None:
    """A changed line of a Corefile is one changed line, and not a whole file in escapes."""
    shown = diff(config_map(a="one\ntwo\nthree\n"), config_map(a="one\n2\nthree\n"))

    assert "     one\n-    two\n+    2\n     three\n" in shown


def test_a_diff_shows_no_secret_of_several_lines() -> None:
    """Its value is masked before it is indented, or escaped."""
    Secret("-----BEGIN KEY-----\nMIIEvQ\n-----END KEY-----")
    shown = diff(config_map(a="old"), config_map(a="-----BEGIN KEY-----\nMIIEvQ\n-----END KEY-----"))

    assert "MIIEvQ" not in shown
    assert f"+  a: '{MASK}'" in shown


@given(st.text(min_size=6), st.text(min_size=6))
def test_a_diff_of_a_secret_hides_its_values(old: str, new: str) -> None:
    """Neither value nor the copy that kubectl keeps in an annotation is shown; that it changed is."""

    def secret(value: str) -> dict[str, Any]:
        data = {"token": encoded(value.encode())}
        note = {"kubectl.kubernetes.io/last-applied-configuration": f"kept {data['token']}"}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "data": data,
            "metadata": {"name": "s", "annotations": note},
        }

    shown = diff(secret(old), secret(new))

    assert encoded(old.encode()) not in shown
    assert encoded(new.encode()) not in shown
    assert ("token" in shown) is (old != new)


def test_a_key_names_an_object() -> None:
    assert Reference("v1", "ConfigMap", "coredns", "kube-system").key == "object:v1/ConfigMap/kube-system/coredns"
    assert Reference("v1", "Namespace", "x").key == "object:v1/Namespace/x"


def test_a_manifest_without_a_name_is_an_error() -> None:
    with pytest.raises(ClusterError, match="metadata"):
        reference({"apiVersion": "v1", "kind": "ConfigMap"})


def test_ready_is_a_condition_and_not_a_text() -> None:
    """`NotReady` contains `Ready`; `Unknown` is not `True`."""

    def node(**conditions: str) -> dict[str, Any]:
        return {"status": {"conditions": [{"type": name, "status": value} for name, value in conditions.items()]}}

    assert condition_true(node(Ready="True"), "Ready")
    assert not condition_true(node(Ready="Unknown"), "Ready")
    assert not condition_true(node(NotReady="True"), "Ready")
    assert not condition_true(None, "Ready")


@pytest.mark.parametrize(
    ("change", "done"),
    [
        ({}, True),
        ({"observedGeneration": 1}, False),
        ({"updatedReplicas": 1}, False),
        ({"availableReplicas": 1}, False),
        ({"replicas": 3}, False),
    ],
)
def test_a_deployment_is_rolled_out_when_every_pod_is_new_and_available(change: dict[str, int], done: bool) -> None:
    status = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2} | change
    obj = {"kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": status}

    assert is_rolled_out(obj) is done


@pytest.mark.parametrize(("available", "done"), [(3, True), (2, False)])
def test_a_daemon_set_is_rolled_out_on_every_node(available: int, done: bool) -> None:
    status = {"desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": available}
    obj = {"kind": "DaemonSet", "metadata": {"generation": 1}, "status": status | {"observedGeneration": 1}}

    assert is_rolled_out(obj) is done


def test_seen_tells_state_in_a_few_words() -> None:
    assert seen(None) == "it does not exist"
    assert seen({"metadata": {"deletionTimestamp": "now"}}) == "it is being deleted"


GOOD = {"client-certificate-data": encoded(b"CERT"), "client-key-data": encoded(b"a private key")}


def test_a_kubeconfig_says_where_and_how() -> None:
    access = parse(kubeconfig("https://192.0.2.1:16443", CA, **GOOD), "tkc")

    assert access.address == ("192.0.2.1", 16443)
    assert access.ca == CA
    assert access.client is not None
    assert access.client.reveal() == "CERT\na private key"
    assert redact("a private key") == redact(GOOD["client-key-data"]) == "********"


def broken(**cluster: Any) -> str:
    config = yaml.safe_load(kubeconfig("https://192.0.2.1:16443", CA, **GOOD))
    config["clusters"][0]["cluster"] |= cluster
    return str(yaml.safe_dump(config))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("\n", "it is empty"),
        ("a line", "it is no kubeconfig"),
        ("kind: Config", "Expected key contexts"),
        ("key: [very private", "it is not valid YAML"),
        ("[" * 3000 + "]" * 3000, "it is not valid YAML"),
        ("current-context: x\ncontexts: []", "Expected object with name x in kubeconfig/contexts list"),
        (broken(server="http://192.0.2.1"), "not an https:// address"),
        (broken(**{"insecure-skip-tls-verify": True}), "skip the verification"),
        (broken(**{"certificate-authority-data": "?"}), "is not base64"),
        (
            kubeconfig("https://x", CA, **{"client-certificate": "/etc/x"}),
            "Expected key client-key-data in kubeconfig/users[name=u]/user",
        ),
        (kubeconfig("https://x", CA, exec={"command": "rm"}), "wants to run a command here"),  # type: ignore[arg-type]
    ],
)
def test_an_unusable_kubeconfig_is_an_error_that_shows_nothing_of_it(text: str, told: str) -> None:
    """What came from a host runs no command here and turns no verification off."""
    with pytest.raises(ClusterError) as caught:
        parse(text, "tkc")

    assert told in caught.value.why
    assert "private" not in str(caught.value)
