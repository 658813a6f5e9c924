"""Each fault of a GPU is found by verify at its link of the chain, on its host, in words; and no other is blamed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tasks.phase6_extended_services.gpu_operator.gpu_faults import (
    BUS,
    DRIVER,
    FAULTS,
    NODE,
    OFFER,
    POD,
    TOOLKIT,
    Fault,
)
from tests.tasks.phase6_extended_services.gpu_operator.gpu_lab import GPU, GpuLab

pytestmark = [pytest.mark.lab, pytest.mark.slow]

CHAIN = (BUS, DRIVER, NODE, TOOLKIT, OFFER, POD)
OTHERS = (
    *("manifest_namespace_of_the_gpu_operator_is_as_declared", "release_gpu_operator_is_as_declared"),
    *("runtime_class_exists", "policy_is_ready", "operands_cover_the_gpu_nodes"),
    "file_saved_containerd_template_is_as_declared",
)
NODES = ("bcn1", "tkc", "tkw1")
SEEN: set[str] = set()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GpuLab]:
    made = GpuLab(tmp_path_factory.mktemp("gpus"))
    try:
        ended = made("run", "phase5", GPU)
        assert ended.code == 0, ended.told
        made.configure(timeouts={"step": 2})  # so that a pod that never starts is not waited for
        yield made
    finally:
        made.down()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_fault_is_found_where_it_is(lab: GpuLab, fault: Fault) -> None:
    """The first check that fails on the faulty host is the broken link's; the chains of other nodes hold."""
    fault.make(lab)
    try:
        found = lab.verify()
    finally:
        fault.repair(lab)
        lab.await_nodes()

    assert found.failing(fault.host)[:1] == [fault.check], found.told
    assert fault.says in found.evidence(fault.host, fault.check)
    others = {check for host in NODES if host != fault.host for check in found.failing(host)}
    assert others & set(CHAIN) <= ({POD} if fault.host == "tkc" or fault.name == "image cannot be had" else set()), (
        found.told
    )
    assert found.code == 1
    SEEN.update(found.failing())


def test_mended_all_is_green(lab: GpuLab) -> None:
    """The faults before left nothing behind; and every check was seen to fail on one of them."""
    found = lab.verify()

    assert found.code == 0, found.told
    assert {*CHAIN, *OTHERS} >= SEEN


def test_every_check_was_seen_to_fail(lab: GpuLab) -> None:
    """A check that nobody has seen fail is no check."""
    if len(SEEN) == 0:
        pytest.skip("needs the faults before it")
    assert {node["step"] for node in lab.verify().nodes} == SEEN


def test_card_that_is_in_use_is_pending(lab: GpuLab) -> None:
    """No free card is not green and not a failure: the hardware was not tried, and who holds it is named."""
    lab.ssh("tkw1", "lab-gpu use 1")
    try:
        found = lab.verify()
    finally:
        lab.ssh("tkw1", "lab-gpu mend")

    assert found.failing() == []
    assert found.failing("tkw1", "skipped") == [POD]
    assert "Insufficient nvidia.com/gpu" in found.evidence("tkw1", POD)
    assert "default/training holds 1" in found.evidence("tkw1", POD)
    assert found.code == 1


def test_free_card_is_tried_while_another_is_in_use(lab: GpuLab) -> None:
    """Of two cards one is busy: the free one is tried, and the other one is called untried."""
    lab.ssh("bcn1", "lab-gpu use 1")
    try:
        found = lab.verify()
    finally:
        lab.ssh("bcn1", "lab-gpu mend")

    assert found.failing("bcn1", "skipped") == [POD]
    assert "not tried" in found.evidence("bcn1", POD)


def test_cordoned_node_is_verified_all_the_same(lab: GpuLab) -> None:
    """A cordon keeps work away, not the check."""
    lab.ssh("tkc", "microk8s kubectl cordon tkw1.home.example")
    try:
        found = lab.verify()
    finally:
        lab.ssh("tkc", "microk8s kubectl uncordon tkw1.home.example")

    assert found.code == 0, found.told


def test_no_pod_is_left_behind(lab: GpuLab) -> None:
    """Whatever became of the checks, their pods are gone."""
    found = lab.ssh("tkc", "microk8s kubectl get pods -n default -o name").text

    assert "cuda" not in found


def test_unreachable_gpu_node_is_named(lab: GpuLab) -> None:
    """Left out by the filter or not: the others are judged without it, by what its labels say of the release."""
    lab.fault("tkw1", "dead")
    try:
        filtered, found = lab.verify("-l", "tkc"), lab.verify()
    finally:
        lab.fault("tkw1", "none")

    assert filtered.code == 0, filtered.told
    assert "tkw1 (left out by -l)" in filtered.evidence("tkc", "policy_is_ready")
    assert found.failing() == found.failing("tkw1")
    for check in ("policy_is_ready", "operands_cover_the_gpu_nodes"):
        assert "not judged: tkw1 (unreachable)" in found.evidence("tkc", check)
