"""What the product writes and reads from set-up to rollback, recorded once for all drift tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tasks.lab.cloudflare import TOKEN
from tests import upstream_data as upstream
from tests.product_objects import Recording, recorded
from tests.promises.lab_project import ROOT, LabProject
from tests.upstream.deployed import deployed_crds
from tests.upstream_schemas import GroupVersionKind, Schema

INSTALLATIONS: tuple[dict[str, Any], ...] = (
    {},  # as shipped
    {"hosts": ROOT / "docs/small"},
    {
        "inventory": {
            "defaults": {"gpu_time_slicing": {"any": 4}},
            "tkc": {
                "acme_issuer": "letsencrypt-staging",
                "acme_email": "ops@home.example",
                "certificate_namespaces": ["shop"],
            },
        }
    },
)
"""Together they lead through all that writes to a cluster."""


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """`run all`, `verify all` and `rollback all`, for each kind of installation on a light lab of its own."""
    upstream.folder()  # skips before a lab is started for nothing
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOUDFLARE_TOKEN", TOKEN)
        with recorded() as recording:
            for kind in INSTALLATIONS:
                come_and_go(LabProject(tmp_path_factory.mktemp("recorded"), **kind))
    return recording


def come_and_go(project: LabProject) -> None:
    project.up()
    try:
        for verb in ("run", "verify", "rollback"):
            ended = project(verb, "all")
            assert ended.code == 0, ended.told
    finally:
        project.down()


@pytest.fixture(scope="session")
def schemas(recording: Recording) -> Mapping[GroupVersionKind, Schema]:
    """Of Kubernetes' own kinds, and of those that the deployed charts and addons bring."""
    return {**upstream.builtin_schemas(), **deployed_crds(recording.releases)}
