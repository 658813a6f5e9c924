"""What cert-manager is asked for, with each kind of issuer, against its own definitions; and the releases we accept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from nornir.core.task import Result, Task

from tasks.phase6_extended_services.cert_manager.resources import CERTIFICATE, ISSUERS, RELEASE
from tests import product_settings
from tests import upstream_data as upstream
from tests.lab_cluster import LabCluster
from tests.tasks.phase6_extended_services.cert_manager.test_cert_manager import ACME, ready
from tests.upstream_schemas import validate, validate_values

VERSION = str(product_settings.defaults()["cert_manager_version"])
CRDS = f"cert-manager/{VERSION}/deploy/crds"


@pytest.fixture(params=["ca", "acme"])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    upstream.folder()  # skips before a lab is started for nothing
    made = ready(tmp_path, **(ACME if request.param == "acme" else {}))
    yield made
    made.close()


def made_by(cluster: LabCluster, function: Any) -> Any:
    def step(task: Task) -> Result:
        return Result(task.host, result=function(task))

    return cluster.machines["tkc"].apply(step, context=cluster.context("tkc")).result


def test_issuers_and_certificate_are_as_their_definitions_have_it(cluster: LabCluster) -> None:
    """With unknown fields refused, which the API would drop."""
    schemas = upstream.crds(CRDS)
    manifests = [*made_by(cluster, ISSUERS.declared), *made_by(cluster, CERTIFICATE.declared)]

    wrong = [
        f"{m['metadata']['name']}: {line}"
        for m in manifests
        for line in validate(m, schemas[*m["apiVersion"].split("/"), m["kind"]])
    ]

    assert wrong == []


@pytest.mark.parametrize("version", [VERSION, "v1.16.5"])
def test_the_values_are_those_of_each_release_we_know(cluster: LabCluster, version: str) -> None:
    """The chart refuses what its schema has not: the default release, and the oldest one with the fix."""
    schema = upstream.chart_schema("cert-manager", version)

    assert schema is not None
    assert validate_values(dict(made_by(cluster, RELEASE.declared).values), schema) == []
