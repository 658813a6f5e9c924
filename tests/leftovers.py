"""What a machine of microk8s_machine.py has outside of MicroK8s' folders, and the commands that work on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.fake_host import Reply
from thinkube_nornir.command import Command

PROFILE = "/etc/apparmor.d/cri-containerd.apparmor.d"
CGROUP = "/sys/fs/cgroup/kubepods"
RULES = "*nat\n:PREROUTING ACCEPT [0:0]\n:KUBE-SERVICES - [0:0]\n-A PREROUTING -j KUBE-SERVICES\nCOMMIT\n"
FORWARDING = "net.ipv4.ip_forward"
FAILED = "snap.microk8s.daemon-cluster-agent.service"


@dataclass
class Leftovers:
    """Attributes are what is there now."""

    rules: str = ""
    """What iptables-legacy-save prints; there is no other iptables."""
    snaps: dict[str, str] = field(default_factory=lambda: {"lxd": "-"})
    """Name to notes, but for MicroK8s' own."""
    forwarding: str = "0"
    places: set[str] = field(default_factory=set)
    failed: list[str] = field(default_factory=list)
    ufw: list[str] = field(default_factory=list)
    removable: bool = True
    """Whether the base snaps can be removed."""

    def appear(self) -> None:
        self.rules, self.forwarding = RULES, "1"
        self.snaps |= {"core22": "base", "snapd": "snapd"}
        self.places |= {"/etc/cni", "/opt/cni", PROFILE, CGROUP}
        self.ufw += ["allow in on cali+", "allow out on cali+"]

    def removed(self) -> None:
        self.failed = [FAILED]

    def answers(self) -> Iterator[tuple[str, Reply | Callable[[Command], Reply]]]:
        yield "snap list", lambda _: self._listed()
        yield "snap remove --purge core", self._remove_snap
        yield "sysctl net", lambda _: Reply(0, f"{FORWARDING} = {self.forwarding}\n")
        yield "sysctl -w", self._set
        yield "ls -d -- /etc/cni", lambda c: Reply(0, "".join(f"{p}\n" for p in c.argv[3:] if p in self.places))
        yield "find /etc/cni", lambda c: Reply(0, "".join(f"{p}\n" for p in c.argv[1:3] if p in self.places))
        yield "find /sys/fs/cgroup", lambda _: Reply(0, f"{CGROUP}\n" if CGROUP in self.places else "")
        yield "find /sys/fs/cgroup/kubepods", lambda _: self._gone(CGROUP)
        yield "rm -f --", lambda c: self._gone(*c.argv[3:])
        yield "rmdir --", lambda c: self._gone(*c.argv[2:])
        yield "ufw show added", lambda _: Reply(0, "".join(f"ufw {rule}\n" for rule in ["allow 22", *self.ufw]))
        yield "ufw delete", self._ufw_delete
        yield "systemctl list-units", lambda _: Reply(0, "".join(f"{u} not-found failed failed\n" for u in self.failed))
        yield "systemctl reset-failed", lambda _: self._reset()
        for tool in ("iptables-nft", "ip6tables-nft", "ip6tables-legacy"):
            yield f"{tool}-save", Reply(127)
        yield "iptables-legacy-save", lambda _: Reply(0, self.rules)
        yield "iptables-legacy-restore", lambda _: self._without_rules()

    def _listed(self) -> Reply:
        rows = "".join(f"{name} 1 2 latest/stable canonical {notes}\n" for name, notes in self.snaps.items())
        return Reply(0, f"Name Version Rev Tracking Publisher Notes\n{rows}")

    def _remove_snap(self, command: Command) -> Reply:
        if not self.removable:
            told = "is not removable: snap is being used by snap lxd."
            return Reply(1, stderr=f'error: cannot remove "core22": snap "core22" {told}\n')
        del self.snaps[command.argv[-1]]
        return Reply()

    def _set(self, command: Command) -> Reply:
        self.forwarding = command.argv[-1].partition("=")[2]
        return Reply()

    def _gone(self, *paths: str) -> Reply:
        self.places -= set(paths)
        return Reply()

    def _ufw_delete(self, command: Command) -> Reply:
        self.ufw.remove(" ".join(command.argv[2:]))
        return Reply()

    def _reset(self) -> Reply:
        self.failed = []
        return Reply()

    def _without_rules(self) -> Reply:
        self.rules = RULES.partition(":KUBE")[0] + "COMMIT\n"
        return Reply()
