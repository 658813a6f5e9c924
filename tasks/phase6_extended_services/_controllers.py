"""The two ingress controllers as plain values: what each is called, and what it is given."""

from __future__ import annotations

from dataclasses import dataclass

from nornir.core.task import Task

from tasks.address_pool import ingress_addresses
from tasks.ingress_settings import ingress_namespaces
from thinkube_nornir.context import setting
from thinkube_nornir.helm import Release
from thinkube_nornir.templates import render_yaml

CHART = "ingress-nginx"
REPOSITORY = "https://kubernetes.github.io/ingress-nginx"
TCP_SERVICES = "nginx-ingress-tcp-microk8s-conf"
"""Ports that are passed on as they are; later components fill it."""
_INSTALL = 600.0  # seconds; images over a slow line


@dataclass(frozen=True)
class Controller:
    """One ingress controller.

    Args:
        role: `primary` or `secondary`.
        domain: names below it lead here, and its certificate is for them.
        default: it takes Ingress objects that name no class.
        tcp_services: name of its ConfigMap of TCP services; empty for none.
    """

    role: str
    namespace: str
    class_name: str
    address: str
    domain: str
    default: bool
    tcp_services: str = ""

    @property
    def release(self) -> str:
        return f"{self.role}-ingress"

    @property
    def value(self) -> str:
        """What its IngressClass names as its controller."""
        return f"k8s.io/{self.release}-nginx"

    @property
    def fullname(self) -> str:
        """What the chart calls its objects."""
        return f"{self.release}-{CHART}"

    @property
    def workload(self) -> str:
        """Deployment and Service."""
        return f"{self.fullname}-controller"

    @property
    def election_id(self) -> str:
        return f"{self.fullname}-leader"

    @property
    def secret(self) -> str:
        """The certificate for what has none of its own, copied there with each renewal."""
        return f"{self.namespace}-tls-secret"

    def __str__(self) -> str:
        return f"the {self.role} ingress"


def controllers(task: Task) -> tuple[Controller, ...]:
    """The primary one, and that of Knative's names when Knative is on."""
    primary, *seconds = ingress_addresses(task)
    domain, namespaces = setting(task, "domain_name"), ingress_namespaces(task)
    return (
        Controller(
            "primary",
            namespaces[0],
            setting(task, "primary_ingress_class"),
            primary,
            domain,
            default=True,
            tcp_services=TCP_SERVICES,
        ),
        *(
            Controller(
                "secondary",
                namespaces[1],
                setting(task, "secondary_ingress_class"),
                second,
                f"kn.{domain}",
                default=False,
            )
            for second in seconds
        ),
    )


def release_of(task: Task, controller: Controller) -> Release:
    return Release(
        controller.release,
        controller.namespace,
        CHART,
        setting(task, "ingress_nginx_chart_version"),
        setting(task, "helm_chart_source", REPOSITORY),
        render_yaml(task, "ingress/values.yaml.j2", controller=controller)[0],
        _INSTALL,
    )
