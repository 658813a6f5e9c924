"""Service addresses and node ports: given ones are kept and unique, missing ones are allocated.

Unproven: which of the free addresses and ports a service gets (the real server takes them at random), and the words in
    which a wrong one is refused.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from thinkube_nornir.lab.kube import status
from thinkube_nornir.lab.kube.objects import Object, key_of, name_of
from thinkube_nornir.lab.kube.status import Cause

SERVICES = ipaddress.ip_network("10.152.183.0/24")
_FIRST_FREE = 20  # lower ones are left to those who ask for a certain address, such as the cluster's DNS
_NODE_PORTS = range(30000, 32768)


def allocate(service: Object, live: Object | None, others: Iterable[Object]) -> None:
    """Give `service` its cluster address and node ports, as it had them or new ones."""
    spec = service["spec"]
    taken = [other["spec"] for other in others if key_of(other) != key_of(service)]
    if spec["type"] == "ExternalName":
        return
    if live and not spec.get("clusterIP"):
        spec |= {name: live["spec"][name] for name in ("clusterIP", "clusterIPs") if name in live["spec"]}
    _cluster_ip(service, {other.get("clusterIP", "") for other in taken})
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        _node_ports(spec, live, {port.get("nodePort", 0) for other in taken for port in other.get("ports") or []})


def _cluster_ip(service: Object, taken: set[str]) -> None:
    spec = service["spec"]
    given = spec.get("clusterIP") or ""
    if given and given != "None":
        _check(service, given, taken)
    elif not given:
        free = (str(address) for address in list(SERVICES.hosts())[_FIRST_FREE:] if str(address) not in taken)
        spec["clusterIP"] = next(free)
    spec["clusterIPs"] = [spec["clusterIP"]]


def _check(service: Object, address: str, taken: set[str]) -> None:
    try:
        inside = ipaddress.ip_address(address) in SERVICES
    except ValueError:
        reported = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        cause = Cause("spec.clusterIPs[0]", f'Invalid value: "{address}": {reported}')
        raise status.invalid("Service", "", name_of(service), [cause]) from None
    if not inside:
        why = f"failed to allocate IP {address}: the provided network does not match the current range"
    elif address in taken:
        why = f"failed to allocate IP {address}: provided IP is already allocated"
    else:
        return
    cause = Cause("spec.clusterIPs", f'Invalid value: ["{address}"]: {why}')
    raise status.invalid("Service", "", name_of(service), [cause])


def _node_ports(spec: Object, live: Object | None, taken: set[int]) -> None:
    before = {port["port"]: port.get("nodePort") for port in (live or {"spec": {}})["spec"].get("ports") or []}
    for port in spec.get("ports") or []:
        wanted = port.get("nodePort") or before.get(port["port"])
        port["nodePort"] = wanted or next(number for number in _NODE_PORTS if number not in taken)
        taken.add(port["nodePort"])
