"""Upstream's data covers the versions that are deployed, and what is built in is what the inventory shows."""

from __future__ import annotations

import pytest
import yaml

from tests import upstream_data as upstream
from tests.product_objects import Recording
from tests.product_settings import defaults
from tests.promises.lab_project import ROOT
from tests.upstream.deployed import TRACKS, needed, track


@pytest.mark.lab
@pytest.mark.slow
def test_upstreams_data_covers_what_is_deployed(recording: Recording) -> None:
    """Else the other tests would compare with something else; all that is to be added is listed."""
    wanted = dict.fromkeys(needed(recording.releases, [track()]))
    absent = tuple(path for path in wanted if not (upstream.folder() / path).exists())

    assert not absent, "upstream's data does not cover this; add " + upstream.missing(absent)


def test_the_inventory_shows_the_versions_that_are_built_in() -> None:
    """Both are kept current together: an installation with few settings gets the releases that the tests compare."""
    groups = yaml.safe_load((ROOT / "inventory/groups.yaml").read_text())
    shown = {name: value for group in groups.values() for name, value in (group.get("data") or {}).items()}
    versions = {name: value for name, value in defaults().items() if name.endswith(("_version", "_channel"))}

    assert {name: shown.get(name) for name in versions} == versions


def test_no_release_of_microk8s_in_the_data_is_left_out() -> None:
    """What is added there is compared from then on."""
    assert upstream.tracks() == list(TRACKS)
