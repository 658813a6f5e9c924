"""What must be true of MetalLB."""

from __future__ import annotations

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.ingress.metallb import (
    ADDON,
    ADVERTISEMENT,
    HOSTNAME_LABEL,
    NAMESPACE,
    POOL,
    WORKLOADS,
    announcing_node,
    pool_range,
)
from tasks.shared.cluster.control_plane import Object, expect, kube, name_of
from tasks.shared.cluster.kubernetes_distribution import DISTRIBUTION
from tasks.shared.cluster.workloads import expect_rolled_out
from thinkube_nornir.cluster import condition_true, current_pods, seen
from thinkube_nornir.fixes import set_up
from thinkube_nornir.outcome import passed

EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
_SPEAKERS = "component=speaker"


def addon_metallb_is_on(task: Task) -> Result:
    expect(
        DISTRIBUTION.addon_is_on(task, ADDON),
        f"addon {ADDON} is not on",
        why="`microk8s status --format yaml` does not list it as enabled",
        fix=set_up(task),
    )
    return passed(task, f"addon {ADDON} is on")


def metallb_is_ready(task: Task) -> Result:
    expect_rolled_out(task, WORKLOADS, NAMESPACE, "MetalLB is not ready")
    return passed(task, f"{' and '.join(name for _, name in WORKLOADS)} are rolled out")


def pool_is_exact(task: Task) -> Result:
    found = kube(task).get(*POOL) or {}
    addresses, wanted = (found.get("spec") or {}).get("addresses") or [], [pool_range(task)]
    why = f"expected {wanted[0]}, seen {', '.join(addresses) or 'none'}"
    fix = f"{set_up(task)}; `microk8s enable metallb:...` replaces the pool"
    expect(addresses == wanted, f"the pool {POOL[2]} is not as wanted", why=why, fix=fix)
    return passed(task, f"the pool is {wanted[0]}")


def control_plane_may_announce(task: Task) -> Result:
    """Its speaker is ready, and no label keeps it from announcing."""
    api, node = kube(task), announcing_node(task)
    found = api.list("v1", "Node", label_selector=f"{HOSTNAME_LABEL}={node}")
    names = {name_of(n) for n in found}
    pods = [p for p in api.list("v1", "Pod", NAMESPACE, label_selector=_SPEAKERS) if p["spec"].get("nodeName") in names]
    ready = [p for p in current_pods(pods) if condition_true(p, "Ready")]
    why = "\n".join(f"{name_of(p)}: {seen(p)}" for p in pods) or "there is no pod of the speaker"
    fix = f"see why: `kubectl -n {NAMESPACE} get pods,events`"
    expect(ready, f"no speaker is ready on {node}", why=why, fix=fix)
    excluded = [n for n in found if EXCLUDED in (n["metadata"].get("labels") or {})]
    heeded = excluded and not all(_ignores_exclusion(p) for p in ready)
    fix = f"kubectl label node {node} {EXCLUDED}-"
    expect(not heeded, f"{node} may not announce addresses", why=f"it has the label {EXCLUDED}", fix=fix)
    return passed(task, f"the speaker on {node} is ready")


def _ignores_exclusion(speaker: Object) -> bool:
    """0.13.3, which MicroK8s up to 1.32 brings, does not know the label."""
    return str(speaker["spec"]["containers"][0].get("image", "")).endswith(":v0.13.3")


def control_plane_alone_announces(task: Task) -> Result:
    """A second announcer is a second owner of an address that the control plane has in the overlay."""
    node = announcing_node(task)
    found = [a for a in kube(task).list(*ADVERTISEMENT[:2], NAMESPACE) if _announces_pool(a)]
    wrong = {name_of(a): _nodes(a) for a in found if (a.get("spec") or {}).get("nodeSelectors") != [_only(node)]}
    why = "\n".join(f"{name}: {told}" for name, told in wrong.items()) or "no L2Advertisement announces the pool"
    fix = f"{set_up(task)}; restrict or remove the L2Advertisements of others that are named above"
    expect(found and not wrong, f"the pool is not announced by {node} alone", why=why, fix=fix)
    return passed(task, f"{node} alone announces the pool")


def _announces_pool(advertisement: Object) -> bool:
    """One that names no pool announces all; one that chooses by labels may choose ours."""
    spec = advertisement.get("spec") or {}
    return POOL[2] in (spec.get("ipAddressPools") or [POOL[2]]) or bool(spec.get("ipAddressPoolSelectors"))


def _only(node: str) -> Object:
    return {"matchLabels": {HOSTNAME_LABEL: node}}


def _nodes(advertisement: Object) -> str:
    selectors = (advertisement.get("spec") or {}).get("nodeSelectors")
    return f"announces from nodes with {selectors}" if selectors else "announces from every node"
