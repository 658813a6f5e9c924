"""What pods and nodes get when they look a name up: one probe pod per node asks everything that checks want to know."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from nornir.core.task import Task

from tasks.shared.address_pool import ingress_addresses, knative
from tasks.shared.cluster.control_plane import expect, is_ready, kube, name_of, registered_node, unready_because
from tasks.shared.cluster.settling import settled
from thinkube_nornir.cluster import PodRun, probe_pod, run_pod
from thinkube_nornir.command import Fact
from thinkube_nornir.context import context, setting
from thinkube_nornir.errors import ClusterError, ThinkubeError

SERVICE_NAME = "kubernetes.default.svc.cluster.local"
_PROBE = "thinkube-probe"  # a name below a wildcard that nothing else has

_KUBELET = "see `kubectl describe node` on the control plane, and the kubelet's log on the node"

_SCRIPT = """cat /etc/resolv.conf
while [ "$1" != -- ]; do
  echo "@ $1"
  nslookup "$1" 2>&1
  shift
done
shift
echo "@@"
for name; do ping -q -c 1 -W 1 "$name" 2>&1 & done
wait
exit 0"""
"""nslookup says what a name server answers, but skips the search list for a name with a dot; ping resolves as programs
do, by the C library, and prints the address before it sends anything.

Source: mirror/busybox@1_36_1 networking/nslookup.c (add_query_with_search)
Source: mirror/busybox@1_36_1 networking/ping.c (ping4, common_ping_main)
"""


@dataclass(frozen=True)
class Lookup:
    addresses: tuple[str, ...] = ()
    said: str = ""

    def __str__(self) -> str:
        return ", ".join(self.addresses) or self.said.strip() or "nothing"

    @property
    def answered(self) -> bool:
        """Whether a server spoke, be it to say that there is no such name."""
        return bool(self.said.strip()) and not re.search("timed out|SERVFAIL|REFUSED|no servers", self.said)


@dataclass(frozen=True)
class Report:
    """What one pod saw."""

    resolv_conf: str
    answers: dict[str, Lookup]
    """What a name server answered, by name."""
    programs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The address that programs get for a name, after the search list; none when it does not resolve."""

    def __getitem__(self, name: str) -> Lookup:
        return self.answers[name]


def names(task: Task) -> tuple[str, ...]:
    """The domain, a name below it, and one below its Knative sub-domain when Knative is on."""
    domain = setting(task, "domain_name")
    return domain, f"{_PROBE}.{domain}", *([f"{_PROBE}.kn.{domain}"] if knative(task) else [])


def acme_names(task: Task) -> tuple[str, ...]:
    domain = setting(task, "domain_name")
    return f"_acme-challenge.{domain}", *([f"_acme-challenge.kn.{domain}"] if knative(task) else [])


def public_names(task: Task) -> tuple[str, ...]:
    """Names of the Internet that must resolve, each as it is and with a final dot, which forbids search domains."""
    plain = setting(task, "dns_probe_names")
    return tuple(name + dot for name in plain for dot in ("", "."))


def expected(task: Task) -> dict[str, str]:
    """Name in the domain to the ingress that answers for it."""
    (apex, below, *knatives), (primary, *seconds) = names(task), ingress_addresses(task)
    return {apex: primary, below: primary, **dict(zip(knatives, seconds, strict=True))}


def in_overlay(task: Task, address: str) -> bool:
    """Without an overlay, the LAN: where the ingresses are."""
    network = setting(task, "zerotier_cidr", None) or setting(task, "network_cidr")
    return ip_address(address) in ip_network(network)


def probe_image(task: Task) -> str:
    return str(setting(task, "probe_image"))


def run_here(task: Task, purpose: str, *argv: str) -> PodRun:
    """Run a command in a pod on the node of the task's host.

    Raises:
        CheckFailed: the node is not there or not Ready: a pod would be waited for in vain.
        ClusterError, DeadlinePassed, NotRehearsed: as run_pod.
    """
    node = registered_node(task)
    name = name_of(node)
    expect(is_ready(node), f"no pod can run on {name}", why=f"it is not Ready: {unready_because(node)}", fix=_KUBELET)
    return run_pod(kube(task), probe_pod(f"{purpose}-{task.host.name}", probe_image(task), argv, node=name))


def lookups(task: Task) -> Report:
    """What a pod on this host's node resolves; asked once, and kept with the host's facts until something changes.

    Failure is kept as well: several checks ask, and each would wait for the same pod.
    """
    kept = context(task).facts.setdefault(task.host.name, {})
    if POD_REPORT not in kept:
        try:
            kept[POD_REPORT] = _ask(task)
        except ThinkubeError as error:
            kept[POD_REPORT] = error
    report: Report | ThinkubeError = kept[POD_REPORT]
    if isinstance(report, ThinkubeError):
        raise report
    return report


def lookups_when(task: Task, right: Callable[[Report], bool]) -> Report:
    """As `lookups`; while they are not right they are asked again, for as long as names take to settle."""
    return settled(task, lambda: lookups(task), right, forget=(POD_REPORT,))


def parse_report(log: str) -> Report:
    served, _, pinged = log.partition("@@\n")
    resolv_conf, *parts = re.split(r"^@ ", served, flags=re.MULTILINE)
    answers = {}
    for part in parts:
        question, _, said = part.partition("\n")
        answers[question] = _parse(said)
    found = re.findall(r"^PING (\S+) \(([0-9a-f.:]+)\)", pinged, re.MULTILINE)
    return Report(resolv_conf, answers, {name: (address,) for name, address in found})


def _parse(said: str) -> Lookup:
    """Answers of busybox' nslookup follow `Name:` lines; what stands before them is the server's own address."""
    answer = said[said.find("Name:") :] if "Name:" in said else ""
    addresses = re.findall(r"^Address(?: \d+)?:\s+([0-9a-f.:]+)", answer, flags=re.MULTILINE)
    return Lookup(tuple(addresses), said)


def _ask(task: Task) -> Report:
    own = (*names(task), *acme_names(task)) if setting(task, "domain_name", None) else ()
    questions = (SERVICE_NAME, *own, "--", *public_names(task))
    done = run_here(task, "names", "sh", "-c", _SCRIPT, "probe", *questions)
    if done.exit_code:
        raise ClusterError(f"the probe pod on {task.host.name} failed with {done.exit_code}", why=done.log)
    return parse_report(done.log)


POD_REPORT: Fact[Report] = Fact("look-ups from a pod", (), lambda _: Report("", {}))
