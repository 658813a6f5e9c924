"""The lab's Traefik: the chart's objects, routes and certificates of a request, status; and curl, which connects."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.lab.traefik.instance import options
from tests.lab_cluster import LabCluster
from thinkube_nornir.lab.emulation import Reply
from thinkube_nornir.lab.kube.certificates import Authority

AUTHORITY = Authority()
ADDRESS = "192.168.191.200"
REPOSITORY = "https://traefik.github.io/charts"
GATEWAY_API = "https://github.com/kubernetes-sigs/gateway-api/releases/download"
NAME = "web-traefik"
VALUES = """
ingressClass: {name: web, isDefaultClass: true}
gatewayClass: {name: web}
gateway:
  listeners:
    websecure:
      port: 8443
      protocol: HTTPS
      namespacePolicy: {from: All}
      certificateRefs: [{kind: Secret, group: "", name: cert}]
tlsStore: {default: {defaultCertificate: {secretName: cert}}}
providers:
  kubernetesIngress: {ingressClass: web}
  kubernetesGateway: {enabled: true, labelSelector: app.kubernetes.io/instance=web-edge}
  kubernetesIngressNGINX: {enabled: true, ingressClass: nginx, publishService: {enabled: true}}
"""
STORE = ("traefik.io/v1alpha1", "TLSStore", "default", "edge")
GATEWAY = ("gateway.networking.k8s.io/v1", "Gateway", "traefik-gateway", "edge")
INGRESS = ("networking.k8s.io/v1", "Ingress")
NGINX = "nginx.ingress.kubernetes.io"


def tls(*names: str) -> dict[str, str]:
    certificate, key = AUTHORITY.server(names)
    return {name: base64.b64encode(part).decode() for name, part in (("tls.crt", certificate), ("tls.key", key))}


def secret(name: str, namespace: str, *names: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "kubernetes.io/tls",
        "data": tls(*names),
    }


def upgrade(cluster: LabCluster, values: str, name: str = "web") -> Reply:
    argv = ("upgrade", name, "traefik", "--repo", REPOSITORY, "--version", "41.3.0", "--install")
    words = ("--namespace", "edge", "--values", "-", "--wait", "--timeout", "10s")
    reply = cluster.do(cluster.lab.call("tkc", "/snap/bin/microk8s.helm3", *argv, *words, stdin=values))
    cluster.do(cluster.api.settled())
    return reply


def install_gateway_api(cluster: LabCluster, version: str) -> Reply:
    argv = ("microk8s", "kubectl", "apply", "--server-side", "--filename")
    return cluster.do(cluster.lab.call("tkc", *argv, f"{GATEWAY_API}/{version}/standard-install.yaml"))


def ingress_class(name: str, controller: str) -> dict[str, Any]:
    version = "networking.k8s.io/v1"
    return {
        "apiVersion": version,
        "kind": "IngressClass",
        "metadata": {"name": name},
        "spec": {"controller": controller},
    }


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabCluster]:
    """A release with its own class and certificate, and a web server that an Ingress leads to."""
    made = LabCluster(tmp_path_factory.mktemp("traefik"))
    made.do(made.lab.call("tkc", "microk8s", "enable", f"metallb:{ADDRESS}-{ADDRESS}"))
    made.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "edge"}})
    made.add(secret("cert", "edge", "*.example.org"))
    install_gateway_api(made, "v1.5.1")
    assert upgrade(made, VALUES).status == 0
    made.add(ingress_class("nginx", "k8s.io/ingress-nginx"))
    container = {"name": "web", "image": "busybox:1.36.1", "command": ["httpd", "-f", "-p", "80", "-h", "/etc"]}
    labels = {"app": "web"}
    at = {"name": "web", "namespace": "default"}
    made.add(
        {"apiVersion": "v1", "kind": "Pod", "metadata": at | {"labels": labels}, "spec": {"containers": [container]}}
    )
    made.add(
        {"apiVersion": "v1", "kind": "Service", "metadata": at, "spec": {"selector": labels, "ports": [{"port": 80}]}}
    )
    made.add(ingress("web", "shop.example.org", ingressClassName="web"))
    yield made
    made.close()


def ingress(name: str, host: str, notes: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    way = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}
    rules = [{"host": host, "http": {"paths": [way]}}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": "default", "annotations": notes or {}},
        "spec": {"rules": rules, **spec},
    }


def curl(cluster: LabCluster, *words: str, host: str = "bcn2", trusted: bytes = AUTHORITY.pem) -> Reply:
    argv = ("curl", "--silent", "--show-error", "--write-out", "\\n%{http_code}", *words)
    return cluster.do(cluster.lab.call(host, *argv, stdin=trusted.decode()))


def get(cluster: LabCluster, name: str, path: str = "/", host: str = "bcn2") -> Reply:
    where = ("--resolve", f"{name}:443:{ADDRESS}", "--cacert", "/dev/stdin")
    return curl(cluster, *where, f"https://{name}{path}", host=host)


def conditions(cluster: LabCluster, *place: str) -> dict[str, str]:
    found = (cluster.get(*place) or {}).get("status") or {}
    return {c["type"]: f"{c['status']} {c['reason']}" for c in found.get("conditions") or ()}


def test_the_charts_objects_are_as_its_templates_make_them(cluster: LabCluster) -> None:
    """Names, arguments, classes, Gateway, store, definitions."""
    deployment = cluster.get("apps/v1", "Deployment", NAME, "edge")
    assert deployment is not None
    given = options(deployment)
    assert given["--entrypoints.websecure.address"] == ":8443/tcp"
    assert given["--providers.kubernetesingress.ingressendpoint.publishedservice"] == f"edge/{NAME}"
    assert given["--providers.kubernetesingressnginx.controllerclass"] == "k8s.io/ingress-nginx"
    assert given["--providers.kubernetesgateway.labelselector"] == "app.kubernetes.io/instance=web-edge"
    for place in (
        ("v1", "Service", NAME, "edge"),
        (*INGRESS[:1], "IngressClass", "web", ""),
        ("gateway.networking.k8s.io/v1", "GatewayClass", "web", ""),
        GATEWAY,
        STORE,
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "apis.hub.traefik.io", ""),
    ):
        assert cluster.get(*place) is not None, place


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ("provider: {}", "additional properties 'provider' not allowed"),
        (
            "providers: {kubernetesIngressNginx: {enabled: true}}",
            "additional properties 'kubernetesIngressNginx' not allowed",
        ),
        ("gateway: {listeners: {web: {port: 80}}}\nproviders: {kubernetesGateway: {enabled: true}}", "not declared"),
        (
            "gateway: {listeners: {a: {port: 8443, protocol: HTTPS}}}\nproviders: {kubernetesGateway: {enabled: true}}",
            "certificateRefs needs to be specified",
        ),
    ],
)
def test_values_that_the_chart_refuses_are_refused(cluster: LabCluster, values: str, told: str) -> None:
    """By its schema, or by its templates."""
    reply = upgrade(cluster, values, name="other")

    assert reply.status == 1
    assert told in str(reply.stderr)


def test_without_gateway_api_helm_says_so(tmp_path: Path) -> None:
    """The chart brings its own definitions along, and those of nobody else."""
    bare = LabCluster(tmp_path)
    try:
        bare.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "edge"}})
        reply = upgrade(bare, VALUES)
        assert reply.status == 1
        assert 'no matches for kind "Gateway" in version "gateway.networking.k8s.io/v1"' in str(reply.stderr)
        assert bare.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", "tlsstores.traefik.io", "") is not None
    finally:
        bare.close()


def test_a_request_that_no_route_takes_is_not_found(cluster: LabCluster) -> None:
    assert curl(cluster, f"http://{ADDRESS}/").stdout == "404 page not found\n\n404"
    assert get(cluster, "x.example.org").stdout == "404 page not found\n\n404"


def test_an_ingress_leads_to_its_pod(cluster: LabCluster) -> None:
    """By its host; its status shows the service's address; a service without pods is 503."""
    assert get(cluster, "shop.example.org", "/hostname").stdout == "web\n\n200"
    found = cluster.get(*INGRESS, "web", "default")
    assert found is not None
    assert found["status"]["loadBalancer"]["ingress"] == [{"ip": ADDRESS}]
    with cluster.broken(("v1", "Service", "web", "default"), {"spec": {"selector": {"app": "nobody"}}}):
        assert get(cluster, "shop.example.org", "/hostname").stdout == "no available server\n\n503"


@pytest.mark.parametrize(
    ("notes", "spec", "status"),
    [
        ({}, {"ingressClassName": "web"}, 200),
        ({"kubernetes.io/ingress.class": "web"}, {}, 200),
        ({"kubernetes.io/ingress.class": "other"}, {}, 404),
        ({}, {"ingressClassName": "unknown"}, 404),
        ({}, {}, 200),  # the API server gave it the default class
        ({}, {"ingressClassName": "nginx"}, 200),
        ({f"{NGINX}/server-snippet": "return 200;"}, {"ingressClassName": "nginx"}, 404),
        ({f"{NGINX}/server-snippet": "return 200;"}, {"ingressClassName": "web"}, 200),
    ],
)
def test_each_provider_serves_its_own_class(
    cluster: LabCluster, notes: dict[str, str], spec: dict[str, Any], status: int
) -> None:
    """By class name or by the old annotation; snippets make the one for ingress-nginx leave an object out."""
    made = ingress("tried", "tried.example.org", notes, **spec)
    with cluster.broken((*INGRESS, "tried", "default"), made):
        assert str(get(cluster, "tried.example.org", "/hostname").stdout).endswith(f"\n{status}")


def test_an_ingress_of_nginx_with_tls_is_redirected_by_http(cluster: LabCluster) -> None:
    """As ingress-nginx did; Traefik's own class answers by HTTP, too."""
    plain = ("--resolve", f"tried.example.org:80:{ADDRESS}", "http://tried.example.org/hostname")
    for class_name, status in (("nginx", 308), ("web", 200)):
        made = ingress(
            "tried", "tried.example.org", ingressClassName=class_name, tls=[{"hosts": ["tried.example.org"]}]
        )
        with cluster.broken((*INGRESS, "tried", "default"), made):
            assert str(curl(cluster, *plain).stdout).endswith(f"\n{status}")


def test_a_prefix_is_one_of_letters_unless_it_is_strict(cluster: LabCluster) -> None:
    """Kubernetes means elements of a path; Traefik does when it is told to."""
    made = ingress("tried", "tried.example.org", ingressClassName="web")
    made["spec"]["rules"][0]["http"]["paths"][0]["path"] = "/host"
    with cluster.broken((*INGRESS, "tried", "default"), made):
        assert str(get(cluster, "tried.example.org", "/hostname").stdout).endswith("\n200")
        strict = VALUES.replace("{ingressClass: web}", "{ingressClass: web, strictPrefixMatching: true}")
        assert upgrade(cluster, strict).status == 0
        assert str(get(cluster, "tried.example.org", "/hostname").stdout).endswith("\n404")
        assert upgrade(cluster, VALUES).status == 0


def route(**spec: Any) -> dict[str, Any]:
    rules = [{"backendRefs": [{"name": "web", "port": 80}]}]
    wanted = {"hostnames": ["route.example.org"], "rules": rules, **spec}
    metadata = {"name": "route", "namespace": "default"}
    return {"apiVersion": GATEWAY[0], "kind": "HTTPRoute", "metadata": metadata, "spec": wanted}


ROUTE = (GATEWAY[0], "HTTPRoute", "route", "default")
PARENT = {"name": "traefik-gateway", "namespace": "edge"}


@pytest.mark.parametrize(
    ("spec", "status", "accepted"),
    [
        ({"parentRefs": [PARENT]}, 200, "True"),
        ({"parentRefs": [PARENT | {"sectionName": "websecure"}]}, 200, "True"),
        ({"parentRefs": [PARENT | {"sectionName": "web"}]}, 404, "False"),  # of its own namespace only
        ({"parentRefs": [{"name": "traefik-gateway"}]}, 404, None),
        ({"parentRefs": [PARENT], "rules": [{"backendRefs": [{"name": "none", "port": 80}]}]}, 500, "True"),
        ({"parentRefs": [PARENT], "hostnames": ["*.example.org"]}, 200, "True"),
        ({"parentRefs": [PARENT], "hostnames": ["other.example.org"]}, 404, "True"),
    ],
)
def test_a_route_is_attached_to_a_listener_that_allows_it(
    cluster: LabCluster, spec: dict[str, Any], status: int, accepted: str | None
) -> None:
    """And says so in its status."""
    with cluster.broken(ROUTE, route(**spec)):
        assert str(get(cluster, "route.example.org", "/hostname").stdout).endswith(f"\n{status}")
        found = cluster.get(*ROUTE)
        assert found is not None
        parents = (found.get("status") or {}).get("parents") or [{}]
        told = {c["type"]: c["status"] for c in parents[0].get("conditions") or ()}
        assert told.get("Accepted") == accepted


def test_a_gateway_says_what_is_wrong_with_it(cluster: LabCluster) -> None:
    """Programmed with the service's address; not, without the certificate, or with a port that is no entry point's."""
    good = {"Accepted": "True Accepted", "Programmed": "True Programmed"}
    assert conditions(cluster, *GATEWAY) == good
    found = cluster.get(*GATEWAY)
    assert found is not None
    assert found["status"]["addresses"] == [{"type": "IPAddress", "value": ADDRESS}]
    assert conditions(cluster, GATEWAY[0], "GatewayClass", "web", "") == {"Accepted": "True Handled"}

    with cluster.broken(("v1", "Secret", "cert", "edge"), None):
        assert conditions(cluster, *GATEWAY) == {"Accepted": "False ListenersNotValid"}
    listeners = [found["spec"]["listeners"][0] | {"port": 80}]
    with cluster.broken(GATEWAY, {"spec": {"listeners": listeners}}):
        assert conditions(cluster, *GATEWAY) == {"Accepted": "False ListenersNotValid"}
    assert conditions(cluster, *GATEWAY) == good


def test_gateways_wait_for_every_kind_that_traefik_watches(cluster: LabCluster) -> None:
    """Without TLSRoute, which Gateway API 1.4 does not have, no Gateway is served at all."""
    tlsroutes = ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "tlsroutes.gateway.networking.k8s.io", "")
    with cluster.broken(ROUTE, route(parentRefs=[PARENT])), cluster.broken(tlsroutes, None):
        assert str(get(cluster, "route.example.org", "/hostname").stdout).endswith("\n404")


def test_a_second_default_store_makes_both_useless(cluster: LabCluster) -> None:
    """Unless one namespace alone may have it."""
    with cluster.broken(GATEWAY, {"spec": {"listeners": []}}):  # its certificates are known by name, too
        assert str(get(cluster, "x.example.org").stdout).endswith("\n404")
        other = (*STORE[:3], "default")
        with cluster.broken(other, {"spec": {"defaultCertificate": {"secretName": "cert"}}}):
            assert get(cluster, "x.example.org").status == 60
            providers = "providers:\n  kubernetesCRD: {defaultTLSResourcesNamespace: edge}"
            assert upgrade(cluster, VALUES.replace("providers:", providers)).status == 0
            assert str(get(cluster, "x.example.org").stdout).endswith("\n404")
            assert upgrade(cluster, VALUES).status == 0


def test_an_ingress_with_a_secret_of_its_own_is_served_with_it(cluster: LabCluster) -> None:
    """Chosen by the name the client asks for; another name keeps the default certificate."""
    cluster.add(secret("own", "default", "shop.example.com"))
    made = ingress("own", "shop.example.com", ingressClassName="web")
    made["spec"]["tls"] = [{"hosts": ["shop.example.com"], "secretName": "own"}]
    assert get(cluster, "shop.example.com", "/hostname").status == 60

    cluster.add(made)

    assert get(cluster, "shop.example.com", "/hostname").stdout == "web\n\n200"
    assert str(get(cluster, "x.example.org").stdout).endswith("\n404")


def test_curl_verifies_name_and_authority(cluster: LabCluster) -> None:
    """A wrong name, an authority that is not trusted, and Traefik's own certificate are errors of status 60."""
    where = ("--resolve", f"x.example.org:443:{ADDRESS}")
    assert get(cluster, "x.example.net").status == 60
    untrusted = curl(cluster, *where, "https://x.example.org/")
    assert untrusted.status == 60
    assert "SSL certificate problem" in str(untrusted.stderr)
    assert (
        curl(cluster, *where, "--cacert", "/dev/stdin", "https://x.example.org/", trusted=Authority().pem).status == 60
    )
    assert curl(cluster, *where, "--insecure", "https://x.example.org/").status == 0
    with cluster.broken(("v1", "Secret", "cert", "edge"), None):
        assert get(cluster, "x.example.org").status == 60


def test_curl_trusts_the_one_certificate_it_is_given(cluster: LabCluster) -> None:
    """As the real one: a chain may end in any certificate of the file, the server's own too."""
    found = cluster.get("v1", "Secret", "cert", "edge")
    assert found is not None
    leaf = base64.b64decode(found["data"]["tls.crt"])
    words = ("--resolve", f"x.example.org:443:{ADDRESS}", "--cacert", "/dev/stdin", "https://x.example.org/")

    assert str(curl(cluster, *words, trusted=leaf).stdout).endswith("\n404")


def test_curl_says_why_nobody_answers(cluster: LabCluster) -> None:
    """An unknown name; an address that nobody has or announces, in one's own network and elsewhere; no pods."""
    advertisement = ("metallb.io/v1beta1", "L2Advertisement", "default-advertise-all-pools", "metallb-system")
    page = f"http://{ADDRESS}/"

    assert curl(cluster, "https://nowhere.example.net/").status == 6
    assert curl(cluster, "http://192.168.191.250/").status == 7
    assert curl(cluster, "http://203.0.113.9/").status == 28
    with cluster.broken(advertisement, None):
        assert curl(cluster, page).status == 7
        assert curl(cluster, page, host="tkc").status == 0
    with cluster.broken(("v1", "Service", NAME, "edge"), {"spec": {"selector": {"app": "nobody"}}}):
        assert curl(cluster, page).status == 7


@pytest.mark.parametrize("words", [("--cert", "x", "http://a/"), (), ("http://a/", "http://b/"), ("--resolve",)])
def test_curl_refuses_what_it_does_not_know(cluster: LabCluster, words: tuple[str, ...]) -> None:
    """An unknown option is never a silent success."""
    assert curl(cluster, *words).status == 2
