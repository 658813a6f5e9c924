"""The charts that the lab's helm can install, by name."""

from __future__ import annotations

from tasks.lab.charts import gpu_operator, ingress_nginx
from tasks.lab.charts.chart import Chart

CHARTS: dict[str, Chart] = {chart.name: chart for chart in (gpu_operator.CHART, ingress_nginx.CHART)}
