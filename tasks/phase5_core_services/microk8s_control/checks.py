"""What must be true of a MicroK8s control plane, and the settings that say what should be there."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from nornir.core.task import Result, Task

from tasks.phase5_core_services.microk8s_control.node_address import ARGUMENTS, given
from tasks.shared.cluster.control_plane import expect, kube, kubelet_version, name_of, registered_node
from tasks.shared.cluster.workloads import pod_network_trouble
from tasks.shared.hosts.node_facts import HOSTNAME, units
from tasks.shared.microk8s.distribution import SNAP, units_of, where_installed
from tasks.shared.microk8s.facts import (
    CERTIFICATE,
    CLUSTERED,
    DATASTORE_SOCKET,
    SOCKET_FILE,
    STATUS,
    STOPPED,
    arguments,
)
from thinkube_nornir.cluster import is_rolled_out, seen
from thinkube_nornir.command import Fact
from thinkube_nornir.context import setting
from thinkube_nornir.fixes import set_up
from thinkube_nornir.outcome import passed
from thinkube_nornir.remote import read, run
from thinkube_nornir.resources import from_setting, in_home

CLUSTER_DNS = "10.152.183.10"  # MicroK8s' own choice, which its dns addon insists on
STORAGE = "hostpath-storage"
KUBECTL_PATH = in_home(from_setting("system_username"), ".local/bin/kubectl")


def addons(task: Task) -> list[str]:
    return [*setting(task, "microk8s_addons")]


def workloads(task: Task) -> list[tuple[str, str]]:
    storage = [("Deployment", "hostpath-provisioner")] if STORAGE in addons(task) else []
    return [("Deployment", "calico-kube-controllers"), ("Deployment", "coredns"), *storage]


@where_installed
def microk8s_runs(task: Task) -> Result:
    running = read(task, STATUS).running
    fix = "see why: `microk8s inspect`"
    expect(running, "MicroK8s does not run", why="`microk8s status` does not say running: true", fix=fix)
    return passed(task, "microk8s status: running")


@where_installed
def addons_are_on(task: Task) -> Result:
    seen_on = read(task, STATUS).addons
    off = [name for name in addons(task) if not seen_on.get(name)]
    on = ", ".join(name for name, enabled in seen_on.items() if enabled) or "none"
    expect(not off, f"addons are not on: {', '.join(off)}", why=f"on are: {on}", fix=set_up(task))
    return passed(task, f"on: {', '.join(addons(task))}")


def node_version_fits_the_channel(task: Task) -> Result:
    track = str(setting(task, "microk8s_channel")).partition("/")[0]
    version = kubelet_version(registered_node(task))
    expect(
        version.removeprefix("v").startswith(f"{track}."),
        f"the node does not run Kubernetes {track}",
        why=f"its kubelet says {version or 'nothing'}",
        fix=f"{set_up(task)}; it moves the snap to its channel",
    )
    return passed(task, f"kubelet {version}")


def api_is_ready(task: Task) -> Result:
    answer = kube(task).raw("/readyz").strip()
    expect(
        answer == "ok",
        "the API is not ready",
        why=f"/readyz says: {answer}",
        fix="see `kubectl get --raw /readyz?verbose`",
    )
    return passed(task, "/readyz: ok")


@where_installed
def arguments_are_exact(task: Task) -> Result:
    lan_ip, found = setting(task, "lan_ip"), given(task)
    wrong = {key: values for key, values in found.items() if values != (lan_ip,)}
    expect(
        not wrong,
        f"{' and '.join(wrong)} must be given once, as {lan_ip}",
        why="; ".join(f"{key}: {', '.join(values) or 'not given'}" for key, values in wrong.items()),
        fix=set_up(task),
    )
    return passed(task, f"{' and '.join(found)} are {lan_ip}")


def workloads_are_ready(task: Task) -> Result:
    """With Calico on this node: on another one it is that node's matter."""
    api, node = kube(task), name_of(registered_node(task))
    states = {f"{k} {n}": api.get("apps/v1", k, n, "kube-system") for k, n in workloads(task)}
    wrong = {name: seen(obj) for name, obj in states.items() if not is_rolled_out(obj)}
    if trouble := pod_network_trouble(task, node):
        wrong[f"Calico on {node}"] = trouble
    expect(
        not wrong,
        f"not all pods are ready: {', '.join(wrong)}",
        why="\n".join(f"{name}: {told}" for name, told in wrong.items()),
        fix="see `kubectl -n kube-system get pods`",
    )
    return passed(task, f"ready: {', '.join(states)}, Calico on {node}")


def dns_service_has_endpoints(task: Task) -> Result:
    api = kube(task)
    service = api.get("v1", "Service", "kube-dns", "kube-system")
    address = service["spec"].get("clusterIP") if service else None
    fix = "see whether addon dns is on and the pods of coredns are ready"
    expect(
        address == CLUSTER_DNS, f"Service kube-dns has not the address {CLUSTER_DNS}", why=f"it has {address}", fix=fix
    )
    endpoints = api.get("v1", "Endpoints", "kube-dns", "kube-system") or {}
    ready = [a["ip"] for subset in endpoints.get("subsets") or () for a in subset.get("addresses") or ()]
    expect(ready, "Service kube-dns has no endpoints", why="no pod of coredns is ready to answer", fix=fix)
    return passed(task, f"{CLUSTER_DNS} is answered by {', '.join(ready)}")


def storage_class_is_default(task: Task) -> Result:
    if STORAGE not in addons(task):
        return passed(task, f"addon {STORAGE} is not wanted")
    mark = "storageclass.kubernetes.io/is-default-class"
    classes = kube(task).list("storage.k8s.io/v1", "StorageClass")
    default = [name_of(c) for c in classes if (c["metadata"].get("annotations") or {}).get(mark) == "true"]
    expect(
        default == ["microk8s-hostpath"],
        "microk8s-hostpath is not the one default StorageClass",
        why=f"default: {', '.join(default) or 'none'}; there are: {', '.join(map(name_of, classes)) or 'none'}",
        fix=f"{set_up(task)}, or unmark the other class",
    )
    return passed(task, "microk8s-hostpath is the default StorageClass")


@where_installed
def kubectl_answers(task: Task) -> Result:
    path = KUBECTL_PATH(task)
    done = run(task, path, "version", "--output=json", root=True, accept=tuple(range(256)))
    why = f"{path} version: exit status {done.status}: {done.stderr.decode(errors='backslashreplace').strip()}"
    expect(
        done.status == 0 and '"serverVersion"' in done.text,
        "kubectl gets no answer",
        why=why,
        fix=set_up(task),
    )
    return passed(task, f"{path} reaches the API")


@where_installed
def datastore_listens(task: Task) -> Result:
    there = read(task, DATASTORE_SOCKET)
    fix = "see why: `journalctl -u snap.microk8s.daemon-k8s-dqlite`"
    why = f"{SOCKET_FILE} is not there, and the API server has nowhere to store"
    expect(there, "dqlite has no socket", why=why, fix=fix)
    return passed(task, "the socket of dqlite is there")


@where_installed
def certificate_covers_the_lan_address(task: Task) -> Result:
    lan_ip, found = setting(task, "lan_ip"), read(task, CERTIFICATE)
    expect(
        ip_address(lan_ip) in found,
        f"the API's certificate does not cover {lan_ip}",
        why=f"it covers: {', '.join(sorted(map(str, found))) or 'nothing'}",
        fix="add it to certs/csr.conf.template, then: `microk8s refresh-certs --cert server.crt`",
    )
    return passed(task, f"the certificate covers {lan_ip}")


def facts(_: Task) -> tuple[Fact[Any], ...]:
    plain = (SNAP, STATUS, CLUSTERED, STOPPED, DATASTORE_SOCKET, CERTIFICATE, HOSTNAME)
    return (*plain, units(*units_of(worker=False)), *map(arguments, ARGUMENTS))
