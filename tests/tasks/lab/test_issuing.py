"""The lab's cert-manager: what its challenges need, what it refuses, and what hangs without it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.lab.cloudflare import TOKEN
from tasks.lab.issuing.base import ACME, API, NAMESPACE
from tests.lab_cluster import LabCluster
from thinkube_nornir.lab.kube import Object

HELM = ("/snap/bin/microk8s.helm3", "upgrade", "cert-manager", "cert-manager", "--repo", "https://charts.jetstack.io")
FLAGS = "dns01RecursiveNameservers: 8.8.8.8:53\ndns01RecursiveNameserversOnly: true\n"
SERVER = "https://acme-staging-v02.api.letsencrypt.org/directory"
RULE = "_acme-challenge.example.org:53 {\n    forward . 8.8.8.8\n}\n"


class Lab:
    def __init__(self, folder: Path) -> None:
        self.cluster = LabCluster(folder)
        self.cluster.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})

    def install(self, values: str = FLAGS) -> None:
        argv = (*HELM, "--install", "--namespace", NAMESPACE, "--values", "-", "--wait")
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

    def challenges(self) -> list[str]:
        found = self.cluster.act(lambda: self.cluster.api.list(ACME, "Challenge"))
        return [str((c.get("status") or {}).get("reason", "")) for c in found]


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
    assert "not yet propagated" in lab.challenges()[0]
    _serve(lab, config, RULE + bind + config["data"]["Corefile"])
    assert lab.state(API, "Certificate", "web", "default")["status"] == "True"


def _serve(lab: Lab, config: Object, text: str) -> None:
    """CoreDNS starts with it, as after a roll-out."""
    lab.cluster.act(lambda: lab.cluster.api.apply({**config, "data": {"Corefile": text}}))
    pods = lab.cluster.act(lambda: lab.cluster.api.list("v1", "Pod", "kube-system"))
    for pod in pods:
        if (pod["metadata"].get("labels") or {}).get("k8s-app") == "kube-dns":
            lab.cluster.act(lambda pod=pod: lab.cluster.api.remove(pod))  # type: ignore[misc]
    lab.cluster.act(lambda: lab.cluster.api.apply({**config, "data": {"Corefile": text + "# again\n"}}))


def test_a_wrong_token_fails_the_order(lab: Lab) -> None:
    """And is not tried again at once, also when it is corrected."""
    lab.install()
    lab.token("another-token")
    lab.acme()
    lab.certificate()

    found = lab.cluster.get(API, "Certificate", "web", "default") or {}
    assert found["status"]["failedIssuanceAttempts"] == 1
    assert "Authentication error" in str(found["status"]["conditions"])


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
        assert len(lab.challenges()) == 1

    assert lab.challenges() == []
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
