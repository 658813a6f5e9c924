"""Machines of a small cluster as a state that the fake host answers from: a change changes what is read next.

cluster = FakeCluster()                              tkc and tkw1 with nothing installed, BIND known
cluster.run("tkc", microk8s_control.COMPONENT)       the set-up chain, as the runner would walk it
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nornir.core.task import Result

from tests.certificates import Authority, kubeconfig
from tests.fake_api import FakeApi
from tests.fake_files import FakeFile
from tests.fake_host import FakeHost, MemoryChangeLog, Reply
from tests.leftovers import Leftovers
from thinkube_nornir.command import Command
from thinkube_nornir.component import Chain, Component
from thinkube_nornir.config import Timeouts
from thinkube_nornir.context import Context
from thinkube_nornir.errors import Unreachable

ROOT = Path(__file__).parent.parent
DATA = "/var/snap/microk8s/current"
AUTHORITY = Authority()
CERTIFICATE = AUTHORITY.issue("127.0.0.1", "127.0.0.1", "192.168.1.110")[0]
KUBECONFIG = kubeconfig("https://192.168.1.110:16443", AUTHORITY.pem, token="token-of-the-admin")
SERVICES = ("kubelite", "containerd", "k8s-dqlite", "cluster-agent", "apiserver-proxy")
COREFILE_OF_ADDON = ".:53 {\n    forward . /etc/resolv.conf\n}\n"

SETTINGS = {
    "domain_name": "example.org",
    "dns_servers": ["8.8.8.8", "8.8.4.4"],
    "zerotier_cidr": "192.168.191.0/24",
    "load_balancer_range": "192.168.191.200-192.168.191.205",
    "knative": True,
    "system_username": "ops",
    "microk8s_channel": "1.35/stable",
    "dns_settle_seconds": 0,
    "network_cidr": "192.168.1.0/24",
    "node_disk": "20GB",
}


def node(name: str, address: str, **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name} | labels},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [{"type": "InternalIP", "address": address}],
            "nodeInfo": {"kubeletVersion": "v1.35.0"},
        },
    }


def workload(kind: str, name: str) -> dict[str, Any]:
    counts = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1, "observedGeneration": 1}
    daemon = {"desiredNumberScheduled": 1, "updatedNumberScheduled": 1, "numberAvailable": 1, "observedGeneration": 1}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "kube-system", "generation": 1},
        "spec": {"replicas": 1, "template": {"metadata": {}}},
        "status": daemon if kind == "DaemonSet" else counts,
    }


def pod(name: str, label: str, on: str, address: str = "10.1.0.5") -> dict[str, Any]:
    key, _, value = label.partition("=")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "kube-system", "labels": {key: value}, "ownerReferences": [{}]},
        "spec": {"nodeName": on, "hostNetwork": name.startswith("calico")},
        "status": {
            "podIP": address,
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"restartCount": 0, "state": {"running": {}}}],
        },
    }


@dataclass
class Machine:
    """One host. Attributes are what its tools report."""

    name: str
    lan_ip: str
    hostname: str
    channel: str = ""
    """Of the snap; empty: not installed."""
    notes: set[str] = field(default_factory=lambda: {"classic"})
    members: set[str] = field(default_factory=set)
    running: bool = True
    addons: set[str] = field(default_factory=set)
    clustered: bool = False
    stopped: bool = False
    """Whether `microk8s stop` has left its mark."""
    survives_start: bool = False
    """The mark is there, and the services run: to start them does nothing."""
    units: dict[str, str] = field(default_factory=dict)
    """States other than active."""
    ports: set[int] = field(default_factory=lambda: {22})
    source: str = ""
    """Of the default route, when it is not lan_ip."""
    skew: float = 0.0
    socket: bool = True
    certificate: bytes = CERTIFICATE
    links: set[str] = field(default_factory=lambda: {"lo", "br0", "ztabc"})
    mounts: list[str] = field(default_factory=list)
    left: Leftovers = field(default_factory=Leftovers)
    """What is outside of MicroK8s' own folders."""
    leftovers: bool = False
    group: bool = False
    """Whether the snap's group is left behind."""
    agent_looks: int = 0
    """How often the launch configuration is still seen as not applied."""
    join_answers: list[str] = field(default_factory=list)
    """What the next joins fail with."""
    stored: list[str] = field(default_factory=list)
    """What is in the folder of hostpath volumes."""
    volumes: bool = True
    """Those of the storage class are there."""
    launch: str = ""
    """The launch configuration that the snap was installed with."""
    kubectl: Reply = field(default_factory=lambda: Reply(0, json.dumps({"clientVersion": {}, "serverVersion": {}})))
    resolver: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))
    """resolved's global servers and domains, as loaded."""
    resolver_started: float = 1.0
    kubelite_started: float = 1.0
    captures: set[str] = field(default_factory=set)
    """Drop-ins with Domains=~. ."""
    names: dict[str, str] = field(default_factory=dict)
    """What getent answers, beside the domain's names once resolved routes them."""
    os_release: str = 'ID=ubuntu\nVERSION_ID="24.04"\nPRETTY_NAME="Ubuntu 24.04.3 LTS"\n'
    snapd: str = "2.66.1+24.04"
    sudo: str | Reply = "Sudo version 1.9.15p5\nSudoers policy plugin version 1.9.15p5\n"
    machine_id: str = ""
    """Made from the name when empty."""
    free_disk: int = 50 * 10**9
    memory: int = 8 * 10**9
    kernel_log: bool = True
    firewall: Reply = field(default_factory=lambda: Reply(0, "Status: inactive\n"))
    environment: str = 'PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin"\n'
    store: Reply = field(default_factory=lambda: Reply(0, "Connectivity status:\n * PASS\n"))
    curl: Reply = field(default_factory=Reply)

    @property
    def files(self) -> Any:
        return self.host.files

    def __post_init__(self) -> None:
        self.host = FakeHost(self.name, answers=dict(self._answers()), settings=SETTINGS | {"lan_ip": self.lan_ip})
        self.cluster: FakeCluster

    def _answers(self) -> Any:
        """Command line's beginning to what answers it."""
        yield from self.left.answers()
        yield from {
            "hostname": lambda _: f"{self.hostname}\n",
            "date +%s": lambda _: f"{time.time() + self.skew:.0f}",
            "snap list microk8s": self._snap_list,
            "snap version": lambda _: f"snap    {self.snapd}\nsnapd   {self.snapd}\nseries  16\nubuntu  24.04\n",
            "snap debug connectivity": lambda _: self.store,
            "sudo --version": lambda _: self.sudo,
            "cat /etc/os-release": lambda _: Reply(0, self.os_release) if self.os_release else Reply(1),
            "cat /etc/machine-id": lambda _: f"{self.machine_id or self.name}\n",
            "cat /etc/environment": lambda _: self.environment,
            "test -c /dev/kmsg": lambda _: Reply(0 if self.kernel_log else 1),
            "df --block-size=1 --output=avail,target": lambda _: f"     Avail Mounted on\n{self.free_disk} /\n",
            "free --bytes": lambda _: f"{'total':>18}\nMem: {self.memory} 1 2 3 4 5\nSwap: 0 0 0\n",
            "ufw status verbose": lambda _: self.firewall,
            "curl --silent": lambda _: self.curl,
            "snap changes": "ID   Status  Spawn  Ready  Summary\n",
            "snap wait system seed.loaded": "",
            "snap install microk8s": self._install,
            "snap refresh microk8s": self._refresh,
            "snap refresh --hold": lambda _: self._noted("held", on=True),
            "snap refresh --unhold": lambda _: self._noted("held", on=False),
            "snap restart": lambda _: self._restarted(),
            "snap remove --purge": self._remove,
            "getent group microk8s": lambda _: (
                f"microk8s:x:9:{','.join(sorted(self.members))}\n" if self.channel or self.group else Reply(2)
            ),
            "groupdel microk8s": lambda _: self._groupdel(),
            "getent passwd ops": "ops:x:1000:1000::/home/ops:/bin/bash\n",
            "getent ahostsv4": self._getent,
            "usermod -aG microk8s": lambda c: self._member(c.argv[-1], on=True),
            "gpasswd --delete": lambda c: self._member(c.argv[2], on=False),
            "systemctl is-active": self._is_active,
            "systemctl show": self._unit,
            "systemctl restart systemd-resolved.service": self._load_resolver,
            "resolvectl dns": lambda _: f"Global: {' '.join(self.resolver[0])}\nLink 2 (eth0): 8.8.8.8\n",
            "resolvectl domain": lambda _: f"Global: {' '.join(self.resolver[1])}\nLink 2 (eth0):\n",
            "grep -rlsE": self._grep,
            "mv --no-clobber": self._move,
            "ip -json address": lambda _: json.dumps([{"ifname": "br0", "addr_info": [{"local": self.lan_ip}]}]),
            "ip -json route": lambda _: json.dumps(
                [{"dst": "default", "dev": "br0", "prefsrc": self.source or self.lan_ip}]
            ),
            "ip -json link": lambda _: json.dumps([{"ifname": name} for name in sorted(self.links)]),
            "ip link delete": lambda c: _quiet(self.links.discard, c.argv[-1]),
            "ss -Hltn": lambda _: "".join(f"LISTEN 0 9 *:{port} *:*\n" for port in sorted(self.ports)),
            "cat /proc/mounts": lambda _: "".join(f"tmpfs {point} tmpfs rw 0 0\n" for point in ["/", *self.mounts]),
            "true": "",
            "umount": lambda _: _quiet(self.mounts.clear),
            "readlink /var/lib/kubelet": Reply(1),
            "ls -A /var/snap/microk8s/common/etc/launcher": lambda _: self._launcher(),
            "test -e /etc/systemd/resolved.conf.d/10-thinkube.conf": lambda command: Reply(
                0 if command.argv[-1] in self.host.files else 1
            ),
            "test -e /var/snap/microk8s": lambda _: Reply(0 if self.leftovers else 1),
            "rm -rf": self._clear,
            "thinkube:edit": self._edit,
            "ls -A -- /var/snap/microk8s/common/default-storage": lambda _: "".join(f"{n}\n" for n in self.stored),
            f"cat {DATA}/args/traefik": lambda _: "- address: 192.168.1.110:16443\n" if self.clustered else Reply(1),
            f"cat {DATA}/certs/server.crt": lambda _: self.certificate if self.channel else Reply(1),
            f"test -e {DATA}/var/lock/clustered.lock": lambda _: Reply(0 if self.clustered else 1),
            f"test -e {DATA}/var/lock/stopped.lock": lambda _: Reply(0 if self.stopped else 1),
            f"test -e {DATA}/var/kubernetes/backend/kine.sock:12379": lambda _: Reply(0 if self.socket else 1),
            "stat '--format=%.9Z %n'": lambda c: Reply(*self.files.stat_changes(c)),
            "/home/ops/.local/bin/kubectl": lambda _: self.kubectl,
            "/snap/bin/microk8s status": self._status,
            "/snap/bin/microk8s enable": lambda c: _quiet(self.addons.add, c.argv[-1]),
            "/snap/bin/microk8s disable": self._disable,
            "/snap/bin/microk8s config": lambda _: KUBECONFIG if self.channel else Reply(127),
            "/snap/bin/microk8s stop": lambda _: "" if self.clustered else self._stop(),
            "/snap/bin/microk8s start": lambda _: "" if self.clustered else self._start(),
            "snap start --enable microk8s": lambda _: "" if self.survives_start else self._start(),
            "/snap/bin/microk8s leave": lambda _: self._left(),
            "/snap/bin/microk8s add-node": lambda _: self.cluster.invite(),
            "/snap/bin/microk8s remove-node": lambda c: self.cluster.forget(c.argv[2]),
            "/snap/bin/microk8s kubectl drain": "",
            "xargs /snap/bin/microk8s join --worker": self._join,
        }.items()

    def _groupdel(self) -> str:
        self.group = False
        return ""

    def _snap_list(self, _: Command) -> Reply:
        row = f"microk8s v1.35.0 8000 {self.channel} canonical {','.join(sorted(self.notes)) or '-'}\n"
        return Reply(0, f"Name Version Rev Tracking Publisher Notes\n{row}") if self.channel else Reply(1)

    def _install(self, command: Command) -> str:
        self.group = True
        self.channel, self.leftovers = command.argv[-1].partition("=")[2], True
        self.links |= {"vxlan.calico", "cali123"}
        self.left.appear()
        self.mounts = ["/var/snap/microk8s/common/var/lib/kubelet/a", "/var/snap/microk8s/common/var/lib/kubelet/a/b"]
        launch = self.files["/etc/microk8s.yaml"].content.decode() if "/etc/microk8s.yaml" in self.files else ""
        given = f"={self.lan_ip}" if self.lan_ip in launch else "=10.0.0.1"
        self.set_arguments(f"--v=1\n--node-ip{given}\n", f"--advertise-address{given}\n")
        self.addons, self.launch = {"helm3"}, launch or "addons: [dns]"
        self.cluster.started(self)
        return ""

    def _launcher(self) -> Reply:
        """The cluster agent applies what is there, some time after it was asked about for the first times."""
        if self.agent_looks:
            self.agent_looks -= 1
            return Reply(0, "install.yaml\n")
        self.addons |= {"dns"} if "dns" in self.launch else set()
        return Reply(0, "install.yaml.applied\n") if self.channel else Reply(2)

    def set_arguments(self, kubelet: str, api_server: str) -> None:
        for name, text in (("kubelet", kubelet), ("kube-apiserver", api_server)):
            self.files[f"{DATA}/args/{name}"] = FakeFile(text.encode(), 0o660)

    def _edit(self, command: Command) -> Reply:
        path = command.argv[4]
        self.files[path] = replace(self.files[path], content=command.stdin)
        self.files.touch(path)
        return Reply()

    def _unit(self, command: Command) -> str:
        started = self.kubelite_started if "kubelite" in command.argv[-1] else self.resolver_started
        return (
            "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nNeedDaemonReload=no\n"
            f"ExecMainStartTimestamp=Thu 1970-01-01 00:00:{started:09.6f} UTC\n"
        )

    def _refresh(self, command: Command) -> str:
        self.channel = command.argv[-1].partition("=")[2]
        return ""

    def _noted(self, note: str, *, on: bool) -> str:
        (self.notes.add if on else self.notes.discard)(note)
        return ""

    def _member(self, user: str, *, on: bool) -> str:
        (self.members.add if on else self.members.discard)(user)
        return ""

    def _remove(self, _: Command) -> Reply:
        if self.mounts:
            return Reply(1, stderr="device or resource busy")
        self.channel, self.notes, self.clustered = "", {"classic"}, False
        for path in [path for path in self.files if path.startswith(DATA)]:
            del self.files[path]
        self.left.removed()
        self.cluster.gone(self)
        return Reply()

    def _clear(self, _: Command) -> str:
        self.leftovers = False
        return ""

    def _is_active(self, command: Command) -> Reply:
        states = [self.units.get(unit, "active") for unit in command.argv[2:]]
        return Reply(0 if set(states) == {"active"} else 3, "".join(f"{state}\n" for state in states))

    def _status(self, _: Command) -> Reply:
        if not self.channel:
            return Reply(127, stderr="not found")
        if self.clustered:
            return Reply(0, "This MicroK8s deployment is acting as a node in a cluster.\n")
        names = ("dns", "hostpath-storage", "helm3", "ingress")
        addons = [{"name": n, "status": "enabled" if n in self.addons else "disabled"} for n in names]
        return Reply(0, json.dumps({"microk8s": {"running": self.running}, "addons": addons}))

    def _disable(self, command: Command) -> Reply:
        """That of hostpath-storage asks whether to delete the volumes, and fails when they are kept."""
        self.addons.discard(command.argv[-1])
        asks = command.argv[-1] == "hostpath-storage"
        self.volumes = self.volumes and not (asks and command.stdin.strip().lower() == b"y")
        return Reply(int(asks and self.volumes))

    def _join(self, command: Command) -> Reply:
        if self.join_answers:
            return Reply(123, self.join_answers.pop(0))
        if b"192.168.1.110:25000/good" not in command.stdin:
            return Reply(123, stderr="Invalid token")
        self.clustered = True
        self.cluster.joined(self)
        return Reply()

    def _left(self) -> Reply:
        if self.stopped:
            return Reply(1, stderr="microk8s is not running, try microk8s start")
        self.clustered = False
        return Reply()

    def _stop(self) -> str:
        self.stopped = True
        self.units = {f"snap.microk8s.daemon-{name}": "inactive" for name in SERVICES}
        return ""

    def _restarted(self) -> str:
        self.stopped = False
        self.files.clock += 1
        self.kubelite_started = self.files.clock
        return ""

    def _start(self) -> str:
        self.stopped, self.units = False, {}
        return ""

    def _grep(self, command: Command) -> Reply | str:
        ours = "/etc/systemd/resolved.conf.d/10-thinkube.conf"
        found = self.captures | ({ours} & self.files.keys() if "DNS" in " ".join(command.argv) else set())
        return "".join(f"{path}\n" for path in sorted(found)) or Reply(1)

    def _move(self, command: Command) -> str:
        source, target = command.argv[2:]
        for path, present in ((source, False), (target, target.endswith(".conf"))):
            (self.captures.add if present else self.captures.discard)(path)
        return ""

    def _load_resolver(self, _: Command) -> str:
        path = "/etc/systemd/resolved.conf.d/10-thinkube.conf"
        ours = (["192.168.191.1"], ["~example.org"]) if path in self.files else ([], [])
        self.resolver = ours[0], ours[1] + ["~."] * bool(self.captures)
        self.files.clock += 1
        self.resolver_started = self.files.clock
        return ""

    def _getent(self, command: Command) -> Reply:
        name = command.argv[-1]
        routed = name.endswith("example.org") and "~example.org" in self.resolver[1]
        inside = "192.168.191.201" if ".kn." in name else "192.168.191.200"
        address = self.names.get(name, inside if routed else "" if name.endswith("example.org") else "203.0.113.7")
        return Reply(0, f"{address} STREAM {name}\n{address} DGRAM\n") if address else Reply(2)


class FakeCluster:
    """The machines, one API, one change log."""

    def __init__(self) -> None:
        self.api, self.change_log = FakeApi(), MemoryChangeLog()
        self.api.down = "connection refused"
        self.api.pod = self._pod
        self.pod_answers: dict[str, str] = {}
        """Name to the address a pod gets, where it is not the right one; empty: NXDOMAIN."""
        self.resolv_conf = "search default.svc.cluster.local\nnameserver 10.152.183.10\n"
        self.pod_exit: dict[str, int] = {}
        """Beginning of a probe pod's name to its exit code."""
        self.invitations = 0
        control = Machine("tkc", "192.168.1.110", "tkc.example.org")
        worker = Machine("tkw1", "192.168.1.111", "tkw1.example.org")
        self.machines = {"tkc": control, "tkw1": worker}
        dns = FakeHost("dns1", groups=("dns",), settings={"zerotier_ip": "192.168.191.1"})
        groups = {"tkc": ("microk8s", "microk8s_control_plane"), "tkw1": ("microk8s", "microk8s_workers")}
        for name, machine in self.machines.items():
            machine.cluster, machine.host.change_log = self, self.change_log
            machine.host.groups = groups[name]
        control.host.others, worker.host.others = (worker.host, dns), (control.host, dns)

    def installed(self) -> FakeCluster:
        """As phase 5 leaves it, without what the components under test record."""
        from tasks.phase5_core_services import microk8s_control, microk8s_workers

        self.run("tkc", microk8s_control.COMPONENT)
        self.run("tkw1", microk8s_workers.COMPONENT)
        return self

    def run(self, host: str, component: Component, chain: str = "setup", **how: Any) -> dict[str, Result]:
        """Walk a chain until a step fails: on one host, with what runs once on the control plane."""
        steps: Chain = getattr(component, chain)
        contexts = {name: self.context(name, **how) for name in (host, "tkc")}
        results: dict[str, Result] = {}
        for step in steps.steps:
            at = "tkc" if step.on else host
            machine = self.machines[at].host
            machine.component = f"phase5.{component.title}"
            results[step.name] = machine.apply(step.function, context=contexts[at])
            if results[step.name].exception and not contexts[at].dry_run and chain in ("setup", "rollback"):
                raise results[step.name].exception  # type: ignore[misc]
        return results

    def context(self, host: str, **how: Any) -> Context:
        machine = self.machines[host].host
        context = machine._context(machine._inventory(), dry_run=False, read_only=False)
        config = replace(context.config, templates=ROOT / "templates", timeouts=Timeouts(command=5.0))
        clusters = {"tkc": self.api.opened()}
        return replace(context, config=config, clusters=clusters, facts={}, **how)

    def apply(self, host: str, step: Callable[..., Result], **how: Any) -> Result:
        return self.machines[host].host.apply(step, context=self.context(host, **how))

    @property
    def altering(self) -> list[str]:
        """Everything that was changed through any door, on any host."""
        hosts = [m.host for m in self.machines.values()]
        return [c for h in hosts for c in (*h.altering, *h.written)] + self.api.writes

    def forget_history(self) -> None:
        for machine in self.machines.values():
            machine.host.commands.clear()
            machine.files.written.clear()
        self.api.writes.clear()

    def unreachable(self, host: str) -> None:
        for key in self.machines[host].host.answers:
            self.machines[host].host.answers[key] = Unreachable(f"{host}: no route to host")

    def started(self, machine: Machine) -> None:
        if machine.name != "tkc":
            return
        api = self.api
        api.down = ""
        api.add(node(machine.hostname, machine.lan_ip))
        for kind, name in (("Deployment", "coredns"), ("Deployment", "calico-kube-controllers")):
            api.add(workload(kind, name))
        api.add(workload("Deployment", "hostpath-provisioner"))
        api.add(pod("calico-tkc", "k8s-app=calico-node", machine.hostname))
        api.add(pod("coredns-1", "k8s-app=kube-dns", machine.hostname))
        for name, namespace, address in (("kube-dns", "kube-system", ".10"), ("kubernetes", "default", ".1")):
            metadata = {"name": name, "namespace": namespace}
            spec = {"clusterIP": f"10.152.183{address}"}
            api.add({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
        metadata = {"name": "kube-dns", "namespace": "kube-system"}
        subsets = [{"addresses": [{"ip": "10.1.0.5"}]}]
        api.add({"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subsets})
        mark = {"storageclass.kubernetes.io/is-default-class": "true"}
        named = {"name": "microk8s-hostpath", "annotations": mark}
        api.add({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": named})
        metadata = {"name": "coredns", "namespace": "kube-system"}
        api.add(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"Corefile": COREFILE_OF_ADDON}}
        )

    def gone(self, machine: Machine) -> None:
        if machine.name == "tkc":
            self.api.objects.clear()
            self.api.down = "connection refused"

    def invite(self) -> str:
        self.invitations += 1
        token = f"good{self.invitations}token/check"
        urls = [f"{address}:25000/{token}" for address in ("192.168.100.10", "192.168.1.110")]
        return json.dumps({"token": token, "urls": urls})

    def joined(self, machine: Machine) -> None:
        label = {"node.kubernetes.io/microk8s-worker": "microk8s-worker"}
        self.api.add(node(machine.hostname, machine.lan_ip, **label))
        self.api.add(pod(f"calico-{machine.name}", "k8s-app=calico-node", machine.hostname))

    def forget(self, name: str) -> str:
        self.api.drop("Node", name)
        return ""

    def _pod(self, manifest: dict[str, Any]) -> tuple[int, str]:
        name = manifest["metadata"]["generateName"]
        for beginning, code in self.pod_exit.items():
            if name.startswith(beginning):
                return code, "it failed"
        command = manifest["spec"]["containers"][0]["command"]
        if command[0] != "sh":
            return 0, ""
        questions = command[4:]
        dashes = questions.index("--")
        served = "".join(self._asked(name) for name in questions[:dashes])
        return 0, f"{self.resolv_conf}{served}@@\n{''.join(map(self._pinged, questions[dashes + 1 :]))}"

    def _pinged(self, name: str) -> str:
        address = self.pod_answers.get(name, self._right(name.rstrip(".")))
        return f"PING {name} ({address}): 56 data bytes\n" if address else f"ping: bad address '{name}'\n"

    def _asked(self, name: str) -> str:
        head = f"@ {name}\nServer:\t\t10.152.183.10\nAddress:\t10.152.183.10:53\n\n"
        address = self.pod_answers.get(name, self._right(name.rstrip(".")))
        if not address or not address[0].isdigit():
            return f"{head}** server can't find {name}: {address or 'NXDOMAIN'}\n\n"
        return f"{head}Name:\t{name}\nAddress: {address}\n\n"

    def _right(self, name: str) -> str:
        if name.startswith("_acme-challenge"):
            return ""
        if name.endswith(".svc.cluster.local"):
            return "10.152.183.1"
        if name.endswith("example.org"):
            return "192.168.191.201" if ".kn." in name else "192.168.191.200"
        return "203.0.113.7"


def _quiet(effect: Callable[..., None], *arguments: str) -> str:
    """A command that does something and prints nothing."""
    effect(*arguments)
    return ""
