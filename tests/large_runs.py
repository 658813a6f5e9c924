"""Records of installations larger than a test could set up: made up, in the form of a real run's."""

from __future__ import annotations

from typing import Any

from tests.fake_run import record, row
from thinkube_nornir.outcome import Outcome
from thinkube_nornir.reporting.record import Failure, Record, Row
from thinkube_nornir.reporting.topology import Cluster, Network, PlacedHost, Topology

COMPONENTS = ("microk8s_control", "microk8s_workers", "coredns", "cert_manager", "ingress", "gpu_operator")
_SEEN = "kubelet and API are v1.35.0, and the node's conditions have not changed for 3 minutes"
_DIFF = """\
--- /etc/microk8s.yaml
+++ /etc/microk8s.yaml
@@ -1,3 +1,4 @@
 version: 0.2.0
-addons: []
+addons:
+  - name: dns
"""


def verification(hosts: int = 50, checks: int = 40) -> Record:
    """Every check on every host; each host fails one, for one of four reasons, and one host is unreachable."""
    names = _names(hosts)
    rows = [
        _verified(f"check_number_{check:02d}_holds_on_the_node", host, place, check, checks)
        for check in range(checks)
        for place, host in enumerate(names)
    ]
    return record(*rows, verb="verify", selection=("all",), duration=checks * 0.4, topology=topology(hosts))


def installation(hosts: int = 50, steps: int = 60) -> Record:
    """A third of a host's steps are preconditions, set-up and checks each; every third change has a diff."""
    rows: list[Row] = []
    for place, host in enumerate(_names(hosts)):
        before: tuple[str, ...] = ()
        at = 1_700_000_000.0 + place * 0.05
        for number in range(steps):
            chain = ("preconditions", "setup", "verify")[3 * number // steps]
            seconds = 0.05 + ((number * 7 + place) % 13) / 10
            made = row(
                f"step_number_{number:02d}_of_the_chain",
                host,
                Outcome.CHANGED if chain == "setup" else Outcome.PASSED,
                component=f"phase5.{COMPONENTS[number * len(COMPONENTS) // steps]}",
                chain=chain,
                message="write /etc/microk8s.yaml" if chain == "setup" else _SEEN,
                diff=_DIFF if chain == "setup" and number % 3 == 0 else "",
                started=at,
                duration=seconds,
                needs=before,
                about="The file that the snap reads at its first start is there, as the template has it.",
            )
            rows.append(made)
            at += seconds
            before = (made.id,)
    end = max((r.started or 0.0) + r.duration for r in rows)
    return record(*rows, duration=end - 1_700_000_000.0, topology=topology(hosts))


def topology(hosts: int) -> Topology:
    names = _names(hosts)
    addresses = {name: f"10.0.0.{number}" for number, name in enumerate(names, 1)}
    return Topology(
        tuple(PlacedHost(name, "virtual machine", notes=("GPU RTX 3090",)) for name in names),
        (Network("LAN", "10.0.0.0/16", addresses, {"gateway": "10.0.255.254"}),),
        (Cluster("MicroK8s", names[:1], names[1:], "control plane", "worker"),),
    )


def _names(hosts: int) -> tuple[str, ...]:
    return tuple(f"node-{number:02d}" for number in range(1, hosts + 1))


def _verified(step: str, host: str, place: int, check: int, checks: int) -> Row:
    given: dict[str, Any] = {
        "component": f"phase5.{COMPONENTS[check * len(COMPONENTS) // checks]}",
        "started": 1_700_000_000.0 + check * 0.4 + place * 0.003,
        "duration": 0.3,
    }
    if check and place == 0:
        return row(step, host, Outcome.SKIPPED, message=f"{host} is unreachable", **given)
    if check == (place * 7) % checks:
        reason = place % 4
        kind = "Unreachable" if place == 0 else "CheckFailed"
        failure = Failure(kind, f"reason {reason} on {host}", f"seen: reason {reason}", f"mend reason {reason}")
        return row(step, host, Outcome.FAILED, message=failure.what, failure=failure, **given)
    return row(step, host, Outcome.PASSED, message=_SEEN, **given)
