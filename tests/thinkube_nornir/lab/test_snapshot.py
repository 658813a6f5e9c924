"""The state of a host's disk, by which a test sees that a rollback restored it."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.light_lab import RunningLab
from thinkube_nornir.lab.client import lab_snapshot

pytestmark = pytest.mark.lab


def files(lab: RunningLab, host: str) -> dict[str, Any]:
    return dict(lab_snapshot(lab.config, host)["files"])


def test_what_is_made_and_removed_leaves_no_difference(lab: RunningLab) -> None:
    """Set-up and rollback by hand, over every kind of entry: the snapshots are equal."""
    before = files(lab, "tkc")
    lab.ssh(
        "tkc",
        "set -e; cp -a /etc/passwd /root/kept; echo x >> /etc/passwd; mkdir /etc/new; echo y > /etc/new/file;"
        "ln -s a ~/link; chmod 600 /etc/group; echo z > /usr/local/bin/tool;"
        "cp /usr/bin/env /usr/bin/env2; rm /usr/bin/env",
    )
    during = files(lab, "tkc")
    lab.ssh(
        "tkc",
        "set -e; mv /root/kept /etc/passwd; rm -r /etc/new; rm ~/link; chmod 644 /etc/group; rm /usr/local/bin/tool;"
        "mv /usr/bin/env2 /usr/bin/env",
    )

    changed = {path for path in before.keys() | during.keys() if before.get(path) != during.get(path)}
    assert changed >= {"/etc/passwd", "/etc/group", "/etc/new", "/usr/local/bin/tool", "/usr/bin/env2"}
    assert during["/etc/new/file"][4] == hashlib.sha256(b"y\n").hexdigest()
    assert during["/home/ops/link"][0] == "link"
    assert during["/usr/bin/env"][0] == "absent"
    assert files(lab, "tkc") == before


@pytest.mark.parametrize(
    "command",
    [
        "chmod 640 /etc/hostname",
        "echo x >> /etc/hosts",
        "touch /var/lib/x",
        "rm /etc/prepared",
        "mkdir /opt/x",
        "rmdir /srv",
    ],
)
def test_every_kind_of_change_is_seen(lab: RunningLab, command: str) -> None:
    """Mode, content, a new entry, a missing one."""
    before = files(lab, "tkw1")

    assert lab.ssh("tkw1", command).status == 0

    assert files(lab, "tkw1") != before


def test_the_volatile_is_left_out(lab: RunningLab) -> None:
    """What lies in /tmp, /run, /proc, /sys and /dev is nobody's state."""
    before = files(lab, "bcn1")

    lab.ssh("bcn1", "touch /tmp/x /run/x /dev/shm/x")

    assert files(lab, "bcn1") == before


def test_the_emulations_own_state_is_in_it(lab: RunningLab) -> None:
    """As the emulation tells it."""
    lab.ssh("bcn1", "timeout 0.5 snap hang")

    assert lab_snapshot(lab.config, "bcn1")["emulation"]["bcn1"]["hung"] in ("began", "ended")
