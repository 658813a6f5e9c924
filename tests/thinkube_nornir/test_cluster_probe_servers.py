"""Probe servers against the lab's API: what belongs to one, and that nothing of it is left."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cluster_client import ClusterClient
from tests.kube_servers import LabServer
from thinkube_nornir.cluster import LABELS, Cluster, probe_server
from thinkube_nornir.errors import ClusterError, DeadlinePassed, Refused
from thinkube_nornir.lab.kube import ImagePullError, PodExit

KINDS = (("batch/v1", "Job"), ("v1", "Pod"), ("v1", "Service"), ("networking.k8s.io/v1", "Ingress"))


async def runtime(pod: dict[str, Any], _: str) -> PodExit | None:
    if pod["spec"]["containers"][0]["image"] == "nowhere":
        raise ImagePullError("no such image")
    return None


@pytest.fixture(scope="module")
def lab() -> Iterator[LabServer]:
    server = LabServer(runtime)
    server.do(lambda: server.api.add_node("n1", address="192.0.2.11"))
    yield server
    server.stop()


@pytest.fixture
def client(lab: LabServer, tmp_path: Path) -> Iterator[ClusterClient]:
    made = ClusterClient(tmp_path, lab.kubeconfig, command=20)
    made.context.read_only = True
    yield made
    made.close()


def ways(name: str) -> list[dict[str, Any]]:
    service = {"selector": {"job-name": name}, "ports": [{"port": 80}]}
    backend = {"service": {"name": name, "port": {"number": 80}}}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": service},
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": name},
            "spec": {"defaultBackend": backend},
        },
    ]


def probes(lab: LabServer) -> dict[str, list[dict[str, Any]]]:
    """What is there of probe servers, by kind."""

    def listed() -> dict[str, list[dict[str, Any]]]:
        return {kind: lab.api.list(v, kind, "default", selector={"matchLabels": LABELS}) for v, kind in KINDS}

    return lab.do(listed)


def left(lab: LabServer) -> list[str]:
    """Names of what is still there when the garbage collector has nothing more to do."""
    lab.settle()
    return [f"{kind} {o['metadata']['name']}" for kind, found in probes(lab).items() for o in found]


def test_a_probe_server_is_ready_in_the_block_and_gone_after_it(lab: LabServer, client: ClusterClient) -> None:
    """Also in a verify run, which may create nothing else; everything belongs to the Job and goes with it."""

    def use(kube: Cluster) -> dict[str, list[dict[str, Any]]]:
        with probe_server(kube, "web", "i", ["serve"], ways=ways, lifetime=20) as name:
            assert name.startswith("web-")
            return probes(lab)

    during = client.use(use)

    assert {kind: len(found) for kind, found in during.items()} == {kind: 1 for _, kind in KINDS}
    owners = {o["metadata"]["ownerReferences"][0]["kind"] for k in ("Service", "Ingress") for o in during[k]}
    assert owners == {"Job"}
    assert left(lab) == []


def test_a_probe_server_ends_by_itself(lab: LabServer, client: ClusterClient) -> None:
    """Killed, we delete nothing: the cluster ends the Job at its deadline, and removes it with what belongs to it."""

    def use(kube: Cluster) -> dict[str, Any]:
        with probe_server(kube, "web", "i", ["serve"], ways=ways, lifetime=20):
            spec: dict[str, Any] = probes(lab)["Job"][0]["spec"]
            return spec

    spec = client.use(use)

    assert (spec["activeDeadlineSeconds"], spec["ttlSecondsAfterFinished"], spec["backoffLimit"]) == (20, 0, 0)
    assert spec["template"]["spec"]["activeDeadlineSeconds"] == 20


def test_an_error_in_the_block_leaves_nothing(lab: LabServer, client: ClusterClient) -> None:
    def use(kube: Cluster) -> None:
        with probe_server(kube, "web", "i", ["serve"], ways=ways, lifetime=20):
            raise RuntimeError("the check itself failed")

    with pytest.raises(RuntimeError, match="the check itself"):
        client.use(use)

    assert left(lab) == []


def test_a_server_that_does_not_come_up_is_told_and_removed(lab: LabServer, client: ClusterClient) -> None:
    def use(kube: Cluster) -> None:
        with probe_server(kube, "web", "nowhere", ["serve"], ways=ways, lifetime=1):
            pytest.fail("it was never ready")

    with pytest.raises(DeadlinePassed, match="probe server default/web-"):
        client.use(use)

    assert left(lab) == []


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        pytest.param({"ports": []}, "spec.ports", id="a required field is missing"),
        pytest.param({"ports": [{"port": 80}], "selectr": {}}, "spec.selectr", id="a field that does not exist"),
    ],
)
def test_a_way_that_is_refused_leaves_nothing(
    lab: LabServer, client: ClusterClient, spec: dict[str, Any], why: str
) -> None:
    """The Job is there already when a manifest turns out to be wrong."""

    def wrong(name: str) -> list[dict[str, Any]]:
        return [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}]

    def use(kube: Cluster) -> None:
        with probe_server(kube, "web", "i", ["serve"], ways=wrong, lifetime=20):
            pytest.fail("it has no way to it")

    with pytest.raises(ClusterError) as caught:
        client.use(use)

    assert why in caught.value.why

    assert left(lab) == []


def test_what_a_killed_run_left_is_swept(lab: LabServer, client: ClusterClient) -> None:
    """One that outlived its deadline goes with the next probe server; a younger one is another run's, and stays."""
    container = {"name": "probe", "image": "i"}

    def leave(name: str, age: timedelta) -> None:
        stamp = (datetime.now(UTC) - age).strftime("%Y-%m-%dT%H:%M:%SZ")
        template = {"spec": {"containers": [container], "restartPolicy": "Never"}}
        metadata = {"name": name, "namespace": "default", "labels": dict(LABELS)}
        spec = {"activeDeadlineSeconds": 100, "template": template}
        made = lab.api.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec})
        resource = lab.api.registry.by_kind("batch/v1", "Job")
        lab.api.store.put(resource, made | {"metadata": made["metadata"] | {"creationTimestamp": stamp}})

    lab.do(lambda: leave("old", timedelta(seconds=200)))
    lab.do(lambda: leave("young", timedelta(seconds=50)))

    def use(kube: Cluster) -> None:
        with probe_server(kube, "web", "i", ["serve"], ways=ways, lifetime=20):
            return

    client.use(use)
    names = left(lab)
    lab.do(lambda: lab.api.delete("batch/v1", "Job", "young", "default"))

    assert [name for name in names if name.startswith("Job")] == ["Job young"]


def test_a_dry_run_starts_no_probe_server(lab: LabServer, client: ClusterClient) -> None:
    client.context.dry_run = True

    def use(kube: Cluster) -> None:
        with probe_server(kube, "web", "i", ["serve"], ways=ways):
            pytest.fail("it was started")

    with pytest.raises(Refused, match="dry run"):
        client.use(use)

    assert left(lab) == []
