"""microk8s helm3: the part of helm that installs releases, against the lab's API.

What goes wrong can be put into `lab.state["helm_faults"]`: messages, one for each further upgrade, as helm writes them.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import yaml

from tasks.lab.helm import store
from tasks.lab.helm.command import FLAGS, VALUES, error, namespace, number, output
from tasks.lab.helm.install import rollback, show, uninstall, upgrade
from tasks.lab.microk8s.node import Node, alive
from tasks.lab.tool import Arguments, parse
from thinkube_nornir.lab.emulation import Call, Reply

VERSIONS = {32: "v3.16.3", 33: "v3.17.2", 34: "v3.18.6", 35: "v3.19.2"}
"""The version of helm for each minor of MicroK8s; what is older has the oldest of these.

Source: canonical/microk8s@1.32 build-scripts/components/helm/version.sh
Source: canonical/microk8s@1.35 build-scripts/components/helm/version.sh
Source: helm/helm@v3.19.2 cmd/helm/list.go
Source: helm/helm@v3.19.2 cmd/helm/history.go
"""
_REFUSED = 'Get "https://127.0.0.1:16443/version": dial tcp 127.0.0.1:16443: connect: connection refused'


async def helm(node: Node, argv: list[str], call: Call) -> Reply:
    given = parse(
        argv,
        flags=FLAGS,
        values=VALUES,
        unknown=lambda option: error(f"unknown flag: {option.partition('=')[0]}"),
        missing=lambda option: error(f"flag needs an argument: {option}"),
    )
    verb, *words = given.words or [""]
    if verb == "version":
        version = VERSIONS.get(node.minor[1], VERSIONS[32])
        return Reply(0, f"{version}\n" if "--short" in given.flags else f'version.BuildInfo{{Version:"{version}"}}\n')
    if verb not in _VERBS:
        raise error(f'unknown command "{verb}" for "helm"\n\nRun \'helm --help\' for usage.')
    if not alive(node):
        raise error(f"Kubernetes cluster unreachable: {_REFUSED}")
    return await _VERBS[verb](node, words, given, call)


async def _list(node: Node, _words: list[str], given: Arguments, _call: Call) -> Reply:
    wanted = "" if "--all-namespaces" in given.flags or "-A" in given.flags else namespace(given)
    newest = {(r.namespace, r.name): r for r in store.revisions(node.api, namespace=wanted)}
    shown = [r for r in newest.values() if {"-a", "--all"} & given.flags or r.status in ("deployed", "failed")]
    rows = [{"name": r.name, "namespace": r.namespace, "revision": str(r.revision), **r.row()} for r in shown]
    return _shown(rows, output(given))


async def _history(node: Node, words: list[str], given: Arguments, _call: Call) -> Reply:
    found = _known(node, words, given)
    return _shown([{"revision": r.revision, **r.row(), "description": r.description} for r in found], output(given))


async def _get(node: Node, words: list[str], given: Arguments, _call: Call) -> Reply:
    what = words[0] if words else ""
    if what not in ("values", "manifest"):
        raise error(f'unknown command "{what}" for "helm get"')
    revision = _known(node, words[1:], given)[-1]
    if what == "manifest":
        return Reply(0, "".join(f"---\n{yaml.safe_dump(obj)}" for obj in revision.manifest))
    if output(given) == "json":
        return Reply(0, json.dumps(revision.values or None) + "\n")
    return Reply(0, f"USER-SUPPLIED VALUES:\n{yaml.safe_dump(revision.values or None)}")


async def _status(node: Node, words: list[str], given: Arguments, _call: Call) -> Reply:
    revision = _known(node, words, given)[-1]
    if output(given) == "json":
        info = {"status": revision.status, "description": revision.description, "last_deployed": revision.updated}
        fields = {"name": revision.name, "namespace": revision.namespace, "version": revision.revision, "info": info}
        return Reply(0, json.dumps(fields | {"config": revision.values}) + "\n")
    return Reply(
        0,
        f"NAME: {revision.name}\nLAST DEPLOYED: {revision.updated}\nNAMESPACE: {revision.namespace}\n"
        f"STATUS: {revision.status}\nREVISION: {revision.revision}\n",
    )


def _known(node: Node, words: list[str], given: Arguments) -> list[store.Revision]:
    number(words, 1, "helm")
    found = store.revisions(node.api, words[0], namespace(given))
    if not found:
        raise error("release: not found")
    return found


def _shown(rows: list[dict[str, Any]], form: str) -> Reply:
    if form == "json":
        return Reply(0, json.dumps(rows) + "\n")
    if form == "yaml":
        return Reply(0, yaml.safe_dump(rows))
    names = list(rows[0]) if rows else ["name"]
    lines = [names, *([str(row[name]) for name in names] for row in rows)]
    return Reply(0, "".join("\t".join(line) + "\n" for line in lines))


_VERBS: dict[str, Callable[[Node, list[str], Arguments, Call], Awaitable[Reply]]] = {
    "list": _list,
    "ls": _list,
    "history": _history,
    "get": _get,
    "status": _status,
    "show": show,
    "upgrade": upgrade,
    "uninstall": uninstall,
    "rollback": rollback,
}
