"""MicroK8s: the snap, its addons, joining and leaving, as a Kubernetes distribution (kubernetes_distribution.py)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import wraps
from typing import Any

from nornir.core.task import Result, Task

from tasks.shared.hosts.node_facts import units
from tasks.shared.microk8s.facts import (
    CLUSTERED,
    COMMAND,
    DATASTORE_SOCKET,
    SOCKET_FILE,
    STATUS,
    STATUS_TIMEOUT,
    STOPPED,
    STOPPED_LOCK,
)
from tasks.shared.microk8s.leftover_facts import noted
from thinkube_nornir.cluster.kubeconfig import parse
from thinkube_nornir.component import StepFunction
from thinkube_nornir.context import component_of, context, is_managed, known, setting
from thinkube_nornir.errors import CheckFailed, ThinkubeError
from thinkube_nornir.outcome import all_of, unchanged
from thinkube_nornir.program import command
from thinkube_nornir.remote import change, read, run, run_for_output, undo
from thinkube_nornir.resources import Snap, from_setting
from thinkube_nornir.resources.accounts import group
from thinkube_nornir.resources.snapd import await_idle, order
from thinkube_nornir.resources.snaps import snap
from thinkube_nornir.secret import Secret

HELM: tuple[str, ...] = ("/snap/bin/microk8s.helm3",)

NAME = "microk8s"
SNAP = snap(NAME)
GROUP = group("microk8s")
"""Whose members may use it without root. The snap makes it, and leaves it behind."""
INSTALLATION = Snap(
    NAME,
    from_setting("microk8s_channel"),
    classic=True,
    held=True,
    note=lambda task: {**noted(task), "group": read(task, GROUP) is not None},
    keeps_record=True,
)
"""snapd is at work on it more often than one sees: `microk8s stop`, `leave` and `enable` order it about, and its kicker
restarts services when the host's addresses change.

Source: canonical/microk8s@1.35 microk8s-resources/wrappers/apiservice-kicker
"""
SNAP_KEY = INSTALLATION.key
MEMBERSHIP_KEY = "membership:microk8s"
STOPPING_KEY = "stopping:microk8s"  # of one that is about to be removed
STARTED_KEY = "started:microk8s"  # of one that its owner had stopped

ROOT = "/var/snap/microk8s"
KUBELET_LINK = "/var/lib/kubelet"

_EVERYWHERE = ("kubelite", "containerd")
_CONTROL_PLANE = (*_EVERYWHERE, "k8s-dqlite", "cluster-agent")
_WORKER = (*_EVERYWHERE, "apiserver-proxy")

_READY = 600.0  # Calico's images are pulled before a node is Ready
_ADDON = 600.0  # a second one waits for the first; taking dns away takes minutes
_JOIN = 300.0
_LEAVE = 900.0  # measured 60 s; it tries ten times to stop and ten times to start all services, with pauses
_STOP = 300.0
_START = 600.0  # containerd alone may take 300 to start; it then waits for the node
_RESTART = 400.0  # containerd alone may take 300 to start, and a service that does not stop is killed after 30
ALWAYS_ON = ("helm", "helm3")
"""Addons that are on as soon as the snap is there: `status` looks for a program in the snap itself.

Source: canonical/microk8s-core-addons@1.35 addons.yaml
"""
_KEEPS_VOLUMES = "hostpath-storage"
"""Its `disable` asks whether to delete the volumes, and exits with 1 when they are kept.

Source: canonical/microk8s-core-addons@1.35 addons/hostpath-storage/disable
"""


def units_of(*, worker: bool) -> tuple[str, ...]:
    return tuple(f"snap.microk8s.daemon-{name}" for name in (_WORKER if worker else _CONTROL_PLANE))


def is_installed(task: Task) -> bool:
    return read(task, SNAP) is not None


def where_installed(check: StepFunction) -> StepFunction:
    """A check of what MicroK8s has on this host; without MicroK8s that is said, and not each thing that is missing."""

    @wraps(check)
    def guarded(task: Task) -> Result:
        _must_be_installed(task, component_of(task))
        return check(task)

    return guarded


def _must_be_installed(task: Task, component: str) -> None:
    """In the same words for all who ask, so that a report has it once."""
    if not is_installed(task):
        why = "snap list does not name microk8s"
        fix = f"set it up: `{command('run', component)}`"
        raise CheckFailed(f"MicroK8s is not installed on {task.host.name}", why=why, fix=fix)


def await_ready(task: Task) -> Result:
    """Wait until MicroK8s says itself that it is ready."""
    argv = (COMMAND, "status", "--wait-ready", "--timeout", f"{_READY:.0f}")
    run(task, *argv, root=True, timeout=_READY + STATUS_TIMEOUT)
    return unchanged(task, "MicroK8s is ready")


def addon_is_on(task: Task, name: str) -> bool:
    return bool(read(task, STATUS).addons.get(name))


def addon(task: Task, name: str, argument: str = "", *, apart: bool = False) -> Result:
    """What asks for something on the terminal gets it as its argument, or would wait for ever."""
    if addon_is_on(task, name):
        return unchanged(task, f"addon {name} is on")
    key = None if is_managed(task, SNAP_KEY) and not apart else f"addon:{name}"
    wanted = f"{name}:{argument}" if argument else name
    return _ordered(task, f"enable addon {wanted}", COMMAND, "enable", wanted, key=key, timeout=_ADDON)


def addon_off(task: Task, name: str) -> Result:
    if not addon_is_on(task, name):
        return unchanged(task, f"addon {name} is off")
    argv = (COMMAND, "disable", name)
    return _ordered(task, f"disable addon {name}", *argv, key=f"addon-off:{name}", timeout=_ADDON)


def addon_on_again(task: Task, name: str) -> Result:
    argv = (COMMAND, "enable", name) if read(task, SNAP) else ()
    return _undone(task, f"addon-off:{name}", f"enable addon {name} again", *argv, timeout=_ADDON)


def join_token(task: Task, address: str) -> Secret:
    ttl = str(setting(task, "token_ttl"))
    argv = (COMMAND, "add-node", "--token-ttl", ttl, "--format", "json")
    done = run_for_output(task, "invite a worker", *argv, root=True)
    urls = [str(url) for url in json.loads(done.text)["urls"]]
    for url in urls:
        Secret(url)
        Secret(url.partition("/")[2])
    for url in urls:
        if url.startswith(f"{address}:"):
            return Secret(url)
    offered = ", ".join(url.partition(":")[0] for url in urls)
    why = "the address through which a worker joins becomes the cluster's, so only lan_ip will do"
    fix = f"give {task.host.name} the address {address}, or correct its lan_ip in the inventory"
    raise ThinkubeError(f"{task.host.name} invites through {offered}, and not through {address}", why=why, fix=fix)


def join(task: Task, join_token: Secret) -> Result:
    """The URL goes through xargs, so it is in no own command; MicroK8s' own script hands it to sudo, which logs it.

    What is in the log is worth something for as long as the token lives, so that is short.

    Source: canonical/microk8s@1.35 microk8s-resources/wrappers/microk8s-join.wrapper
    Source: canonical/microk8s-cluster-agent@1.34 pkg/snap/snap.go
    """
    await_idle(task, NAME)  # half of it done, it cannot be asked again
    return change(
        task,
        f"join the cluster as a worker through {join_token.reveal().partition('/')[0]}",
        *("xargs", COMMAND, "join", "--worker"),
        stdin=join_token.reveal().encode(),
        root=True,
        key=MEMBERSHIP_KEY,
        timeout=_JOIN,
    )


def leave(task: Task) -> Result:
    """The record of the membership stays: the control plane's half of it is still to be removed."""
    if not is_managed(task, MEMBERSHIP_KEY):
        return unchanged(task, "not a worker by our doing")
    if not read(task, CLUSTERED):
        return unchanged(task, "in no cluster")
    return leave_cluster(task, "leave the cluster")


def leave_cluster(task: Task, summary: str) -> Result:
    """A stopped node is started before: `microk8s leave` refuses there, and orders its services about itself."""
    started = start(task) if read(task, STOPPED) else unchanged(task, "MicroK8s is not stopped")
    await_idle(task, NAME)  # half of it done, it cannot be asked again
    return all_of(task, started, _ordered(task, summary, COMMAND, "leave", timeout=_LEAVE))


def start(task: Task) -> Result:
    """What `stop` ended, or only began to end: it is unfinished when services are inactive without its lock.

    `microk8s start` does nothing on a worker but to name `snap start`; there the lock goes when kubelite starts.

    Source: canonical/microk8s@1.35 microk8s-resources/wrappers/microk8s-start.wrapper
    Source: canonical/microk8s@1.35 microk8s-resources/wrappers/run-kubelite-with-args
    """
    if not is_installed(task):
        return unchanged(task, "MicroK8s is not installed")
    await_idle(task, NAME)  # what an interrupted `stop` began goes on without it
    locked, worker = read(task, STOPPED), read(task, CLUSTERED)
    if not locked and "inactive" not in _states(task, worker=worker).values():
        return unchanged(task, "MicroK8s is not stopped")
    argv = ("snap", "start", "--enable", NAME) if worker else (COMMAND, "start")
    key = STARTED_KEY if locked and not is_managed(task, SNAP_KEY) else None
    started = _ordered(task, "start MicroK8s", *argv, key=key, timeout=_START)
    undo(task, STOPPING_KEY, "forget that it was stopped", root=True)
    if context(task).dry_run or not read(task, STOPPED):
        return started
    return all_of(task, started, restart(task, "kubelite", f"restart kubelite, which removes {STOPPED_LOCK}"))


def stop(task: Task) -> Result:
    """With its pods. Measured 32 s; a worker's says how to do it and stops nothing: it has to leave before."""
    return _ordered(task, "stop MicroK8s and its pods", COMMAND, "stop", key=STOPPING_KEY, timeout=_STOP)


def is_stopped(task: Task) -> bool:
    """Its API does not answer then. A run that changes something goes by what it has read: a set-up starts it."""
    services = units(*units_of(worker=False))
    if context(task).read_only:
        read(task, STOPPED, services)  # once, as nothing changes
    states = known(task, services).get(task.host.name) or {"": "active"}
    return bool(known(task, STOPPED).get(task.host.name)) and "active" not in states.values()


def stop_again(task: Task) -> Result:
    """What `start` found stopped by its owner."""
    if not is_managed(task, STARTED_KEY):
        return unchanged(task, "MicroK8s was not started by us")
    argv = (COMMAND, "stop") if is_installed(task) else ()
    return _undone(task, STARTED_KEY, "stop MicroK8s again", *argv, timeout=_STOP)


def restart(task: Task, service: str, summary: str, *, key: str | None = None) -> Result:
    return _ordered(task, summary, "snap", "restart", f"microk8s.daemon-{service}", key=key, timeout=_RESTART)


def restart_undone(task: Task, service: str, key: str) -> Result:
    argv = ("snap", "restart", f"microk8s.daemon-{service}")
    return _undone(task, key, f"restart {service} with its previous arguments", *argv, timeout=_RESTART)


def kubeconfig(task: Task) -> str:
    _must_be_installed(task, "phase5.microk8s_control")
    text = run(task, COMMAND, "config", root=True).text + "\n"
    parse(text, task.host.name)  # refuses what cannot be used, and makes its keys known as secrets
    return text


def health(task: Task) -> tuple[str, ...]:
    worker = read(task, CLUSTERED)
    down = [f"{unit} is {state}" for unit, state in _states(task, worker=worker).items() if state != "active"]
    if not worker and not read(task, DATASTORE_SOCKET):
        down.append(f"dqlite has no socket: {SOCKET_FILE} is not there, and the API server has nowhere to store")
    if not worker and not read(task, STATUS).running:
        down.append("`microk8s status` does not say running: true")
    return tuple(down)


def _states(task: Task, *, worker: bool) -> Mapping[str, str]:
    return read(task, units(*units_of(worker=worker)))


def without_addon(task: Task, name: str) -> Result:
    """Off again, if it was us who turned it on in a MicroK8s that was there before."""
    key, summary = f"addon:{name}", f"disable addon {name}"
    if name == _KEEPS_VOLUMES and is_managed(task, key) and read(task, SNAP):
        return _without_storage(task, key, summary)
    argv = (COMMAND, "disable", name) if read(task, SNAP) else ()
    return _undone(task, key, summary, *argv, timeout=_ADDON)


def _without_storage(task: Task, key: str, summary: str) -> Result:
    """Its volumes stay: they are the users' data. Status 1 is what it says then, and also when it failed."""
    argv = (COMMAND, "disable", _KEEPS_VOLUMES)
    disabled = _ordered(task, summary, *argv, stdin=b"N\n", accept=(0, 1), timeout=_ADDON)
    if not context(task).dry_run and addon_is_on(task, _KEEPS_VOLUMES):
        fix = f"see why on the host: `microk8s disable {_KEEPS_VOLUMES}`"
        raise CheckFailed(f"addon {_KEEPS_VOLUMES} is still on", why="microk8s status lists it as enabled", fix=fix)
    return all_of(task, disabled, _undone(task, key, f"forget addon {_KEEPS_VOLUMES}"))


def _ordered(task: Task, summary: str, *argv: str, **options: Any) -> Result:
    """A change, as root, that makes snapd work."""
    return order(task, NAME, lambda: change(task, summary, *argv, root=True, **options))


def _undone(task: Task, key: str, summary: str, *argv: str, timeout: float | None = None) -> Result:
    return order(task, NAME, lambda: undo(task, key, summary, *argv, root=True, timeout=timeout))
