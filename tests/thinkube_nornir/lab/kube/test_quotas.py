"""Resource quotas, on the lab and on a real API server; there a test says what is in use, as no controller does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from tests.thinkube_nornir.lab.kube.conftest import use
from tests.thinkube_nornir.lab.kube.test_contract import refusal
from thinkube_nornir.lab.kube import Object


@pytest.fixture
def core(anywhere: client.ApiClient, name: str) -> Iterator[Any]:
    """A namespace of that name, with a quota `few`."""
    api = use(client.CoreV1Api, anywhere)
    api.create_namespace({"metadata": {"name": name}})
    hard = {"pods": "2", "limits.cpu": "1", "count/configmaps": "1"}
    api.create_namespaced_resource_quota(name, {"metadata": {"name": "few"}, "spec": {"hard": hard}})
    used = {"hard": hard, "used": dict.fromkeys(hard, "0")}
    api.patch_namespaced_resource_quota_status("few", name, {"status": used})
    yield api
    api.delete_namespace(name)


def pod(name: str, cpu: str | None) -> Object:
    resources = {"limits": {"cpu": cpu}} if cpu else {}
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]}}


def refused(create: Any, *args: Any) -> Object:
    with pytest.raises(ApiException) as caught:
        create(*args)
    code, status = refusal(caught)
    assert (code, status["reason"]) == (403, "Forbidden")
    return status


def test_a_quota_that_is_used_up_says_its_numbers(core: Any, name: str) -> None:
    core.create_namespaced_pod(name, pod("one", "600m"))

    status = refused(core.create_namespaced_pod, name, pod("two", "500m"))

    told = "exceeded quota: few, requested: limits.cpu=500m, used: limits.cpu=600m, limited: limits.cpu=1"
    assert status["message"] == f'pods "two" is forbidden: {told}'
    assert status["details"] == {"name": "two", "kind": "pods"}


def test_a_quota_counts_pods(core: Any, name: str) -> None:
    for number in range(2):
        core.create_namespaced_pod(name, pod(f"p{number}", "100m"))

    status = refused(core.create_namespaced_pod, name, pod("p2", "100m"))

    assert "exceeded quota: few, requested: pods=1, used: pods=2, limited: pods=2" in status["message"]


def test_a_quota_of_limits_wants_each_pod_to_have_them(core: Any, name: str) -> None:
    status = refused(core.create_namespaced_pod, name, pod("p", None))

    assert status["message"] == 'pods "p" is forbidden: failed quota: few: must specify limits.cpu for: c'
