"""Probes of a run that was killed while they ran: the next run removes them, whatever it does first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster_client import ClusterClient
from tests.kube_servers import LabServer
from tests.light_lab import eventually
from thinkube_nornir.cluster import LABELS, Cluster, apply, probe_pod, restore, run_pod
from thinkube_nornir.lab.kube import PodExit

PROBES = {
    "pod": 'run_pod(kube, probe_pod("dns", "endless", ["nslookup", "x"], node="n1"))',
    "own pod": 'run_pod(kube, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "cuda"}, "spec": SPEC})',
    "server": 'with probe_server(kube, "web", "endless", ["serve"], ways=lambda name: []): time.sleep(600)',
}
"""Every way in which a check starts a probe: the names, nodes and traffic checks', and that of the GPU operator."""

RUN = """
import sys, time
from pathlib import Path
from tests.cluster_client import ClusterClient
from thinkube_nornir.cluster import probe_pod, probe_server, run_pod

SPEC = {{"containers": [{{"name": "c", "image": "endless"}}]}}
def use(kube):
    {probe}
client = ClusterClient(Path(sys.argv[1]), Path(sys.argv[2]).read_text())
client.context.read_only = True
client.use(use)
"""


async def runtime(pod: dict[str, Any], _: str) -> PodExit | None:
    return None if pod["spec"]["containers"][0]["image"] == "endless" else PodExit(0, b"")


@pytest.fixture(scope="module")
def lab() -> Iterator[LabServer]:
    server = LabServer(runtime)
    server.do(lambda: server.api.add_node("n1", address="192.0.2.11"))
    yield server
    server.stop()


def probes(lab: LabServer) -> list[str]:
    """Probes that are there, and not being deleted."""

    def listed() -> list[str]:
        found = [obj for kind in (("v1", "Pod"), ("batch/v1", "Job")) for obj in lab.api.list(*kind)]
        ours = [obj for obj in found if LABELS.items() <= (obj["metadata"].get("labels") or {}).items()]
        return [obj["metadata"]["name"] for obj in ours]

    return lab.do(listed)


def killed(lab: LabServer, folder: Path, probe: str) -> None:
    """Have another process start the probe, and end as by kill -9 while that runs."""
    (folder / "kubeconfig").write_text(lab.kubeconfig)
    argv = [sys.executable, "-c", RUN.format(probe=probe), str(folder), str(folder / "kubeconfig")]
    with subprocess.Popen(argv, cwd=Path(__file__).parents[2]) as process:
        began = eventually(lambda: bool(probes(lab)), 60)
        process.kill()
    assert began


def a_probe(kube: Cluster) -> object:
    return run_pod(kube, probe_pod("next", "short", ["true"]))


def a_change(kube: Cluster) -> object:
    metadata = {"name": "thinkube-test", "namespace": "default"}
    return apply(kube, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {}})


def a_rollback(kube: Cluster) -> object:
    return restore(kube, "v1", "ConfigMap", "thinkube-test", "default")


@pytest.mark.parametrize("following", [a_probe, a_change, a_rollback])
@pytest.mark.parametrize("probe", PROBES)
def test_the_next_run_removes_the_probes_of_a_killed_one(
    lab: LabServer, tmp_path: Path, probe: str, following: Callable[[Cluster], object]
) -> None:
    killed(lab, tmp_path, PROBES[probe])
    client = ClusterClient(tmp_path, lab.kubeconfig, command=20)

    try:
        client.use(following)
    finally:
        client.close()

    assert eventually(lambda: not probes(lab), 20), probes(lab)


def test_a_dry_run_removes_nothing(lab: LabServer, tmp_path: Path) -> None:
    """It changes nothing, and so leaves this too to the run itself."""
    killed(lab, tmp_path, PROBES["pod"])
    client = ClusterClient(tmp_path, lab.kubeconfig, command=20)
    client.context.dry_run = True

    try:
        client.use(a_change)
    finally:
        client.close()

    assert len(probes(lab)) == 1
