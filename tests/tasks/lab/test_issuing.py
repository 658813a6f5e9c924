"""The lab's cert-manager: what its challenges need, what it refuses, and what hangs without it."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.lab import cloudflare
from tasks.lab.cloudflare import TOKEN
from tasks.lab.issuing.base import ACME, API, NAMESPACE
from tests.lab_cluster import LabCluster
from thinkube_nornir.lab.kube import ApiError, Object

HELM = ("/snap/bin/microk8s.helm3", "upgrade", "cert-manager", "cert-manager", "--repo", "https://charts.jetstack.io")
FLAGS = "dns01RecursiveNameservers: 8.8.8.8:53\ndns01RecursiveNameserversOnly: true\n"
SERVER = "https://acme-staging-v02.api.letsencrypt.org/directory"
RULE = "_acme-challenge.example.org:53 {\n    forward . 8.8.8.8\n}\n"


class Lab:
    def __init__(self, folder: Path) -> None:
        self.cluster = LabCluster(folder)
        self.cluster.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})

    def install(self, values: str = FLAGS, version: str = "v1.20.3") -> None:
        argv = (*HELM, "--version", version, "--install", "--namespace", NAMESPACE, "--values", "-", "--wait")
        reply = self.cluster.do(self.cluster.lab.call("tkc", *argv, stdin=f"crds: {{enabled: true}}\n{values}"))
        assert reply.status == 0, reply.stderr

    def token(self, value: str = TOKEN) -> None:
        data = {"api-token": base64.b64encode(value.encode()).decode()}
        self.cluster.add(_object("v1", "Secret", "token", NAMESPACE, data=data))

    def issuer(self, name: str, **spec: Any) -> Object:
        self.cluster.add(_object(API, "ClusterIssuer", name, spec=spec))
        return self.state(API, "ClusterIssuer", name)

    def acme(self, mail: str = "ops@home.example") -> Object:
        reference = {"apiTokenSecretRef": {"name": "token", "key": "api-token"}}
        solvers = [{"dns01": {"cloudflare": reference}}]
        account = {"server": SERVER, "email": mail, "privateKeySecretRef": {"name": "account"}, "solvers": solvers}
        return self.issuer("acme", acme=account)

    def certificate(self, issuer: str = "acme") -> None:
        reference = {"name": issuer, "kind": "ClusterIssuer"}
        spec = {"secretName": "web", "dnsNames": ["example.org", "*.example.org"], "issuerRef": reference}
        self.cluster.add(_object(API, "Certificate", "web", "default", spec=spec))

    def state(self, version: str, kind: str, name: str, namespace: str = "") -> Object:
        """Of its condition Ready; empty without one."""
        found = self.cluster.get(version, kind, name, namespace) or {}
        conditions = (found.get("status") or {}).get("conditions") or ()
        return next((c for c in conditions if c["type"] == "Ready"), {})

    def objects(self, version: str, kind: str) -> list[Object]:
        self.cluster.do(self.cluster.api.settled())
        return self.cluster.act(lambda: self.cluster.api.list(version, kind))

    def challenges(self) -> list[str]:
        return [str((c.get("status") or {}).get("reason", "")) for c in self.objects(ACME, "Challenge")]

    def until(self, holds: Callable[[], bool]) -> None:
        """For what a timer of the controller brings about."""
        end = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < end
            time.sleep(0.01)


def _object(version: str, kind: str, name: str, namespace: str = "", **fields: Any) -> Object:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **fields}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    yield made
    made.cluster.close()


def test_a_challenge_is_seen_by_public_resolvers(lab: Lab) -> None:
    """Those that the controller's arguments name."""
    lab.install()
    lab.token()
    lab.acme()
    lab.certificate()

    assert lab.state(API, "Certificate", "web", "default")["status"] == "True"


def test_without_resolvers_a_challenge_waits_for_ever_behind_bind(lab: Lab) -> None:
    """Split horizon: the pod asks CoreDNS; with a rule for these names it would be answered."""
    lab.install(values="")
    lab.token()
    lab.acme()
    config = lab.cluster.get("v1", "ConfigMap", "coredns", "kube-system") or {}
    bind = "example.org:53 {\n    forward . 192.168.191.1\n}\n"
    _serve(lab, config, bind + config["data"]["Corefile"])

    lab.certificate()

    assert lab.state(API, "Certificate", "web", "default")["status"] == "False"
    assert any("not yet propagated" in told for told in lab.challenges())
    _serve(lab, config, RULE + bind + config["data"]["Corefile"])
    lab.until(lambda: lab.state(API, "Certificate", "web", "default")["status"] == "True")


def _serve(lab: Lab, config: Object, text: str) -> None:
    """CoreDNS starts with it, as after a roll-out."""
    lab.cluster.act(lambda: lab.cluster.api.apply({**config, "data": {"Corefile": text}}))
    pods = lab.cluster.act(lambda: lab.cluster.api.list("v1", "Pod", "kube-system"))
    for pod in pods:
        if (pod["metadata"].get("labels") or {}).get("k8s-app") == "kube-dns":
            lab.cluster.act(lambda pod=pod: lab.cluster.api.remove(pod))  # type: ignore[misc]
    lab.cluster.act(lambda: lab.cluster.api.apply({**config, "data": {"Corefile": text + "# again\n"}}))


def test_a_refused_record_fails_nothing(lab: Lab) -> None:
    """The challenge waits with the reason, and is presented when the token is right."""
    lab.install()
    lab.token("another-token")
    lab.acme()
    lab.certificate()

    (challenge, _) = lab.objects(ACME, "Challenge")
    assert challenge["status"]["state"] == "pending"
    assert "Error: 9109: Invalid access token" in challenge["status"]["reason"]
    assert "failedIssuanceAttempts" not in (lab.cluster.get(API, "Certificate", "web", "default") or {})["status"]

    lab.cluster.lab.state["cloudflare"].tokens["another-token"] = cloudflare.Token(("example.org",))
    lab.until(lambda: lab.state(API, "Certificate", "web", "default")["status"] == "True")


@pytest.mark.parametrize("permissions", [(cloudflare.ZONE,), (cloudflare.ZONE, cloudflare.READ)])
def test_a_token_that_may_not_edit_is_refused_when_a_record_is_written(lab: Lab, permissions: tuple[str, ...]) -> None:
    """Or read, which comes first."""
    lab.install()
    lab.token()
    cloudflare.account(lab.cluster.lab).tokens[TOKEN].permissions = permissions
    lab.acme()
    lab.certificate()

    (challenge, _) = lab.objects(ACME, "Challenge")
    assert "Error: 10000: Authentication error" in challenge["status"]["reason"]


def test_a_domain_that_lets_encrypt_may_not_serve_fails_the_order(lab: Lab) -> None:
    """A CAA record: the request fails, and cert-manager waits an hour."""
    lab.install()
    lab.token()
    lab.acme()
    lab.cluster.lab.state["caa"] = {"example.org"}
    lab.certificate()

    found = lab.cluster.get(API, "Certificate", "web", "default") or {}
    assert found["status"]["failedIssuanceAttempts"] == 1
    assert 'order is in "invalid" state' in str(found["status"]["conditions"])
    assert "prevents issuance" in lab.challenges()[0]


def test_a_release_without_the_fix_never_ends_a_challenge(lab: Lab) -> None:
    """Apex and wildcard share a name: the first one is valid and cannot be cleaned up, the second one never begins."""
    lab.install(version="v1.16.1")
    lab.token()
    lab.acme()
    lab.certificate()

    done, waiting = sorted(lab.objects(ACME, "Challenge"), key=lambda c: "status" not in c)
    assert (done["status"]["state"], done["status"]["processing"]) == ("valid", True)
    assert 'DELETE "/zones//dns_records/' in done["status"]["reason"]
    assert "Error: 7003: Could not route to /client/v4/zones/dns_records/" in done["status"]["reason"]
    assert "status" not in waiting
    assert lab.state(API, "Certificate", "web", "default")["status"] == "False"


def test_the_release_with_the_fix_leaves_nothing(lab: Lab) -> None:
    """The same, from 1.16.4 on."""
    lab.install(version="v1.16.5")
    lab.token()
    lab.acme()
    lab.certificate()

    assert lab.state(API, "Certificate", "web", "default")["status"] == "True"
    assert lab.objects(ACME, "Challenge") == []
    assert not any(lab.cluster.lab.state["cloudflare"].records.values())


def test_a_challenge_cannot_go_without_the_controller(lab: Lab) -> None:
    """Its finalizer waits for the record to be removed."""
    lab.install(values="")
    lab.token()
    lab.acme()
    config = lab.cluster.get("v1", "ConfigMap", "coredns", "kube-system") or {}
    _serve(lab, config, "example.org:53 {\n    forward . 192.168.191.1\n}\n" + config["data"]["Corefile"])
    lab.certificate()
    deployment = ("apps/v1", "Deployment", "cert-manager", NAMESPACE)

    with lab.cluster.broken(deployment, {"spec": {"replicas": 0}}):
        lab.cluster.act(lambda: lab.cluster.api.delete(API, "Certificate", "web", "default"))
        assert len(lab.challenges()) == 1  # the other one was never begun, and has no finalizer

    lab.until(lambda: lab.challenges() == [])
    assert not any(lab.cluster.lab.state["cloudflare"].records.values())


def test_an_account_needs_a_mailbox(lab: Lab) -> None:
    """Let's Encrypt refuses addresses of the documentation's domains."""
    lab.install()

    found = lab.acme("ops@example.com")

    assert (found["status"], found["reason"]) == ("False", "ErrRegisterACMEAccount")
    assert "forbidden domain" in found["message"]


def test_an_authority_needs_its_key(lab: Lab) -> None:
    """And a certificate that may sign."""
    lab.install()

    found = lab.issuer("own", ca={"secretName": "none"})

    assert (found["status"], found["reason"]) == ("False", "ErrGetKeyPair")


def test_renewing_by_hand_gives_another_certificate(lab: Lab) -> None:
    """`cmctl renew` sets a condition."""
    lab.install()
    lab.issuer("root", selfSigned={})
    lab.certificate("root")
    before = lab.cluster.get("v1", "Secret", "web", "default") or {}
    found = lab.cluster.get(API, "Certificate", "web", "default") or {}

    lab.cluster.act(lambda: lab.cluster.api.set_condition(found, "Issuing", True, "ManuallyTriggered", ""))

    after = lab.cluster.get("v1", "Secret", "web", "default") or {}
    assert after["data"]["tls.crt"] != before["data"]["tls.crt"]
    assert (lab.cluster.get(API, "Certificate", "web", "default") or {})["status"]["revision"] == 2


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        pytest.param({"ca": {"secretNam": "root"}}, "spec.ca.secretNam", id="a field that does not exist"),
        pytest.param({"ca": {}}, "spec.ca.secretName", id="a required field is missing"),
        pytest.param({"acme": {"server": SERVER, "privateKeySecretRef": "account"}}, "spec.acme", id="a wrong type"),
    ],
)
def test_an_issuer_keeps_to_its_definition(lab: Lab, spec: dict[str, Any], field: str) -> None:
    """A typing error is refused, as by a real cluster, and not taken and forgotten."""
    lab.install()
    issuer = _object(API, "ClusterIssuer", "wrong", spec=spec)

    with pytest.raises(ApiError, match=field):
        lab.cluster.act(lambda: lab.cluster.api.apply(issuer))
