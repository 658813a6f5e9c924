"""The only way to a Kubernetes cluster: look, apply, delete, restore, wait, and probe from inside.

    kube = cluster(task, "tkc", kubeconfig)                 opened once in a run; directly, or through SSH to that host
    kube.get("v1", "ConfigMap", "coredns", "kube-system")   kube.list(...), kube.raw("/readyz"), kube.version()
    apply(kube, manifest)                                   server-side apply under our field manager, journalled
    foreign_in_namespace(kube, "gpu-operator")              what would be lost with it; see thinkube_nornir.foreign
    delete(kube, "v1", "Namespace", "gpu-operator")         waits until it is gone
    restore(kube, "v1", "ConfigMap", "coredns", "kube-system")
    rolled_out(kube, "Deployment", "coredns", "kube-system", timeout=120)
    run_pod(kube, probe_pod("dns", image, ["nslookup", name], node="tkw1"))
    with probe_server(kube, "web", image, ["httpd", "-f"], ways=ingresses) as name: ...

Objects are plain dicts, as the API speaks them. Every error is a ThinkubeError that names the host.
"""

from thinkube_nornir.cluster.changes import apply, delete, drop_finalizer
from thinkube_nornir.cluster.diagnosis import namespace_troubles, troubles, workload_troubles
from thinkube_nornir.cluster.foreign import foreign_cluster_wide, foreign_in_cluster, foreign_in_namespace
from thinkube_nornir.cluster.handle import Cluster, cluster
from thinkube_nornir.cluster.leftovers import LABELS
from thinkube_nornir.cluster.messages import Object
from thinkube_nornir.cluster.objects import current_pods
from thinkube_nornir.cluster.pods import PodRun, probe_pod, run_pod
from thinkube_nornir.cluster.probe_servers import probe_server
from thinkube_nornir.cluster.restoring import restore
from thinkube_nornir.cluster.rollouts import is_rolled_out, rolled_out
from thinkube_nornir.cluster.waits import condition_true, node_ready, seen, wait, wait_all

__all__ = [
    "LABELS",
    "Cluster",
    "Object",
    "PodRun",
    "apply",
    "cluster",
    "condition_true",
    "current_pods",
    "delete",
    "drop_finalizer",
    "foreign_cluster_wide",
    "foreign_in_cluster",
    "foreign_in_namespace",
    "is_rolled_out",
    "namespace_troubles",
    "node_ready",
    "probe_pod",
    "probe_server",
    "restore",
    "rolled_out",
    "run_pod",
    "seen",
    "troubles",
    "wait",
    "wait_all",
    "workload_troubles",
]
