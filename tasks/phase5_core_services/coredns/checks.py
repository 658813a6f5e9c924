"""What must be true of CoreDNS in the cluster, beside that names resolve."""

from __future__ import annotations

from nornir.core.task import Result, Task

from tasks.phase5_core_services.coredns.corefile import CONFIG_MAP, COREDNS, NAMESPACE, text_of, wanted
from tasks.shared.cluster.control_plane import DNS_LABEL, expect, kube
from tasks.shared.cluster.probes import run_here
from tasks.shared.cluster.workloads import expect_rolled_out, expect_steady_pods
from tasks.shared.hosts.resolver import bind_address, with_name_servers
from tasks.shared.hosts.supported import CLUSTER_DNS
from thinkube_nornir.context import setting
from thinkube_nornir.fixes import set_up
from thinkube_nornir.outcome import passed


@with_name_servers
def bind_answers_pods(task: Task) -> Result:
    """As CoreDNS will ask it: from a pod, whose way to the overlay needs source NAT on the node."""
    server, domain = str(bind_address(task)), setting(task, "domain_name")
    done = run_here(task, "bind", "nslookup", domain, server)
    why = f"nslookup {domain} {server} ended with {done.exit_code}: {done.log.strip()}"
    fix = "verify phase 4 first; pods need source NAT to the overlay on this node"
    expect(done.exit_code == 0, f"BIND at {server} does not answer pods on {task.host.name}", why=why, fix=fix)
    return passed(task, f"{server} answers for {domain}")


def corefile_is_as_wanted(task: Task) -> Result:
    found = text_of(kube(task).get(*CONFIG_MAP))
    lines, ours = found.splitlines(), wanted(task, found).splitlines()
    differing = [f"missing: {line}" for line in ours if line not in lines]
    differing += [f"not managed: {line}" for line in lines if line not in ours]
    why = "\n".join(differing[:10] or ["the same lines in another order"])
    expect(lines == ours, "the Corefile is not the wanted one", why=why, fix=set_up(task))
    return passed(task, "the Corefile is as wanted")


def coredns_is_available(task: Task) -> Result:
    expect_rolled_out(task, [COREDNS], NAMESPACE, "CoreDNS is not available")
    expect_steady_pods(task, NAMESPACE, DNS_LABEL)
    return passed(task, "Deployment coredns is rolled out, and its pods stay up")


def dns_service_has_endpoints(task: Task) -> Result:
    service = kube(task).get("v1", "Service", "kube-dns", NAMESPACE)
    address = service["spec"].get("clusterIP") if service else None
    fix = f"`microk8s disable dns`, then set the control plane up again, and {set_up(task)}"
    why = f"it has {address}" if service else "there is no such Service"
    expect(address == CLUSTER_DNS, f"Service kube-dns has not the address {CLUSTER_DNS}", why=why, fix=fix)
    endpoints = kube(task).get("v1", "Endpoints", "kube-dns", NAMESPACE) or {}
    ready = [a["ip"] for subset in endpoints.get("subsets") or () for a in subset.get("addresses") or ()]
    fix = "see why: `kubectl -n kube-system describe pods -l k8s-app=kube-dns`"
    expect(ready, "Service kube-dns has no endpoints", why="no pod of coredns is ready to answer", fix=fix)
    return passed(task, f"{CLUSTER_DNS} is answered by {', '.join(ready)}")
