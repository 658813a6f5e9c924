"""The machines of the full lab: LXD containers with Ubuntu's own systemd, OpenSSH, sudo and netplan."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from thinkube_nornir.errors import DeadlinePassed, ThinkubeError
from thinkube_nornir.full_lab.image import FIRST_BOOT, Image
from thinkube_nornir.full_lab.layout import Machine

if TYPE_CHECKING:
    from pylxd import Client
    from pylxd.models import Instance

IMAGE = "machine"
_AT_ONCE = 4  # more make each other wait for the disk
_BOOT = 180.0
_POOL = "default"
_HOST_KEY = "/etc/ssh/ssh_host_ed25519_key.pub"
_DEVICES = {"tun": "/dev/net/tun", "fuse": "/dev/fuse", "kmsg": "/dev/kmsg"}
"""What programs in a container may need of this machine: VPNs, snapd's mounts, the kubelet."""


def prepare(lxd: Client, image: Image) -> None:
    """Give LXD the storage and the image that machines are made from, where it has not."""
    if not lxd.storage_pools.exists(_POOL):
        lxd.storage_pools.create({"name": _POOL, "driver": "dir"})
    if not lxd.images.exists(IMAGE, alias=True):
        made = lxd.images.create(image.root.read_bytes(), metadata=image.metadata.read_bytes(), wait=True)
        made.add_alias(IMAGE, "a lab machine")


def start(lxd: Client, machines: Iterable[Machine], key: str, say: Callable[[str], None]) -> None:
    """Start those that are not up, several at once, and wait until each has booted.

    Args:
        key: the public SSH key that may log in.

    Raises:
        ThinkubeError: LXD could not start one, or a unit failed in it.
        DeadlinePassed: one did not boot in time.
    """

    def up(machine: Machine) -> None:
        _start(lxd, machine, key)
        say(f"full lab: {machine.name} is up")

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for done in [pool.submit(up, machine) for machine in machines]:
            done.result()


def remove_all(lxd: Client) -> None:
    """Remove every machine, whatever state it is in."""

    def remove(instance: Instance) -> None:
        if instance.status != "Stopped":
            instance.stop(force=True, wait=True)
        instance.delete(wait=True)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(remove, lxd.instances.all()))


def states(lxd: Client) -> dict[str, str]:
    """Each machine's state in LXD's words: `Running`."""
    return {instance.name: instance.status for instance in lxd.instances.all()}


def host_key(lxd: Client, name: str) -> str:
    """The public key of a machine's SSH server, read from its disk and not from the network."""
    content: bytes = lxd.instances.get(name).files.get(_HOST_KEY)
    return " ".join(content.decode().split()[:2])


def _start(lxd: Client, machine: Machine, key: str) -> None:
    from pylxd.exceptions import LXDAPIException

    try:
        if not lxd.instances.exists(machine.name):
            made = lxd.instances.create(_definition(machine), wait=True)
            _furnish(made, machine, key)
        instance = lxd.instances.get(machine.name)
        if instance.status != "Running":
            instance.start(wait=True)
    except LXDAPIException as error:
        fix = "`lab down` removes all of it; then try again"
        raise ThinkubeError(f"LXD cannot start {machine.name}", why=str(error), fix=fix) from None
    _await_boot(lxd, instance)


def _definition(machine: Machine) -> dict[str, Any]:
    nics = {
        f"eth{number}": {"type": "nic", "nictype": "bridged", "parent": link.network, "name": f"eth{number}"}
        for number, link in enumerate(machine.links)
    }
    devices = {name: {"type": "unix-char", "path": path, "mode": "0666"} for name, path in _DEVICES.items()}
    return {
        "name": machine.name,
        "source": {"type": "image", "alias": IMAGE},
        "config": {"security.nesting": "true"},  # a machine has containers of its own; privileged it need not be
        "profiles": [],
        "devices": {"root": {"type": "disk", "path": "/", "pool": _POOL}, **nics, **devices},
    }


def _furnish(instance: Instance, machine: Machine, key: str) -> None:
    """Write what makes the image this machine: its name, addresses and user."""
    files = {
        "/etc/hostname": (f"{machine.hostname}\n", 0o644),
        # without its own name here, every sudo waits for a name server
        "/etc/hosts": (f"127.0.0.1 localhost\n127.0.1.1 {machine.hostname}\n", 0o644),
        "/etc/netplan/50-lab.yaml": (_netplan(machine), 0o600),
        FIRST_BOOT: (_first_boot(machine, key), 0o755),
    }
    instance.files.mk_dir("/etc/lab")
    for path, (content, mode) in files.items():
        instance.files.put(path, content.encode(), mode=mode)


def _netplan(machine: Machine) -> str:
    """JSON is YAML."""
    links = {
        f"eth{number}": {
            "addresses": [link.address],
            **({"routes": [{"to": "default", "via": link.gateway}]} if link.gateway else {}),
        }
        for number, link in enumerate(machine.links)
    }
    return json.dumps({"network": {"version": 2, "renderer": "networkd", "ethernets": links}}, indent=2) + "\n"


def _first_boot(machine: Machine, key: str) -> str:
    user, home, secret = shlex.quote(machine.user), f"/home/{machine.user}", machine.sudo_password
    rule = f"{machine.user} ALL=(ALL) {'' if secret else 'NOPASSWD: '}ALL"
    password = f"echo {shlex.quote(f'{machine.user}:{secret}')} | chpasswd" if secret else ""
    return f"""\
#!/bin/sh -e
[ -e {_HOST_KEY} ] || ssh-keygen -q -A
id {user} >/dev/null 2>&1 || useradd --create-home --shell /bin/bash {user}
{password}
install -d -m 700 -o {user} -g {user} {home}/.ssh
echo {shlex.quote(key)} >{home}/.ssh/authorized_keys
chown {user}:{user} {home}/.ssh/authorized_keys
echo {shlex.quote(rule)} >/etc/sudoers.d/90-lab
chmod 440 /etc/sudoers.d/90-lab
"""


def _await_boot(lxd: Client, instance: Instance) -> None:
    """Wait for systemd's own word; before its bus is there, asking fails at once."""
    from pylxd.exceptions import LXDAPIException

    deadline, said = time.monotonic() + _BOOT, ""
    while said != "running":
        if time.monotonic() > deadline:
            what = f"{instance.name} has not booted within {_BOOT:g} s"
            raise DeadlinePassed(what, why=f"systemd said last: {said}", fix="`lab down`, then try again")
        try:
            said = _output(lxd, instance.name, "systemctl", "is-system-running", "--wait")
        except LXDAPIException as error:
            said = str(error)
        if said == "degraded":
            why = _output(lxd, instance.name, "systemctl", "--failed", "--no-legend", "--plain", "--no-pager")
            raise ThinkubeError(f"units failed in {instance.name}", why=why, fix="`lab down`, then try again")
        time.sleep(0 if said == "running" else 0.1)


def _output(lxd: Client, name: str, *argv: str) -> str:
    """What a command in a machine prints, errors included.

    It is recorded by LXD and read afterwards: pylxd's `execute` speaks over websockets, which break (`BrokenPipeError`,
    `SSLEOFError`) when the machine is busy.
    """
    wanted = {"command": list(argv), "record-output": True, "wait-for-websocket": False, "interactive": False}
    begun = lxd.api.instances[name].exec.post(json=wanted).json()
    done = lxd.operations.wait_for_operation(begun["operation"]).metadata
    logs = [path.rpartition("/")[2] for path in done["output"].values()]
    return "".join(lxd.api.instances[name].logs[log].get().text for log in logs).strip()
