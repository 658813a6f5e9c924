"""Addon metallb: what turning it on and off does to the cluster; load_balancer.py is what its pods do."""

from __future__ import annotations

import re

from tasks.lab.load_balancer import ADVERTISEMENT, GROUP, NAMESPACE, POOL, VERSION, Balancer
from tasks.lab.microk8s.node import Node
from tasks.lab.tool import ToolError
from thinkube_nornir.lab.kube import Object

WEBHOOKS = "metallb-webhook-configuration"
_ASK = "Enter each IP address range delimited by comma (e.g. '10.64.140.43-10.64.140.49,192.168.0.105-192.168.0.111'): "
_NUMBER = r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+"
_RANGE = re.compile(rf"{_NUMBER}-{_NUMBER}|{_NUMBER}/[0-9]{{1,3}}")
_KINDS = {
    "AddressPool": "addresspools",
    "BFDProfile": "bfdprofiles",
    "BGPAdvertisement": "bgpadvertisements",
    "BGPPeer": "bgppeers",
    "Community": "communities",
    POOL[1]: "ipaddresspools",
    ADVERTISEMENT[1]: "l2advertisements",
}


def enable(node: Node, argument: str) -> str:
    """Applies everything again each time: the default pool becomes the given one.

    Raises:
        ToolError: a range that is none; or no range, for which the real one asks: here there is nobody to answer.
    """
    if not argument:
        raise ToolError(1, _ASK, "Enabling MetalLB\n")
    ranges = argument.split(",")
    for one in ranges:
        if not _RANGE.fullmatch(one):
            raise ToolError(1, "", f"Enabling MetalLB\nYour input value ({one}) is not a valid IP Range\n")
    for manifest in [*_definitions(), *_manifests(node), _pool(ranges)]:
        node.api.apply(manifest)
    if node.host.state.get("balanced") is not node.api:
        node.host.state["balanced"] = node.api
        node.api.add_controller(Balancer())
    node.addons.add("metallb")
    return (
        "Enabling MetalLB\nApplying Metallb manifest\nWaiting for Metallb controller to be ready.\nMetalLB is enabled\n"
    )


def disable(node: Node) -> str:
    """With its CRDs all pools go, also those that others made."""
    for definition in _definitions():
        node.api.delete(definition["apiVersion"], definition["kind"], definition["metadata"]["name"])
    node.api.delete("v1", "Namespace", NAMESPACE)
    for obj in _manifests(node):
        if "namespace" not in obj["metadata"] and obj["kind"] != "Namespace":
            node.api.delete(obj["apiVersion"], obj["kind"], obj["metadata"]["name"])
    node.addons.discard("metallb")
    return "Disabling MetalLB\nMetalLB is terminated\n"


def _definitions() -> list[Object]:
    return [
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{GROUP}"},
            "spec": {
                "group": GROUP,
                "scope": "Namespaced",
                "names": {"kind": kind, "plural": plural},
                "versions": [{"name": VERSION, "served": True, "storage": True, "subresources": {"status": {}}}],
            },
        }
        for kind, plural in _KINDS.items()
    ]


def _manifests(node: Node) -> list[Object]:
    image = _version(node.minor)
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": {"app": "metallb"}}},
        *(_object("v1", "ServiceAccount", name) for name in ("controller", "speaker")),
        _workload("Deployment", "controller", {"containers": [_container("controller", image)]}),
        _workload("DaemonSet", "speaker", {"containers": [_container("speaker", image)], "hostNetwork": True}),
        _object("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", WEBHOOKS, namespaced=False),
        _object(f"{GROUP}/{VERSION}", ADVERTISEMENT[1], "default-advertise-all-pools"),
    ]


def _version(minor: tuple[int, int]) -> str:
    if minor <= (1, 32):
        return "v0.13.3"
    return "v0.14.9" if minor == (1, 33) else "v0.15.2"


def _pool(ranges: list[str]) -> Object:
    return _object(f"{GROUP}/{VERSION}", POOL[1], "default-addresspool") | {"spec": {"addresses": ranges}}


def _object(version: str, kind: str, name: str, *, namespaced: bool = True) -> Object:
    metadata = {"name": name} | ({"namespace": NAMESPACE} if namespaced else {})
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def _container(name: str, version: str) -> Object:
    return {"name": name, "image": f"quay.io/metallb/{name}:{version}"}


def _workload(kind: str, name: str, pod: Object) -> Object:
    labels = {"app": "metallb", "component": name}
    template = {"metadata": {"labels": labels}, "spec": pod | {"serviceAccountName": name}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    return _object("apps/v1", kind, name) | {"spec": spec}
