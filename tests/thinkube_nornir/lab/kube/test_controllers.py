"""The lab's controllers, seen with the official client."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from tests.thinkube_nornir.lab.kube.conftest import Lab, pod, stream, use, workload
from thinkube_nornir.lab.kube import Controller, ImagePullError, Object, PodExit
from thinkube_nornir.lab.kube.objects import dig, is_true

RESTARTED = "kubectl.kubernetes.io/restartedAt"


def rolled_out(deployment: Object) -> bool:
    """What `kubectl rollout status` waits for."""
    status, wanted = deployment.get("status", {}), deployment["spec"]["replicas"]
    counts = (status.get("updatedReplicas"), status.get("replicas"), status.get("availableReplicas"))
    return status.get("observedGeneration") == deployment["metadata"]["generation"] and counts == (wanted,) * 3


def names(pods: Any) -> set[str]:
    return {pod.metadata.name for pod in pods.items}


def test_a_deployment_rolls_out(lab: Lab, api: client.ApiClient) -> None:
    """Its pods run on the nodes and its conditions say so."""
    apps = use(client.AppsV1Api, api)
    apps.create_namespaced_deployment("default", workload("Deployment", "web", replicas=3))

    for event in stream(apps.list_namespaced_deployment, "default", timeout_seconds=20):
        if rolled_out(event["raw_object"]):
            break

    found = lab.do(lambda: lab.api.get("apps/v1", "Deployment", "web", "default")) or {}
    pods = use(client.CoreV1Api, api).list_namespaced_pod("default", label_selector="app=web").items
    assert (is_true(found, "Available"), is_true(found, "Progressing")) == (True, True)
    assert {pod.spec.node_name for pod in pods} == {"n1", "n2"}
    assert all(pod.status.pod_ip.startswith("10.1.") for pod in pods)


def test_a_restart_replaces_the_pods_and_stays_available(lab: Lab, api: client.ApiClient) -> None:
    """The restart annotation makes a new ReplicaSet; fewer than allowed are never available meanwhile."""
    apps, core = use(client.AppsV1Api, api), use(client.CoreV1Api, api)
    apps.create_namespaced_deployment("default", workload("Deployment", "web", replicas=4))
    lab.settle()
    before = names(core.list_namespaced_pod("default"))
    start = apps.list_namespaced_deployment("default").metadata.resource_version
    restart = {"spec": {"template": {"metadata": {"annotations": {RESTARTED: "now"}}}}}
    apps.patch_namespaced_deployment("web", "default", restart)
    lab.settle()

    steps = []
    for event in stream(apps.list_namespaced_deployment, "default", resource_version=start, timeout_seconds=20):
        steps.append(event["raw_object"])
        if rolled_out(steps[-1]):
            break

    assert min(step["status"]["availableReplicas"] for step in steps) >= 3
    assert not all(rolled_out(step) for step in steps)
    assert not before & names(core.list_namespaced_pod("default"))
    sets = apps.list_namespaced_replica_set("default").items
    assert sorted(one.spec.replicas for one in sets) == [0, 4]
    assert steps[-1]["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"


def test_a_deployment_scales_by_its_subresource(lab: Lab, api: client.ApiClient) -> None:
    """The Scale is read and written; the pods follow."""
    apps = use(client.AppsV1Api, api)
    apps.create_namespaced_deployment("default", workload("Deployment", "web", replicas=1))
    apps.patch_namespaced_deployment_scale("web", "default", {"spec": {"replicas": 3}})
    lab.settle()

    scale = apps.read_namespaced_deployment_scale("web", "default")

    assert (scale.spec.replicas, scale.status.replicas) == (3, 3)


def test_a_deployment_that_cannot_pull_is_not_available(lab: Lab, api: client.ApiClient) -> None:
    """The pod waits with the kubelet's reason, and the rollout does not end."""

    async def no_image(_pod: Object, _node: str) -> PodExit | None:
        raise ImagePullError("no such host")

    lab.do(lambda: setattr(lab.api._kubelet, "_runtime", no_image))
    use(client.AppsV1Api, api).create_namespaced_deployment("default", workload("Deployment", "web", replicas=1))
    lab.settle()

    found = lab.do(lambda: lab.api.get("apps/v1", "Deployment", "web", "default")) or {}
    waiting = (
        use(client.CoreV1Api, api).list_namespaced_pod("default").items[0].status.container_statuses[0].state.waiting
    )
    told = 'Back-off pulling image "registry/app:1": ErrImagePull: no such host'
    assert (waiting.reason, waiting.message) == ("ImagePullBackOff", told)
    assert (is_true(found, "Available"), rolled_out(found)) == (False, False)


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (3, "Failed")])
def test_a_pod_runs_to_its_end(lab: Lab, api: client.ApiClient, code: int, phase: str) -> None:
    """Phase, exit code and log are those of the runtime."""
    seen: list[tuple[str, str]] = []

    async def run(pod: Object, node: str) -> PodExit | None:
        seen.append((pod["metadata"]["name"], node))
        return PodExit(code, b"one\ntwo\nthree\n")

    lab.do(lambda: setattr(lab.api._kubelet, "_runtime", run))
    core = use(client.CoreV1Api, api)
    core.create_namespaced_pod("default", pod("job", nodeName="n2"))
    lab.settle()

    ended = core.read_namespaced_pod("job", "default")
    assert seen == [("job", "n2")]
    assert ended.status.phase == phase
    assert ended.status.container_statuses[0].state.terminated.exit_code == code
    assert core.read_namespaced_pod_log("job", "default", tail_lines=2) == "two\nthree\n"


def test_a_followed_log_ends_with_the_pod(lab: Lab, api: client.ApiClient) -> None:
    """A pod that keeps running has an empty log; its followers are let go when it is deleted."""
    core = use(client.CoreV1Api, api)
    core.create_namespaced_pod("default", pod("job"))
    lab.settle()
    log = core.read_namespaced_pod_log("job", "default", follow=True, _preload_content=False)
    core.delete_namespaced_pod("job", "default")

    assert log.read() == b""


def test_a_log_before_the_start_is_refused(lab: Lab, api: client.ApiClient) -> None:
    """A pod that has not started says what it waits for."""
    core = use(client.CoreV1Api, api)
    core.create_namespaced_pod("default", pod("nowhere", nodeSelector={"no": "where"}))
    core.create_namespaced_pod("default", pod("lacking", volumes=[{"name": "v", "configMap": {"name": "absent"}}]))
    lab.settle()

    with pytest.raises(ApiException, match="pod nowhere does not have a host assigned"):
        core.read_namespaced_pod_log("nowhere", "default")
    with pytest.raises(ApiException, match="is waiting to start: ContainerCreating"):
        core.read_namespaced_pod_log("lacking", "default")


def test_a_job_succeeds_and_retries(lab: Lab, api: client.ApiClient) -> None:
    """A failed pod is followed by another, until one succeeds."""
    codes = iter([1, 0])

    async def run(_pod: Object, _node: str) -> PodExit | None:
        return PodExit(next(codes), b"")

    lab.do(lambda: setattr(lab.api._kubelet, "_runtime", run))
    batch = use(client.BatchV1Api, api)
    batch.create_namespaced_job("default", workload("Job", "once", restartPolicy="Never"))
    lab.settle()

    status = batch.read_namespaced_job("once", "default").status
    assert (status.succeeded, status.failed) == (1, 1)
    assert [condition.type for condition in status.conditions] == ["Complete"]


def test_a_daemon_set_follows_the_nodes(lab: Lab, api: client.ApiClient) -> None:
    """A pod for each node that matches: it comes and goes with the node and its labels."""
    apps, core = use(client.AppsV1Api, api), use(client.CoreV1Api, api)
    apps.create_namespaced_daemon_set("default", workload("DaemonSet", "agent", nodeSelector={"gpu": "yes"}))

    def on() -> list[str]:
        lab.settle()
        status = apps.read_namespaced_daemon_set("agent", "default").status
        nodes = sorted(pod.spec.node_name for pod in core.list_namespaced_pod("default").items)
        assert (status.desired_number_scheduled, status.number_ready) == (len(nodes), len(nodes))
        return nodes

    assert on() == []
    for node in ("n1", "n2"):
        core.patch_node(node, {"metadata": {"labels": {"gpu": "yes"}}})
    assert on() == ["n1", "n2"]
    lab.do(lambda: lab.api.add_node("n3", address="192.0.2.3", labels={"gpu": "yes"}))
    assert on() == ["n1", "n2", "n3"]
    core.patch_node("n1", {"metadata": {"labels": {"gpu": None}}})
    lab.do(lambda: lab.api.remove_node("n3"))
    assert on() == ["n2"]


def test_a_daemon_set_replaces_its_pods_when_its_template_changes(lab: Lab, api: client.ApiClient) -> None:
    """All pods are new, and all nodes have one."""
    apps, core = use(client.AppsV1Api, api), use(client.CoreV1Api, api)
    apps.create_namespaced_daemon_set("default", workload("DaemonSet", "agent"))
    lab.settle()
    before = names(core.list_namespaced_pod("default"))

    restart = {"spec": {"template": {"metadata": {"annotations": {RESTARTED: "now"}}}}}
    apps.patch_namespaced_daemon_set("agent", "default", restart)
    lab.settle()

    status = apps.read_namespaced_daemon_set("agent", "default").status
    assert not before & names(core.list_namespaced_pod("default"))
    assert (status.updated_number_scheduled, status.number_ready) == (2, 2)


def test_pods_of_a_node_that_is_not_ready_are_not_ready(lab: Lab, api: client.ApiClient) -> None:
    """They are ready again with the node; while it is away nothing is scheduled there."""
    core = use(client.CoreV1Api, api)
    core.create_namespaced_pod("default", pod("old", nodeName="n1"))
    lab.settle()

    def ready() -> bool:
        lab.settle()
        found = lab.do(lambda: lab.api.get("v1", "Pod", "old", "default"))
        return is_true(found or {}, "Ready")

    assert ready()
    lab.do(lambda: lab.api.set_node_ready("n1", False, "KubeletDown"))
    assert not ready()
    core.create_namespaced_pod("default", pod("new"))
    lab.settle()
    assert core.read_namespaced_pod("new", "default").spec.node_name == "n2"
    lab.do(lambda: lab.api.set_node_ready("n1", True))
    assert ready()


def test_a_pod_on_a_dead_node_waits_for_its_kubelet(lab: Lab, api: client.ApiClient) -> None:
    """A deleted pod stays Terminating until its node is back, or it is deleted without grace."""
    core = use(client.CoreV1Api, api)
    for name in ("waits", "forced"):
        core.create_namespaced_pod("default", pod(name, nodeName="n1"))
    lab.settle()
    lab.do(lambda: lab.api.set_node_ready("n1", False))
    lab.settle()
    core.delete_namespaced_pod("waits", "default")
    core.delete_namespaced_pod("forced", "default", grace_period_seconds=0)
    lab.settle()
    assert names(core.list_namespaced_pod("default")) == {"waits"}

    lab.do(lambda: lab.api.set_node_ready("n1", True))
    lab.settle()

    assert names(core.list_namespaced_pod("default")) == set()


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"nodeSelector": {"no": "where"}}, "didn't match Pod's node affinity/selector"),
        (
            {"containers": [{"name": "a", "image": "b", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]},
            "Insufficient nvidia.com/gpu",
        ),
    ],
)
def test_a_pod_that_fits_nowhere_says_why(lab: Lab, api: client.ApiClient, spec: Object, why: str) -> None:
    """It stays Pending with the reasons of all nodes."""
    core = use(client.CoreV1Api, api)
    core.create_namespaced_pod("default", pod("lost", **spec))
    lab.settle()

    status = core.read_namespaced_pod("lost", "default").status
    assert (status.phase, status.conditions[0].reason) == ("Pending", "Unschedulable")
    assert status.conditions[0].message == f"0/2 nodes are available: 2 {'node(s) ' if 'match' in why else ''}{why}."


def test_a_pod_waits_for_a_free_card(lab: Lab, api: client.ApiClient) -> None:
    """Two pods that want one card run one after the other."""
    core = use(client.CoreV1Api, api)
    core.patch_node_status("n1", {"status": {"allocatable": {"nvidia.com/gpu": "1"}}})
    wants = [{"name": "a", "image": "b", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]
    for name in ("first", "second"):
        core.create_namespaced_pod("default", pod(name, containers=wants))
    lab.settle()
    waiting = core.read_namespaced_pod("second", "default").spec.node_name

    core.delete_namespaced_pod("first", "default")
    lab.settle()

    assert (waiting, core.read_namespaced_pod("second", "default").spec.node_name) == (None, "n1")


def test_cordoned_and_tainted_nodes_get_no_pods(lab: Lab, api: client.ApiClient) -> None:
    """A toleration opens a tainted node; nothing a cordoned one."""
    core = use(client.CoreV1Api, api)
    core.patch_node("n1", {"spec": {"unschedulable": True}})
    core.patch_node("n2", {"spec": {"taints": [{"key": "only", "value": "x", "effect": "NoSchedule"}]}})
    core.create_namespaced_pod("default", pod("plain"))
    core.create_namespaced_pod("default", pod("tolerant", tolerations=[{"key": "only", "value": "x"}]))
    lab.settle()

    placed = {p.metadata.name: p.spec.node_name for p in core.list_namespaced_pod("default").items}
    message = core.read_namespaced_pod("plain", "default").status.conditions[0].message
    assert placed == {"plain": None, "tolerant": "n2"}
    taint = "1 node(s) had untolerated taint {only: x}"
    assert message == f"0/2 nodes are available: {taint}, 1 node(s) were unschedulable."


def test_a_claim_waits_for_its_first_consumer(lab: Lab, api: client.ApiClient) -> None:
    """With WaitForFirstConsumer it binds when a pod uses it, stays while used, and its volume goes with it."""
    core = use(client.CoreV1Api, api)
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    storage = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "local", "annotations": default},
        "provisioner": "lab/x",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    lab.do(lambda: lab.api.apply(storage))
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    core.create_namespaced_persistent_volume_claim("default", {"metadata": {"name": "data"}, "spec": spec})
    lab.settle()
    assert core.read_namespaced_persistent_volume_claim("data", "default").status.phase == "Pending"

    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
    core.create_namespaced_pod("default", pod("early", volumes=volumes, nodeName="n1"))
    lab.settle()
    assert core.read_namespaced_pod("early", "default").status.phase == "Pending"
    core.delete_namespaced_pod("early", "default")
    core.create_namespaced_pod("default", pod("user", volumes=volumes))
    lab.settle()
    assert core.read_namespaced_persistent_volume_claim("data", "default").status.phase == "Bound"
    assert core.read_namespaced_pod("user", "default").status.phase == "Running"

    core.delete_namespaced_persistent_volume_claim("data", "default")
    lab.settle()
    assert core.read_namespaced_persistent_volume_claim("data", "default").metadata.deletion_timestamp
    core.delete_namespaced_pod("user", "default")
    lab.settle()
    assert core.list_namespaced_persistent_volume_claim("default").items == []
    assert core.list_persistent_volume().items == []


def test_a_service_lists_its_ready_pods(lab: Lab, api: client.ApiClient) -> None:
    """Endpoints and EndpointSlice have the ready pods' addresses and the target port by its name."""
    core = use(client.CoreV1Api, api)
    ports = [{"containerPort": 8080, "name": "web"}]
    body = workload("Deployment", "web", replicas=2, containers=[{"name": "a", "image": "b", "ports": ports}])
    use(client.AppsV1Api, api).create_namespaced_deployment("default", body)
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "web"}]}
    core.create_namespaced_service("default", {"metadata": {"name": "web"}, "spec": spec})
    lab.settle()

    wanted = {pod.status.pod_ip for pod in core.list_namespaced_pod("default").items}
    subset = lab.do(lambda: lab.api.get("v1", "Endpoints", "web", "default"))["subsets"][0]  # type: ignore[index]
    slices = use(client.DiscoveryV1Api, api).list_namespaced_endpoint_slice("default").items
    assert ({a["ip"] for a in subset["addresses"]}, subset["ports"][0]["port"]) == (wanted, 8080)
    assert {address for endpoint in slices[0].endpoints for address in endpoint.addresses} == wanted


def test_a_deleted_namespace_is_emptied_first(lab: Lab, api: client.ApiClient) -> None:
    """It waits for finalizers, says which, lets nothing new in, and goes when they do."""
    core = use(client.CoreV1Api, api)
    core.create_namespace({"metadata": {"name": "temp"}})
    core.create_namespaced_config_map("temp", {"metadata": {"name": "free"}})
    core.create_namespaced_config_map("temp", {"metadata": {"name": "held", "finalizers": ["example.com/hold"]}})
    core.delete_namespace("temp")
    lab.settle()

    stuck = core.read_namespace("temp")
    assert stuck.status.phase == "Terminating"
    assert any("example.com/hold" in condition.message for condition in stuck.status.conditions)
    assert [m.metadata.name for m in core.list_namespaced_config_map("temp").items] == ["held"]
    with pytest.raises(ApiException, match="being terminated"):
        core.create_namespaced_config_map("temp", {"metadata": {"name": "late"}})
    core.patch_namespaced_config_map("held", "temp", {"metadata": {"finalizers": None}})
    lab.settle()
    with pytest.raises(ApiException, match='namespaces \\\\"temp\\\\" not found'):
        core.read_namespace("temp")


@pytest.mark.parametrize(("policy", "left"), [("Background", 0), ("Foreground", 0), ("Orphan", 2)])
def test_dependents_go_with_their_owner(lab: Lab, api: client.ApiClient, policy: str, left: int) -> None:
    """A Deployment's pods go after it or before it, or stay when orphaned."""
    apps, core = use(client.AppsV1Api, api), use(client.CoreV1Api, api)
    apps.create_namespaced_deployment("default", workload("Deployment", "web", replicas=2))
    lab.settle()
    apps.delete_namespaced_deployment("web", "default", propagation_policy=policy)
    lab.settle()

    assert apps.list_namespaced_deployment("default").items == []
    assert len(core.list_namespaced_pod("default").items) == left


def test_a_crd_takes_its_objects_along(lab: Lab, api: client.ApiClient) -> None:
    """After the CRD is deleted its kind is no longer served, and its objects are gone."""
    lab.do(lambda: lab.api.apply(WIDGETS))
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}}
    lab.do(lambda: lab.api.apply(widget))
    use(client.ApiextensionsV1Api, api).delete_custom_resource_definition("widgets.example.com")
    lab.settle()

    with pytest.raises(ApiException) as caught:
        use(client.CustomObjectsApi, api).list_cluster_custom_object("example.com", "v1", "widgets")
    assert caught.value.status == 404
    lab.do(lambda: lab.api.apply(WIDGETS))
    assert lab.do(lambda: lab.api.list("example.com/v1", "Widget")) == []


def test_an_eviction_respects_the_disruption_budget(lab: Lab, api: client.ApiClient) -> None:
    """429 while the budget is used up; without it the pod goes."""
    core = use(client.CoreV1Api, api)
    use(client.AppsV1Api, api).create_namespaced_deployment("default", workload("Deployment", "web", replicas=1))
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}
    policy = use(client.PolicyV1Api, api)
    policy.create_namespaced_pod_disruption_budget("default", {"metadata": {"name": "web"}, "spec": spec})
    lab.settle()
    name = next(iter(names(core.list_namespaced_pod("default"))))
    eviction = {"metadata": {"name": name, "namespace": "default"}}

    with pytest.raises(ApiException, match="disruption budget") as caught:
        core.create_namespaced_pod_eviction(name, "default", eviction)
    policy.delete_namespaced_pod_disruption_budget("web", "default")
    core.create_namespaced_pod_eviction(name, "default", eviction)
    lab.settle()

    assert caught.value.status == 429
    assert name not in names(core.list_namespaced_pod("default"))


class Balancer(Controller):
    """Gives every service of type LoadBalancer an address."""

    kind = ("v1", "Service")

    def reconcile(self, obj: Object) -> None:
        if obj["spec"]["type"] == "LoadBalancer":
            self.cluster.set_status(obj, loadBalancer={"ingress": [{"ip": "192.0.2.200"}]})


def test_a_controller_can_be_added(lab: Lab, api: client.ApiClient) -> None:
    """It reconciles what is there already and what comes."""
    core = use(client.CoreV1Api, api)
    spec = {"type": "LoadBalancer", "ports": [{"port": 80}]}
    core.create_namespaced_service("default", {"metadata": {"name": "before"}, "spec": spec})
    lab.do(lambda: lab.api.add_controller(Balancer()))
    core.create_namespaced_service("default", {"metadata": {"name": "after"}, "spec": spec})
    lab.settle()

    for name in ("before", "after"):
        found = lab.do(partial(lab.api.get, "v1", "Service", name, "default"))
        assert dig(found, "status", "loadBalancer", "ingress") == [{"ip": "192.0.2.200"}]


def test_a_snapshot_forgets_what_changes_by_itself(lab: Lab, api: client.ApiClient) -> None:
    """Set-up and removal leave the same snapshot, also when pods were replaced meanwhile; a change shows."""
    apps, core = use(client.AppsV1Api, api), use(client.CoreV1Api, api)
    apps.create_namespaced_deployment("default", workload("Deployment", "web", replicas=1))
    core.create_namespaced_config_map("default", {"metadata": {"name": "kept"}, "data": {"a": "1"}})
    lab.settle()
    before = lab.do(lab.api.snapshot)

    core.create_namespaced_config_map("default", {"metadata": {"name": "extra"}})
    core.patch_namespaced_config_map("kept", "default", {"data": {"a": "2"}})
    during = lab.do(lab.api.snapshot)
    core.delete_namespaced_config_map("extra", "default")
    core.patch_namespaced_config_map("kept", "default", {"data": {"a": "1"}})
    for name in names(core.list_namespaced_pod("default")):
        core.delete_namespaced_pod(name, "default")
    lab.settle()

    assert lab.do(lab.api.snapshot) == before
    assert {key for key in during if during[key] != before.get(key)} == {
        "v1/ConfigMap/default/extra",
        "v1/ConfigMap/default/kept",
    }


WIDGETS: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}
