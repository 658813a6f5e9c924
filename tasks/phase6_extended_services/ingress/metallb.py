"""MetalLB: the load balancer that gives services addresses in the overlay and answers ARP for them.

Only the control plane's node may announce: it owns the ingress addresses in the overlay itself, so with another node
two machines would answer, and a node without ZeroTier none.
"""

from __future__ import annotations

from dataclasses import dataclass

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.ingress.addresses import load_balancer_services, place
from tasks.phase6_extended_services.ingress.controllers import controllers
from tasks.shared.address_pool import RANGE
from tasks.shared.cluster.access import CLUSTER
from tasks.shared.cluster.control_plane import Object, expect, kube, name_of
from tasks.shared.cluster.kubernetes_distribution import DISTRIBUTION
from tasks.shared.cluster.workloads import await_rolled_out
from tasks.shared.hosts.node_facts import HOSTNAME
from thinkube_nornir.cluster import foreign_in_namespace
from thinkube_nornir.context import context, is_managed, setting
from thinkube_nornir.fixes import set_up
from thinkube_nornir.outcome import passed, unchanged
from thinkube_nornir.remote import read
from thinkube_nornir.resources import Manifest

ADDON = "metallb"
NAMESPACE = "metallb-system"
_POOL, _ADVERTISEMENT = "default-addresspool", "default-advertise-all-pools"
_HOSTNAME_LABEL = "kubernetes.io/hostname"
_EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
BROUGHT = {
    *("controller", "speaker", "pod-lister", "metallb-excludel2", "memberlist", "metallb-memberlist"),
    *("webhook-service", "webhook-server-cert", "metallb-webhook-service", "metallb-webhook-cert"),
    *(_POOL, _ADVERTISEMENT),
}
"""Names in its namespace, of several kinds.

Source: canonical/microk8s-core-addons@1.32 addons/metallb/metallb.yaml
Source: canonical/microk8s-core-addons@1.35 addons/metallb/metallb.yaml
"""
_WRITTEN = ("ServiceL2Status", "ServiceBGPStatus")
"""Kinds of what its pods write there."""


@dataclass(frozen=True)
class _WhileUnneeded(Manifest):
    """It is put back only when nobody else needs MetalLB."""

    def restore(self, task: Task) -> Result:
        return _left(task) or super().restore(task)


ADDRESSES = _WhileUnneeded(
    "addresses of MetalLB",
    CLUSTER,
    template="ingress/metallb.yaml.j2",
    values=lambda task: {"pool": setting(task, RANGE), "node": read(task, HOSTNAME)},
)
"""The pool, its announcement from the control plane alone, and that MetalLB's own pods run."""


def enable_metallb(task: Task) -> Result:
    """Enabling it again would replace the pool with the addon's own, so one that is on is left on."""
    return DISTRIBUTION.addon(task, ADDON, str(setting(task, RANGE)), apart=True)


def await_metallb(task: Task) -> Result:
    """Its webhook looks at each pool."""
    workloads = (("Deployment", "controller"), ("DaemonSet", "speaker"))
    return await_rolled_out(task, workloads, NAMESPACE, summary="controller and speaker are rolled out")


def disable_metallb(task: Task) -> Result:
    return _left(task) or DISTRIBUTION.without_addon(task, ADDON)


def _left(task: Task) -> Result | None:
    """Says for whom it stays: services that have addresses from it, and what others put into its namespace."""
    if not CLUSTER.exists(task):
        return None
    api, addon = kube(task), is_managed(task, f"addon:{ADDON}")
    going = {f"{c.namespace}/{c.workload}" for c in controllers(task)} if context(task).dry_run else set()
    served = [name for name in map(place, load_balancer_services(api)) if name not in going]
    left = [f"Service {name} has its address from it" for name in served]
    if addon:
        left += [f"{thing} would go with it" for thing in foreign_in_namespace(api, NAMESPACE, belongs=_is_of_addon)]
    return unchanged(task, f"MetalLB was left as it is: {'; '.join(left)}") if left else None


def _is_of_addon(obj: Object) -> bool:
    return name_of(obj) in BROUGHT or obj["kind"] in _WRITTEN


def addon_metallb_is_on(task: Task) -> Result:
    why = "`microk8s status --format yaml` does not list it as enabled"
    expect(DISTRIBUTION.addon_is_on(task, ADDON), f"addon {ADDON} is not on", why=why, fix=set_up(task))
    return passed(task, f"addon {ADDON} is on")


def control_plane_may_announce(task: Task) -> Result:
    """A label of its node keeps MetalLB from it, but for 0.13.3, which MicroK8s up to 1.32 brings."""
    api, node = kube(task), read(task, HOSTNAME)
    speaker = api.get("apps/v1", "DaemonSet", "speaker", NAMESPACE) or {"spec": {"template": {"spec": {}}}}
    images = [str(c.get("image")) for c in speaker["spec"]["template"]["spec"].get("containers") or ()]
    found = api.list("v1", "Node", label_selector=f"{_HOSTNAME_LABEL}={node}")
    excluded = [n for n in found if _EXCLUDED in (n["metadata"].get("labels") or {})]
    heeded = excluded and not any(image.endswith(":v0.13.3") for image in images)
    fix = f"`kubectl label node {node} {_EXCLUDED}-`"
    expect(not heeded, f"{node} may not announce addresses", why=f"it has the label {_EXCLUDED}", fix=fix)
    return passed(task, f"no label keeps {node} from announcing")


def nobody_else_announces(task: Task) -> Result:
    """A second announcer is a second owner of an address that the control plane has in the overlay."""
    wanted = [{"matchLabels": {_HOSTNAME_LABEL: read(task, HOSTNAME)}}]
    found = [a for a in kube(task).list("metallb.io/v1beta1", "L2Advertisement", NAMESPACE) if _announces_pool(a)]
    selectors = {name_of(a): (a.get("spec") or {}).get("nodeSelectors") for a in found}
    wrong = {name: s for name, s in selectors.items() if s != wanted and name != _ADVERTISEMENT}
    why = "\n".join(f"{name} announces from {f'nodes with {s}' if s else 'every node'}" for name, s in wrong.items())
    fix = f"restrict or remove these: `kubectl -n {NAMESPACE} get l2advertisements`"
    expect(not wrong, "others announce the pool, too", why=why, fix=fix)
    return passed(task, "no other L2Advertisement announces the pool")


def _announces_pool(advertisement: Object) -> bool:
    """One that names no pool announces all; one that chooses by labels may choose this one."""
    spec = advertisement.get("spec") or {}
    return _POOL in (spec.get("ipAddressPools") or [_POOL]) or bool(spec.get("ipAddressPoolSelectors"))
