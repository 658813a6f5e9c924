"""kubectl apply: objects from stdin, from a file of the host, or downloaded.

Source: kubernetes/kubectl@v0.35.0 pkg/cmd/apply/apply.go
Source: kubernetes/cli-runtime@v0.35.0 pkg/resource/visitor.go
Source: kubernetes/cli-runtime@v0.35.0 pkg/resource/mapper.go
"""

from __future__ import annotations

import yaml

from tasks.lab import gateway_api, internet
from tasks.lab.microk8s.node import Node
from tasks.lab.tool import Arguments, ToolError
from thinkube_nornir.lab.emulation import Call, Reply
from thinkube_nornir.lab.kube import ApiError, Object


def apply(node: Node, given: Arguments, call: Call, namespace: str) -> Reply:
    source = given.value("-f") or given.value("--filename")
    if not source:
        raise ToolError(1, "error: must specify one of -f and -k\n")
    objects = _downloaded(call, source) if source.startswith("https://") else _written(call, source)
    if not objects:
        raise ToolError(1, "error: no objects passed to apply\n")
    for obj in objects:
        try:
            namespaced = node.api.registry.by_kind(obj["apiVersion"], obj["kind"]).namespaced
        except ApiError:
            message = (
                f'no matches for kind "{obj["kind"]}" in version "{obj["apiVersion"]}"\nensure CRDs are installed first'
            )
            name = f'name: "{obj["metadata"]["name"]}" namespace: "" from "{source}"'
            raise ToolError(1, f"error: resource mapping not found for {name}: {message}\n") from None
        if namespaced:
            obj["metadata"].setdefault("namespace", namespace)
        node.api.apply(obj)
    done = "serverside-applied" if "--server-side" in given.flags else "configured"
    return Reply(0, "".join(f"{o['kind'].lower()}/{o['metadata']['name']} {done}\n" for o in objects))


def _written(call: Call, source: str) -> list[Object]:
    if source != "-" and not call.host.files.exists(source):
        raise ToolError(1, f'error: the path "{source}" does not exist\n')
    text = call.stdin if source == "-" else call.host.files.read(source)
    try:
        return [o for o in yaml.safe_load_all(text) if o]
    except yaml.YAMLError as error:
        raise ToolError(1, f"error: error parsing STDIN: {error}\n") from None


def _downloaded(call: Call, address: str) -> list[Object]:
    host = address.removeprefix("https://").partition("/")[0]
    if not internet.is_reached(call.host, host):
        addresses = internet.addresses_of(call.host, host)
        message = f"dial tcp {addresses[0]}:443: i/o timeout" if addresses else f"dial tcp: lookup {host}: no such host"
        raise ToolError(1, f"Unable to connect to the server: {message}\n")
    found = gateway_api.published(address)
    if found is None:
        raise ToolError(1, f'error: unable to read URL "{address}", server reported 404 Not Found, status code=404\n')
    return found
