"""What a running MicroK8s does to its host outside of its own folders, and what of that its removal leaves behind.

The links of Calico and the group microk8s stay as well; they are made where the rest of the node is.

Source: canonical/microk8s@1.35 snap/hooks/install
Source: canonical/microk8s@1.35 snap/hooks/remove
Source: canonical/microk8s@1.35 microk8s-resources/wrappers/run-containerd-with-args
Source: canonical/microk8s@1.35 microk8s-resources/wrappers/run-kubelite-with-args
Source: canonical/microk8s@1.33 snap/snapcraft.yaml
Source: canonical/microk8s@1.34 snap/snapcraft.yaml
Source: kubernetes/kubernetes@v1.35.0 pkg/proxy/iptables/proxier.go
Unproven: which of the kernel's two filters MicroK8s' iptables and Calico write to; the lab has one in each.
Unproven: that of the snap's units daemon-cluster-agent stays behind as failed; measured once.
"""

from __future__ import annotations

from tasks.lab import packet_filter
from tasks.lab.microk8s.node import COMMON, DATA
from tasks.lab.state import Snap, Unit, machine
from thinkube_nornir.lab.emulation import LabHost

PROFILE = "/etc/apparmor.d/cri-containerd.apparmor.d"
LINKS = {
    "/var/lib/kubelet": f"{COMMON}/var/lib/kubelet",
    "/var/lib/calico": f"{DATA}/var/lib/calico",
    "/etc/cni/net.d": f"{DATA}/args/cni-network",
    "/opt/cni/bin": f"{DATA}/opt/cni/bin",
}
FAILED = "snap.microk8s.daemon-cluster-agent"
_SINCE_CORE22 = (1, 34)
_KUBE = """\
*filter
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-FIREWALL - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
-I INPUT -j KUBE-FIREWALL
-I INPUT -m conntrack --ctstate NEW -m comment --comment "service portals" -j KUBE-EXTERNAL-SERVICES
-I FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "incoming localnet connections" -j DROP
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
COMMIT
*nat
:KUBE-MARK-MASQ - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-TCOU7JCQXEZGVUNU - [0:0]
-I PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-I POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-SERVICES -d 10.152.183.10/32 -p udp -m udp --dport 53 -j KUBE-SVC-TCOU7JCQXEZGVUNU
COMMIT
"""
_CALICO = """\
*filter
:cali-INPUT - [0:0]
:cali-FORWARD - [0:0]
:cali-wl-to-host - [0:0]
-I INPUT -m comment --comment "cali:Cz_u1IQiXIMmKD4c" -j cali-INPUT
-I FORWARD -m comment --comment "cali:S93hcgKJrXEqnTfs" -m mark --mark 0x10000/0x10000 -j ACCEPT
-I FORWARD -m comment --comment "cali:wUHhoiAYhphO9Mso" -j cali-FORWARD
-A cali-INPUT -i cali+ -m comment --comment "cali:FewJpBykm9iJ-YNH" -g cali-wl-to-host
COMMIT
*nat
:cali-PREROUTING - [0:0]
-I PREROUTING -m comment --comment "cali:6gwbT8clXdHdC1b1" -j cali-PREROUTING
COMMIT
"""


def base_of(minor: tuple[int, int]) -> str:
    return "core22" if minor >= _SINCE_CORE22 else "core20"


def appear(host: LabHost, minor: tuple[int, int]) -> None:
    now, base = machine(host), base_of(minor)
    if base not in now.snaps:
        now.snaps[base] = Snap(base, "20250822", 2133, "latest/stable")
    for path, target in LINKS.items():
        if not host.files.exists(path):
            host.files.symlink(path, target)
    host.files.write(PROFILE, "profile cri-containerd.apparmor.d flags=(attach_disconnected,mediate_deleted) {\n}\n")
    packet_filter.restore(host, "iptables-legacy", _KUBE)
    packet_filter.restore(host, "ip6tables-legacy", _KUBE.replace("10.152.183.10/32", "fd98::10/128"))
    packet_filter.restore(host, "iptables-nft", _CALICO)
    now.settings.update(dict.fromkeys(now.settings, "1"))


def stay(host: LabHost) -> None:
    """The hook takes the links away, and not what they stand in."""
    for path in LINKS:
        host.files.remove(path)
    machine(host).units[FAILED] = Unit(FAILED, active=False, failed=True, loaded=False, description=FAILED)
