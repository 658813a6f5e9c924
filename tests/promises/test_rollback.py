"""Promise 4: set-up and then rollback leaves the hosts as they were, whatever was there, and wherever it broke."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from tests.promises.conftest import Labs
from tests.promises.lab_project import HOSTS, LabProject, differences

pytestmark = [pytest.mark.lab, pytest.mark.slow]

RESOLVED = "/etc/systemd/resolved.conf.d"


def _foreign_files(project: LabProject) -> None:
    """Files and memberships of the operator's where ours will be."""
    project.ssh("tkc", "umask 027; printf 'version: 0.1.0\\naddons: []\\n' >/etc/microk8s.yaml")
    project.ssh("tkc", "mkdir -p -m 750 /home/thinkube/.kube; echo mine >/home/thinkube/.kube/config")
    project.ssh("tkc", "mkdir -p /home/thinkube/.local/bin; ln -s /usr/bin/true /home/thinkube/.local/bin/helm")
    project.ssh("tkw1", f"mkdir -p {RESOLVED}; printf '[Resolve]\\nDNS=9.9.9.9\\nDomains=~.\\n' >{RESOLVED}/dns.conf")
    project.ssh("tkw1", f"chmod 640 {RESOLVED}/dns.conf; systemctl restart systemd-resolved")
    project.ssh("bcn1", "groupadd render; usermod -aG render thinkube")
    for host in ("tkc", "tkw1"):
        project.ssh(host, "ufw allow 22/tcp && ufw allow from 192.168.1.0/24 && ufw --force enable")


def _foreign_cluster(project: LabProject, channel: str) -> None:
    """A MicroK8s of the operator's own, with their objects and their Corefile."""
    project.ssh("tkc", f"snap install microk8s --classic --channel={channel}")
    project.ssh("tkc", "microk8s.kubectl apply -f -", _config_map("theirs", "key", "value"))
    corefile = ".:53 {\n    errors\n    kubernetes cluster.local\n    forward . 8.8.8.8\n}\n"
    project.ssh("tkc", "microk8s.kubectl apply -f -", _config_map("coredns", "Corefile", corefile))
    project.ssh("tkc", "microk8s.kubectl rollout restart deployment/coredns -n kube-system")
    project.ssh("tkc", "microk8s.kubectl rollout status deployment/coredns -n kube-system --timeout 20s")


def _config_map(name: str, key: str, value: str) -> dict[str, object]:
    metadata = {"name": name, "namespace": "kube-system"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {key: value}}


def _nothing(project: LabProject) -> None:
    """Fresh hosts."""


@pytest.mark.parametrize("prepare", [_nothing, _foreign_files])
def test_rollback_restores(labs: Labs, prepare: Callable[[LabProject], None]) -> None:
    """Files, modes, owners, services and objects agree; a second rollback has nothing to do; set-up works again."""
    project = labs()
    prepare(project)
    before = project.snapshot()

    ended = project("run", "phase5")
    assert ended.code == 0, ended.told
    assert {host for host in HOSTS if differences(before["files"][host], project.snapshot()["files"][host])} == {
        "bcn1", "tkc", "tkw1",
    }  # fmt: skip
    ended = project("rollback", "phase5")

    assert ended.code == 0, ended.told
    assert "\n".join(differences(before, project.snapshot())) == ""
    again = project("rollback", "phase5")
    assert (again.code, again.places("changed")) == (0, set()), again.told
    assert "\n".join(differences(before, project.snapshot())) == ""
    assert project("verify", "phase5").code == 1
    assert project("run", "phase5").code == 0


@pytest.mark.parametrize("channel", ["1.35/stable", "1.35/candidate"])
def test_rollback_gives_a_cluster_that_was_there_back_its_state(labs: Labs, channel: str) -> None:
    """Snap, channel, hold, members, objects and Corefile are as before; workers have gone.

    What MicroK8s itself changes at a join (dqlite's address, Calico's detection) stays, and a move to another
    channel resets the Corefile whoever asks for it.
    """
    project = labs()
    _foreign_cluster(project, channel)
    before = project.snapshot()
    assert project("run", "phase5").code == 0
    assert "~home.example" in project.ssh("tkc", "resolvectl domain").text

    ended = project("rollback", "phase5")

    assert ended.code == 0, ended.told
    after = project.snapshot()
    assert "\n".join(differences(before["machines"], after["machines"])) == ""
    objects = before["objects"]["tkc"], after["objects"]["tkc"]
    assert objects[0].keys() == objects[1].keys()
    kept = ["theirs", *(["coredns"] if channel == "1.35/stable" else [])]
    for name in kept:
        assert differences(*[found[f"v1/ConfigMap/kube-system/{name}"] for found in objects]) == []


def test_another_controller_can_roll_back(labs: Labs) -> None:
    """The hosts remember what was done to them, also when the controller's own records are lost."""
    project = labs()
    before = project.snapshot()
    assert project("run", "phase5").code == 0
    project.forget()

    ended = project("rollback", "phase5")

    assert ended.code == 0, ended.told
    assert "\n".join(differences(before, project.snapshot())) == ""


def test_a_damaged_journal_is_mended_from_the_hosts(labs: Labs) -> None:
    """What it said of files and snaps cannot be read any more; the hosts know it as well."""
    project = labs()
    before = project.snapshot()
    assert project("run", "phase5").code == 0
    with closing(sqlite3.connect(project.folder / ".thinkube/journal.sqlite", isolation_level=None)) as journal:
        cut = journal.execute(
            "UPDATE changes SET before = substr(before, 1, 9) WHERE key GLOB 'file:*' OR key GLOB 'snap:*'"
        )
        assert cut.rowcount > 6

    ended = project("rollback", "phase5")

    assert ended.code == 0, ended.told
    assert "\n".join(differences(before, project.snapshot())) == ""


def test_half_a_set_up_is_rolled_back(labs: Labs) -> None:
    """A step that failed in the middle leaves nothing behind either."""
    project = labs()
    project.ssh("dns1", "systemctl stop named")
    before = project.snapshot()
    assert project("run", "phase5").code == 1

    ended = project("rollback", "phase5")

    assert ended.code == 0, ended.told
    assert "\n".join(differences(before, project.snapshot())) == ""


def test_rollback_of_what_others_need_is_refused(standing: LabProject) -> None:
    """The control plane alone is not rolled back while workers are in its cluster: a request to correct, code 2."""
    before = standing.snapshot()

    ended = standing("rollback", "phase5.microk8s_control")

    assert ended.code == 2
    assert "phase5.microk8s_workers on bcn1, tkw1 still needs phase5.microk8s_control" in ended.told
    assert differences(before, standing.snapshot()) == []


def test_rollback_waits_for_snapd(labs: Labs) -> None:
    """Services that snapd still starts after a worker has left its cluster hold up its rollback, and do not end it."""
    project = labs(speed=100)
    before = project.snapshot()
    assert project("run", "phase5").code == 0

    ended = project("rollback", "phase5.microk8s_workers", "phase5.coredns")

    assert ended.code == 0, ended.told
    changes = project.ssh("tkw1", "snap changes").text.splitlines()
    stopped = [line for line in changes if "Running service command" in line]
    assert len(stopped) > 1, changes
    assert project("rollback", "phase5").code == 0
    assert "\n".join(differences(before, project.snapshot())) == ""
