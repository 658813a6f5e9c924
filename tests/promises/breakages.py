"""For every check of phase 5: how to break on the lab what it guards, how to mend that, and what it then says.

Breakages of one round are independent of each other: the checks that turn red are those listed.
"""

from __future__ import annotations

from dataclasses import dataclass
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


def node(name: str, change: dict[str, Any], red: tuple[Place, ...], says: str) -> Breakage:
    return api(f'v1 Node "" {name}', change, red, says)


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
            control("datastore_listens"),
            "kine.sock",
        ),
        file(
            "tkc",
            f"{DATA}/args/kubelet",
            "echo --node-ip=10.9.9.9 >>{path}",
            control("arguments_are_exact"),
            "10.9.9.9",
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
            control("node_version_fits_the_channel"),
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
            control("file_local_bin_kubectl_is_as_declared", "kubectl_answers"),
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
            worker("bcn1", "node_runs_the_control_planes_version"),
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
            "not ours: # mine",
        ),
        api(f"v1 Pod kube-system {coredns_pod}", restarted(now), dns("tkc", "coredns_does_not_restart"), "7 times"),
        program("tkw1", "cat", "echo nameserver 8.8.8.8", dns("tkw1", "pods_ask_the_cluster_dns"), "seen 8.8.8.8"),
        program(
            "tkc",
            "ping",
            'case "$*" in *github.com*) exit 1;; esac; exec $real "$@"',
            dns("tkc", "pods_resolve_public_names"),
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
            dns("bcn1", "node_resolves_the_domain"),
            "expected 192.168.191.200, seen 10.9.9.9",
        ),
        file(
            "tkw1",
            "/etc/hosts",
            f"echo {INGRESS} ubuntu.com >>{{path}}",
            dns("tkw1", "node_resolves_public_names"),
            f"ubuntu.com: expected a public address, seen {INGRESS}",
        ),
    )


ON_WORKER = (
    "pod_network_is_ready",
    "pods_run_here",
    "pods_here_resolve_services",
    "pods_reach_pods_on_other_nodes",
)


ASKED_IN_PODS = (
    "pods_resolve_services",
    "pods_resolve_public_names",
    "pods_ask_public_servers_for_acme_names",
    "pods_resolve_the_domain",
)
UNSERVED: tuple[Place, ...] = (
    *control("dns_service_has_endpoints"),
    *everywhere(*ASKED_IN_PODS),
    *worker("bcn1", "pods_here_resolve_services"),
    *worker("tkw1", "pods_here_resolve_services"),
)
"""What a DNS service without a ready pod means."""


def without_node(host: str, coredns_host: str) -> tuple[Place, ...]:
    """What a node that is not Ready means for the pods on it."""
    asked_in_pods = dns(host, "pods_ask_the_cluster_dns", *ASKED_IN_PODS)
    served = (*UNSERVED, *dns("tkc", "coredns_is_available", "coredns_does_not_restart"))
    network = control("workloads_are_ready") if host == "tkc" or host == coredns_host else ()
    return (*asked_in_pods, *network, *(served if host == coredns_host else ()))


def asked_from_control_plane(coredns_host: str) -> tuple[Place, ...]:
    """A worker that holds all pods of CoreDNS is reached from the control plane's node, in place of the other way."""
    return worker(coredns_host, "pods_reach_pods_on_other_nodes") if coredns_host != "tkc" else ()


def together(calico_pod: str, coredns_host: str, corefile: str) -> tuple[tuple[Breakage, ...], ...]:
    """What several checks see, in rounds."""
    without_acme = {"data": {"Corefile": corefile[corefile.index("# The domain itself") :]}}
    return (
        (
            api(
                "v1 Service kube-system kube-dns",
                {"spec": {"selector": {"k8s-app": "nobody"}}},
                UNSERVED,
                "no pod of coredns",
            ),
        ),
        (
            Breakage(
                "tkc",
                f"touch {DATA}/var/lock/stopped.lock",
                f"rm {DATA}/var/lock/stopped.lock",
                control("microk8s_runs", "addons_are_on", "services_run", "kubectl_answers"),
                "running: true",
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
                worker("bcn1", "host_is_marked_as_worker", "services_run"),
                "clustered.lock",
            ),
            program(
                "bcn1",
                "nslookup",
                'case "$1" in kubernetes.*) exit 1;; esac; exec $real "$@"',
                (*worker("bcn1", "pods_here_resolve_services"), *dns("bcn1", "pods_resolve_services")),
                "expected 10.152.183.1, seen nothing",
            ),
            api(
                "v1 ConfigMap kube-system coredns",
                without_acme,
                (*everywhere("pods_ask_public_servers_for_acme_names"), *dns("tkc", "corefile_is_as_wanted")),
                INGRESS,
            ),
        ),
        (
            Breakage(
                "tkc",
                "microk8s disable hostpath-storage:destroy-storage",
                "microk8s enable hostpath-storage",
                control("addons_are_on", "workloads_are_ready", "storage_class_is_default"),
                "on are: dns",
            ),
            unit("dns1", "named", everywhere("pods_resolve_the_domain", "node_resolves_the_domain"), "seen nothing"),
            node(
                TKW1,
                NOT_READY,
                (
                    *worker("tkw1", "node_is_ready"),
                    *without_node("tkw1", coredns_host),
                    *worker("tkw1", *ON_WORKER[: 3 + (coredns_host != "tkw1")]),
                ),
                "KubeletGone",
            ),
        ),
        (
            api(
                deployment("coredns"),
                image("coredns"),
                (*dns("tkc", "coredns_is_available", "coredns_does_not_restart"), *control("workloads_are_ready")),
                "unavailableReplicas=1",
            ),
            node(
                TKC,
                NOT_READY,
                (
                    *control("node_is_ready"),
                    *without_node("tkc", coredns_host),
                    *asked_from_control_plane(coredns_host),
                ),
                "KubeletGone",
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
                    "pods_resolve_public_names",
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
