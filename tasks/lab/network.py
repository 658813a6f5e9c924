"""ip, ss and the machine's clock and name, from the inventory's addresses.

Source: iproute2/iproute2@v6.9.0 ip/ip.c
Source: iproute2/iproute2@v6.9.0 ip/ipaddress.c
Source: iproute2/iproute2@v6.9.0 ip/iproute.c
Source: iproute2/iproute2@v6.9.0 misc/ss.c
Unproven: the names of a host's links but the bridge's, and what timedatectl says where systemd does not run; hostname
    was compared with that of Debian 12.
"""

from __future__ import annotations

import ipaddress
import json
from typing import Any

from tasks.lab.resolver import lan_link
from tasks.lab.state import Link, machine
from tasks.lab.tool import ToolError, parse, tool
from thinkube_nornir.lab.emulation import Call, LabHost, Reply

POD_LINK = "vxlan.calico"
IP_USAGE = (
    "Usage: ip [ OPTIONS ] OBJECT { COMMAND | help }\nwhere  OBJECT := { address | link | route }\n"
    "       OPTIONS := { -j[son] | -4 | -p[retty] }\n"
)


def links_of(host: LabHost) -> dict[str, Link]:
    """The links phases 1-4 left: LAN (bridge or second card), internal, overlay."""
    found = {"lo": Link("lo", ["127.0.0.1/8"])}
    places = (("internal_ip", "enp5s0", "internal_cidr"), ("lan_ip", lan_link(host), "network_cidr"))
    for setting, name, network in (*places, ("zerotier_ip", "ztlab00001", "zerotier_cidr")):
        if host.settings.get(setting):
            length = str(host.settings.get(network, "/24")).partition("/")[2]
            found[name] = Link(name, [f"{host.settings[setting]}/{length}"], "bridge" if name == "br0" else "")
    return found


def routes(host: LabHost) -> list[dict[str, Any]]:
    lan, dev = str(host.settings.get("lan_ip", "")), lan_link(host)
    found: list[dict[str, Any]] = []
    if gateway := _gateway(host):
        found.append(
            {"dst": "default", "gateway": gateway, "dev": dev, "protocol": "static", "prefsrc": lan, "flags": []}
        )
    for link in machine(host).links.values():
        for address in link.addresses if link.name != "lo" else ():
            interface = ipaddress.ip_interface(address)
            net = str(interface.network)
            found.append({"dst": net, "dev": link.name, "protocol": "kernel", "scope": "link",
                          "prefsrc": str(interface.ip), "flags": []})  # fmt: skip
    return found


def _gateway(host: LabHost) -> str:
    """The LAN's router: where the inventory names none, the LAN's first address."""
    lan = host.settings.get("network_cidr") if host.settings.get("lan_ip") else None
    first = str(next(ipaddress.ip_network(str(lan)).hosts())) if lan else ""
    return str(host.settings.get("network_gateway") or first)


def route_to(host: LabHost, address: str) -> dict[str, Any]:
    """Raises ToolError: not an address, or no route."""
    try:
        target = ipaddress.ip_address(address)
    except ValueError:
        raise ToolError(1, f'Error: any valid prefix is expected rather than "{address}".\n') from None
    for route in routes(host)[::-1]:
        if route["dst"] != "default" and target in ipaddress.ip_network(route["dst"]):
            return {
                "dst": address,
                "dev": route["dev"],
                "prefsrc": route["prefsrc"],
                "flags": [],
                "uid": 0,
                "cache": [],
            }
    for route in routes(host)[:1]:
        if route["dst"] == "default":
            chosen = {k: route[k] for k in ("gateway", "dev", "prefsrc")}
            return {"dst": address, **chosen, "flags": [], "uid": 0, "cache": []}
    raise ToolError(2, "RTNETLINK answers: Network is unreachable\n")


@tool
async def ip(call: Call) -> Reply:
    argv = list(call.argv[1:])
    options = {argv.pop(0) for _ in range(len(argv)) if argv and argv[0].startswith("-")}
    if strange := options - {"-j", "-json", "-4", "-p", "-pretty"}:
        raise ToolError(255, f'Option "{min(strange)}" is unknown, try "ip -help".\n')
    subject, verb, *rest = [*argv, "show"] if len(argv) == 1 else argv or ["", ""]
    as_json = bool(options & {"-j", "-json"})
    kind = next((k for k in ("address", "link", "route") if subject and k.startswith(subject)), "")
    if kind == "link" and verb in ("delete", "del"):
        return _delete(call.host, rest)
    if kind == "route" and verb == "get" and len(rest) == 1:
        return _shown([route_to(call.host, rest[0])], as_json)
    if kind == "route" and verb in ("show", "list"):
        chosen = [r for r in routes(call.host) if not rest or r["dst"] == rest[-1]]
        return _shown(chosen, as_json)
    if kind in ("address", "link") and verb in ("show", "list"):
        return _shown(_addresses(call.host, kind, [w for w in rest if w != "dev"]), as_json)
    if not kind:
        raise ToolError(1, f'Object "{subject}" is unknown, try "ip help".\n') if subject else ToolError(255, IP_USAGE)
    raise ToolError(255, f'Command "{verb}" is unknown, try "ip {kind} help".\n')


def _addresses(host: LabHost, kind: str, names: list[str]) -> list[dict[str, Any]]:
    links = machine(host).links
    for name in names:
        if name not in links:
            raise ToolError(1, f'Device "{name}" does not exist.\n')
    found = []
    for index, link in enumerate(links.values(), start=1):
        if names and link.name not in names:
            continue
        interfaces = [ipaddress.ip_interface(a) for a in link.addresses]
        state = "UNKNOWN" if link.name == "lo" or link.name.startswith(("zt", "vxlan")) else "UP"
        flags = ["LOOPBACK", "UP", "LOWER_UP"] if link.name == "lo" else ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"]
        entry: dict[str, Any] = {"ifindex": index, "ifname": link.name, "flags": flags, "operstate": state}
        if kind == "address":
            entry["addr_info"] = [
                {
                    "family": "inet",
                    "local": str(i.ip),
                    "prefixlen": i.network.prefixlen,
                    "scope": "host" if link.name == "lo" else "global",
                    "label": link.name,
                }
                for i in interfaces
            ]
        found.append(entry)
    return found


def _delete(host: LabHost, rest: list[str]) -> Reply:
    name = rest[-1] if rest else ""
    if machine(host).links.pop(name, None) is None:
        raise ToolError(1, f'Cannot find device "{name}"\n')
    return Reply()


def _shown(found: list[dict[str, Any]], as_json: bool) -> Reply:
    if as_json:
        return Reply(0, json.dumps(found) + "\n")
    return Reply(0, "".join(_line(entry) for entry in found))


def _line(entry: dict[str, Any]) -> str:
    if "ifname" in entry:
        text = f"{entry['ifindex']}: {entry['ifname']}: <{','.join(entry['flags'])}> state {entry['operstate']}\n"
        return text + "".join(
            f"    inet {a['local']}/{a['prefixlen']} scope {a['scope']} {a['label']}\n"
            for a in entry.get("addr_info", ())
        )
    words = [entry["dst"]]
    words += [f"via {entry['gateway']}"] if "gateway" in entry else []
    words += [f"dev {entry['dev']}", f"src {entry['prefsrc']}"]
    return " ".join(words) + "\n"


def listening(host: LabHost) -> list[tuple[str, int]]:
    """(address, port) of every TCP listener: SSH, resolved's stub, BIND, MicroK8s."""
    found = [("*", 22)]
    units = machine(host).units
    if units["systemd-resolved"].active:
        found.append(("127.0.0.53%lo", 53))
    if "named" in units and units["named"].active:
        found += [(str(host.settings[k]), 53) for k in ("lan_ip", "internal_ip", "zerotier_ip") if host.settings.get(k)]
    node = machine(host).node
    return found + (node.listening() if node is not None else [])


@tool
async def ss(call: Call) -> Reply:
    letters = set()
    for word in call.argv[1:]:
        if not word.startswith("-") or word.startswith("--") or set(word[1:]) - set("ltnHup4"):
            raise ToolError(255, f"ss: invalid option -- '{word.lstrip('-')[:1]}'\n")
        letters |= set(word[1:])
    head = "" if "H" in letters else "State  Recv-Q Send-Q Local Address:Port  Peer Address:Port Process\n"
    rows = [f"LISTEN 0      4096   {f'{a}:{p}':>18}      0.0.0.0:*\n" for a, p in listening(call.host)]
    return Reply(0, head + "".join(rows if {"l", "t"} <= letters else []))


@tool
async def timedatectl(call: Call) -> Reply:
    if call.argv[1:2] != ("show",):
        raise ToolError(1, f"Unknown command verb {''.join(call.argv[1:2]) or 'status'}.\n")
    given = parse(
        call.argv[2:],
        flags=("--value",),
        values=("-p", "--property"),
        unknown=lambda option: ToolError(1, f"timedatectl: unrecognized option '{option}'\n"),
    )
    known = {"Timezone": "Etc/UTC", "LocalRTC": "no", "CanNTP": "yes", "NTP": "yes", "NTPSynchronized": "yes"}
    known.update(call.host.state.get("clock", {}))
    wanted = [w for v in [*given.values.get("-p", ()), *given.values.get("--property", ())] for w in v.split(",")]
    shown = [(k, v) for k, v in known.items() if not wanted or k in wanted]
    return Reply(0, "".join(f"{v}\n" if "--value" in given.flags else f"{k}={v}\n" for k, v in shown))


@tool
async def hostname(call: Call) -> Reply:
    full = machine(call.host).hostname
    texts = {(): full, ("-f",): full, ("--fqdn",): full, ("-s",): full.split(".")[0]}
    if call.argv[1:] == ("-I",):
        return Reply(0, " ".join(_all_addresses(call.host)) + " \n")
    if call.argv[1:] not in texts:
        raise ToolError(255, f"hostname: invalid option -- '{call.argv[1].lstrip('-')[:1]}'\n")
    return Reply(0, texts[call.argv[1:]] + "\n")


def _all_addresses(host: LabHost) -> list[str]:
    return [a.split("/")[0] for link in machine(host).links.values() if link.name != "lo" for a in link.addresses]
