"""A step's hold on a cluster: reading objects of any kind by apiVersion and kind."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from nornir.core.task import Task

from thinkube_nornir.cluster.deadline import Deadline, deadline
from thinkube_nornir.cluster.kubeconfig import Access, parse, write_private
from thinkube_nornir.cluster.messages import Call, Object, refusal
from thinkube_nornir.context import context, lost, on
from thinkube_nornir.errors import ClusterError, Unreachable
from thinkube_nornir.remote.exchange import connection
from thinkube_nornir.target import kind_of

if TYPE_CHECKING:
    from thinkube_nornir.cluster.client import Client

Objects = list[Object]

_DIRECT = 1.0  # seconds an API server may take before we go through SSH instead


@dataclass(frozen=True)
class Kind:
    """How the API serves a kind."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool

    def path(self, namespace: str = "", name: str = "") -> str:
        parts = [f"/api/{self.api_version}" if "/" not in self.api_version else f"/apis/{self.api_version}"]
        if self.namespaced and namespace:
            parts.append(f"namespaces/{quote(namespace, safe='')}")
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        return "/".join(parts)


class Clusters:
    """What context(task).clusters holds for a host: its client, opened by the first step that needs it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.client: Client | None = None
        self.kinds: dict[tuple[str, str], Kind] = {}
        self.swept = False
        """Whether this run has removed what earlier ones left."""
        self.adopted = False
        """Whether this run's change log knows what the cluster remembers."""

    def close(self) -> None:
        with self.lock:
            if self.client:
                self.client.close()
            self.client = None


@dataclass(frozen=True)
class Cluster:
    """One step's view: its task says how long things may take and whether anything may be changed.

    `get` and `list` return the objects as the API speaks them. A kind whose CRD is not installed has no objects.
    """

    task: Task
    client: Client
    kinds: dict[tuple[str, str], Kind]

    @property
    def host(self) -> str:
        """The host through which the cluster is reached."""
        return self.client.host

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Object | None:
        """Return the object, or None when there is none.

        Raises:
            ClusterError: the API refused, or did not answer within `timeouts.command`.
        """
        served = self.kind(api_version, kind)
        if served is None:
            return None
        call = Call("GET", served.path(namespace, name), doing=f"reading {spoken(kind, name, namespace)}")
        answer = self.client.request(call, deadline(self.task))
        if answer.status == 404:
            if answer.names_nothing:
                self.forget(api_version, kind)
            return None
        if not answer.good:
            raise refusal(answer, call.doing, self.host)
        return answer.json()

    def list(
        self, api_version: str, kind: str, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> Objects:
        """Return the objects, of all namespaces when none is named. Selectors as kubectl takes them."""
        served = self.kind(api_version, kind)
        if served is None:
            return []
        try:
            return self.listing(served, namespace, selectors(label_selector, field_selector), deadline(self.task))[0]
        except ClusterError as error:
            if error.status != 404:
                raise
            self.forget(api_version, kind)
            return []

    def forget(self, api_version: str, kind: str) -> None:
        """Look up anew how the kind is served: its CRD was removed since, and may have come back in another form."""
        self.kinds.pop((api_version, kind), None)

    def listing(self, kind: Kind, namespace: str, query: Mapping[str, str], deadline: Deadline) -> tuple[Objects, str]:
        """The objects and the resourceVersion from which a watch goes on."""
        doing = f"listing {kind.kind}{f' in {namespace}' if namespace else ''}"
        listed = self.client.ask(Call("GET", kind.path(namespace), query, doing=doing), deadline)
        head = {"apiVersion": kind.api_version, "kind": kind.kind}  # which the items of a list leave out
        items = [head | item for item in listed.get("items") or []]
        return items, str(listed.get("metadata", {}).get("resourceVersion", ""))

    def raw(self, path: str) -> str:
        """Return what the API says at a path, now: a 500 of `/readyz` is its answer, and not asked again.

        Raises:
            ClusterError: the answer's status is not 2xx.
        """
        call = Call("GET", path, doing=f"reading {path}", repeatable=False)
        answer = self.client.request(call, deadline(self.task))
        if not answer.good:
            raise refusal(answer, call.doing, self.host)
        return answer.body.decode(errors="backslashreplace")

    def version(self) -> str:
        """The API server's version, `v1.32.3`."""
        return str(
            self.client.ask(Call("GET", "/version", doing="reading the version"), deadline(self.task))["gitVersion"]
        )

    def kind(self, api_version: str, kind: str, within: Deadline | None = None) -> Kind | None:
        """How a kind is served; None when it is not, because its CRD is not installed.

        Raises:
            ClusterError: a group of Kubernetes itself has no such kind, so that its name must be wrong.
        """
        known = self.kinds.get((api_version, kind))
        return known or self._discovered(api_version, kind, within or deadline(self.task))

    def must_serve(self, api_version: str, kind: str) -> Kind:
        served = self.kind(api_version, kind)
        if served is None:
            raise ClusterError(
                f"the cluster of {self.host} does not serve {kind} of {api_version}",
                status=404,
                why="its CustomResourceDefinition is not installed, or not in this version",
                fix="install what brings it first, and wait until it is Established",
            )
        return served

    def _discovered(self, api_version: str, kind: str, within: Deadline) -> Kind | None:
        path = Kind(api_version, "", "", namespaced=False).path().rstrip("/")
        call = Call("GET", path, doing=f"looking up the kinds of {api_version}")
        answer = self.client.request(call, within)
        if not answer.good and answer.status != 404:
            raise refusal(answer, call.doing, self.host)
        for served in answer.json().get("resources") or []:
            if "/" not in served["name"]:
                found = Kind(api_version, served["kind"], served["name"], served["namespaced"])
                self.kinds[api_version, served["kind"]] = found
        if (api_version, kind) not in self.kinds and _built_in(api_version):
            raise ClusterError(
                f"the cluster of {self.host} knows no {kind} of {api_version}",
                status=404,
                fix="correct apiVersion and kind, or see whether this Kubernetes version still serves them",
            )
        return self.kinds.get((api_version, kind))


def _built_in(api_version: str) -> bool:
    group = api_version.rpartition("/")[0]
    return "." not in group or (group.endswith(".k8s.io") and group.count(".") == 2)


def spoken(kind: str, name: str, namespace: str = "") -> str:
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def selectors(label_selector: str, field_selector: str) -> dict[str, str]:
    asked = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {name: value for name, value in asked.items() if value}


def cluster(task: Task, host: str, kubeconfig: Callable[[Task], str]) -> Cluster:
    """Return the cluster that is reached through `host`; opened once in a run.

    Args:
        kubeconfig: reads the kubeconfig's text, given this step's task on `host`.

    Raises:
        ClusterError: the kubeconfig cannot be used.
        Unreachable: no connection to the host.
    """
    slot = cast(Clusters, context(task).clusters.setdefault(host, Clusters()))
    with slot.lock:
        if slot.client is None:
            there = on(task, host)
            try:
                slot.client = _opened(there, kubeconfig)
            except Unreachable as error:
                lost(there, error)  # within the lock: the steps that wait for it need not try again
                raise
        return Cluster(task, slot.client, slot.kinds)


def _opened(there: Task, kubeconfig: Callable[[Task], str]) -> Client:
    from thinkube_nornir.cluster.client import Client  # 0.3 s, and only a run that meets a cluster needs it

    name, config = there.host.name, context(there).config
    text = kubeconfig(there)
    access = parse(text, name)
    write_private(config.state / f"kubeconfig-{name}", text.encode())
    evidence, silence = context(there).evidence, config.timeouts.command
    direct = Client(name, access, config.state, evidence=evidence, longest_silence=silence)
    if not kind_of(config.target).disposable and not _is_loopback(access) and _answers(direct, there):
        return direct
    direct.close()
    ssh, (address, port) = connection(there), access.address

    def dial() -> socket.socket:
        try:
            return ssh.forward(address, port)
        except Unreachable as error:
            lost(there, error)
            raise

    return Client(name, access, config.state, dial, evidence, silence)


def _is_loopback(access: Access) -> bool:
    """An address that means another machine there than here."""
    address = access.address[0]
    return address == "localhost" or address.startswith("127.") or address == "::1"


def _answers(client: Client, task: Task) -> bool:
    """Whether the server itself, not just anything at its address, answers here and now."""
    try:
        client.request(Call("GET", "/version", doing="reading the version"), deadline(task, _DIRECT))
    except ClusterError:
        return False
    return True
