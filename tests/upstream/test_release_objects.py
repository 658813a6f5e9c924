"""What the real charts render, made in a real API as helm makes it: nothing of it differs from what helm stored."""

from __future__ import annotations

import base64
import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests import upstream_data as upstream
from tests.kube_servers import ASSETS, REAL, real_server
from tests.thinkube_nornir.resources.cluster_host import ClusterHost
from thinkube_nornir.cluster import Cluster, Object
from thinkube_nornir.cluster.objects import reference
from thinkube_nornir.helm.stored import MANAGER, stored
from thinkube_nornir.resources.comparison import Finding, compare

RENDERED = ("cert-manager-v1.20.3", "traefik-v41.3.0", "ingress-nginx-4.13.9", "gpu-operator-v25.10.1")
HOOK = "helm.sh/hook"
DEFINITION = "CustomResourceDefinition"


@pytest.fixture(params=[REAL])
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterHost]:
    upstream.folder()  # skips before a server is started for nothing
    with real_server(Path(os.environ[ASSETS]), tmp_path_factory.mktemp(str(request.param))) as kubeconfig:
        host = ClusterHost(tmp_path_factory.mktemp("host"), kubeconfig)
        host.manager = MANAGER
        yield host
        host.close()


def rendered(name: str) -> tuple[str, list[Object]]:
    """The manifest as helm stores it, without hooks; and its objects."""
    text = upstream.upstream(f"rendered/{name}.yaml").read_text()
    documents = [part for part in text.split("\n---\n") if (obj := yaml.safe_load(part)) and not _is_hook(obj)]
    return "\n---\n".join(documents), [yaml.safe_load(part) for part in documents]


def _is_hook(obj: Object) -> bool:
    return HOOK in (obj["metadata"].get("annotations") or {})


@pytest.mark.parametrize("name", RENDERED)
def test_nothing_differs_that_helm_made(cluster: ClusterHost, name: str) -> None:
    """Whatever the API defaults, drops or writes in another form; without kinds that stand apart from the chart."""
    text, plain = rendered(name)
    namespace = "the-release"
    places = {namespace, *(obj["metadata"].get("namespace", namespace) for obj in plain)} - {"default", "kube-system"}
    for place in sorted(places):
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place}})
    cluster.create(_stored(text, namespace))
    for obj in plain:
        if obj["kind"] == DEFINITION:
            cluster.create(obj | {"metadata": _marked(obj["metadata"], namespace)})
            cluster.await_condition(obj, "Established")
    served = cluster.use(lambda kube: _served(kube, namespace))
    assert len(served) > len(plain) / 2
    for obj in sorted(served, key=lambda obj: "Webhook" in obj["kind"]):  # which nobody answers
        if obj["kind"] != DEFINITION:
            cluster.create(obj)
    assert _findings(cluster, served) == []
    deployment = next(obj for obj in served if obj["kind"] == "Deployment")
    cluster.patch(deployment, {"spec": {"replicas": 0}})
    assert [(found.ref, found.seen) for found in _findings(cluster, served)] == [
        (reference(deployment), "spec.replicas 0")
    ]


def _marked(metadata: Object, namespace: str) -> Object:
    """As helm does it with what it makes."""
    notes = {"meta.helm.sh/release-name": "release", "meta.helm.sh/release-namespace": namespace}
    labels = {**(metadata.get("labels") or {}), "app.kubernetes.io/managed-by": "Helm"}
    return metadata | {"annotations": {**(metadata.get("annotations") or {}), **notes}, "labels": labels}


def _served(kube: Cluster, namespace: str) -> list[Object]:
    objects = stored(kube, "release", namespace, 1).objects
    return [obj for obj in objects if kube.kind(obj["apiVersion"], obj["kind"])]


def _findings(cluster: ClusterHost, objects: list[Object]) -> list[Finding]:
    def compared(kube: Cluster) -> list[Finding]:
        found = [compare(kube, obj, kube.get(*reference(obj).place), MANAGER) for obj in objects]
        return [finding for finding in found if finding]

    return cluster.use(compared)


def _stored(text: str, namespace: str) -> Object:
    revision = {"manifest": text, "info": {"first_deployed": "2026-01-01T00:00:00Z"}}
    packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(revision).encode()))).decode()
    metadata = {"name": "sh.helm.release.v1.release.v1", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"release": packed}}
