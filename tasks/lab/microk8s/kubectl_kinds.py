"""The kinds that the lab's kubectl knows, by every name they are called by.

Source: kubernetes/cli-runtime@v0.35.0 pkg/resource/builder.go
"""

from __future__ import annotations

from tasks.lab.tool import ToolError

KINDS = {
    "node": ("v1", "Node", False),
    "pod": ("v1", "Pod", True),
    "service": ("v1", "Service", True),
    "configmap": ("v1", "ConfigMap", True),
    "endpoints": ("v1", "Endpoints", True),
    "namespace": ("v1", "Namespace", False),
    "persistentvolumeclaim": ("v1", "PersistentVolumeClaim", True),
    "deployment": ("apps/v1", "Deployment", True),
    "daemonset": ("apps/v1", "DaemonSet", True),
    "storageclass": ("storage.k8s.io/v1", "StorageClass", False),
    "customresourcedefinition": ("apiextensions.k8s.io/v1", "CustomResourceDefinition", False),
}
SHORT = {
    "no": "node",
    "po": "pod",
    "svc": "service",
    "cm": "configmap",
    "ep": "endpoints",
    "ns": "namespace",
    "pvc": "persistentvolumeclaim",
    "deploy": "deployment",
    "ds": "daemonset",
    "sc": "storageclass",
    "crd": "customresourcedefinition",
}


def kind_of(word: str) -> tuple[str, str, bool]:
    """Version, kind, and whether it is in namespaces."""
    bare = word.lower().partition(".")[0]
    for name in (bare, SHORT.get(bare, ""), bare.removesuffix("s"), bare.removesuffix("es")):
        if name in KINDS:
            return KINDS[name]
    raise ToolError(1, f'error: the server doesn\'t have a resource type "{word}"\n')


def qualified(kind: str, version: str) -> str:
    """The kind as kubectl prints it: `deployment.apps`."""
    group = version.rpartition("/")[0]
    return kind.lower() + (f".{group}" if group else "")
