"""The loaders and the schemas themselves: upstream's own objects pass, mistakes do not, missing data is named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests import upstream_data as upstream
from tests.upstream_data import Object
from tests.upstream_schemas import GroupVersionKind, Schema, unknown_values, validate

CRDS = (
    "cert-manager/v1.20.3/deploy/crds",
    "gpu-operator/v25.10.1/deployments/gpu-operator/crds",
    "traefik/v41.3.0/traefik/crds",
    "gateway-api/crds.yaml",
    "metallb/v0.15.3/config/crd/bases",
)
POD: Object = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "probe", "labels": {"app": "probe"}},
    "spec": {"containers": [{"name": "a", "image": "b", "resources": {"limits": {"cpu": 1}}, "env": None}]},
}
ISSUER: Object = {
    "apiVersion": "cert-manager.io/v1",
    "kind": "ClusterIssuer",
    "metadata": {"name": "ca"},
    "spec": {"ca": {"secretName": "ca"}},
}


@pytest.fixture(scope="module")
def schemas() -> Mapping[GroupVersionKind, Schema]:
    return {**upstream.builtin_schemas(), **{kind: schema for path in CRDS for kind, schema in _crds(path)}}


def _crds(path: str) -> list[tuple[GroupVersionKind, Schema]]:
    return [*upstream.crds(path).items()]


def errors(obj: Object, schemas: Mapping[GroupVersionKind, Schema]) -> list[str]:
    group, _, version = obj["apiVersion"].rpartition("/")
    return validate(obj, schemas[group, version, obj["kind"]])


def test_upstreams_own_objects_pass(schemas: Mapping[GroupVersionKind, Schema]) -> None:
    """What real charts and addons make is what real schemas accept."""
    objects = [o for path in upstream.upstream("rendered").iterdir() for o in upstream.rendered(path.stem)]
    for track in upstream.tracks():
        for path in ("dns/coredns.yaml", "hostpath-storage/storage.yaml", "metallb/metallb.yaml"):
            objects += upstream.addon(track, path)

    assert [error for obj in objects for error in errors(obj, schemas)] == []


def test_what_a_strict_api_server_refuses_is_an_error(schemas: Mapping[GroupVersionKind, Schema]) -> None:
    """Unknown fields at every depth, wrong types and missing fields are named with their place."""
    assert errors(POD, schemas) == errors(ISSUER, schemas) == []

    metadata = {"name": "probe", "lables": {}}
    container = {"name": "a", "ports": [{"containerPort": "http"}], "livenessProbe": {"httpGet": {"path": "/"}}}
    assert errors({**POD, "metadata": metadata, "spec": {"containers": [container]}}, schemas) == [
        "metadata: Additional properties are not allowed ('lables' was unexpected)",
        "spec.containers[0].livenessProbe.httpGet: 'port' is a required property",
        "spec.containers[0].ports[0].containerPort: 'http' is not of type 'integer'",
    ]
    spec = {"ca": {"secretNam": "ca"}, "selfSigned": {"crl": []}}
    assert errors({**ISSUER, "spec": spec}, schemas) == [
        "spec.ca: 'secretName' is a required property",
        "spec.ca: Additional properties are not allowed ('secretNam' was unexpected)",
        "spec.selfSigned: Additional properties are not allowed ('crl' was unexpected)",
    ]


def test_keys_that_a_chart_does_not_have_are_named() -> None:
    """At every depth; a map that upstream leaves empty takes any key."""
    defaults = {"driver": {"enabled": True, "env": {}}, "toolkit": {"version": "v1"}}

    assert unknown_values({"driver": {"enabled": False, "env": {"A": "b"}}, "toolkit": {}}, defaults) == []
    values = {"driver": {"enable": False}, "toolkit": {"version": {"tag": "v2"}}, "mig": {}}
    assert unknown_values(values, defaults) == ["driver.enable", "toolkit.version (is no map upstream)", "mig"]


def test_without_the_variable_the_test_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the reason names the variable."""
    monkeypatch.delenv(upstream.VARIABLE, raising=False)

    with pytest.raises(pytest.skip.Exception, match=upstream.VARIABLE):
        upstream.rendered("cert-manager-v1.20.3")


def test_a_version_that_no_data_covers_fails_and_lists_what_to_add(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A skip would let a new version in unseen."""
    monkeypatch.setenv(upstream.VARIABLE, str(tmp_path))

    with pytest.raises(pytest.fail.Exception, match=r"cert-manager/v9.9.9/deploy/charts/cert-manager/values.yaml"):
        upstream.chart_values("cert-manager", "v9.9.9")
