"""MicroK8s of the lab on the real emulated API: workloads come up, workers join, pods ask CoreDNS."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import yaml
from cryptography import x509

from tasks.lab.microk8s.node import node_of, nodes
from tasks.lab.microk8s.rollout import complete
from tests.tasks.lab.fake_lab import FakeLab, lab
from thinkube_nornir.lab.kube import KubeApi

INSTALL = ("snap", "install", "microk8s", "--classic", "--channel=1.35/stable")


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def cluster(here: FakeLab, *workers: str) -> AsyncIterator[KubeApi]:
    try:
        for host in ("tkc", *workers):
            assert (await here.call(host, *INSTALL)).status == 0
        node = node_of(here.hosts["tkc"])
        assert node is not None
        yield node.api
    finally:
        for node in nodes(here):
            await node.api.stop()


def rolled_out(api: KubeApi, kind: str, name: str) -> bool:
    return complete(api.get("apps/v1", kind, name, "kube-system") or {})


def test_a_fresh_control_plane_gets_its_workloads_running() -> None:
    """CoreDNS, Calico and the storage addon become available, the node stays Ready."""

    async def story(here: FakeLab) -> None:
        async with cluster(here) as api:
            assert (await here.call("tkc", "microk8s", "enable", "hostpath-storage")).status == 0
            for kind, name in (
                ("Deployment", "coredns"),
                ("DaemonSet", "calico-node"),
                ("Deployment", "hostpath-provisioner"),
            ):
                await until(lambda kind=kind, name=name: rolled_out(api, kind, name))  # type: ignore[misc]
            assert (await here.call("tkc", "microk8s", "status")).status == 0

    asyncio.run(story(lab()))


def test_a_worker_joins_is_drained_and_leaves() -> None:
    """Calico's pod runs on it; after leave and remove-node nothing of it is left."""

    async def story(here: FakeLab) -> None:
        async with cluster(here, "bcn1") as api:
            told = await here.call("tkc", "microk8s", "add-node", "--token-ttl", "300", "--format", "json")
            url = next(u for u in json.loads(str(told.stdout))["urls"] if u.startswith("192.168.1.110:"))
            joins = [(await here.call("bcn1", "microk8s", "join", url, "--worker")).status for _ in range(2)]
            assert joins == [6, 0]  # the first restarts the datastore under the agent
            await until(lambda: _calico_runs_on(api, "bcn1"))

            drained = await here.call(
                "tkc",
                "microk8s",
                "kubectl",
                "drain",
                "bcn1",
                "--ignore-daemonsets",
                "--delete-emptydir-data",
                "--force",
            )
            assert drained.status == 0
            assert "Warning: ignoring DaemonSet-managed Pods: kube-system/calico-node-" in str(drained.stderr)
            assert (await here.call("bcn1", "microk8s", "leave")).status == 0
            assert (await here.call("tkc", "microk8s", "remove-node", "bcn1")).status == 0
            await until(lambda: not _calico_runs_on(api, "bcn1"))
            assert [n["metadata"]["name"] for n in api.list("v1", "Node")] == ["tkc.example.org"]

    asyncio.run(story(lab()))


def _calico_runs_on(api: KubeApi, node: str) -> bool:
    pods: list[Any] = [p for p in api.list("v1", "Pod", "kube-system") if p["spec"].get("nodeName") == node]
    return any(p["metadata"]["name"].startswith("calico-node") and p["status"].get("phase") == "Running" for p in pods)


def test_an_address_given_later_reaches_the_registered_node() -> None:
    """A restarted kubelet brings its node's InternalIP up to date."""

    async def story(here: FakeLab) -> None:
        async with cluster(here) as api:
            path = "/var/snap/microk8s/current/args/kubelet"
            files = here.hosts["tkc"].files
            files.write(path, files.read(path) + b"--node-ip=192.168.191.110\n")
            assert (await here.call("tkc", "snap", "restart", "microk8s.daemon-kubelite")).status == 0
            node = api.get("v1", "Node", "tkc.example.org") or {}
            assert node["status"]["addresses"][0]["address"] == "192.168.191.110"

    asyncio.run(story(lab()))


def test_a_wrong_corefile_keeps_a_restarted_coredns_from_coming_up() -> None:
    """The new pod does not start, so the rollout does not complete; the old one serves on."""

    async def story(here: FakeLab) -> None:
        async with cluster(here) as api:
            await until(lambda: rolled_out(api, "Deployment", "coredns"))
            config = api.get("v1", "ConfigMap", "coredns", "kube-system") or {}
            api.apply({**config, "data": {"Corefile": ".:53 {\n nosuch\n}\n"}})
            restart = ("rollout", "restart", "deployment/coredns", "-n", "kube-system")
            assert (await here.call("tkc", "microk8s", "kubectl", *restart)).status == 0
            await until(lambda: "CrashLoopBackOff" in json.dumps(api.list("v1", "Pod", "kube-system")))
            status = ("rollout", "status", "deployment/coredns", "-n", "kube-system", "--timeout=1s")
            assert (await here.call("tkc", "microk8s", "kubectl", *status)).status == 1

    asyncio.run(story(lab()))


@pytest.mark.parametrize(("channel", "says"), [("1.32/stable", False), ("1.33/stable", False), ("1.35/stable", True)])
def test_the_authority_is_as_the_release_makes_it(channel: str, says: bool) -> None:
    """Until 1.33 without keyUsage, which strict clients refuse."""

    async def story(here: FakeLab) -> None:
        assert (await here.call("tkc", *INSTALL[:-1], f"--channel={channel}")).status == 0
        node = node_of(here.hosts["tkc"])
        assert node is not None
        try:
            config = yaml.safe_load(node.api.kubeconfig("https://127.0.0.1:16443"))
            pem = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"])
            extensions = x509.load_pem_x509_certificate(pem).extensions
            assert any(isinstance(e.value, x509.KeyUsage) for e in extensions) is says
        finally:
            await node.api.stop()

    asyncio.run(story(lab()))
