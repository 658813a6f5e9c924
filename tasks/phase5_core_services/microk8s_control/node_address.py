"""The address from which kubelet and API server speak, in MicroK8s' arguments files.

Our own snap gets it from the launch configuration at its first start; one that was there before us has to be told,
and then kubelite restarted, which reads its arguments at start only.
"""

from __future__ import annotations

import base64

from nornir.core.task import Result, Task

from tasks.shared.microk8s import distribution as microk8s
from tasks.shared.microk8s.distribution import SNAP, SNAP_KEY
from tasks.shared.microk8s.facts import arguments, arguments_file, values_of, with_values
from thinkube_nornir.command import File
from thinkube_nornir.context import context, is_managed, setting
from thinkube_nornir.outcome import all_of, unchanged
from thinkube_nornir.remote import put, read, undo

ARGUMENTS = {"kubelet": "--node-ip", "kube-apiserver": "--advertise-address"}
"""Service to the argument that holds lan_ip."""
RESTART_KEY = "restart:microk8s.daemon-kubelite"


def given(task: Task) -> dict[str, tuple[str, ...]]:
    """Argument to the values that its file gives it; it should be one."""
    return {key: values_of(read(task, arguments(service)) or "", key) for service, key in ARGUMENTS.items()}


def set_node_address(task: Task) -> Result:
    lan_ip = setting(task, "lan_ip")
    if all(values == (lan_ip,) for values in given(task).values()):
        if not _restart_is_due(task):
            return unchanged(task, f"kubelet and API server speak from {lan_ip}")
        return _restarted(task)
    return all_of(task, put(task, *[_with(task, service, (lan_ip,)) for service in ARGUMENTS]), _restarted(task))


def restore_node_address(task: Task) -> Result:
    """Only this argument: MicroK8s rewrites others in the same files by itself. Our own snap takes its files along."""
    touched = [service for service in ARGUMENTS if is_managed(task, _key(service))]
    keep = not is_managed(task, SNAP_KEY) and read(task, SNAP) is not None
    if not touched:
        return _forget_restart(task)
    results = [put(task, *[_with(task, service, _previous(task, service)) for service in touched])] if keep else []
    results += [microk8s.restart_undone(task, "kubelite", RESTART_KEY) if keep else _forget_restart(task)]
    results += [undo(task, _key(service), f"forget the arguments of {service}", root=True) for service in touched]
    return all_of(task, *results)


def _with(task: Task, service: str, values: tuple[str, ...]) -> File:
    text = with_values(read(task, arguments(service)) or "", ARGUMENTS[service], values)
    return File(arguments_file(service), text.encode(errors="surrogateescape"), 0o660, group="microk8s")


def _previous(task: Task, service: str) -> tuple[str, ...]:
    record = context(task).change_log.managed(task.host.name, _key(service))
    content = base64.b64decode(record.before["content"]) if record else b""
    return values_of(content.decode(errors="surrogateescape"), ARGUMENTS[service])


def _restarted(task: Task) -> Result:
    """With the API back: `snap restart` returns before kubelite serves."""
    result = _restart(task)
    if not context(task).dry_run:
        microk8s.await_ready(task)
    return result


def _restart(task: Task) -> Result:
    return microk8s.restart(task, "kubelite", "restart kubelite with the new arguments", key=RESTART_KEY)


def _forget_restart(task: Task) -> Result:
    return undo(task, RESTART_KEY, "forget the restart of kubelite", root=True)


def _restart_is_due(task: Task) -> bool:
    """A run was killed between writing the arguments and the restart."""
    done = context(task).change_log.managed(task.host.name, RESTART_KEY)
    return any(is_managed(task, _key(service)) for service in ARGUMENTS) and (done is None or done.state != "done")


def _key(service: str) -> str:
    return f"file:{arguments_file(service)}"
