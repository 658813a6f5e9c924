"""What the GPU operator's pods, and pods that compute, do when they start on a host of the lab.

Source: NVIDIA/gpu-operator@v25.10.1 assets/state-container-toolkit/0400_configmap.yaml
Source: NVIDIA/gpu-operator@v25.10.1 assets/state-driver/0500_daemonset.yaml
Source: NVIDIA/gpu-operator@v25.10.1 cmd/nvidia-validator/main.go
Source: NVIDIA/k8s-device-plugin@v0.18.1 internal/rm/device_map.go
Unproven: how long the operator's driver takes to build (ten minutes here), and what its failing build prints.
Unproven: what CUDA's vectorAdd prints on errors of a card.
"""

from __future__ import annotations

from tasks.lab import gpu_toolkit
from tasks.lab.gpu_toolkit import VALIDATIONS
from tasks.lab.gpus import Card, Gpus, gpus, listed
from tasks.lab.microk8s import containerd
from tasks.lab.microk8s.node import Node, control_of
from tasks.lab.pods import POD_ENV, PROGRAMS, run_command
from tasks.lab.tool import ToolError, tool
from thinkube_nornir.lab.emulation import Call, LabHost, Reply, pause
from thinkube_nornir.lab.kube import Object, PodExit

GPU = "nvidia.com/gpu"
BROUGHT = "570.172.08"
BUILD = 600.0  # seconds
SAMPLE = "nvcr.io/nvidia/k8s/cuda-sample"


def crashing(host: LabHost) -> dict[str, str]:
    """Apps that end with this error on the host, however often they start; filled by who breaks them."""
    found: dict[str, str] = host.state.setdefault("crashing", {})
    return found


def blocked_reason(app: str, host: LabHost) -> str:
    """Why a pod of the operator cannot start here; empty when it can."""
    now = gpus(host)
    if app in crashing(host):
        return crashing(host)[app]
    if app == "nvidia-driver-daemonset":
        return "could not unload nvidia: the host has a driver of its own" if now.driver else ""
    if not now.driver_works:
        return "init container driver-validation: nvidia-smi failed"
    if app == "nvidia-container-toolkit-daemonset":
        return ""
    if not host.files.exists(f"{VALIDATIONS}/toolkit-ready"):
        return "init container toolkit-validation: waiting for toolkit-ready"
    if app == "nvidia-device-plugin-daemonset" and len({card.sliced for card in now.usable}) > 1:
        return "all devices on the node must be configured with the same migEnabled value"
    return containerd.refusal(host, "nvidia")


async def _operand(node: Node, pod: Object) -> None:
    app = str(pod["metadata"]["labels"].get("app", ""))
    if app not in APPS:
        return  # the operator itself: its image is the validator's, too
    if reason := blocked_reason(app, node.host):
        raise RuntimeError(reason)
    if app == "nvidia-container-toolkit-daemonset":
        await _install_toolkit(node.host, pod)
    if app == "nvidia-driver-daemonset":
        await pause(node.host.lab, BUILD)
        _load_driver(node.host)
    if app == "nvidia-mig-manager":
        for card in gpus(node.host).cards:
            card.slices = None  # what the operator's default, all-disabled, says


async def _install_toolkit(host: LabHost, pod: Object) -> None:
    container = pod["spec"]["containers"][0]
    env = {e["name"]: str(e.get("value", "")) for e in container.get("env") or ()}
    await gpu_toolkit.remove(host)  # an earlier pod did so when it ended
    await pause(host.lab, 5.0)
    await gpu_toolkit.install(host, str(container["image"]).rpartition(":")[2], env)


def _load_driver(host: LabHost) -> None:
    now = gpus(host)
    now.brought, now.loaded = BROUGHT, True
    host.files.write("/run/nvidia/driver/usr/bin/nvidia-smi", "")
    for card in now.present:
        card.driver = card.driver or "nvidia"


async def _sample(node: Node, pod: Object) -> PodExit:
    """A pod that computes: it gets cards as the device plugin hands them out, then its command really runs."""
    container = pod["spec"]["containers"][0]
    wanted = int((container.get("resources", {}).get("limits") or {}).get(GPU, 0))
    given = _given(node, wanted)
    if len(given) < wanted:
        raise RuntimeError(f"Allocate failed due to requested number of devices unavailable for {GPU}")
    handed = given if pod["spec"].get("runtimeClassName") or _by_cdi(node) else []
    gpus(node.host).assigned[_key(pod)] = [card.uuid for card in handed]
    return await run_command(node.host, pod, list(container.get("command") or ("sample",)))


def _given(node: Node, wanted: int) -> list[Card]:
    now, control = gpus(node.host), control_of(node)
    pods = control.api.list("v1", "Pod") if control else []
    alive = {_key(p) for p in pods if p["status"].get("phase") in ("Pending", "Running")}
    now.assigned = {key: uuids for key, uuids in now.assigned.items() if key in alive}
    used = [uuid for uuids in now.assigned.values() for uuid in uuids]
    units = [card for card in now.usable for _ in range(1 if card.slices is None else card.slices)]
    return sorted(units, key=lambda card: used.count(card.uuid))[:wanted]


def _by_cdi(node: Node) -> bool:
    """Devices are then put into containers of any runtime."""
    control = control_of(node)
    policies = control.api.list("nvidia.com/v1", "ClusterPolicy") if control else []
    return any(policy["spec"].get("cdi", {}).get("enabled") for policy in policies)


def _key(pod: Object) -> str:
    return f"{pod['metadata'].get('namespace', 'default')}/{pod['metadata']['name']}"


def _handed(call: Call) -> tuple[Gpus, list[Card]]:
    now = gpus(call.host)
    uuids = now.assigned.get(call.env.get(POD_ENV, ""), [])
    return now, [card for card in now.usable if card.uuid in uuids]


@tool
async def nvidia_smi(call: Call) -> Reply:
    """nvidia-smi as a container sees it: only the cards that it was given."""
    now, cards = _handed(call)
    if not cards:
        raise ToolError(127, "nvidia-smi: not found\n")
    shown = listed(cards, call.argv[1:], now.driver or now.brought)
    text = str(shown.stdout)
    for card in cards:
        text = text.replace(card.uuid, now.shown_as.get(card.uuid, card.uuid))
    return Reply(shown.status, text)


@tool
async def sample(call: Call) -> Reply:
    """NVIDIA's vectorAdd, on the first card that it may see."""
    now, cards = _handed(call)
    visible = call.env.get("CUDA_VISIBLE_DEVICES", "")
    chosen = [card for card in cards if not visible or now.shown_as.get(card.uuid, card.uuid) in visible]
    head = "[Vector addition of 50000 elements]\n"
    if not chosen:
        error = (
            "CUDA driver version is insufficient for CUDA runtime version" if not cards else "no CUDA-capable device"
        )
        return Reply(1, head, f"Failed to allocate device vector A (error code {error})!\n")
    if chosen[0].fails:
        return Reply(1, head, f"Failed to launch vectorAdd kernel (error code {chosen[0].fails})!\n")
    message = (
        "Copy input data from the host memory to the CUDA device\nCUDA kernel launch with 196 blocks of 256 threads\n"
    )
    return Reply(0, f"{head}{message}Copy output data from the CUDA device to the host memory\nTest PASSED\nDone\n")


POD_TOOLS = {"nvidia-smi": nvidia_smi, "sample": sample}
APPS = (
    "nvidia-driver-daemonset",
    "nvidia-container-toolkit-daemonset",
    "nvidia-device-plugin-daemonset",
    "nvidia-device-plugin-mps-control-daemon",
    "gpu-feature-discovery",
    "nvidia-dcgm-exporter",
    "nvidia-mig-manager",
    "nvidia-operator-validator",
)
OPERAND_IMAGES = (
    "nvcr.io/nvidia/driver",
    "nvcr.io/nvidia/k8s/container-toolkit",
    "nvcr.io/nvidia/k8s-device-plugin",
    "nvcr.io/nvidia/k8s/dcgm-exporter",
    "nvcr.io/nvidia/cloud-native/k8s-mig-manager",
    "nvcr.io/nvidia/cloud-native/gpu-operator-validator",
    "nvcr.io/nvidia/gpu-operator",
)
PROGRAMS.update(dict.fromkeys(OPERAND_IMAGES, _operand))
PROGRAMS[SAMPLE] = _sample
