"""What must be true of the ingress controllers: in the cluster, and as people see them from the overlay."""

from __future__ import annotations

from collections import Counter
from typing import Any

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.ingress.certificates import faults_of, secret_of
from tasks.phase6_extended_services.ingress.controller import INSTANCE, Controller, controllers, release_of
from tasks.phase6_extended_services.ingress.metallb import addresses_of
from tasks.shared.cluster.control_plane import Object, expect, kube, name_of
from tasks.shared.cluster.kubernetes_distribution import DISTRIBUTION
from tasks.shared.hosts.node_facts import HOSTNAME
from tasks.shared.microk8s.facts import STATUS
from thinkube_nornir.cluster import is_rolled_out, seen
from thinkube_nornir.command import Fact
from thinkube_nornir.fixes import set_up
from thinkube_nornir.helm import deviations, releases, values_of
from thinkube_nornir.outcome import passed

ADDON = "ingress"
ADDON_CLASS = "public"
_DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
_PORT = 8080


def facts(task: Task) -> tuple[Fact[Any], ...]:
    helm = DISTRIBUTION.HELM
    return HOSTNAME, STATUS, releases(helm), *(values_of(helm, c.release, c.namespace) for c in controllers(task))


def addon_ingress_is_off(task: Task) -> Result:
    why = "its class public and the nodes' ports 80 and 443 collide with ours"
    expect(not DISTRIBUTION.addon_is_on(task, ADDON), f"addon {ADDON} is on", why=why, fix=set_up(task))
    return passed(task, f"addon {ADDON} is off")


def releases_are_as_wanted(task: Task) -> Result:
    told = {c.release: deviations(task, DISTRIBUTION.HELM, release_of(task, c)) for c in controllers(task)}
    why = "\n".join(f"{name}: {text}" for name, texts in told.items() for text in texts)
    expect(not why, "the releases are not as wanted", why=why, fix=set_up(task))
    return passed(task, f"{' and '.join(told)} are deployed")


def controllers_are_available(task: Task) -> Result:
    api = kube(task)
    found = {c: api.get("apps/v1", "Deployment", c.workload, c.namespace) for c in controllers(task)}
    wrong = {c: seen(obj) for c, obj in found.items() if not is_rolled_out(obj)}
    why = "\n".join(f"{c.namespace}/{c.workload}: {told}" for c, told in wrong.items())
    fix = "see why: " + "; ".join(f"kubectl -n {c.namespace} get pods,events" for c in wrong)
    expect(not wrong, f"not available: {', '.join(map(str, wrong))}", why=why, fix=fix)
    return passed(task, f"{' and '.join(c.workload for c in found)} are rolled out")


def controllers_have_their_arguments(task: Task) -> Result:
    """Each once: what comes twice was added by somebody's patch, and the next upgrade doubles it again."""
    wrong = [f"{c.workload}: {told}" for c in controllers(task) for told in argument_faults(task, c)]
    expect(not wrong, "the controllers' arguments are not as wanted", why="\n".join(wrong), fix=set_up(task))
    return passed(task, "each argument is there once, with the right class, label and namespace")


def argument_faults(task: Task, controller: Controller) -> list[str]:
    pairs = [word.partition("=") for word in _arguments(task, controller)]
    given, counts = {name: value for name, _, value in pairs}, Counter(name for name, _, _ in pairs)
    wanted = wanted_arguments(controller)
    differing = [f"{k} is {given.get(k, 'not there')}, not {v}" for k, v in wanted.items() if given.get(k) != v]
    doubled = [f"{name} is there {count} times" for name, count in counts.items() if count > 1]
    return [*differing, *doubled]


def wanted_arguments(controller: Controller) -> dict[str, str]:
    """Those that keep the controllers apart, and that show the service's address in what they serve.

    Source: traefik/traefik-helm-chart@v41.3.0 traefik/templates/_podtemplate.tpl
    """
    service = f"{controller.namespace}/{controller.workload}"
    wanted = {
        "kubernetesingress.ingressClass": controller.class_name,
        "kubernetesingress.ingressendpoint.publishedservice": service,
        "kubernetescrd.defaultTLSResourcesNamespace": controller.namespace,
        "kubernetesgateway.labelSelector": f"{INSTANCE}={controller.instance}",
        "kubernetesgateway.statusaddress.service.name": controller.workload,
    }
    if not controller.default:
        wanted["kubernetescrd.ingressClass"] = controller.class_name
    if controller.nginx_class:
        wanted["kubernetesingressnginx.ingressClass"] = controller.nginx_class
        wanted["kubernetesingressnginx.controllerClass"] = controller.nginx_value
        wanted["kubernetesingressnginx.publishservice"] = service
    return {f"--providers.{name}": value for name, value in wanted.items()}


def _arguments(task: Task, controller: Controller) -> list[str]:
    found = kube(task).get("apps/v1", "Deployment", controller.workload, controller.namespace) or {}
    containers = ((found.get("spec") or {}).get("template") or {}).get("spec", {}).get("containers") or [{}]
    return list(containers[0].get("args") or [])


def services_have_their_addresses(task: Task) -> Result:
    api = kube(task)
    found = {c: api.get("v1", "Service", c.workload, c.namespace) for c in controllers(task)}
    wrong = {c: addresses_of(s or {}) for c, s in found.items() if addresses_of(s or {}) != [c.address]}
    told = [f"{c}: expected {c.address}, seen {', '.join(a) or 'none'}{events(task, c)}" for c, a in wrong.items()]
    fix = "see the events above; the pool must hold the address, and no other service may have it"
    expect(not wrong, "not every controller has its address", why="\n".join(told), fix=fix)
    return passed(task, ", ".join(f"{c} has {c.address}" for c in found))


def events(task: Task, controller: Controller) -> str:
    """What the cluster says about the controller's service."""
    selector = f"involvedObject.kind=Service,involvedObject.name={controller.workload}"
    found = kube(task).list("v1", "Event", controller.namespace, field_selector=selector)
    return "".join(f"\n  event {e.get('reason')}: {e.get('message')}" for e in found[-5:])


def classes_are_right(task: Task) -> Result:
    listed = kube(task).list("networking.k8s.io/v1", "IngressClass")
    ours = [name for c in controllers(task) for name in c.classes]
    wrong = [told for c in controllers(task) for told in class_faults(task, c)]
    wrong += [f"{ADDON_CLASS} is there, the class of addon {ADDON}" for c in listed if name_of(c) == ADDON_CLASS]
    wrong += [f"{name_of(c)} is a default, too" for c in listed if _is_default(c) and name_of(c) not in ours]
    fix = f"{set_up(task)}; take the mark off others: `kubectl annotate ingressclass <name> {_DEFAULT_CLASS}-`"
    expect(not wrong, "the ingress classes are not as wanted", why="\n".join(wrong), fix=fix)
    return passed(task, f"{', '.join(ours)}; {ours[0]} is the default")


def class_faults(task: Task, controller: Controller) -> list[str]:
    api = kube(task)
    found = {name: api.get("networking.k8s.io/v1", "IngressClass", name) for name in controller.classes}
    wrong = [f"class {name} is not there" for name, obj in found.items() if obj is None]
    for name, obj in found.items():
        wanted, default = controller.classes[name], controller.default and name == controller.class_name
        owner = ((obj or {}).get("spec") or {}).get("controller")
        if obj is not None and owner != wanted:
            wrong.append(f"class {name} belongs to {owner}, not {wanted}")
        if obj is not None and _is_default(obj) is not default:
            wrong.append(f"class {name} is {'not ' * default}the default")
    return wrong


def service_faults(task: Task, controller: Controller) -> list[str]:
    found = kube(task).get("v1", "Service", controller.workload, controller.namespace) or {}
    asked = (found.get("spec") or {}).get("loadBalancerIP")
    told = f"service {controller.workload} asks for {asked or 'nothing'}, not {controller.address}"
    return [] if asked == controller.address else [told]


def _is_default(ingress_class: Object) -> bool:
    return (ingress_class["metadata"].get("annotations") or {}).get(_DEFAULT_CLASS) == "true"


def certificates_are_valid(task: Task) -> Result:
    wrong = {c: faults_of(secret_of(task, c), c.domain) for c in controllers(task)}
    why = "\n".join(f"{c.namespace}/{c.secret}: {told}" for c, faults in wrong.items() for told in faults)
    fix = "verify phase6.cert_manager, and run its set-up again"
    expect(not why, "not every controller has a valid certificate", why=why, fix=fix)
    return passed(task, "the certificates cover " + " and ".join(f"*.{c.domain}" for c in wrong))
