"""What holds where the inventory says nothing, so that two plain servers need a handful of settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.supported import NODE_DISK

DEFAULTS: Mapping[str, Any] = {
    "microk8s_channel": "1.35/stable",
    "node_disk": NODE_DISK,
    "acme_issuer": "ca",
    "cert_manager_version": "v1.20.3",
    "ingress_namespace": "ingress",
    "ingress_kn_namespace": "ingress-kn",
    "primary_ingress_class": "traefik",
    "secondary_ingress_class": "traefik-kn",
    "traefik_chart_version": "41.3.0",
    "gpu_operator_version": "v25.10.1",
    "gpu_operator_namespace": "gpu-operator",
    "cuda_test_image": "nvcr.io/nvidia/k8s/cuda-sample:vectoradd-cuda12.5.0-ubuntu22.04",
}
