"""HelmRelease: each way in which it or one of its objects can be broken is red, repaired alone, and taken back."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from nornir.core.task import Result, Task

from tests.thinkube_nornir.resources.cluster_host import ClusterHost
from tests.thinkube_nornir.resources.fake_helm import HELM, FakeHelm
from thinkube_nornir.cluster import Object
from thinkube_nornir.cluster.objects import Reference
from thinkube_nornir.errors import Refused, ThinkubeError
from thinkube_nornir.outcome import Outcome, outcome_of
from thinkube_nornir.resources import ClusterAccess, HelmRelease, NotAsDeclared, from_setting

_numbers = itertools.count(1)
REPOSITORY = "https://charts.example.org"
GROUP = "tools.example.org"


def chart(number: int, keep: bool = True) -> Any:
    """What the chart renders: one object of each sort, a custom one and its kind among them."""
    kind = f"Spanner{number}"

    def render(values: Object) -> list[Object]:
        labels = {"app": "web"}
        container = {"name": "web", "image": "web:1", "resources": {"requests": {"cpu": "1000m"}}}
        pod = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        spec = {"replicas": values.get("replicas", 1), "selector": {"matchLabels": labels}, "template": pod}
        plural = kind.lower() + "s"
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        served = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        names = {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"}
        definition = {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [served]}
        notes = {"annotations": {"helm.sh/resource-policy": "keep"}} if keep else {}
        port = {"name": "http", "port": 80, "targetPort": 8080}
        return [
            _object("v1", "ServiceAccount", "web", metadata={"creationTimestamp": None}),
            _object("v1", "ConfigMap", "web", data={"at": "2026-01-01", "level": str(values.get("level", "info"))}),
            _object(
                "apiextensions.k8s.io/v1",
                "CustomResourceDefinition",
                f"{plural}.{GROUP}",
                metadata=notes,
                spec=definition,
            ),
            _object("v1", "Service", "web", spec={"selector": labels, "ports": [port]}),
            _object("apps/v1", "Deployment", "web", metadata={"labels": labels}, spec=spec),
        ]

    return render


def _object(version: str, kind: str, name: str, **parts: Any) -> Object:
    metadata = {"name": name, **parts.pop("metadata", {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **parts}


class Installed:
    """A release of its own in a namespace of its own."""

    def __init__(self, cluster: ClusterHost, *, keep: bool = True) -> None:
        number = next(_numbers)
        self.number, self.cluster, self.namespace = number, cluster, f"shop-{number}"
        cluster.create(_object("v1", "Namespace", self.namespace))
        self.helm = FakeHelm(cluster, "web", self.namespace, chart(number, keep))
        self.access = ClusterAccess(cluster.access.connect, cluster.access.exists, HELM)
        self.resource = self.release()

    def release(self, **how: Any) -> HelmRelease:
        how = {"version": "1.2.0", "values": {"replicas": 1}, **how}
        return HelmRelease("web", self.namespace, "web", repository=REPOSITORY, cluster=self.access, **how)

    def object(self, kind: str) -> Object:
        return next(obj for obj in self.helm._marked() if obj["kind"] == kind)

    def roll_out(self) -> None:
        """A real API has no controllers, and no nodes."""
        if self.cluster.server is None:
            live = self.cluster.get(self.object("Deployment")) or {}
            wanted = live["spec"]["replicas"]
            counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas", "readyReplicas"), wanted)
            status = counts | {"observedGeneration": live["metadata"]["generation"]}
            self.cluster.patch_status(live, {"status": status})
        self.cluster.await_condition(self.object("CustomResourceDefinition"), "Established")

    @property
    def objects(self) -> list[Object]:
        return [self.cluster.plain(obj) or {} for obj in self.helm._marked()]


@pytest.fixture
def web(any_cluster: ClusterHost) -> Installed:
    return Installed(any_cluster)


@pytest.fixture
def installed(web: Installed) -> Installed:
    web.helm.install("1.2.0", {"replicas": 1})
    web.roll_out()
    web.cluster.change_log.intend(
        host="tkc",
        component="test.component",
        key=f"helm:{web.namespace}/web",
        summary="install release web",
        before={"revision": None, "chart": None},
    )
    return web


def wrong(web: Installed, resource: HelmRelease | None = None) -> NotAsDeclared:
    error = web.cluster.check(resource or web.resource).exception
    assert isinstance(error, NotAsDeclared), error
    return error


def test_a_release_is_installed_seen_and_uninstalled(lab_cluster: ClusterHost) -> None:
    web = Installed(lab_cluster)

    assert "there is no release" in wrong(web).seen
    assert outcome_of(lab_cluster.set_up(web.resource)) is Outcome.CHANGED
    assert lab_cluster.check(web.resource).exception is None
    assert outcome_of(lab_cluster.set_up(web.resource)) is Outcome.UNCHANGED
    objects = web.helm._marked()
    rolled = lab_cluster.roll_back(web.resource)
    assert outcome_of(rolled) is Outcome.CHANGED
    assert [lab_cluster.get(obj) for obj in objects] == [None] * len(objects)
    assert outcome_of(lab_cluster.roll_back(web.resource)) is Outcome.UNCHANGED


def test_as_helm_made_it_nothing_differs(installed: Installed) -> None:
    """Also what the API writes in another form, or adds; only of that it is asked."""
    sent = installed.cluster.calls()

    assert installed.cluster.check(installed.resource).exception is None

    asked = 0 if installed.cluster.server else 1  # whether 1000m, which a real API writes as 1, is the same
    assert [call.method for call in sent].count("PATCH") == asked
    assert all(call.query.get("dryRun") == "All" for call in sent if call.method == "PATCH")


def test_objects_of_a_kind_are_read_together(installed: Installed) -> None:
    """A release has hundreds."""
    sent = installed.cluster.calls()

    installed.cluster.check(installed.resource)

    kinds = {obj["kind"] for obj in installed.helm._marked()}
    assert [call.method for call in sent].count("GET") == len(kinds) + 1  # and what helm stored


NOT_HELMS: Object = {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}
BREAKAGES: dict[str, tuple[str, Object, str]] = {
    "scaled to nothing": ("Deployment", {"spec": {"replicas": 0}}, "spec.replicas"),
    "another label": ("Deployment", {"metadata": {"labels": {"app": "x"}}}, "metadata.labels.app"),
    "other data": ("ConfigMap", {"data": {"level": "debug"}}, "data.level"),
    "a port removed": ("Service", {"spec": {"ports": [{"name": "other", "port": 81}]}}, "spec.ports"),
    "not helm's": (
        "ServiceAccount",
        {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}},
        "metadata.labels",
    ),
}


@pytest.mark.parametrize("way", BREAKAGES)
def test_a_changed_object_is_red_and_repaired_and_nothing_beside(installed: Installed, way: str) -> None:
    kind, change, path = BREAKAGES[way]
    before = installed.objects
    installed.cluster.patch(installed.object(kind), change)

    error = wrong(installed)

    assert error.what.startswith(f"{kind} {installed.namespace}/web has another {path}")
    if way == "scaled to nothing" and installed.cluster.server is None:
        return  # there is no controller that would start a pod again
    sent = installed.cluster.calls()
    repaired = installed.cluster.set_up(installed.resource)
    assert str(repaired.result).startswith(f"repair {kind} {installed.namespace}/web, which has another {path}")
    assert [c.method for c in sent if c.method != "GET" and "dryRun" not in c.query] == ["PATCH"]
    if way != "a port removed":  # it stays, as fields of others do
        assert installed.objects == before
    assert installed.cluster.check(installed.resource).exception is None


@pytest.mark.parametrize("kind", ["ServiceAccount", "ConfigMap", "Service", "CustomResourceDefinition", "Deployment"])
def test_a_deleted_object_is_red_and_made_again(lab_cluster: ClusterHost, kind: str) -> None:
    """With the marks by which helm knows its own."""
    web = Installed(lab_cluster)
    lab_cluster.set_up(web.resource)
    before = web.objects
    lab_cluster.delete(web.object(kind))

    assert "is missing" in wrong(web).what
    repaired = lab_cluster.set_up(web.resource)

    assert str(repaired.result).startswith(f"create {kind} ")
    assert web.objects == before
    assert lab_cluster.check(web.resource).exception is None


def test_what_is_repaired_stays_helms(installed: Installed) -> None:
    """The next upgrade changes it, and no field of it is ours."""
    config = installed.object("ConfigMap")
    installed.cluster.patch(config, {"data": {"level": "debug"}})
    installed.cluster.set_up(installed.resource)

    managers = [entry["manager"] for entry in (installed.cluster.get(config) or {})["metadata"]["managedFields"]]
    assert "thinkube-nornir" not in managers
    assert "helm" in managers
    assert [change.key for change in installed.cluster.change_log.changes()] == [f"helm:{installed.namespace}/web"]


def test_a_plan_says_what_would_be_repaired(installed: Installed) -> None:
    """And writes nothing."""
    installed.cluster.patch(installed.object("ConfigMap"), {"data": {"level": "debug"}})
    sent = installed.cluster.calls()

    result = installed.cluster.set_up(installed.resource, dry_run=True)

    assert outcome_of(result) is Outcome.PLANNED
    assert f"repair ConfigMap {installed.namespace}/web" in str(result.result)
    assert all(c.method == "GET" or c.query.get("dryRun") for c in sent)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"version": "1.3.0"}, "its chart is web-1.2.0, not web-1.3.0"),
        ({"values": {"replicas": 1, "level": "debug"}}, "+level: debug"),
    ],
)
def test_another_version_or_other_values_are_upgraded(installed: Installed, how: Any, says: str) -> None:
    """What was changed by hand meanwhile is repaired in the same step."""
    resource = installed.release(**how)
    installed.cluster.patch(
        installed.object("ServiceAccount"), {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}
    )

    error = wrong(installed, resource)
    assert (error.what, says in error.seen) == ("release web is not as declared", True)
    planned = installed.cluster.set_up(resource, dry_run=True)
    assert outcome_of(planned) is Outcome.PLANNED
    assert len(installed.helm.revisions) == 1
    assert outcome_of(installed.cluster.set_up(resource)) is Outcome.CHANGED
    installed.roll_out()
    assert installed.cluster.check(resource).exception is None


def test_without_a_cluster_a_plan_promises_the_release(any_cluster: ClusterHost) -> None:
    web = Installed(any_cluster)
    any_cluster.there = False

    result = any_cluster.set_up(web.resource, dry_run=True)

    assert (outcome_of(result), result.result) == (Outcome.PLANNED, "install release web: web 1.2.0")
    assert "+replicas: 1" in result.diff
    assert any_cluster.host.sent == []


def test_without_a_cluster_a_rollback_only_forgets(installed: Installed) -> None:
    installed.cluster.there = False

    result = installed.cluster.roll_back(installed.resource)

    assert result.result == "forget release web: its cluster has gone"
    assert installed.cluster.change_log.changes() == []
    assert [command for command in installed.cluster.host.sent if "helm" in command] == []


def test_a_release_that_was_there_gets_its_revision_back(lab_cluster: ClusterHost) -> None:
    web = Installed(lab_cluster)
    web.helm.install("1.1.0", {"level": "warning"})
    lab_cluster.set_up(web.resource)

    result = lab_cluster.roll_back(web.resource)

    assert result.result == "put release web back to web-1.1.0, revision 1"
    assert (web.helm.revisions[-1]["config"], lab_cluster.get(web.object("CustomResourceDefinition")) is None) == (
        {"level": "warning"},
        False,
    )


def test_a_release_of_others_is_left_alone(lab_cluster: ClusterHost) -> None:
    web = Installed(lab_cluster)
    web.helm.install("1.2.0", {"replicas": 1})

    assert outcome_of(lab_cluster.set_up(web.resource)) is Outcome.UNCHANGED
    assert lab_cluster.roll_back(web.resource).result == "release web is not managed"
    assert len(web.helm.revisions) == 1


@pytest.mark.parametrize("keep", [True, False])
def test_objects_of_others_are_not_lost_with_their_kind(lab_cluster: ClusterHost, keep: bool) -> None:
    """A definition that the chart keeps stays for them, and is said; else the rollback is refused before it begins."""
    web = Installed(lab_cluster, keep=keep)
    lab_cluster.set_up(web.resource)
    theirs = _object(f"{GROUP}/v1", f"Spanner{web.number}", "theirs", metadata={"namespace": "default"})
    lab_cluster.create(theirs)
    definition = web.object("CustomResourceDefinition")

    for how in ({"dry_run": True}, {}):
        result = lab_cluster.roll_back(web.resource, **how)
        if keep:
            assert f"was left: others have Spanner{web.number} default/theirs" in str(result.result)
            assert "uninstall release web" in str(result.result)
        else:
            assert isinstance(result.exception, Refused)
            assert f"Spanner{web.number} default/theirs" in result.exception.why
            assert len(web.helm.revisions) == 1

    assert lab_cluster.get(theirs) is not None
    assert lab_cluster.get(definition) is not None
    if not keep:
        lab_cluster.delete(theirs)
        assert outcome_of(lab_cluster.roll_back(web.resource)) is Outcome.CHANGED
        assert lab_cluster.get(definition) is None


def test_a_definition_that_was_there_before_stays(lab_cluster: ClusterHost) -> None:
    """It was kept when somebody else's release of that name was removed."""
    web = Installed(lab_cluster)
    lab_cluster.set_up(web.resource)
    for revision in web.helm.revisions:
        revision["info"]["first_deployed"] = "2999-01-01T00:00:00Z"
        lab_cluster.patch(web.helm._secret(revision), web.helm._secret(revision))
    definition = web.object("CustomResourceDefinition")

    lab_cluster.roll_back(web.resource)

    assert lab_cluster.get(definition) is not None


def test_what_its_pods_left_goes_with_a_release_of_ours(lab_cluster: ClusterHost) -> None:
    web = Installed(lab_cluster)
    lease = Reference("coordination.k8s.io/v1", "Lease", "web-leader", "kube-system")
    resource = web.release(leaves=(lease,))
    lab_cluster.set_up(resource)
    made = _object(lease.api_version, lease.kind, lease.name, metadata={"namespace": lease.namespace})
    lab_cluster.create(made)

    assert "delete Lease kube-system/web-leader" in str(lab_cluster.roll_back(resource).result)
    assert lab_cluster.get(made) is None


def test_values_come_from_a_template(lab_cluster: ClusterHost) -> None:
    folder = lab_cluster.config.templates
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "values.yaml.j2").write_text("level: {{ level }}\n")
    web = Installed(lab_cluster)
    lab_cluster.host.settings["web_version"] = "1.4.0"
    resource = web.release(
        values={}, template="values.yaml.j2", given={"level": "debug"}, version=from_setting("web_version")
    )

    lab_cluster.set_up(resource)

    assert web.helm.revisions[-1]["config"] == {"level": "debug"}
    assert web.helm.revisions[-1]["chart"]["metadata"]["version"] == "1.4.0"
    with pytest.raises(TypeError, match="release_web has values or a template"):
        web.release(template="values.yaml.j2")


def test_what_cannot_be_read_of_a_release_is_said(installed: Installed) -> None:
    installed.cluster.delete(installed.helm._secret(installed.helm.revisions[-1]))

    error = installed.cluster.check(installed.resource).exception

    assert isinstance(error, ThinkubeError)
    assert error.what == "what release web consists of cannot be read"
    assert "get manifest web" in error.fix


def test_the_release_is_read_with_the_other_facts_of_a_chain(lab_cluster: ClusterHost) -> None:
    """In one round trip; where there is no cluster yet, there is no helm to ask."""
    web = Installed(lab_cluster)
    counts: list[int] = []

    def count(task: Task) -> Result:
        counts.append(len(web.resource.facts(task)))
        return Result(task.host, result="counted")

    for there in (True, False):
        lab_cluster.there = there
        lab_cluster.host.apply(count)

    assert counts == [2, 0]
