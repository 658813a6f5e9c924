"""MicroK8s control plane: the node that holds the cluster's API and state.

setup     installs the pinned snap on lan_ip, holds its refreshes, turns addons on, gives the user kubectl and helm
verify    asks snapd, systemd, the arguments files and the API, each for the state it should be in
rollback  refuses while workers are registered; else removes what we installed, or puts back what was there before
"""

from __future__ import annotations

from tasks.phase5_core_services.microk8s_control import checks
from tasks.phase5_core_services.microk8s_control.workloads import addons, await_workloads, scale_up_workloads
from tasks.shared.cluster.control_plane import CONTROL_PLANE
from tasks.shared.cluster.kubernetes_distribution import DISTRIBUTION
from tasks.shared.hosts.supported import CLUSTER_DNS
from tasks.shared.microk8s import foreign, launch, membership, node
from tasks.shared.microk8s.addons import Addons
from tasks.shared.microk8s.arguments import argument, restart_kubelite, restart_kubelite_as_before
from thinkube_nornir.component import Component, chain
from thinkube_nornir.resources import File, from_setting, in_home

LAUNCHED = ("dns",)
LAUNCH = launch.configuration(
    "microk8s_control/launch.yaml.j2", lan_ip=from_setting("lan_ip"), cluster_dns=CLUSTER_DNS, addons=LAUNCHED
)
"""Before the snap: a node registers with the address it has at its first start."""
ADDRESSES = (
    argument("kubelet", "--node-ip", from_setting("lan_ip")),
    argument("kube-apiserver", "--advertise-address", from_setting("lan_ip")),
)
ADDONS = Addons(addons, LAUNCHED)
KUBECTL, HELM = (
    File(
        in_home(node.USER, f".local/bin/{name}"),
        template="microk8s_control/wrapper.j2",
        values={"program": program},
        mode=0o755,
        owner=node.USER,
    )
    for name, program in (("kubectl", "kubectl"), ("helm", "helm3"))
)
KUBECONFIG = File(
    in_home(node.USER, ".kube/thinkube.config"),  # ~/.kube/config may hold other clusters
    DISTRIBUTION.kubeconfig,
    mode=0o600,
    owner=node.USER,
    directory_mode=0o700,
    secret=True,
)


COMPONENT = Component(
    title="MicroK8s control plane",
    number=10,
    group=CONTROL_PLANE,
    settings=node.SETTINGS,
    preconditions=node.PRECONDITIONS,
    setup=chain(
        *node.installation(LAUNCH),
        *ADDRESSES,
        restart_kubelite,
        scale_up_workloads,
        ADDONS,
        await_workloads,
        KUBECTL,
        HELM,
        KUBECONFIG,
        facts=node.setup_facts,
    ),
    verify=chain(
        *node.CHECKS,
        checks.certificate_covers_the_lan_address,
        checks.api_is_ready,
        checks.workloads_are_ready,
        checks.storage_class_is_default,
        facts=checks.facts,
    ),
    rollback=chain(
        membership.refuse_while_workers_are_registered,
        foreign.refuse_foreign_things,
        ADDONS,
        *ADDRESSES,
        restart_kubelite_as_before,
        *node.REMOVAL,
        facts=node.removal_facts,
    ),
)
