"""What the lab's API refuses, in which words: as a real kube-apiserver 1.36 did, whose answers are in refusals.json.

Those about custom resources are in custom_refusals.json, with the definition. With a real server at hand its answers
are compared with these files, too.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from tests.thinkube_nornir.lab.kube.conftest import resource
from thinkube_nornir.lab.kube import Object

CUSTOM: Object = json.loads(Path(__file__).with_name("custom_refusals.json").read_text())
CASES: list[Object] = json.loads(Path(__file__).with_name("refusals.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_an_object_is_taken_or_refused_as_by_a_real_server(anywhere: client.ApiClient, case: Object) -> None:
    """Status, and of a refusal each cause: field, reason and message."""
    obj = case["object"]
    served = resource(anywhere, obj["apiVersion"], obj["kind"])
    place = {"namespace": "default"} if served.namespaced else {}

    code, answer = _created(anywhere, served.path("", **place) if place else served.path(""), obj)

    causes = [[c["field"], c["reason"], c["message"]] for c in (answer.get("details") or {}).get("causes") or []]
    assert (code, causes) == (case["status"], case.get("causes", []))
    if "message" in case:
        assert answer["message"] == case["message"]


def _created(api: client.ApiClient, path: str, obj: Object, *, dry: bool = True) -> tuple[int, Any]:
    settings: Any = api.configuration
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    headers |= {one["key"]: one["value"] for one in settings.auth_settings().values()}
    url = f"{settings.host}{path}{'?dryRun=All' if dry else ''}"
    answer = api.rest_client.pool_manager.request("POST", url, body=json.dumps(obj).encode(), headers=headers)
    is_json = answer.headers.get("Content-Type", "").startswith("application/json")
    return answer.status, json.loads(answer.data) if is_json else {}


@pytest.fixture(scope="module")
def holes(anywhere: client.ApiClient) -> str:
    """Where objects of the definition are made, once they are served."""
    spec = CUSTOM["definition"]["spec"]
    _created(anywhere, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", CUSTOM["definition"], dry=False)
    path = f"/apis/{spec['group']}/v1/namespaces/default/{spec['names']['plural']}"
    until = time.monotonic() + 20
    while _created(anywhere, path, _hole({}))[0] != 201:
        assert time.monotonic() < until, "the definition is not served"
        time.sleep(0.05)
    return path


def _hole(spec: Object) -> Object:
    names = CUSTOM["definition"]["spec"]
    return {
        "apiVersion": f"{names['group']}/v1",
        "kind": names["names"]["kind"],
        "metadata": {"name": "x"},
        "spec": spec,
    }


@pytest.mark.parametrize(
    "case", CUSTOM["answers"], ids=[f"{one['field']} {json.dumps(one['value'])}" for one in CUSTOM["answers"]]
)
def test_a_custom_resource_is_refused_by_its_schema(anywhere: client.ApiClient, holes: str, case: Object) -> None:
    """Ranges, lengths, patterns, types and double items, in the words of a real server."""
    code, answer = _created(anywhere, holes, _hole({case["field"]: case["value"]}))

    causes = [[c["field"], c["reason"], c["message"]] for c in (answer.get("details") or {}).get("causes") or []]
    assert (code, causes) == (case["status"], case["causes"])
