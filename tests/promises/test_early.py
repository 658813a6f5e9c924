"""What a later component lacks is known before the first change of the run, with a fix."""

from __future__ import annotations

import pytest

from tests.promises.conftest import Labs

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
