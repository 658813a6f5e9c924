"""Gateway API's manifests, as they are published: definitions, and from 1.5 a policy that refuses older ones.

The policy itself is not acted upon: nobody here applies an older manifest over a newer one.

Source: kubernetes-sigs/gateway-api@v1.4.0 config/crd/standard
Source: kubernetes-sigs/gateway-api@v1.5.1 config/crd/standard
Source: kubernetes-sigs/gateway-api@v1.5.1 hack/build-install-yaml.sh
"""

from __future__ import annotations

import re

from tasks.lab.definitions import definition
from thinkube_nornir.lab.kube import Object

GROUP = "gateway.networking.k8s.io"
HOST = "github.com"
_ADDRESS = re.compile(
    rf"https://{HOST}/kubernetes-sigs/gateway-api/releases/download/(v\d+\.\d+\.\d+)/standard-install\.yaml"
)
_CLUSTER_WIDE = "GatewayClass"
_KINDS = {
    "BackendTLSPolicy": ("backendtlspolicies", "v1"),
    "GatewayClass": ("gatewayclasses", "v1", "v1beta1"),
    "Gateway": ("gateways", "v1", "v1beta1"),
    "GRPCRoute": ("grpcroutes", "v1"),
    "HTTPRoute": ("httproutes", "v1", "v1beta1"),
}
_VERSIONS = {
    "v1.4.0": _KINDS | {"ReferenceGrant": ("referencegrants", "v1beta1")},
    "v1.5.1": _KINDS
    | {
        "ListenerSet": ("listenersets", "v1"),
        "ReferenceGrant": ("referencegrants", "v1beta1", "v1"),
        "TLSRoute": ("tlsroutes", "v1"),
    },
}


def published(address: str) -> list[Object] | None:
    """What is downloaded there; None when nothing is."""
    found = _ADDRESS.fullmatch(address)
    return manifest(found[1]) if found and found[1] in _VERSIONS else None


def manifest(version: str) -> list[Object]:
    notes = {f"{GROUP}/bundle-version": version, f"{GROUP}/channel": "standard"}
    found = []
    for kind, (plural, *versions) in _VERSIONS[version].items():
        made = definition(GROUP, kind, plural, *versions, namespaced=kind != _CLUSTER_WIDE)
        made["metadata"]["annotations"] = notes
        found.append(made)
    return [*found, *(_guard(kind, notes) for kind in _GUARDS if version >= "v1.5")]


_GUARDS = {
    "ValidatingAdmissionPolicy": {"failurePolicy": "Fail"},
    "ValidatingAdmissionPolicyBinding": {"policyName": f"safe-upgrades.{GROUP}", "validationActions": ["Deny"]},
}


def _guard(kind: str, notes: dict[str, str]) -> Object:
    metadata = {"name": f"safe-upgrades.{GROUP}", "annotations": notes}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": metadata,
        "spec": _GUARDS[kind],
    }
