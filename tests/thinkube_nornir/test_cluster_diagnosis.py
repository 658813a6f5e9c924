"""What errors quote of pods that do not run: reasons, events, last log lines; on the lab's API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster_client import ClusterClient
from tests.kube_servers import LabServer
from thinkube_nornir.cluster import apply, probe_pod, rolled_out, run_pod, seen
from thinkube_nornir.cluster.diagnosis import troubles
from thinkube_nornir.errors import DeadlinePassed
from thinkube_nornir.lab.kube import ImagePullError, PodExit
from thinkube_nornir.secret import Secret

HIDDEN = Secret("a-token-that-nobody-sees")


async def runtime(pod: dict[str, Any], _: str) -> PodExit | None:
    match pod["spec"]["containers"][0]["image"]:
        case "absent":
            raise ImagePullError("manifest unknown")
        case "crashes":
            lines = "".join(f"line {number}\n" for number in range(100))
            return PodExit(3, f"{lines}token {HIDDEN.reveal()}\n".encode())
        case "hungry":
            return PodExit(137, b"", "OOMKilled")
        case "broken":
            raise RuntimeError('exec: "serve": executable file not found')
    return None


@pytest.fixture
def lab() -> Iterator[LabServer]:
    server = LabServer(runtime)
    server.do(lambda: server.api.add_node("n1", address="192.0.2.11"))
    yield server
    server.stop()


@pytest.fixture
def client(lab: LabServer, tmp_path: Path) -> Iterator[ClusterClient]:
    client = ClusterClient(tmp_path, lab.kubeconfig, command=20)
    yield client
    client.close()


def workload(kind: str = "Deployment", **spec: Any) -> dict[str, Any]:
    labels = {"app": "web"}
    body = {"containers": [{"name": "main", "image": "fine"}], **spec}
    template = {"metadata": {"labels": labels}, "spec": body}
    metadata = {"name": "web", "namespace": "default"}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": metadata,
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }


def told(lab: LabServer, client: ClusterClient, manifest: dict[str, Any]) -> str:
    """What a roll-out that comes to nothing says."""
    client.use(lambda kube: apply(kube, manifest))
    lab.settle()
    with pytest.raises(DeadlinePassed) as caught:
        client.use(lambda kube: rolled_out(kube, manifest["kind"], "web", "default", timeout=0.3))
    return caught.value.why


def image(name: str) -> list[dict[str, Any]]:
    return [{"name": "main", "image": name}]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            {"containers": image("absent")},
            'container main: ImagePullBackOff: Back-off pulling image "absent": ErrImagePull: manifest unknown',
        ),
        ({"containers": image("hungry")}, "before: OOMKilled, exit code 137"),
        (
            {"containers": image("broken")},
            'before: StartError, exit code 128: exec: "serve": executable file not found',
        ),
        (
            {"containers": [{**image("fine")[0], "envFrom": [{"secretRef": {"name": "absent"}}]}]},
            'container main: CreateContainerConfigError: secret "absent" not found',
        ),
        (
            {"volumes": [{"name": "v", "configMap": {"name": "absent"}}]},
            'event FailedMount: MountVolume.SetUp failed for volume "v" : configmap "absent" not found',
        ),
        ({"nodeSelector": {"no": "where"}}, "Unschedulable: 0/1 nodes are available"),
    ],
    ids=["image", "memory", "program", "environment", "volume", "no node"],
)
@pytest.mark.parametrize("kind", ["Deployment", "DaemonSet"])
def test_a_failed_roll_out_says_why_its_pods_do_not_run(
    lab: LabServer, client: ClusterClient, kind: str, spec: Any, expected: str
) -> None:
    if kind == "DaemonSet" and "nodeSelector" in spec:
        pytest.skip("a DaemonSet makes no pod for a node that does not fit")

    assert expected in told(lab, client, workload(kind, **spec))


def test_a_failed_roll_out_quotes_the_last_log_lines(lab: LabServer, client: ClusterClient) -> None:
    """Of the life that ended, the last twenty, and no secret."""
    why = told(lab, client, workload(containers=image("crashes")))

    assert "last lines of container main before it was started again:\n  line 81\n" in why
    assert "line 99" in why
    assert "line 80\n" not in why
    assert "token ********" in why
    assert HIDDEN.reveal() not in why


def test_a_pod_that_was_killed_says_by_what(lab: LabServer, client: ClusterClient) -> None:
    """It is not one of the workload's any more, and stays as evidence."""
    client.use(lambda kube: apply(kube, workload()))
    lab.settle()
    [pod] = lab.do(lambda: lab.api.list("v1", "Pod", "default"))
    lab.do(lambda: lab.api.pause_controllers())
    lab.do(lambda: lab.api.evict(pod["metadata"]["name"], "default"))

    why = told(lab, client, workload(containers=image("absent")))

    assert f"pod {pod['metadata']['name']}: Evicted: The node was low on resource: memory." in why


def test_only_some_of_many_pods_are_quoted(lab: LabServer, client: ClusterClient) -> None:
    manifest = workload(containers=image("absent"))
    manifest["spec"]["replicas"] = 7

    why = told(lab, client, manifest)

    assert why.count("pod web-") == 3
    assert "and 4 more pods that are not ready" in why


def test_a_roll_out_without_rights_to_look_keeps_its_own_error(
    lab: LabServer, client: ClusterClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be read must not hide what it would explain."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise DeadlinePassed("no time")

    client.use(lambda kube: apply(kube, workload(containers=image("absent"))))
    lab.settle()
    monkeypatch.setattr("thinkube_nornir.cluster.diagnosis._Reading.objects", refuse)
    with pytest.raises(DeadlinePassed, match="to be rolled out") as caught:
        client.use(lambda kube: rolled_out(kube, "Deployment", "web", "default", timeout=0.3))

    assert "its pods could not be read: no time" in caught.value.why


def test_a_probe_pod_that_cannot_start_says_why(client: ClusterClient) -> None:
    with pytest.raises(DeadlinePassed) as caught:
        client.use(lambda kube: run_pod(kube, probe_pod("p", "absent", ["true"]), timeout=0.5))

    assert "ErrImagePull: manifest unknown" in caught.value.why
    assert 'event Failed: Failed to pull image "absent": manifest unknown' in caught.value.why


def container(**status: Any) -> dict[str, Any]:
    return {"status": {"phase": "Running", "containerStatuses": [{"name": "c", "ready": False, **status}]}}


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (container(state={"running": {}}), []),
        (container(state={"waiting": {"reason": "ContainerCreating"}}), []),
        (container(state={"terminated": {"exitCode": 0, "reason": "Completed"}}), []),
        (
            container(state={"running": {}}, lastState={"terminated": {"exitCode": 1, "reason": "Error"}}),
            ["container c: started again; before: Error, exit code 1"],
        ),
        (
            container(state={"terminated": {"exitCode": 137, "signal": 9, "reason": "Error"}}),
            ["container c: Error, signal 9"],
        ),
        (
            container(state={"waiting": {"reason": "RunContainerError", "message": "a\n  b"}}),
            ["container c: RunContainerError: a b"],
        ),
        ({"status": {"reason": "NodeLost", "message": "Node n1 is away"}}, ["NodeLost: Node n1 is away"]),
        (
            {
                "status": {
                    "conditions": [
                        {
                            "type": "DisruptionTarget",
                            "status": "True",
                            "reason": "PreemptionByScheduler",
                            "message": "m",
                        },
                        {"type": "Ready", "status": "False", "reason": "ContainersNotReady"},
                    ]
                }
            },
            ["PreemptionByScheduler: m"],
        ),
        (
            {"status": {"initContainerStatuses": [{"name": "i", "state": {"waiting": {"reason": "ErrImagePull"}}}]}},
            ["container i: ErrImagePull"],
        ),
    ],
)
def test_states_of_pods_in_words(pod: dict[str, Any], expected: list[str]) -> None:
    assert troubles(pod) == expected


def test_a_workload_whose_pods_are_refused_says_so() -> None:
    """The reason of a condition counts where it is bad that it is true."""
    refused = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}
    fine = {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}

    assert seen({"status": {"conditions": [fine, refused]}}) == (
        "Available=True, ReplicaFailure=True (FailedCreate: exceeded quota)"
    )
