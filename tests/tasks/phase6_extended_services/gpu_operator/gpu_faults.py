"""Every fault of GPUs that verify has to find: how it is made, and where and with which words it is to be found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.tasks.phase6_extended_services.gpu_operator.gpu_lab import TEMPLATE, GpuLab

BUS, DRIVER = "cards_are_on_the_bus", "driver_answers_for_each_card"
NODE, TOOLKIT = "node_is_ready_for_the_operator", "toolkit_prepared_the_runtime"
OFFER, POD = "node_offers_each_card", "each_card_runs_cuda"
CONFIG = TEMPLATE.replace("-template", "")
BINARY = "/usr/local/nvidia/toolkit/nvidia-container-runtime"

Act = Callable[[GpuLab], object]


@dataclass(frozen=True)
class Fault:
    name: str
    host: str
    check: str
    """The first that fails there."""
    says: str
    make: Act
    repair: Act

    @property
    def everywhere(self) -> bool:
        """Whether no pod computes, on whatever node."""
        return self.name in ("image cannot be had", "RuntimeClass gone")


def _hardware(name: str, host: str, check: str, says: str, **attributes: Any) -> Fault:
    return Fault(
        name, host, check, says, lambda lab: lab.hardware(host, **attributes), lambda lab: lab.ssh(host, "lab-gpu mend")
    )


def _command(name: str, host: str, check: str, says: str, make: str, repair: str = "lab-gpu mend") -> Fault:
    return Fault(name, host, check, says, lambda lab: lab.ssh(host, make), lambda lab: lab.ssh(host, repair))


def _file(name: str, host: str, says: str, path: str, edit: str, then: str = "true") -> Fault:
    """One that is in a file of containerd."""
    make, repair = f"cp -p {path} /tmp/whole; {edit}; {then}", f"cp -p /tmp/whole {path}; {then}"
    return _command(name, host, TOOLKIT, says, make, repair)


def _labels(name: str, host: str, says: str, **labels: str) -> Fault:
    node = host if host == "bcn1" else f"{host}.home.example"
    place = f"v1 Node '' {node}"
    change = {"metadata": {"labels": {key.replace("_", "-"): value for key, value in labels.items()}}}
    marks = {"metadata": {"labels": {f"nvidia.com/gpu.deploy.{k}": v for k, v in change["metadata"]["labels"].items()}}}
    return Fault(
        name, host, NODE, says,
        lambda lab: lab.ssh("tkc", f"lab-api patch {place}", marks), lambda lab: lab.ssh("tkc", "lab-api mend"),
    )  # fmt: skip


def _object(name: str, check: str, says: str, place: str, change: dict[str, Any]) -> Fault:
    """One of an object that a resource declares."""
    return Fault(
        name, "tkc", f"{check}_is_as_declared", says,
        lambda lab: lab.ssh("tkc", f"lab-api patch {place}", change), lambda lab: lab.ssh("tkc", "lab-api mend"),
    )  # fmt: skip


_RESTART = "snap restart microk8s.daemon-containerd"
_PLUGIN, _TOOLKIT = "nvidia-device-plugin-daemonset", "nvidia-container-toolkit-daemonset"
_OTHER_UUID = "GPU-00000000-0000-0000-0000-000000000000"

FAULTS = (
    _hardware("card gone", "bcn1", BUS, "card 0000:08:00.0 is not there", cards={1: {"on_bus": False}}),
    _hardware("card of a VM gone", "tkw1", BUS, "0 of 1 cards are there", cards={0: {"on_bus": False}}),
    _hardware("reservation lost", "bcn1", BUS, "the inventory has 2 cards here", cards={0: {"driver": "nvidia"}}),
    _hardware("nouveau", "tkw1", DRIVER, "card 0000:07:00.0 is bound to nouveau", cards={0: {"driver": "nouveau"}}),
    _hardware(
        "vfio holds ours", "bcn1", DRIVER, "0000:09:00.0 is bound to vfio-pci", cards={2: {"driver": "vfio-pci"}}
    ),
    _hardware("no driver bound", "bcn1", DRIVER, "0000:08:00.0 is bound to no driver", cards={1: {"driver": ""}}),
    _hardware("module not loaded", "tkw1", DRIVER, "module nvidia is not loaded", loaded=False),
    _hardware("library mismatch", "tkw1", DRIVER, "Driver/library version mismatch", library="570.86.10"),
    _hardware("nvidia-smi hangs", "bcn1", DRIVER, "no answer within 20 s", hangs=True),
    _hardware("one of two silent", "bcn1", DRIVER, "card 0000:09:00.0 does not answer", cards={2: {"silent": True}}),
    _hardware("driver removed", "tkw1", DRIVER, "module nvidia is not loaded", driver="", loaded=False),
    _labels("stale deploy label", "tkw1", "deploy.device-plugin is false, not true", device_plugin="false"),
    _labels("all parts off", "bcn1", "deploy.operands is false, not true", operands="false"),
    _labels("two drivers", "tkw1", "deploy.driver is true, not pre-installed", driver="true"),
    _command(
        "node not ready",
        "tkw1",
        NODE,
        "tkw1.home.example is not Ready",
        "snap stop microk8s.daemon-kubelite",
        "snap start microk8s.daemon-kubelite; lab-gpu mend",
    ),
    _command(
        "toolkit crashes",
        "tkw1",
        TOOLKIT,
        "StartError, exit code 128: it was broken on purpose",
        f"lab-gpu crash {_TOOLKIT}",
    ),
    _file(
        "template overwritten",
        "bcn1",
        "template.toml has no runtime nvidia",
        TEMPLATE,
        f"cp {TEMPLATE}.before-thinkube {TEMPLATE}",
    ),
    _file(
        "containerd not restarted",
        "tkw1",
        "containerd's configuration has no runtime nvidia",
        CONFIG,
        f"cp {TEMPLATE}.before-thinkube {CONFIG}",
    ),
    _file(
        "configuration unreadable",
        "tkw1",
        "containerd's configuration cannot be read",
        CONFIG,
        f"echo no [ >> {CONFIG}",
    ),
    _file("template unreadable", "tkw1", "cannot be read", TEMPLATE, f"echo broken [ >> {TEMPLATE}"),
    _file(
        "toolkit's runtime gone", "tkc", f"runtime nvidia starts {BINARY}, which is not there", BINARY, f"rm {BINARY}"
    ),
    _file(
        "nvidia is the default",
        "bcn1",
        "makes nvidia the default",
        TEMPLATE,
        f"sed -i 's/default_runtime_name = .*/default_runtime_name = \"nvidia\"/' {TEMPLATE}",
        _RESTART,
    ),
    _file(
        "default runtime without program",
        "tkw1",
        "the default runtime lost starts /usr/local/nvidia/lost",
        TEMPLATE,
        f"sed -i 's/default_runtime_name = .*/default_runtime_name = \"lost\"/' {TEMPLATE}; printf '%s\\n'"
        " '[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.lost.options]'"
        f" 'BinaryName = \"/usr/local/nvidia/lost\"' >> {TEMPLATE}",
        _RESTART,
    ),
    _command(
        "device plugin crashes",
        "tkw1",
        OFFER,
        f"{_PLUGIN} on tkw1.home.example: container main: CrashLoop",
        f"lab-gpu crash {_PLUGIN}",
    ),
    _hardware("nothing allocatable", "tkw1", OFFER, "has 0 nvidia.com/gpu allocatable, not 1", offered=0),
    _hardware("fewer allocatable than cards", "bcn1", OFFER, "has 1 nvidia.com/gpu allocatable, not 2", offered=1),
    _hardware(
        "another card's UUID", "tkw1", POD, f"it saw {_OTHER_UUID}, which the host has not", shown_as=_OTHER_UUID
    ),
    _hardware(
        "CUDA fails on one card", "bcn1", POD, "0000:09:00.0", cards={2: {"fails": "unspecified launch failure"}}
    ),
    _command("image cannot be had", "tkw1", POD, "ImagePullBackOff", "lab-gpu registry"),
    _object(
        "namespace unprivileged",
        "manifest_namespace_of_the_gpu_operator",
        "pod-security.kubernetes.io/enforce",
        "v1 Namespace '' gpu-operator",
        {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": None}}},
    ),
    *(
        _object(
            f"no {name}",
            "release_gpu_operator",
            "spec.replicas 0",
            f"apps/v1 Deployment gpu-operator {name}",
            {"spec": {"replicas": 0}},
        )
        for name in ("gpu-operator", *(f"gpu-operator-node-feature-discovery-{part}" for part in ("master", "gc")))
    ),
    _command(
        "saved template gone",
        "bcn1",
        "file_saved_containerd_template_is_as_declared",
        "is missing",
        f"mv {TEMPLATE}.before-thinkube /tmp/saved",
        f"mv /tmp/saved {TEMPLATE}.before-thinkube",
    ),
    _command("RuntimeClass gone", "tkc", "runtime_class_exists", "it does not exist", "lab-gpu class"),
    _command("validator crashes", "tkc", "policy_is_ready", "is not ready", "lab-gpu crash nvidia-operator-validator"),
)
