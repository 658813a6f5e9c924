"""Addon metallb: what turning it on and off does to the cluster; load_balancer.py is what its pods do.

Source: canonical/microk8s-core-addons@1.32 addons/metallb/crd.yaml
Source: canonical/microk8s-core-addons@1.32 addons/metallb/metallb.yaml
Source: canonical/microk8s-core-addons@1.33 addons/metallb/metallb.yaml
Source: canonical/microk8s-core-addons@1.35 addons/metallb/crd.yaml
Source: canonical/microk8s-core-addons@1.35 addons/metallb/metallb.yaml
"""

from __future__ import annotations

import re

from tasks.lab.load_balancer import ADVERTISEMENT, GROUP, NAMESPACE, POOL, VERSION, Balancer
from tasks.lab.microk8s.metallb_schemas import schema
from tasks.lab.microk8s.node import Node
from tasks.lab.tool import ToolError
from thinkube_nornir.lab.kube import Object
from thinkube_nornir.lab.kube.objects import name_of

_ASK = "Enter each IP address range delimited by comma (e.g. '10.64.140.43-10.64.140.49,192.168.0.105-192.168.0.111'): "
_NUMBER = r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+"
_RANGE = re.compile(rf"{_NUMBER}-{_NUMBER}|{_NUMBER}/[0-9]{{1,3}}")
_LABEL = {"app": "metallb"}
_KINDS = {  # plural, and the versions that are served: the last one is stored
    "BFDProfile": ("bfdprofiles", VERSION),
    "BGPAdvertisement": ("bgpadvertisements", VERSION),
    "BGPPeer": ("bgppeers", VERSION, "v1beta2"),
    "Community": ("communities", VERSION),
    POOL[1]: ("ipaddresspools", VERSION),
    ADVERTISEMENT[1]: ("l2advertisements", VERSION),
}
_UNTIL_0_13 = {"AddressPool": ("addresspools", "v1alpha1", VERSION)}
_FROM_0_14 = {"ServiceL2Status": ("servicel2statuses", VERSION)}
_FROM_0_15 = {"ServiceBGPStatus": ("servicebgpstatuses", VERSION)}


def enable(node: Node, argument: str) -> str:
    """The default pool becomes the given one.

    Raises:
        ToolError: a range that is none; or no range, for which the real one asks: here there is nobody to answer.
    """
    if not argument:
        raise ToolError(1, _ASK, "Enabling MetalLB\n")
    ranges = argument.split(",")
    for one in ranges:
        if not _RANGE.fullmatch(one):
            raise ToolError(1, "", f"Enabling MetalLB\nYour input value ({one}) is not a valid IP Range\n")
    for manifest in [*definitions(node.minor), *manifests(node.minor), pool(ranges)]:
        node.api.apply(manifest)
    if node.host.state.get("balanced") is not node.api:
        node.host.state["balanced"] = node.api
        node.api.add_controller(Balancer())
    return (
        "Enabling MetalLB\nApplying Metallb manifest\nWaiting for Metallb controller to be ready.\nMetalLB is enabled\n"
    )


def disable(node: Node) -> str:
    """Remove it with its CRDs; all pools go with these, also those that others made."""
    for definition in definitions(node.minor):
        node.api.delete(definition["apiVersion"], definition["kind"], definition["metadata"]["name"])
    node.api.delete("v1", "Namespace", NAMESPACE)
    for obj in manifests(node.minor):
        if "namespace" not in obj["metadata"] and obj["kind"] != "Namespace":
            node.api.delete(obj["apiVersion"], obj["kind"], obj["metadata"]["name"])
    return "Disabling MetalLB\nMetalLB is terminated\n"


def definitions(minor: tuple[int, int]) -> list[Object]:
    kinds = _KINDS | (_UNTIL_0_13 if minor < (1, 33) else _FROM_0_14) | (_FROM_0_15 if minor >= (1, 34) else {})
    return [
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{GROUP}"},
            "spec": {
                "group": GROUP,
                "scope": "Namespaced",
                "names": {"kind": kind, "plural": plural},
                "versions": [_served(schema(kind, minor), v, stored=v == versions[-1]) for v in versions],
            },
        }
        for kind, (plural, *versions) in kinds.items()
    ]


def _served(declared: Object, version: str, *, stored: bool) -> Object:
    return {
        "name": version,
        "served": True,
        "storage": stored,
        "schema": {"openAPIV3Schema": declared},
        "subresources": {"status": {}},
    }


def manifests(minor: tuple[int, int]) -> list[Object]:
    version, prefix = _version(minor), "" if minor < (1, 33) else "metallb-"
    security = {f"pod-security.kubernetes.io/{mode}": "privileged" for mode in ("audit", "enforce", "warn")}
    webhooks = f"{prefix}webhook-configuration" if prefix else "validating-webhook-configuration"
    service = _object("v1", "Service", f"{prefix}webhook-service")
    ports = [{"port": 443, "targetPort": 9443}]
    excluded = [_object("v1", "ConfigMap", "metallb-excludel2")] if prefix else []
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": security}},
        *(_object("v1", "ServiceAccount", name, _LABEL) for name in ("controller", "speaker")),
        *excluded,
        _object("v1", "Secret", "metallb-webhook-cert" if prefix else "webhook-server-cert"),
        service | {"spec": {"ports": ports, "selector": {"component": "controller"}}},
        _workload("Deployment", "controller", {"containers": [_container("controller", version)]}),
        _workload("DaemonSet", "speaker", {"containers": [_container("speaker", version)], "hostNetwork": True}),
        _webhooks(webhooks, name_of(service)),
        _object(f"{GROUP}/{VERSION}", ADVERTISEMENT[1], "default-advertise-all-pools"),
    ]


def _webhooks(name: str, service: str) -> Object:
    """Asked before a pool or an advertisement is made or changed; without a ready controller neither can be."""
    hooks = []
    for kind, plural in ((POOL[1], "ipaddresspools"), (ADVERTISEMENT[1], "l2advertisements")):
        path = f"/validate-metallb-io-{VERSION}-{kind.lower()}"
        rule = {"apiGroups": [GROUP], "apiVersions": [VERSION], "operations": ["CREATE", "UPDATE"]}
        hook: Object = {"name": f"{kind.lower()}validationwebhook.metallb.io", "admissionReviewVersions": ["v1"]}
        hook |= {"clientConfig": {"service": {"name": service, "namespace": NAMESPACE, "path": path}}}
        hooks.append(hook | {"rules": [rule | {"resources": [plural]}], "sideEffects": "None"})
    found = _object("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", name, namespaced=False)
    return found | {"webhooks": hooks}


def _version(minor: tuple[int, int]) -> str:
    if minor <= (1, 32):
        return "v0.13.3"
    return "v0.14.9" if minor == (1, 33) else "v0.15.2"


def pool(ranges: list[str]) -> Object:
    return _object(f"{GROUP}/{VERSION}", POOL[1], "default-addresspool") | {"spec": {"addresses": ranges}}


def _object(
    version: str, kind: str, name: str, labels: dict[str, str] | None = None, *, namespaced: bool = True
) -> Object:
    metadata = (
        {"name": name} | ({"labels": labels} if labels else {}) | ({"namespace": NAMESPACE} if namespaced else {})
    )
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def _container(name: str, version: str) -> Object:
    return {"name": name, "image": f"quay.io/metallb/{name}:{version}"}


def _workload(kind: str, name: str, pod: Object) -> Object:
    labels = _LABEL | {"component": name}
    template = {"metadata": {"labels": labels}, "spec": pod | {"serviceAccountName": name}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    return _object("apps/v1", kind, name, labels) | {"spec": spec}
