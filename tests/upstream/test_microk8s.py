"""What the lab's MicroK8s starts with and lists, and the facts that the product relies on, against upstream's files."""

from __future__ import annotations

import re

import pytest
import yaml

from tasks.lab.microk8s import addon_list, arguments, certificates, launcher
from tasks.lab.microk8s.node import DNS_ADDRESS
from tasks.shared.hosts.supported import CLUSTER_DNS
from tasks.shared.microk8s.facts import DATA, SOCKET_FILE, values_of
from tests import upstream_data as upstream
from tests.upstream.deployed import TRACKS

FILES = sorted(arguments.defaults((1, 35)))


@pytest.fixture(params=TRACKS)
def track(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def minor(track: str) -> tuple[int, int]:
    major, found = track.split(".")
    return int(major), int(found)


def parsed(text: str) -> dict[str, tuple[str, ...]]:
    """Key to its values, as the product reads them; comments and what the lab leaves out are no arguments."""
    keys = {line.replace("=", " ").split()[0] for line in text.splitlines() if line.startswith("--")}
    return {key: values_of(text, key) for key in keys if key not in arguments.LEFT_OUT}


@pytest.mark.parametrize("name", FILES)
def test_default_arguments(track: str, name: str) -> None:
    real = upstream.microk8s(track, f"microk8s-resources/default-args/{name}")

    assert parsed(arguments.defaults(minor(track))[name]) == parsed(real)


def test_the_datastores_socket(track: str) -> None:
    """Where the product looks is where k8s-dqlite listens, and where the API server looks."""
    at = "microk8s-resources/default-args"
    listen = values_of(upstream.microk8s(track, f"{at}/k8s-dqlite"), "--listen")
    servers = values_of(upstream.microk8s(track, f"{at}/kube-apiserver"), "--etcd-servers")

    assert {value.replace("${SNAP_DATA}", DATA) for value in (*listen, *servers)} == {f"unix://{SOCKET_FILE}"}


def test_the_default_launch_configuration(track: str) -> None:
    """What an installation without a file of ours does; and the cluster's DNS address is the one that we give."""
    real = yaml.safe_load(upstream.microk8s(track, "microk8s-resources/microk8s.default.yaml"))

    assert real == launcher.DEFAULT
    assert real["extraKubeletArgs"]["--cluster-dns"] == CLUSTER_DNS == DNS_ADDRESS


def test_the_names_of_the_apis_certificate(track: str) -> None:
    """Those of the template, before the host's own addresses are added."""
    real = upstream.microk8s(track, "microk8s-resources/certs/csr.conf.template")

    assert tuple(re.findall(r"^DNS\.\d+ = (\S+)$", real, re.M)) == certificates.NAMES
    assert tuple(re.findall(r"^IP\.\d+ = (\S+)$", real, re.M)) == certificates.ADDRESSES


def test_the_list_of_addons(track: str) -> None:
    """Names, descriptions, versions, and by what `microk8s status` decides that one is enabled."""
    listed = yaml.safe_load(upstream.text(f"microk8s-addons/{track}/addons.yaml"))["microk8s-addons"]["addons"]
    real = {
        a["name"]: (a["description"], a["version"], a["check_status"])
        for a in listed
        if "amd64" in a["supported_architectures"]
    }

    assert {a.name: (a.description, a.version, a.check) for a in addon_list.addons(minor(track))} == real
