"""NVIDIA's operator: our values and its policy against the real chart and definitions, and containerd's template."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nornir.core.task import Result, Task

from tasks.lab.charts import gpu_operator
from tasks.lab.microk8s.containerd import TEMPLATE
from tasks.phase6_extended_services.gpu_operator import chart, checks
from tasks.phase6_extended_services.gpu_operator.settings import writes_drop_in
from tests import upstream_data as upstream
from tests.fake_host import FakeHost
from tests.microk8s_machine import SETTINGS
from tests.upstream.emulated import drift
from tests.upstream_data import Object
from tests.upstream_schemas import unknown_values, validate
from thinkube_nornir.helm.releases import plain

ROOT = Path(__file__).parents[2]
CHART = gpu_operator.CHART
VERSIONS = ("v25.3.4", "v25.10.1", "v26.3.3")
RENDERED = ("v25.3.4", "v25.10.1")
POLICY = ("nvidia.com", "v1", "ClusterPolicy")


def our_values(version: str, **settings: Any) -> Object:
    found: list[Object] = []

    def read(task: Task) -> Result:
        found.append(plain(chart.RELEASE.declared(task).values))
        return Result(task.host)

    machine = FakeHost("tkc", settings={**SETTINGS, "gpu_operator_version": version, **settings})
    context = machine._context(machine._inventory(), dry_run=False, read_only=False)
    context.config = replace(context.config, templates=ROOT / "templates")
    result = machine.apply(read, context=context)
    assert result.exception is None, result.exception
    return found[0]


def policy_of(version: str, values: Object) -> Object:
    """As the lab's chart renders it."""
    rendered = CHART.render(CHART.rendering("gpu-operator", "gpu-operator", version, values))
    return next(obj for obj in rendered if obj["kind"] == "ClusterPolicy")


@pytest.mark.parametrize("version", VERSIONS)
def test_every_value_that_we_set_is_one_of_the_charts(version: str) -> None:
    """The chart has no schema: a wrong key would be ignored without a word."""
    values = our_values(version, gpu_time_slicing={"any": 4})

    assert values["devicePlugin"]["config"]["default"] == "any"
    assert unknown_values(values, upstream.chart_values("gpu-operator", version)) == []
    assert unknown_values(
        {"operator": {"defaultRuntime": "containerd"}}, upstream.chart_values("gpu-operator", version)
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_the_policy_passes_its_definition(version: str) -> None:
    """With our values; an earlier definition does not know all of a later policy, which is why it is renewed."""
    schemas = upstream.crds(f"gpu-operator/{version}/deployments/gpu-operator/crds")
    policy = policy_of(version, our_values(version))

    assert validate(policy, schemas[POLICY]) == []
    if writes_drop_in(version):
        older = upstream.crds("gpu-operator/v25.3.4/deployments/gpu-operator/crds")
        assert "secretName" in " ".join(validate(policy, older[POLICY]))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_lab_knows_the_charts_keys_and_versions(version: str) -> None:
    """Of what it deploys: images, and which mechanism brings cards into containers."""
    real, policy = upstream.chart_values("gpu-operator", version), policy_of(version, {})["spec"]

    assert unknown_values(CHART.defaults, real) == []
    for section in ("toolkit", "devicePlugin", "dcgmExporter", "gfd", "migManager", "driver"):
        for name in ("repository", "image", "version"):
            assert policy[section][name] == real[section][name], (section, name)
    assert policy["cdi"]["enabled"] is real["cdi"]["enabled"]
    assert {name: real["validator"][name] for name in ("repository", "image")}.items() <= policy["validator"].items()


@pytest.mark.parametrize("version", RENDERED)
def test_the_labs_chart_makes_what_the_real_one_makes(version: str) -> None:
    emulated = CHART.render(CHART.rendering("gpu-operator", "gpu-operator", version, {}))

    assert drift(emulated, upstream.rendered(f"gpu-operator-{version}"), namespace="gpu-operator") == []


@pytest.mark.parametrize("version", RENDERED)
def test_an_operator_is_found_by_the_label_of_its_deployment(version: str) -> None:
    """Which its feature discovery does not have; the label `app` is on its pods alone."""
    name, _, value = checks.OPERATOR.partition("=")
    deployments = [o["metadata"] for o in upstream.rendered(f"gpu-operator-{version}") if o["kind"] == "Deployment"]

    assert [at["name"] for at in deployments if at["labels"].get(name) == value] == ["gpu-operator"]
    assert not any("app" in at["labels"] for at in deployments)


def test_the_template_of_containerd_is_microk8s_own() -> None:
    """In each release; version 2, which a toolkit that starts from an empty source writes, and no imports."""
    for track in upstream.tracks():
        real = tomllib.loads(upstream.microk8s(track, "microk8s-resources/default-args/containerd-template.toml"))
        assert tomllib.loads(TEMPLATE) == real, track
        assert real["version"] == 2
        assert "imports" not in real
