"""What others publish through our ingress controllers: Ingress objects, routes to their Gateways, Traefik's kinds."""

from __future__ import annotations

from collections.abc import Iterator

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.ingress.addresses import place
from tasks.phase6_extended_services.ingress.controllers import CHART, GATEWAY, PRIMARY, RELEASES, SECONDARY
from tasks.shared.address_pool import knative
from tasks.shared.cluster.control_plane import Object, kube, name_of
from tasks.shared.cluster.kubernetes_distribution import DISTRIBUTION
from tasks.shared.settings.services import all_ingress_namespaces
from thinkube_nornir.cluster import LABELS, Cluster
from thinkube_nornir.errors import Refused
from thinkube_nornir.helm import installed, recorded
from thinkube_nornir.outcome import unchanged
from thinkube_nornir.resources import HelmRelease

_GATEWAY_API = "gateway.networking.k8s.io/v1"
_KINDS = (
    ("networking.k8s.io/v1", "Ingress"),
    *((_GATEWAY_API, kind) for kind in ("Gateway", "HTTPRoute", "GRPCRoute", "TLSRoute")),
    *(("traefik.io/v1alpha1", kind) for kind in ("IngressRoute", "IngressRouteTCP", "IngressRouteUDP")),
)
_CLASS, _DEFAULT = "kubernetes.io/ingress.class", "ingressclass.kubernetes.io/is-default-class"
_RELEASE, _NAMESPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"


def users(api: Cluster, release: str, namespace: str) -> list[str]:
    """What would be published no more without this release, one name each."""
    classes = [c for c in api.list("networking.k8s.io/v1", "IngressClass") if _release_of(c) == (release, namespace)]
    served = {f"class {name_of(c)}" for c in classes} | {f"Gateway {namespace}/{GATEWAY}"}
    if any(_notes(c).get(_DEFAULT) == "true" for c in classes):
        served.add("class ")  # what names none
    listed = (obj for kind in _KINDS if api.kind(*kind) is not None for obj in api.list(*kind))
    found = [o for o in listed if _release_of(o)[0] not in RELEASES and not _is_probe(o) and served & {*_ways_to(o)}]
    return [f"{obj['kind']} {place(obj)}" for obj in found]


def _ways_to(obj: Object) -> Iterator[str]:
    """By which class or Gateway it is published; a parent without namespace is in the route's own."""
    spec = obj.get("spec") or {}
    if "Route" in obj["kind"] and not obj["kind"].startswith("Ingress"):
        for parent in spec.get("parentRefs") or ():
            yield f"Gateway {parent.get('namespace') or obj['metadata']['namespace']}/{parent.get('name')}"
    else:
        name = spec.get("ingressClassName") or spec.get("gatewayClassName") or _notes(obj).get(_CLASS, "")
        yield f"class {name}"


def _notes(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}


def _release_of(obj: Object) -> tuple[str, str]:
    return _notes(obj).get(_RELEASE, ""), _notes(obj).get(_NAMESPACE, "")


def _is_probe(obj: Object) -> bool:
    """Which goes by itself."""
    return LABELS.items() <= (obj["metadata"].get("labels") or {}).items()


def refuse_while_controllers_are_used(task: Task) -> Result:
    """
    Raises:
        Refused: what others published would be gone.
    """
    return _refuse_while_used(task, (PRIMARY, SECONDARY))


def release_names_are_free(task: Task) -> Result:
    """Before anything of them changes; the second controller goes where Knative was turned off.

    Raises:
        Refused: a release of our name is another chart's, or others publish through the controller that is to go.
    """
    for name, namespace in zip(RELEASES, all_ingress_namespaces(task), strict=True):
        there = installed(task, DISTRIBUTION.HELM, name, namespace)
        if there is not None and not there.chart.startswith(f"{CHART}-"):
            raise Refused(
                f"release {namespace}/{name} has the name of our ingress controller",
                why=f"it is {there.chart}",
                fix=f"uninstall it (`helm uninstall {name} -n {namespace}`), then run again",
            )
    return _refuse_while_used(task, () if knative(task) else (SECONDARY,))


def _refuse_while_used(task: Task, going: tuple[HelmRelease, ...]) -> Result:
    """Of those that were not there before us: others get back what they were."""
    places = dict(zip(RELEASES, all_ingress_namespaces(task), strict=True))
    records = {r.release: recorded(task, r.release, places[r.release]) for r in going}
    installed_by_us = [name for name, record in records.items() if record is not None and record["revision"] is None]
    used = [message for name in installed_by_us for message in users(kube(task), name, places[name])]
    if used:
        raise Refused(
            "our ingress controllers are in use",
            why="\n".join(used),
            fix="remove these objects, or give them another class or Gateway, then go on as before",
        )
    return unchanged(task, "nobody publishes through a controller that goes")
