"""The settings of the GPU operator: its release, its namespace, and what tries the cards."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.shared.settings.gpus import cards_of
from tasks.shared.settings.values import ChartVersion, Image, Label
from thinkube_nornir.settings.schema import Hosts, Mistake

_TAKEN_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system", "cert-manager", "metallb-system")
_OF_THE_ADDON = "gpu-operator-resources"
_SAFE_BESIDE_OTHERS = (25, 3, 1)  # toolkit 1.17.6 can be kept from asking a containerd on PATH
_DROP_INS = (25, 10)  # toolkit 1.18
_MERGES_DROP_INS = (1, 35)  # containerd 2.1; 1.7 takes a plugin's settings from the last file alone


class Settings:
    gpu_operator_version: ChartVersion = "v25.10.1"
    """Version of the GPU operator's chart."""
    gpu_operator_namespace: Label = "gpu-operator"
    """Its namespace, which nothing else may use."""
    cuda_test_image: Image = "nvcr.io/nvidia/k8s/cuda-sample:vectoradd-cuda12.5.0-ubuntu22.04"
    """What computes on each card in verify; made for a CUDA version that the driver knows."""


def namespace_is_its_own(hosts: Hosts) -> Iterator[Mistake]:
    for host in hosts.values():
        namespace = host.settings.get("gpu_operator_namespace")
        if namespace in (*_TAKEN_NAMESPACES, _OF_THE_ADDON):
            what = f"gpu_operator_namespace {namespace} is taken"
            fix = "MicroK8s' addon nvidia uses it" if namespace == _OF_THE_ADDON else "rollback removes it as a whole"
            yield Mistake(what, fix, host.name, "gpu_operator_namespace")


def one_operator(hosts: Hosts) -> Iterator[Mistake]:
    """What holds for the cluster must not differ between its nodes."""
    members = [host for host in hosts.values() if "microk8s" in host.groups]
    for name in ("gpu_operator_version", "gpu_operator_namespace", "gpu_time_slicing", "cuda_test_image"):
        for host in members[1:]:
            first = members[0].settings.get(name)
            if host.settings.get(name) != first and name not in host.mistaken | members[0].mistaken:
                what = f"{host.name} has {name} {host.settings.get(name)}, {members[0].name} has {first}"
                yield Mistake(what, "give all of them the same", host.name, name)


def operator_suits_microk8s(hosts: Hosts) -> Iterator[Mistake]:
    """What its toolkit does to containerd's configuration must suit the containerd of MicroK8s.

    Source: NVIDIA/nvidia-container-toolkit@v1.18.1 pkg/config/engine/containerd/containerd.go
    Source: containerd/containerd@v1.7.29 services/server/config/config.go
    """
    for host in hosts.values():
        version, channel = host.settings.get("gpu_operator_version"), host.settings.get("microk8s_channel")
        mistaken = host.mistaken & {"gpu_operator_version", "microk8s_channel"}
        if version is None or mistaken or not cards_of(host.settings):
            continue
        if _numbers(version) < _SAFE_BESIDE_OTHERS:
            what = f"{host.name}: gpu_operator_version {version} may write another containerd's settings into MicroK8s"
            yield Mistake(what, "take v25.3.4, or v25.10.1 from MicroK8s 1.35 on", host.name, "gpu_operator_version")
        elif writes_drop_in(version) and channel and _numbers(channel.partition("/")[0]) < _MERGES_DROP_INS:
            what = (
                f"{host.name}: gpu_operator_version {version} needs MicroK8s 1.35, and microk8s_channel is {channel}:"
                " its containerd 1.7 replaces what it has by a file that adds a runtime"
            )
            yield Mistake(what, "take v25.3.4, or the channel 1.35/stable", host.name, "gpu_operator_version")


RULES = (namespace_is_its_own, one_operator, operator_suits_microk8s)


def writes_drop_in(version: str) -> bool:
    """Whether the operator's toolkit writes runtimes into a file of their own, beside containerd's configuration."""
    return _numbers(version) >= _DROP_INS


def _numbers(version: str) -> tuple[int, ...]:
    """
    >>> _numbers("v25.10.1")
    (25, 10, 1)
    """
    return tuple(int(part) for part in version.removeprefix("v").partition("-")[0].split("."))
