"""A host with a cluster behind it, for the steps of resources: the lab's API, or a real one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from nornir.core.task import Result, Task

from tests.cluster_client import ClusterClient
from tests.kube_servers import LabServer
from thinkube_nornir.cluster import Cluster, Object, cluster, condition_true, wait
from thinkube_nornir.cluster.deadline import deadline
from thinkube_nornir.cluster.in_cluster_state import NAMESPACE
from thinkube_nornir.cluster.messages import Call
from thinkube_nornir.cluster.objects import cleaned, reference
from thinkube_nornir.resources import ClusterAccess, Resource

RECORDS = "app.kubernetes.io/component=change-record"


class ClusterHost(ClusterClient):
    """What a resource's steps do on `tkc`, and what others do to the cluster meanwhile."""

    def __init__(self, folder: Path, server: LabServer | str, helm: tuple[str, ...] = ()) -> None:
        text = server.kubeconfig if isinstance(server, LabServer) else server
        super().__init__(folder, text, command=20)
        self.server = server if isinstance(server, LabServer) else None
        self.there = True
        self.manager = "kubectl"
        """Who the others are."""
        self.access = ClusterAccess(lambda task: cluster(task, "tkc", self.kubeconfig), lambda _: self.there, helm)

    def _do(self, function: Callable[[Task], Result], **how: Any) -> Result:
        self.context.facts.clear()
        result = self.host.apply(function, context=replace(self.context, **how))
        if self.server:
            self.server.settle()
        return result

    def set_up(self, resource: Resource, **how: Any) -> Result:
        return self._do(resource.setup_step.function, **how)

    def check(self, resource: Resource) -> Result:
        return self._do(resource.check_step.function, read_only=True)

    def roll_back(self, resource: Resource, **how: Any) -> Result:
        return self._do(resource.rollback_step.function, **how)

    def get(self, obj: Object) -> Object | None:
        return self.use(lambda kube: kube.get(*reference(obj).place))

    def plain(self, obj: Object) -> Object | None:
        """What somebody declared of it, without what the server adds."""
        live = self.get(obj)
        return cleaned(live) if live else None

    def others(
        self, method: str, obj: Object, change: Any = None, content_type: str = "application/json", part: str = ""
    ) -> None:
        """What somebody else does with kubectl: POST creates, PATCH merges, DELETE deletes."""
        ref = reference(obj)

        def sent(kube: Cluster) -> None:
            name = "" if method == "POST" else ref.name
            path = kube.must_serve(ref.api_version, ref.kind).path(ref.namespace, name) + part
            body = obj if method == "POST" else change
            kube.client.ask(Call(method, path, {"fieldManager": self.manager}, body, content_type), deadline(kube.task))

        self.use(sent)
        if self.server:
            self.server.settle()

    def calls(self) -> list[Call]:
        """What is asked of the API from now on, apart from looking up how kinds are served."""
        client = self.use(lambda kube: kube.client)
        plain, sent = type(client).request, list[Call]()

        def request(call: Call, within: Any) -> Any:
            if not call.doing.startswith("looking up"):
                sent.append(call)
            return plain(client, call, within)

        client.request = request  # type: ignore[method-assign,assignment]
        return sent

    def create(self, obj: Object) -> None:
        self.others("POST", obj)

    def patch(self, obj: Object, change: Object) -> None:
        self.others("PATCH", obj, change, "application/merge-patch+json")

    def patch_status(self, obj: Object, change: Object) -> None:
        self.others("PATCH", obj, change, "application/merge-patch+json", "/status")

    def await_condition(self, obj: Object, condition: str) -> None:
        ref = reference(obj)
        holds = lambda found: found is not None and condition_true(found, condition)  # noqa: E731
        self.use(lambda kube: wait(kube, *ref.place, condition=holds, what=condition, timeout=20))

    def delete(self, obj: Object) -> None:
        self.others("DELETE", obj)

    def forget_records(self) -> None:
        """Let the cluster not remember what this test changed: the next one's run would take it over."""
        found = self.use(lambda kube: kube.list("v1", "Secret", NAMESPACE, label_selector=RECORDS))
        for record in found:
            self.delete({"apiVersion": "v1", "kind": "Secret", **record})
