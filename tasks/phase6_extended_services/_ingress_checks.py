"""What must be true of the ingress controllers: in the cluster, and as people see them from the overlay."""

from __future__ import annotations

from collections import Counter
from typing import Any

from nornir.core.task import Result, Task

from tasks.control_plane import Object, expect, kube, name_of
from tasks.kubernetes_distribution import DISTRIBUTION
from tasks.microk8s_facts import STATUS
from tasks.node_facts import HOSTNAME
from tasks.phase6_extended_services._certificates import faults_of, secret_of, trusted
from tasks.phase6_extended_services._controllers import Controller, controllers, release_of
from tasks.phase6_extended_services._metallb import addresses_of
from tasks.phase6_extended_services._requests import Response, answered, get, observer, patience_ends
from tasks.probes import expected, lookups, probe_image
from thinkube_nornir.cluster import is_rolled_out, probe_server, seen
from thinkube_nornir.command import Fact
from thinkube_nornir.context import context
from thinkube_nornir.helm import deviations, releases, values_of
from thinkube_nornir.outcome import unchanged
from thinkube_nornir.remote import fresh

ADDON = "ingress"
ADDON_CLASS = "public"
_DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
_PORT = 8080
_AGAIN = "run the set-up again"


def facts(task: Task) -> tuple[Fact[Any], ...]:
    helm = DISTRIBUTION.HELM
    return HOSTNAME, STATUS, releases(helm), *(values_of(helm, c.release, c.namespace) for c in controllers(task))


def addon_ingress_is_off(task: Task) -> Result:
    why = "its class public and the nodes' ports 80 and 443 collide with ours"
    expect(not DISTRIBUTION.addon_is_on(task, ADDON), f"addon {ADDON} is on", why=why, fix=_AGAIN)
    return unchanged(task, f"addon {ADDON} is off")


def releases_are_as_wanted(task: Task) -> Result:
    told = {c.release: deviations(task, DISTRIBUTION.HELM, release_of(task, c)) for c in controllers(task)}
    why = "\n".join(f"{name}: {text}" for name, texts in told.items() for text in texts)
    expect(not why, "the releases are not as wanted", why=why, fix=_AGAIN)
    return unchanged(task, f"{' and '.join(told)} are deployed")


def controllers_are_available(task: Task) -> Result:
    api = kube(task)
    found = {c: api.get("apps/v1", "Deployment", c.workload, c.namespace) for c in controllers(task)}
    wrong = {c: seen(obj) for c, obj in found.items() if not is_rolled_out(obj)}
    why = "\n".join(f"{c.namespace}/{c.workload}: {told}" for c, told in wrong.items())
    fix = "see why: " + "; ".join(f"kubectl -n {c.namespace} get pods,events" for c in wrong)
    expect(not wrong, f"not available: {', '.join(map(str, wrong))}", why=why, fix=fix)
    return unchanged(task, f"{' and '.join(c.workload for c in found)} are rolled out")


def controllers_have_their_arguments(task: Task) -> Result:
    """Each once: what comes twice was added by somebody's patch, and the next upgrade doubles it again."""
    wrong = [f"{c.workload}: {told}" for c in controllers(task) for told in argument_faults(task, c)]
    expect(not wrong, "the controllers' arguments are not as wanted", why="\n".join(wrong), fix=_AGAIN)
    return unchanged(task, "each argument is there once, with the right certificate, class and election")


def argument_faults(task: Task, controller: Controller) -> list[str]:
    pairs = [word.partition("=") for word in _arguments(task, controller)]
    given, counts = {name: value for name, _, value in pairs}, Counter(name for name, _, _ in pairs)
    wanted = {
        "--default-ssl-certificate": f"{controller.namespace}/{controller.secret}",
        "--controller-class": controller.value,
        "--election-id": controller.election_id,
        "--ingress-class": controller.class_name,
    }
    differing = [f"{k} is {given.get(k, 'not there')}, not {v}" for k, v in wanted.items() if given.get(k) != v]
    doubled = [f"{name} is there {count} times" for name, count in counts.items() if count > 1]
    published = [] if "--publish-service" in given else ["--publish-service is not there"]
    return [*differing, *doubled, *published]


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
    return unchanged(task, ", ".join(f"{c} has {c.address}" for c in found))


def events(task: Task, controller: Controller) -> str:
    """What the cluster says about the controller's service."""
    selector = f"involvedObject.kind=Service,involvedObject.name={controller.workload}"
    found = kube(task).list("v1", "Event", controller.namespace, field_selector=selector)
    return "".join(f"\n  event {e.get('reason')}: {e.get('message')}" for e in found[-5:])


def classes_are_right(task: Task) -> Result:
    listed = kube(task).list("networking.k8s.io/v1", "IngressClass")
    ours = [c.class_name for c in controllers(task)]
    wrong = [told for c in controllers(task) for told in class_faults(task, c)]
    wrong += [f"{ADDON_CLASS} is there, the class of addon {ADDON}" for c in listed if name_of(c) == ADDON_CLASS]
    wrong += [f"{name_of(c)} is a default, too" for c in listed if _is_default(c) and name_of(c) not in ours]
    fix = f"{_AGAIN}; take the mark off others: kubectl annotate ingressclass <name> {_DEFAULT_CLASS}-"
    expect(not wrong, "the ingress classes are not as wanted", why="\n".join(wrong), fix=fix)
    return unchanged(task, f"{', '.join(ours)}; {ours[0]} is the default")


def class_faults(task: Task, controller: Controller) -> list[str]:
    found = kube(task).get("networking.k8s.io/v1", "IngressClass", controller.class_name)
    if found is None:
        return [f"class {controller.class_name} is not there"]
    owner = (found.get("spec") or {}).get("controller")
    statements = {
        f"class {controller.class_name} belongs to {owner}, not {controller.value}": owner != controller.value,
        f"class {controller.class_name} is {'not ' * controller.default}the default": (
            _is_default(found) is not controller.default
        ),
    }
    return [text for text, holds in statements.items() if holds]


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
    return unchanged(task, "the certificates cover " + " and ".join(f"*.{c.domain}" for c in wrong))


def health_endpoints_answer(task: Task) -> Result:
    there, until = observer(task), patience_ends()
    found = {c: answered(there, get(f"http://{c.address}/healthz", c.address), 200, until) for c in controllers(task)}
    wrong = {c: response for c, response in found.items() if response.status != 200}
    why = "\n".join(f"{c}: http://{c.address}/healthz from {there.host.name}: {r}" for c, r in wrong.items())
    fix = "ZeroTier must assign the address; who announces it: kubectl -n metallb-system logs daemonset/speaker"
    expect(not wrong, "not every controller answers in the overlay", why=why, fix=fix)
    return unchanged(task, f"{' and '.join(c.address for c in found)} answer {there.host.name}")


def unknown_names_get_the_default_certificate(task: Task) -> Result:
    """404 from nginx itself, by TLS that the name and the authority are verified of."""
    there, until = observer(task), patience_ends()
    wrong = []
    for c in controllers(task):
        url = f"https://thinkube-probe.{c.domain}/"
        found = answered(there, get(url, c.address, trusted(task, c)), 404, until)
        if found.status != 404 or "nginx" not in found.body:
            wrong.append(f"{url} at {c.address} from {there.host.name}: expected 404 from nginx, seen {found}")
    fix = "see which certificate is served: openssl s_client -connect <address>:443 -servername <name>"
    expect(not wrong, "an unknown name is not answered as it should be", why="\n".join(wrong), fix=fix)
    return unchanged(task, "unknown names get 404 under the right certificate")


def each_class_answers_on_its_own_address(task: Task) -> Result:
    if context(task).dry_run:
        return unchanged(task, "not asked: a dry run starts no pods")
    both, there = controllers(task), observer(task)
    command = ["httpd", "-f", "-p", str(_PORT), "-h", "/etc"]  # so that /hostname is the pod's name

    def ways(name: str) -> list[Object]:
        return [_service(name), *(_ingress(name, c) for c in both)]

    with probe_server(kube(task), "thinkube-probe", probe_image(task), command, ways=ways) as name:
        until = patience_ends()
        wrong = [told for c in both for told in _routes(task, there, c, name, until)]
    logs = "; ".join(f"kubectl -n {c.namespace} logs deployment/{c.workload}" for c in both)
    fix = f"see what the controllers say: {logs}"
    expect(not wrong, "a class does not answer on its own address alone", why="\n".join(wrong), fix=fix)
    return unchanged(task, ", ".join(f"{c.class_name} answers on {c.address} alone" for c in both))


def _routes(task: Task, there: Task, controller: Controller, name: str, until: float) -> list[str]:
    """What is wrong with one class: the server must be found on its address, and nowhere else."""
    url = f"https://{name}.{controller.domain}/hostname"

    def asked(at: Controller) -> Fact[Response]:
        return get(url, at.address, trusted(task, at))

    own = answered(there, asked(controller), 200, until)
    if own.status != 200 or not own.body.startswith(name):
        return [f"{url} at {controller.address}: expected the answer of {name}, seen {own}"]
    others = {c: fresh(there, asked(c)) for c in controllers(task) if c != controller}
    return [
        f"{url} is of class {controller.class_name}, and {c} answers it, too, at {c.address}: {found}"
        for c, found in others.items()
        if found.status != 404
    ]


def _service(name: str) -> Object:
    ports = [{"port": _PORT, "targetPort": _PORT}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"job-name": name}, "ports": ports},
    }


def _ingress(name: str, controller: Controller) -> Object:
    backend = {"service": {"name": name, "port": {"number": _PORT}}}
    rule = {
        "host": f"{name}.{controller.domain}",
        "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": f"{name}-{controller.role}"},
        "spec": {"ingressClassName": controller.class_name, "rules": [rule]},
    }


def names_lead_to_their_controllers(task: Task) -> Result:
    report = lookups(task)
    found = {name: report[name].addresses for name in expected(task)}
    wrong = {name: a for name, a in expected(task).items() if found[name] != (a,)}
    why = "\n".join(f"{n}: expected {a}, seen {', '.join(found[n]) or 'nothing'}" for n, a in wrong.items())
    fix = "verify phase5.coredns, and phase 4's name server"
    expect(not wrong, "names do not lead to their ingress controllers", why=why, fix=fix)
    return unchanged(task, ", ".join(f"{name} is {address}" for name, address in expected(task).items()))
