"""microk8s kubectl: the small part of kubectl that scripts use, against the lab's API.

Source: kubernetes/kubectl@v0.35.0 pkg/cmd/delete/delete.go
Source: kubernetes/kubectl@v0.34.0 pkg/cmd/delete/delete.go (PrintObj)
Source: kubernetes/kubectl@v0.35.0 pkg/cmd/label/label.go
Source: kubernetes/kubectl@v0.35.0 pkg/cmd/version/version.go
Source: kubernetes/kubectl@v0.35.0 pkg/cmd/util/helpers.go
Source: kubernetes/cli-runtime@v0.35.0 pkg/resource/builder.go
Unproven: the columns of a table, which are a name and a state here, and the release of Kustomize.
"""

# ruff: noqa: ARG001
# The handlers of one table share a signature.

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import yaml

from tasks.lab.microk8s.drain import drain, schedulable
from tasks.lab.microk8s.kubectl_apply import apply
from tasks.lab.microk8s.kubectl_kinds import kind_of, qualified
from tasks.lab.microk8s.node import Node, alive
from tasks.lab.microk8s.rollout import POLL, rolled_out, seconds
from tasks.lab.tool import Arguments, ToolError, parse
from thinkube_nornir.lab.emulation import Call, Reply
from thinkube_nornir.lab.kube import Object
from thinkube_nornir.lab.kube.deletion import Deletion

HEALTH = ("/readyz", "/livez", "/healthz")
FLAGS = [
    "-A",
    "--all-namespaces",
    "--client",
    "--ignore-daemonsets",
    "--delete-emptydir-data",
    "--force",
    "--server-side",
    "--force-conflicts",
    "--overwrite",
    "--ignore-not-found",
    "--no-headers",
    "--ignore-not-found=true",
    "--wait=false",
]
VALUES = [
    "-n",
    "--namespace",
    "-o",
    "--output",
    "--raw",
    "-f",
    "--filename",
    "--timeout",
    "-l",
    "--selector",
    "--grace-period",
]


async def kubectl(node: Node, argv: list[str], call: Call) -> Reply:
    given = parse(
        argv,
        flags=FLAGS,
        values=VALUES,
        unknown=lambda option: ToolError(1, f"error: unknown flag: {option.partition('=')[0]}\n"),
        missing=lambda option: ToolError(1, f"error: flag needs an argument: {option}\n"),
    )
    verb, *words = given.words or [""]
    if verb not in (*_QUICK, *_SLOW, "apply"):
        raise ToolError(1, f'error: unknown command "{verb}" for "kubectl"\n')
    if verb == "version" and "--client" in given.flags:
        return _version(node, words, given)
    if not alive(node):
        raise ToolError(
            1, "The connection to the server 127.0.0.1:16443 was refused - did you specify the right host or port?\n"
        )
    if verb == "apply":
        return apply(node, given, call, _namespace(given))
    if verb in _SLOW:
        return await _SLOW[verb](node, words, given)
    return _QUICK[verb](node, words, given)


def _output(given: Arguments) -> str:
    return given.value("-o") or given.value("--output")


def _namespace(given: Arguments) -> str:
    if given.flags & {"-A", "--all-namespaces"}:
        return ""
    return given.value("-n") or given.value("--namespace") or "default"


def _target(words: list[str]) -> list[str]:
    """`kind/name` is the same as `kind name`."""
    return words[0].split("/", 1) if words and "/" in words[0] else words


def _version(node: Node, words: list[str], given: Arguments) -> Reply:
    versions: dict[str, Any] = {"clientVersion": {"gitVersion": node.version}, "kustomizeVersion": "v5.5.0"}
    if "--client" not in given.flags:
        versions["serverVersion"] = {"gitVersion": node.version}
    if _output(given) == "json":
        return Reply(0, json.dumps(versions, indent=2) + "\n")
    text = f"Client Version: {node.version}\nKustomize Version: v5.5.0\n"
    return Reply(0, text + (f"Server Version: {node.version}\n" if "serverVersion" in versions else ""))


def _get(node: Node, words: list[str], given: Arguments) -> Reply:
    if "--raw" in given.values:
        return _raw(node, given.value("--raw"))
    if not words:
        raise ToolError(1, "error: You must specify the type of resource to get.\n")
    word, *names = _target(words)
    version, kind, namespaced = kind_of(word)
    namespace = _namespace(given) if namespaced else ""
    if names:
        found = [_one(node, word, name, namespace, given) for name in names]
        chosen = [f for f in found if f is not None]
    else:
        chosen = [o for o in node.api.list(version, kind, namespace) if _selected(o, given)]
    return _shown(kind, chosen, _output(given), single=len(names) == 1 and bool(chosen))


def _raw(node: Node, path: str) -> Reply:
    if path.partition("?")[0] in HEALTH:
        return Reply(0, "ok")
    if path == "/version":
        return Reply(0, json.dumps({"gitVersion": node.version}))
    raise ToolError(1, "Error from server (NotFound): the server could not find the requested resource\n")


def _one(node: Node, word: str, name: str, namespace: str, given: Arguments) -> Object | None:
    version, kind, _ = kind_of(word)
    found = node.api.get(version, kind, name, namespace)
    if found is None and not given.flags & {"--ignore-not-found", "--ignore-not-found=true"}:
        group = version.rpartition("/")[0]
        plural = f"{kind.lower()}s" + (f".{group}" if group else "")
        raise ToolError(1, f'Error from server (NotFound): {plural} "{name}" not found\n')
    return found


def _selected(obj: Object, given: Arguments) -> bool:
    wanted = given.value("-l") or given.value("--selector")
    have = obj["metadata"].get("labels") or {}
    return all(have.get(k) == v for k, _, v in (pair.partition("=") for pair in wanted.split(",") if pair))


def _shown(kind: str, found: list[Object], output: str, *, single: bool) -> Reply:
    if output in ("json", "yaml"):
        data: Any = found[0] if single else {"apiVersion": "v1", "kind": "List", "items": found}
        return Reply(0, json.dumps(data, indent=4) + "\n" if output == "json" else yaml.safe_dump(data))
    if output == "name":
        return Reply(0, "".join(f"{kind.lower()}/{o['metadata']['name']}\n" for o in found))
    if output not in ("", "wide"):
        raise ToolError(1, f"error: output format {output!r} is not in the lab: use json, yaml or name\n")
    if not found:
        return Reply(0, "", "No resources found\n")
    return Reply(0, "NAME STATUS\n" + "".join(f"{o['metadata']['name']} {_state(o)}\n" for o in found))


def _state(obj: Object) -> str:
    conditions = {c["type"]: c["status"] for c in obj.get("status", {}).get("conditions") or ()}
    if obj["kind"] == "Node":
        words = ["Ready" if conditions.get("Ready") == "True" else "NotReady"]
        return ",".join(words + (["SchedulingDisabled"] if obj.get("spec", {}).get("unschedulable") else []))
    return str(obj.get("status", {}).get("phase", "-"))


async def _delete(node: Node, words: list[str], given: Arguments) -> Reply:
    """Waits until the objects are gone, unless told not to."""
    word, *names = _target(words) or [""]
    if not names:
        raise ToolError(1, "error: resource(s) were provided, but no name was specified\n")
    version, kind, namespaced = kind_of(word)
    namespace = _namespace(given) if namespaced else ""
    grace = int(given.value("--grace-period", "-1"))
    how = Deletion("Background", grace if grace >= 0 else None)
    shown, going = "", []
    for name in names:
        found = _one(node, word, name, namespace, given)
        if found is None:
            continue
        if kind == "Node":
            node.api.remove_node(name)
        else:
            node.api.delete(version, kind, name, namespace, how=how)
        shown += f'{qualified(kind, version)} "{name}" {_deleted(node, namespace, forced=grace == 0)}\n'
        going.append(found)
    timeout = seconds(given.value("--timeout", "0s")) or float("inf")
    end = time.monotonic() + timeout if "--wait=false" not in given.flags else 0.0
    for gone in going if end else ():
        while _is_there(node, version, kind, gone):
            if time.monotonic() > end:
                why = f"timed out waiting for the condition on {kind.lower()}s/{gone['metadata']['name']}"
                raise ToolError(1, f"error: {why}\n", shown)
            await asyncio.sleep(POLL)
    return Reply(0, shown)


def _deleted(node: Node, namespace: str, *, forced: bool) -> str:
    """Since 1.34 it says from where."""
    place = f" from {namespace} namespace" if namespace and node.minor >= (1, 34) else ""
    return ("force " if forced else "") + "deleted" + place


def _is_there(node: Node, version: str, kind: str, was: Object) -> bool:
    metadata = was["metadata"]
    found = node.api.get(version, kind, metadata["name"], metadata.get("namespace", ""))
    return found is not None and found["metadata"].get("uid") == metadata.get("uid")


def _cordon(node: Node, words: list[str], given: Arguments) -> Reply:
    return Reply(0, schedulable(node, words[0] if words else "", wanted=False))


def _uncordon(node: Node, words: list[str], given: Arguments) -> Reply:
    return Reply(0, schedulable(node, words[0] if words else "", wanted=True))


def _label(node: Node, words: list[str], given: Arguments) -> Reply:
    """`label node NAME key=value other-`: a key that is there already needs --overwrite."""
    if len(words) < 3:
        raise ToolError(1, "error: at least one label update is required\n")
    found = _one(node, words[0], words[1], "", given)
    if found is None:
        return Reply()
    labels = dict(found["metadata"].get("labels") or {})
    for change in words[2:]:
        name, equals, value = change.partition("=")
        if equals and labels.get(name, value) != value and "--overwrite" not in given.flags:
            raise ToolError(1, f"error: '{name}' already has a value ({labels[name]}), and --overwrite is false\n")
        if not equals:
            labels.pop(name.removesuffix("-"), None)
        else:
            labels[name] = value
    node.api.update({**found, "metadata": {**found["metadata"], "labels": labels}}, manager="kubectl-label")
    return Reply(0, f"{found['kind'].lower()}/{words[1]} labeled\n")


async def _rollout(node: Node, words: list[str], given: Arguments) -> Reply:
    action, target = words[0] if words else "", _target(words[1:])
    if len(target) != 2 or action not in ("status", "restart"):
        raise ToolError(1, "error: required resource not specified\n")
    version, kind, _ = kind_of(target[0])
    found = _one(node, target[0], target[1], _namespace(given), given)
    if found is None:
        return Reply()
    if action == "status":
        key = (version, kind, target[1], _namespace(given))
        return await rolled_out(node, key, seconds(given.value("--timeout", "0s")))
    annotations = found["spec"]["template"].setdefault("metadata", {}).setdefault("annotations", {})
    annotations["kubectl.kubernetes.io/restartedAt"] = str(time.time())
    node.api.apply(found)
    return Reply(0, f"{kind.lower()}.apps/{target[1]} restarted\n")


_QUICK: dict[str, Callable[[Node, list[str], Arguments], Reply]] = {
    "get": _get,
    "version": _version,
    "cordon": _cordon,
    "uncordon": _uncordon,
    "label": _label,
}
_SLOW: dict[str, Callable[[Node, list[str], Arguments], Awaitable[Reply]]] = {
    "delete": _delete,
    "drain": drain,
    "rollout": _rollout,
}
