"""The ingress controllers as plain values: what each is called, and what it is given.

Both are Traefik. What keeps two in one cluster apart: each has an IngressClass, takes GatewayClasses with its own
label only (all have the same controller name), and its default TLSStore from its own namespace.

Source: traefik/traefik@v3.7.9 pkg/provider/kubernetes/gateway/kubernetes.go
Source: traefik/traefik@v3.7.9 pkg/provider/kubernetes/ingress/client.go
Source: traefik/traefik@00a3a7c5b9bb6f642bf9ce61b9536123e2edfe1a pkg/provider/kubernetes/crd/kubernetes.go
Source: traefik/traefik-helm-chart@v41.3.0 traefik/templates/_helpers.tpl
"""

from __future__ import annotations

from dataclasses import dataclass

from nornir.core.task import Task

from tasks.phase6_extended_services.ingress.settings import ingress_classes, nginx_classes
from tasks.shared.address_pool import ingress_addresses
from tasks.shared.settings.services import ingress_namespaces
from thinkube_nornir.context import setting
from thinkube_nornir.helm import Release
from thinkube_nornir.templates import render_yaml

CHART = "traefik"
REPOSITORY = "https://traefik.github.io/charts"
VALUE = "traefik.io/ingress-controller"
"""What an IngressClass of Traefik names as its controller, whichever Traefik it is."""
GATEWAY_VALUE = "traefik.io/gateway-controller"
GATEWAY = "traefik-gateway"
RELEASES = ("primary-ingress", "secondary-ingress")
INSTANCE = "app.kubernetes.io/instance"
LISTENERS = {"web": (8000, "HTTP"), "websecure": (8443, "HTTPS")}
"""Of a Gateway, by entry point: a listener's port is the pod's, to which the service leads from 80 and 443."""
_INSTALL = 600.0  # seconds; images over a slow line
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
    def classes(self) -> dict[str, str]:
        """Class to the controller it must name."""
        nginx = {self.nginx_class: self.nginx_value} if self.nginx_class else {}
        return {self.class_name: VALUE, **nginx}

    @property
    def secret(self) -> str:
        """The certificate for what has none of its own, copied there with each renewal."""
        return f"{self.namespace}-tls-secret"

    def __str__(self) -> str:
        return f"the {self.role} ingress"


def controllers(task: Task) -> tuple[Controller, ...]:
    """The primary one, and that of Knative's names when Knative is on."""
    domain = setting(task, "domain_name")
    places = zip(ingress_addresses(task), ingress_namespaces(task), strict=True)
    classes = zip(ingress_classes(task), nginx_classes(task), strict=True)
    roles = (("primary", domain), ("secondary", f"kn.{domain}"))
    return tuple(
        Controller(role, namespace, own, nginx, address, names, default=role == "primary")
        for (role, names), (address, namespace), (own, nginx) in zip(roles, places, classes, strict=False)
    )


def release_of(task: Task, controller: Controller) -> Release:
    return Release(
        controller.release,
        controller.namespace,
        CHART,
        setting(task, "traefik_chart_version"),
        setting(task, "helm_chart_source", REPOSITORY),
        render_yaml(task, "ingress/values.yaml.j2", controller=controller, listeners=LISTENERS)[0],
        _INSTALL,
    )
