"""What in a namespace or a cluster is not ours, asked of the lab's API and, where there is one, of a real one."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster_client import ClusterClient
from tests.kube_servers import ASSETS, REAL, LabServer, real_server
from thinkube_nornir.change_log import release_key
from thinkube_nornir.cluster import (
    Cluster,
    apply,
    foreign,
    foreign_cluster_wide,
    foreign_in_cluster,
    foreign_in_namespace,
)
from thinkube_nornir.cluster.deadline import deadline
from thinkube_nornir.cluster.handle import Kind
from thinkube_nornir.cluster.messages import Call
from thinkube_nornir.foreign import Foreign

SYSTEM = ("default", "kube-system", "kube-public", "kube-node-lease")
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def lab() -> Iterator[LabServer]:
    server = LabServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with real_server(Path(os.environ[ASSETS]), tmp_path_factory.mktemp("real")) as text:
        yield text


@pytest.fixture(params=["lab", REAL])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ClusterClient]:
    server = request.getfixturevalue(request.param)
    client = ClusterClient(tmp_path, server.kubeconfig if isinstance(server, LabServer) else server, command=20)
    yield client
    client.close()


@pytest.fixture
def space(client: ClusterClient) -> Iterator[str]:
    """A namespace that we made, and that nothing else is in."""
    name = f"space-{next(_numbers)}"
    client.use(lambda kube: apply(kube, _made("v1", "Namespace", name)))
    yield name
    _send(client, "DELETE", f"/api/v1/namespaces/{name}")


def _made(version: str, kind: str, name: str, namespace: str = "", **more: Any) -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **more.pop("metadata", {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


def _send(client: ClusterClient, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    call = Call(method, path, {"fieldManager": "kubectl"} if body else {}, body)
    return client.use(lambda kube: kube.client.ask(call, deadline(kube.task)))


def _theirs(client: ClusterClient, plural: str, namespace: str, kind: str, name: str, **more: Any) -> dict[str, Any]:
    """An object of v1 that an operator makes."""
    return _send(client, "POST", f"/api/v1/namespaces/{namespace}/{plural}", _made("v1", kind, name, **more))


def test_what_an_operator_put_into_our_namespace_is_foreign(client: ClusterClient, space: str) -> None:
    """Of any kind; what we made is not, nor what each namespace has, nor events and what belongs to another object."""
    client.use(lambda kube: apply(kube, _made("v1", "ConfigMap", "ours", space, data={"a": "b"})))
    owner = _theirs(client, "configmaps", space, "ConfigMap", "theirs")
    _theirs(client, "secrets", space, "Secret", "key")
    _theirs(client, "serviceaccounts", space, "ServiceAccount", "robot")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "theirs", "uid": owner["metadata"]["uid"]}
    _theirs(client, "configmaps", space, "ConfigMap", "child", metadata={"ownerReferences": [reference]})

    found = client.use(lambda kube: foreign_in_namespace(kube, space))

    expected = {f"{kind} {space}/{name}" for kind, name in (("ConfigMap", "theirs"), ("Secret", "key"))}
    assert {thing.name for thing in found} == {*expected, f"ServiceAccount {space}/robot"}


def test_the_caller_says_what_is_ours_without_a_record(client: ClusterClient, space: str) -> None:
    """What a controller of ours makes by itself is known to its component alone."""
    _theirs(client, "configmaps", space, "ConfigMap", "made-by-our-controller")

    found = client.use(
        lambda kube: foreign_in_namespace(
            kube, space, belongs=lambda obj: obj["metadata"]["name"].startswith("made-by")
        )
    )

    assert found == []


def test_an_object_that_was_there_before_us_is_foreign(client: ClusterClient, space: str) -> None:
    """Though a field of it is ours."""
    _theirs(client, "configmaps", space, "ConfigMap", "theirs", data={"a": "1"})
    client.use(lambda kube: apply(kube, _made("v1", "ConfigMap", "theirs", space, data={"b": "2"})))

    found = client.use(lambda kube: foreign_in_namespace(kube, space))

    assert [thing.name for thing in found] == [f"ConfigMap {space}/theirs"]


def test_a_release_is_one_thing(client: ClusterClient, space: str) -> None:
    """It is named with what it brought, unless it is ours."""
    for release in ("ours", "theirs"):
        notes = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": space}
        _theirs(client, "configmaps", space, "ConfigMap", f"of-{release}", metadata={"annotations": notes})
        record = {"labels": {"owner": "helm", "name": release}}
        _theirs(client, "secrets", space, "Secret", f"sh.helm.release.v1.{release}.v1", metadata=record)
    key = release_key(space, "ours")
    client.change_log.intend(host="tkc", component="c", key=key, summary="", before={"revision": None})

    found = client.use(lambda kube: foreign_in_namespace(kube, space))

    assert found == [Foreign(f"release {space}/theirs", (f"ConfigMap {space}/of-theirs",))]


def test_a_foreign_namespace_is_one_thing(client: ClusterClient, space: str) -> None:
    """In a cluster that goes as a whole it is named once; what is in the cluster's own is named by itself."""
    shop = f"shop-{space}"
    _send(client, "POST", "/api/v1/namespaces", _made("v1", "Namespace", shop))
    _theirs(client, "configmaps", shop, "ConfigMap", "web")
    _theirs(client, "configmaps", "default", "ConfigMap", f"stray-{space}")

    found = client.use(lambda kube: foreign_in_cluster(kube, namespaces=SYSTEM))

    assert Foreign(f"Namespace {shop}", ("ConfigMap web",)) in found
    assert f"ConfigMap default/stray-{space}" in {thing.name for thing in found}
    assert not {thing.name for thing in found} & {f"Namespace {space}", "Namespace default", f"ConfigMap {shop}/web"}


def test_a_volume_of_a_claim_goes_with_the_claim(client: ClusterClient) -> None:
    """One that an operator made by hand is named."""
    source = {"hostPath": {"path": "/srv"}, "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}
    names = by_hand, by_claim = f"hand-{next(_numbers)}", f"claim-{next(_numbers)}"
    for name, notes in zip(names, ({}, {"pv.kubernetes.io/provisioned-by": "x.example/hostpath"}), strict=True):
        volume = _made("v1", "PersistentVolume", name, metadata={"annotations": notes}, spec=source)
        _send(client, "POST", "/api/v1/persistentvolumes", volume)

    found = client.use(lambda kube: foreign_cluster_wide(kube, ("v1", "PersistentVolume")))

    assert {f"PersistentVolume {by_hand}"} == {
        thing.name for thing in found if by_claim in str(thing) or by_hand in str(thing)
    }


def test_a_kind_that_goes_meanwhile_has_no_objects(
    client: ClusterClient, space: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another step may take definitions away while all kinds are asked for; that is no failure."""
    gone = Kind("gone.example.net/v1", "Thing", "things", namespaced=True)
    monkeypatch.setattr(foreign, "_kinds", lambda _: [gone])

    assert client.use(lambda kube: foreign_in_namespace(kube, space)) == []


def test_a_group_that_goes_meanwhile_has_no_kinds(client: ClusterClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last definition was taken away between the list of groups and the look at this one."""

    def found(kube: Cluster) -> list[Kind]:
        ask = kube.client.ask
        group = {"name": "gone.example.net", "preferredVersion": {"groupVersion": "gone.example.net/v1"}}
        monkeypatch.setattr(
            kube.client, "ask", lambda call, within: {"groups": [group]} if call.path == "/apis" else ask(call, within)
        )
        return foreign._kinds(kube)

    kinds = client.use(found)

    assert {kind.api_version for kind in kinds} == {"v1"}
