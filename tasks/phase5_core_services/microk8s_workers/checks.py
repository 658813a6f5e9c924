"""What must be true of a worker beside what holds for each node. Its own `microk8s status` proves nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nornir.core.inventory import Host
from nornir.core.task import Result, Task

from tasks.shared.cluster.control_plane import (
    CONTROL_PLANE,
    WORKERS,
    Object,
    expect,
    internal_ip,
    kube,
    name_of,
    naming_control_plane,
    not_judged,
    registered_node,
)
from tasks.shared.cluster.probes import run_here
from tasks.shared.hosts.node_facts import HOSTNAME
from tasks.shared.microk8s import node
from thinkube_nornir.cluster import condition_true, current_pods
from thinkube_nornir.command import Fact
from thinkube_nornir.context import absent, hosts_in, known
from thinkube_nornir.outcome import passed

WORKER_LABEL = "node.kubernetes.io/microk8s-worker"


def facts(_: Task) -> tuple[Fact[Any], ...]:
    return node.check_facts(worker=True)


def node_has_the_worker_label(task: Task) -> Result:
    found = registered_node(task)
    labels = found["metadata"].get("labels") or {}
    why = f"its labels: {', '.join(f'{key}={value}' for key, value in sorted(labels.items())) or 'none'}"
    what = f"node {name_of(found)} is not labelled as a worker"
    expect(labels.get(WORKER_LABEL) == "microk8s-worker", what, why=why, fix="leave and join again")
    return passed(task, f"{WORKER_LABEL} is set")


def pods_run_here(task: Task) -> Result:
    done, name = run_here(task, "probe", "true"), name_of(registered_node(task))
    why = f"`true` ended with {done.exit_code}: {done.log.strip()}"
    expect(done.exit_code == 0, f"a pod on {name} fails", why=why, fix="see the kubelet's log on the worker")
    return passed(task, f"a pod ran on {name}")


def pods_reach_pods_on_other_nodes(task: Task) -> Result:
    """From here to one elsewhere, by its own address, which nobody on this node has; else from elsewhere to here.

    Any will do that has an address in the pods' network: CoreDNS is repaired by who comes after this.
    """
    name = name_of(registered_node(task))
    pods = [pod for pod in current_pods(kube(task).list("v1", "Pod")) if _is_in_the_pod_network(pod)]
    expect(pods, "there is no pod to reach", why="none has an address in the pods' network", fix=_PODS)
    elsewhere = [pod for pod in pods if pod["spec"].get("nodeName") != name]
    target = (elsewhere or pods)[0]["status"]["podIP"]
    with naming_control_plane(task) as control:
        source = task if elsewhere else control
        done = run_here(source, "reach", "ping", "-c", "3", "-W", "2", target)
    why = f"ping {target} from {source.host.name} ended with {done.exit_code}: {done.log.strip()}"
    fix = "open UDP 4789 between the nodes, and see that their InternalIPs are those of the LAN"
    expect(done.exit_code == 0, f"pods do not reach each other between {name} and other nodes", why=why, fix=fix)
    return passed(task, f"a pod on {source.host.name} reached {target}")


_PODS = "see why: `kubectl get pods --all-namespaces -o wide`"


def _is_in_the_pod_network(pod: Object) -> bool:
    status = pod.get("status") or {}
    return bool(status.get("podIP")) and not pod["spec"].get("hostNetwork") and condition_true(pod, "Ready")


def every_member_is_a_node(task: Task) -> Result:
    """Of the hosts that this run is for, and that are well; a node that is no host's is left from an earlier life."""
    nodes = {name_of(found): internal_ip(found) for found in kube(task).list("v1", "Node")}
    hosts = {host.name: host for group in (CONTROL_PLANE, WORKERS) for host in hosts_in(task, group)}
    gone = absent(task, CONTROL_PLANE) | absent(task, WORKERS)
    found = {name: _node_of(task, host, nodes) for name, host in hosts.items()}
    strange = nodes.keys() - found.values()
    missing = [name for name, node in found.items() if node is None and name not in gone]
    reported = [f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} no node"] if missing else []
    reported += [f"{', '.join(sorted(strange))}: no host of the inventory"] if strange else []
    fix = "set up the hosts that are missing; remove nodes that are no more: `microk8s remove-node NAME --force`"
    why = f"nodes: {', '.join(sorted(nodes))}"
    expect(not reported, f"nodes and hosts differ: {'; '.join(reported)}", why=why, fix=fix)
    return passed(task, f"{', '.join(sorted(hosts.keys() - gone))}{not_judged(gone)}")


def _node_of(task: Task, host: Host, nodes: Mapping[str, str]) -> str | None:
    """By the name it has itself, if that is known, or by its address."""
    own = known(task, HOSTNAME).get(host.name)
    return own if own in nodes else next((name for name, ip in nodes.items() if ip == host.get("lan_ip")), None)
