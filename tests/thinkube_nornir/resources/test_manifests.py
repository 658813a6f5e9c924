"""Manifest: each way in which its objects can be broken is red, repaired alone, and taken back."""

from __future__ import annotations

import base64
import itertools
from typing import Any

import pytest

from tests.thinkube_nornir.resources.cluster_host import ClusterHost
from thinkube_nornir.cluster import Object
from thinkube_nornir.errors import Refused
from thinkube_nornir.outcome import Outcome, outcome_of
from thinkube_nornir.resources import Manifest, NotAsDeclared

_numbers = itertools.count(1)


@pytest.fixture
def space(any_cluster: ClusterHost) -> str:
    """A namespace that no other test has, and that was there before."""
    name = f"space-{next(_numbers)}"
    any_cluster.create(_object("v1", "Namespace", name))
    return name


def _object(version: str, kind: str, name: str, namespace: str = "", **parts: Any) -> Object:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {}) | parts.pop("metadata", {})
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **parts}


def config(space: str, name: str = "web", **data: str) -> Object:
    return _object("v1", "ConfigMap", name, space, data=data or {"greeting": "hello"})


def secret(space: str, value: str = "s3cret-value") -> Object:
    return _object("v1", "Secret", "key", space, stringData={"token": value})


def cron_job(space: str) -> Object:
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox", "env": [_env("A", "1")]}]}
    spec = {"schedule": "17 3 * * *", "suspend": False, "jobTemplate": {"spec": {"template": {"spec": pod}}}}
    return _object("batch/v1", "CronJob", "nightly", space, spec=spec, metadata={"labels": {"app": "web"}})


def _encoded(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def _env(name: str, value: str) -> dict[str, str]:
    return {"name": name, "value": value}


def role(space: str) -> list[Object]:
    version, rule = "rbac.authorization.k8s.io/v1", {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": space}
    return [
        _object(version, "Role", "reader", space, rules=[rule]),
        _object(version, "RoleBinding", "reader", space, roleRef=reference, subjects=[subject]),
    ]


def everything(space: str) -> list[Object]:
    return [config(space), secret(space), *role(space), cron_job(space)]


def manifest(cluster: ClusterHost, *objects: Object, **how: Any) -> Manifest:
    return Manifest("web", cluster.access, objects=objects, **how)


def wrong(cluster: ClusterHost, resource: Manifest) -> NotAsDeclared:
    error = cluster.check(resource).exception
    assert isinstance(error, NotAsDeclared), error
    return error


def test_objects_are_created_seen_and_removed(any_cluster: ClusterHost, space: str) -> None:
    """A second set-up changes nothing; a second rollback has nothing to do."""
    objects = everything(space)
    resource = manifest(any_cluster, *objects)

    assert outcome_of(any_cluster.set_up(resource)) is Outcome.CHANGED
    assert any_cluster.check(resource).exception is None
    assert outcome_of(any_cluster.set_up(resource)) is Outcome.UNCHANGED
    rolled = any_cluster.roll_back(resource)
    assert outcome_of(rolled) is Outcome.CHANGED
    assert [any_cluster.get(obj) for obj in objects] == [None] * len(objects)
    assert outcome_of(any_cluster.roll_back(resource)) is Outcome.UNCHANGED


def test_of_objects_that_are_as_declared_each_is_read_once(any_cluster: ClusterHost, space: str) -> None:
    """The API is asked what an apply would change only where the two are not plainly alike."""
    resource = manifest(any_cluster, *everything(space))
    any_cluster.set_up(resource)
    sent = any_cluster.calls()

    any_cluster.check(resource)

    assert [call.method for call in sent] == ["GET"] * len(everything(space))


BREAKAGES: dict[str, tuple[int, Any, str, str]] = {
    "data changed": (0, {"data": {"greeting": "goodbye"}}, "data.greeting", '"goodbye"'),
    "data removed": (0, {"data": {"greeting": None}}, "data", "not set"),
    "secret changed": (
        1,
        {"data": {"token": base64.b64encode(b"other-value").decode()}},
        "data.token",
        "another value",
    ),
    "rules emptied": (2, {"rules": []}, "rules", "rules"),
    "subjects emptied": (3, {"subjects": []}, "subjects", "subjects"),
    "suspended": (4, {"spec": {"suspend": True}}, "spec.suspend", "true"),
    "label removed": (4, {"metadata": {"labels": {"app": None}}}, "metadata.labels", "not set"),
    "label changed": (4, {"metadata": {"labels": {"app": "x"}}}, "metadata.labels.app", '"x"'),
}


@pytest.mark.parametrize("way", BREAKAGES)
def test_a_changed_field_is_red_and_repaired_and_nothing_beside(any_cluster: ClusterHost, space: str, way: str) -> None:
    """By whomever: fields that others took over are taken back."""
    number, change, path, seen = BREAKAGES[way]
    objects = everything(space)
    resource = manifest(any_cluster, *objects)
    any_cluster.set_up(resource)
    before = [any_cluster.plain(obj) for obj in objects]
    any_cluster.patch(objects[number], change)

    error = wrong(any_cluster, resource)

    name = f"{objects[number]['kind']} {space}/{objects[number]['metadata']['name']}"
    assert error.what.startswith(f"{name} has another {path}")
    assert f"{name}: {path}" in error.expected
    assert seen in error.seen
    sent = any_cluster.calls()
    assert outcome_of(any_cluster.set_up(resource)) is Outcome.CHANGED
    assert len([call for call in sent if call.method == "PATCH" and "dryRun" not in call.query]) == 1
    assert [any_cluster.plain(obj) for obj in objects] == before
    assert any_cluster.check(resource).exception is None


@pytest.mark.parametrize("number", range(5))
def test_a_deleted_object_is_red_and_made_again(any_cluster: ClusterHost, space: str, number: int) -> None:
    objects = everything(space)
    resource = manifest(any_cluster, *objects)
    any_cluster.set_up(resource)
    any_cluster.delete(objects[number])

    assert "is missing" in wrong(any_cluster, resource).what
    result = any_cluster.set_up(resource)

    assert str(result.result).startswith(f"create {objects[number]['kind']} ")
    assert any_cluster.check(resource).exception is None


def test_values_of_secrets_are_shown_to_nobody(any_cluster: ClusterHost, space: str) -> None:
    """Not in a plan, a check or a change; neither ours nor those of others."""
    resource = manifest(any_cluster, secret(space))
    planned = any_cluster.set_up(resource, dry_run=True)
    any_cluster.set_up(resource)
    theirs = _encoded("their-own-value")
    any_cluster.patch(secret(space), {"data": {"token": theirs}})

    error, repaired = wrong(any_cluster, resource), any_cluster.set_up(resource)

    told = "\n".join(map(str, (planned.diff, error.what, error.why, repaired.diff, repaired.result)))
    for value in (theirs, "their-own-value", "s3cret-value", _encoded("s3cret-value")):
        assert value not in told


def test_what_was_there_before_comes_back(any_cluster: ClusterHost, space: str) -> None:
    """With its former content and owners; fields that are not declared were never ours."""
    there = config(space, greeting="hi", more="theirs")
    any_cluster.create(there)
    before = any_cluster.get(there)
    resource = manifest(any_cluster, config(space))

    any_cluster.set_up(resource)
    live = any_cluster.plain(there) or {}
    assert live["data"] == {"greeting": "hello", "more": "theirs"}
    assert any_cluster.check(resource).exception is None
    any_cluster.roll_back(resource)

    after = any_cluster.get(there) or {}
    assert after["data"] == {"greeting": "hi", "more": "theirs"}
    managers = [[entry["manager"] for entry in obj["metadata"]["managedFields"]] for obj in (before or {}, after)]
    assert managers[0] == managers[1]


def test_a_secret_of_others_is_refused(any_cluster: ClusterHost, space: str) -> None:
    """Its content could be kept nowhere."""
    any_cluster.create(secret(space, "of others"))

    assert isinstance(any_cluster.set_up(manifest(any_cluster, secret(space))).exception, Refused)


def test_a_plan_promises_and_writes_nothing(any_cluster: ClusterHost, space: str) -> None:
    """Also objects of a namespace that is only promised."""
    later = f"{space}-later"
    objects = [_object("v1", "Namespace", later), config(later)]
    resource = manifest(any_cluster, *objects)
    sent = any_cluster.calls()

    result = any_cluster.set_up(resource, dry_run=True)

    assert outcome_of(result) is Outcome.PLANNED
    assert str(result.result) == f"create Namespace {later}; create ConfigMap {later}/web"
    assert "+  greeting: hello" in result.diff
    assert all(call.method == "GET" or call.query.get("dryRun") == "All" for call in sent)
    assert any_cluster.change_log.changes() == []


def test_without_a_cluster_a_plan_promises_all_of_it(any_cluster: ClusterHost, space: str) -> None:
    any_cluster.there = False
    sent = any_cluster.calls()

    result = any_cluster.set_up(manifest(any_cluster, config(space)), dry_run=True)

    assert (outcome_of(result), result.result) == (Outcome.PLANNED, f"create ConfigMap {space}/web")
    assert "+  greeting: hello" in result.diff
    assert sent == []


def test_without_a_cluster_a_rollback_only_forgets(any_cluster: ClusterHost, space: str) -> None:
    resource = manifest(any_cluster, config(space))
    any_cluster.set_up(resource)
    any_cluster.there = False
    sent = any_cluster.calls()

    assert outcome_of(any_cluster.roll_back(resource, dry_run=True)) is Outcome.PLANNED
    assert "their cluster has gone" in str(any_cluster.roll_back(resource).result)
    assert any_cluster.change_log.changes() == []
    assert sent == []


def test_what_is_declared_no_more_goes(any_cluster: ClusterHost, space: str) -> None:
    """A plan promises it, and verify is red until it has gone. A namespace may hold what others put there."""
    namespace = _object("v1", "Namespace", f"{space}-extra")
    old = manifest(any_cluster, config(space), namespace, config(space, "extra"))
    new = manifest(any_cluster, config(space))
    any_cluster.set_up(old)

    assert wrong(any_cluster, new).what == f"ConfigMap {space}/extra is declared no more"
    assert any_cluster.set_up(new, dry_run=True).result == f"delete ConfigMap {space}/extra"
    assert any_cluster.set_up(new).result == f"delete ConfigMap {space}/extra"
    assert any_cluster.check(new).exception is None
    assert any_cluster.get(config(space)) is not None
    assert any_cluster.get(namespace) is not None


def test_a_field_that_is_declared_no_more_goes(any_cluster: ClusterHost, space: str) -> None:
    """Also one inside of a list's item: what others set there stays."""
    full, bare = cron_job(space), cron_job(space)
    del bare["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["env"]
    any_cluster.set_up(manifest(any_cluster, config(space, a="1", b="2"), full))
    resource = manifest(any_cluster, config(space, a="1"), bare)
    any_cluster.patch(config(space), {"data": {"theirs": "3"}})

    assert wrong(any_cluster, resource).expected.splitlines()[0] == f"ConfigMap {space}/web: data.b not set"
    any_cluster.set_up(resource)

    assert (any_cluster.plain(config(space)) or {})["data"] == {"a": "1", "theirs": "3"}
    container = (any_cluster.plain(full) or {})["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    assert "env" not in container


def test_a_namespace_of_ours_stays_while_others_have_something_in_it(any_cluster: ClusterHost, space: str) -> None:
    """It is said, in a dry run, too; when that has gone, the next rollback removes it."""
    name = f"{space}-own"
    namespace, inside, theirs = _object("v1", "Namespace", name), config(name), config(name, "theirs")
    resource = manifest(any_cluster, namespace, inside)
    any_cluster.set_up(resource)
    any_cluster.create(theirs)

    planned, rolled = any_cluster.roll_back(resource, dry_run=True), any_cluster.roll_back(resource)

    for result in (planned, rolled):
        assert f"Namespace {name} was left: it holds ConfigMap {name}/theirs" in str(result.result)
        assert f"delete ConfigMap {name}/web" in str(result.result)
    assert any_cluster.get(namespace) is not None
    assert (any_cluster.get(inside), any_cluster.get(theirs) is None) == (None, False)
    any_cluster.delete(theirs)
    if any_cluster.server:  # a real namespace ends by its controller, which is not there
        assert any_cluster.roll_back(resource).result == f"delete Namespace {name}"
        assert any_cluster.get(namespace) is None


def test_a_killed_run_is_completed(any_cluster: ClusterHost, space: str) -> None:
    """The effect is there, and the record says that it was only intended."""
    resource = manifest(any_cluster, config(space))
    any_cluster.set_up(resource)
    (change,) = any_cluster.change_log.changes()
    any_cluster.change_log.intend(
        host=change.host, component=change.component, key=change.key, summary=change.summary, before=change.before
    )

    any_cluster.set_up(resource)

    assert [change.state for change in any_cluster.change_log.changes()] == ["done"]


def test_objects_come_from_a_template(any_cluster: ClusterHost, space: str, tmp_path: Any) -> None:
    """With what the inventory says, and what the component adds."""
    folder = any_cluster.config.templates
    folder.mkdir(parents=True)
    text = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: web, namespace: {{ space }}}\n"
    text += "data: {host: {{ host }}}\n---\n"
    (folder / "web.yaml.j2").write_text(text)
    resource = Manifest("web", any_cluster.access, template="web.yaml.j2", values=lambda _: {"space": space})

    any_cluster.set_up(resource)

    assert (any_cluster.plain(config(space)) or {})["data"] == {"host": "tkc"}


def test_a_manifest_has_objects_or_a_template(any_cluster: ClusterHost) -> None:
    both: Any = {"objects": [config("x")], "template": "x"}
    alternatives: tuple[dict[str, Any], ...] = ({}, both)
    for given in alternatives:
        with pytest.raises(TypeError, match="manifest_web has objects or a template"):
            Manifest("web", any_cluster.access, **given)
