"""For every check of phase 5: how to break on the lab what it guards, how to mend that, and what it then says.

Breakages of one round are independent of each other: the checks that turn red are those listed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.promises.lab_project import CONTROL, DNS, NODES, WORKERS, Place

TASKS = Path(__file__).parents[2] / "tasks"
DATA = "/var/snap/microk8s/current"
POD_BIN = "/opt/lab-pod/bin"
RESOLVED = "/etc/systemd/resolved.conf.d"
RESTART_RESOLVED = "systemctl restart systemd-resolved"
DROP_IN = f"{RESOLVED}/10-thinkube.conf"
INGRESS = "192.168.191.200"

LAUNCH = "/etc/microk8s.yaml"
MEMBER = "member_system_username_of_microk8s_is_as_declared"
RESOLVER = "unit_systemd_resolved_service_is_as_declared"
SNAP = "snap_microk8s_is_as_declared"
NODE_IP = "argument_node_ip_of_kubelet_is_as_declared"
ADVERTISED = "argument_advertise_address_of_kube_apiserver_is_as_declared"
ADDONS = "addons_is_as_declared"
MISSING = "is missing"


@dataclass(frozen=True)
class Breakage:
    host: str
    """Where it is done."""
    breaks: str
    """A command, as root."""
    mends: str
    red: tuple[Place, ...]
    says: str
    """What the first one's message must have: what was expected, or seen."""
    stdin: str | dict[str, Any] = ""
    perhaps: tuple[Place, ...] = ()
    """Which of these turn red depends on where pods are."""


def control(*checks: str) -> tuple[Place, ...]:
    return tuple((CONTROL, check, "tkc") for check in checks)


def worker(host: str, *checks: str) -> tuple[Place, ...]:
    return tuple((WORKERS, check, host) for check in checks)


def dns(host: str, *checks: str) -> tuple[Place, ...]:
    return tuple((DNS, check, host) for check in checks)


def everywhere(*checks: str) -> tuple[Place, ...]:
    return tuple(place for host in NODES for place in dns(host, *checks))


def unit(host: str, name: str, red: tuple[Place, ...], says: str = "") -> Breakage:
    return Breakage(host, f"systemctl stop {name}", f"systemctl start {name}", red, says or f"{name} is inactive")


def file(host: str, path: str, breaks: str, red: tuple[Place, ...], says: str) -> Breakage:
    """Change a file; a copy beside it puts it back."""
    kept = f"{path}.kept"
    return Breakage(host, f"cp -a {path} {kept}; {breaks.format(path=path)}", f"mv {kept} {path}", red, says)


def program(host: str, name: str, script: str, red: tuple[Place, ...], says: str) -> Breakage:
    """A program that pods on this host run, another one in its place; `real` is the former one."""
    path, real = f"{POD_BIN}/{name}", f"{POD_BIN}/.real-{name}"
    breaks = f"[ ! -e {path} ] || mv {path} {real}; cat >{path}; chmod 755 {path}"
    mends = f"rm {path}; [ ! -e {real} ] || mv {real} {path}"
    return Breakage(host, breaks, mends, red, says, f"#!/bin/sh\nreal={real}\n{script}\n")


def api(place: str, change: dict[str, Any], red: tuple[Place, ...], says: str) -> Breakage:
    """Change an object: `APIVERSION KIND NAMESPACE NAME`."""
    return Breakage("tkc", f"lab-api patch {place}", "lab-api mend", red, says, change)


def node(
    name: str, change: dict[str, Any], red: tuple[Place, ...], says: str, perhaps: tuple[Place, ...] = ()
) -> Breakage:
    return replace(api(f'v1 Node "" {name}', change, red, says), perhaps=perhaps)


deployment = partial("apps/v1 Deployment kube-system {}".format)
TKC, TKW1 = "tkc.home.example", "tkw1.home.example"
NOT_READY = {"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "KubeletGone", "message": "-"}]}}
NO_IMAGE = "registry.invalid/no/such:1"


def elsewhere(address: str) -> dict[str, Any]:
    return {"status": {"addresses": [{"type": "InternalIP", "address": address}]}}


def image(container: str) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"name": container, "image": NO_IMAGE}]}}}}


def container(name: str, *, ready: bool, **more: Any) -> dict[str, Any]:
    return {"name": name, "image": name, "imageID": "", "ready": ready, "restartCount": 7, "state": {}, **more}


NO_PEERS = {
    "status": {
        "conditions": [{"type": "Ready", "status": "False", "reason": "BGP", "message": "no peers"}],
        "containerStatuses": [container("calico-node", ready=False)],
    }
}


def restarted(at: str) -> dict[str, Any]:
    """The status of a pod whose container ended at this time and runs again."""
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "startedAt": at, "finishedAt": at}}
    again = {"running": {"startedAt": at}}
    return {"status": {"containerStatuses": [container("coredns", ready=True, state=again, lastState=ended)]}}


def singly(coredns_pod: str, coredns_host: str, now: str, corefile: str) -> tuple[Breakage, ...]:
    """Each turns one check red."""
    far = "bcn1" if coredns_host != "bcn1" else "tkw1"
    return (
        Breakage(
            "tkc",
            "snap refresh --unhold microk8s",
            "snap refresh --hold microk8s",
            control(SNAP),
            "refreshes of microk8s are not held",
        ),
        unit("tkc", "snap.microk8s.daemon-cluster-agent", control("services_run")),
        file(
            "tkc",
            f"{DATA}/var/kubernetes/backend/kine.sock:12379",
            "rm {path}",
            control("services_run"),
            "kine.sock",
        ),
        file(
            "tkc",
            f"{DATA}/args/kubelet",
            "echo --node-ip=10.9.9.9 >>{path}",
            control(NODE_IP),
            "10.9.9.9",
        ),
        file(
            "tkc",
            f"{DATA}/args/kube-apiserver",
            "sed -i /--advertise-address/d {path}",
            control(ADVERTISED),
            "no line '--advertise-address=192.168.1.110'",
        ),
        file(
            "tkc",
            f"{DATA}/certs/server.crt",
            "echo >{path}",
            control("certificate_covers_the_lan_address"),
            "192.168.1.110",
        ),
        Breakage("tkc", "lab-api fault ^/readyz 500", "lab-api mend", control("api_is_ready"), "readyz"),
        node(TKC, elsewhere("10.9.9.9"), control("node_has_the_lan_address"), "10.9.9.9"),
        node(
            TKC,
            {"status": {"nodeInfo": {"kubeletVersion": "v1.31.0"}}},
            control("node_runs_the_clusters_version"),
            "v1.31.0",
        ),
        api(
            "storage.k8s.io/v1 StorageClass '' microk8s-hostpath",
            {"metadata": {"annotations": {"storageclass.kubernetes.io/is-default-class": "false"}}},
            control("storage_class_is_default"),
            "default: none",
        ),
        Breakage(
            "tkc",
            "gpasswd -d thinkube microk8s",
            "usermod -aG microk8s thinkube",
            control(MEMBER),
            "members: none",
        ),
        file(
            "tkc",
            "/home/thinkube/.local/bin/kubectl",
            "printf '#!/bin/sh\\necho gone >&2; exit 7\\n' >{path}",
            control("file_local_bin_kubectl_is_as_declared"),
            "another content",
        ),
        file(
            "tkc",
            "/home/thinkube/.kube/thinkube.config",
            "chmod 644 {path}",
            control("file_kube_thinkube_config_is_as_declared"),
            "mode 644, not 600",
        ),
        file(
            "tkc", "/home/thinkube/.local/bin/helm", "rm {path}", control("file_local_bin_helm_is_as_declared"), MISSING
        ),
        file("tkc", LAUNCH, "rm {path}", control("file_etc_microk8s_yaml_is_as_declared"), MISSING),
        file("bcn1", LAUNCH, "rm {path}", worker("bcn1", "file_etc_microk8s_yaml_is_as_declared"), MISSING),
        Breakage(
            "bcn1",
            "snap refresh --unhold microk8s",
            "snap refresh --hold microk8s",
            worker("bcn1", SNAP),
            "refreshes of microk8s are not held",
        ),
        Breakage(
            "tkw1",
            "gpasswd -d thinkube microk8s",
            "usermod -aG microk8s thinkube",
            worker("tkw1", MEMBER),
            "members: none",
        ),
        unit("tkw1", "snap.microk8s.daemon-apiserver-proxy", worker("tkw1", "services_run")),
        node(TKW1, elsewhere("10.8.8.8"), worker("tkw1", "node_has_the_lan_address"), "10.8.8.8"),
        node(
            TKW1,
            {"metadata": {"labels": {"node.kubernetes.io/microk8s-worker": None}}},
            worker("tkw1", "node_has_the_worker_label"),
            "kubernetes.io/hostname=tkw1",
        ),
        node(
            "bcn1",
            {"status": {"nodeInfo": {"kubeletVersion": "v1.31.0"}}},
            worker("bcn1", "node_runs_the_clusters_version"),
            "kubelet v1.31.0, API v1.35",
        ),
        program("tkw1", "true", "echo no room; exit 3", worker("tkw1", "pods_run_here"), "ended with 3: no room"),
        program(
            far,
            "ping",
            'case "$*" in "-c 3 "*) exit 1;; esac; exec $real "$@"',
            worker(far, "pods_reach_pods_on_other_nodes"),
            "ended with 1",
        ),
        api(
            "v1 ConfigMap kube-system coredns",
            {"data": {"Corefile": f"{corefile}# mine\n"}},
            dns("tkc", "corefile_is_as_wanted"),
            "not managed: # mine",
        ),
        api(f"v1 Pod kube-system {coredns_pod}", restarted(now), dns("tkc", "coredns_is_available"), "7 times"),
        program("tkw1", "cat", "echo nameserver 8.8.8.8", dns("tkw1", "pods_ask_the_cluster_dns"), "seen 8.8.8.8"),
        program(
            "tkc",
            "ping",
            'case "$*" in *github.com*) exit 1;; esac; exec $real "$@"',
            dns("tkc", "pods_resolve_names"),
            "github.com: expected a public address, seen nothing",
        ),
        Breakage(
            "bcn1",
            f"printf '[Resolve]\\nDomains=~.\\n' >{RESOLVED}/99-vpn.conf",
            f"rm {RESOLVED}/99-vpn.conf; {RESTART_RESOLVED}",
            dns("bcn1", "no_drop_in_captures_all_names", RESOLVER),
            "99-vpn.conf",
        ),
        Breakage(
            "tkw1",
            f"printf '[Resolve]\\nDNS=9.9.9.9\\n' >{RESOLVED}/99-vpn.conf; systemctl restart systemd-resolved",
            f"rm {RESOLVED}/99-vpn.conf; systemctl restart systemd-resolved",
            dns("tkw1", "node_routes_the_domain_to_bind"),
            "9.9.9.9",
        ),
        Breakage(
            "tkc",
            f"cp -a {DROP_IN} /root/kept; echo >>{DROP_IN}",
            f"mv /root/kept {DROP_IN}; {RESTART_RESOLVED}",
            dns("tkc", "file_etc_systemd_resolved_conf_d_10_thinkube_conf_is_as_declared", RESOLVER),
            "another content",
        ),
        file(
            "bcn1",
            "/etc/hosts",
            "echo 10.9.9.9 home.example >>{path}",
            dns("bcn1", "node_resolves_names"),
            "expected 192.168.191.200, seen 10.9.9.9",
        ),
        file(
            "tkw1",
            "/etc/hosts",
            f"echo {INGRESS} ubuntu.com >>{{path}}",
            dns("tkw1", "node_resolves_names"),
            f"ubuntu.com: expected a public address, seen {INGRESS}",
        ),
    )


UNSERVED: tuple[Place, ...] = (*dns("tkc", "dns_service_has_endpoints"), *everywhere("pods_resolve_names"))
"""What a DNS service without a ready pod means."""


def without_node(host: str, coredns_host: str) -> tuple[Place, ...]:
    """What a node that is not Ready means for the pods on it."""
    asked_in_pods = dns(host, "pods_ask_the_cluster_dns", "pods_resolve_names")
    served = (*UNSERVED, *dns("tkc", "coredns_is_available"))
    return (*asked_in_pods, *(served if host == coredns_host else ()))


def together(calico_pod: str, coredns_host: str, corefile: str) -> tuple[tuple[Breakage, ...], ...]:
    """What several checks see, in rounds."""
    without_acme = {"data": {"Corefile": corefile[corefile.index("# The domain itself") :]}}
    return (
        (
            Breakage(
                "tkc",
                f"touch {DATA}/var/lock/clustered.lock",
                f"rm {DATA}/var/lock/clustered.lock",
                control("host_has_its_role", "services_run"),
                "clustered.lock is there",
            ),
        ),
        (
            api(
                "v1 Service kube-system kube-dns",
                {"spec": {"selector": {"k8s-app": "nobody"}}},
                UNSERVED,
                "no pod of it",
            ),
        ),
        (
            Breakage(
                "tkc",
                f"touch {DATA}/var/lock/stopped.lock",
                f"rm {DATA}/var/lock/stopped.lock",
                control("services_run", ADDONS),
                "stopped.lock",
            ),
            api(
                deployment("calico-kube-controllers"),
                image("calico-kube-controllers"),
                control("workloads_are_ready"),
                "calico-kube-controllers",
            ),
            Breakage(
                "tkw1",
                "snap refresh microk8s --channel=1.35/candidate",
                "snap refresh microk8s --channel=1.35/stable",
                worker("tkw1", SNAP),
                "1.35/candidate",
            ),
            file(
                "bcn1",
                f"{DATA}/var/lock/clustered.lock",
                "rm {path}",
                worker("bcn1", "host_has_its_role", "services_run"),
                "clustered.lock",
            ),
            program(
                "bcn1",
                "nslookup",
                'case "$1" in kubernetes.*) exit 1;; esac; exec $real "$@"',
                dns("bcn1", "pods_resolve_names"),
                "expected 10.152.183.1, seen nothing",
            ),
            api(
                "v1 ConfigMap kube-system coredns",
                without_acme,
                (*everywhere("pods_resolve_names"), *dns("tkc", "corefile_is_as_wanted")),
                INGRESS,
            ),
        ),
        (
            Breakage(
                "tkc",
                "microk8s disable hostpath-storage:destroy-storage",
                "microk8s enable hostpath-storage",
                control(ADDONS, "workloads_are_ready", "storage_class_is_default"),
                "on: dns, ha-cluster",
            ),
            unit("dns1", "named", everywhere("pods_resolve_names", "node_resolves_names"), "seen nothing"),
            node(
                TKW1,
                NOT_READY,
                (
                    *worker("tkw1", "node_is_ready"),
                    *without_node("tkw1", coredns_host),
                    *worker("tkw1", "pod_network_is_ready", "pods_run_here", "pods_reach_pods_on_other_nodes"),
                ),
                "KubeletGone",
            ),
        ),
        (
            api(
                deployment("coredns"),
                image("coredns"),
                dns("tkc", "coredns_is_available"),
                "unavailableReplicas=1",
            ),
            node(
                TKC,
                NOT_READY,
                (
                    *control("node_is_ready", "pod_network_is_ready", "workloads_are_ready"),
                    *without_node("tkc", coredns_host),
                ),
                "KubeletGone",
                perhaps=tuple(
                    place for host in ("bcn1", "tkw1") for place in worker(host, "pods_reach_pods_on_other_nodes")
                ),
            ),
        ),
        (
            api(
                f"v1 Pod kube-system {calico_pod}",
                NO_PEERS,
                worker("tkw1", "pod_network_is_ready"),
                "Ready",
            ),
            Breakage(
                "bcn1",
                f"printf '[Resolve]\\nDomains=home.example\\n' >{RESOLVED}/99-search.conf; {RESTART_RESOLVED}",
                f"rm {RESOLVED}/99-search.conf; {RESTART_RESOLVED}",
                dns(
                    "bcn1",
                    "pods_resolve_names",
                    "pods_ask_the_cluster_dns",
                    "node_routes_the_domain_to_bind",
                ),
                f"github.com: expected a public address, seen {INGRESS}",
            ),
            Breakage("tkc", "lab-api disable microk8s", "lab-api mend", control(SNAP), "disabled"),
            Breakage(
                "tkc",
                "microk8s.kubectl apply -f -",
                "microk8s kubectl delete node stray",
                worker("tkc", "every_member_is_a_node"),
                "stray",
                {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "stray"}, "spec": {"unschedulable": True}},
            ),
        ),
    )
