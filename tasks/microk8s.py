"""MicroK8s: the snap, its addons, joining and leaving, as a Kubernetes distribution (kubernetes_distribution.py)."""

from __future__ import annotations

import json

from nornir.core.task import Result, Task

from tasks.microk8s_facts import CLUSTERED, COMMAND, STATUS
from tasks.node_facts import LINKS, SNAPD_WORK, group, snap, units
from thinkube_nornir.cluster.kubeconfig import parse
from thinkube_nornir.context import context, setting
from thinkube_nornir.errors import CheckFailed, ThinkubeError
from thinkube_nornir.outcome import unchanged
from thinkube_nornir.remote import change, obtain, read, run, undo, wait_until
from thinkube_nornir.remote.exchange import facts_forgotten
from thinkube_nornir.secret import Secret

HELM: tuple[str, ...] = ("/snap/bin/microk8s.helm3",)

SNAP = snap("microk8s")
GROUP = group("microk8s")
"""Whose members may use it without root. The snap makes it, and leaves it behind."""
SNAP_KEY = "snap:microk8s"
CHANNEL_KEY = "snap-channel:microk8s"
HOLD_KEY = "snap-hold:microk8s"
MEMBERSHIP_KEY = "membership:microk8s"

ROOT = "/var/snap/microk8s"
KUBELET_LINK = "/var/lib/kubelet"

_EVERYWHERE = ("kubelite", "containerd")
_CONTROL_PLANE = (*_EVERYWHERE, "k8s-dqlite", "cluster-agent")
_WORKER = (*_EVERYWHERE, "apiserver-proxy")

_INSTALL = 900.0  # seconds; 200 MB over a slow line
_READY = 300.0
_JOIN = 300.0
_TOKEN = 300  # seconds an invitation is good for: an unused one dies by itself


def ours(task: Task, key: str) -> bool:
    """Whether the journal says that we made this change on the task's host."""
    return context(task).ledger.ours(task.host.name, key) is not None


def units_of(*, worker: bool) -> tuple[str, ...]:
    return tuple(f"snap.microk8s.daemon-{name}" for name in (_WORKER if worker else _CONTROL_PLANE))


def is_installed(task: Task) -> bool:
    return read(task, SNAP) is not None


def install(task: Task, channel: str) -> Result:
    _await_snapd(task)
    installed = read(task, SNAP)
    if installed is None:
        run(task, "snap", "wait", "system", "seed.loaded", timeout=_READY)
        return change(
            task,
            f"install microk8s {channel}",
            *("snap", "install", "microk8s", "--classic", f"--channel={channel}"),
            root=True,
            key=SNAP_KEY,
            before={"links": sorted(read(task, LINKS)), "group": read(task, GROUP) is not None},
            timeout=_INSTALL,
        )
    if installed.channel != channel:
        return change(
            task,
            f"move microk8s from {installed.channel} to {channel}",
            *("snap", "refresh", "microk8s", f"--channel={channel}"),
            root=True,
            key=None if ours(task, SNAP_KEY) else CHANNEL_KEY,
            before={"channel": installed.channel},
            timeout=_INSTALL,
        )
    return unchanged(task, f"microk8s {installed.version} follows {channel}")


def hold(task: Task) -> Result:
    """Keep snapd from moving the node to another version by itself, at a time of its own choice."""
    installed = read(task, SNAP)
    if installed is not None and "held" in installed.notes:
        return unchanged(task, "refreshes of microk8s are held")
    key = None if ours(task, SNAP_KEY) else HOLD_KEY
    return change(task, "hold refreshes of microk8s", "snap", "refresh", "--hold", "microk8s", root=True, key=key)


def await_ready(task: Task) -> Result:
    """Wait until MicroK8s says itself that it is ready."""
    argv = (COMMAND, "status", "--wait-ready", "--timeout", f"{_READY:.0f}")
    run(task, *argv, root=True, timeout=_READY + 30)
    return unchanged(task, "MicroK8s is ready")


def addon_is_on(task: Task, name: str) -> bool:
    return bool(read(task, STATUS).addons.get(name))


def addon(task: Task, name: str, argument: str = "", *, apart: bool = False) -> Result:
    """What asks for something on the terminal gets it as its argument, or would wait for ever."""
    if addon_is_on(task, name):
        return unchanged(task, f"addon {name} is on")
    key = None if ours(task, SNAP_KEY) and not apart else f"addon:{name}"
    wanted = f"{name}:{argument}" if argument else name
    return change(task, f"enable addon {wanted}", COMMAND, "enable", wanted, root=True, key=key, timeout=_READY)


def addon_off(task: Task, name: str) -> Result:
    if not addon_is_on(task, name):
        return unchanged(task, f"addon {name} is off")
    argv = (COMMAND, "disable", name)
    return change(task, f"disable addon {name}", *argv, root=True, key=f"addon-off:{name}", timeout=_READY)


def addon_on_again(task: Task, name: str) -> Result:
    argv = (COMMAND, "enable", name) if read(task, SNAP) else ()
    return undo(task, f"addon-off:{name}", f"enable addon {name} again", *argv, root=True, timeout=_READY)


def invitation(task: Task, address: str) -> Secret:
    ttl = str(setting(task, "token_ttl", _TOKEN))
    argv = (COMMAND, "add-node", "--token-ttl", ttl, "--format", "json")
    done = obtain(task, "invite a worker", *argv, root=True)
    urls = [str(url) for url in json.loads(done.text)["urls"]]
    for url in urls:
        Secret(url)
        Secret(url.partition("/")[2])
    for url in urls:
        if url.startswith(f"{address}:"):
            return Secret(url)
    offered = ", ".join(url.partition(":")[0] for url in urls)
    raise ThinkubeError(
        f"{task.host.name} invites through {offered}, and not through {address}",
        why="the address through which a worker joins becomes the cluster's, so only lan_ip will do",
        fix=f"give {task.host.name} the address {address}, or correct its lan_ip in the inventory",
    )


def join(task: Task, invitation: Secret) -> Result:
    """The URL goes through xargs: sudo writes its own arguments to the host's log."""
    return change(
        task,
        f"join the cluster as a worker through {invitation.reveal().partition('/')[0]}",
        *("xargs", COMMAND, "join", "--worker"),
        stdin=invitation.reveal().encode(),
        root=True,
        key=MEMBERSHIP_KEY,
        timeout=_JOIN,
    )


def leave(task: Task) -> Result:
    """The record of the membership stays: the control plane's half of it is still to be removed."""
    if not ours(task, MEMBERSHIP_KEY):
        return unchanged(task, "not a worker by our doing")
    if not read(task, CLUSTERED):
        return unchanged(task, "in no cluster")
    return change(task, "leave the cluster", COMMAND, "leave", root=True, timeout=_READY)


def remove(task: Task) -> Result:
    """Without the snapshot that snapd would take of gigabytes of images; the record goes with the leftovers."""
    _await_snapd(task)
    if not ours(task, SNAP_KEY):
        return unchanged(task, "microk8s was not installed by us")
    if read(task, SNAP) is None:
        return unchanged(task, "microk8s is not installed")
    return change(task, "remove microk8s", "snap", "remove", "--purge", "microk8s", root=True, timeout=_INSTALL)


def restore_channel(task: Task) -> Result:
    """What was installed before us follows its own channel again."""
    record = context(task).ledger.ours(task.host.name, CHANNEL_KEY)
    if record is None:
        return unchanged(task, "microk8s follows the channel it was installed from")
    channel = record.before["channel"]
    argv = ("snap", "refresh", "microk8s", f"--channel={channel}")
    return undo(task, CHANNEL_KEY, f"move microk8s back to {channel}", *argv, root=True, timeout=_INSTALL)


def release(task: Task) -> Result:
    argv = ("snap", "refresh", "--unhold", "microk8s")
    return undo(task, HOLD_KEY, "no longer hold refreshes of microk8s", *argv, root=True)


def kubeconfig(task: Task) -> str:
    if not is_installed(task):
        raise CheckFailed(
            f"there is no cluster: MicroK8s is not installed on {task.host.name}",
            why="snap list does not name microk8s",
            fix="set it up: python -m thinkube_nornir run phase5.microk8s_control",
        )
    text = run(task, COMMAND, "config", root=True).text + "\n"
    parse(text, task.host.name)  # refuses what cannot be used, and makes its keys known as secrets
    return text


def health(task: Task) -> tuple[str, ...]:
    worker = read(task, CLUSTERED)
    states = read(task, units(*units_of(worker=worker)))
    down = [f"{unit} is {state}" for unit, state in states.items() if state != "active"]
    silent = not worker and not read(task, STATUS).running
    return (*down, *(["microk8s status says that it does not run"] if silent else []))


def _await_snapd(task: Task) -> None:
    """A killed run may have left snapd at work on microk8s; a second order would be refused meanwhile."""
    if not _is_idle(read(task, SNAPD_WORK)):
        with facts_forgotten(task):
            wait_until(task, SNAPD_WORK, _is_idle, what="snapd to finish its work on microk8s", timeout=_INSTALL)


def _is_idle(work: tuple[str, ...]) -> bool:
    return not any("microk8s" in summary for summary in work)


def without_addon(task: Task, name: str) -> Result:
    """Off again, if it was us who turned it on in a MicroK8s that was there before."""
    argv = (COMMAND, "disable", name) if read(task, SNAP) else ()
    return undo(task, f"addon:{name}", f"disable addon {name}", *argv, root=True, timeout=_READY)
