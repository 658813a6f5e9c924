"""What people see of the ingress controllers: requests by HTTP and TLS; each way of publishing is tried with a pod."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.ingress.certificates import trusted
from tasks.phase6_extended_services.ingress.controller import GATEWAY, Controller, controllers
from tasks.phase6_extended_services.ingress.definitions import GATEWAY_API
from tasks.phase6_extended_services.ingress.requests import Response, answered, deadline_passes, get, observer
from tasks.shared.cluster.control_plane import Object, expect, kube
from tasks.shared.cluster.probes import expected, lookups_when, probe_image
from thinkube_nornir.cluster import probe_server
from thinkube_nornir.command import Fact
from thinkube_nornir.context import context
from thinkube_nornir.outcome import passed
from thinkube_nornir.remote import fresh

NOT_FOUND = "404 page not found"
"""Traefik's own words for a request that no route takes."""
_PORT = 8080
_COMMAND = ("httpd", "-f", "-p", str(_PORT), "-h", "/etc")  # so that /hostname is the pod's name


@dataclass(frozen=True)
class Way:
    """A way to the probe pod: a host name that one controller alone must answer for.

    Args:
        what: for people: "class nginx".
        suffix: of the host name, different for each way.
    """

    what: str
    controller: Controller
    suffix: str
    schemes: tuple[str, ...]
    class_name: str = ""

    def host(self, name: str) -> str:
        return f"{name}-{self.suffix}.{self.controller.domain}"


def addresses_answer(task: Task) -> Result:
    there, until = observer(task), deadline_passes()
    found = {c: answered(there, get(f"http://{c.address}/", c.address), 404, until) for c in controllers(task)}
    wrong = {c: response for c, response in found.items() if not _is_traefiks(response)}
    why = "\n".join(f"{c}: http://{c.address}/ from {there.host.name}: {r}" for c, r in wrong.items())
    fix = "the address must be free, and lead here; who does: `kubectl -n metallb-system logs daemonset/speaker`"
    expect(not wrong, "not every controller answers at its address", why=why, fix=fix)
    return passed(task, f"{' and '.join(c.address for c in found)} answer {there.host.name}")


def _is_traefiks(response: Response) -> bool:
    return response.status == 404 and response.body.strip() == NOT_FOUND


def unknown_names_get_the_default_certificate(task: Task) -> Result:
    """404 from Traefik itself, by TLS that the name and the authority are verified of."""
    there, until = observer(task), deadline_passes()
    wrong = []
    for c in controllers(task):
        url = f"https://thinkube-probe.{c.domain}/"
        found = answered(there, get(url, c.address, trusted(task, c)), 404, until)
        if not _is_traefiks(found):
            wrong.append(f"{url} at {c.address} from {there.host.name}: expected 404 from Traefik, seen {found}")
    fix = "see which certificate is served: openssl s_client -connect <address>:443 -servername <name>"
    expect(not wrong, "an unknown name is not answered as it should be", why="\n".join(wrong), fix=fix)
    return passed(task, "unknown names get 404 under the right certificate")


def each_class_answers_on_its_own_address(task: Task) -> Result:
    """Ingress objects of every class, those of ingress-nginx's too."""
    if context(task).dry_run:
        return passed(task, "not asked: a dry run starts no pods")
    found = [(c, number, name) for c in controllers(task) for number, name in enumerate(c.classes)]
    ways = [Way(f"class {name}", c, f"{c.role}-{number}", ("https",), name) for c, number, name in found]
    with _published(task, ways, _ingress) as wrong:
        expect(not wrong, "a class does not answer on its own address alone", why="\n".join(wrong), fix=_fix(task))
    return passed(task, ", ".join(f"{way.class_name} answers on {way.controller.address} alone" for way in ways))


def each_gateway_answers_on_its_own_address(task: Task) -> Result:
    """An HTTPRoute to each Gateway, by HTTP and by HTTPS."""
    if context(task).dry_run:
        return passed(task, "not asked: a dry run starts no pods")
    ways = [Way(f"Gateway {c.namespace}/{GATEWAY}", c, f"{c.role}-route", ("http", "https")) for c in controllers(task)]
    with _published(task, ways, _route) as wrong:
        expect(not wrong, "a Gateway does not answer on its own address alone", why="\n".join(wrong), fix=_fix(task))
    return passed(task, ", ".join(f"{way.what} answers on {way.controller.address} alone" for way in ways))


def _fix(task: Task) -> str:
    logs = "; ".join(f"kubectl -n {c.namespace} logs deployment/{c.workload}" for c in controllers(task))
    return f"see what the controllers say: {logs}"


@contextmanager
def _published(task: Task, ways: Sequence[Way], manifest: Callable[[str, Way], Object]) -> Iterator[list[str]]:
    """What is wrong with each way, while the probe pod stands."""
    there = observer(task)

    def objects(name: str) -> list[Object]:
        return [_service(name), *(manifest(name, way) for way in ways)]

    with probe_server(kube(task), "thinkube-probe", probe_image(task), _COMMAND, ways=objects) as name:
        until = deadline_passes()
        yield [told for way in ways for told in _faults(task, there, way, name, until)]


def _faults(task: Task, there: Task, way: Way, name: str, until: float) -> Iterator[str]:
    """The pod must be found on the controller's address, and nowhere else."""
    for scheme in way.schemes:
        url = f"{scheme}://{way.host(name)}/hostname"

        def asked(at: Controller, url: str = url, scheme: str = scheme) -> Fact[Response]:
            return get(url, at.address, trusted(task, at) if scheme == "https" else "")

        own = answered(there, asked(way.controller), 200, until)
        if own.status != 200 or not own.body.startswith(name):
            yield f"{url} at {way.controller.address}: expected the answer of {name}, seen {own}"
            continue
        for other in controllers(task):
            found = fresh(there, asked(other)) if other != way.controller else None
            if found is not None and found.status != 404:
                yield f"{url} is of {way.what}, and {other} answers it, too, at {other.address}: {found}"


def _service(name: str) -> Object:
    ports = [{"port": _PORT, "targetPort": _PORT}]
    spec = {"selector": {"job-name": name}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def _ingress(name: str, way: Way) -> Object:
    backend = {"service": {"name": name, "port": {"number": _PORT}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": f"{name}-{way.suffix}"},
        "spec": {
            "ingressClassName": way.class_name,
            "tls": [{"hosts": [way.host(name)]}],  # without a secret: the controller's certificate is for it
            "rules": [{"host": way.host(name), "http": {"paths": paths}}],
        },
    }


def _route(name: str, way: Way) -> Object:
    return {
        "apiVersion": f"{GATEWAY_API}/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": f"{name}-{way.suffix}"},
        "spec": {
            "parentRefs": [{"name": GATEWAY, "namespace": way.controller.namespace}],
            "hostnames": [way.host(name)],
            "rules": [{"backendRefs": [{"name": name, "port": _PORT}]}],
        },
    }


def names_lead_to_their_controllers(task: Task) -> Result:
    wanted = expected(task)
    report = lookups_when(task, lambda found: all(found[name].addresses == (a,) for name, a in wanted.items()))
    found = {name: report[name].addresses for name in wanted}
    wrong = {name: a for name, a in wanted.items() if found[name] != (a,)}
    why = "\n".join(f"{n}: expected {a}, seen {', '.join(found[n]) or 'nothing'}" for n, a in wrong.items())
    fix = "verify phase5.coredns, and phase 4's name server"
    expect(not wrong, "names do not lead to their ingress controllers", why=why, fix=fix)
    return passed(task, ", ".join(f"{name} is {address}" for name, address in wanted.items()))
