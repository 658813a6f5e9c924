"""What verify names in the cluster's own services, a run repairs: no check keeps the set-up from that."""

from __future__ import annotations

from typing import Any

import pytest

from tests.promises.lab_project import CONTROL, DNS, LabProject

pytestmark = [pytest.mark.lab, pytest.mark.slow]

COREFILE = "lab-api patch v1 ConfigMap kube-system coredns"
NO_PODS = {"spec": {"replicas": 0}}
NEW_POD = "microk8s kubectl -n kube-system delete $(microk8s kubectl -n kube-system get pods -o name | grep coredns)"


def _scale(name: str) -> str:
    return f"lab-api patch apps/v1 Deployment kube-system {name}"


KUBECTL = "microk8s kubectl -n kube-system"
BROKEN: dict[str, tuple[str, dict[str, Any] | str, tuple[str, str]]] = {
    "a Corefile that is none": (COREFILE, {"data": {"Corefile": "nonsense {\n"}}, (DNS, "corefile_is_as_wanted")),
    "a Corefile that CoreDNS does not start with": (
        f"{COREFILE}; {NEW_POD}",
        {"data": {"Corefile": ".:53 {\n    nosuch\n}\n"}},
        (DNS, "coredns_is_available"),
    ),
    "no Corefile": (f"{KUBECTL} delete configmap coredns", "", (DNS, "corefile_is_as_wanted")),
    "no CoreDNS": (f"{KUBECTL} delete deployment coredns", "", (DNS, "coredns_is_available")),
    "CoreDNS of no pods": (_scale("coredns"), NO_PODS, (DNS, "coredns_is_available")),
    "Calico of no pods": (_scale("calico-kube-controllers"), NO_PODS, (CONTROL, "workloads_are_ready")),
    "storage of no pods": (_scale("hostpath-provisioner"), NO_PODS, (CONTROL, "workloads_are_ready")),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_run_repairs_it(standing: LabProject, name: str) -> None:
    """Red, then a run, which is green, and verify after it."""
    script, stdin, (component, check) = BROKEN[name]
    standing.ssh("tkc", script, stdin)

    red = standing("verify", "phase5")
    assert (component, check, "tkc") in red.places("failed"), red.told
    ended = standing("run", "phase5")

    assert ended.code == 0, ended.told
    assert standing("verify", "phase5").code == 0


def test_a_zone_of_others_is_kept_on_the_lab(standing: LabProject) -> None:
    """Through a run that has to write the Corefile, and served by CoreDNS."""
    served = standing.ssh("tkc", "microk8s kubectl -n kube-system get -o json configmap coredns").text
    assert "corp.example" not in served
    zone = "corp.example:53 {\n    errors\n    forward . 192.168.191.1\n}\n"
    standing.ssh("tkc", COREFILE, {"data": {"Corefile": f"{zone}.:53 {{\n    errors\n}}\n"}})

    ended = standing("run", "phase5")

    assert ended.code == 0, ended.told
    found = standing.ssh("tkc", "microk8s kubectl -n kube-system get -o json configmap coredns").text
    assert "corp.example:53" in found
    assert "_acme-challenge" in found
    ended = standing("rollback", "phase5.coredns")
    assert ended.code == 0, ended.told
    found = standing.ssh("tkc", "microk8s kubectl -n kube-system get -o json configmap coredns").text
    assert "corp.example:53" in found
    assert "_acme-challenge" not in found
