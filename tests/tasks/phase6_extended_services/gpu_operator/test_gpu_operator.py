"""The GPU operator as a story: nodes with a driver and without, shared cards, an old card left out, all taken back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.promises.lab_project import differences
from tests.tasks.phase6_extended_services.gpu_operator.gpu_faults import NODE, OFFER, POD
from tests.tasks.phase6_extended_services.gpu_operator.gpu_lab import GPU, TEMPLATE, GpuLab

pytestmark = [pytest.mark.lab, pytest.mark.slow]

SHARED = {"gpu_time_slicing": {"NVIDIA-GeForce-RTX-3090": 2}, "gpu_minimum_capability": 7.0}
DEPLOY = "nvidia.com/gpu.deploy."
SAVED, FILE = f"{TEMPLATE}.before-thinkube", "file_saved_containerd_template"
SPACE = "manifest_namespace_of_the_gpu_operator"


_AT = {"name": "mine", "namespace": "gpu-operator"}
_POD = {"containers": [{"name": "a", "image": "docker.io/library/busybox:1.36.1"}]}
_SPEC = {
    "selector": {"matchLabels": {"app": "mine"}},
    "template": {"metadata": {"labels": {"app": "mine"}}, "spec": _POD},
}
_CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
OF_OPERATOR: tuple[dict[str, Any], ...] = (
    {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": _AT, "spec": _SPEC},
    {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": _AT, "spec": _CLAIM},
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _AT, "data": {"a": "b"}},
)


def get(lab: GpuLab, what: str) -> Any:
    return json.loads(lab.ssh("tkc", f"microk8s kubectl get {what} -o json").text)


def node_labels(lab: GpuLab, name: str) -> dict[str, str]:
    return dict(get(lab, f"node {name}")["metadata"]["labels"])


def _another_operator() -> dict[str, Any]:
    labels = {"app.kubernetes.io/component": "gpu-operator"}
    pods = {"containers": [{"name": "operator", "image": "docker.io/library/busybox:1.36.1"}]}
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pods}}
    metadata = {"name": "gpu-operator", "namespace": "default", "labels": labels}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GpuLab]:
    """Phase 5 is there; tkw1 has no driver, tkc's card is too old; bcn1 has Docker's containerd, and a left label."""
    made = GpuLab(tmp_path_factory.mktemp("gpus"), defaults=SHARED)
    made.settings_of_group("microk8s", gpu_minimum_capability=None)
    try:
        ended = made("run", "phase5")
        assert ended.code == 0, ended.told
        made.hardware("tkw1", driver="", loaded=False, cards={0: {"driver": ""}})
        made.ssh("bcn1", "touch /usr/bin/containerd; chmod 755 /usr/bin/containerd")
        made.ssh("tkc", f"microk8s kubectl label node bcn1 {DEPLOY}dcgm-exporter=false team=research")
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def before(ready: GpuLab) -> dict[str, Any]:
    return ready.snapshot()


@pytest.fixture(scope="module")
def standing(ready: GpuLab, before: dict[str, Any]) -> GpuLab:
    assert before
    ended = ready("run", GPU)
    assert ended.code == 0, ended.told
    return ready


def test_plan_writes_nothing(ready: GpuLab, before: dict[str, Any]) -> None:
    """A dry run promises the release with its values, and changes nothing."""
    ended = ready("run", GPU, "--dry-run", "--diff")

    assert ended.code == 3, ended.told
    assert "CONTAINERD_SET_AS_DEFAULT" in ended.told
    assert differences(before, ready.snapshot()) == []


def test_contradictions_are_found_before_the_first_change(ready: GpuLab, before: dict[str, Any]) -> None:
    """A card that is not there, a driver that does not answer, and somebody else's operator, all at once."""
    ready.hardware("bcn1", cards={1: {"on_bus": False}})
    ready.hardware("tkc", library="570.86.10")
    ready.ssh("tkc", "microk8s.kubectl apply -f -", _another_operator())
    try:
        ended = ready("run", GPU)
    finally:
        ready.ssh("tkc", "microk8s kubectl delete deployment gpu-operator")
        ready.hardware("bcn1", cards={1: {"on_bus": True}})
        ready.hardware("tkc", library="")

    assert ended.code == 1
    assert ended.places("failed") == {
        (GPU, "cards_are_as_the_inventory_says", "bcn1"),
        (GPU, "one_driver_will_serve_the_cards", "tkc"),
        (GPU, "no_other_operator_is_there", "tkc"),
    }
    assert ended.places("changed") == set()
    assert differences(before, ready.snapshot()) == []


def test_driver_comes_from_where_it_is(standing: GpuLab) -> None:
    """The node that has a driver keeps it, the other one gets the operator's; the values say so."""
    told = standing.ssh("tkc", "microk8s helm3 get values gpu-operator -n gpu-operator -o json").text

    assert json.loads(told)["driver"] == {"enabled": True}
    assert node_labels(standing, "bcn1")[f"{DEPLOY}driver"] == "pre-installed"
    assert node_labels(standing, "tkw1.home.example")[f"{DEPLOY}driver"] == "true"
    drivers = get(standing, "pods -n gpu-operator -l app=nvidia-driver-daemonset")["items"]
    assert [pod["spec"]["nodeName"] for pod in drivers] == ["tkw1.home.example"]


def test_old_card_is_left_out(standing: GpuLab) -> None:
    """By the policy's setting: no pods of the operator there, and verify says why."""
    labels = node_labels(standing, "tkc.home.example")
    found = standing.verify()

    assert labels[f"{DEPLOY}operands"] == "false"
    assert "nvidia.com/gpu" not in get(standing, "node tkc.home.example")["status"]["allocatable"]
    assert "compute capability 6.1" in found.evidence("tkc", POD)
    assert found.code == 0, found.told


def test_cards_are_shared(standing: GpuLab) -> None:
    """Two cards, each for two pods, make four; the label that stood in the way is put right."""
    assert get(standing, "node bcn1")["status"]["allocatable"]["nvidia.com/gpu"] == "4"
    assert get(standing, "node tkw1.home.example")["status"]["allocatable"]["nvidia.com/gpu"] == "2"
    assert node_labels(standing, "bcn1")[f"{DEPLOY}dcgm-exporter"] == "true"


def test_wrong_number_of_replicas_is_found(standing: GpuLab) -> None:
    """A card shared by more pods than wanted is a fault of the offer, on its node."""
    maps = get(standing, "configmap -n gpu-operator")["items"]
    name, data = next((m["metadata"]["name"], m["data"]) for m in maps if m["metadata"]["name"].startswith("time-"))
    wrong = {"data": {key: text.replace("replicas: 2", "replicas: 3") for key, text in data.items()}}
    standing.ssh("tkc", f"lab-api patch v1 ConfigMap gpu-operator {name}", wrong)
    standing.ssh("bcn1", "lab-gpu look")
    try:
        found = standing.verify()
    finally:
        standing.ssh("tkc", "lab-api mend")
        standing.ssh("bcn1", "lab-gpu look")

    assert found.failing("bcn1")[0] == OFFER
    assert "has 6 nvidia.com/gpu allocatable, not 4 (2 cards, each for 2 pods)" in found.evidence("bcn1", OFFER)


def test_what_was_edited_of_the_sharing_is_ours_again(standing: GpuLab) -> None:
    """A run repairs it, and its rollback takes it away with the namespace."""
    maps = get(standing, "configmap -n gpu-operator")["items"]
    name, data = next((m["metadata"]["name"], m["data"]) for m in maps if m["metadata"]["name"].startswith("time-"))
    edited = {"data": dict.fromkeys(data, "edited")}
    standing.ssh("tkc", f"lab-api patch v1 ConfigMap gpu-operator {name}", edited)

    assert f"{SPACE}_is_as_declared" in standing.verify().failing("tkc")
    assert standing("run", GPU).places("changed") == {(GPU, SPACE, "tkc")}


def test_second_run_changes_nothing(standing: GpuLab) -> None:
    """Nor is any value, label or file written again."""
    ended = standing("run", GPU)

    assert ended.code == 0, ended.told
    assert ended.places("changed") == set()


def test_label_that_comes_back_wrong_is_put_right(standing: GpuLab) -> None:
    """A later run computes the labels anew."""
    standing.ssh("tkc", f"microk8s kubectl label node bcn1 {DEPLOY}device-plugin=false --overwrite")
    assert standing.verify().failing("bcn1")[0] == NODE

    ended = standing("run", GPU)

    assert ended.code == 0, ended.told
    assert ended.places("changed") == {(GPU, "label_node", "bcn1")}


def test_rollback_is_refused_while_a_pod_uses_a_card(standing: GpuLab) -> None:
    """It is named, and nothing was changed."""
    standing.ssh("bcn1", "lab-gpu use 1")
    try:
        ended = standing("rollback", GPU)
    finally:
        standing.ssh("bcn1", "lab-gpu unuse")

    assert ended.code == 2
    assert "default/training" in ended.told
    assert standing.verify().code == 0


def test_rollback_of_one_node_alone_is_refused(standing: GpuLab) -> None:
    """Its toolkit would write into containerd's template again."""
    ended = standing("rollback", GPU, "-l", "bcn1")

    assert ended.code == 2
    assert "the GPU operator is still in the cluster" in ended.told
    assert "nvidia" in standing.ssh("bcn1", f"cat {TEMPLATE}").text


@pytest.mark.parametrize(
    ("host", "break_it", "check", "step"),
    [
        ("tkw1", f"cp {SAVED} {TEMPLATE}", "toolkit_prepared_the_runtime", "restart_toolkit"),
        ("bcn1", "rm -r /usr/local/nvidia", "toolkit_prepared_the_runtime", "restart_toolkit"),
        ("bcn1", f"rm {SAVED}", f"{FILE}_is_as_declared", FILE),
    ],
    ids=["runtime", "folder", "saved template"],
)
def test_what_the_toolkit_brings_is_missed_and_comes_back(
    standing: GpuLab, host: str, break_it: str, check: str, step: str
) -> None:
    """verify is red on that host, and run repairs exactly that."""
    standing.ssh(host, break_it)
    assert standing.verify().failing(host)[0] == check

    ended = standing("run", GPU)

    assert ended.code == 0, ended.told
    assert ended.places("changed") == {(GPU, step, host)}


def test_a_second_controller_saves_nothing_again(standing: GpuLab) -> None:
    """Its journal is empty, and the template has the toolkit's runtimes: what the host noted first stays as it is."""
    saved = standing.ssh("tkw1", f"cat {SAVED}").text
    state, first = standing.folder / ".thinkube", standing.folder / "first"
    shutil.copytree(state, first, ignore=shutil.ignore_patterns("lab*"))
    standing.forget()
    standing.ssh("tkw1", f"rm {SAVED}")

    ended = standing("run", GPU)

    assert ended.code == 0, ended.told
    assert standing.ssh("tkw1", f"cat {SAVED}").text == saved
    standing.forget()
    shutil.copytree(first, state, dirs_exist_ok=True)


def test_what_an_operator_put_into_the_namespace_is_kept(standing: GpuLab) -> None:
    """Said in the dry run as well; the namespace goes with the next rollback, when it is empty."""
    for obj in OF_OPERATOR:
        standing.ssh("tkc", "microk8s.kubectl apply -f -", obj)
    names = [f"{obj['kind']} gpu-operator/mine" for obj in OF_OPERATOR]

    promised, ended = standing("rollback", GPU, "--dry-run"), standing("rollback", GPU)

    assert (promised.code, ended.code) == (3, 0), ended.told
    for told in (promised, ended):
        message = next(
            n["message"] for n in told.report["nodes"] if n["step"] == "restore_manifest_namespace_of_the_gpu_operator"
        )
        assert "Namespace gpu-operator was left: it holds " in message
        assert all(name in message for name in names)
    for obj in OF_OPERATOR:
        standing.ssh("tkc", f"microk8s kubectl delete -n gpu-operator {obj['kind'].lower()} mine")


def test_rollback_leaves_nothing(standing: GpuLab, before: dict[str, Any]) -> None:
    """Labels of others, and the label we put right, are back."""
    ended = standing("rollback", GPU)
    again = standing("rollback", GPU)

    assert ended.code == 0, ended.told
    assert again.places("changed") == set()
    assert differences(before, standing.snapshot()) == []
    assert node_labels(standing, "bcn1")[f"{DEPLOY}dcgm-exporter"] == "false"


def test_rollback_keeps_what_somebody_else_wrote_into_the_template(standing: GpuLab) -> None:
    """The toolkit's runtimes are out of it, and what others added stays; the next rollback has nothing to do."""
    assert standing("run", GPU).code == 0
    line = '[plugins."io.containerd.grpc.v1.cri".registry.mirrors]'
    standing.ssh("tkw1", f"echo '{line}' >> {TEMPLATE}")

    promised, ended = standing("rollback", GPU, "--dry-run"), standing("rollback", GPU)

    assert ended.code == 0, ended.told
    for told in (promised, ended):
        assert f"{TEMPLATE} was left as it is" in str(told.report)
    assert line in standing.ssh("tkw1", f"cat {TEMPLATE}").text
    assert "/usr/local/nvidia" not in standing.ssh("tkw1", f"cat {TEMPLATE}").text
    assert standing("rollback", GPU).places("changed") == set()
