"""cert-manager: each check's fault, second run, rollback, challenges that fail, what is not ours."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tasks.lab import cloudflare
from tasks.lab.cloudflare import TOKEN
from tasks.lab.helm import store
from tasks.lab.issuing import authority as pki
from tasks.phase6_extended_services import cert_manager
from tasks.phase6_extended_services.cert_manager import requesting
from tasks.phase6_extended_services.cert_manager import rollback as removal
from tests.lab_cluster import LabCluster, Place
from thinkube_nornir.component import Chain
from thinkube_nornir.errors import CheckFailed, DeadlinePassed, Refused, ThinkubeError
from thinkube_nornir.lab.kube import Object
from thinkube_nornir.outcome import Outcome, outcome_of
from thinkube_nornir.secret import Secret

COMPONENT = cert_manager.COMPONENT
NAMES = ("example.org", "*.example.org", "*.kn.example.org")
SETTINGS = {
    "acme_issuer": "ca",
    "cert_manager_version": "v1.20.3",
    "ingress_namespace": "ingress",
    "ingress_kn_namespace": "ingress-kn",
    "certificate_namespaces": ["shop"],
}
ACME = {"acme_issuer": "letsencrypt-staging", "acme_email": "ops@home.example"}
RULE = "_acme-challenge.example.org:53 _acme-challenge.kn.example.org:53 {\n    forward . 8.8.8.8\n}\n"

CONTROLLER: Place = ("apps/v1", "Deployment", "cert-manager", "cert-manager")
WEBHOOK: Place = ("apps/v1", "Deployment", "cert-manager-webhook", "cert-manager")
DEFINITION: Place = ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "orders.acme.cert-manager.io", "")
ISSUER: Place = ("cert-manager.io/v1", "ClusterIssuer", "thinkube-ca", "")
STAGING: Place = ("cert-manager.io/v1", "ClusterIssuer", "letsencrypt-staging", "")
CERTIFICATE: Place = ("cert-manager.io/v1", "Certificate", "example-org-tls", "default")
SECRET: Place = ("v1", "Secret", "example-org-tls", "default")
COPY: Place = ("v1", "Secret", "ingress-tls-secret", "ingress")
TOKEN_SECRET: Place = ("v1", "Secret", "cloudflare-api-token", "cert-manager")
CRON: Place = ("batch/v1", "CronJob", "certificate-copier", "cert-manager")
SCRIPT: Place = ("v1", "ConfigMap", "certificate-copier", "cert-manager")
COREFILE: Place = ("v1", "ConfigMap", "coredns", "kube-system")
HELM: Place = ("v1", "Secret", "sh.helm.release.v1.cert-manager.v1", "cert-manager")

Break = Callable[[LabCluster], AbstractContextManager[Any]]


def ready(folder: Path, **settings: Any) -> LabCluster:
    """As phase 5 leaves it; the token is at hand."""
    made = LabCluster(folder, **SETTINGS | settings)
    for machine in made.machines.values():
        machine.secrets = {"CLOUDFLARE_TOKEN": Secret(TOKEN)}
    config = made.get(*COREFILE)
    assert config is not None
    text = RULE + config["data"]["Corefile"]
    made.act(lambda: made.api.apply({**config, "data": {"Corefile": text}}))
    return made


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LabCluster]:
    made = ready(tmp_path)
    yield made
    made.close()


@pytest.fixture
def acme(tmp_path: Path) -> Iterator[LabCluster]:
    made = ready(tmp_path, **ACME)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, LabCluster]]:
    """Set up once with each kind of issuer: each test mends what it broke."""
    made = {
        "ca": ready(tmp_path_factory.mktemp("ca")),
        "acme": ready(tmp_path_factory.mktemp("acme"), **ACME),
    }
    for one in made.values():
        one.run(COMPONENT)
    yield made
    for one in made.values():
        one.close()


def obj(place: Place, change: Object | None) -> Break:
    return lambda cluster: cluster.broken(place, change)


def asleep(inner: Break) -> Break:
    """While the controller does not run, which would mend it at once."""

    @contextmanager
    def broken(cluster: LabCluster) -> Iterator[None]:
        with cluster.broken(CONTROLLER, {"spec": {"replicas": 0}}), inner(cluster):
            yield

    return broken


def setting(name: str, value: Any) -> Break:
    @contextmanager
    def broken(cluster: LabCluster) -> Iterator[None]:
        settings = cluster.machines["tkc"].settings
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(settings, name, value)
            yield

    return broken


def arguments(change: Callable[[list[str]], list[str]]) -> Break:
    @contextmanager
    def broken(cluster: LabCluster) -> Iterator[None]:
        found = cluster.get(*CONTROLLER) or {}
        container = found["spec"]["template"]["spec"]["containers"][0]
        changed = container | {"args": change(container["args"])}
        with cluster.broken(CONTROLLER, {"spec": {"template": {"spec": {"containers": [changed]}}}}):
            yield

    return broken


def without(name: str) -> Callable[[list[str]], list[str]]:
    return lambda given: [word for word in given if not word.startswith(name)]


def image(place: Place, container: str) -> Break:
    """From a registry that nobody knows."""
    containers = [{"name": container, "image": "registry.invalid/x:1"}]
    return obj(place, {"spec": {"template": {"spec": {"containers": containers}}}})


def condition(**fields: Any) -> Object:
    return {"status": {"conditions": [{"type": "Ready", "status": "True", **fields}]}}


def pair(*names: str, signed: bool = True, organization: str = "") -> dict[str, str]:
    """A TLS secret's data; by an authority of its own, or by nobody."""
    key = pki.new_key()
    request = x509.load_pem_x509_csr(pki.request_pem(key, names, "", "", authority=False))
    root = pki.new_key()
    asked = x509.load_pem_x509_csr(pki.request_pem(root, (), "stranger", organization, authority=True))
    unknown = pki.Authority(root, x509.load_pem_x509_certificate(pki.self_signed(root, asked).encode()))
    chain = unknown.sign(request) if signed else pki.self_signed(key, request)
    parts = {"tls.crt": chain.encode(), "tls.key": pki.key_pem(key)}
    return {name: base64.b64encode(part).decode() for name, part in parts.items()}


def content(**data: str | None) -> Break:
    return asleep(obj(SECRET, {"data": data}))


def own(*names: str, hours: float = 2000, other_key: bool = False) -> Break:
    """From the installation's own authority, so that only names, dates or key are wrong."""

    @contextmanager
    def broken(cluster: LabCluster) -> Iterator[None]:
        secret = cluster.get("v1", "Secret", "thinkube-ca", "cert-manager") or {}
        key = pki.new_key()
        request = x509.load_pem_x509_csr(pki.request_pem(key, names, "", "", authority=False))
        chain = pki.from_secret(secret["data"]).sign(request, hours)
        parts = {"tls.crt": chain.encode(), "tls.key": pki.key_pem(pki.new_key() if other_key else key)}
        data = {name: base64.b64encode(part).decode() for name, part in parts.items()}
        with asleep(obj(SECRET, {"data": data}))(cluster):
            yield

    return broken


def failed_order() -> Break:
    @contextmanager
    def broken(cluster: LabCluster) -> Iterator[None]:
        place = ("acme.cert-manager.io/v1", "Order", "example-org-tls-9-order", "default")
        spec = {"dnsNames": list(NAMES), "issuerRef": {"name": "thinkube-ca"}, "request": ""}
        with cluster.broken(CONTROLLER, {"spec": {"replicas": 0}}), cluster.broken(place, {"spec": spec}):
            found = cluster.get(*place) or {}
            cluster.act(lambda: cluster.api.set_status(found, state="errored", reason="no token"))
            yield

    return broken


def no_namespace() -> Break:
    """All that is in it goes along, so only set-up makes it whole again."""

    @contextmanager
    def broken(cluster: LabCluster) -> Iterator[None]:
        cluster.act(lambda: cluster.api.delete("v1", "Namespace", "cert-manager"))
        yield
        cluster.act(lambda: [cluster.api.delete(*place) for place in (CERTIFICATE, SECRET)])  # their authority has gone
        cluster.run(COMPONENT)

    return broken


def job_of(cluster: LabCluster) -> Place:
    """The one that set-up started."""
    (found,) = cluster.act(lambda: cluster.api.list("batch/v1", "Job", "cert-manager"))
    return "batch/v1", "Job", found["metadata"]["name"], "cert-manager"


def job(change: Object | None) -> Break:
    return lambda cluster: cluster.broken(job_of(cluster), change)


def release(status: str) -> Break:
    @contextmanager
    def broken(cluster: LabCluster) -> Iterator[None]:
        before = store.revisions(cluster.api, "cert-manager")[-1]
        cluster.act(lambda: store.marked(cluster.api, before, status, ""))
        yield
        cluster.act(lambda: store.save(cluster.api, before))

    return broken


RELEASE = "release_cert_manager_is_as_declared"
TOKEN_OF_CLOUDFLARE = "manifest_token_of_cloudflare_is_as_declared"
RENEWAL = "manifest_renewal_of_copies_is_as_declared"
FAULTS: dict[str, list[tuple[str, Break]]] = {
    "manifest_namespace_of_cert_manager_is_as_declared": [("ca", no_namespace())],
    RELEASE: [
        ("ca", obj(HELM, None)),
        ("ca", release("failed")),
        ("ca", setting("cert_manager_version", "v1.18.6")),
        ("ca", setting("dns01_resolvers", ["9.9.9.9:53"])),
        ("ca", obj(DEFINITION, {"status": {"conditions": [{"type": "Established", "status": "False"}]}})),
        ("ca", obj(CONTROLLER, None)),
        ("ca", obj(CONTROLLER, {"spec": {"replicas": 0}})),
        ("ca", obj(("v1", "Service", "cert-manager-webhook", "cert-manager"), None)),
        ("ca", image(WEBHOOK, "cert-manager-webhook")),
        ("ca", arguments(without("--dns01-recursive-nameservers-only"))),
        ("ca", arguments(without("--dns01-recursive-nameservers="))),
        ("ca", arguments(lambda given: [*given, "--dns01-recursive-nameservers=8.8.8.8:53,1.1.1.1:53"])),
    ],
    "manifest_issuers_is_as_declared": [
        ("ca", asleep(obj(ISSUER, None))),
        ("ca", asleep(obj(ISSUER, condition(status="False", reason="ErrGetKeyPair", message="not found")))),
        ("ca", asleep(obj(ISSUER, condition(observedGeneration=0)))),
        ("acme", asleep(obj(STAGING, {"spec": {"acme": {"email": "somebody@else.example"}}}))),
    ],
    TOKEN_OF_CLOUDFLARE: [
        ("acme", obj(TOKEN_SECRET, None)),
        ("acme", obj(TOKEN_SECRET, {"data": {"api-token": ""}})),
        ("acme", obj(TOKEN_SECRET, {"data": {"api-token": None, "token": "eA=="}})),
        ("acme", obj(TOKEN_SECRET, {"data": {"api-token": "b2Ygc29tZWJvZHkgZWxzZQ=="}})),
    ],
    "manifest_certificate_is_as_declared": [
        ("ca", asleep(obj(CERTIFICATE, None))),
        ("ca", asleep(obj(CERTIFICATE, {"spec": {"dnsNames": ["example.org"]}}))),
    ],
    "certificate_is_ready": [
        ("ca", asleep(obj(CERTIFICATE, None))),
        ("ca", asleep(obj(CERTIFICATE, condition(status="False", reason="Expired")))),
        ("ca", asleep(obj(CERTIFICATE, condition(observedGeneration=0)))),
        ("ca", asleep(obj(CERTIFICATE, {"status": {"notAfter": "2020-01-01T00:00:00Z"}}))),
        ("ca", asleep(obj(CERTIFICATE, {"status": {"notAfter": ""}}))),
        ("ca", failed_order()),
    ],
    "secret_holds_the_certificate": [
        ("ca", asleep(obj(SECRET, None))),
        ("ca", content(**{"tls.key": ""})),
        ("ca", content(**{"tls.crt": "bm90aGluZw=="})),
        ("ca", content(**pair(*NAMES))),
        ("ca", content(**pair(*NAMES, signed=False))),
        ("ca", own(*NAMES, other_key=True)),
        ("ca", own("*.example.org", "*.kn.example.org")),
        ("ca", own(*NAMES, "more.example.org")),
        ("ca", own(*NAMES, hours=0.01)),
        ("acme", content(**pair(*NAMES, organization="Let's Encrypt"))),
        ("acme", content(**pair(*NAMES, signed=False))),
    ],
    "manifest_namespaces_of_copies_is_as_declared": [("ca", setting("certificate_namespaces", ["other"]))],
    "manifest_copies_of_the_certificate_is_as_declared": [
        ("ca", obj(COPY, None)),
        ("ca", obj(COPY, {"data": pair(*NAMES)})),
        ("ca", obj(COPY, {"data": {"tls.key": pair(*NAMES)["tls.key"]}})),
        ("ca", asleep(obj(SECRET, None))),
    ],
    RENEWAL: [
        ("ca", obj(CRON, None)),
        ("ca", obj(CRON, {"spec": {"suspend": True}})),
        ("ca", setting("certificate_namespaces", ["other"])),
        ("ca", obj(SCRIPT, None)),
        ("ca", obj(SCRIPT, {"data": {"copy_certificate.py": "pass"}})),
        ("ca", obj(("rbac.authorization.k8s.io/v1", "RoleBinding", "certificate-copier", "ingress"), None)),
        ("ca", obj(("rbac.authorization.k8s.io/v1", "Role", "certificate-copier", "ingress"), {"rules": []})),
        ("ca", job(None)),
        ("ca", job({"status": {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimit"}]}})),
    ],
    "acme_names_bypass_bind": [
        ("ca", obj(COREFILE, {"data": {"Corefile": ".:53 {\n}\n"}})),
        ("ca", obj(COREFILE, {"data": {"Corefile": "_acme-challenge.example.org:53 {\n}\n"}})),
    ],
}


def test_every_check_has_a_fault() -> None:
    """A check that nobody has seen fail is no check."""
    assert FAULTS.keys() == {step.name for step in COMPONENT.verify.steps}


@pytest.mark.parametrize(
    ("check", "kind", "fault"),
    [pytest.param(c, k, f, id=f"{c}-{i}") for c, faults in FAULTS.items() for i, (k, f) in enumerate(faults)],
)
def test_check_fails_on_its_fault(shared: dict[str, LabCluster], check: str, kind: str, fault: Break) -> None:
    """Each check fails on the state it exists to catch, says what was seen and what to do, and holds again."""
    cluster = shared[kind]
    with fault(cluster):
        error = cluster.check(COMPONENT, check).exception

    assert isinstance(error, ThinkubeError), error
    assert error.why
    assert error.fix
    assert cluster.check(COMPONENT, check).exception is None


@pytest.mark.parametrize("kind", ["ca", "acme"])
def test_a_second_run_changes_nothing(shared: dict[str, LabCluster], kind: str) -> None:
    """Green, and neither a host nor the cluster is written to."""
    cluster = shared[kind]
    cluster.forget_history()
    before = cluster.objects()

    results = cluster.run(COMPONENT) | cluster.run(COMPONENT, "verify", read_only=True)

    assert {name: str(r.exception) for name, r in results.items() if r.exception} == {}
    assert {outcome_of(r) for r in results.values()} == {Outcome.UNCHANGED, Outcome.PASSED}
    assert (cluster.altering, cluster.objects()) == ([], before)


def test_the_certificate_is_of_the_authority_that_was_chosen(shared: dict[str, LabCluster]) -> None:
    """Let's Encrypt's has its chain, ours has its authority beside it."""
    ours, theirs = (shared[kind].get(*SECRET) or {} for kind in ("ca", "acme"))

    assert "ca.crt" in ours["data"]
    assert base64.b64decode(theirs["data"]["tls.crt"]).count(b"BEGIN CERTIFICATE") == 2


def test_records_of_challenges_are_gone_when_the_certificate_is_there(shared: dict[str, LabCluster]) -> None:
    """Nothing is left in the zone, nor in the cluster."""
    cluster = shared["acme"]

    assert not any(cluster.lab.state["cloudflare"].records.values())
    assert cluster.act(lambda: cluster.api.list("acme.cert-manager.io/v1", "Challenge")) == []


@pytest.mark.parametrize("kind", ["ca", "acme"])
def test_rollback_leaves_the_cluster_as_it_was(tmp_path: Path, kind: str) -> None:
    """Set-up, then rollback, then rollback again, which has nothing to do."""
    cluster = ready(tmp_path, **(ACME if kind == "acme" else {}))
    try:
        before = cluster.objects()
        cluster.run(COMPONENT)

        cluster.run(COMPONENT, "rollback")
        again = cluster.run(COMPONENT, "rollback")

        assert cluster.objects() == before
        assert {outcome_of(r) for r in again.values()} == {Outcome.UNCHANGED}
        assert cluster.change_log.changes() == []
    finally:
        cluster.close()


@pytest.mark.parametrize("presented", [False, True])
def test_rollback_ends_though_cloudflare_refuses(
    acme: LabCluster, monkeypatch: pytest.MonkeyPatch, presented: bool
) -> None:
    """cert-manager keeps a challenge whose record it cannot remove; rollback lets it go, and says what stays."""
    monkeypatch.setattr(requesting, "_LOOK", 0.3)
    monkeypatch.setattr(requesting, "TIMEOUT", 1.0)
    monkeypatch.setattr(removal, "_CHALLENGES", 1.0)
    before, tokens = acme.objects(), cloudflare.account(acme.lab).tokens
    kept = tokens[TOKEN]
    if presented:
        acme.machines["tkc"].settings["dns01_resolvers"] = ["192.0.2.1:53"]  # the record is not seen there
    else:
        tokens[TOKEN] = replace(kept, permissions=(cloudflare.ZONE, cloudflare.READ))
    with pytest.raises(ThinkubeError):
        acme.run(COMPONENT)
    tokens[TOKEN] = replace(kept, permissions=(cloudflare.ZONE,))

    results = acme.run(COMPONENT, "rollback")

    told = str(results["end_challenges"].result)
    assert ("its record _acme-challenge.example.org was left at Cloudflare" in told) is presented
    assert "10000: Authentication error" in told
    assert acme.objects() == before


@pytest.mark.parametrize("steps", range(1, len(COMPONENT.setup.steps)))
def test_rollback_works_on_a_half_finished_set_up(tmp_path: Path, steps: int) -> None:
    """After any of its steps."""
    cluster = ready(tmp_path)
    try:
        before = cluster.objects()
        half = replace(COMPONENT, manages=(), setup=Chain(COMPONENT.setup.steps[:steps]))
        cluster.run(half)

        cluster.run(COMPONENT, "rollback")

        assert cluster.objects() == before
        assert cluster.change_log.changes() == []
    finally:
        cluster.close()


def test_a_dry_run_promises_and_writes_nothing(cluster: LabCluster) -> None:
    """Of a fresh cluster, and of one whose release is to be upgraded."""
    before = cluster.objects()
    first = cluster.run(COMPONENT, dry_run=True)
    assert outcome_of(first["release_cert_manager"]) is Outcome.PLANNED
    assert "dns01RecursiveNameservers: 8.8.8.8:53,1.1.1.1:53" in first["release_cert_manager"].diff
    assert (cluster.altering, cluster.objects()) == ([], before)

    cluster.run(COMPONENT)
    cluster.forget_history()
    before = cluster.objects()
    with setting("dns01_resolvers", ["9.9.9.9:53"])(cluster):
        second = cluster.run(COMPONENT, dry_run=True)
    assert outcome_of(second["release_cert_manager"]) is Outcome.PLANNED
    assert (cluster.altering, cluster.objects()) == ([], before)


def test_a_wrong_token_is_refused_before_anything_is_changed(acme: LabCluster) -> None:
    """With cert-manager itself it would cost an hour."""
    acme.machines["tkc"].secrets = {"CLOUDFLARE_TOKEN": Secret("some-other-token")}

    error = acme.run(COMPONENT, "preconditions")["token_sees_the_zone"].exception

    assert isinstance(error, CheckFailed)
    assert "9109: Invalid access token" in error.why
    assert not any("some-other-token" in command for command in acme.machines["tkc"].sent)


def test_a_certificate_that_was_refused_is_asked_for_anew(acme: LabCluster) -> None:
    """The failure is told at once with its cause; after it is removed, the next run does not wait an hour."""
    acme.lab.state["caa"] = {"example.org"}
    with pytest.raises(ThinkubeError, match="was not issued") as caught:
        acme.run(COMPONENT)
    assert "prevents issuance" in caught.value.why
    assert acme.get(*COPY) is None

    acme.lab.state["caa"] = set()
    results = acme.run(COMPONENT)

    assert "anew" in str(results["end_failed_request"].result)
    assert acme.check(COMPONENT, "certificate_is_ready").exception is None


def test_a_refused_record_is_told_before_the_deadline(acme: LabCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """cert-manager tries again for ever, and its Certificate never fails: a token that may only read shows so."""
    monkeypatch.setattr(requesting, "_LOOK", 0.3)
    tokens = cloudflare.account(acme.lab).tokens
    tokens[TOKEN] = cloudflare.Token(("example.org",), (cloudflare.ZONE, cloudflare.READ))
    assert acme.run(COMPONENT, "preconditions")["token_sees_the_zone"].exception is None

    with pytest.raises(ThinkubeError, match="was not issued") as caught:
        acme.run(COMPONENT)

    assert "Error: 10000: Authentication error" in caught.value.why
    plan = acme.run(COMPONENT, dry_run=True)
    assert "anew: a challenge could not be presented" in str(plan["end_failed_request"].result)
    tokens[TOKEN] = cloudflare.Token(("example.org",))
    acme.run(COMPONENT)
    assert acme.check(COMPONENT, "certificate_is_ready").exception is None


def test_a_release_without_the_fix_waits_until_the_deadline(acme: LabCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is why such a version is no setting; the deadline shows what cert-manager says."""
    monkeypatch.setattr(requesting, "_LOOK", 0.3)
    monkeypatch.setattr(requesting, "TIMEOUT", 2.0)

    with setting("cert_manager_version", "v1.16.1")(acme), pytest.raises(DeadlinePassed, match="waited 2 s") as caught:
        acme.run(COMPONENT)

    assert "7003: Could not route to /client/v4/zones/dns_records/" in caught.value.why


def test_a_release_of_ours_is_upgraded(cluster: LabCluster) -> None:
    """From the version that was pinned before: the plan shows it, and the certificate stays the same."""
    with setting("cert_manager_version", "v1.16.1")(cluster):
        cluster.run(COMPONENT)
    before = (cluster.get(*SECRET) or {})["data"]

    plan = cluster.run(COMPONENT, dry_run=True)
    results = cluster.run(COMPONENT)

    assert outcome_of(plan["release_cert_manager"]) is Outcome.PLANNED
    assert "v1.20.3" in str(plan["release_cert_manager"].result)
    assert outcome_of(results["release_cert_manager"]) is Outcome.CHANGED
    assert store.revisions(cluster.api, "cert-manager")[-1].version == "v1.20.3"
    assert (cluster.get(*SECRET) or {})["data"] == before
    assert {str(r.exception) for r in cluster.run(COMPONENT, "verify").values()} == {"None"}


def test_another_issuer_gives_another_certificate(acme: LabCluster) -> None:
    """From staging to production, and the copies follow."""
    acme.run(COMPONENT)
    with setting("acme_issuer", "letsencrypt-prod")(acme):
        acme.run(COMPONENT)
        results = acme.run(COMPONENT, "verify", read_only=True)

    assert {name: str(r.exception) for name, r in results.items() if r.exception} == {}


def test_a_certificate_of_lets_encrypt_survives_rollback(acme: LabCluster) -> None:
    """It gives few in a week; the next set-up takes it up again."""
    with setting("acme_issuer", "letsencrypt-prod")(acme):
        acme.run(COMPONENT)
        before = (acme.get(*SECRET) or {})["data"]
        results = acme.run(COMPONENT, "rollback")
        assert "was left" in str(results["end_challenges"].result)

        acme.run(COMPONENT)

        assert (acme.get(*SECRET) or {})["data"] == before


def test_definitions_stay_while_others_have_certificates(cluster: LabCluster) -> None:
    """Removing them would remove every certificate object in the cluster."""
    cluster.run(COMPONENT)
    theirs: Object = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": "theirs", "namespace": "default"},
        "spec": {"secretName": "theirs", "dnsNames": ["a.example"], "issuerRef": {"name": "x", "kind": "Issuer"}},
    }
    cluster.add(theirs)

    results = cluster.run(COMPONENT, "rollback")

    assert "others have Certificate default/theirs" in str(results["restore_release_cert_manager"].result)
    assert cluster.get("cert-manager.io/v1", "Certificate", "theirs", "default") is not None


def _forget(cluster: LabCluster) -> None:
    """Nobody knows any more that we made it: neither the journal nor the cluster."""
    for change in cluster.change_log.changes():
        cluster.change_log.undone(change)

    def forget() -> None:
        for secret in cluster.api.list("v1", "Secret", "kube-system"):
            if secret["type"] == "thinkube-nornir/change-record":
                cluster.api.remove(secret)

    cluster.act(forget)


def _made_long_ago(cluster: LabCluster) -> None:
    """The definitions: what a release brought is known by its time, in whole seconds, and a test takes less."""
    definition = cluster.api.registry.by_kind("apiextensions.k8s.io/v1", "CustomResourceDefinition")
    for obj in cluster.api.store.list(definition.id):
        obj["metadata"]["creationTimestamp"] = "2025-01-01T00:00:00Z"


def test_definitions_that_were_there_before_stay(cluster: LabCluster) -> None:
    """As an earlier cert-manager leaves them, which keeps them when it is uninstalled."""
    cluster.run(replace(COMPONENT, manages=(), setup=Chain(COMPONENT.setup.steps[:2])))
    helm = ("/snap/bin/microk8s.helm3", "uninstall", "cert-manager", "--namespace", "cert-manager", "--wait")
    cluster.do(cluster.lab.call("tkc", *helm))
    _forget(cluster)
    cluster.act(lambda: _made_long_ago(cluster))
    before = cluster.objects()
    assert any("CustomResourceDefinition" in name for name in before)

    cluster.run(COMPONENT)
    cluster.run(COMPONENT, "rollback")

    assert cluster.objects() == before


def test_a_cert_manager_of_others_gets_its_version_and_values_back(cluster: LabCluster) -> None:
    """With all that it needs: it was there before us."""
    cluster.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "cert-manager"}})
    source = ("cert-manager", "--repo", "https://charts.jetstack.io", "--version", "v1.18.6")
    upgrade = ("upgrade", "cert-manager", *source, "--install", "--namespace", "cert-manager", "--values", "-")
    values = "crds: {enabled: true}\nreplicaCount: 2\n"
    cluster.do(cluster.lab.call("tkc", "/snap/bin/microk8s.helm3", *upgrade, "--wait", stdin=values))
    before = {name: obj for name, obj in cluster.objects().items() if "sh.helm.release" not in name}

    cluster.run(COMPONENT)
    cluster.run(COMPONENT, "rollback")

    after = {name: obj for name, obj in cluster.objects().items() if "sh.helm.release" not in name}
    assert {name for name in before if before[name] != after.get(name)} == set()
    assert store.revisions(cluster.api, "cert-manager")[-1].values["replicaCount"] == 2
    assert set(after) - set(before) == set()


def test_a_namespace_that_others_use_by_now_stays(cluster: LabCluster) -> None:
    """With what is in it, and without our copy."""
    cluster.run(COMPONENT)
    service = {"ports": [{"port": 80}], "selector": {"app": "x"}}
    cluster.add(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "namespace": "shop"}, "spec": service}
    )

    results = cluster.run(COMPONENT, "rollback")

    assert "Namespace shop was left: it holds Service shop/x" in str(
        results["restore_manifest_namespaces_of_copies"].result
    )
    assert cluster.get("v1", "Service", "x", "shop") is not None
    assert cluster.get("v1", "Secret", "shop-tls-secret", "shop") is None


def test_a_secret_of_others_is_not_overwritten(cluster: LabCluster) -> None:
    """A copy's place that somebody else uses is refused."""
    for kind, metadata in (
        ("Namespace", {"name": "shop"}),
        ("Secret", {"name": "shop-tls-secret", "namespace": "shop"}),
    ):
        cluster.add({"apiVersion": "v1", "kind": kind, "metadata": metadata})

    with pytest.raises(Refused):
        cluster.run(COMPONENT)


def test_somebody_elses_certificate_is_not_overwritten(cluster: LabCluster) -> None:
    """cert-manager would write into a secret of that name, whoever made it."""
    metadata = {"name": "example-org-tls", "namespace": "default"}
    mine = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": metadata}
    cluster.add(mine | {"data": pair(*NAMES)})
    before = (cluster.get(*SECRET) or {})["data"]

    with pytest.raises(Refused, match="did not make it"):
        cluster.run(COMPONENT)

    assert (cluster.get(*SECRET) or {})["data"] == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"status": "disabled"}, "9109: Invalid access token"),
        ({"zones": ()}, "Cloudflare lists none"),
        ({"permissions": (cloudflare.EDIT,)}, "Cloudflare lists none"),
        ({"permissions": (cloudflare.ZONE,)}, "10000: Authentication error"),
    ],
)
def test_a_token_must_see_what_is_needed(acme: LabCluster, change: dict[str, Any], says: str) -> None:
    """The zone, and its records."""
    tokens = cloudflare.account(acme.lab).tokens
    tokens[TOKEN] = replace(tokens[TOKEN], **change)

    error = acme.run(COMPONENT, "preconditions")["token_sees_the_zone"].exception

    assert isinstance(error, CheckFailed)
    assert says in error.why


def test_a_token_of_an_account_is_as_good(acme: LabCluster) -> None:
    """/user/tokens/verify does not know it."""
    tokens = cloudflare.account(acme.lab).tokens
    tokens[TOKEN] = replace(tokens[TOKEN], owner="account")

    assert acme.run(COMPONENT, "preconditions")["token_sees_the_zone"].exception is None


def test_a_token_with_a_stray_character_is_refused_with_the_reason(acme: LabCluster) -> None:
    """Cloudflare's second sentence says what is wrong."""
    acme.machines["tkc"].secrets = {"CLOUDFLARE_TOKEN": Secret("not a token")}

    error = acme.run(COMPONENT, "preconditions")["token_sees_the_zone"].exception

    assert isinstance(error, CheckFailed)
    assert "6003: Invalid request headers <- 6111: Invalid format for Authorization header" in error.why


def test_a_zone_that_cloudflare_does_not_serve_is_refused(acme: LabCluster) -> None:
    """Nobody would see the records."""
    cloudflare.account(acme.lab).pending.add("example.org")

    error = acme.run(COMPONENT, "preconditions")["token_sees_the_zone"].exception

    assert isinstance(error, CheckFailed)
    assert "its status is pending" in error.why


def test_a_placeholder_is_not_taken_for_the_certificate(acme: LabCluster) -> None:
    """Asked for by an annotation, cert-manager writes a certificate nobody signed at once."""
    cloudflare.account(acme.lab).tokens.clear()
    note = {"metadata": {"annotations": {"cert-manager.io/issue-temporary-certificate": "true"}}}
    with ExitStack() as stack:
        steps = COMPONENT.setup.steps
        acme.run(replace(COMPONENT, manages=(), setup=Chain(steps[:5])))
        stack.enter_context(acme.broken(CERTIFICATE, {**note, "spec": _spec()}))
        assert acme.get(*SECRET) is not None

        faults = acme.check(COMPONENT, "secret_holds_the_certificate").exception

    assert isinstance(faults, CheckFailed)
    assert "placeholder" in faults.why


def _spec() -> Object:
    issuer = {"name": "letsencrypt-staging", "kind": "ClusterIssuer", "group": "cert-manager.io"}
    return {"secretName": "example-org-tls", "dnsNames": list(NAMES), "issuerRef": issuer}
