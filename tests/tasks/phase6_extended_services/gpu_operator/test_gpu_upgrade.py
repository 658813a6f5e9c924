"""The GPU operator on MicroK8s 1.35: from a release before the drop-ins to one with them, slices, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.light_lab import eventually
from tests.tasks.phase6_extended_services.gpu_operator.gpu_faults import OFFER, POD, TOOLKIT
from tests.tasks.phase6_extended_services.gpu_operator.gpu_lab import GPU, TEMPLATE, GpuLab

pytestmark = [pytest.mark.lab, pytest.mark.slow]

OLD, NEW = "v25.3.4", "v25.10.1"
CRD = "crd clusterpolicies.nvidia.com"
DROP_IN = "/var/snap/microk8s/current/args/containerd.d/99-nvidia.toml"
HELM, CHART = "microk8s.helm3", "gpu-operator gpu-operator --repo https://helm.ngc.nvidia.com/nvidia --version"
DUMP = "/snap/microk8s/current/bin/containerd --config /var/snap/microk8s/current/args/containerd.toml config dump"


def get(lab: GpuLab, what: str) -> dict[str, Any]:
    return dict(json.loads(lab.ssh("tkc", f"microk8s kubectl get {what} -o json").text))


def crd_release(lab: GpuLab) -> str:
    return str(get(lab, CRD)["metadata"]["annotations"]["controller-gen.kubebuilder.io/version"])


OF_ITS_OWNER = {
    "driver": {"enabled": False},
    "migManager": {"enabled": False},
    "toolkit": {
        "env": [
            {"name": "CONTAINERD_CONFIG", "value": TEMPLATE},
            {"name": "CONTAINERD_SOCKET", "value": "/var/snap/microk8s/common/run/containerd.sock"},
            {"name": "CONTAINERD_SET_AS_DEFAULT", "value": "false"},
            {"name": "RUNTIME_EXECUTABLE_PATH", "value": "/bin/false"},
        ]
    },
}


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GpuLab]:
    """Phase 5 of 1.35 and the older release, by its owner; tkw1 has a card in three slices, and Docker's containerd."""
    made = GpuLab(tmp_path_factory.mktemp("gpus"), tkw1={"gpu_model": "H100"})
    made.settings_of_group("microk8s", microk8s_channel="1.35/stable", gpu_operator_version=NEW)
    try:
        ended = made("run", "phase5")
        assert ended.code == 0, ended.told
        made.hardware("tkw1", cards={0: {"slices": 3}})
        made.ssh("tkw1", "touch /usr/bin/containerd; chmod 755 /usr/bin/containerd")
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gpu-operator"}}
        made.ssh("tkc", "microk8s.kubectl apply -f -", namespace)
        made.ssh("tkc", f"{HELM} upgrade {CHART} {OLD} --install -n gpu-operator --wait --values -", OF_ITS_OWNER)
        made.ssh("tkc", "lab-gpu look")
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def before(ready: GpuLab) -> dict[str, Any]:
    assert "nvidia-container-runtime" in ready.ssh("tkw1", f"grep -A9 -F runtimes.nvidia] {TEMPLATE}").text
    assert crd_release(ready) == OLD
    return ready.snapshot()


@pytest.fixture(scope="module")
def upgraded(ready: GpuLab, before: dict[str, Any]) -> GpuLab:
    assert before
    ended = ready("run", GPU)
    assert ended.code == 0, ended.told
    return ready


def test_definitions_are_renewed_first(upgraded: GpuLab) -> None:
    """Those of the earlier release would let the API drop what they do not know."""
    assert crd_release(upgraded) == NEW


def test_runtimes_stand_in_a_file_that_the_template_imports(upgraded: GpuLab) -> None:
    """Of CRI's other settings nothing is in it; what containerd makes of all files has the runtimes and its paths."""
    added, dumped = upgraded.ssh("tkw1", f"cat {DROP_IN}").text, upgraded.ssh("tkw1", DUMP).text

    assert "nvidia-container-runtime" in added
    assert "cni" not in added
    assert "runtimes.nvidia]" in dumped
    assert "args/cni-network" in dumped


def test_slices_of_the_owner_stay(upgraded: GpuLab) -> None:
    """The operator's manager would switch them off; each is one card for pods."""
    labels = get(upgraded, "node tkw1.home.example")["metadata"]["labels"]
    found = upgraded.verify()

    assert labels["nvidia.com/gpu.deploy.mig-manager"] == "false"
    assert found.code == 0, found.told
    assert "3 allocatable" in found.evidence("tkw1", OFFER)
    assert "Test PASSED on one of 3 slices" in found.evidence("tkw1", POD)


def test_second_run_changes_nothing(upgraded: GpuLab) -> None:
    """Also after the operator has marked the node for its manager of slices."""
    ended = upgraded("run", GPU)

    assert ended.code == 0, ended.told
    assert ended.places("changed") == set()


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (f"rm {DROP_IN}", "containerd's configuration has no runtime nvidia"),
        (f"sed -i '/^imports/d' {TEMPLATE}", "and imports none from /var/snap/microk8s/current/args/containerd.d"),
    ],
)
def test_lost_runtime_is_found(upgraded: GpuLab, edit: str, says: str) -> None:
    """Now, or with containerd's next start."""
    upgraded.ssh("tkw1", f"cp -p {DROP_IN} /tmp/drop-in; cp -p {TEMPLATE} /tmp/template; {edit}")
    try:
        found = upgraded.verify()
    finally:
        upgraded.ssh(
            "tkw1", f"cp -p /tmp/drop-in {DROP_IN}; cp -p /tmp/template {TEMPLATE}; rm /tmp/drop-in /tmp/template"
        )

    assert found.failing("tkw1")[0] == TOOLKIT
    assert says in found.evidence("tkw1", TOOLKIT)


def test_mixed_slices_are_named(upgraded: GpuLab) -> None:
    """A card that was cut further by hand is counted anew, and the plugin has not seen it yet."""
    upgraded.hardware("tkw1", cards={0: {"slices": 4}}, offered=3)
    try:
        found = upgraded.verify()
    finally:
        upgraded.hardware("tkw1", cards={0: {"slices": 3}}, offered=None)

    assert "has 3 nvidia.com/gpu allocatable, not 4" in found.evidence("tkw1", OFFER)


def test_rollback_gives_the_owner_the_former_release(upgraded: GpuLab) -> None:
    """With the definitions that it had; its toolkit writes into the template as before."""
    ended = upgraded("rollback", GPU)

    assert ended.code == 0, ended.told
    assert crd_release(upgraded) == OLD
    listed = upgraded.ssh("tkc", f"{HELM} list -A -o json").text
    assert [(r["chart"], r["status"]) for r in json.loads(listed)] == [(f"gpu-operator-{OLD}", "deployed")]
    written = f"grep -A9 -F runtimes.nvidia] {TEMPLATE} || true"  # once its pods are back on a node that is Ready again
    assert eventually(lambda: "nvidia-container-runtime" in upgraded.ssh("tkw1", written).text)


def test_definitions_that_an_operator_left_are_renewed(upgraded: GpuLab) -> None:
    """helm takes them as they are at a first install."""
    upgraded.ssh("tkc", f"{HELM} uninstall gpu-operator -n gpu-operator --wait")
    assert crd_release(upgraded) == OLD

    ended = upgraded("run", GPU)

    assert ended.code == 0, ended.told
    assert crd_release(upgraded) == NEW
