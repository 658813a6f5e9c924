"""CustomResourceDefinitions, without their schemas: the lab's API takes any content.

Unproven: what the schemas of these definitions would refuse.
"""

from __future__ import annotations

from thinkube_nornir.lab.kube import Object


def definition(group: str, kind: str, plural: str, *versions: str, namespaced: bool = True) -> Object:
    """
    Args:
        versions: that are served; the first one is stored.
    """
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    served = [
        {"name": v, "served": True, "storage": v == versions[0], "schema": schema, "subresources": {"status": {}}}
        for v in versions
    ]
    names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": names,
            "scope": "Namespaced" if namespaced else "Cluster",
            "versions": served,
        },
    }
