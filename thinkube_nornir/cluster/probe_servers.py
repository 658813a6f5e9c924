"""Probe servers: a pod that serves for the time of a check, with the Service and Ingress objects that lead to it.

Everything belongs to one Job. When the check ends the Job is deleted, and the cluster deletes what belongs to it. When
the controller is killed the Job ends by its own deadline and is removed by the cluster (ttlSecondsAfterFinished); where
that is not done, the next run does it (leftovers.py).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from thinkube_nornir.cluster.deadline import deadline
from thinkube_nornir.cluster.diagnosis import workload_troubles
from thinkube_nornir.cluster.handle import Cluster
from thinkube_nornir.cluster.leftovers import labels, remove, sweep
from thinkube_nornir.cluster.messages import Call, Object
from thinkube_nornir.cluster.ownership import AS_MANAGER
from thinkube_nornir.cluster.waits import condition_true, wait_all
from thinkube_nornir.context import context
from thinkube_nornir.errors import DeadlinePassed, Refused

log = logging.getLogger(__name__)

_JOB = ("batch/v1", "Job")


@contextmanager
def probe_server(
    kube: Cluster,
    name: str,
    image: str,
    command: Sequence[str],
    *,
    ways: Callable[[str], Sequence[Object]],
    namespace: str = "default",
    lifetime: float = 300.0,
) -> Iterator[str]:
    """Have a pod run `command` for the time of the block, which gets the unique name that all of it bears.

    Args:
        name: its beginning; the API completes it.
        ways: manifests of what leads to the pod, given that name. The pod has the label `job-name` with it.
        lifetime: seconds after which the cluster ends it all, whatever became of us.

    Raises:
        DeadlinePassed: the pod did not become ready.
        ClusterError: an object was not accepted.
        Refused: in a dry run, which creates nothing.
    """
    if context(kube.task).dry_run:
        raise Refused("a dry run starts no probe server", fix="run verify to make this check")
    job = _created(kube, _job(name, namespace, image, command, lifetime))
    unique = job["metadata"]["name"]
    try:
        sweep(kube, job)
        for manifest in ways(unique):
            _created(kube, _belonging(manifest, job))
        _ready(kube, unique, namespace, lifetime)
        yield unique
    finally:
        remove(kube, job)


def _job(name: str, namespace: str, image: str, command: Sequence[str], lifetime: float) -> Object:
    container = {"name": "probe", "image": image, "command": list(command), "imagePullPolicy": "IfNotPresent"}
    ends = math.ceil(lifetime)
    spec = {
        "containers": [container],
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 0,
        "activeDeadlineSeconds": ends,
    }
    template = {"metadata": {"labels": labels()}, "spec": spec}
    return {
        "apiVersion": _JOB[0],
        "kind": _JOB[1],
        "metadata": {"generateName": f"{name}-", "namespace": namespace, "labels": labels()},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": ends,
            "ttlSecondsAfterFinished": 0,
            "template": template,
        },
    }


def _belonging(manifest: Object, job: Object) -> Object:
    owner = {"apiVersion": _JOB[0], "kind": _JOB[1], "name": job["metadata"]["name"], "uid": job["metadata"]["uid"]}
    metadata = manifest["metadata"] | {"namespace": job["metadata"]["namespace"], "ownerReferences": [owner]}
    return manifest | {"metadata": metadata | {"labels": labels()}}


def _created(kube: Cluster, manifest: Object) -> Object:
    path = kube.must_serve(manifest["apiVersion"], manifest["kind"]).path(manifest["metadata"]["namespace"])
    doing = f"creating a probe's {manifest['kind']}"
    # An answer that is lost leaves an object nobody knows: it ends with the Job, and a Job by itself.
    call = Call("POST", path, AS_MANAGER, manifest, doing=doing, repeatable=False)
    return kube.client.ask(call, deadline(kube.task))


def _ready(kube: Cluster, unique: str, namespace: str, lifetime: float) -> None:
    try:
        wait_all(
            kube,
            *("v1", "Pod", namespace),
            label_selector=f"job-name={unique}",
            condition=lambda pods: any(condition_true(pod, "Ready") for pod in pods),
            what=f"the probe server {namespace}/{unique} to be ready",
            timeout=lifetime / 2,
        )
    except DeadlinePassed as error:
        error.why = f"{error.why}\n{workload_troubles(kube, *_JOB, unique, namespace)}".rstrip()
        raise
