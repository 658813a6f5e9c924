"""The cluster as resources reach it: manifests and releases of components name CLUSTER."""

from tasks.shared.cluster.control_plane import kube, there_is_a_cluster
from tasks.shared.cluster.kubernetes_distribution import DISTRIBUTION
from thinkube_nornir.resources import ClusterAccess

CLUSTER = ClusterAccess(connect=kube, exists=there_is_a_cluster, helm=DISTRIBUTION.HELM)
