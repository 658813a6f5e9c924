"""What Deployments, DaemonSets, Jobs and CronJobs must keep.

Source: kubernetes/kubernetes@v1.36.2 pkg/apis/apps/validation/validation.go
Source: kubernetes/kubernetes@v1.36.2 pkg/apis/batch/validation/validation.go
Source: robfig/cron@v3.0.1 parser.go
Unproven: days and months by their names, and steps that are too long, in a CronJob's schedule.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterator

from thinkube_nornir.lab.kube.objects import Object, dig, name_of
from thinkube_nornir.lab.kube.pod_rules import pod_spec, requirement
from thinkube_nornir.lab.kube.rules import (
    among,
    forbidden,
    invalid,
    labels,
    not_negative,
    required,
    unsupported,
)
from thinkube_nornir.lab.kube.selectors import selects
from thinkube_nornir.lab.kube.status import Cause

_TEMPLATE = "spec.template.spec"
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 6))
_NAMED = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")


def workload(obj: Object) -> Iterator[Cause]:
    """A Deployment, ReplicaSet, StatefulSet or DaemonSet."""
    spec = obj["spec"]
    for name in ("replicas", "minReadySeconds"):
        yield from not_negative(f"spec.{name}", spec.get(name))
    yield from _selector(obj)
    yield from _template(spec, _TEMPLATE)
    policy = dig(spec, "template", "spec", "restartPolicy")
    if policy not in (None, "Always") and policy in ("OnFailure", "Never"):
        yield unsupported(f"{_TEMPLATE}.restartPolicy", policy, ("Always",))
    if dig(spec, "template", "spec", "activeDeadlineSeconds") is not None:
        reported = "activeDeadlineSeconds in ReplicaSet is not Supported"
        yield forbidden(f"{_TEMPLATE}.activeDeadlineSeconds", reported)
    yield from not_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))
    if obj["kind"] == "Deployment":
        yield from _strategy(spec.get("strategy") or {})
        limit = spec.get("progressDeadlineSeconds")
        if limit is not None and limit <= spec.get("minReadySeconds", 0):
            yield invalid("spec.progressDeadlineSeconds", limit, "must be greater than minReadySeconds")
    if obj["kind"] == "DaemonSet":
        yield from _daemon_strategy(spec.get("updateStrategy") or {})


def _template(spec: Object, where: str) -> Iterator[Cause]:
    metadata = dig(spec, "template", "metadata", default={})
    yield from labels(f"{where.removesuffix('.spec')}.metadata.labels", metadata.get("labels") or {})
    yield from pod_spec(dig(spec, "template", "spec", default={}), where)


def _selector(obj: Object) -> Iterator[Cause]:
    selector = dig(obj, "spec", "selector")
    if selector is None:
        yield required("spec.selector")
        return
    expressions = selector.get("matchExpressions") or []
    wrong = [
        cause
        for index, one in enumerate(expressions)
        for cause in requirement(one, f"spec.selector.matchExpressions[{index}]", _OPERATORS)
    ]
    wrong += labels("spec.selector.matchLabels", selector.get("matchLabels") or {})
    yield from wrong
    if not selector.get("matchLabels") and not expressions:
        yield invalid("spec.selector", {}, f"empty selector is invalid for {obj['kind'].lower()}")
    found = dig(obj, "spec", "template", "metadata", "labels", default={})
    if wrong:
        yield invalid("spec.selector", selector, "invalid label selector")
    elif (selector.get("matchLabels") or expressions) and not selects(selector, found):
        yield invalid("spec.template.metadata.labels", found, "`selector` does not match template `labels`")


def _strategy(strategy: Object) -> Iterator[Cause]:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind not in ("Recreate", "RollingUpdate"):
        yield unsupported("spec.strategy", {"Type": kind, "RollingUpdate": rolling}, ("Recreate", "RollingUpdate"))
    elif kind == "Recreate" and rolling is not None:
        field = "spec.strategy.rollingUpdate"
        yield forbidden(field, "may not be specified when strategy `type` is 'Recreate'")
    elif rolling is not None:
        field = "spec.strategy.rollingUpdate"
        for name in ("maxUnavailable", "maxSurge"):
            yield from _share(rolling.get(name), f"{field}.{name}")
        if rolling.get("maxSurge") in (0, "0%") and rolling.get("maxUnavailable") in (0, "0%"):
            yield invalid(f"{field}.maxUnavailable", rolling["maxUnavailable"], "may not be 0 when `maxSurge` is 0")


def _daemon_strategy(strategy: Object) -> Iterator[Cause]:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind not in ("RollingUpdate", "OnDelete"):
        reported = {"Type": kind, "RollingUpdate": rolling}
        yield unsupported("spec.updateStrategy", reported, ("RollingUpdate", "OnDelete"))
    elif rolling is not None:
        field = "spec.updateStrategy.rollingUpdate"
        surge, unavailable = rolling.get("maxSurge"), rolling.get("maxUnavailable")
        for name in ("maxUnavailable", "maxSurge"):
            yield from _share(rolling.get(name), f"{field}.{name}")
        if surge not in (0, "0%", None) and unavailable not in (0, "0%", None):
            yield invalid(f"{field}.maxSurge", surge, "may not be set when maxUnavailable is non-zero")


def _share(value: object, field: str) -> Iterator[Cause]:
    if isinstance(value, str) and not re.fullmatch("[0-9]+%", value):
        reported = "a valid percent string must be a numeric string followed by an ending '%'"
        yield invalid(field, value, f"{reported} (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')")
    yield from not_negative(field, value)


def job(obj: Object) -> Iterator[Cause]:
    yield from _job_spec(obj["spec"], "spec")


def _job_spec(spec: Object, where: str) -> Iterator[Cause]:
    for name in ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"):
        yield from not_negative(f"{where}.{name}", spec.get(name))
    yield from among(f"{where}.completionMode", spec.get("completionMode"), "NonIndexed", "Indexed")
    yield from _template(spec, f"{where}.template.spec")
    if dig(spec, "template", "spec", "restartPolicy") == "Always":
        yield required(f"{where}.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')


def cron_job(obj: Object) -> Iterator[Cause]:
    spec = obj["spec"]
    if len(name_of(obj)) > 52:
        yield invalid("metadata.name", name_of(obj), "must be no more than 52 characters")
    yield from _schedule(spec.get("schedule") or "")
    yield from not_negative("spec.startingDeadlineSeconds", spec.get("startingDeadlineSeconds"))
    policies = ("Allow", "Forbid", "Replace")
    yield from among("spec.concurrencyPolicy", spec.get("concurrencyPolicy"), *policies)
    for name in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        yield from not_negative(f"spec.{name}", spec.get(name))
    zone = spec.get("timeZone")
    if zone is not None and not _is_zone(zone):
        yield invalid("spec.timeZone", zone, f"unknown time zone {zone}")
    yield from _job_spec(dig(spec, "jobTemplate", "spec", default={}), "spec.jobTemplate.spec")


def _is_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return False
    return True


def _schedule(text: str) -> Iterator[Cause]:
    if not text:
        yield required("spec.schedule")
    elif "TZ" in text:
        reported = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        yield invalid("spec.schedule", text, reported)
    elif text.startswith("@"):
        if text not in _NAMED and not re.fullmatch(r"@every ([0-9.]+(ns|us|ms|[smh]))+", text):
            yield invalid("spec.schedule", text, f"unrecognized descriptor: {text}")
    else:
        yield from (invalid("spec.schedule", text, why) for why in _wrong_fields(text.split()))


def _wrong_fields(fields: list[str]) -> Iterator[str]:
    """The first mistake."""
    if len(fields) != 5:
        yield f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]"
        return
    for field, (_, least, most) in zip(fields, _FIELDS, strict=True):
        for part in field.split(","):
            if why := _wrong_part(part, least, most):
                yield why
                return


def _wrong_part(part: str, least: int, most: int) -> str:
    span, _, step = part.partition("/")
    start, _, end = span.partition("-")
    if start in ("*", "?"):
        start, end = str(least), str(most)
    for word in (start, end or start, step or "1"):
        if not word.isdigit() and not re.fullmatch("[a-zA-Z]{3}", word):
            return f'failed to parse int from {word}: strconv.Atoi: parsing "{word}": invalid syntax'
    if not start.isdigit() or not (end or start).isdigit():
        return ""
    first, last = int(start), int(end or start)
    if first < least:
        return f"beginning of range ({first}) below minimum ({least}): {part}"
    if last > most:
        return f"end of range ({last}) above maximum ({most}): {part}"
    if first > last:
        return f"beginning of range ({first}) beyond end of range ({last}): {part}"
    return f"step of range should be a positive number: {part}" if step == "0" else ""
