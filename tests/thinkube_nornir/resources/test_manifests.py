"""Manifest: each way in which its objects can be broken is red, repaired alone, and taken back."""

from __future__ import annotations

import base64
import itertools
from typing import Any

import pytest
from nornir.core.task import Task

from tests.thinkube_nornir.resources.cluster_host import ClusterHost
from thinkube_nornir.cluster import Object, apply
from thinkube_nornir.cluster.objects import Reference
from thinkube_nornir.errors import ClusterError, DeadlinePassed, Refused
from thinkube_nornir.outcome import Outcome, outcome_of
from thinkube_nornir.resources import Manifest, NotAsDeclared, NotKnown

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


def deployment(space: str, **spec: Any) -> Object:
    labels = {"app": "web"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}}
    return _object(
        "apps/v1", "Deployment", "web", space, spec={"selector": {"matchLabels": labels}, "template": pod, **spec}
    )


@pytest.fixture
def lab_space(lab_cluster: ClusterHost) -> str:
    name = f"lab-space-{next(_numbers)}"
    lab_cluster.create(_object("v1", "Namespace", name))
    return name


def test_a_workload_is_rolled_out_before_set_up_ends(lab_cluster: ClusterHost, lab_space: str) -> None:
    resource = manifest(lab_cluster, deployment(lab_space))

    lab_cluster.set_up(resource)

    assert lab_cluster.check(resource).exception is None


@pytest.mark.parametrize("spec", [{}, {"replicas": 1}])
def test_a_workload_that_was_scaled_to_nothing_is_started_again(
    lab_cluster: ClusterHost, lab_space: str, spec: Any
) -> None:
    """Also where the manifest leaves the number to others, who may say any but none."""
    resource = manifest(lab_cluster, deployment(lab_space, **spec))
    lab_cluster.set_up(resource)
    lab_cluster.patch(deployment(lab_space), {"spec": {"replicas": 0}})

    error = wrong(lab_cluster, resource)
    assert (error.expected, error.seen) == (
        f"Deployment {lab_space}/web: spec.replicas 1",
        f"Deployment {lab_space}/web: spec.replicas 0",
    )
    lab_cluster.set_up(resource)

    assert (lab_cluster.plain(deployment(lab_space)) or {})["spec"]["replicas"] == 1
    assert lab_cluster.check(resource).exception is None


def test_the_number_of_replicas_is_left_to_others_where_it_is_not_declared(
    lab_cluster: ClusterHost, lab_space: str
) -> None:
    resource = manifest(lab_cluster, deployment(lab_space))
    lab_cluster.set_up(resource)
    lab_cluster.patch(deployment(lab_space), {"spec": {"replicas": 3}})

    assert lab_cluster.check(resource).exception is None


def test_a_workload_that_does_not_run_says_why(lab_cluster: ClusterHost, lab_space: str) -> None:
    """In set-up, which waits for it, and in verify, whose fix is no set-up: it is as declared."""
    broken = deployment(lab_space)
    broken["spec"]["template"]["spec"]["nodeSelector"] = {"there": "is-none"}
    resource = manifest(lab_cluster, broken, timeout=0.5)

    assert isinstance(lab_cluster.set_up(resource).exception, DeadlinePassed)
    planned = lab_cluster.set_up(resource, dry_run=True)
    error = wrong(lab_cluster, resource)

    assert (outcome_of(planned), planned.result) == (Outcome.SKIPPED, "a dry run does not wait for web")
    assert error.what == f"Deployment {lab_space}/web is not rolled out"
    assert error.fix == f"see why: `kubectl -n {lab_space} get pods,events`"


def definition(number: int) -> Object:
    plural, kind = f"wrenches{number}", f"Wrench{number}"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    }
    names = {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"}
    spec = {"group": "tools.example.org", "scope": "Namespaced", "names": names, "versions": [version]}
    return _object("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"{plural}.tools.example.org", spec=spec)


def test_a_kind_is_established_before_its_objects_are_made(any_cluster: ClusterHost, space: str) -> None:
    """In one manifest: the API serves the kind a moment after it took the definition."""
    crd = definition(next(_numbers))
    wrench = _object("tools.example.org/v1", crd["spec"]["names"]["kind"], "mine", space, spec={"size": 12})
    resource = manifest(any_cluster, crd, wrench)

    assert any_cluster.set_up(resource).exception is None
    assert any_cluster.check(resource).exception is None


def test_objects_have_to_be_ready_where_that_is_declared(any_cluster: ClusterHost, space: str) -> None:
    """For what is asked now: a condition of an older generation says nothing."""
    crd = definition(next(_numbers))
    wrench = _object("tools.example.org/v1", crd["spec"]["names"]["kind"], "mine", space, spec={"size": 12})
    any_cluster.set_up(manifest(any_cluster, crd, label="kind"))
    resource = manifest(any_cluster, wrench, ready="Ready", fix="sharpen it", timeout=0.5)

    failed = any_cluster.set_up(resource).exception
    assert isinstance(failed, DeadlinePassed)
    assert failed.fix == "sharpen it"
    ref = f"{wrench['kind']} {space}/mine"
    for generation, status, green in ((1, "False", False), (0, "True", False), (1, "True", True)):
        condition = {
            "type": "Ready",
            "status": status,
            "reason": "Dull",
            "message": "no edge",
            "observedGeneration": generation,
        }
        any_cluster.patch_status(wrench, {"status": {"conditions": [condition]}})
        if green:
            assert any_cluster.check(resource).exception is None
        else:
            error = wrong(any_cluster, resource)
            assert (error.what, error.fix) == (f"{ref} is not ready", "sharpen it")
            assert f"Ready={status} Dull: no edge" in error.seen


def job(space: str) -> Object:
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}]}
    return _object("batch/v1", "Job", "once", space, spec={"backoffLimit": 0, "template": {"spec": pod}})


def ended(cluster: ClusterHost, space: str, kind: str) -> None:
    condition = {"type": kind, "status": "True", "reason": "Said", "message": "enough"}
    status: Object = {"conditions": [condition], "startTime": "2026-01-01T00:00:00Z"}
    before = {"type": "FailureTarget" if kind == "Failed" else "SuccessCriteriaMet", "status": "True"}
    cluster.patch_status(job(space), {"status": {**status, "conditions": [before]}})
    status |= {"completionTime": "2026-01-01T00:00:01Z"} if kind == "Complete" else {}
    status["conditions"] = [before, condition]
    cluster.patch_status(job(space), {"status": status})


def test_a_job_that_failed_is_red_and_made_anew(lab_cluster: ClusterHost, lab_space: str) -> None:
    resource = manifest(lab_cluster, job(lab_space), timeout=0.5)
    lab_cluster.set_up(resource)
    first = (lab_cluster.get(job(lab_space)) or {})["metadata"]["uid"]
    ended(lab_cluster, lab_space, "Failed")

    error = wrong(lab_cluster, resource)
    assert error.what == f"Job {lab_space}/once failed"
    assert "Failed=True Said: enough" in error.seen
    assert error.fix.startswith("run the set-up")
    lab_cluster.set_up(resource)
    assert (lab_cluster.get(job(lab_space)) or {})["metadata"]["uid"] != first
    ended(lab_cluster, lab_space, "Complete")
    assert lab_cluster.check(resource).exception is None
    assert outcome_of(lab_cluster.set_up(resource)) is Outcome.UNCHANGED


@pytest.mark.parametrize(
    ("status", "green"),
    [
        ({}, True),
        ({"lastScheduleTime": "2026-01-02T00:00:00Z"}, False),
        ({"lastScheduleTime": "2026-01-02T00:00:00Z", "lastSuccessfulTime": "2026-01-01T00:00:09Z"}, False),
        ({"lastScheduleTime": "2026-01-02T00:00:00Z", "lastSuccessfulTime": "2026-01-02T00:00:09Z"}, True),
        ({"lastScheduleTime": "2026-01-02T00:00:00Z", "active": [{"kind": "Job", "name": "x"}]}, True),
    ],
)
def test_the_last_run_of_a_cron_job_must_be_a_success(
    any_cluster: ClusterHost, space: str, status: Any, green: bool
) -> None:
    """Or go on now; set-up does not wait for the next one."""
    resource = manifest(any_cluster, cron_job(space))
    any_cluster.set_up(resource)
    any_cluster.patch_status(cron_job(space), {"status": status})

    if green:
        assert any_cluster.check(resource).exception is None
        return
    error = wrong(any_cluster, resource)
    assert error.what == f"CronJob {space}/nightly has not run well"
    assert f"kubectl -n {space} create job --from=cronjob/nightly nightly-by-hand" in error.fix
    assert outcome_of(any_cluster.set_up(resource)) is Outcome.UNCHANGED


def test_what_a_controller_left_goes_with_an_object_of_ours(any_cluster: ClusterHost, space: str) -> None:
    """And stays with one that was there before."""
    made, there = config(space, "made"), config(space, "there")
    left = {name: config(space, f"of-{name}") for name in ("made", "there")}
    any_cluster.create(there)
    place = {name: Reference("v1", "ConfigMap", name, space) for name in ("made", "there", "of-made", "of-there")}
    leaves = {place["made"]: place["of-made"], place["there"]: place["of-there"]}
    resource = manifest(any_cluster, made, config(space, "there", more="x"), leaves=lambda _: leaves)
    any_cluster.set_up(resource)
    for obj in left.values():
        any_cluster.create(obj)

    planned, rolled = any_cluster.roll_back(resource, dry_run=True), any_cluster.roll_back(resource)

    for result in (planned, rolled):
        assert f"delete ConfigMap {space}/made; delete ConfigMap {space}/of-made" in str(result.result)
    assert any_cluster.get(left["made"]) is None
    assert any_cluster.get(left["there"]) is not None
    assert any_cluster.get(there) is not None
    assert any_cluster.change_log.changes() == []


def test_an_object_that_is_being_deleted_is_red(any_cluster: ClusterHost, space: str) -> None:
    """It is made anew when it has gone."""
    held = config(space)
    resource = manifest(any_cluster, held)
    any_cluster.set_up(resource)
    any_cluster.patch(held, {"metadata": {"finalizers": ["example.org/hold"]}})
    any_cluster.delete(held)

    assert wrong(any_cluster, resource).what == f"ConfigMap {space}/web is being deleted"
    planned = any_cluster.set_up(resource, dry_run=True)
    assert planned.result == f"create ConfigMap {space}/web when its deletion is over"
    any_cluster.patch(held, {"metadata": {"finalizers": None}})
    any_cluster.set_up(resource)
    assert any_cluster.check(resource).exception is None


def test_what_cannot_be_known_yet_is_skipped_in_a_plan(any_cluster: ClusterHost) -> None:
    """And is an error in a set-up; a rollback has nothing to do."""

    def objects(_: Task) -> list[Object]:
        raise NotKnown("there is nothing to copy", fix="wait")

    resource = Manifest("copies", any_cluster.access, objects=objects)

    planned = any_cluster.set_up(resource, dry_run=True)

    assert (outcome_of(planned), planned.result) == (Outcome.SKIPPED, "not known yet: there is nothing to copy")
    assert isinstance(any_cluster.set_up(resource).exception, NotKnown)
    assert outcome_of(any_cluster.roll_back(resource)) is Outcome.UNCHANGED


def test_an_object_that_cannot_become_as_declared_is_red(any_cluster: ClusterHost, space: str) -> None:
    """The API says which field it is; set-up's error has it, too."""
    immutable = {**config(space), "immutable": True}
    any_cluster.create(immutable)
    resource = manifest(any_cluster, config(space, greeting="other"))

    error = wrong(any_cluster, resource)

    assert error.what == f"ConfigMap {space}/web is another one, which cannot become as declared"
    assert "immutable" in error.seen
    assert isinstance(any_cluster.set_up(resource).exception, ClusterError)


def test_of_many_differences_some_are_shown(any_cluster: ClusterHost, space: str) -> None:
    """Long values are cut."""
    many = {f"key{number}": "x" * 300 for number in range(9)}
    resource = manifest(any_cluster, config(space, **many))
    any_cluster.set_up(resource)
    any_cluster.patch(config(space), {"data": dict.fromkeys(many, "y")})

    error = wrong(any_cluster, resource)

    assert error.what.endswith("has another data.key0, and 8 more differences")
    assert error.seen.count("data.key") == 6
    assert error.seen.endswith(", and 3 more")
    assert f'"{"x" * 119}...' in error.expected


def test_records_of_older_runs_are_found_by_what_is_declared(any_cluster: ClusterHost, space: str) -> None:
    """They do not name their resource."""
    any_cluster.use(lambda kube: apply(kube, config(space)))
    any_cluster.use(lambda kube: apply(kube, config(space, "other")))

    result = any_cluster.roll_back(manifest(any_cluster, config(space)))

    assert result.result == f"delete ConfigMap {space}/web"
    assert any_cluster.get(config(space, "other")) is not None
