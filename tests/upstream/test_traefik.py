"""Traefik: our values and objects against the chart's schema and the real definitions; the lab's chart, too."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import jsonschema
import pytest
import yaml
from nornir.core.task import Result, Task

from tasks.lab import gateway_api
from tasks.lab.charts import traefik
from tasks.lab.charts.traefik_values import DEFAULTS, definitions
from tasks.phase6_extended_services.ingress import definitions as wanted_definitions
from tasks.phase6_extended_services.ingress.controllers import GATEWAY, PRIMARY, SECONDARY, Controller, controllers
from tasks.phase6_extended_services.ingress.traffic import Way
from tests import upstream_data as upstream
from tests.fake_host import FakeHost
from tests.microk8s_machine import SETTINGS
from tests.upstream.emulated import drift
from tests.upstream_data import Object
from tests.upstream_schemas import unknown_values, validate
from thinkube_nornir.helm import Release
from thinkube_nornir.helm.releases import plain
from thinkube_nornir.templates import render_yaml

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
VERSION = str(
    yaml.safe_load((ROOT / "inventory/groups.yaml").read_text())["microk8s_control_plane"]["data"][
        "traefik_chart_version"
    ]
)
CHART = f"traefik/v{VERSION}/traefik"
NGINX = {"primary_nginx_class": "nginx", "secondary_nginx_class": "nginx-kn"}
GATEWAY_ON: Object = {"providers": {"kubernetesGateway": {"enabled": True}}}


def wanted(**settings: Any) -> list[tuple[Controller, Release]]:
    """Both controllers, and their releases."""

    def read(task: Task) -> list[tuple[Controller, Release]]:
        found = controllers(task)
        return [(c, r.declared(task)) for c, r in zip(found, (PRIMARY, SECONDARY)[: len(found)], strict=True)]

    return in_a_step(read, **settings)


def in_a_step(read: Callable[[Task], list[T]], **settings: Any) -> list[T]:
    found: list[T] = []

    def step(task: Task) -> Result:
        found.extend(read(task))
        return Result(task.host)

    machine = FakeHost("tkc", settings={**SETTINGS, "traefik_chart_version": VERSION, **settings})
    context = machine._context(machine._inventory(), dry_run=False, read_only=False)
    context.config = replace(context.config, templates=ROOT / "templates")
    result = machine.apply(step, context=context)
    assert result.exception is None, result.exception
    return found


def rendered_by_us(release: Release) -> list[Object]:
    """By the lab's chart, which the tests below hold to the real one."""
    rendering = traefik.CHART.rendering(release.name, release.namespace, VERSION, plain(release.values))
    return traefik.CHART.render(rendering)


@pytest.mark.parametrize("settings", [{}, NGINX], ids=["plain", "nginx"])
def test_our_values_pass_the_charts_schema(settings: dict[str, str]) -> None:
    """And every key is one that the chart has."""
    schema = json.loads(upstream.text(f"{CHART}/values.schema.json"))
    for _, release in wanted(**settings):
        values = plain(release.values)
        jsonschema.validate(values, schema)
        listeners = values["gateway"].pop("listeners")
        assert set(listeners) == {"web", "websecure"}
        assert unknown_values(values, upstream.chart_values("traefik", f"v{VERSION}")) == [
            "service.spec.loadBalancerIP"
        ]


def test_a_key_that_the_chart_does_not_have_fails_its_schema() -> None:
    """The schema really refuses: else the test above would prove nothing."""
    schema = json.loads(upstream.text(f"{CHART}/values.schema.json"))
    mistakes: tuple[Object, ...] = ({"provider": {}}, {"providers": {"kubernetesIngressNginx": {"enabled": True}}})
    for values in mistakes:
        with pytest.raises(jsonschema.ValidationError, match="Additional properties"):
            jsonschema.validate(values, schema)


def test_objects_pass_the_real_definitions() -> None:
    """What the chart makes of our values, and what a check publishes for its probe."""
    schemas = {**upstream.crds(f"{CHART}/crds"), **upstream.crds("gateway-api/crds.yaml"), **upstream.builtin_schemas()}
    for controller, release in wanted(**NGINX):
        ways = [Way(controller, "1", controller.class_name), Way(controller, "route")]

        def probe(task: Task, ways: list[Way] = ways) -> list[Object]:
            return render_yaml(task, "ingress/probe.yaml.j2", name="probe", ways=ways, gateway=GATEWAY)

        published = in_a_step(probe)
        for obj in (*rendered_by_us(release), *published):
            group, _, version = obj["apiVersion"].rpartition("/")
            assert validate(obj, schemas[group, version, obj["kind"]]) == [], obj


def test_the_labs_chart_makes_what_the_real_one_makes() -> None:
    """With Gateway API on: kinds, names, labels, selectors, ports; and the same command line."""
    rendering = traefik.CHART.rendering("primary-ingress", "ingress", VERSION, GATEWAY_ON)
    ours, real = traefik.CHART.render(rendering), upstream.rendered(f"traefik-v{VERSION}")

    assert drift(ours, real, namespace="ingress") == []
    assert arguments(ours) == arguments(real)
    for kind in ("Gateway", "GatewayClass", "IngressClass"):
        assert specs(ours, kind) == specs(real, kind)


def arguments(objects: list[Object]) -> list[str]:
    [deployment] = [o for o in objects if o["kind"] == "Deployment"]
    return list(deployment["spec"]["template"]["spec"]["containers"][0]["args"])


def specs(objects: list[Object], kind: str) -> list[Object]:
    return [o["spec"] for o in objects if o["kind"] == kind]


def test_names_and_labels_that_we_look_for_are_the_charts() -> None:
    """Deployment and Service, the label that keeps two apart, and Gateway and class."""
    real = upstream.rendered(f"traefik-v{VERSION}")
    primary, _ = wanted()[0]
    names = {o["kind"]: o["metadata"]["name"] for o in real}
    assert names["Deployment"] == names["Service"] == primary.workload
    assert names["Gateway"] == "traefik-gateway"
    labels = {o["metadata"]["labels"]["app.kubernetes.io/instance"] for o in real}
    assert labels == {primary.instance}


def test_the_lab_knows_the_charts_keys_and_definitions() -> None:
    """It refuses at the top what the real schema refuses; below providers it knows no key that is not there."""
    schema = json.loads(upstream.text(f"{CHART}/values.schema.json"))
    real = upstream.chart_values("traefik", f"v{VERSION}")
    assert DEFAULTS.keys() == schema["properties"].keys()
    assert DEFAULTS["providers"].keys() == real["providers"].keys()
    for name, given in DEFAULTS["providers"].items():
        if isinstance(given, dict):
            assert given.keys() <= real["providers"][name].keys(), name

    crds = [crd for crd in upstream.documents(f"{CHART}/crds") if crd.get("kind") == "CustomResourceDefinition"]
    assert served(definitions()) == served(crds)


def test_gateway_api_has_what_traefik_watches() -> None:
    """Every kind and version, by its definitions; and the lab's are among them, as they are served."""
    real = served([crd for crd in upstream.documents("gateway-api/crds.yaml") if crd])
    for name, version in wanted_definitions.WATCHED.items():
        assert version in real[name][2]
    lab = served([o for o in gateway_api.manifest("v1.5.1") if o["kind"] == "CustomResourceDefinition"])
    assert lab.keys() <= real.keys()
    assert {name: found[:2] for name, found in lab.items()} == {name: real[name][:2] for name in lab}


def served(crds: list[Object]) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """Name to kind, scope and versions."""
    return {
        crd["metadata"]["name"]: (
            crd["spec"]["names"]["kind"],
            crd["spec"]["scope"],
            tuple(sorted(v["name"] for v in crd["spec"]["versions"] if v["served"])),
        )
        for crd in crds
    }
