"""What holds where the inventory says nothing, so that two plain servers need a handful of settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.shared.hosts.supported import NODE_DISK

DEFAULTS: Mapping[str, Any] = {
    "microk8s_channel": "1.35/stable",
    "microk8s_addons": ["dns", "hostpath-storage", "helm3"],
    "token_ttl": 300,  # good for a join and its second try, and not for much longer
    "node_disk": NODE_DISK,
    "probe_image": "docker.io/library/busybox:1.36.1",
    "dns_probe_names": ["ubuntu.com", "github.com", "cloudflare.com"],
    "dns_settle_seconds": 30,  # what CoreDNS keeps in its cache
    "acme_issuer": "ca",
    "cert_manager_version": "v1.20.3",
    "dns01_resolvers": ["8.8.8.8:53", "1.1.1.1:53"],
    "certificate_copier_image": "docker.io/library/python:3.13-alpine",
    "knative": False,
    "ingress_namespace": "ingress",
    "ingress_kn_namespace": "ingress-kn",
    "primary_ingress_class": "traefik",
    "secondary_ingress_class": "traefik-kn",
    "traefik_chart_version": "41.3.0",
    "gateway_api_manifest": "https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.5.1/standard-install.yaml",
    "gpu_operator_version": "v25.10.1",
    "gpu_operator_namespace": "gpu-operator",
    "gpu_driver": "auto",
    "gpu_minimum_capability": 6.0,  # the oldest cards that images of CUDA 12 run on
    "cuda_test_image": "nvcr.io/nvidia/k8s/cuda-sample:vectoradd-cuda12.5.0-ubuntu22.04",
}
