"""A host that is dead, or left out by a filter, stops only what truly needs it."""

from __future__ import annotations

import json

import pytest

from tests.light_lab import eventually
from tests.promises.conftest import Labs
from tests.promises.lab_project import CONTROL, DNS, WORKERS, Ended, LabProject, differences

pytestmark = [pytest.mark.lab, pytest.mark.slow]

COUNT = f"{WORKERS}/verify/every_member_is_a_node@tkc"


def _message(ended: Ended, node: str) -> str:
    return str(next(n["message"] for n in ended.report["nodes"] if n["id"] == node))


def _not_good(ended: Ended) -> set[str]:
    """Hosts on which something failed or could not be checked."""
    nodes = ended.report["nodes"]
    return {
        n["host"] for n in nodes if n["outcome"] == "failed" or (n["outcome"] == "skipped" and n["chain"] != "setup")
    }


def _verified(ended: Ended, component: str) -> set[str]:
    return {host for c, _, host in ended.places("passed", "verify") if c == component}


def test_the_control_plane_alone_is_a_cluster(labs: Labs) -> None:
    """`run phase5 -l tkc` on new hosts is green; no other host is touched, and the workers are named once."""
    project = labs()
    before = project.snapshot()

    ended = project("run", "phase5", "-l", "tkc")

    assert ended.code == 0, ended.told
    assert f"left out by -l: {WORKERS}, {DNS} on bcn1, tkw1" in ended.out.splitlines()
    assert {n["host"] for n in ended.report["nodes"]} == {"tkc"}
    after = project.snapshot()["files"]
    assert {host for host in before["files"] if before["files"][host] != after[host]} == {"tkc"}
    assert project("run", "phase5", "-l", "tkc").places("changed") == set()
    worker = project("run", "phase5", "-l", "tkw1")
    assert worker.code == 0, worker.told
    assert {host for _, _, host in worker.places("changed")} == {"tkw1"}
    assert _message(worker, COUNT) == "tkw1; not judged: tkc (left out by -l), bcn1 (left out by -l)"
    assert project("run", "phase5").code == 0


def test_a_worker_alone_says_what_it_waits_for(labs: Labs) -> None:
    """It gets what needs no control plane; the rest names the check that failed there, where nothing is changed."""
    project = labs()
    before = project.snapshot()

    ended = project("run", "phase5", "-l", "tkw1")

    assert ended.code == 1
    assert (WORKERS, "snap_microk8s", "tkw1") in ended.places("changed")
    assert f"needs {CONTROL}/verify/" in _message(ended, f"{WORKERS}/setup/join_cluster@tkw1")
    assert {host for _, _, host in ended.places("changed")} == {"tkw1"}
    assert project.snapshot()["files"]["tkc"] == before["files"]["tkc"]


def test_a_dead_worker_stops_nobody(labs: Labs) -> None:
    """The others end green, and the count of nodes names it; without it the run is green; later it is set up."""
    project = labs()
    project.fault("tkw1", "dead")

    ended = project("run", "phase5")
    without = project("run", "phase5", "-l", "!tkw1")
    project.fault("tkw1", "none")
    mended = project("run", "phase5")

    assert ended.code == 1
    assert _not_good(ended) == {"tkw1"}
    assert _verified(ended, DNS) == {"bcn1", "tkc"}
    assert _message(ended, COUNT) == "bcn1, tkc; not judged: tkw1 (unreachable)"
    assert (without.code, without.places("changed")) == (0, set()), without.told
    assert f"left out by -l: {WORKERS}, {DNS} on tkw1" in without.out
    assert _message(without, COUNT) == "bcn1, tkc; not judged: tkw1 (left out by -l)"
    assert mended.code == 0, mended.told
    assert {host for _, _, host in mended.places("changed")} == {"tkw1"}
    assert _message(mended, COUNT) == "bcn1, tkc, tkw1"


def test_dead_workers_stop_no_control_plane(labs: Labs) -> None:
    """Both are named, and the cluster's DNS is set up on the node that there is."""
    project = labs()
    project.fault("tkw1", "dead")
    project.fault("bcn1", "dead")

    ended = project("run", "phase5")

    assert ended.code == 1
    assert _not_good(ended) == {"bcn1", "tkw1"}
    assert _verified(ended, DNS) == {"tkc"}
    assert _message(ended, COUNT) == "tkc; not judged: bcn1 (unreachable), tkw1 (unreachable)"


def test_a_dead_control_plane_leaves_workers_what_needs_nothing_of_it(labs: Labs) -> None:
    """They have their snap; joining, and names in the cluster, say that tkc is unreachable."""
    project = labs()
    project.fault("tkc", "dead")

    ended = project("run", "phase5")

    assert ended.code == 1
    assert {(c, h) for c, _, h in ended.places("changed")} == {(WORKERS, "bcn1"), (WORKERS, "tkw1")}
    assert {host for _, _, host in ended.places("failed")} == {"tkc"}
    for step in (f"{WORKERS}/setup/join_cluster@tkw1", f"{DNS}/setup/set_aside_conflicts@bcn1"):
        assert _message(ended, step).endswith("and tkc is unreachable")
    project.fault("tkc", "none")
    assert project("run", "phase5").code == 0


@pytest.mark.parametrize("moment", ["snap_microk8s@tkw1", "await_node@tkw1", "pods_run_here@tkw1"])
def test_a_worker_that_dies_in_the_middle_stops_nobody(labs: Labs, moment: str) -> None:
    """Before its join, after it, or while it is checked; and when it is back, the same command finishes."""
    project = labs(speed=100)
    log = project.folder / ".thinkube/thinkube.log"
    report = project.folder / "dying.json"
    with project.started("run", "phase5", "-vv", "--report", str(report)) as process:
        assert eventually(lambda: log.exists() and f"{moment}: started" in log.read_text(), 60)
        project.fault("tkw1", "dead")
        out, err = process.communicate(timeout=120)

    ended = Ended(process.returncode, out, err, project.read(report))
    assert ended.code == 1
    assert _not_good(ended) == {"tkw1"}, ended.told
    assert _verified(ended, DNS) >= {"bcn1", "tkc"}
    project.fault("tkw1", "none")
    assert project("run", "phase5").code == 0


def test_verify_of_a_worker_looks_at_no_other_one(standing: LabProject) -> None:
    """A dead bcn1 is none of tkw1's business; what is checked once is read from the control plane."""
    standing.fault("bcn1", "dead")
    try:
        ended = standing("verify", "phase5", "-l", "tkw1")
    finally:
        standing.fault("bcn1", "none")

    assert ended.code == 0, ended.told
    assert {n["host"] for n in ended.report["nodes"]} == {"tkc", "tkw1"}
    assert {n["host"] for n in ended.report["nodes"] if n["prerequisite"]} == {"tkc"}


def test_one_worker_leaves_the_cluster(labs: Labs) -> None:
    """What stands on it there goes along; the others and the cluster's own part stay, and are green."""
    project = labs()
    assert project("run", "phase5").code == 0

    ended = project("rollback", "phase5", "-l", "tkw1")

    assert ended.code == 0, ended.told
    assert {host for _, _, host in ended.places("changed")} == {"tkw1"}
    assert project("verify", "phase5", "-l", "!tkw1").code == 0
    assert (WORKERS, "every_member_is_a_node", "tkc") in project("verify", "phase5").places("failed")


PHASE6 = ("phase6.cert_manager", "phase6.ingress", "phase6.gpu_operator")


def _labels(project: LabProject, node: str) -> dict[str, str]:
    told = project.ssh("tkc", f"microk8s kubectl get node {node} -o json").text
    return dict(json.loads(told)["metadata"]["labels"])


def test_phase_6_goes_on_without_a_dead_worker(labs: Labs) -> None:
    """Certificates, ingress and the cards of the others are green; the operator keeps off what nobody prepared."""
    project = labs()
    assert project("run", "phase5").code == 0
    before = project.snapshot()
    project.fault("tkw1", "dead")

    ended = project("run", "phase6")

    assert ended.code == 1
    assert _not_good(ended) == {"tkw1"}, ended.told
    assert [_verified(ended, component) for component in PHASE6] == [{"tkc"}, {"tkc"}, {"bcn1", "tkc"}]
    assert _message(ended, f"{PHASE6[2]}/verify/operands_cover_the_gpu_nodes@tkc").endswith("tkw1 (unreachable)")
    assert _labels(project, "tkw1.home.example")["nvidia.com/gpu.deploy.operands"] == "false"

    project.fault("tkw1", "none")
    mended = project("run", "phase6")
    assert mended.code == 0, mended.told
    assert {host for _, _, host in mended.places("changed")} == {"tkw1"}
    assert project("rollback", "phase6").code == 0
    assert "\n".join(differences(before, project.snapshot())) == ""


def test_a_machine_that_died_is_left_out_of_what_stands(labs: Labs) -> None:
    """Nobody can ask it, and its node is not Ready: with its pods elsewhere, all else is green and stays as it is."""
    project = labs()
    assert project("run", "all").code == 0
    node = "microk8s kubectl get node tkw1.home.example"
    drain = "microk8s kubectl drain tkw1.home.example --ignore-daemonsets --delete-emptydir-data --force"
    project.ssh("tkc", drain)  # as Kubernetes itself does after five minutes
    project.ssh("tkw1", "snap stop microk8s.daemon-kubelite")
    assert eventually(lambda: "NotReady" in project.ssh("tkc", node).text, 30)
    project.fault("tkw1", "dead")

    ended = project("verify", "all")
    without = project("run", "all", "-l", "!tkw1")

    assert _not_good(ended) == {"tkw1"}, ended.told
    assert (without.code, without.places("changed")) == (0, set()), without.told


def test_phase_6_outlives_a_worker_that_dies_in_the_middle(labs: Labs) -> None:
    """While the operator is being installed; with the worker back the same command finishes."""
    project = labs(speed=100)
    assert project("run", "phase5").code == 0
    log, report = project.folder / ".thinkube/thinkube.log", project.folder / "dying.json"
    with project.started("run", "phase6", "-vv", "--report", str(report)) as process:
        assert eventually(lambda: "release_gpu_operator@tkc: started" in log.read_text(), 120)
        project.fault("tkw1", "dead")
        out, err = process.communicate(timeout=180)

    ended = Ended(process.returncode, out, err, project.read(report))
    assert ended.code == 1
    assert _not_good(ended) == {"tkw1"}, ended.told
    assert _verified(ended, PHASE6[2]) >= {"bcn1", "tkc"}
    project.fault("tkw1", "none")
    assert project("run", "phase6").code == 0
