"""Two plain servers, with neither name servers nor ZeroTier nor Knative, and the handful of settings of docs/small."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.promises.lab_project import DNS, ROOT, LabProject, differences

pytestmark = [pytest.mark.lab, pytest.mark.slow]

COREFILE = "v1 ConfigMap kube-system coredns"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabProject]:
    project = LabProject(tmp_path_factory.mktemp("small"), hosts=ROOT / "docs/small")
    project.up()
    yield project
    project.down()


def test_a_small_installation_comes_and_goes(small: LabProject) -> None:
    """Green, no second change, unmoved by an evicted pod; the domain's checks can fail; rollback restores."""
    before = small.snapshot()
    first = small("run", "all")
    assert first.code == 0, first.told
    second = small("run", "all")
    assert (second.code, second.places("changed")) == (0, set()), second.told

    pods = json.loads(small.ssh("one", "microk8s kubectl get -n kube-system -o json pods").text)["items"]
    name = next(pod["metadata"]["name"] for pod in pods if pod["metadata"]["name"].startswith("coredns"))
    small.ssh("one", f"lab-api evict kube-system {name}")
    ended = small("verify", "phase5")
    small.ssh("one", "lab-api mend")
    assert ended.code == 0, ended.told

    served = json.loads(small.ssh("one", "microk8s kubectl get -n kube-system -o json configmap coredns").text)
    text = served["data"]["Corefile"]
    small.ssh("one", f"lab-api patch {COREFILE}", {"data": {"Corefile": text.replace("192.168.1.240", "10.9.9.9")}})
    ended = small("verify", "phase5")
    small.ssh("one", "lab-api mend")
    red = {(DNS, "corefile_is_as_wanted", "one")} | {(DNS, "pods_resolve_names", host) for host in small.hosts}
    assert ended.places("failed") == red
    assert "expected 192.168.1.240, seen 10.9.9.9" in ended.error((DNS, "pods_resolve_names", "two"))["why"]

    rolled_back = small("rollback", "all")
    assert rolled_back.code == 0, rolled_back.told
    assert "\n".join(differences(before, small.snapshot())) == ""


def test_one_server_is_enough(tmp_path: Path) -> None:
    """A cluster of a control plane alone: the group of workers has no host, and nothing waits for one."""
    folder = tmp_path / "inventory"
    shutil.copytree(ROOT / "docs/small", folder)
    hosts = yaml.safe_load((folder / "hosts.yaml").read_text())
    (folder / "hosts.yaml").write_text(yaml.safe_dump({"one": hosts["one"]}))
    project = LabProject(tmp_path / "project", hosts=folder)
    try:
        project.up()
        ended = project("run", "all")
    finally:
        project.down()

    assert ended.code == 0, ended.told
