"""What a later component lacks is known before the first change of the run, with a fix."""

from __future__ import annotations

import pytest

from tests.promises.conftest import Labs
from tests.promises.lab_project import LabProject, Place

pytestmark = pytest.mark.lab

LETS_ENCRYPT = {"acme_issuer": "letsencrypt-prod", "acme_email": "me@home.example"}
TOKEN_CHECK = ("phase6.cert_manager", "token_sees_the_zone", "tkc")


def test_a_wrong_token_of_phase_6_is_found_before_phase_5(labs: Labs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its check ends before anything is changed, and its host is not touched; the token is nowhere."""
    monkeypatch.setenv("CLOUDFLARE_TOKEN", "a-token-that-is-wrong")
    project = labs(tkc=LETS_ENCRYPT)
    before = project.snapshot()

    ended = project("run", "all")

    assert ended.code == 1
    assert ended.places("failed") == {TOKEN_CHECK}
    assert ended.error(TOKEN_CHECK)["fix"]
    nodes = ended.report["nodes"]
    failed = next(n for n in nodes if n["outcome"] == "failed")
    changes = [n for n in nodes if n["outcome"] == "changed"]
    assert {n["host"] for n in changes} == {"bcn1", "tkw1"}, "these can have their snap; the control plane waits"
    assert min(n["started"] for n in changes) > failed["started"]
    assert project.snapshot()["files"]["tkc"] == before["files"]["tkc"]
    assert "a-token-that-is-wrong" not in ended.told


def test_a_missing_secret_of_phase_6_stops_the_whole_run(labs: Labs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting or secret is everybody's: nothing is started, code 2, and the line says what to set."""
    monkeypatch.delenv("CLOUDFLARE_TOKEN", raising=False)
    project = labs(tkc=LETS_ENCRYPT)
    before = project.snapshot()

    ended = project.bare("run", "all")

    assert ended.code == 2
    assert "CLOUDFLARE_TOKEN" in ended.err
    assert project.snapshot() == before


def test_a_plan_finds_it_too(labs: Labs, monkeypatch: pytest.MonkeyPatch) -> None:
    """`plan all` asks the same questions, and changes nothing."""
    monkeypatch.setenv("CLOUDFLARE_TOKEN", "a-token-that-is-wrong")
    project = labs(tkc=LETS_ENCRYPT)

    ended = project("plan", "all")

    assert ended.code == 1
    assert ended.places("failed") == {TOKEN_CHECK}


@pytest.mark.parametrize(
    ("blocked", "place"),
    [
        ("quay.io", ("phase6.cert_manager", "sources_answer", "tkc")),
        ("traefik.github.io", ("phase6.ingress", "sources_answer", "tkc")),
        ("nvcr.io", ("phase6.gpu_operator", "sources_answer", "tkw1")),
    ],
)
def test_a_closed_way_to_charts_and_images_is_found(standing_bare: LabProject, blocked: str, place: Place) -> None:
    """A registry or a chart's repository that a firewall keeps from a node, long before anything is pulled from it."""
    host = place[2]
    standing_bare.ssh(host, f"cp /etc/hosts /etc/hosts.kept; echo 10.9.9.9 {blocked} >>/etc/hosts")
    try:
        ended = standing_bare("plan", "all")
    finally:
        standing_bare.ssh(host, "mv /etc/hosts.kept /etc/hosts")

    assert place in ended.places("failed")
    assert {n["host"] for n in ended.report["nodes"] if n["outcome"] == "failed"} == {host}
    error = ended.error(place)
    assert blocked in error["why"]
    assert "proxy" in error["fix"]


@pytest.fixture(scope="module")
def standing_bare(labs: Labs) -> LabProject:
    return labs()
