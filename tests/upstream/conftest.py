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
_OPERATOR = "gpu-operator --repo https://helm.ngc.nvidia.com/nvidia"


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """`run all`, `verify all` and `rollback all`, for each kind of installation on a light lab of its own."""
    upstream.folder()  # skips before a lab is started for nothing
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOUDFLARE_TOKEN", TOKEN)
        with recorded() as recording:
            for kind in INSTALLATIONS:
                come_and_go(LabProject(tmp_path_factory.mktemp("recorded"), **kind), left=not kind)
    return recording


def come_and_go(project: LabProject, *, left: bool) -> None:
    """
    Args:
        left: onto a cluster with definitions that an earlier GPU operator left.
    """
    project.up()
    try:
        if left:
            ended = project("run", "phase5")
            assert ended.code == 0, ended.told
            project.ssh("tkc", f"microk8s helm3 show crds {_OPERATOR} --version v25.3.4 | microk8s.kubectl apply -f -")
        for verb in ("run", "verify", "rollback"):
            ended = project(verb, "all")
            assert ended.code == 0, ended.told
    finally:
        project.down()


@pytest.fixture(scope="session")
def schemas(recording: Recording) -> Mapping[GroupVersionKind, Schema]:
    """Of Kubernetes' own kinds, and of those that the deployed charts and addons bring."""
    return {**upstream.builtin_schemas(), **deployed_crds(recording.releases)}
