"""The state the lab's hosts start in: phases 1-4 are done."""

from __future__ import annotations

from tasks.lab import accounts, network, packet_filter, resolver, sysctl, system, systemd
from tasks.lab.dns import zones_of_phase4
from tasks.lab.state import domain, machine
from thinkube_nornir.lab.emulation import Lab, LabHost

FIRST_USER, LAST_USER = 1000, 60000
SUDO_GROUP = 27


async def prepare(lab: Lab) -> None:
    """Names, addresses, the operator's account, BIND's zones, a resolver without drop-ins."""
    lab.state["zones"] = zones_of_phase4(lab)
    for host in lab.hosts.values():
        _prepare_host(host)


def _prepare_host(host: LabHost) -> None:
    now = machine(host)
    now.units = systemd.units_of(host)
    now.links = network.links_of(host)
    host.files.write("/etc/hostname", now.hostname + "\n")
    host.files.write("/etc/hosts", _hosts_file(host))
    host.files.write("/run/snapd.socket", "")
    now.settings = dict.fromkeys(sysctl.KEYS, "0")
    packet_filter.firewall(host)
    for path, name in packet_filter.FED.items():
        host.install(path, name, stdin=True)
    for path in ("/snap/bin", "/var/snap", "/etc/apparmor.d"):  # before any snap
        host.files.mkdir(path)
    system.prepare(host)
    host.install("/usr/bin/curl", "curl", stdin=True)
    _account(host, str(host.settings.get("system_username", "thinkube")))
    resolver.load(host)
    host.files.symlink("/etc/resolv.conf", "/run/systemd/resolve/stub-resolv.conf")


def _hosts_file(host: LabHost) -> str:
    """Every host by its LAN address, its own name too: a worker's name must not lead to 127.0.1.1."""
    peers = sorted(host.lab.hosts.values(), key=lambda h: h.name)
    lines = [f"{h.settings['lan_ip']} {h.name}.{domain(h)} {h.name}\n" for h in peers if h.settings.get("lan_ip")]
    return "127.0.0.1 localhost\n::1 localhost ip6-localhost\n" + "".join(lines)


def _account(host: LabHost, user: str) -> None:
    """The operator's account in group sudo, unless the host has it already."""
    if accounts.user_exists(host, user):
        return
    passwd = _text(host, "/etc/passwd")
    taken = {line.split(":")[2] for line in passwd.splitlines() if line.count(":") >= 2}
    number = next(str(n) for n in range(FIRST_USER, LAST_USER) if str(n) not in taken)
    host.files.write("/etc/passwd", f"{passwd}{user}:x:{number}:{number}::/home/{user}:/bin/bash\n")
    sudo = "" if "sudo" in accounts.groups(host) else f"sudo:x:{SUDO_GROUP}:\n"
    host.files.write("/etc/group", f"{_text(host, '/etc/group')}{sudo}{user}:x:{number}:\n")
    accounts.add_member(host, "sudo", user)


def _text(host: LabHost, path: str) -> str:
    return host.files.read(path).decode() if host.files.exists(path) else ""
