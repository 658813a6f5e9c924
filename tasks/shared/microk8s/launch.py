"""MicroK8s' launch configuration: read once, when the snap is installed, and applied in two parts.

The installation itself takes the arguments, and fails when it cannot parse the file; addons are left to the cluster
agent, which looks every five seconds, repeats what failed, and renames its copy once all of it is applied.

Source: canonical/microk8s@1.35 snap/hooks/install
Source: canonical/microk8s-cluster-agent@1.34 cmd/cluster-agent.go
Source: canonical/microk8s-cluster-agent@1.34 pkg/k8sinit/apply.go
"""

from __future__ import annotations

from typing import Any

from nornir.core.task import Result, Task

from tasks.shared.microk8s.distribution import SNAP
from thinkube_nornir.command import Completed, Fact
from thinkube_nornir.context import context, is_managed
from thinkube_nornir.errors import DeadlinePassed
from thinkube_nornir.outcome import skipped, unchanged
from thinkube_nornir.remote import read, wait_until
from thinkube_nornir.remote.exchange import facts_forgotten
from thinkube_nornir.resources import File, resolve

PATH = "/etc/microk8s.yaml"
FOLDER = "/var/snap/microk8s/common/etc/launcher"
PENDING = "install.yaml"
_APPLIED = 600.0  # seconds; the addon dns waits for the API, and is tried again every five seconds


def _parse_names(done: Completed) -> tuple[str, ...]:
    return tuple(done.text.split())


LAUNCHER = Fact("launch configurations", ("ls", "-A", FOLDER), _parse_names, root=True, accept=(0, 2))
"""`install.yaml` while it is being applied, then `install.yaml.applied`; a snap of long ago has neither."""


def configuration(template: str, **values: Any) -> File:
    """The file, to be written before the snap is installed.

    Later nobody reads it, and it is kept all the same: a snap that is installed again starts as this one did.
    """
    return File(
        PATH, template=template, values=lambda t: {k: resolve(t, v) for k, v in values.items()}, unless=_too_late
    )


def _too_late(task: Task) -> str:
    if read(task, SNAP) is None or is_managed(task, f"file:{PATH}"):
        return ""
    return "microk8s was installed before us, and reads no launch configuration any more"


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
