"""What our MicroK8s leaves on a host once its snap is removed: taken away as far as it was not there before.

What stays until the next boot does no harm: loaded kernel modules and AppArmor profile, Calico's sets of addresses, and
higher limits of inotify and asynchronous input.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nornir.core.task import Result, Task

from tasks.shared.hosts import packet_filter
from tasks.shared.hosts.node_facts import LINKS
from tasks.shared.microk8s.distribution import SNAP_KEY
from tasks.shared.microk8s.leftover_facts import CGROUPS, EMPTY, FAILED, PLACES, PROFILE, SETTINGS, SNAPS, UFW
from thinkube_nornir.context import context
from thinkube_nornir.errors import CommandFailed
from thinkube_nornir.outcome import all_of, unchanged
from thinkube_nornir.remote import change, read
from thinkube_nornir.resources.snapd import order

_REMOVE = 300.0  # seconds, for one base snap
_CGROUP = "/sys/fs/cgroup/"


def _before(task: Task, what: str) -> Any:
    """None when MicroK8s is not managed, or was installed by a release that did not note this."""
    record = context(task).change_log.managed(task.host.name, SNAP_KEY)
    return None if record is None else record.before.get(what)


def is_pod_link(name: str) -> bool:
    return name.startswith("cali") or name == "vxlan.calico"


def delete_pod_links(task: Task) -> Result:
    """Those Calico made for our MicroK8s; bridges, ZeroTier and whatever was there before stay."""
    earlier = _before(task, "links")
    if earlier is None:
        return unchanged(task, "no links are managed")
    left = sorted(name for name in read(task, LINKS) if is_pod_link(name) and name not in earlier)
    if not left:
        return unchanged(task, "Calico left no links")
    deleted = [change(task, f"delete link {name}", "ip", "link", "delete", name, root=True) for name in left]
    return all_of(task, *deleted)


def remove_filter_rules(task: Task) -> Result:
    """kube-proxy and Calico do not take theirs away: 47 to 68 lines of iptables-save."""
    before: Mapping[str, list[str]] | None = _before(task, "chains")
    if before is None:
        return unchanged(task, "what was in the packet filter before was not noted")
    return packet_filter.remove_rules(task, before)


def remove_ufw_rules(task: Task) -> Result:
    before = _before(task, "ufw")
    left = [] if before is None else [rule for rule in read(task, UFW) if rule not in before]
    if not left:
        return unchanged(task, "no rules of UFW are managed")
    results = [change(task, f"delete UFW's rule: {rule}", "ufw", "delete", *rule.split(), root=True) for rule in left]
    return all_of(task, *results)


def remove_base_snaps(task: Task) -> Result:
    """Those that came with MicroK8s. snapd's own snap stays: it serves whatever is installed next."""
    before = _before(task, "snaps")
    came = {} if before is None else {name: notes for name, notes in read(task, SNAPS).items() if name not in before}
    bases = [name for name, notes in came.items() if "base" in notes.split(",")]
    if not bases:
        return unchanged(task, "no base snaps came with MicroK8s")
    return all_of(task, *(_remove_base(task, name) for name in bases))


def _remove_base(task: Task, name: str) -> Result:
    argv = ("snap", "remove", "--purge", name)
    try:
        return order(task, name, lambda: change(task, f"remove base snap {name}", *argv, root=True, timeout=_REMOVE))
    except CommandFailed as error:
        if b"is not removable" not in error.stderr:
            raise
        return unchanged(task, f"{name} stays: {error.why}")


def restore_forwarding(task: Task) -> Result:
    """Not where a bridge or tunnel came after us: it may need forwarding as well."""
    before: Mapping[str, str] | None = _before(task, "settings")
    if before is None:
        return unchanged(task, "what was set before was not noted")
    now = read(task, SETTINGS)
    off = [key for key, value in before.items() if value == "0" and now.get(key) == "1"]
    newer = sorted(name for name in read(task, LINKS) if name not in _before(task, "links") and not is_pod_link(name))
    if not off:
        return unchanged(task, "forwarding is as it was")
    if newer:
        return unchanged(task, f"forwarding stays on: {', '.join(newer)} came after us, and may need it")
    values = [f"{key}=0" for key in off]
    return change(task, f"set {' and '.join(values)} again", "sysctl", "-w", *values, root=True)


def remove_places(task: Task) -> Result:
    """Empty folders and control groups, and containerd's AppArmor profile."""
    before = _before(task, "places")
    if before is None:
        return unchanged(task, "what was there before was not noted")
    places, empty, cgroups = read(task, PLACES, EMPTY, CGROUPS)
    removals = [
        (("rm", "-f", "--"), [path for path in places if path == PROFILE and path not in before]),
        (("rmdir", "--"), [path for path in empty if path not in before]),
    ]
    results = [change(task, f"remove {' and '.join(p)}", *argv, *p, root=True) for argv, p in removals if p]
    if left := [path for path in cgroups if path not in before]:
        results.append(_remove_cgroups(task, left))
    return all_of(task, *results) if results else unchanged(task, "no files or folders are left")


def _remove_cgroups(task: Task, paths: list[str]) -> Result:
    """Innermost first; one that still has a process stays, as find does not mind."""
    names = " and ".join(path.removeprefix(_CGROUP) for path in paths)
    argv = ("find", *paths, "-depth", "-type", "d", "-exec", "rmdir", "--", "{}", ";")
    return change(task, f"remove control groups {names}", *argv, root=True)


def forget_failed_units(task: Task) -> Result:
    """Entries of units that went with the snap: `not-found failed`, and the whole host counts as degraded."""
    left = () if context(task).change_log.managed(task.host.name, SNAP_KEY) is None else read(task, FAILED)
    if not left:
        return unchanged(task, "no failed units of the snap are left")
    return change(task, f"forget that {', '.join(left)} failed", "systemctl", "reset-failed", *left, root=True)


REMOVAL = (
    delete_pod_links,
    remove_filter_rules,
    remove_ufw_rules,
    remove_base_snaps,
    restore_forwarding,
    remove_places,
    forget_failed_units,
)
