"""Which resources are served: the built-in table, those of CRDs, and the discovery documents.

Unproven: that these are the short names, verbs and subresources of each kind in every release.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from thinkube_nornir.lab.kube.objects import Object, dig
from thinkube_nornir.lab.kube.status import ApiError

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_SUBRESOURCE_VERBS = {
    "status": ("get", "patch", "update"),
    "scale": ("get", "patch", "update"),
    "log": ("get",),
    "eviction": ("create",),
    "binding": ("create",),
    "finalize": ("update",),
}
_SUBRESOURCE_KINDS = {"scale": "Scale", "eviction": "Eviction", "binding": "Binding"}
_SUBRESOURCE_GROUPS = {"scale": ("autoscaling", "v1"), "eviction": ("policy", "v1")}

# group/version: kind plural[/subresource...] short names; a leading * for kinds that live in no namespace
_BUILT_IN = """
v1: ConfigMap configmaps cm; Endpoints endpoints ep; Event events ev; LimitRange limitranges limits;
    *Namespace namespaces/status/finalize ns; *Node nodes/status no; *PersistentVolume persistentvolumes/status pv;
    PersistentVolumeClaim persistentvolumeclaims/status pvc; Pod pods/status/log/eviction/binding po;
    PodTemplate podtemplates; ReplicationController replicationcontrollers/status/scale rc;
    ResourceQuota resourcequotas/status quota; Secret secrets; ServiceAccount serviceaccounts sa;
    Service services/status svc
apps/v1: ControllerRevision controllerrevisions; DaemonSet daemonsets/status ds;
    Deployment deployments/status/scale deploy; ReplicaSet replicasets/status/scale rs;
    StatefulSet statefulsets/status/scale sts
batch/v1: CronJob cronjobs/status cj; Job jobs/status
autoscaling/v2: HorizontalPodAutoscaler horizontalpodautoscalers/status hpa
policy/v1: PodDisruptionBudget poddisruptionbudgets/status pdb
networking.k8s.io/v1: Ingress ingresses/status ing; *IngressClass ingressclasses; NetworkPolicy networkpolicies netpol
storage.k8s.io/v1: *StorageClass storageclasses sc; *CSIDriver csidrivers; *CSINode csinodes;
    *VolumeAttachment volumeattachments/status; CSIStorageCapacity csistoragecapacities
rbac.authorization.k8s.io/v1: Role roles; RoleBinding rolebindings; *ClusterRole clusterroles;
    *ClusterRoleBinding clusterrolebindings
coordination.k8s.io/v1: Lease leases
discovery.k8s.io/v1: EndpointSlice endpointslices
scheduling.k8s.io/v1: *PriorityClass priorityclasses pc
node.k8s.io/v1: *RuntimeClass runtimeclasses
certificates.k8s.io/v1: *CertificateSigningRequest certificatesigningrequests/status csr
apiregistration.k8s.io/v1: *APIService apiservices/status
apiextensions.k8s.io/v1: *CustomResourceDefinition customresourcedefinitions/status crd,crds
admissionregistration.k8s.io/v1: *MutatingWebhookConfiguration mutatingwebhookconfigurations;
    *ValidatingWebhookConfiguration validatingwebhookconfigurations;
    *ValidatingAdmissionPolicy validatingadmissionpolicies/status;
    *ValidatingAdmissionPolicyBinding validatingadmissionpolicybindings
"""


@dataclass(frozen=True)
class Resource:
    """A kind as one group and version serves it. Versions of one kind share their objects."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    subresources: tuple[str, ...] = ()
    short_names: tuple[str, ...] = ()
    custom: bool = False
    storage_version: str = ""
    """The version written into stored objects; empty for `version`."""
    declared: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Of a custom kind: its CRD's schema of this version."""
    versions: tuple[str, ...] = ()
    """Of a custom kind: all that are served."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def id(self) -> str:
        """What its objects are stored under: `deployments.apps`, `pods`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def has_status(self) -> bool:
        return "status" in self.subresources


def _parse(table: str) -> Iterator[Resource]:
    for line in table.replace("\n    ", " ").strip().splitlines():
        api_version, kinds = line.split(": ", 1)
        group, _, version = api_version.rpartition("/")
        for entry in kinds.split(";"):
            kind, path, *short = entry.split()
            plural, *subresources = path.split("/")
            names = tuple(short[0].split(",")) if short else ()
            yield Resource(group, version, kind.lstrip("*"), plural, kind[0] != "*", tuple(subresources), names)


def custom_resources(definition: Object) -> Iterator[Resource]:
    """The resources a CustomResourceDefinition stands for, one for each served version."""
    spec = definition["spec"]
    storage = next(version["name"] for version in spec["versions"] if version.get("storage"))
    for version in spec["versions"]:
        if version.get("served"):
            names = spec["names"]
            yield Resource(
                group=spec["group"],
                version=version["name"],
                kind=names["kind"],
                plural=names["plural"],
                namespaced=spec["scope"] == "Namespaced",
                subresources=tuple(sub for sub in ("status", "scale") if dig(version, "subresources", sub) is not None),
                short_names=tuple(names.get("shortNames") or ()),
                custom=True,
                storage_version=storage,
                declared=dig(version, "schema", "openAPIV3Schema", default={}),
                versions=tuple(one["name"] for one in spec["versions"] if one.get("served")),
            )


class Registry:
    """The resources served now."""

    def __init__(self) -> None:
        self._resources = list(_parse(_BUILT_IN))

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._resources)

    def by_path(self, group: str, version: str, plural: str) -> Resource:
        for resource in self._resources:
            if (resource.group, resource.version, resource.plural) == (group, version, plural):
                return resource
        raise ApiError(404, "the server could not find the requested resource")

    def by_kind(self, api_version: str, kind: str) -> Resource:
        for resource in self._resources:
            if (resource.api_version, resource.kind) == (api_version, kind):
                return resource
        raise ApiError(404, f'no matches for kind "{kind}" in version "{api_version}"')

    def serve(self, definition: Object) -> None:
        """Take over what a CRD now says."""
        self.forget(definition)
        self._resources.extend(custom_resources(definition))

    def forget(self, definition: Object) -> None:
        spec = definition["spec"]
        gone = (spec["group"], spec["names"]["plural"])
        self._resources = [r for r in self._resources if not (r.custom and (r.group, r.plural) == gone)]

    def groups(self) -> Object:
        """`/apis`."""
        names = dict.fromkeys(resource.group for resource in self._resources if resource.group)
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [self._group(name) for name in names]}

    def group(self, name: str) -> Object:
        """`/apis/<group>`."""
        if not name or name not in {resource.group for resource in self._resources}:
            raise ApiError(404, "the server could not find the requested resource")
        return {"kind": "APIGroup", "apiVersion": "v1", **self._group(name)}

    def _group(self, name: str) -> Object:
        versions = dict.fromkeys(resource.version for resource in self._resources if resource.group == name)
        listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
        return {"name": name, "versions": listed, "preferredVersion": listed[0]}

    def resource_list(self, group: str, version: str) -> Object:
        """`/api/v1`, `/apis/<group>/<version>`."""
        found = [r for r in self._resources if (r.group, r.version) == (group, version)]
        if not found:
            raise ApiError(404, "the server could not find the requested resource")
        entries = [entry for resource in found for entry in _entries(resource)]
        api_version = found[0].api_version
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": entries}


def _entries(resource: Resource) -> Iterable[Object]:
    entry: Object = {
        "name": resource.plural,
        "singularName": resource.kind.lower(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(VERBS),
    }
    yield entry | ({"shortNames": list(resource.short_names)} if resource.short_names else {})
    for name in resource.subresources:
        sub: Object = {
            "name": f"{resource.plural}/{name}",
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": _SUBRESOURCE_KINDS.get(name, resource.kind),
            "verbs": list(_SUBRESOURCE_VERBS[name]),
        }
        if name in _SUBRESOURCE_GROUPS:
            sub["group"], sub["version"] = _SUBRESOURCE_GROUPS[name]
        yield sub
