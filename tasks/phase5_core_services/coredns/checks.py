"""What must be true of CoreDNS in the cluster, beside that names resolve."""

from __future__ import annotations

from nornir.core.task import Result, Task

from tasks.phase5_core_services.coredns.corefile import CONFIG_MAP, COREDNS, NAMESPACE, wanted
from tasks.shared.cluster.control_plane import DNS_LABEL, expect, kube
from tasks.shared.cluster.corefile import text_of
from tasks.shared.cluster.workloads import expect_endpoints, expect_rolled_out, expect_steady_pods
from tasks.shared.hosts.supported import CLUSTER_DNS
from thinkube_nornir.fixes import set_up
from thinkube_nornir.outcome import passed


def corefile_is_as_wanted(task: Task) -> Result:
    found = text_of(kube(task).get(*CONFIG_MAP))
    lines, declared = found.splitlines(), wanted(task, found).splitlines()
    differing = [f"missing: {line}" for line in declared if line not in lines]
    differing += [f"not managed: {line}" for line in lines if line not in declared]
    why = "\n".join(differing[:10] or ["the same lines in another order"])
    expect(lines == declared, "the Corefile is not the wanted one", why=why, fix=set_up(task))
    return passed(task, "the Corefile is as wanted")


def coredns_is_available(task: Task) -> Result:
    expect_rolled_out(task, [COREDNS], NAMESPACE, "CoreDNS is not available")
    expect_steady_pods(task, NAMESPACE, DNS_LABEL)
    return passed(task, "Deployment coredns is rolled out, and its pods stay up")


def dns_service_has_endpoints(task: Task) -> Result:
    service = kube(task).get("v1", "Service", "kube-dns", NAMESPACE)
    address = service["spec"].get("clusterIP") if service else None
    fix = f"`microk8s disable dns`, then set the control plane up again, and {set_up(task)}"
    what, why = f"Service kube-dns has not the address {CLUSTER_DNS}", f"it has {address or 'none, or is not there'}"
    expect(address == CLUSTER_DNS, what, why=why, fix=fix)
    return passed(task, f"{CLUSTER_DNS} is answered by {', '.join(expect_endpoints(task, 'kube-dns', NAMESPACE))}")
