"""The cluster door's writes and waits, against the lab's API and, when KUBEBUILDER_ASSETS names one, a real API."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nornir.core.task import Result

from tests.cluster_client import ClusterClient
from tests.kube_servers import ASSETS, REAL, LabServer, real_server
from thinkube_nornir.cluster import (
    Cluster,
    apply,
    condition_true,
    delete,
    node_ready,
    probe_pod,
    restore,
    rolled_out,
    run_pod,
    wait,
    wait_all,
)
from thinkube_nornir.cluster.deadline import deadline
from thinkube_nornir.cluster.in_cluster_state import read_record
from thinkube_nornir.cluster.managed import adopt
from thinkube_nornir.cluster.messages import Call
from thinkube_nornir.cluster.objects import cleaned
from thinkube_nornir.errors import ClusterError, DeadlinePassed, Refused, ThinkubeError
from thinkube_nornir.lab.kube import PodExit
from thinkube_nornir.outcome import Outcome, outcome_of

_numbers = itertools.count(1)


async def runtime(pod: dict[str, Any], node: str) -> PodExit | None:
    """Containers of the lab: `exit N` ends with N, anything else keeps running."""
    match pod["spec"]["containers"][0].get("command"):
        case ["exit", code]:
            return PodExit(int(code), f"on {node}\n".encode())
    return None


@pytest.fixture(scope="module")
def lab() -> Iterator[LabServer]:
    server = LabServer(runtime)
    server.do(lambda: server.api.add_node("n1", address="192.0.2.11"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with real_server(Path(os.environ[ASSETS]), tmp_path_factory.mktemp("real")) as text:
        yield text


@pytest.fixture(params=["lab", REAL])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ClusterClient]:
    server = request.getfixturevalue(request.param)
    yield from _client(server.kubeconfig if isinstance(server, LabServer) else server, tmp_path)


@pytest.fixture
def lab_client(lab: LabServer, tmp_path: Path) -> Iterator[ClusterClient]:
    """For what needs controllers, nodes or pods."""
    yield from _client(lab.kubeconfig, tmp_path)


def _client(text: str, folder: Path) -> Iterator[ClusterClient]:
    client = ClusterClient(folder, text, command=20)
    yield client
    client.close()


@pytest.fixture
def name() -> str:
    """Of an object that no other test has."""
    return f"object-{next(_numbers)}"


def config_map(name: str, **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def secret(name: str, **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}


def place(manifest: dict[str, Any]) -> tuple[str, str, str, str]:
    metadata = manifest["metadata"]
    return manifest["apiVersion"], manifest["kind"], metadata["name"], metadata.get("namespace", "")


def live(client: ClusterClient, manifest: dict[str, Any]) -> Any:
    return client.use(lambda kube: kube.get(*place(manifest)))


def noted(client: ClusterClient, name: str) -> list[Any]:
    """What the change log keeps of how objects of this name were before us."""
    changes = client.change_log.changes()
    return [change.before["object"] for change in changes if change.key.endswith(f"/{name}")]


def applied(client: ClusterClient, manifest: dict[str, Any], **more: Any) -> Result:
    return client.use(lambda kube: apply(kube, manifest, **more))


def restored(client: ClusterClient, manifest: dict[str, Any]) -> Result:
    return client.use(lambda kube: restore(kube, *place(manifest)))


def deleted(client: ClusterClient, manifest: dict[str, Any], **more: Any) -> Result:
    return client.use(lambda kube: delete(kube, *place(manifest), **more))


def others_apply(client: ClusterClient, manifest: dict[str, Any], manager: str = "addon") -> None:
    """What someone else does with kubectl."""

    def sent(kube: Cluster) -> None:
        path = kube.must_serve(manifest["apiVersion"], manifest["kind"]).path("default", manifest["metadata"]["name"])
        query = {"fieldManager": manager, "force": "true"}
        call = Call("PATCH", path, query, manifest, "application/apply-patch+yaml", "their apply")
        kube.client.ask(call, deadline(kube.task))

    client.use(sent)


def others_delete(client: ClusterClient, manifest: dict[str, Any]) -> None:
    def sent(kube: Cluster) -> None:
        path = kube.must_serve(manifest["apiVersion"], manifest["kind"]).path("default", manifest["metadata"]["name"])
        kube.client.ask(Call("DELETE", path, doing="their delete"), deadline(kube.task))

    client.use(sent)


def test_apply_creates_and_then_finds_nothing_to_do(client: ClusterClient, name: str) -> None:
    """A second run changes nothing, and the object's version shows it."""
    first = applied(client, config_map(name, a="1"))
    version = live(client, config_map(name))["metadata"]["resourceVersion"]
    second = applied(client, config_map(name, a="1"))

    assert (outcome_of(first), outcome_of(second)) == (Outcome.CHANGED, Outcome.UNCHANGED)
    assert first.result == f"create ConfigMap default/{name}"
    assert "+  a: '1'\n" in first.diff
    assert live(client, config_map(name))["metadata"]["resourceVersion"] == version


def test_apply_changes_what_differs_and_drops_what_we_no_longer_want(client: ClusterClient, name: str) -> None:
    applied(client, config_map(name, a="1", b="2"))

    result = applied(client, config_map(name, a="3"))

    assert live(client, config_map(name))["data"] == {"a": "3"}
    assert "-  a: '1'\n" in result.diff
    assert "-  b: '2'\n" in result.diff


def test_a_dry_run_promises_and_writes_nothing(client: ClusterClient, name: str) -> None:
    """Neither the cluster nor the change log know of it."""
    applied(client, config_map(name, a="1"))
    before, known = live(client, config_map(name)), client.change_log.changes()
    client.context.dry_run = True

    changed, created = applied(client, config_map(name, a="2")), applied(client, config_map(f"{name}-new"))
    gone, back = deleted(client, config_map(name)), restored(client, config_map(name))

    assert {outcome_of(result) for result in (changed, created, gone, back)} == {Outcome.PLANNED}
    assert "+  a: '2'\n" in changed.diff
    assert live(client, config_map(name)) == before
    assert live(client, config_map(f"{name}-new")) is None
    assert client.change_log.changes() == known


def test_a_dry_run_plans_into_a_namespace_that_is_only_planned(client: ClusterClient, name: str) -> None:
    """The API cannot check it yet; without a dry run a missing namespace is an error."""
    manifest = config_map(name)
    manifest["metadata"]["namespace"] = "not-there-yet"

    with pytest.raises(ClusterError) as caught:
        applied(client, manifest)
    client.context.dry_run = True

    assert caught.value.status == 404
    assert outcome_of(applied(client, manifest)) is Outcome.PLANNED
    assert noted(client, name) == []


def test_a_verify_run_changes_nothing(client: ClusterClient, name: str) -> None:
    applied(client, config_map(name, a="1"))
    client.context.read_only = True

    assert outcome_of(applied(client, config_map(name, a="1"))) is Outcome.UNCHANGED
    with pytest.raises(Refused):
        applied(client, config_map(name, a="2"))
    with pytest.raises(Refused):
        deleted(client, config_map(name))
    with pytest.raises(Refused):
        restored(client, config_map(name))
    assert live(client, config_map(name))["data"] == {"a": "1"}


def test_fields_of_others_are_not_taken_by_accident(client: ClusterClient, name: str) -> None:
    """The refusal names the manager and the field, and the change log holds nothing that never was."""
    others_apply(client, config_map(name, Corefile="theirs"))

    with pytest.raises(Refused) as caught:
        applied(client, config_map(name, Corefile="ours"))

    assert ".data.Corefile belongs to addon" in caught.value.why
    assert noted(client, name) == []


def test_what_was_taken_by_force_is_given_back(client: ClusterClient, name: str) -> None:
    """After restore the object is as it was, and its manager owns again what we took."""
    theirs = config_map(name, Corefile="theirs", more="kept")
    theirs["metadata"] |= {"labels": {"l": "theirs"}, "annotations": {"x": "theirs"}}
    others_apply(client, theirs)
    before = live(client, theirs)
    ours = config_map(name, Corefile="ours", new="ours")
    ours["metadata"] |= {"labels": {"l": "ours", "m": "ours"}}

    taken = applied(client, ours, force=True)
    back = restored(client, theirs)

    assert (outcome_of(taken), outcome_of(back)) == (Outcome.CHANGED, Outcome.CHANGED)
    assert cleaned(live(client, theirs)) == cleaned(before)
    owners = {entry["manager"]: entry["fieldsV1"] for entry in live(client, theirs)["metadata"]["managedFields"]}
    assert owners == {entry["manager"]: entry["fieldsV1"] for entry in before["metadata"]["managedFields"]}
    assert outcome_of(restored(client, theirs)) is Outcome.UNCHANGED
    assert noted(client, name) == []


def bare(name: str) -> dict[str, Any]:
    return {field: value for field, value in config_map(name).items() if field != "data"}


def test_what_others_changed_since_stays(client: ClusterClient, name: str) -> None:
    others_apply(client, config_map(name, Corefile="theirs"))
    applied(client, config_map(name, Corefile="ours"), force=True)
    others_apply(client, config_map(name, later="theirs"), "someone")

    result = restored(client, config_map(name))

    assert live(client, config_map(name))["data"] == {"Corefile": "theirs", "later": "theirs"}
    assert "-  Corefile: ours\n+  Corefile: theirs\n" in result.diff
    assert "-  later" not in result.diff


def test_what_others_took_back_is_left_alone(client: ClusterClient, name: str) -> None:
    """An addon that was enabled anew has reset the object: there is nothing of ours to take back."""
    others_apply(client, config_map(name, Corefile="theirs"))
    applied(client, config_map(name, Corefile="ours"), force=True)
    others_apply(client, config_map(name, Corefile="theirs anew"))

    result = restored(client, config_map(name))

    assert outcome_of(result) is Outcome.UNCHANGED
    assert live(client, config_map(name))["data"] == {"Corefile": "theirs anew"}
    assert noted(client, name) == []


def test_what_we_created_is_deleted(client: ClusterClient, name: str) -> None:
    applied(client, config_map(name, a="1"))
    applied(client, config_map(name, a="2"))

    result = restored(client, config_map(name))

    assert outcome_of(result) is Outcome.CHANGED
    assert live(client, config_map(name)) is None
    assert outcome_of(restored(client, config_map(name))) is Outcome.UNCHANGED


def test_what_we_created_without_a_field_is_deleted(client: ClusterClient, name: str) -> None:
    """A bare namespace: nobody manages a field of it, so it is as we made it."""
    applied(client, bare(name))

    result = restored(client, bare(name))

    assert outcome_of(result) is Outcome.CHANGED
    assert live(client, bare(name)) is None


def test_what_others_filled_is_left_alone(client: ClusterClient, name: str) -> None:
    """We made it empty, and all that is in it is theirs."""
    applied(client, bare(name))
    others_apply(client, config_map(name, a="theirs"))

    result = restored(client, bare(name))

    assert outcome_of(result) is Outcome.UNCHANGED
    assert live(client, bare(name))["data"] == {"a": "theirs"}


def test_an_object_that_others_made_in_the_meantime_is_not_deleted(client: ClusterClient, name: str) -> None:
    """Ours went, theirs has the same name."""
    applied(client, config_map(name, a="1"))
    others_delete(client, config_map(name))
    others_apply(client, config_map(name, a="theirs"))

    result = restored(client, config_map(name))

    assert "addon" in result.result
    assert live(client, config_map(name))["data"] == {"a": "theirs"}


def test_a_run_killed_before_the_effect_owns_nothing(client: ClusterClient, name: str) -> None:
    """An intention without an effect: rollback leaves what others made."""
    others_apply(client, config_map(name, a="theirs"))
    client.change_log.intend(
        host="tkc", component="c", key=f"object:v1/ConfigMap/default/{name}", summary="", before={"object": None}
    )

    assert outcome_of(restored(client, config_map(name))) is Outcome.UNCHANGED
    assert live(client, config_map(name)) is not None


def test_a_run_killed_after_the_effect_is_completed(client: ClusterClient, name: str) -> None:
    """The next run finds the object as wanted, and what was intended becomes done."""
    applied(client, config_map(name, a="1"))
    key = f"object:v1/ConfigMap/default/{name}"
    client.change_log.intend(host="tkc", component="c", key=key, summary="", before={"object": "ignored"})

    assert outcome_of(applied(client, config_map(name, a="1"))) is Outcome.UNCHANGED
    known = client.change_log.managed("tkc", key)
    assert known is not None
    assert (known.state, known.before["object"]) == ("done", None)


def test_a_restore_killed_half_way_is_completed(client: ClusterClient, name: str) -> None:
    """The fields are back and their owners not yet: a second rollback gives them back."""
    others_apply(client, config_map(name, a="theirs"))
    before = live(client, config_map(name))
    applied(client, config_map(name, a="ours"), force=True)

    def half(kube: Cluster) -> None:
        now = kube.get(*place(config_map(name)))
        assert now is not None
        path = kube.must_serve("v1", "ConfigMap").path("default", name)
        call = Call("PUT", path, {"fieldManager": "thinkube-nornir"}, now | {"data": {"a": "theirs"}})
        kube.client.ask(call, deadline(kube.task))

    client.use(half)
    restored(client, config_map(name))

    assert cleaned(live(client, config_map(name))) == cleaned(before)
    assert [e["manager"] for e in live(client, config_map(name))["metadata"]["managedFields"]] == ["addon"]


def test_an_unknown_field_is_an_error(client: ClusterClient, name: str) -> None:
    """Strict validation: a typing error in a manifest is not dropped silently."""
    with pytest.raises(ClusterError) as caught:
        applied(client, config_map(name) | {"dataa": {"a": "1"}})

    assert "dataa" in caught.value.why
    assert live(client, config_map(name)) is None


def test_delete_waits_and_restore_creates_again(client: ClusterClient, name: str) -> None:
    others_apply(client, config_map(name, a="theirs"))

    assert outcome_of(deleted(client, config_map(name))) is Outcome.CHANGED
    assert live(client, config_map(name)) is None
    assert outcome_of(deleted(client, config_map(name))) is Outcome.UNCHANGED
    assert outcome_of(restored(client, config_map(name))) is Outcome.CHANGED
    assert live(client, config_map(name))["data"] == {"a": "theirs"}


def managers_of(obj: dict[str, Any]) -> list[tuple[str, str, Any]]:
    return [(e["manager"], e["operation"], e["fieldsV1"]) for e in obj["metadata"]["managedFields"]]


def test_what_is_created_again_belongs_to_whom_it_belonged(client: ClusterClient, name: str) -> None:
    """Each field to its manager, so that nobody meets a conflict with us afterwards."""
    others_apply(client, config_map(name, a="theirs"))
    others_apply(client, config_map(name, b="another's"), "editor")
    before = managers_of(live(client, config_map(name)))
    deleted(client, config_map(name))

    restored(client, config_map(name))

    assert managers_of(live(client, config_map(name))) == before


def held(name: str, **data: str) -> dict[str, Any]:
    manifest = config_map(name, **data)
    manifest["metadata"]["finalizers"] = ["example.com/hold"]
    return manifest


def mark_deleted(client: ClusterClient, manifest: dict[str, Any]) -> None:
    """A deletion that a finalizer holds up."""
    path = f"/api/v1/namespaces/default/configmaps/{manifest['metadata']['name']}"
    client.use(lambda kube: kube.client.ask(Call("DELETE", path, doing="their deletion"), deadline(kube.task)))


def let_go(client: ClusterClient, manifest: dict[str, Any]) -> None:
    path = f"/api/v1/namespaces/default/configmaps/{manifest['metadata']['name']}"
    change = {"metadata": {"finalizers": None}}
    call = Call("PATCH", path, {}, change, "application/merge-patch+json", "their controller")
    client.use(lambda kube: kube.client.ask(call, deadline(kube.task)))


def test_an_object_that_is_being_deleted_is_made_anew(client: ClusterClient, name: str) -> None:
    """It looks as wanted, and will be gone in a moment."""
    others_apply(client, held(name, a="1"))
    before = live(client, config_map(name))["metadata"]["uid"]
    mark_deleted(client, config_map(name))
    threading.Timer(0.2, let_go, (client, config_map(name))).start()

    result = applied(client, config_map(name, a="1"))

    now = live(client, config_map(name))
    assert outcome_of(result) is Outcome.CHANGED
    assert (now["data"], now["metadata"]["uid"] != before) == ({"a": "1"}, True)
    assert noted(client, name) == [None]


def test_a_deletion_that_does_not_end_is_waited_for_in_vain(client: ClusterClient, name: str) -> None:
    others_apply(client, held(name, a="1"))
    mark_deleted(client, config_map(name))

    with pytest.raises(DeadlinePassed) as caught:
        applied(client, config_map(name, a="1"), timeout=0.5)

    assert "example.com/hold" in caught.value.why
    assert noted(client, name) == []


def test_a_plan_says_that_a_deletion_comes_first(client: ClusterClient, name: str) -> None:
    others_apply(client, held(name, a="1"))
    mark_deleted(client, config_map(name))
    client.context.dry_run = True

    result = applied(client, config_map(name, a="1"))

    assert "when its deletion is over" in result.result
    assert outcome_of(result) is Outcome.PLANNED


def test_what_is_being_deleted_is_restored_when_it_has_gone(client: ClusterClient, name: str) -> None:
    others_apply(client, held(name, a="theirs"))
    applied(client, config_map(name, a="ours"), force=True)
    mark_deleted(client, config_map(name))
    threading.Timer(0.2, let_go, (client, config_map(name))).start()

    restored(client, config_map(name))

    now = live(client, config_map(name))
    assert now["data"] == {"a": "theirs"}
    assert "deletionTimestamp" not in now["metadata"]


def test_deleting_our_own_object_leaves_nothing_to_restore(client: ClusterClient, name: str) -> None:
    applied(client, config_map(name))

    deleted(client, config_map(name))

    assert noted(client, name) == []


def test_a_deletion_without_undo_is_not_kept(client: ClusterClient, name: str) -> None:
    others_apply(client, secret(name, token="theirs"))

    deleted(client, secret(name), undo=False)

    assert live(client, secret(name)) is None
    assert noted(client, name) == []


def test_a_deletion_that_hangs_names_the_finalizers(client: ClusterClient, name: str) -> None:
    manifest = config_map(name)
    manifest["metadata"]["finalizers"] = ["example.com/hold"]
    applied(client, manifest)

    with pytest.raises(DeadlinePassed) as caught:
        deleted(client, manifest, timeout=0.5)

    assert "example.com/hold" in caught.value.why
    assert name in caught.value.what


def test_a_secret_is_created_without_being_shown(client: ClusterClient, name: str) -> None:
    """Neither the diff nor the change log hold its values, also not when it changes."""
    first = applied(client, secret(name, token="first-value"))
    second = applied(client, secret(name, token="other-value"))

    told = f"{first.diff}{second.diff}{client.change_log.changes()}"
    for hidden in ("first-value", "other-value", "Zmlyc3QtdmFsdWU=", "b3RoZXItdmFsdWU="):
        assert hidden not in told
    assert "token" in second.diff
    assert outcome_of(applied(client, secret(name, token="other-value"))) is Outcome.UNCHANGED


def test_a_key_that_a_secret_of_ours_no_longer_has_goes(client: ClusterClient, name: str) -> None:
    """Though a manifest writes plain texts, whose ownership the API loses."""
    applied(client, secret(name, old="1", kept="2"))

    applied(client, secret(name, kept="2"))

    assert list(live(client, secret(name))["data"]) == ["kept"]


def test_a_secret_stays_out_of_a_journal_that_was_lost(client: ClusterClient, name: str) -> None:
    """Our manager's name on a Secret shows that we made it: it may change, and rollback deletes it."""
    applied(client, secret(name, token="first-value"))
    for change in client.change_log.changes():
        client.change_log.undone(change)

    applied(client, secret(name, token="other-value"))

    assert noted(client, name) == [None]


def test_a_secret_of_others_is_never_overwritten(client: ClusterClient, name: str) -> None:
    """Its content could not be kept for rollback, because no secret may be in the journal."""
    others_apply(client, secret(name, token="theirs"))

    with pytest.raises(Refused, match="is not managed"):
        applied(client, secret(name, token="ours!"), force=True)

    assert outcome_of(applied(client, secret(name, token="theirs"))) is Outcome.UNCHANGED


def test_a_wait_sees_a_change_as_it_happens(client: ClusterClient, name: str) -> None:
    applied(client, config_map(name, a="1"))
    threading.Timer(0.2, applied, (client, config_map(name, a="2"))).start()

    seen = client.use(
        lambda kube: wait(
            kube,
            *place(config_map(name)),
            condition=lambda obj: obj is not None and obj["data"]["a"] == "2",
            what="the change",
            timeout=20,
        )
    )

    assert seen is not None
    assert seen["data"] == {"a": "2"}


def test_a_wait_for_several_sees_them_come_and_go(client: ClusterClient, name: str) -> None:
    def labelled(part: str) -> dict[str, Any]:
        manifest = config_map(f"{name}-{part}")
        manifest["metadata"]["labels"] = {"set": name}
        return manifest

    def names(kube: Cluster, *wanted: str) -> list[str]:
        found = wait_all(
            kube,
            *("v1", "ConfigMap", "default"),
            label_selector=f"set={name}",
            condition=lambda objects: [o["metadata"]["name"] for o in objects] == list(wanted),
            what="the set",
            timeout=20,
        )
        return [obj["metadata"]["name"] for obj in found]

    def come_and_go() -> None:
        applied(client, labelled("b"))
        deleted(client, labelled("a"))

    applied(client, labelled("a"))
    threading.Timer(0.2, come_and_go).start()

    assert client.use(lambda kube: names(kube, f"{name}-a", f"{name}-b"))
    assert client.use(lambda kube: names(kube, f"{name}-b"))


def test_lists_carry_what_their_objects_are(client: ClusterClient, name: str) -> None:
    applied(client, config_map(name, a="1"))

    found = client.use(lambda kube: kube.list("v1", "ConfigMap", "default", field_selector=f"metadata.name={name}"))

    assert [(obj["kind"], obj["data"]) for obj in found] == [("ConfigMap", {"a": "1"})]


def test_the_api_tells_its_health_and_version(client: ClusterClient) -> None:
    assert client.use(lambda kube: kube.raw("/readyz")) == "ok"
    assert client.use(lambda kube: kube.version()).startswith("v1.")


def deployment(name: str) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
    }


def test_a_deployment_rolls_out(lab_client: ClusterClient, name: str) -> None:
    applied(lab_client, deployment(name))

    done = lab_client.use(lambda kube: rolled_out(kube, "Deployment", name, "default", timeout=20))

    assert done is not None
    assert done["status"]["availableReplicas"] == 2
    assert outcome_of(applied(lab_client, deployment(name))) is Outcome.UNCHANGED


def _held(lab: LabServer, name: str, finalizers: list[str]) -> None:
    for pod in lab.api.list("v1", "Pod", "default"):
        if pod["metadata"]["name"].startswith(name) and ("deletionTimestamp" in pod["metadata"]) is not bool(
            finalizers
        ):
            pod["metadata"]["finalizers"] = finalizers
            lab.api.update(pod)


def test_a_roll_out_is_over_when_the_old_pods_are_gone(lab: LabServer, lab_client: ClusterClient, name: str) -> None:
    """`kubectl rollout status` is satisfied before; other nodes still send to a pod that ends."""
    applied(lab_client, deployment(name))
    lab_client.use(lambda kube: rolled_out(kube, "Deployment", name, "default", timeout=20))
    lab.do(lambda: _held(lab, name, ["example.org/held"]))
    changed = deployment(name)
    changed["spec"]["template"]["metadata"]["annotations"] = {"version": "2"}
    applied(lab_client, changed)

    with pytest.raises(DeadlinePassed, match=f"old pods of Deployment default/{name}"):
        lab_client.use(lambda kube: rolled_out(kube, "Deployment", name, "default", timeout=2))

    lab.do(lambda: _held(lab, name, []))
    assert lab_client.use(lambda kube: rolled_out(kube, "Deployment", name, "default", timeout=20))


def test_an_old_pod_on_a_lost_node_is_not_waited_for(lab: LabServer, lab_client: ClusterClient, name: str) -> None:
    """Its kubelet would have to report that it has ended, and is away."""
    applied(lab_client, deployment(name))
    lab_client.use(lambda kube: rolled_out(kube, "Deployment", name, "default", timeout=20))
    metadata = {"name": f"{name}-lost", "namespace": "default", "labels": {"app": name}, "finalizers": ["a/b"]}
    spec = {"containers": [{"name": "c", "image": "i"}], "nodeName": "gone"}
    lab.do(lambda: lab.api.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}))
    lab.do(lambda: lab.api.add_node("gone", address="192.0.2.13"))
    lab.do(lambda: lab.api.set_node_ready("gone", False, "KubeletGone"))
    lab.do(lambda: lab.api.delete("v1", "Pod", f"{name}-lost", "default"))

    assert lab_client.use(lambda kube: rolled_out(kube, "Deployment", name, "default", timeout=5))
    lab.do(lambda: lab.api.remove_node("gone"))


def test_a_node_becomes_ready(lab: LabServer, lab_client: ClusterClient) -> None:
    lab.do(lambda: lab.api.add_node("n2", address="192.0.2.12"))
    lab.do(lambda: lab.api.set_node_ready("n2", False, "KubeletNotReady"))

    with pytest.raises(DeadlinePassed) as caught:
        lab_client.use(lambda kube: node_ready(kube, "n2", timeout=0.5))
    assert "KubeletNotReady" in caught.value.why

    threading.Timer(0.2, lab.do, (lambda: lab.api.set_node_ready("n2", True),)).start()
    assert lab_client.use(lambda kube: node_ready(kube, "n2", timeout=20))
    lab.do(lambda: lab.api.remove_node("n2"))


@pytest.mark.parametrize("code", [0, 3])
def test_a_probe_pod_runs_and_is_gone(lab: LabServer, lab_client: ClusterClient, code: int) -> None:
    """Also in a verify run, which may create nothing else; a failing command is an answer, not an error."""
    lab_client.context.read_only = True

    ran = lab_client.use(lambda kube: run_pod(kube, probe_pod("dns", "i", ["exit", str(code)], node="n1"), timeout=20))

    assert (ran.exit_code, ran.log) == (code, "on n1\n")
    pods = lab.do(lambda: lab.api.list("v1", "Pod", "default"))
    assert [pod for pod in pods if pod["metadata"]["name"].startswith("dns-")] == []


def test_an_unknown_field_of_a_probe_pod_is_an_error(lab_client: ClusterClient) -> None:
    """A typing error in its manifest is not dropped silently."""
    pod = probe_pod("dns", "i", ["exit", "0"], node="n1")
    pod["spec"]["dnsPolici"] = "Default"

    with pytest.raises(ClusterError) as caught:
        lab_client.use(lambda kube: run_pod(kube, pod, timeout=20))

    assert "spec.dnsPolici" in caught.value.why


def test_a_probe_pod_that_never_ends_is_ended(lab: LabServer, lab_client: ClusterClient) -> None:
    with pytest.raises(DeadlinePassed, match="probe pod default/slow-"):
        lab_client.use(lambda kube: run_pod(kube, probe_pod("slow", "i", ["run"], node="n1"), timeout=0.5))

    pods = lab.do(lambda: lab.api.list("v1", "Pod", "default"))
    assert [pod for pod in pods if pod["metadata"]["name"].startswith("slow-")] == []


def definition(name: str) -> dict[str, Any]:
    plural = name.replace("-", "")
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{plural}.example.com"},
        "spec": {
            "group": f"{plural}.example.com",
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": plural.capitalize()},
            "versions": [version],
        },
    }


def established(client: ClusterClient, manifest: dict[str, Any]) -> None:
    applied(client, manifest)
    client.use(
        lambda kube: wait(
            kube,
            *place(manifest),
            condition=lambda obj: condition_true(obj, "Established"),
            what="the definition",
            timeout=20,
        )
    )


def test_a_wait_outlives_the_removal_and_the_return_of_a_definition(client: ClusterClient, name: str) -> None:
    """Of the kind that it waits for: what was there goes with it, and what comes later is seen."""
    crd = definition(name)
    kind = crd["spec"]["names"]["kind"]
    widget = {"apiVersion": f"{crd['spec']['group']}/v1", "kind": kind}
    widget["metadata"] = {"name": "w", "namespace": "default"}
    established(client, crd)
    applied(client, widget | {"round": 1})

    def remove_and_return() -> None:
        deleted(client, crd)
        established(client, crd)
        applied(client, widget | {"round": 2})

    threading.Timer(0.2, remove_and_return).start()
    found = client.use(
        lambda kube: wait(
            kube,
            *place(widget),
            condition=lambda obj: obj is not None and obj["round"] == 2,
            what="the second widget",
            timeout=30,
        )
    )

    assert found is not None
    assert found["round"] == 2


def records(client: ClusterClient) -> list[dict[str, Any]]:
    """The cluster's own records of changes."""
    selector = "app.kubernetes.io/component=change-record"
    return client.use(lambda kube: kube.list("v1", "Secret", "kube-system", label_selector=selector))


def test_another_controller_restores_what_the_first_one_found(
    client: ClusterClient, name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """With a change log of its own, though it changed the object once more; no record is left then."""
    others_apply(client, config_map(name, Corefile="theirs"))
    applied(client, config_map(name, Corefile="ours"), force=True)
    second = ClusterClient(tmp_path / "second", client.text, command=20)
    request.addfinalizer(second.close)
    applied(second, config_map(name, Corefile="anew"))

    result = restored(second, config_map(name))

    assert outcome_of(result) is Outcome.CHANGED
    assert live(client, config_map(name))["data"] == {"Corefile": "theirs"}
    assert noted(second, name) == []
    assert not [found for found in records(client) if name in read_record(found).key]


def test_what_another_controller_undid_is_ours_no_more(
    client: ClusterClient, name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """And what it recorded anew has the later state before it."""
    others_apply(client, config_map(name, Corefile="first"))
    applied(client, config_map(name, Corefile="ours"), force=True)
    second = ClusterClient(tmp_path / "second", client.text, command=20)
    request.addfinalizer(second.close)
    restored(second, config_map(name))
    others_apply(client, config_map(name, Corefile="second"))
    applied(second, config_map(name, Corefile="ours"), force=True)
    client.close()  # the end of its run

    client.use(adopt)

    assert noted(client, name)[0]["data"] == {"Corefile": "second"}
    assert outcome_of(restored(client, config_map(name))) is Outcome.CHANGED
    assert live(client, config_map(name))["data"] == {"Corefile": "second"}


def test_a_large_object_is_recorded_as_a_whole(client: ClusterClient, name: str) -> None:
    """A Secret takes 1 MiB, and an object may have more: the record is compressed."""
    large = "".join(f"line {number}\n" for number in range(70_000))
    others_apply(client, config_map(name, text=large, more=large[:200_000]))

    applied(client, config_map(name, text="ours"), force=True)
    restored(client, config_map(name))

    assert live(client, config_map(name))["data"]["text"] == large


def test_what_an_earlier_version_changed_gets_its_record(client: ClusterClient, name: str) -> None:
    """Its journal alone knows of it, and it stays ours; a dry run does not record it."""
    others_apply(client, config_map(name, Corefile="theirs"))
    key, before = f"object:v1/ConfigMap/default/{name}", {"object": live(client, config_map(name))}
    client.change_log.intend(host="tkc", component="c", key=key, summary="", before=before)

    client.context.dry_run = True
    client.use(adopt)
    assert key not in {read_record(found).key for found in records(client)}
    client.context.dry_run = False
    client.context.clusters.clear()
    client.use(adopt)

    assert key in {read_record(found).key for found in records(client)}
    assert noted(client, name) == [before["object"]]


def test_a_damaged_record_is_named(lab: LabServer, lab_client: ClusterClient) -> None:
    """What it stood for cannot be known, so nothing is undone by guessing."""
    labels = {"app.kubernetes.io/managed-by": "thinkube-nornir", "app.kubernetes.io/component": "change-record"}
    metadata = {"name": "thinkube-change-x", "namespace": "kube-system", "labels": labels}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"record.json.gz": "eA=="}}
    lab.do(lambda: lab.api.create(secret))

    with pytest.raises(ThinkubeError, match="record in Secret kube-system/thinkube-change-x is damaged"):
        lab_client.use(adopt)

    lab.do(lambda: lab.api.delete("v1", "Secret", "thinkube-change-x", "kube-system"))
