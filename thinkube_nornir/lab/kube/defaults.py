"""What the API server fills in where an object is silent.

Source: kubernetes/kubernetes@023f88a32c95 pkg/apis/core/v1/defaults.go
Source: kubernetes/kubernetes@04791b490660 pkg/apis/apps/v1/defaults.go
Source: kubernetes/kubernetes@045bbb192caa pkg/apis/batch/v1/defaults.go
Source: kubernetes/apiextensions-apiserver@v0.35.0 pkg/apis/apiextensions/v1/defaults.go
Unproven: the defaults of fields that neither an addon nor a chart of this project leaves out, and of those that a newer
    release added; a volume is Available at once, where a controller says so.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from thinkube_nornir.lab.kube import custom
from thinkube_nornir.lab.kube.objects import Object, dig, name_of
from thinkube_nornir.lab.kube.resources import Resource

_TOLERATED = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def complete(resource: Resource, obj: Object) -> None:
    """Set the defaults of an object, whoever defines its kind."""
    if resource.custom:
        custom.fill_in(resource.declared, obj)
    else:
        fill_in(obj)


def fill_in(obj: Object) -> None:
    """Set the defaults of a built-in kind in `obj`; a kind without any is left alone."""
    if fill := _BY_KIND.get(obj["kind"]):
        fill(obj)


def _set(target: Object, **values: Any) -> None:
    for name, value in values.items():
        if target.get(name) is None:
            target[name] = value


def _pod_spec(spec: Object) -> None:
    _set(
        spec,
        restartPolicy="Always",
        dnsPolicy="ClusterFirst",
        terminationGracePeriodSeconds=30,
        schedulerName="default-scheduler",
        securityContext={},
    )
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        _container(container)
    for volume in spec.get("volumes") or []:
        _volume_source(volume)
    if spec.get("serviceAccountName"):
        _set(spec, serviceAccount=spec["serviceAccountName"])


def _volume_source(volume: Object) -> None:
    if not set(volume) - {"name"}:
        volume["emptyDir"] = {}
    for source in ("configMap", "secret", "projected", "downwardAPI"):
        if isinstance(volume.get(source), dict):
            _set(volume[source], defaultMode=420)
    if isinstance(volume.get("hostPath"), dict):
        _set(volume["hostPath"], type="")
    for part in (volume.get("projected") or {}).get("sources") or []:
        if isinstance(part.get("serviceAccountToken"), dict):
            _set(part["serviceAccountToken"], expirationSeconds=3600)


def _container(container: Object) -> None:
    image, _, digest = str(container.get("image") or "").partition("@")
    tag = image.rpartition("/")[2].partition(":")[2]
    moving = tag == "latest" or not (tag or digest)
    _set(
        container,
        imagePullPolicy="Always" if moving else "IfNotPresent",
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        resources={},
    )
    for port in container.get("ports") or []:
        _set(port, protocol="TCP")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if isinstance(container.get(name), dict):
            _probe(container[name])
    for variable in container.get("env") or []:
        field = (variable.get("valueFrom") or {}).get("fieldRef")
        if isinstance(field, dict):
            _set(field, apiVersion="v1")


def _probe(probe: Object) -> None:
    _set(probe, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
    if isinstance(probe.get("httpGet"), dict):
        _set(probe["httpGet"], path="/", scheme="HTTP")


def _pod(pod: Object) -> None:
    spec = pod.setdefault("spec", {})
    _set(
        spec, serviceAccountName="default", enableServiceLinks=True, priority=0, preemptionPolicy="PreemptLowerPriority"
    )
    _pod_spec(spec)
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        _bound(container, host_network=bool(spec.get("hostNetwork")))
    tolerations = spec.setdefault("tolerations", [])
    for taint in _TOLERATED:
        if not any(t.get("key") in (None, taint) and t.get("effect") in (None, "NoExecute") for t in tolerations):
            tolerations.append({"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    _set(pod.setdefault("status", {}), phase="Pending", qosClass="BestEffort")


def _bound(container: Object, *, host_network: bool) -> None:
    """Of a pod, and not of a template: requests are what the limits are, and the host's ports are the container's."""
    resources = container["resources"]
    if limits := resources.get("limits"):
        resources["requests"] = {**limits, **(resources.get("requests") or {})}
    for port in (container.get("ports") or []) if host_network else ():
        _set(port, hostPort=port.get("containerPort"))


def _workload(**defaults: Any) -> Callable[[Object], None]:
    def fill(obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        _set(spec, **defaults)
        _set(spec.setdefault("template", {}), metadata={})
        _pod_spec(spec["template"].setdefault("spec", {}))

    return fill


def _deployment(obj: Object) -> None:
    _workload(replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)(obj)
    _set(obj["spec"], strategy={})
    strategy = obj["spec"]["strategy"]
    _set(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _set(strategy, rollingUpdate={})
        _set(strategy["rollingUpdate"], maxSurge="25%", maxUnavailable="25%")


def _daemon_set(obj: Object) -> None:
    _workload(revisionHistoryLimit=10)(obj)
    strategy = obj["spec"].setdefault("updateStrategy", {})
    _set(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _set(strategy, rollingUpdate={})
        _set(strategy["rollingUpdate"], maxSurge=0, maxUnavailable=1)


def _stateful_set(obj: Object) -> None:
    _workload(replicas=1, revisionHistoryLimit=10, podManagementPolicy="OrderedReady")(obj)
    _set(obj["spec"], updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})
    _set(obj["spec"], persistentVolumeClaimRetentionPolicy={})
    _set(obj["spec"]["persistentVolumeClaimRetentionPolicy"], whenDeleted="Retain", whenScaled="Retain")


def _job(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    if spec.get("parallelism") is None:
        _set(spec, completions=1)
    _workload(parallelism=1, backoffLimit=6, completionMode="NonIndexed", suspend=False)(obj)
    if labels := dig(spec, "template", "metadata", "labels"):
        _set(obj["metadata"], labels=dict(labels))


def _cron_job(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _set(spec, suspend=False, concurrencyPolicy="Allow", successfulJobsHistoryLimit=3, failedJobsHistoryLimit=1)
    _set(spec.setdefault("jobTemplate", {}), metadata={})
    template = spec["jobTemplate"].setdefault("spec", {}).setdefault("template", {})
    _set(template, metadata={})
    _pod_spec(template.setdefault("spec", {}))


def _service(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _set(spec, type="ClusterIP", sessionAffinity="None")
    if spec["type"] != "ExternalName":
        _set(spec, internalTrafficPolicy="Cluster")
    if spec["type"] in ("LoadBalancer", "NodePort"):
        _set(spec, externalTrafficPolicy="Cluster")
    if spec["type"] == "LoadBalancer":
        _set(spec, allocateLoadBalancerNodePorts=True)
    for port in spec.get("ports") or []:
        _set(port, protocol="TCP")
        port["targetPort"] = port.get("targetPort") or port.get("port")
    _set(obj, status={"loadBalancer": {}})


def _secret(obj: Object) -> None:
    _set(obj, type="Opaque")
    for name, text in (obj.pop("stringData", None) or {}).items():
        obj.setdefault("data", {})[name] = base64.b64encode(text.encode()).decode()


def _namespace(obj: Object) -> None:
    _set(obj, spec={}, status={})
    _set(obj["spec"], finalizers=["kubernetes"])
    _set(obj["status"], phase="Active")
    _set(obj["metadata"], labels={})
    obj["metadata"]["labels"]["kubernetes.io/metadata.name"] = name_of(obj)


def _claim(obj: Object) -> None:
    _set(obj.setdefault("spec", {}), volumeMode="Filesystem")
    _set(obj.setdefault("status", {}), phase="Pending")


def _volume(obj: Object) -> None:
    _set(obj.setdefault("spec", {}), volumeMode="Filesystem", persistentVolumeReclaimPolicy="Retain")
    _set(obj.setdefault("status", {}), phase="Available")


def _storage_class(obj: Object) -> None:
    _set(obj, reclaimPolicy="Delete", volumeBindingMode="Immediate")


def _definition(obj: Object) -> None:
    spec = obj.get("spec") or {}
    names = spec.get("names") or {}
    if kind := names.get("kind"):
        _set(names, singular=str(kind).lower(), listKind=f"{kind}List")
    _set(spec, conversion={"strategy": "None"})


def _node(obj: Object) -> None:
    _set(obj, spec={}, status={})


def _ingress(obj: Object) -> None:
    _set(obj, status={"loadBalancer": {}})


def _webhooks(obj: Object) -> None:
    for hook in obj.get("webhooks") or []:
        _set(hook, failurePolicy="Fail", matchPolicy="Equivalent", timeoutSeconds=10)
        _set(hook, namespaceSelector={}, objectSelector={})
        for rule in hook.get("rules") or []:
            _set(rule, scope="*")
        if service := (hook.get("clientConfig") or {}).get("service"):
            _set(service, port=443)
        if obj["kind"] == "MutatingWebhookConfiguration":
            _set(hook, reinvocationPolicy="Never")


_BY_KIND: Mapping[str, Callable[[Object], None]] = {
    "Pod": _pod,
    "Deployment": _deployment,
    "ReplicaSet": _workload(replicas=1),
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "Job": _job,
    "CronJob": _cron_job,
    "Service": _service,
    "Secret": _secret,
    "Namespace": _namespace,
    "Node": _node,
    "PersistentVolumeClaim": _claim,
    "PersistentVolume": _volume,
    "StorageClass": _storage_class,
    "CustomResourceDefinition": _definition,
    "Ingress": _ingress,
    "MutatingWebhookConfiguration": _webhooks,
    "ValidatingWebhookConfiguration": _webhooks,
}
