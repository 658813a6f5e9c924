"""What the lab's MicroK8s and its addons put into a cluster, against upstream's manifests of each release."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable

import pytest

from tasks.lab.microk8s import containerd, manifests, metallb
from tasks.phase6_extended_services.ingress.metallb import BROUGHT, NAMESPACE
from tests import upstream_data as upstream
from tests.upstream.definitions import schema_drift
from tests.upstream.deployed import TRACKS
from tests.upstream.emulated import Place, drift
from tests.upstream_data import Object

CALICO = "upgrade-scripts/000-switch-to-calico/resources/calico.yaml"
POOL = "10.64.140.43-10.64.140.49"


@pytest.fixture(params=TRACKS)
def track(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def minor(track: str) -> tuple[int, int]:
    major, found = track.split(".")
    return int(major), int(found)


def images(objects: Iterable[Object]) -> set[str]:
    """Of all containers but those that run before the others."""
    specs = (obj["spec"]["template"]["spec"] for obj in objects if obj["kind"] in ("Deployment", "DaemonSet"))
    return {container["image"] for spec in specs for container in spec["containers"]}


def compared(emulated: list[Object], real: list[Object], left_out: Iterable[Place] = ()) -> list[str]:
    different = images(emulated) ^ images(real)
    return [*drift(emulated, real, left_out=left_out), *(f"image {image}" for image in sorted(different))]


def test_coredns(track: str) -> None:
    emulated = manifests.dns("/etc/resolv.conf", minor(track))

    assert compared(emulated, upstream.addon(track, "dns/coredns.yaml")) == []


def test_the_corefile_of_the_addon(track: str) -> None:
    """Word for word: set-up and rollback take it apart and put it together again."""
    real = next(o for o in upstream.addon(track, "dns/coredns.yaml") if o["kind"] == "ConfigMap")

    assert real["data"]["Corefile"] == manifests.COREFILE % "/etc/resolv.conf"


def test_hostpath_storage(track: str) -> None:
    emulated = manifests.hostpath(minor(track))

    assert compared(emulated, upstream.addon(track, "hostpath-storage/storage.yaml")) == []


def test_calico(track: str) -> None:
    """Its CRDs and its configuration are left out: nothing in the lab reads them."""
    real = upstream.yaml_documents(upstream.microk8s(track, CALICO))
    unused = {(o["kind"], "", o["metadata"]["name"]) for o in real if o["kind"] == "CustomResourceDefinition"}
    unused.add(("ConfigMap", "kube-system", "calico-config"))

    assert compared(manifests.calico(minor(track)), real, unused) == []


def test_all_that_metallb_brings_is_known_as_the_addons(track: str) -> None:
    """Else a rollback would take it for others', and leave MetalLB as it is."""
    real = [o["metadata"] for file in ("metallb", "addresspool") for o in upstream.addon(track, f"metallb/{file}.yaml")]

    assert {at["name"] for at in real if at.get("namespace") == NAMESPACE} <= BROUGHT


def test_metallb(track: str) -> None:
    emulated = [*metallb.definitions(minor(track)), *metallb.manifests(minor(track)), metallb.pool([POOL])]
    real = [o for file in ("crd", "metallb", "addresspool") for o in upstream.addon(track, f"metallb/{file}.yaml")]

    assert compared(emulated, real) == []
    assert schema_drift(emulated, real) == []
    pool = next(o for o in real if o["kind"] == "IPAddressPool")
    assert emulated[-1]["spec"] == pool["spec"]


def test_the_template_of_containerd(track: str) -> None:
    """Value for value; which of its runtimes can run says whether a node has cards for the cluster."""
    real = upstream.microk8s(track, "microk8s-resources/default-args/containerd-template.toml")

    assert tomllib.loads(containerd.TEMPLATE) == tomllib.loads(real)
