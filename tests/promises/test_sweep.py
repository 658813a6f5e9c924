"""Promises 4 and 5 together: killed at random, by two checkouts, with and without a journal, beside foreign things.

Each round sets phase 5 up and rolls it back, and kills both on the way. Which steps, by which checkout, and who goes on
without its journal, is drawn from a seed, so that a round can be repeated alone.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Any

import pytest

from tests.light_lab import eventually
from tests.promises.conftest import Labs
from tests.promises.lab_project import LabProject, differences, kill
from tests.promises.test_killed import _lasting

pytestmark = [pytest.mark.lab, pytest.mark.slow]

ROUNDS = range(10)
"""Two kills in each."""
SET_UP, ROLLBACK = ("run", "phase5"), ("rollback", "phase5")
IN_CLUSTER = ("ConfigMap default/theirs", "Namespace shop")
LET_GO = tuple(word for name in IN_CLUSTER for word in ("--delete-foreign", name))


@dataclass
class Swept:
    checkouts: list[LabProject]
    bare: Any
    """The hosts with the operator's own things, before any set-up."""
    standing: Any
    steps: dict[str, list[str]]
    """Chain to its nodes, `join_cluster@tkw1`."""


THINGS = (("ConfigMap", "theirs", "default"), ("Namespace", "shop", ""), ("ConfigMap", "web", "shop"))


def _foreign_on_hosts(project: LabProject) -> None:
    """Files and a group of the operator's, where the set-up has its own beside them or in their place."""
    project.ssh("tkc", "umask 027; printf 'version: 0.1.0\\naddons: []\\n' >/etc/microk8s.yaml")
    project.ssh("tkc", "mkdir -p -m 750 /home/thinkube/.kube; echo mine >/home/thinkube/.kube/config")
    project.ssh("tkw1", "mkdir -p /etc/systemd/resolved.conf.d /srv/theirs; echo kept >/srv/theirs/file")
    project.ssh("tkw1", "printf '[Resolve]\\nCache=no\\n' >/etc/systemd/resolved.conf.d/dns.conf")
    project.ssh("bcn1", "groupadd render; usermod -aG render thinkube")


def _foreign_in_cluster(project: LabProject) -> None:
    for kind, name, space in THINGS:
        metadata = {"name": name, **({"namespace": space} if space else {})}
        thing = {"apiVersion": "v1", "kind": kind, "metadata": metadata}
        project.ssh("tkc", "microk8s.kubectl apply -f -", thing)


def _done(project: LabProject, *arguments: str) -> None:
    ended = project(*arguments)
    assert ended.code == 0, f"{arguments}: {ended.told}"


def _steps(project: LabProject) -> dict[str, list[str]]:
    """What the last run did, by chain."""
    found: dict[str, list[str]] = {}
    for node in project.read(project.folder / "report.json")["nodes"]:
        if node["outcome"] == "changed":
            found.setdefault(node["chain"], []).append(f"{node['step']}@{node['host']}")
    return found


@pytest.fixture(scope="module")
def swept(labs: Labs, tmp_path_factory: pytest.TempPathFactory) -> Swept:
    first = labs()
    second = LabProject(tmp_path_factory.mktemp("second") / "checkout", beside=first)
    _foreign_on_hosts(first)
    bare = first.snapshot()
    _done(first, *SET_UP)
    steps, standing = _steps(first), _lasting(first.snapshot())
    _foreign_in_cluster(first)
    before = first.snapshot()

    refused = second(*ROLLBACK)
    assert refused.code == 2, refused.told
    assert all(name in refused.told for name in IN_CLUSTER)
    assert "\n".join(differences(before, first.snapshot())) == ""
    _done(second, *ROLLBACK, *LET_GO)
    steps |= _steps(second)
    assert "\n".join(differences(bare, first.snapshot())) == ""
    return Swept([first, second], bare, standing, steps)


def _killed(project: LabProject, step: str, after: float, *arguments: str) -> None:
    """Kill -9 the controller some time after the step began."""
    log = project.folder / ".thinkube/thinkube.log"
    log.unlink(missing_ok=True)
    with project.started(*arguments, "-vv") as process:
        began = eventually(lambda: log.exists() and f"{step}: started" in log.read_text(), 60)
        time.sleep(after)
        kill(process)
    assert began, step


@pytest.mark.parametrize("number", ROUNDS)
def test_killed_at_random_all_ends_alike(swept: Swept, number: int) -> None:
    """After the set-up hosts are as after an undisturbed one, after the rollback as before any; foreign things stay."""
    draw = random.Random(number)  # noqa: S311  no secret
    project = swept.checkouts[0]

    def one() -> LabProject:
        chosen = draw.choice(swept.checkouts)
        if draw.random() < 0.3:
            chosen.forget()
        return chosen

    _killed(one(), draw.choice(swept.steps["setup"]), draw.random() / 5, *SET_UP)
    _done(one(), *SET_UP)
    assert "\n".join(differences(swept.standing, _lasting(project.snapshot()))) == ""
    _foreign_in_cluster(project)

    _killed(one(), draw.choice(swept.steps["rollback"]), draw.random() / 5, *ROLLBACK, *LET_GO)
    _done(one(), *ROLLBACK, *LET_GO)
    assert "\n".join(differences(swept.bare, project.snapshot())) == ""
