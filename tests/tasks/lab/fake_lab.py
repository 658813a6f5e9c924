"""A lab in memory: hosts of the example inventory, their files as a dict, and a Kubernetes API without server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from tasks import lab as emulation
from tasks.lab import background
from thinkube_nornir.lab import accounts
from thinkube_nornir.lab.emulation import Call, HostFiles, Lab, LabHost, Reply, Tool
from thinkube_nornir.lab.kube import Fault, Object, PodRuntime, PodStop

_QUIET = 2.0  # seconds for what goes on in the background
TOOLS: Mapping[str, Tool] = {**accounts.TOOLS, **emulation.TOOLS}
COMMON = {
    "domain_name": "example.org",
    "system_username": "thinkube",
    "network_cidr": "192.168.1.0/24",
    "network_gateway": "192.168.1.1",
    "zerotier_cidr": "192.168.191.0/24",
    "dns_servers": ["8.8.8.8", "8.8.4.4"],
    "load_balancer_range": "192.168.191.200-192.168.191.205",
    "knative": True,
}
HOSTS = {
    "bcn1": ("101", None, "101", None, {"baremetal", "microk8s_workers"}),
    "bcn2": ("102", None, "102", None, {"baremetal"}),
    "dns1": ("100", "50", "1", "bcn2", {"dns"}),
    "tkc": ("110", "10", "110", "bcn2", {"microk8s_control_plane"}),
    "tkw1": ("111", "11", "111", "bcn1", {"microk8s_workers"}),
}


class FakeFiles:
    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.links: dict[str, str] = {}
        self.folders: set[str] = set()

    def _real(self, path: str) -> str:
        return self.links.get(path, path)

    def read(self, path: str) -> bytes:
        try:
            return self.content[self._real(path)]
        except KeyError:
            raise FileNotFoundError(path) from None

    def write(self, path: str, content: bytes | str, mode: int = 0o644) -> None:
        self.content[self._real(path)] = content.encode() if isinstance(content, str) else content

    def symlink(self, path: str, target: str) -> None:
        self.links[path] = target

    def exists(self, path: str) -> bool:
        path = self._real(path)
        return path in self.content or path in self.folders or any(p.startswith(f"{path}/") for p in self.content)

    def remove(self, path: str) -> None:
        self.links.pop(path, None)
        self.folders = {f for f in self.folders if f != path and not f.startswith(f"{path}/")}
        self.content = {p: c for p, c in self.content.items() if p != path and not p.startswith(f"{path}/")}

    def mkdir(self, path: str, mode: int = 0o755) -> None:
        self.folders.add(path)

    def list(self, path: str) -> Sequence[str]:
        return sorted({p.removeprefix(f"{path}/").split("/")[0] for p in self.content if p.startswith(f"{path}/")})


class FakeLabHost:
    def __init__(self, lab: FakeLab, name: str, settings: Mapping[str, Any], groups: set[str]) -> None:
        self.lab: Lab = lab
        self.name = name
        self.settings: Mapping[str, Any] = dict(settings)
        self.groups = frozenset(groups)
        self.files: HostFiles = FakeFiles()
        self.files.mkdir("/dev/kmsg")
        self.state: dict[str, Any] = {}
        self.installed: dict[str, str] = {}

    def install(self, path: str, tool: str, *, stdin: bool = False) -> None:
        self.installed[path] = tool
        self.files.write(path, tool)

    async def run(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, timeout: float = 60) -> Reply:
        """A pod's program: one of the lab's pod tools, else `true` and `echo`."""
        path = f"/opt/lab-pod/bin/{argv[0]}"
        if path in self.installed:
            call = Call(self, (path, *argv[1:]), env=dict(env or {}))
            return await TOOLS[self.installed[path]](call)
        return Reply(0, " ".join(argv[1:]) + "\n") if argv[0] == "echo" else Reply(127, "", f"{argv[0]}: not found\n")


class FakeLab:
    def __init__(self) -> None:
        self.state: dict[str, Any] = {"kube_api": FakeKube}
        self.speed = 10_000.0
        self.ports: dict[tuple[str, str, int], tuple[str, int]] = {}
        self.fakes: dict[str, FakeLabHost] = {}
        for name, (lan, internal, overlay, parent, groups) in HOSTS.items():
            own: dict[str, Any] = {"lan_ip": f"192.168.1.{lan}", "zerotier_ip": f"192.168.191.{overlay}"}
            own |= {"parent_host": parent, "internal_ip": f"192.168.100.{internal}"} if parent else {}
            self.fakes[name] = FakeLabHost(self, name, {**COMMON, **own}, groups)
        self.hosts: Mapping[str, LabHost] = self.fakes

    def sh(self, host: str, *argv: str, user: str = "root", stdin: str = "") -> Reply:
        """Call a tool the host has, by name or path, as its lab would; stdout and stderr come back as text."""
        return asyncio.run(self.call(host, *argv, user=user, stdin=stdin))

    async def call(self, host: str, *argv: str, user: str = "root", stdin: str = "", settle: bool = True) -> Reply:
        """Without `settle` it returns when the tool does, and what goes on in the background goes on."""
        here = self.fakes[host]
        paths = [argv[0]] if "/" in argv[0] else [f"{d}/{argv[0]}" for d in ("/usr/bin", "/usr/sbin", "/snap/bin")]
        path = next((p for p in paths if p in here.installed and here.files.exists(p)), None)
        if path is None:
            return Reply(127, "", f"{argv[0]}: command not found\n")
        reply = await TOOLS[here.installed[path]](Call(here, (path, *argv[1:]), stdin.encode(), user=user))
        if settle:
            await background.quiet(self.hosts, _QUIET)
        for api in (a for a in FakeKube.of(self) if isinstance(a, FakeKube)):
            await api.settle()
        return Reply(reply.status, _text(reply.stdout), _text(reply.stderr))


def _text(text: bytes | str) -> str:
    return text if isinstance(text, str) else text.decode()


def lab() -> FakeLab:
    """A prepared lab."""
    made = FakeLab()
    for host in made.fakes.values():
        here = {f"{folder}/{tool}": tool for tool, folder in accounts.PLACES.items()}
        for path, tool in {**here, **emulation.INSTALLED}.items():
            host.install(path, tool)
    asyncio.run(emulation.prepare(made))
    return made


class FakeKube:
    """What the handlers need of KubeApi; `settle` is its controllers: pods of workloads, and their runtime."""

    def __init__(
        self,
        *,
        version: str = "",
        runtime: PodRuntime | None = None,
        stop: PodStop | None = None,
        key_usage: bool = True,
    ) -> None:
        self.version, self.runtime, self.key_usage = version, runtime, key_usage
        self.faults: list[Fault] = []
        self.leaderless = 0
        """How often its controllers were paused."""
        self.objects: dict[tuple[str, str, str, str], Object] = {}
        self.ended: dict[str, str] = {}
        """Why a pod's container did not start."""
        self.port = 0
        self.serving = False

    @staticmethod
    def of(lab: FakeLab) -> list[FakeKube]:
        nodes = [h.state["machine"].node for h in lab.hosts.values() if "machine" in h.state]
        return [n.api for n in nodes if n is not None]

    def pause_controllers(self) -> None:
        self.leaderless += 1

    def resume_controllers(self) -> None:
        """What was paused goes on."""

    async def start(self, address: str = "127.0.0.1", port: int = 0) -> None:
        self.serving, self.port = True, id(self) % 50000 + 1024

    async def stop(self) -> None:
        self.serving = False

    def kubeconfig(self, server: str) -> str:
        return f"server: {server}\n"

    def add_node(self, name: str, *, address: str, labels: dict[str, str] | None = None, version: str = "") -> Object:
        status = {"addresses": [{"type": "InternalIP", "address": address}], "nodeInfo": {"kubeletVersion": version}}
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": labels or {}},
            "status": status,
        }
        self.objects[("v1", "Node", "", name)] = node
        self.set_node_ready(name, True)
        return node

    def set_node_ready(self, name: str, ready: bool, reason: str = "") -> None:
        condition = {"type": "Ready", "status": str(ready) if ready or not reason else "Unknown", "reason": reason}
        self.objects[("v1", "Node", "", name)]["status"]["conditions"] = [condition]

    def remove_node(self, name: str) -> None:
        del self.objects[("v1", "Node", "", name)]

    def apply(self, obj: Object) -> Object:
        at = obj["metadata"]
        key = (obj["apiVersion"], obj["kind"], at.get("namespace", ""), at["name"])
        self.objects[key] = deepcopy(obj)
        return obj

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Object | None:
        return self.objects.get((api_version, kind, namespace, name))

    def list(self, api_version: str, kind: str, namespace: str = "") -> list[Object]:
        return [o for k, o in self.objects.items() if k[:2] == (api_version, kind) and namespace in ("", k[2])]

    def delete(self, api_version: str, kind: str, name: str, namespace: str = "") -> bool:
        return self.objects.pop((api_version, kind, namespace, name), None) is not None

    async def settle(self) -> None:
        nodes = [n["metadata"]["name"] for n in self.list("v1", "Node")]
        for workload in self.list("apps/v1", "Deployment") if nodes else ():
            at = workload["metadata"]
            pod = {**deepcopy(workload["spec"]["template"]), "apiVersion": "v1", "kind": "Pod"}
            pod["metadata"] |= {"name": f"{at['name']}-0", "namespace": at["namespace"]}
            if self.get("v1", "Pod", f"{at['name']}-0", at["namespace"]) is None:
                self.apply(pod)
                await self._run(pod, nodes[0])

    async def _run(self, pod: Object, node: str) -> None:
        try:
            assert self.runtime is None or await self.runtime(pod, node) is None
        except Exception as error:  # any error of a runtime is, for a kubelet, a container that does not start
            self.ended[pod["metadata"]["name"]] = str(error)
