"""What a pod's spec must keep, be it a pod's own or a template's.

Not checked: security contexts beyond what is said here, resource claims, ephemeral containers, topology spread.

Source: kubernetes/kubernetes@v1.36.2 pkg/apis/core/validation/validation.go (ValidatePodSpec, validateContainers)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from thinkube_nornir.lab.kube.objects import Object, dig
from thinkube_nornir.lab.kube.quantities import resources
from thinkube_nornir.lab.kube.rules import (
    among,
    broken,
    duplicate,
    forbidden,
    invalid,
    label,
    labels,
    not_negative,
    port,
    port_name,
    port_or_name,
    qualified_name,
    required,
    subdomain,
    unsupported,
)
from thinkube_nornir.lab.kube.status import Cause

_NO_SOURCE = {"name"}
_HOST_PATHS = ("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_NUMBERS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
_FIELDS = r"metadata\.(name|namespace|uid|(labels|annotations)\['.+'\])|spec\.(nodeName|serviceAccountName|hostIP)"
_FIELD = re.compile(rf"{_FIELDS}|status\.(hostIPs?|podIPs?)")


def pod_spec(spec: Object, where: str) -> Iterator[Cause]:
    volumes = spec.get("volumes") or []
    yield from _volumes(volumes, f"{where}.volumes")
    if not spec.get("containers"):
        yield required(f"{where}.containers")
    taken: set[str] = set()
    for group in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(group) or []):
            field = f"{where}.{group}[{index}]"
            yield from _container(container, field, {volume.get("name") for volume in volumes}, taken)
            yield from _host_ports(container, field, on_host=bool(spec.get("hostNetwork")))
    yield from among(f"{where}.restartPolicy", spec.get("restartPolicy"), "Always", "OnFailure", "Never")
    policies = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
    yield from among(f"{where}.dnsPolicy", spec.get("dnsPolicy"), *policies)
    if spec.get("dnsPolicy") == "None" and not dig(spec, "dnsConfig", "nameservers"):
        yield required(f"{where}.dnsConfig", "must provide `dnsConfig` when `dnsPolicy` is None")
    yield from _placement(spec, where)
    for index, toleration in enumerate(spec.get("tolerations") or []):
        yield from _toleration(toleration, f"{where}.tolerations[{index}]")
    yield from _affinity(spec, where)


def _placement(spec: Object, where: str) -> Iterator[Cause]:
    yield from labels(f"{where}.nodeSelector", spec.get("nodeSelector") or {})
    for name in ("nodeName", "serviceAccountName", "priorityClassName", "runtimeClassName"):
        if spec.get(name):
            yield from broken(f"{where}.{name}", spec[name], subdomain)
    for name in ("hostname", "subdomain"):
        if spec.get(name):
            yield from broken(f"{where}.{name}", spec[name], label)
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= 2147483647:
        yield invalid(f"{where}.activeDeadlineSeconds", deadline, "must be between 1 and 2147483647, inclusive")


def _volumes(volumes: list[Object], where: str) -> Iterator[Cause]:
    taken: set[str] = set()
    for index, volume in enumerate(volumes):
        field, name = f"{where}[{index}]", volume.get("name") or ""
        sources = [source for source in volume if source not in _NO_SOURCE]
        yield from (
            forbidden(f"{field}.{source}", "may not specify more than 1 volume type") for source in sources[1:2]
        )
        yield from _source(volume, field)
        if not name:
            yield required(f"{field}.name")
        else:
            yield from broken(f"{field}.name", name, label)
        if name in taken:
            yield duplicate(f"{field}.name", name)
        taken.add(name)


def _source(volume: Object, field: str) -> Iterator[Cause]:
    if isinstance(host := volume.get("hostPath"), dict):
        if not host.get("path"):
            yield required(f"{field}.hostPath.path")
        elif ".." in host["path"].split("/"):
            yield invalid(f"{field}.hostPath.path", host["path"], "must not contain '..'")
        yield from among(f"{field}.hostPath.type", host.get("type"), *_HOST_PATHS)
    for kind, name in (("configMap", "name"), ("secret", "secretName")):
        if isinstance(source := volume.get(kind), dict):
            if not source.get(name):
                yield required(f"{field}.{kind}.{name}")
            mode = source.get("defaultMode", 0)
            if not 0 <= mode <= 0o777:
                reported = "must be a number between 0 and 0777 (octal), both inclusive"
                yield invalid(f"{field}.{kind}.defaultMode", mode, reported)


def _container(container: Object, field: str, volumes: set[Any], taken: set[str]) -> Iterator[Cause]:
    name, image = container.get("name") or "", container.get("image") or ""
    if not name:
        yield required(f"{field}.name")
    else:
        yield from broken(f"{field}.name", name, label)
    if name in taken:
        yield duplicate(f"{field}.name", name)
    taken.add(name)
    if not image:
        yield required(f"{field}.image")
    elif image != image.strip():
        yield invalid(f"{field}.image", image, "must not have leading or trailing whitespace")
    policies = ("Always", "IfNotPresent", "Never")
    yield from among(f"{field}.imagePullPolicy", container.get("imagePullPolicy"), *policies)
    yield from _ports(container.get("ports") or [], f"{field}.ports")
    for index, variable in enumerate(container.get("env") or []):
        yield from _variable(variable, f"{field}.env[{index}]")
    yield from _mounts(container.get("volumeMounts") or [], f"{field}.volumeMounts", volumes)
    for probe in _PROBES:
        if isinstance(container.get(probe), dict):
            yield from _probe(container[probe], f"{field}.{probe}", once=probe != "readinessProbe")
    yield from resources(container.get("resources") or {}, f"{field}.resources")
    user = dig(container, "securityContext", "runAsUser", default=0)
    if not 0 <= user <= 2147483647:
        yield invalid(f"{field}.securityContext.runAsUser", user, "must be between 0 and 2147483647, inclusive")
    profile = dig(container, "securityContext", "seccompProfile", "type")
    profiles = ("Localhost", "RuntimeDefault", "Unconfined")
    yield from among(f"{field}.securityContext.seccompProfile.type", profile, *profiles)


def _ports(ports: list[Object], where: str) -> Iterator[Cause]:
    taken: set[str] = set()
    for index, one in enumerate(ports):
        field, name, number = f"{where}[{index}]", one.get("name"), one.get("containerPort") or 0
        if name:
            yield from broken(f"{field}.name", name, port_name)
            if name in taken:
                yield duplicate(f"{field}.name", name)
            taken.add(name)
        if number == 0:
            yield required(f"{field}.containerPort")
        else:
            yield from broken(f"{field}.containerPort", number, port)
        if one.get("hostPort"):
            yield from broken(f"{field}.hostPort", one["hostPort"], port)
        yield from among(f"{field}.protocol", one.get("protocol"), "SCTP", "TCP", "UDP")


def _host_ports(container: Object, field: str, *, on_host: bool) -> Iterator[Cause]:
    for index, one in enumerate(container.get("ports") or [] if on_host else []):
        if one.get("hostPort") and one["hostPort"] != one.get("containerPort"):
            reported = "must match `containerPort` when `hostNetwork` is true"
            yield invalid(f"{field}.ports[{index}].hostPort", one["hostPort"], reported)


def _variable(variable: Object, field: str) -> Iterator[Cause]:
    name, source = variable.get("name") or "", variable.get("valueFrom")
    if not name:
        yield required(f"{field}.name")
    elif not re.fullmatch("[ -<>-~]+", name):
        reported = "a valid environment variable name must consist only of printable ASCII characters other than '='"
        yield invalid(f"{field}.name", name, reported)
    if source and variable.get("value"):
        yield invalid(f"{field}.valueFrom", "", "may not be specified when `value` is not empty")
    path = dig(source, "fieldRef", "fieldPath")
    if path is not None and not _FIELD.fullmatch(path):
        reported = f"error converting fieldPath: field label not supported: {path}"
        yield invalid(f"{field}.valueFrom.fieldRef.fieldPath", path, reported)


def _mounts(mounts: list[Object], where: str, volumes: set[Any]) -> Iterator[Cause]:
    taken: set[str] = set()
    for index, mount in enumerate(mounts):
        field, name, path = f"{where}[{index}]", mount.get("name") or "", mount.get("mountPath") or ""
        if not name:
            yield required(f"{field}.name")
        if name not in volumes:
            yield Cause(f"{field}.name", f'Not found: "{name}"', "FieldValueNotFound")
        if not path:
            yield required(f"{field}.mountPath")
        elif path in taken:
            yield invalid(f"{field}.mountPath", path, "must be unique")
        taken.add(path)


def _probe(probe: Object, field: str, *, once: bool) -> Iterator[Cause]:
    handlers = [name for name in _HANDLERS if probe.get(name) is not None]
    if not handlers:
        yield required(field, "must specify a handler type")
    yield from (forbidden(f"{field}.{name}", "may not specify more than 1 handler type") for name in handlers[1:])
    for name in handlers[:1]:
        if name in ("httpGet", "tcpSocket"):
            yield from broken(f"{field}.{name}.port", probe[name].get("port") or 0, port_or_name)
    if handlers[:1] == ["httpGet"]:
        yield from among(f"{field}.httpGet.scheme", probe["httpGet"].get("scheme"), "HTTP", "HTTPS")
    for name in _NUMBERS:
        yield from not_negative(f"{field}.{name}", probe.get(name))
    successes = probe.get("successThreshold", 1)
    if once and successes != 1 and successes >= 0:
        yield invalid(f"{field}.successThreshold", successes, "must be 1")


def _toleration(toleration: Object, field: str) -> Iterator[Cause]:
    key, operator, effect = toleration.get("key"), toleration.get("operator") or "", toleration.get("effect")
    if key:
        yield from broken(f"{field}.key", key, qualified_name)
    elif operator != "Exists":
        reported = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        yield invalid(f"{field}.operator", operator, reported)
    if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
        yield invalid(f"{field}.effect", effect or "", "effect must be 'NoExecute' when `tolerationSeconds` is set")
    if operator == "Exists" and toleration.get("value"):
        yield invalid(f"{field}.operator", toleration["value"], "value must be empty when `operator` is 'Exists'")
    elif operator not in ("", "Equal", "Exists"):
        yield unsupported(f"{field}.operator", operator, ("Equal", "Exists"))
    if effect:
        yield from among(f"{field}.effect", effect, "NoSchedule", "PreferNoSchedule", "NoExecute")


def _affinity(spec: Object, where: str) -> Iterator[Cause]:
    path = ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    terms = dig(spec, *path, "nodeSelectorTerms", default=[])
    for index, term in enumerate(terms):
        for number, expression in enumerate(term.get("matchExpressions") or []):
            field = f"{where}.{'.'.join(path)}.nodeSelectorTerms[{index}].matchExpressions[{number}]"
            yield from requirement(expression, field, ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"))


def requirement(expression: Object, field: str, operators: tuple[str, ...]) -> Iterator[Cause]:
    """One line of a selector's matchExpressions."""
    operator, values = expression.get("operator"), expression.get("values")
    if operator in ("In", "NotIn") and not values:
        yield required(f"{field}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in ("Exists", "DoesNotExist") and values:
        yield forbidden(f"{field}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
    elif operator not in operators:
        yield invalid(f"{field}.operator", operator or "", "not a valid selector operator")
    yield from broken(f"{field}.key", expression.get("key") or "", qualified_name)
