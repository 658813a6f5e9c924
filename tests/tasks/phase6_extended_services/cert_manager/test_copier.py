"""The job that carries renewals to the copies: set-up runs it once in the cluster, and nothing else proves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import Environment
from nornir.core.task import Task

from tasks.phase6_extended_services import cert_manager
from tasks.phase6_extended_services.cert_manager import resources
from tests.lab_cluster import ROOT, LabCluster, Place
from tests.tasks.phase6_extended_services.cert_manager.test_cert_manager import CRON, ready
from thinkube_nornir.errors import CheckFailed, DeadlinePassed
from thinkube_nornir.lab.kube import Object
from thinkube_nornir.outcome import Outcome, outcome_of
from thinkube_nornir.resources import Manifest, NotAsDeclared
from thinkube_nornir.templates import render

COMPONENT = cert_manager.COMPONENT
RENEWED = "manifest_renewal_of_copies_is_as_declared"
SCRIPT = (ROOT / "templates/cert_manager/copy_certificate.py").read_text()
COPY: Place = ("v1", "Secret", "ingress-tls-secret", "ingress")
SECRET: Place = ("v1", "Secret", "example-org-tls", "default")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LabCluster]:
    made = ready(tmp_path)
    yield made
    made.close()


def jobs(cluster: LabCluster) -> list[Object]:
    cluster.do(cluster.api.settled())
    return cluster.act(lambda: cluster.api.list("batch/v1", "Job", "cert-manager"))


def strict(task: Task, template: str, **values: Any) -> str:
    """The script as it was."""
    if not template.endswith(".py"):
        return render(task, template, **values)
    return "".join(line for line in SCRIPT.splitlines(keepends=True) if "VERIFY_X509_STRICT" not in line)


def test_set_up_runs_it_once(cluster: LabCluster) -> None:
    """With the very pod that the CronJob has."""
    cluster.run(COMPONENT)

    (job,) = jobs(cluster)
    cron = cluster.get(*CRON) or {}
    assert job["spec"]["template"]["spec"] == cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert [c["type"] for c in job["status"]["conditions"] if c["status"] == "True"][-1] == "Complete"


@pytest.fixture
def old_authority(tmp_path: Path) -> Iterator[LabCluster]:
    made = ready(tmp_path, microk8s_channel="1.32/stable")
    yield made
    made.close()


def test_a_script_that_is_strict_cannot_reach_the_api(
    old_authority: LabCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With MicroK8s 1.32 and the image of Python 3.13: set-up is red, and the job's log says why."""
    monkeypatch.setattr(resources, "render", strict)

    with pytest.raises(CheckFailed, match=r"Job cert-manager/certificate-copier-.* failed") as caught:
        old_authority.run(COMPONENT)

    assert "CA cert does not include key usage extension" in caught.value.why


def test_a_copier_without_a_right_says_which(cluster: LabCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its account can do what its Roles say, and nothing else; the job's log has the API's words."""
    plain = Manifest.declared

    def lacking(self: Manifest, task: Task) -> list[Object]:
        made = plain(self, task)
        for rule in (rule for obj in made if obj["kind"] == "Role" for rule in obj["rules"]):
            rule["verbs"] = ["list"]
        return made

    monkeypatch.setattr(Manifest, "declared", lacking)

    with pytest.raises(CheckFailed, match=r"Job cert-manager/certificate-copier-.* failed") as caught:
        cluster.run(COMPONENT)

    assert 'cannot get resource "secrets"' in caught.value.why.replace("\\", "")
    assert "system:serviceaccount:cert-manager:certificate-copier" in caught.value.why


def test_a_job_that_failed_is_run_again(cluster: LabCluster) -> None:
    """Its name is that of its content, so the failed one goes first; afterwards nothing is to be done."""
    cluster.run(COMPONENT)
    (before,) = jobs(cluster)
    place = ("batch/v1", "Job", before["metadata"]["name"], "cert-manager")
    conditions = [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "too slow"}]
    cluster.act(lambda: cluster.api.set_status(cluster.api.get(*place) or {}, conditions=conditions))
    error = cluster.check(COMPONENT, RENEWED).exception
    assert isinstance(error, NotAsDeclared)
    assert "too slow" in error.why

    results = cluster.run(COMPONENT)
    again = cluster.run(COMPONENT)

    assert [outcome_of(r["manifest_renewal_of_copies"]) for r in (results, again)] == [
        Outcome.CHANGED,
        Outcome.UNCHANGED,
    ]
    assert [job["metadata"]["uid"] for job in jobs(cluster)] != [before["metadata"]["uid"]]
    assert cluster.check(COMPONENT, RENEWED).exception is None


def test_other_copies_are_proved_anew(cluster: LabCluster) -> None:
    """A Job that knew nothing of a namespace says nothing about it, and goes."""
    cluster.run(COMPONENT)
    settings = cluster.machines["tkc"].settings
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(settings, "certificate_namespaces", ["shop", "shelf"])
        results = cluster.run(COMPONENT)

    assert outcome_of(results["manifest_renewal_of_copies"]) is Outcome.CHANGED
    assert len(jobs(cluster)) == 1


def test_a_suspended_copier_is_woken(cluster: LabCluster) -> None:
    """Whoever suspended it: no copy would follow a renewal."""
    cluster.run(COMPONENT)
    with cluster.broken(CRON, {"spec": {"suspend": True}}):
        error = cluster.check(COMPONENT, RENEWED).exception
        cluster.run(COMPONENT)

        assert (cluster.get(*CRON) or {})["spec"]["suspend"] is False

    assert isinstance(error, NotAsDeclared)
    assert "spec.suspend true" in error.seen
    assert cluster.check(COMPONENT, RENEWED).exception is None


def test_a_run_of_the_schedule_that_failed_is_red(cluster: LabCluster) -> None:
    """And says how to run it; the next success makes it green."""
    cluster.run(COMPONENT)
    cron = cluster.get(*CRON) or {}
    cluster.act(lambda: cluster.api.set_status(cron, lastScheduleTime="2999-01-01T00:00:00Z"))

    error = cluster.check(COMPONENT, RENEWED).exception

    assert isinstance(error, NotAsDeclared)
    assert error.what == "CronJob cert-manager/certificate-copier has not run well"
    assert "kubectl -n cert-manager create job --from=cronjob/certificate-copier" in error.fix


def test_an_image_that_cannot_be_pulled_is_named(cluster: LabCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline is before the Job's own, which would take away the pod that says why."""
    cron = yaml.safe_load_all(_rendered({"ingress": "ingress-tls-secret"}))
    limit = next(o["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] for o in cron if o["kind"] == "CronJob")
    assert limit > resources.RENEWAL.timeout
    monkeypatch.setitem(vars(resources.RENEWAL), "timeout", 0.5)
    monkeypatch.setitem(
        cluster.machines["tkc"].settings, "certificate_copier_image", "registry.invalid/python:3.13-alpine"
    )

    with pytest.raises(DeadlinePassed) as caught:
        cluster.run(COMPONENT)

    assert "ImagePullBackOff" in caught.value.why
    assert "registry.invalid" in caught.value.why


def test_a_renewal_reaches_the_copies(cluster: LabCluster) -> None:
    """As the schedule would have it: a Job of the CronJob carries a new certificate to a copy."""
    cluster.run(COMPONENT)
    (first,) = jobs(cluster)
    fresh = (cluster.get(*SECRET) or {})["data"]
    with cluster.broken(COPY, {"data": {"tls.crt": "b2xk", "tls.key": "b2xk"}}):
        later = {"name": "certificate-copier-29401000", "namespace": "cert-manager"}
        spec = {"backoffLimit": 0, "template": {"spec": first["spec"]["template"]["spec"]}}
        cluster.add({"apiVersion": "batch/v1", "kind": "Job", "metadata": later, "spec": spec})

        assert (cluster.get(*COPY) or {})["data"] == fresh
        assert cluster.check(COMPONENT, RENEWED).exception is None


def test_the_copier_has_the_rights_it_needs_and_no_more() -> None:
    """Each of its two verbs, on the named secrets alone: RBAC may be switched on at any time."""
    copies = {"ingress": "ingress-tls-secret", "shop": "shop-tls-secret"}
    objects = list(yaml.safe_load_all(_rendered(copies)))
    bound = {
        (o["metadata"]["namespace"], o["roleRef"]["name"])
        for o in objects
        if o["kind"] == "RoleBinding"
        and o["subjects"] == [{"kind": "ServiceAccount", "name": "copier", "namespace": "cert-manager"}]
    }
    granted = {
        (o["metadata"]["namespace"], verb, resource, name)
        for o in objects
        if o["kind"] == "Role" and (o["metadata"]["namespace"], o["metadata"]["name"]) in bound
        for rule in o["rules"]
        if rule["apiGroups"] == [""]
        for verb in rule["verbs"]
        for resource in rule["resources"]
        for name in rule["resourceNames"]
    }

    # GET and PATCH of existing secrets: a server-side apply asks for `create` only where nothing is there
    assert granted == {
        ("default", "get", "secrets", "tls"),
        *((place, verb, "secrets", name) for place, name in copies.items() for verb in ("get", "patch")),
    }
    assert {word for word in ("GET", "PATCH", "PUT", "POST", "DELETE") if f'"{word}"' in SCRIPT} == {"GET", "PATCH"}


def _rendered(copies: dict[str, str]) -> str:
    template = Environment(autoescape=False, trim_blocks=True, lstrip_blocks=True).from_string(  # noqa: S701  YAML
        (ROOT / "templates/cert_manager/copier.yaml.j2").read_text()
    )
    values: dict[str, Any] = {"copier": "copier", "image": "python:3.13", "namespace": "cert-manager"}
    values |= {"source_namespace": "default", "source": "tls", "copies": copies, "script": "pass", "checksum": ""}
    return template.render(values)
