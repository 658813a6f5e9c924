"""A lab cluster for each test, and for the contract tests a real API server as well, where the machine has one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from kubernetes import client, config, dynamic, watch

from tests.kube_servers import ASSETS, REAL, LabServer, real_server
from thinkube_nornir.lab.kube import Object


class Lab(LabServer):
    """The lab's API, and the official client's way to it."""

    def settle(self) -> None:
        """Wait until the controllers have nothing more to do."""
        self._wait(self.api.settled())

    def client(self) -> client.ApiClient:
        return connect(self.kubeconfig)


def connect(kubeconfig: str) -> client.ApiClient:
    load: Any = config.new_client_from_config_dict
    opened: client.ApiClient = load(yaml.safe_load(kubeconfig))
    return opened


def use(kind: Any, api: client.ApiClient) -> Any:
    """An API of the official client. Any: it takes dicts where its annotations want models."""
    return kind(api)


def stream(function: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
    """The events of a watch."""
    events: Any = watch.Watch
    yield from events().stream(function, *args, **kwargs)


def resource(api: client.ApiClient, api_version: str, kind: str) -> Any:
    """A kind as the dynamic client discovers it."""
    return use(dynamic.DynamicClient, api).resources.get(api_version=api_version, kind=kind)


def workload(kind: str, name: str, *, replicas: int | None = None, **pod: object) -> Object:
    """A Deployment, DaemonSet or Job whose pods bear the label app=<name>."""
    spec = {"containers": [{"name": "main", "image": "registry/app:1"}], **pod}
    body: Object = {"template": {"metadata": {"labels": {"app": name}}, "spec": spec}}
    if kind != "Job":
        body["selector"] = {"matchLabels": {"app": name}}
    if replicas is not None:
        body["replicas"] = replicas
    version = "batch/v1" if kind == "Job" else "apps/v1"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": body}


def pod(name: str, **spec: object) -> Object:
    body = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "registry/app:1"}], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": body}


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A cluster with the nodes n1 and n2."""
    server = Lab()
    for number in (1, 2):
        server.do(partial(server.api.add_node, f"n{number}", address=f"192.0.2.{number}"))
    yield server
    errors = server.do(lambda: list(server.api.controller_errors))
    server.stop()
    assert errors == []


@pytest.fixture
def api(lab: Lab) -> Iterator[client.ApiClient]:
    with lab.client() as opened:
        yield opened


@pytest.fixture(scope="module", params=["lab", REAL])
def anywhere(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[client.ApiClient]:
    """The lab's API server, then a real one: both must answer alike."""
    if request.param == "real":
        folder = tmp_path_factory.mktemp("real")
        with real_server(Path(os.environ[ASSETS]), folder) as kubeconfig, connect(kubeconfig) as opened:
            yield opened
    else:
        server = Lab()
        with server.client() as opened:
            yield opened
        server.stop()


@pytest.fixture
def name() -> str:
    """A name no other test uses."""
    return f"test-{uuid4().hex[:8]}"
