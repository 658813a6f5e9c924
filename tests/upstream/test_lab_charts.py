"""What the lab's charts render with their default values, against what the real charts render with theirs."""

from __future__ import annotations

import pytest

from tasks.lab.charts import cert_manager, gpu_operator, ingress_nginx
from tasks.lab.charts.chart import Chart
from tests import upstream_data as upstream
from tests.upstream.definitions import schema_drift
from tests.upstream.emulated import drift

CHARTS = (
    pytest.param(cert_manager.CHART, "v1.20.3", "cert-manager", "cert-manager", id="cert-manager"),
    pytest.param(gpu_operator.CHART, "v25.10.1", "gpu-operator", "gpu-operator", id="gpu-operator"),
    pytest.param(gpu_operator.CHART, "v25.3.4", "gpu-operator", "gpu-operator", id="gpu-operator-v25.3"),
    pytest.param(ingress_nginx.CHART, "4.13.9", "primary-ingress", "ingress", id="ingress-nginx"),
)


@pytest.mark.parametrize(("chart", "version", "release", "namespace"), CHARTS)
def test_a_chart_brings_the_same_objects(chart: Chart, version: str, release: str, namespace: str) -> None:
    """Kinds, names, labels, selectors, ports, accounts and containers: what people and checks find things by."""
    offered = version if version in chart.versions else newest(chart)
    emulated = chart.render(chart.rendering(release, namespace, offered, {}))

    assert drift(emulated, upstream.rendered(f"{chart.name}-{version}"), namespace=namespace) == []


def newest(chart: Chart) -> str:
    """Of the releases that the lab offers."""
    return next(iter(chart.versions))


def test_cert_managers_definitions_declare_what_the_real_ones_do() -> None:
    """So a misspelt field of an issuer or a certificate is refused in the lab."""
    values = {"crds": {"enabled": True}}
    rendering = cert_manager.CHART.rendering("cert-manager", "cert-manager", newest(cert_manager.CHART), values)
    emulated = cert_manager.CHART.render(rendering)

    assert schema_drift(emulated, upstream.documents("cert-manager/v1.20.3/deploy/crds")) == []
