"""What is done to releases, and what of it is managed."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from nornir.core.task import Result, Task

from thinkube_nornir.change_log import Change, release_key
from thinkube_nornir.command import Fact
from thinkube_nornir.context import context, note_retry, time_left
from thinkube_nornir.errors import Cancelled, CommandFailed, Refused
from thinkube_nornir.helm.releases import (
    Helm,
    Installed,
    Release,
    definitions_of,
    diff,
    history,
    installed,
    plain,
    releases,
    values_of,
)
from thinkube_nornir.outcome import all_of, unchanged
from thinkube_nornir.remote import change, read, undo, wait_until
from thinkube_nornir.remote.exchange import facts_forgotten

T = TypeVar("T")

_DEADLINE = 120.0  # seconds in which a chart repository that does not answer is asked again
_PAUSE = 2.0  # seconds before the second attempt; doubled for each further one
_LONGEST_PAUSE = 30.0
_SPARE = 60.0  # seconds a helm command may take beyond what it waits for
_PASSING = re.compile(
    r"cannot be reached|failed to (fetch|download|do request)|dial tcp|i/o timeout|TLS handshake timeout"
    r"|connection (refused|reset)|no such host|unexpected EOF|\b50[0234]\b|too many requests",
    re.IGNORECASE,
)
_FIXES = (
    (r"not found in .*(repository|index)|no chart version found", "correct the version in the inventory"),
    (r"Additional property|values don't meet", "correct the values: the chart does not know them"),
    (r"timed out|deadline exceeded", "see why its pods do not become ready: `kubectl -n {namespace} get pods,events`"),
    (_PASSING.pattern, "see that the host reaches the chart repository, or name a mirror or a folder"),
)


def deviations(task: Task, helm: Helm, release: Release) -> tuple[str, ...]:
    """What is not as wanted, one statement each; empty when it is deployed, in its version, with its values."""
    values = values_of(helm, release.name, release.namespace)
    read(task, releases(helm), values)
    there = installed(task, helm, release.name, release.namespace)
    if there is None:
        return (f"there is no release {release.namespace}/{release.name}",)
    wanted = f"{release.chart}-{release.version}"
    statements = {
        f"its status is {there.status}": there.status != "deployed",
        f"its chart is {there.chart}, not {wanted}": not there.is_of(release),
        f"its values are not the wanted ones:\n{diff(read(task, values), release)}": (
            read(task, values) != plain(release.values)
        ),
    }
    return tuple(text for text, holds in statements.items() if holds)


def install_or_upgrade(
    task: Task,
    helm: Helm,
    release: Release,
    *,
    before: Mapping[str, Any] | None = None,
    look: Callable[[], str] = lambda: "",
) -> Result:
    """Have the release in this version with these values, its objects ready; what fails is rolled back at once.

    What a killed run left pending or failed is cleared away first. A chart repository that does not answer is asked
    again for two minutes.

    Args:
        before: what else was so before us, JSON, for the step that uninstalls; read it with `recorded`.
        look: says why the release's pods do not run; asked before they are taken away with what failed.

    Raises:
        Refused: somebody else's release of that name is not deployed: failed, or in the middle of something.
        CommandFailed: helm could not; `why` has its words.
    """
    if not deviations(task, helm, release):
        return unchanged(task, f"release {release.name} is {release.chart} {release.version} with the wanted values")
    shown = diff(read(task, values_of(helm, release.name, release.namespace)), release)
    results = _recovered(task, helm, release)
    there = installed(task, helm, release.name, release.namespace)
    previous = {"revision": there and there.revision, "chart": there and there.chart} | dict(before or {})
    results.append(_retried(task, release, lambda: _upgrade(task, helm, release, previous, look)))
    results[-1].diff = shown
    return all_of(task, *results)


def uninstall(task: Task, helm: Helm, name: str, namespace: str, *, timeout: float = 300.0) -> Result:
    """Roll back what install_or_upgrade did: remove the release, or give it back the revision that it had before us."""
    record = context(task).change_log.managed(task.host.name, key(name, namespace))
    if record is None:
        return unchanged(task, f"release {name} is not managed")
    there = installed(task, helm, name, namespace)
    if there is not None and _is_at_work(there):
        _await_idle(task, name, timeout)
        there = installed(task, helm, name, namespace)
    if there is None or there.revision == record.before["revision"]:
        undo(task, record.key, f"forget release {name}", root=True)
        return unchanged(task, _as_before(record, name))
    summary, argv = _way_back(helm, there, record, timeout)
    return undo(task, record.key, summary, *argv, root=True, timeout=timeout + _SPARE)


def definitions(task: Task, helm: Helm, release: Release) -> tuple[dict[str, Any], ...]:
    """The CRDs that the chart keeps apart: helm installs those that are missing, at the first install, and never again.

    Source: helm/helm@v3.19.2 pkg/action/install.go
    """
    return _retried(task, release, lambda: read(task, definitions_of(helm, release)))


def recorded(task: Task, name: str, namespace: str) -> Mapping[str, Any] | None:
    """What was so before we installed the release; None when it is not managed."""
    record = context(task).change_log.managed(task.host.name, key(name, namespace))
    return None if record is None else record.before


def key(name: str, namespace: str) -> str:
    """Under which a release is managed."""
    return release_key(namespace, name)


def _way_back(helm: Helm, there: Installed, record: Change, timeout: float) -> tuple[str, tuple[str, ...]]:
    previous = record.before["revision"]
    waiting = ("--namespace", there.namespace, "--wait", "--timeout", f"{timeout:.0f}s")
    if previous is None:
        return f"uninstall release {there.name}", (*helm, "uninstall", there.name, *waiting)
    summary = f"put release {there.name} back to {record.before['chart']}, revision {previous}"
    return summary, (*helm, "rollback", there.name, str(previous), *waiting)


def _as_before(record: Change, name: str) -> str:
    if record.before["revision"] is None:
        return f"release {name} is not there"
    return f"release {name}, {record.before['chart']} before us, is as it was, or somebody else removed it"


def _upgrade(task: Task, helm: Helm, release: Release, previous: Mapping[str, Any], look: Callable[[], str]) -> Result:
    """With --reset-values: without any of our own, helm would keep those of the previous revision.

    Without --atomic: helm would remove the pods before anybody could ask them what is wrong.
    """
    limits = ("--wait", "--timeout", f"{release.timeout:.0f}s")
    argv = (*helm, "upgrade", release.name, *release.source, "--install", "--namespace", release.namespace)
    verb = "install" if previous["revision"] is None else "upgrade"
    try:
        return change(
            task,
            f"{verb} release {release.name}: {release.chart} {release.version}",
            *(*argv, "--reset-values", "--values", "-", "--history-max", "0", *limits),
            stdin=json.dumps(plain(release.values)).encode(),
            root=True,
            key=key(release.name, release.namespace),
            before=previous,
            timeout=release.timeout + _SPARE,
        )
    except CommandFailed as error:
        there = installed(task, helm, release.name, release.namespace)
        if there is not None and there.status == "failed" and there.revision != previous["revision"]:
            error.why = f"{error.why}\n{look()}".rstrip()
            error.why += _rolled_back(task, helm, release, previous["revision"])
        raise


def _rolled_back(task: Task, helm: Helm, release: Release, revision: int | None) -> str:
    """Put the previous revision back, or remove the release; says so, or why it could not be done."""
    verb = ("uninstall", release.name) if revision is None else ("rollback", release.name, str(revision))
    what = f"{verb[0]} release {release.name}, which failed"
    waiting = ("--namespace", release.namespace, "--wait", "--timeout", f"{release.timeout:.0f}s")
    try:
        change(task, what, *helm, *verb, *waiting, root=True, timeout=release.timeout + _SPARE)
    except CommandFailed as error:
        return f"\n{what}: failed: {error.why}"
    return "\nit was rolled back: " + ("removed" if revision is None else f"revision {revision} is back")


def _recovered(task: Task, helm: Helm, release: Release) -> list[Result]:
    """Bring a release that is not deployed into a state from which helm upgrades it."""
    name, namespace = release.name, release.namespace
    there = installed(task, helm, name, namespace)
    if there is None or there.status == "deployed":
        return []
    _must_be_managed(task, there)
    if _is_at_work(there) and not context(task).dry_run:
        _await_idle(task, name, release.timeout)
        there = installed(task, helm, name, namespace)
    if there is None or there.status == "deployed":
        return []
    kept = read(task, history(helm, name, namespace))
    good = [revision for revision, status in kept.items() if status in ("deployed", "superseded")]
    if good and there.status == "failed":
        return []
    if good:
        argv = ("rollback", name, str(max(good)), "--namespace", namespace)
        return [change(task, f"end what release {name} left {there.status}", *helm, *argv, root=True)]
    removal = ("uninstall", name, "--namespace", namespace, "--wait", "--timeout", f"{release.timeout:.0f}s")
    limit = release.timeout + _SPARE
    return [change(task, f"remove release {name}, {there.status}", *helm, *removal, root=True, timeout=limit)]


def _must_be_managed(task: Task, there: Installed) -> None:
    if context(task).change_log.managed(task.host.name, key(there.name, there.namespace)) is None:
        raise Refused(
            f"release {there.namespace}/{there.name} is not managed and not deployed",
            why=f"its status is {there.status}",
            fix=f"see `helm -n {there.namespace} history {there.name}`; repair or uninstall it, then run again",
        )


def _is_at_work(there: Installed) -> bool:
    return there.status.startswith("pending-") or there.status == "uninstalling"


def _await_idle(task: Task, name: str, timeout: float) -> None:
    """A killed run may have left helm at work on the host; otherwise nobody ends what is pending."""
    with facts_forgotten(task):
        what = f"helm to end its work on release {name}"
        wait_until(task, _processes(name), lambda found: not found, what=what, timeout=timeout)


def _processes(name: str) -> Fact[tuple[str, ...]]:
    pattern = rf"helm3? .*(install|upgrade|rollback) .*\b{re.escape(name)}\b"
    argv = ("pgrep", "--full", "--list-full", "--", pattern)
    return Fact(f"helm at work on {name}", argv, lambda done: tuple(done.text.splitlines()), root=True, accept=(0, 1))


def _retried(task: Task, release: Release, attempt: Callable[[], T]) -> T:
    end, pause = time.monotonic() + time_left(task, _DEADLINE), _PAUSE
    while True:
        try:
            return attempt()
        except CommandFailed as error:
            if not _PASSING.search(error.why) or time.monotonic() + pause >= end:
                error.fix = _fix(error.why, release) or error.fix
                raise
            reason = error.why
        if context(task).cancelled.wait(pause):
            raise Cancelled(f"the run was ended while asking for chart {release.chart} again")
        note_retry(task, reason)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _fix(why: str, release: Release) -> str:
    found = (fix for pattern, fix in _FIXES if re.search(pattern, why, re.IGNORECASE))
    return next(found, "").format(namespace=release.namespace)
