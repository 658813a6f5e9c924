"""The ingress controllers: what each is called, and its release.

Both are Traefik. What keeps two in one cluster apart: each has an IngressClass, takes GatewayClasses with its own
label only (all have the same controller name), and its default TLSStore from its own namespace.

Source: traefik/traefik@v3.7.9 pkg/provider/kubernetes/gateway/kubernetes.go
Source: traefik/traefik@v3.7.9 pkg/provider/kubernetes/ingress/client.go
Source: traefik/traefik@00a3a7c5b9bb6f642bf9ce61b9536123e2edfe1a pkg/provider/kubernetes/crd/kubernetes.go
Source: traefik/traefik-helm-chart@v41.3.0 traefik/templates/_helpers.tpl
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nornir.core.task import Task

from tasks.phase6_extended_services.ingress.settings import ingress_classes, nginx_classes
from tasks.shared.address_pool import ingress_addresses, knative
from tasks.shared.cluster.access import CLUSTER
from tasks.shared.cluster.control_plane import Object
from tasks.shared.settings.services import all_ingress_namespaces
from thinkube_nornir.cluster import condition_true
from thinkube_nornir.context import setting
from thinkube_nornir.resources import HelmRelease, from_setting

CHART = "traefik"
REPOSITORY = "https://traefik.github.io/charts"
GATEWAY = "traefik-gateway"
GATEWAY_KIND = ("gateway.networking.k8s.io/v1", "Gateway")
RELEASES = ("primary-ingress", "secondary-ingress")
_LONGEST_LABEL = 63


@dataclass(frozen=True)
class Controller:
    """One ingress controller.

    Args:
        role: `primary` or `secondary`.
        class_name: of its IngressClass and of its GatewayClass.
        nginx_class: of Ingress objects written for ingress-nginx, whose annotations it understands; empty for none.
        domain: names below it lead here, and its certificate is for them.
        default: it takes Ingress objects that name no class.
    """

    role: str
    namespace: str
    class_name: str
    nginx_class: str
    address: str
    domain: str
    default: bool

    @property
    def release(self) -> str:
        return f"{self.role}-ingress"

    @property
    def workload(self) -> str:
        """Deployment and Service."""
        return f"{self.release}-{CHART}"

    @property
    def instance(self) -> str:
        """The label of all that the chart makes."""
        return f"{self.release}-{self.namespace}"[:_LONGEST_LABEL].rstrip("-")

    @property
    def nginx_value(self) -> str:
        """What the IngressClass for ingress-nginx's objects names as its controller."""
        return f"k8s.io/{self.release}-nginx"

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.class_name, self.nginx_class)))

    @property
    def secret(self) -> str:
        """The certificate for what has none of its own, copied there with each renewal."""
        return f"{self.namespace}-tls-secret"

    def __str__(self) -> str:
        return f"the {self.role} ingress"


def controllers(task: Task) -> tuple[Controller, ...]:
    """The primary one, and that of Knative's names when Knative is on."""
    domain = setting(task, "domain_name")
    names = (("primary", domain), ("secondary", f"kn.{domain}"))
    rows = zip(names, all_ingress_namespaces(task), ingress_classes(task), nginx_classes(task), strict=True)
    return tuple(
        Controller(role, namespace, own, nginx, address, domain, default=role == "primary")
        for ((role, domain), namespace, own, nginx), address in zip(rows, ingress_addresses(task), strict=False)
    )


def status_faults(controller: Controller, gateway: Object | None) -> list[str]:
    """Source: traefik/traefik@v3.7.9 pkg/provider/kubernetes/gateway/kubernetes.go"""
    if gateway is None:
        return ["it is not there"]
    status, generation = gateway.get("status") or {}, gateway["metadata"].get("generation", 0)
    conditions = list(status.get("conditions") or ())
    if any(c.get("observedGeneration", generation) < generation for c in conditions):
        return ["its status is of an earlier state"]
    conditions += [c for listener in status.get("listeners") or () for c in listener.get("conditions") or ()]
    wrong = [f"{c['type']}: {c.get('reason')}: {c.get('message')}" for c in conditions if c.get("status") != "True"]
    wrong += [f"it is not {name}" for name in ("Accepted", "Programmed") if not condition_true(gateway, name)]
    addresses = [a.get("value") for a in status.get("addresses") or ()]
    return wrong if addresses == [controller.address] else [*wrong, f"its addresses are {addresses or 'none'}"]


def _release(number: int, **options: Any) -> HelmRelease:
    return HelmRelease(
        RELEASES[number],
        lambda task: all_ingress_namespaces(task)[number],
        CHART,
        from_setting("traefik_chart_version"),
        from_setting("helm_chart_source", REPOSITORY),
        CLUSTER,
        template="ingress/values.yaml.j2",
        given=lambda task: {"controller": controllers(task)[number]},
        **options,
    )


PRIMARY = _release(0)
SECONDARY = _release(1, unless=lambda task: "" if knative(task) else "Knative is off: one controller serves all names")
