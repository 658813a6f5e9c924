"""Promise 3: verify is read-only, and green means checked: every check turns red when what it guards is broken."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.promises import breakages
from tests.promises.breakages import Breakage
from tests.promises.lab_project import NODES, LabProject, differences
from thinkube_nornir import catalog

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def _objects(project: LabProject, *arguments: str) -> Any:
    return json.loads(project.ssh("tkc", f"microk8s kubectl get -n kube-system -o json {' '.join(arguments)}").text)


def _corefile(project: LabProject) -> str:
    return str(_objects(project, "configmap", "coredns")["data"]["Corefile"])


def _rounds(project: LabProject) -> list[Sequence[Breakage]]:
    """With the names that pods have now."""
    pods = _objects(project, "pods")["items"]
    coredns = next(p for p in pods if p["metadata"]["name"].startswith("coredns"))
    calico = next(p for p in pods if "calico-node" in p["metadata"]["name"] and p["spec"]["nodeName"] == breakages.TKW1)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    host, text = coredns["spec"]["nodeName"].partition(".")[0], _corefile(project)
    single = breakages.singly(coredns["metadata"]["name"], host, now, text)
    return [single, *breakages.together(calico["metadata"]["name"], host, text)]


def _all(rounds: Sequence[Sequence[Breakage]]) -> list[Breakage]:
    return [breakage for each in rounds for breakage in each]


def test_the_user_finds_kubectl_at_a_login(standing: LabProject) -> None:
    """Ours in ~/.local/bin, which shows every node, and none that the machine may have in /usr/bin."""
    done = standing.lab.ssh("tkc", "bash -lc 'command -v kubectl; kubectl get nodes'")

    program, _, *nodes = done.text.splitlines()
    assert (program, len(nodes)) == ("/home/thinkube/.local/bin/kubectl", len(NODES)), done
    assert all(line.split()[1] == "Ready" for line in nodes), done


def test_verify_is_read_only(standing: LabProject) -> None:
    """Disks, services and objects agree before and after; the probe pods have gone."""
    before = standing.snapshot()

    ended = standing("verify", "phase5")

    assert ended.code == 0, ended.told
    assert ended.places("changed") == set()
    assert differences(before, standing.snapshot()) == []
    assert not [name for name in before["objects"]["tkc"] if "/Pod/" in name and "probe" in name]


def test_every_check_has_a_case(standing: LabProject) -> None:
    """A check that nothing here breaks, and a name that is no check any more, fail this."""
    cases = {(component, check) for b in _all(_rounds(standing)) for component, check, _ in b.red}
    checks = {
        (entry.name, step.name)
        for entry in catalog.load(breakages.TASKS).select(["phase5"])
        for step in entry.component.verify.steps
    }

    assert cases == checks


def test_every_check_can_fail(standing: LabProject) -> None:
    """Break what they guard: those checks turn red, with what was expected or seen, no other does, and they recover."""
    for number in range(len(_rounds(standing))):
        broken = _rounds(standing)[number]
        for breakage in broken:
            standing.ssh(breakage.host, breakage.breaks, breakage.stdin)
        ended = standing("verify", "phase5")
        for breakage in reversed(broken):
            standing.ssh(breakage.host, breakage.mends)

        assert ended.code == 1
        perhaps = {place for breakage in broken for place in breakage.perhaps}
        assert ended.places("failed") - perhaps == {place for breakage in broken for place in breakage.red} - perhaps
        assert ended.places("skipped") == set()
        for breakage in broken:
            error = ended.error(breakage.red[0])
            assert breakage.says in error["what"] + error["why"], (breakage, error)
            assert error["fix"], error

    ended = standing("verify", "phase5")
    assert ended.code == 0, ended.told
