"""The job in the cluster that carries renewals to the copies: installed, run once, and looked at.

A CronJob that is there proves nothing. Set-up starts one Job of it, as `kubectl create job --from=cronjob/...` does,
and requires its success; verify looks at the last one. The CronJob's own history limits remove what is older.

Source: kubernetes/kubernetes@008b3652959c staging/src/k8s.io/kubectl/pkg/cmd/create/create_job.go
Source: kubernetes/kubernetes@003e86297d18 pkg/controller/cronjob/cronjob_controllerv2.go
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.cert_manager.checks import told
from tasks.phase6_extended_services.cert_manager.copies import restored
from tasks.phase6_extended_services.cert_manager.issuing import (
    NAMESPACE,
    SOURCE_NAMESPACE,
    certificate_name,
    copied_secrets,
    manifests,
)
from tasks.shared.cluster.control_plane import Object, expect, kube, name_of
from thinkube_nornir.cluster import apply, condition_true, delete, wait, workload_troubles
from thinkube_nornir.context import context, setting
from thinkube_nornir.errors import CheckFailed, DeadlinePassed
from thinkube_nornir.fixes import set_up
from thinkube_nornir.outcome import all_of, changed, passed, unchanged
from thinkube_nornir.templates import render

COPIER = "certificate-copier"
RUN = 540.0  # seconds; shorter than the Job's own deadline, which takes away the pods that say why
_CRON, _JOB = ("batch/v1", "CronJob"), ("batch/v1", "Job")
_CHECKSUM = "thinkube-nornir/checksum"
_AGE = timedelta(hours=26)  # it is scheduled once a day
_WAKE = f'kubectl -n {NAMESPACE} patch cronjob {COPIER} --patch \'{{"spec": {{"suspend": false}}}}\''


def _manifests(task: Task) -> list[Object]:
    """With a checksum of what runs, which each Job of it gets, too."""
    made = manifests(
        task,
        "copier",
        copier=COPIER,
        image=setting(task, "certificate_copier_image"),
        namespace=NAMESPACE,
        source_namespace=SOURCE_NAMESPACE,
        source=certificate_name(task),
        copies=copied_secrets(task),
        script=render(task, "cert_manager/copy_certificate.py"),
    )
    found = {manifest["kind"]: manifest for manifest in made}
    content = json.dumps([found["ConfigMap"]["data"], found["CronJob"]["spec"]["jobTemplate"]], sort_keys=True)
    checksum = hashlib.sha256(content.encode()).hexdigest()[:16]
    found["CronJob"]["spec"]["jobTemplate"]["metadata"] = {"annotations": {_CHECKSUM: checksum}}
    return made


def _template(task: Task) -> Object:
    """Of the Jobs, as it is wanted."""
    cron = next(manifest for manifest in _manifests(task) if manifest["kind"] == "CronJob")
    return dict(cron["spec"]["jobTemplate"])


def install_copier(task: Task) -> Result:
    api = kube(task)
    return all_of(task, *[apply(api, manifest) for manifest in _manifests(task)])


def remove_copier(task: Task) -> Result:
    """With its Jobs. What it wrote into other namespaces was ours from the beginning."""
    return restored(task, ("Job", "CronJob", "ConfigMap", "RoleBinding", "Role", "ServiceAccount"), COPIER)


def run_copier(task: Task) -> Result:
    """Once for each content of the CronJob, and again after a run that failed."""
    last, what = _last(_jobs(task)), f"run CronJob {NAMESPACE}/{COPIER} once"
    if last is not None and not _fault(task, last):
        return unchanged(task, f"Job {name_of(last)} has copied the certificate")
    if context(task).dry_run:
        return changed(task, what, planned=True)
    running = _last(_jobs(task), ended=False)
    started = unchanged(task, "a Job is running") if running else _started(task, what)
    name = name_of(running) if running else _name(task)
    _await(task, name)
    return all_of(task, started, unchanged(task, f"Job {name} has copied the certificate"))


def _name(task: Task) -> str:
    return f"{COPIER}-{_template(task)['metadata']['annotations'][_CHECKSUM]}"


def _started(task: Task, what: str) -> Result:
    api, name, template = kube(task), _name(task), _template(task)
    owner = api.get(*_CRON, COPIER, NAMESPACE)
    if owner is None:
        raise CheckFailed(f"CronJob {COPIER} is not there", why="set-up has just made it", fix=set_up(task))
    reference = {"apiVersion": _CRON[0], "kind": _CRON[1], "name": COPIER, "uid": owner["metadata"]["uid"]}
    annotations = {"cronjob.kubernetes.io/instantiate": "manual", **template["metadata"]["annotations"]}
    metadata = {"name": name, "namespace": NAMESPACE, "annotations": annotations}
    metadata["ownerReferences"] = [reference | {"controller": True}]
    manifest = {"apiVersion": _JOB[0], "kind": _JOB[1], "metadata": metadata, "spec": template["spec"]}
    removed = delete(api, *_JOB, name, NAMESPACE, summary=f"delete Job {name}, which failed or is old", undo=False)
    return all_of(task, removed, apply(api, manifest, summary=what))


def _await(task: Task, name: str) -> None:
    """
    Raises:
        CheckFailed: it failed; `why` has its log.
        DeadlinePassed: it did not end; `why` says what its pod waits for.
    """
    try:
        job = wait(
            kube(task),
            *(*_JOB, name, NAMESPACE),
            condition=lambda found: found is None or _ended(found),
            what=f"Job {NAMESPACE}/{name} to end",
            timeout=RUN,
        )
    except DeadlinePassed as error:
        why = f"{error.why}\n{_evidence(task, name)}".rstrip()
        raise DeadlinePassed(error.what, why=why, fix=_fix()) from error
    if not condition_true(job, "Complete"):
        what = f"Job {NAMESPACE}/{name}, which copies the certificate, failed"
        raise CheckFailed(what, why=f"{told(job)}\n{_evidence(task, name)}".rstrip(), fix=_fix())


def _fix() -> str:
    return f"remove the cause, then run again; see also: `kubectl -n {NAMESPACE} get jobs,pods,events`"


def _evidence(task: Task, name: str) -> str:
    return workload_troubles(kube(task), *_JOB, name, NAMESPACE)


def _owners(obj: Object) -> list[str]:
    return [str(owner["uid"]) for owner in obj["metadata"].get("ownerReferences") or ()]


def _jobs(task: Task) -> list[Object]:
    """Of the CronJob that is there now, whoever started them."""
    api = kube(task)
    cron = api.get(*_CRON, COPIER, NAMESPACE)
    uid = cron["metadata"]["uid"] if cron else ""
    found = api.list(*_JOB, NAMESPACE) if cron else []
    return [job for job in found if uid in _owners(job) and not job["metadata"].get("deletionTimestamp")]


def _ended(job: Object) -> bool:
    return condition_true(job, "Complete") or _failed(job)


def _last(jobs: list[Object], *, ended: bool = True) -> Object | None:
    """Of two that were made in the same second, the one that failed."""
    chosen = [job for job in jobs if _ended(job) is ended]
    return max(chosen, key=lambda job: (str(job["metadata"]["creationTimestamp"]), _failed(job)), default=None)


def _failed(job: Object) -> bool:
    return condition_true(job, "Failed")


def _fault(task: Task, job: Object) -> str:
    """Why this Job does not prove that copies follow; empty when it does."""
    if _failed(job):
        return f"{name_of(job)} failed: {told(job)}"
    if (job["metadata"].get("annotations") or {}).get(_CHECKSUM) != _template(task)["metadata"]["annotations"][
        _CHECKSUM
    ]:
        return f"{name_of(job)} ran another script, or for other copies"
    end = datetime.fromisoformat(job["status"].get("completionTime") or job["metadata"]["creationTimestamp"])
    if datetime.now(UTC) - end > _AGE:
        return f"the last one, {name_of(job)}, ended at {end:%Y-%m-%d %H:%M} UTC, and one is due each day"
    return ""


def renewals_reach_the_copies(task: Task) -> Result:
    """The CronJob is as it was installed, and is not suspended."""
    api, place = kube(task), f"{NAMESPACE}/{COPIER}"
    found = api.get(*_CRON, COPIER, NAMESPACE)
    expect(found, f"CronJob {place} is not there", why="no copy would follow a renewal", fix=set_up(task))
    spec = (found or {}).get("spec") or {}
    environment = _environment(spec)
    wanted = {f"{namespace}/{name}" for namespace, name in copied_secrets(task).items()}
    why = f"it copies to {environment.get('COPIES') or 'nowhere'}"
    expect(
        set(environment.get("COPIES", "").split()) == wanted,
        f"CronJob {place} misses copies",
        why=why,
        fix=set_up(task),
    )
    expect(not spec.get("suspend"), f"CronJob {place} is suspended", why="no copy follows a renewal", fix=_WAKE)
    script = ((api.get("v1", "ConfigMap", COPIER, NAMESPACE) or {}).get("data") or {}).get("copy_certificate.py")
    same = script == render(task, "cert_manager/copy_certificate.py")
    expect(same, f"ConfigMap {place} has another script", why="it is not the one that set-up writes", fix=set_up(task))
    return passed(task, f"CronJob {place} follows renewals")


def _environment(spec: Object) -> dict[str, str]:
    template = ((spec.get("jobTemplate") or {}).get("spec") or {}).get("template") or {}
    containers = (template.get("spec") or {}).get("containers") or [{}]
    return {e["name"]: str(e.get("value", "")) for e in containers[0].get("env") or ()}


def copier_has_run(task: Task) -> Result:
    """By its last Job: that the CronJob is there says nothing about whether its pod reaches the API."""
    last = _last(_jobs(task))
    what, fix = f"CronJob {NAMESPACE}/{COPIER} has not copied the certificate", f"{set_up(task)}: it starts one at once"
    expect(last, what, why="no Job of it has ended", fix=fix)
    why = _fault(task, last or {})
    if last and why and _failed(last):
        why = f"{why}\n{_evidence(task, name_of(last))}".rstrip()
    expect(not why, what, why=why, fix=fix)
    return passed(task, f"Job {name_of(last or {})} has copied the certificate")
