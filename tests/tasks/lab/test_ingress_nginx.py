"""The lab's ingress-nginx: the chart's objects, the certificate and backend of a request, and curl, which connects."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from tasks.lab.nginx import arguments
from tests.lab_cluster import LabCluster
from thinkube_nornir.lab.emulation import Reply
from thinkube_nornir.lab.kube.certificates import Authority

AUTHORITY = Authority()
ADDRESS = "192.168.191.200"
REPOSITORY = "https://kubernetes.github.io/ingress-nginx"
NAME = "web-ingress-nginx-controller"
VALUES = """
controller:
  extraArgs: {default-ssl-certificate: edge/cert, enable-ssl-chain-completion: ""}
  ingressClassResource: {name: web, controllerValue: k8s.io/web, default: true}
  ingressClass: web
tcp: {"2222": default/ssh:22}
"""


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
    argv = ("upgrade", name, "ingress-nginx", "--repo", REPOSITORY, "--version", "4.13.3", "--install")
    words = ("--namespace", "edge", "--values", "-", "--wait", "--timeout", "10s")
    reply = cluster.do(cluster.lab.call("tkc", "/snap/bin/microk8s.helm3", *argv, *words, stdin=values))
    cluster.do(cluster.api.settled())
    return reply


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabCluster]:
    """A release with its own class and certificate, and a web server that an Ingress leads to."""
    made = LabCluster(tmp_path_factory.mktemp("nginx"))
    made.do(made.lab.call("tkc", "microk8s", "enable", f"metallb:{ADDRESS}-{ADDRESS}"))
    made.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "edge"}})
    made.add(secret("cert", "edge", "*.example.org"))
    assert upgrade(made, VALUES).status == 0
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


def test_the_charts_objects_are_as_its_templates_make_them(cluster: LabCluster) -> None:
    """Names, arguments, class, webhook, ports; and what the controller and a hook make beside them."""
    deployment = cluster.get("apps/v1", "Deployment", NAME, "edge")
    assert deployment is not None
    given = arguments(deployment)
    assert given["--publish-service"] == f"$(POD_NAMESPACE)/{NAME}"
    assert given["--election-id"] == "web-ingress-nginx-leader"
    assert given["--default-ssl-certificate"] == "edge/cert"
    assert given["--tcp-services-configmap"] == "$(POD_NAMESPACE)/web-ingress-nginx-tcp"
    assert given["--enable-ssl-chain-completion"] == ""
    for place in (
        ("v1", "ConfigMap", NAME, "edge"),
        ("v1", "ConfigMap", "web-ingress-nginx-tcp", "edge"),
        ("v1", "Service", f"{NAME}-admission", "edge"),
        ("v1", "Secret", "web-ingress-nginx-admission", "edge"),
        ("coordination.k8s.io/v1", "Lease", "web-ingress-nginx-leader", "edge"),
        ("networking.k8s.io/v1", "IngressClass", "web", ""),
        ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "web-ingress-nginx-admission", ""),
    ):
        assert cluster.get(*place) is not None, place
    service = cluster.get("v1", "Service", NAME, "edge")
    assert service is not None
    assert [port["port"] for port in service["spec"]["ports"]] == [80, 443, 2222]


@pytest.mark.parametrize("values", ["controller: {electionId: x}", "controler: {}", "controller: {service: {ip: x}}"])
def test_a_value_that_the_chart_does_not_know_is_refused(cluster: LabCluster, values: str) -> None:
    """The real chart has no schema, and would take a misspelt value for nothing; here it is seen."""
    reply = upgrade(cluster, values, name="other")

    assert reply.status == 1
    assert "Additional property" in str(reply.stderr)


def test_the_default_server_knows_healthz_and_nothing_else(cluster: LabCluster) -> None:
    assert curl(cluster, f"http://{ADDRESS}/healthz").stdout == "\n200"
    unknown = get(cluster, "x.example.org")
    assert str(unknown.stdout).endswith("\n404")
    assert "<center>nginx</center>" in str(unknown.stdout)


def test_an_ingress_leads_to_its_pod(cluster: LabCluster) -> None:
    """By its host; its status shows the service's address; a service without pods is 503."""
    assert get(cluster, "shop.example.org", "/hostname").stdout == "web\n\n200"
    found = cluster.get("networking.k8s.io/v1", "Ingress", "web", "default")
    assert found is not None
    assert found["status"]["loadBalancer"]["ingress"] == [{"ip": ADDRESS}]
    with cluster.broken(("v1", "Service", "web", "default"), {"spec": {"selector": {"app": "nobody"}}}):
        assert str(get(cluster, "shop.example.org", "/hostname").stdout).endswith("\n503")


@pytest.mark.parametrize(
    ("notes", "spec", "status"),
    [
        ({}, {"ingressClassName": "web"}, 200),
        ({"kubernetes.io/ingress.class": "web"}, {}, 200),
        ({"kubernetes.io/ingress.class": "other"}, {}, 404),
        ({}, {"ingressClassName": "unknown"}, 404),
        ({}, {}, 404),
    ],
)
def test_a_controller_serves_its_own_class(
    cluster: LabCluster, notes: dict[str, str], spec: dict[str, Any], status: int
) -> None:
    """By class name or by the old annotation; an Ingress of no class is nobody's."""
    made = ingress("tried", "tried.example.org", notes, **spec)
    with cluster.broken(("networking.k8s.io/v1", "Ingress", "tried", "default"), made):
        assert str(get(cluster, "tried.example.org", "/hostname").stdout).endswith(f"\n{status}")


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
    """A wrong name, an authority that is not trusted, and the fake certificate are errors of status 60."""
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
    """An unknown name, an address nobody has, one that nobody announces, no pods: each with curl's own status."""
    advertisement = ("metallb.io/v1beta1", "L2Advertisement", "default-advertise-all-pools", "metallb-system")
    healthz = f"http://{ADDRESS}/healthz"

    assert curl(cluster, "https://nowhere.example.net/").status == 6
    assert curl(cluster, "http://192.168.191.250/").status == 28
    with cluster.broken(advertisement, None):
        assert curl(cluster, healthz).status == 28
        assert curl(cluster, healthz, host="tkc").status == 0
    with cluster.broken(("v1", "Service", NAME, "edge"), {"spec": {"selector": {"app": "nobody"}}}):
        assert curl(cluster, healthz).status == 7


@pytest.mark.parametrize("words", [("--cert", "x", "http://a/"), (), ("http://a/", "http://b/"), ("--resolve",)])
def test_curl_refuses_what_it_does_not_know(cluster: LabCluster, words: tuple[str, ...]) -> None:
    """An unknown option is never a silent success."""
    assert curl(cluster, *words).status == 2
