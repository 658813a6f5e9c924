"""What shared/hosts/supported.py takes from MicroK8s: its networks, and the registries of images for every node."""

from __future__ import annotations

import re

import pytest

from tasks.shared.hosts import supported
from tasks.shared.microk8s.facts import values_of
from tests.upstream_data import microk8s, text, tracks

ADDONS = ("dns/coredns.yaml", "hostpath-storage/storage.yaml")


@pytest.mark.parametrize(
    ("service", "key", "network"),
    [
        ("kube-apiserver", "--service-cluster-ip-range", supported.SERVICE_NETWORK),
        ("kube-proxy", "--cluster-cidr", supported.POD_NETWORK),
    ],
)
def test_networks_are_microk8s_defaults(service: str, key: str, network: str) -> None:
    """What a proxy has to spare."""
    for track in tracks():
        assert values_of(microk8s(track, f"microk8s-resources/default-args/{service}"), key) == (network,), track


def test_every_image_of_every_node_comes_from_a_registry_that_is_tried() -> None:
    """Calico, the sandbox, and the addons that are always on."""
    for track in tracks():
        files = [
            microk8s(track, "upgrade-scripts/000-switch-to-calico/resources/calico.yaml"),
            microk8s(track, "microk8s-resources/default-args/containerd-template.toml"),
            *[text(f"microk8s-addons/{track}/addons/{addon}") for addon in ADDONS],
        ]
        images = re.findall(r"^\s*(?:- )?(?:image:|sandbox_image =) \"?([^\s\"]+)", "\n".join(files), re.MULTILINE)
        assert {_registry(image) for image in images} == set(supported.REGISTRIES), (track, images)


def _registry(image: str) -> str:
    first, slash, _ = image.partition("/")
    named = first if slash and "." in first else "docker.io"
    return "registry-1.docker.io" if named == "docker.io" else named
