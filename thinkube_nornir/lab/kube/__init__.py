"""The lab's Kubernetes API: a real HTTPS server with discovery, watches, server-side apply, and a few controllers.

Knows Kubernetes, and no distribution of it: who installs it (tasks/lab) creates a KubeApi, adds nodes and manifests.
How to write a controller: controllers.py. What is checked of an object: schema.py (fields, types), validation.py.

How to write a rule that objects must keep: rules.py.

Left out: exec and port-forward, autoscaling, StatefulSets' pods, CronJobs' schedules, admission policies, eviction of
pods from nodes that stay NotReady. What is left out of admission webhooks: webhooks.py.

Unproven: what else a fresh cluster holds than these namespaces, its own service and two priority classes.
"""

from __future__ import annotations

import asyncio
import builtins
from urllib.parse import urlsplit

from aiohttp import web

from thinkube_nornir.lab.kube.certificates import Authority, ServerContext, kubeconfig
from thinkube_nornir.lab.kube.cleanup import ClaimsAndVolumes, Definitions, Garbage, Namespaces
from thinkube_nornir.lab.kube.cluster import Cluster
from thinkube_nornir.lab.kube.containers import PodExit
from thinkube_nornir.lab.kube.controllers import Controller
from thinkube_nornir.lab.kube.cronjobs import CronJobs
from thinkube_nornir.lab.kube.daemonsets import DaemonSets
from thinkube_nornir.lab.kube.deletion import Deletion
from thinkube_nornir.lab.kube.deployments import Deployments
from thinkube_nornir.lab.kube.endpoints import Endpoints, Slices
from thinkube_nornir.lab.kube.http import Fault, Server, end
from thinkube_nornir.lab.kube.jobs import Jobs
from thinkube_nornir.lab.kube.kubelet import ImagePullError, Kubelet, PodRuntime, PodStop
from thinkube_nornir.lab.kube.logs import Logs
from thinkube_nornir.lab.kube.nodes import NodeLifecycle, ready_conditions, register
from thinkube_nornir.lab.kube.objects import Object
from thinkube_nornir.lab.kube.rbac import User, account
from thinkube_nornir.lab.kube.replicasets import ReplicaSets
from thinkube_nornir.lab.kube.rest import Rest
from thinkube_nornir.lab.kube.scheduler import Scheduler
from thinkube_nornir.lab.kube.snapshot import snapshot
from thinkube_nornir.lab.kube.status import ApiError
from thinkube_nornir.lab.kube.volumes import Volumes
from thinkube_nornir.lab.kube.webhook_calls import Behaviour

__all__ = [
    "ApiError",
    "Cluster",
    "Controller",
    "Fault",
    "ImagePullError",
    "KubeApi",
    "Object",
    "PodExit",
    "PodRuntime",
    "PodStop",
    "User",
    "account",
]

_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


class KubeApi(Cluster):
    """One cluster's API. All methods are called in the event loop's thread; objects are plain dicts as in JSON.

    Beside the methods here, those of Cluster: get, list, create, update, apply, delete, set_status, set_condition,
    event, add_controller.

    Args:
        runtime, stop: what pods do, see kubelet.py.
        key_usage: of the cluster's authority, see certificates.py.
    """

    def __init__(
        self,
        *,
        version: str = "v1.32.3",
        runtime: PodRuntime | None = None,
        stop: PodStop | None = None,
        key_usage: bool = True,
    ) -> None:
        super().__init__()
        self.version = version
        self._authority = Authority(key_usage=key_usage)
        self._context = ServerContext(self._authority)
        self._logs = Logs()
        self._rest = Rest(self, self._logs)
        self._server = Server(self, self._rest, version)
        self._kubelet = Kubelet(runtime, self._logs, stop)
        self._runner: web.AppRunner | None = None
        self._garbage = Garbage(self)
        for controller in self._controllers():
            self.add_controller(controller)
        self._fill()

    def _controllers(self) -> builtins.list[Controller]:
        return [
            Namespaces(),
            Definitions(),
            NodeLifecycle(),
            Deployments(),
            ReplicaSets(),
            DaemonSets(),
            Jobs(),
            CronJobs(),
            Scheduler(),
            self._kubelet,
            Endpoints(),
            Slices(),
            Volumes(),
            ClaimsAndVolumes(),
        ]

    def _fill(self) -> None:
        """What a fresh cluster has."""
        for name in _NAMESPACES:
            self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        service = {"clusterIP": "10.152.183.1", "ports": [{"name": "https", "port": 443, "targetPort": 16443}]}
        metadata = {"name": "kubernetes", "namespace": "default", "labels": {"component": "apiserver"}}
        self.create({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service})
        for name, value in (("system-cluster-critical", 2000000000), ("system-node-critical", 2000001000)):
            priority = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}}
            self.create(priority | {"value": value})

    @property
    def faults(self) -> builtins.list[Fault]:
        return self._server.faults

    @faults.setter
    def faults(self, faults: builtins.list[Fault]) -> None:
        self._server.faults = faults

    @property
    def tokens(self) -> dict[str, User]:
        """Bearer tokens that are accepted, and whose they are; add to it."""
        return self._server.tokens

    @property
    def webhooks(self) -> dict[tuple[str, str], Behaviour]:
        """What the pods behind a service (namespace, name) answer as admission webhooks; add to it."""
        return self._rest.webhooks.behaviours

    @property
    def controller_errors(self) -> builtins.list[BaseException]:
        """What controllers failed with since the beginning; empty when all is well."""
        return self.queue.errors

    async def start(self, address: str = "127.0.0.1", port: int = 0) -> None:
        """Serve HTTPS. Port 0 takes a free one; see `port`. After a stop it can be started again."""
        self._kubelet.start()
        self.look_again(self._kubelet)
        self._context.add_name(address)
        self._runner = web.AppRunner(self._server.application(), access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, address, port, ssl_context=self._context.ssl).start()

    async def stop(self) -> None:
        """End the server, its watches and what the runtime still does; objects are kept."""
        self._rest.close()
        self.queue.stop()
        await self._kubelet.stop()
        if self._runner is not None:
            await end(self._runner)
            self._runner = None

    async def settled(self) -> None:
        """Wait until no controller has anything to do and no runtime is at work."""
        await self.queue.idle()
        while busy := [*self._kubelet.busy, *self.queue.busy]:
            await asyncio.wait(busy)
            await self.queue.idle()

    @property
    def port(self) -> int:
        if self._runner is None:
            raise RuntimeError("the API is not started")
        return int(self._runner.addresses[0][1])

    def kubeconfig(self, server: str) -> str:
        """An admin kubeconfig (client certificate) for `https://...` as the caller reaches it; any address verifies."""
        self._context.add_name(urlsplit(server).hostname or "")
        return kubeconfig(self._authority, server, "admin", "system:masters")

    def add_node(self, name: str, *, address: str, labels: dict[str, str] | None = None, version: str = "") -> Object:
        """Register a Ready node with this InternalIP; `version` empty for the API's own."""
        self._context.add_name(address)
        return register(self, name, address, labels or {}, version or self.version)

    def set_node_ready(self, name: str, ready: bool, reason: str = "") -> None:
        node = self.get("v1", "Node", name)
        if node is None:
            raise KeyError(name)
        self.set_status(node, conditions=ready_conditions(node, ready, reason), manager="kubelet")

    def remove_node(self, name: str) -> None:
        """The Node and the pods on it."""
        self.delete("v1", "Node", name)
        for pod in self.list("v1", "Pod"):
            if pod["spec"].get("nodeName") == name:
                self.remove(pod, how=Deletion(grace=0))

    def evict(self, name: str, namespace: str, reason: str = "Evicted") -> None:
        """What a kubelet does to a pod when its node is short of memory or disk: it fails, and stays listed."""
        pod = self.get("v1", "Pod", name, namespace)
        if pod is None:
            raise KeyError(name)
        self._kubelet.evict(pod, reason)

    def compact(self) -> None:
        """Forget the history, so that a watch from before gets 410, as after etcd's compaction."""
        self.store.compact()

    def snapshot(self) -> dict[str, Object]:
        """What was declared, without what changes by itself: to compare before and after a rollback."""
        return snapshot(self.store)
