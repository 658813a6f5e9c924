"""Pods of the lab: a command really runs on the node's host; a CoreDNS pod serves the ConfigMap's Corefile.

Images are pulled once per node, and containers take their time to start and to end.

Unproven: how long pulling an image (6 s) and starting a container (1 s) take; both depend on the site.
Unproven: containers other than CoreDNS' and those that sleep or serve as process 1 end one second after SIGTERM.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from tasks.lab import internet
from tasks.lab.cluster_dns import LAMEDUCK, end_coredns, is_coredns, start_coredns
from tasks.lab.microk8s import containerd
from tasks.lab.microk8s.node import Node, control_of, nodes
from thinkube_nornir.lab.emulation import Lab, LabHost, pause
from thinkube_nornir.lab.kube import ImagePullError, Object, PodExit, PodRuntime, PodStop

BIN = "/opt/lab-pod/bin"
"""Comes first in a pod's PATH: the programs whose answer depends on being in a pod."""
POD_ENV = "LAB_POD"
"""`namespace/name` in the environment of everything a pod runs."""
REGISTRIES: tuple[str, ...] = ("docker.io", *internet.REGISTRIES)
FOREVER = 3600  # a pod that sleeps an hour or more keeps running, and needs no process for it
LONGEST = 300.0
WEB_SERVER = ("httpd", "-f")
PULL, START, STOP = 6.0, 1.0, 1.0  # seconds

Program = Callable[[Node, Object], Awaitable[PodExit | None]]
PROGRAMS: dict[str, Program] = {}
"""What images do when their container starts, by name without tag; a container of another one runs its command."""


def runtime(lab: Lab) -> PodRuntime:
    async def run(pod: Object, node_name: str) -> PodExit | None:
        node = next((n for n in nodes(lab) if n.name == node_name), None)
        if node is None:
            return None
        container = pod["spec"]["containers"][0]
        await pull(node.host, str(container["image"]))
        _must_have_a_runtime(node, pod)
        await pause(lab, START)
        if program := PROGRAMS.get(str(container["image"]).partition("@")[0].rpartition(":")[0]):
            return await program(node, pod)
        if is_coredns(pod):
            start_coredns(node, pod)
            return None
        command = command_of(pod)
        if not container.get("command") or keeps_running(command):
            return None
        return await run_command(node.host, pod, command, container.get("env") or ())

    return run


def stop(lab: Lab) -> PodStop:
    """SIGTERM, then the wait until the container has ended, SIGKILL when its grace is over.

    A program that is process 1 gets no default action for SIGTERM: `sleep` and busybox' httpd use all of their grace.
    """

    async def end(pod: Object, node_name: str) -> None:
        grace = float(pod["metadata"].get("deletionGracePeriodSeconds", 30))
        seconds = STOP
        if is_coredns(pod):
            seconds = LAMEDUCK
            for node in nodes(lab):
                if node.name == node_name:
                    end_coredns(node, pod)
        elif keeps_running(command_of(pod)):
            seconds = grace
        await pause(lab, min(seconds, grace))

    return end


def command_of(pod: Object) -> list[str]:
    container = pod["spec"]["containers"][0]
    return [str(w) for w in (*(container.get("command") or ()), *(container.get("args") or ()))]


def _must_have_a_runtime(node: Node, pod: Object) -> None:
    """Raises RuntimeError: containerd cannot start the pod with its RuntimeClass's handler, or with the default one."""
    name, control = str(pod["spec"].get("runtimeClassName") or ""), control_of(node)
    found = control.api.get("node.k8s.io/v1", "RuntimeClass", name) if name and control else None
    if reason := containerd.refusal(node.host, str(found["handler"]) if found else ""):
        raise RuntimeError(reason)


async def pull(host: LabHost, image: str) -> None:
    """Raises ImagePullError: a registry nobody knows, or one whose name the node cannot resolve."""
    pulled: set[str] = host.state.setdefault("images", set())
    if image in pulled:
        return
    first, slash, _ = image.partition("/")
    registry = first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"
    name = "registry-1.docker.io" if registry == "docker.io" else registry
    if registry not in REGISTRIES:
        raise ImagePullError(f'failed to pull and unpack image "{image}": dial tcp: lookup {registry}: no such host')
    found = internet.addresses_of(host, name)
    if not internet.is_reached(host, name):
        message = f"dial tcp {found[0]}:443: i/o timeout" if found else f"dial tcp: lookup {name}: no such host"
        raise ImagePullError(f'failed to pull and unpack image "{image}": {message}')
    await pause(host.lab, PULL)
    pulled.add(image)


def keeps_running(command: Sequence[str]) -> bool:
    """Also busybox' web server: traefik/routes.py answers for it."""
    if tuple(command[:2]) == WEB_SERVER:
        return True
    if len(command) != 2 or command[0] != "sleep":
        return False
    return command[1] == "infinity" or (command[1].isdigit() and int(command[1]) >= FOREVER)


async def run_command(host: LabHost, pod: Object, command: list[str], env: Sequence[dict[str, Any]] = ()) -> PodExit:
    """Run a pod's command on the node's host, with what a pod has in its environment."""
    at = pod["metadata"]
    given = {e["name"]: str(e.get("value", "")) for e in env}
    path = f"{BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    inside = {**given, "PATH": path, POD_ENV: f"{at.get('namespace', 'default')}/{at['name']}", "HOSTNAME": at["name"]}
    limit = float(pod["spec"].get("activeDeadlineSeconds") or LONGEST)
    reply = await host.run(command, env=inside, timeout=limit)
    return PodExit(reply.status, _bytes(reply.stdout) + _bytes(reply.stderr))


def _bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text
