"""The charts that the lab's helm can install, by name."""

from __future__ import annotations

from tasks.lab.charts import cert_manager, gpu_operator, ingress_nginx, traefik
from tasks.lab.charts.chart import Chart

CHARTS: dict[str, Chart] = {
    chart.name: chart for chart in (cert_manager.CHART, gpu_operator.CHART, ingress_nginx.CHART, traefik.CHART)
}
