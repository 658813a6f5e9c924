"""What the API server's admission adds to new objects because of others: default classes, selectors, finalizers."""

from __future__ import annotations

from thinkube_nornir.lab.kube import pod_security, status
from thinkube_nornir.lab.kube.objects import Object, annotations_of, dig, name_of, uid_of
from thinkube_nornir.lab.kube.store import Store

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
DEFAULT_INGRESS_CLASS = "ingressclass.kubernetes.io/is-default-class"
CLAIM_PROTECTION = "kubernetes.io/pvc-protection"
VOLUME_PROTECTION = "kubernetes.io/pv-protection"
CRD_CLEANUP = "customresourcecleanup.apiextensions.k8s.io"


def admit(store: Store, obj: Object, live: Object | None) -> None:
    """Complete a new object; one that is stored already is left as it is."""
    if live is not None:
        return
    match obj["kind"]:
        case "PersistentVolumeClaim":
            _default_class(store, obj)
            _protect(obj, CLAIM_PROTECTION)
        case "PersistentVolume":
            _protect(obj, VOLUME_PROTECTION)
        case "CustomResourceDefinition":
            _protect(obj, CRD_CLEANUP)
        case "Ingress":
            _default_ingress_class(store, obj)
        case "Job":
            _select_own_pods(obj)
        case "Pod":
            _check_runtime_class(store, obj)
            _set_priority(store, obj)
            pod_security.admit(store, obj)


def _protect(obj: Object, finalizer: str) -> None:
    finalizers = obj["metadata"].setdefault("finalizers", [])
    if finalizer not in finalizers:
        finalizers.append(finalizer)


def _default_class(store: Store, claim: Object) -> None:
    if claim["spec"].get("storageClassName") is None:
        classes = store.list("storageclasses.storage.k8s.io")
        default = [name_of(c) for c in classes if annotations_of(c).get(DEFAULT_CLASS) == "true"]
        if default:
            claim["spec"]["storageClassName"] = default[0]


def _default_ingress_class(store: Store, ingress: Object) -> None:
    """Nothing for one that names its class, be it by the old annotation; of several defaults there is none.

    Source: kubernetes/kubernetes@04791b4906 plugin/pkg/admission/network/defaultingressclass/admission.go
    """
    if ingress["spec"].get("ingressClassName") or "kubernetes.io/ingress.class" in annotations_of(ingress):
        return
    classes = store.list("ingressclasses.networking.k8s.io")
    default = [c for c in classes if annotations_of(c).get(DEFAULT_INGRESS_CLASS) == "true"]
    if len(default) > 1:
        reported = f"{len(default)} default IngressClasses were found, only 1 allowed"
        why = f"Internal error occurred: {reported}"
        raise status.forbidden("ingresses", "networking.k8s.io", name_of(ingress), why)
    if default:
        ingress["spec"]["ingressClassName"] = name_of(default[0])


def _select_own_pods(job: Object) -> None:
    labels = {"batch.kubernetes.io/controller-uid": uid_of(job), "batch.kubernetes.io/job-name": name_of(job)}
    labels |= {"controller-uid": uid_of(job), "job-name": name_of(job)}
    template = job["spec"]["template"]
    template["metadata"]["labels"] = (template["metadata"].get("labels") or {}) | labels
    job["spec"].setdefault("selector", {"matchLabels": {"batch.kubernetes.io/controller-uid": uid_of(job)}})


def _set_priority(store: Store, pod: Object) -> None:
    """By its class, which must be there.

    Source: kubernetes/kubernetes@v1.36.2 plugin/pkg/admission/priority/admission.go
    """
    wanted = dig(pod, "spec", "priorityClassName")
    if not wanted:
        return
    found = store.get("priorityclasses.scheduling.k8s.io", ("", wanted))
    if found is None:
        raise status.forbidden("pods", "", name_of(pod), f"no PriorityClass with name {wanted} was found")
    pod["spec"]["priority"] = found["value"]


def _check_runtime_class(store: Store, pod: Object) -> None:
    """A pod that names a RuntimeClass must find it; real admission refuses it otherwise."""
    wanted = dig(pod, "spec", "runtimeClassName")
    if wanted and store.get("runtimeclasses.node.k8s.io", ("", wanted)) is None:
        raise status.forbidden("pods", "", name_of(pod), f'pod rejected: RuntimeClass "{wanted}" not found')
