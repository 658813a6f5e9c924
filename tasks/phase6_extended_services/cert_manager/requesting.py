"""Asking for the certificate, and waiting until it is issued: two to ten minutes with Let's Encrypt."""

from __future__ import annotations

import time

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.cert_manager.issuing import (
    certificate,
    issuing_state,
    refused_challenges,
    secret_faults,
)
from tasks.phase6_extended_services.cert_manager.names import API, SOURCE_NAMESPACE, certificate_name
from tasks.phase6_extended_services.cert_manager.resources import source
from tasks.shared.cluster.control_plane import Object, kube, there_is_a_cluster
from thinkube_nornir.cluster import condition_true, delete, wait
from thinkube_nornir.context import context
from thinkube_nornir.errors import CheckFailed, DeadlinePassed, Refused, ThinkubeError
from thinkube_nornir.fixes import set_up
from thinkube_nornir.outcome import skipped, unchanged
from thinkube_nornir.resources.comparison import is_ready

TIMEOUT = 900.0  # seconds for three names, each a record, its propagation and a TTL
_LOOK = 60.0


def end_failed_request(task: Task) -> Result:
    """After a failure cert-manager waits an hour or longer; asked anew, it tries at once. The secret stays there.

    Raises:
        Refused: cert-manager would overwrite somebody's secret.
    """
    if context(task).dry_run and not there_is_a_cluster(task):
        return skipped(task, "there is no cluster yet")
    name, live, found = certificate_name(task), certificate(task), source(task) or {}
    maker = (found.get("metadata", {}).get("annotations") or {}).get("cert-manager.io/certificate-name")
    if live is None and found and maker != name:
        raise Refused(
            f"secret {SOURCE_NAMESPACE}/{name} is there, and cert-manager did not make it",
            why="it would be overwritten, and rollback could not restore it",
            fix="delete or rename it, then run again",
        )
    cause = f"it failed at {live['status']['lastFailureTime']}" if live and _gave_up(live) else ""
    if live and not cause and refused_challenges(task):
        cause = "a challenge could not be presented"
    if live is None or not cause:
        return unchanged(task, "no request has failed")
    summary = f"ask for certificate {name} anew: {cause}"
    return delete(kube(task), API, "Certificate", name, SOURCE_NAMESPACE, summary=summary)


def _gave_up(live: Object) -> bool:
    failed = (live.get("status") or {}).get("lastFailureTime")
    return bool(failed) and not condition_true(live, "Issuing") and not condition_true(live, "Ready")


def await_certificate(task: Task) -> Result:
    """cert-manager tries a refused record again for ever, at growing intervals, and fails nothing.

    So the wait ends when two looks find the same challenge refused.
    """
    name = certificate_name(task)
    if context(task).dry_run and not there_is_a_cluster(task):
        return skipped(task, "there is no cluster yet")
    if not secret_faults(task):
        return unchanged(task, f"certificate {name} is issued")
    if context(task).dry_run:
        return skipped(task, "a dry run does not wait for a certificate")
    _await_issued(task, name)
    if faults := secret_faults(task):
        raise CheckFailed("the certificate is not the wanted one", why="\n".join(faults), fix=set_up(task))
    return unchanged(task, f"certificate {name} is issued")


def _await_issued(task: Task, name: str) -> None:
    def issued(found: Object | None) -> bool:
        if found is not None and _gave_up(found):
            raise _refused(task)
        return is_ready(found, "Ready")

    end, refused, what = time.monotonic() + TIMEOUT, frozenset[str](), f"certificate {name} to be issued"
    while True:
        left = end - time.monotonic()
        try:
            limit, place = min(_LOOK, left), (API, "Certificate", name, SOURCE_NAMESPACE)
            wait(kube(task), *place, condition=issued, what=what, timeout=limit)
        except DeadlinePassed as error:
            now = refused_challenges(task)
            if now & refused:
                raise _refused(task) from error
            refused = now
            if left > _LOOK:
                continue
            fix = "a challenge that waits for its record: see that the resolvers in dns01_resolvers answer on port 53"
            why = f"{error.why}\n{issuing_state(task)}"
            raise DeadlinePassed(f"waited {TIMEOUT:g} s for {what}", why=why, fix=fix) from error
        return


def _refused(task: Task) -> ThinkubeError:
    return ThinkubeError(
        f"certificate {certificate_name(task)} was not issued",
        why=issuing_state(task),
        fix="remove the cause, then run again: it is asked for anew at once",
    )
