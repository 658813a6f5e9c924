"""microk8s leave: a worker becomes a cluster of its own again; the one it left is not told.

Source: canonical/microk8s@1.35 microk8s-resources/wrappers/microk8s-leave.wrapper
Source: canonical/microk8s@1.35 scripts/wrappers/leave.py
Source: canonical/microk8s@1.35 scripts/wrappers/common/cluster/utils.py
"""

from __future__ import annotations

from tasks.lab import snap_changes
from tasks.lab.microk8s import arguments, install
from tasks.lab.microk8s.join import PROVIDER, STILL_STARTING, snapctl_accepted, sudo_keeps_the_environment
from tasks.lab.microk8s.node import DATA, LOCKS, Node, control_of
from tasks.lab.tool import ToolError
from thinkube_nornir.lab.emulation import pause

LEAVES = 60.0
"""Seconds, measured."""


async def leave(node: Node, argv: list[str]) -> str:
    if not node.host.files.exists(f"{LOCKS}/no-cert-reissue"):
        raise ToolError(1, "", "This MicroK8s deployment is not acting as a node in a cluster.\n")
    sudo_keeps_the_environment(node, "None/certs/ca.remote.crt", "Configuring services.\n")
    if argv:
        usage = "Usage: microk8s leave [OPTIONS]\nTry 'microk8s leave -h' for help.\n\n"
        raise ToolError(2, f"{usage}Error: No such option: {argv[0]}\n")
    if not node.worker:
        raise ToolError(1, "the lab's control planes do not leave: a real one starts over with an empty datastore\n")
    snapctl_accepted(node.host)
    control = control_of(node)
    await pause(node.host.lab, LEAVES)
    if control is not None and control.api.get("v1", "Node", node.name) is not None:
        control.api.set_node_ready(node.name, False, "NodeStatusUnknown")
    for name in ("clustered.lock", "no-k8s-dqlite", "no-cert-reissue"):
        node.host.files.remove(f"{LOCKS}/{name}")
    node.host.files.write(f"{LOCKS}/no-apiserver-proxy", "")
    node.host.files.remove(f"{DATA}/certs/ca.remote.crt")
    node.host.files.remove(PROVIDER)
    arguments.reset(node.host, node.minor, ("kubelet", "kube-proxy"))
    node.control, node.cluster, node.has_led = node.host, node.api, False
    install.use_control_plane(node, None)
    await install.come_up(node)
    snap_changes.goes_on(node.host, "microk8s", STILL_STARTING)
    return "Configuring services.\nGenerating new cluster certificates.\nWaiting for node to start.  \n"
