"""The lab's kubelets: what pods say whose containers cannot start, or end although they should run."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from tests.thinkube_nornir.lab.kube.conftest import Lab, pod, use
from thinkube_nornir.lab.kube import Object, PodExit

MAIN = {"name": "main", "image": "registry/app:1"}


def key_of(kind: str, name: str, key: str, **more: bool) -> list[Object]:
    source = {f"{kind}KeyRef": {"name": name, "key": key, **more}}
    return [MAIN | {"env": [{"name": "X", "valueFrom": source}]}]


def state_of(lab: Lab, name: str) -> tuple[str, str]:
    lab.settle()
    found = lab.do(lambda: lab.api.get("v1", "Pod", name, "default")) or {}
    state = found["status"]["containerStatuses"][0]["state"]
    waiting = state.get("waiting") or {"reason": next(iter(state))}
    return waiting["reason"], waiting.get("message", "")


def events_of(lab: Lab, name: str) -> list[tuple[str, str]]:
    found = lab.do(lambda: lab.api.list("v1", "Event", "default"))
    return [(e["reason"], e["message"]) for e in found if e["involvedObject"]["name"] == name]


@pytest.mark.parametrize(
    ("spec", "state", "event"),
    [
        pytest.param(
            {"containers": [MAIN | {"envFrom": [{"configMapRef": {"name": "late"}}]}]},
            ("CreateContainerConfigError", 'configmap "late" not found'),
            ("Failed", 'Error: configmap "late" not found'),
            id="environment from a ConfigMap",
        ),
        pytest.param(
            {"containers": key_of("configMap", "late", "a")},
            ("CreateContainerConfigError", 'configmap "late" not found'),
            ("Failed", 'Error: configmap "late" not found'),
            id="a key of a ConfigMap",
        ),
        pytest.param(
            {"volumes": [{"name": "v", "configMap": {"name": "late"}}]},
            ("ContainerCreating", ""),
            ("FailedMount", 'MountVolume.SetUp failed for volume "v" : configmap "late" not found'),
            id="a volume",
        ),
        pytest.param(
            {"volumes": [{"name": "v", "projected": {"sources": [{"configMap": {"name": "late"}}]}}]},
            ("ContainerCreating", ""),
            ("FailedMount", 'MountVolume.SetUp failed for volume "v" : configmap "late" not found'),
            id="a projected volume",
        ),
    ],
)
def test_a_pod_waits_for_what_it_names(
    lab: Lab, api: client.ApiClient, spec: Any, state: tuple[str, str], event: tuple[str, str]
) -> None:
    """It says what is missing, in its state or in an event, and starts once that is there."""
    core = use(client.CoreV1Api, api)
    core.create_namespaced_pod("default", pod("p", **spec))

    assert state_of(lab, "p") == state
    assert event in events_of(lab, "p")
    core.create_namespaced_config_map("default", {"metadata": {"name": "late"}, "data": {"a": "1"}})
    assert state_of(lab, "p") == ("running", "")


def test_a_key_that_is_not_there_is_named(lab: Lab, api: client.ApiClient) -> None:
    core = use(client.CoreV1Api, api)
    core.create_namespaced_secret("default", {"metadata": {"name": "s"}, "stringData": {"a": "1"}})
    core.create_namespaced_pod("default", pod("p", containers=key_of("secret", "s", "b")))

    assert state_of(lab, "p") == ("CreateContainerConfigError", "couldn't find key b in Secret default/s")


def test_what_is_optional_is_not_waited_for(lab: Lab, api: client.ApiClient) -> None:
    volumes = [{"name": "v", "secret": {"secretName": "absent", "optional": True}}]
    body = pod("p", volumes=volumes, containers=key_of("configMap", "absent", "a", optional=True))
    use(client.CoreV1Api, api).create_namespaced_pod("default", body)

    assert state_of(lab, "p") == ("running", "")


@pytest.mark.parametrize(
    ("policy", "code", "phase", "again"),
    [
        ("Always", 0, "Running", True),
        ("Always", 3, "Running", True),
        ("OnFailure", 0, "Succeeded", False),
        ("OnFailure", 3, "Running", True),
        ("Never", 3, "Failed", False),
    ],
)
def test_the_restart_policy_says_what_becomes_of_a_container(
    lab: Lab, api: client.ApiClient, policy: str, code: int, phase: str, again: bool
) -> None:
    """One that must run is in back-off, its end and its log kept as those of its last life."""

    async def run(_pod: Object, _node: str) -> PodExit | None:
        return PodExit(code, b"last words\n", "OOMKilled" if code else "")

    lab.do(lambda: setattr(lab.api._kubelet, "_runtime", run))
    core = use(client.CoreV1Api, api)
    core.create_namespaced_pod("default", pod("p", restartPolicy=policy))
    lab.settle()

    found = core.read_namespaced_pod("p", "default").status
    container = found.container_statuses[0]
    ended = container.last_state.terminated if again else container.state.terminated
    assert (found.phase, container.restart_count, ended.exit_code) == (phase, int(again), code)
    assert ended.reason == ("OOMKilled" if code else "Completed")
    if again:
        assert state_of(lab, "p")[0] == "CrashLoopBackOff"
        assert core.read_namespaced_pod_log("p", "default", previous=True) == "last words\n"
    else:
        with pytest.raises(ApiException, match=r'previous terminated container ."main.*" in pod ."p.*" not found'):
            core.read_namespaced_pod_log("p", "default", previous=True)
