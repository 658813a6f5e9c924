"""What a machine's network must be before it may become a node: addresses, ports, firewall, the way out."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from typing import Any
from urllib.parse import urlsplit

from nornir.core.task import Result, Task

from tasks.shared.cluster.control_plane import expect, is_control_plane
from tasks.shared.hosts.firewall import UFW
from tasks.shared.hosts.host_requirements import NODES
from tasks.shared.hosts.node_facts import ADDRESSES, DEFAULT_ROUTE, LISTENING
from tasks.shared.hosts.proxies import PROXIES, Proxies
from tasks.shared.hosts.supported import (
    CONTROL_PLANE_PORTS,
    NODE_PORTS,
    OVERLAY_PORT,
    OWN_PORTS,
    POD_NETWORK,
    REGISTRIES,
    SERVICE_NETWORK,
)
from tasks.shared.microk8s.distribution import SNAP
from thinkube_nornir.command import Fact
from thinkube_nornir.context import component_of, context, hosts_in, setting
from thinkube_nornir.outcome import passed
from thinkube_nornir.remote import read, run

_ALL_PORTS = CONTROL_PLANE_PORTS | NODE_PORTS | OWN_PORTS
_STORE = 90.0  # seconds; snapd tries for 38 before it says no
_REGISTRY = "20"  # seconds
_SERVICE_NAMES = "svc"


def lan_ip_carries_the_default_route(task: Task) -> Result:
    lan_ip = setting(task, "lan_ip")
    addresses, route = read(task, ADDRESSES), read(task, DEFAULT_ROUTE)
    what = f"lan_ip {lan_ip} is on no interface"
    why = "seen: " + "; ".join(f"{name} {' '.join(found)}" for name, found in addresses.items())
    fix = "correct lan_ip in the inventory, or give the host this address"
    expect(any(lan_ip in found for found in addresses.values()), what, why=why, fix=fix)
    first = next(iter(addresses.get(route.device, ())), "") if route else ""
    source = (route.source or first) if route else "none"
    why = "the address from which a node speaks becomes its address in the cluster"
    fix = "let the default route use the interface, and the address, of the LAN"
    expect(source == lan_ip, f"traffic leaves from {source}, not from lan_ip {lan_ip}", why=why, fix=fix)
    return passed(task, f"{lan_ip} is the source of the default route")


def ports_are_free(task: Task) -> Result:
    """MicroK8s' own, once it is installed, are in use by itself."""
    if read(task, SNAP) is not None:
        return passed(task, "MicroK8s is installed, and its ports are its own")
    taken = sorted(read(task, LISTENING) & _ALL_PORTS.keys())
    what = f"ports are taken: {', '.join(f'{port} ({_ALL_PORTS[port]})' for port in taken)}"
    why = "another Kubernetes, or another program, listens there, and MicroK8s could not start"
    fix = "see which with `ss -Hltnp`, and stop it"
    expect(not taken, what, why=why, fix=fix)
    return passed(task, f"ports {', '.join(map(str, _ALL_PORTS))} are free")


def firewall_lets_nodes_in(task: Task) -> Result:
    """MicroK8s itself opens its own interfaces, `cali+` and `vxlan.calico`, and no port."""
    firewall, own = read(task, UFW), setting(task, "lan_ip")
    if not firewall.active:
        return passed(task, "UFW is not active")
    interface = next((name for name, found in read(task, ADDRESSES).items() if own in found), "")
    peers = _peers(task)
    wanted = [(port, "tcp") for port in _open_ports(task)] + [(OVERLAY_PORT, "udp")]
    closed = [
        f"{port}/{protocol} from {name} ({address})"
        for port, protocol in wanted
        for name, address in peers.items()
        if not firewall.lets_in(address, own, port, protocol, interface)
    ]
    why, fix = f"UFW does not let in: {', '.join(closed)}", "; ".join(_openings(task, list(peers.values())))
    expect(not closed, "the firewall keeps the other nodes out", why=why, fix=fix)
    return passed(task, "UFW lets the other nodes in")


def _peers(task: Task) -> dict[str, str]:
    others = [host for host in hosts_in(task, NODES) if host.name != task.host.name]
    return {host.name: host["lan_ip"] for host in others if "lan_ip" in host.keys()}  # noqa: SIM118 a Host is no mapping


def _open_ports(task: Task) -> list[int]:
    return sorted(NODE_PORTS | (CONTROL_PLANE_PORTS if is_control_plane(task) else {}))


def _openings(task: Task, peers: list[str]) -> list[str]:
    """The commands that open the ports. In front of other rules, because the first one that fits decides."""
    network = setting(task, "network_cidr", None)
    within = network is not None and all(IPv4Address(peer) in IPv4Network(network) for peer in peers)
    ports = ",".join(map(str, _open_ports(task)))
    return [
        f"ufw prepend allow from {source} to any port {which} proto {protocol}"
        for source in ([str(network)] if within else peers)
        for which, protocol in ((ports, "tcp"), (str(OVERLAY_PORT), "udp"))
    ]


def proxy_spares_the_cluster(task: Task) -> Result:
    """Services of MicroK8s take the host's proxy, for what stays among the nodes and their pods too."""
    proxies = read(task, PROXIES)
    if not proxies.used:
        return passed(task, "/etc/environment names no proxy")
    nodes = {setting(task, "lan_ip"), *_peers(task).values()}
    missing = [network for network in (POD_NETWORK, SERVICE_NETWORK) if proxies.uses_for_network(network)]
    missing += _as_networks(task, [node for node in sorted(nodes) if proxies.uses_for_address(node)])
    missing += [f".{_SERVICE_NAMES}"] * proxies.uses_for_names_below(_SERVICE_NAMES)
    spared = ",".join([*proxies.exceptions, *missing])
    why, fix = f"no_proxy in /etc/environment lacks {', '.join(missing)}", f"`snap set system proxy.no-proxy={spared}`"
    expect(not missing, "the proxy is used inside the cluster", why=why, fix=fix)
    return passed(task, "the proxy is used for what is outside")


def _as_networks(task: Task, addresses: list[str]) -> list[str]:
    network = setting(task, "network_cidr", None)
    inside = [a for a in addresses if network is not None and IPv4Address(a) in IPv4Network(network)]
    return [str(network)] * bool(inside) + [a for a in addresses if a not in inside]


def snap_store_answers(task: Task) -> Result:
    """Asked by snapd itself, with its own proxy: the store, and the host that it downloads from.

    Source: canonical/snapd@2.69 cmd/snap/cmd_debug_connectivity_check.go
    Source: canonical/snapd@2.69 store/store.go
    """
    snap, channel = read(task, SNAP), setting(task, "microk8s_channel")
    if snap is not None and snap.channel == channel:
        return passed(task, "MicroK8s is installed already")
    done = run(task, "snap", "debug", "connectivity", accept=tuple(range(256)), timeout=_STORE)
    seen = [line.strip(" *") for line in done.text.splitlines() if line.startswith(" *")]
    why = "; ".join(seen) or done.stderr.decode(errors="backslashreplace").strip()
    fix = f"let the host reach api.snapcraft.io and *.snapcraftcontent.com over HTTPS. {_BEHIND_A_PROXY}"
    expect(done.status == 0, "snapd does not reach the snap store", why=why, fix=fix)
    return passed(task, "snapd reaches the snap store")


def registries_answer(task: Task) -> Result:
    """Any answer is one: without a login, registries refuse."""
    if read(task, SNAP) is not None:
        return passed(task, "MicroK8s is installed already")
    return reach(task, setting(task, "registries", list(REGISTRIES)))


def sources_answer(
    repository: str, *registries: str, on: Callable[[Task], bool] = lambda _: True
) -> Callable[[Task], Result]:
    """A precondition of a component: its chart's repository, and the registries of its images beside MicroK8s' own.

    Args:
        on: whether the component has anything to do on this host; charts are the control plane's.
    """

    def sources_answer(task: Task) -> Result:
        if not on(task):
            return passed(task, "nothing is fetched here")
        if context(task).change_log.changes(host=task.host.name, component=component_of(task)):
            return passed(task, "it was set up before, and may be repaired")  # a name server that is down, say
        source = urlsplit(setting(task, "helm_chart_source", repository)) if is_control_plane(task) else None
        charts = [source.hostname] if source and source.hostname else []
        mirrored = setting(task, "registries", None) is not None
        return reach(task, [*charts, *(() if mirrored else registries)])

    return sources_answer


def reach(task: Task, hosts: list[str]) -> Result:
    """Whether these answer over HTTPS, by the way that the host's services take.

    Raises:
        CheckFailed: with what curl says of each that does not.
    """
    silent = {host: reported for host in hosts if (reported := _silence(task, host))}
    why = "; ".join(f"{host}: {reported}" for host, reported in silent.items())
    fix = f"let the host reach them over HTTPS. {_BEHIND_A_PROXY}. `registries` says which are asked"
    expect(not silent, f"no answer from {', '.join(silent)}", why=why, fix=fix)
    return passed(task, f"{', '.join(hosts)} answer" if hosts else "nobody is to be asked")


def _silence(task: Task, host: str) -> str:
    """Why it does not answer; empty when it does. The proxy's URL, which may hold a password, goes by stdin."""
    argv = ("curl", "--silent", "--show-error", "--output", "/dev/null", "--max-time", _REGISTRY, "--config", "-")
    lines = [f'url = "https://{host}/v2/"', *_by_proxy(read(task, PROXIES))]
    done = run(task, *argv, stdin="\n".join(lines).encode(), accept=tuple(range(256)))
    if done.status == 127:
        return "curl is not installed: `apt-get install curl`"
    reported = done.stderr.decode(errors="backslashreplace").strip() or f"curl ended with {done.status}"
    return reported if done.status else ""


def _by_proxy(proxies: Proxies) -> list[str]:
    if proxies.https is None:
        return ['noproxy = "*"']
    url = proxies.https.reveal().replace("\\", "\\\\").replace('"', '\\"')
    return [f'proxy = "{url}"', f'noproxy = "{",".join(proxies.exceptions)}"']


_BEHIND_A_PROXY = (
    "Behind a proxy: `snap set system proxy.https=URL proxy.http=URL "
    f"proxy.no-proxy={POD_NETWORK},{SERVICE_NETWORK},.{_SERVICE_NAMES},LAN`"
)
"""snapd writes them to /etc/environment, which MicroK8s' services read, too."""

CHECKS = (
    lan_ip_carries_the_default_route,
    ports_are_free,
    firewall_lets_nodes_in,
    proxy_spares_the_cluster,
    snap_store_answers,
    registries_answer,
)
FACTS: tuple[Fact[Any], ...] = (SNAP, ADDRESSES, DEFAULT_ROUTE, LISTENING, UFW, PROXIES)
