"""MicroK8s' launch configuration: read once, when the snap is installed, and applied in two parts.

The installation itself takes the arguments, and fails when it cannot parse the file; addons are left to the cluster
agent, which looks every five seconds, repeats what failed, and renames its copy once all of it is applied.

Source: canonical/microk8s@1.35 snap/hooks/install
Source: canonical/microk8s-cluster-agent@1.34 cmd/cluster-agent.go
Source: canonical/microk8s-cluster-agent@1.34 pkg/k8sinit/apply.go
"""

from __future__ import annotations

from nornir.core.task import Result, Task

from tasks.microk8s import SNAP
from thinkube_nornir.command import Completed, Fact, File
from thinkube_nornir.context import context, ours
from thinkube_nornir.errors import DeadlinePassed
from thinkube_nornir.outcome import skipped, unchanged
from thinkube_nornir.remote import put, read, restore, wait_until
from thinkube_nornir.remote.exchange import facts_forgotten
from thinkube_nornir.templates import render

PATH = "/etc/microk8s.yaml"
FOLDER = "/var/snap/microk8s/common/etc/launcher"
PENDING = "install.yaml"
_APPLIED = 600.0  # seconds; the addon dns waits for the API, and is tried again every five seconds


def _parse_names(done: Completed) -> tuple[str, ...]:
    return tuple(done.text.split())


LAUNCHER = Fact("launch configurations", ("ls", "-A", FOLDER), _parse_names, root=True, accept=(0, 2))
"""`install.yaml` while it is being applied, then `install.yaml.applied`; a snap of long ago has neither."""


def write(task: Task, template: str, **values: object) -> Result:
    """Before the snap is installed; later nobody reads it."""
    if read(task, SNAP) is not None and not ours(task, f"file:{PATH}"):
        return unchanged(task, "microk8s is installed, and reads no launch configuration any more")
    return put(task, File(PATH, render(task, template, **values).encode()))


def await_applied(task: Task) -> Result:
    """Until then an addon that it turns on may be on or not, and kubelite may be restarted.

    Raises:
        DeadlinePassed: it was tried again and again, or the cluster agent does not run.
    """
    if PENDING not in read(task, LAUNCHER):
        return unchanged(task, "the launch configuration is applied")
    if context(task).dry_run:
        return skipped(task, "a dry run does not wait for the launch configuration")
    what = f"the cluster agent to apply {FOLDER}/{PENDING}"
    try:
        with facts_forgotten(task):
            wait_until(task, LAUNCHER, lambda names: PENDING not in names, what=what, timeout=_APPLIED)
    except DeadlinePassed as error:
        fix = "see why: `journalctl -u snap.microk8s.daemon-cluster-agent`"
        raise DeadlinePassed(error.what, why=error.why, fix=fix) from error
    return unchanged(task, "the launch configuration is applied")


def restore_launch_configuration(task: Task) -> Result:
    """What was there before is put back."""
    return restore(task, PATH)
