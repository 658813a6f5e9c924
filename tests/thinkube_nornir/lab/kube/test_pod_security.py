"""What a namespace's security level keeps out, on the lab and on a real API server."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from tests.thinkube_nornir.lab.kube.conftest import use
from tests.thinkube_nornir.lab.kube.test_contract import refusal
from thinkube_nornir.lab.kube import Object
from thinkube_nornir.lab.kube.pod_security import ENFORCE

SAFE = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def pod(*contexts: Object, **spec: Any) -> Object:
    containers = [{"name": f"c{n}", "image": "i", "securityContext": context} for n, context in enumerate(contexts)]
    return {"metadata": {"name": "p"}, "spec": {"containers": containers, **spec}}


HOST = {"hostNetwork": True, "hostPID": True, "volumes": [{"name": "h", "hostPath": {"path": "/"}}]}
HOSTS = 'host namespaces (hostNetwork=true, hostPID=true), hostPath volumes (volume "h")'
RESTRICTED = (
    'allowPrivilegeEscalation != false (containers "c0", "c1" must set '
    "securityContext.allowPrivilegeEscalation=false), "
    'unrestricted capabilities (containers "c0", "c1" must set securityContext.capabilities.drop=["ALL"]), '
    'runAsNonRoot != true (pod or containers "c0", "c1" must set securityContext.runAsNonRoot=true), '
    'seccompProfile (pod or containers "c0", "c1" must set securityContext.seccompProfile.type to "RuntimeDefault" or '
    '"Localhost")'
)


@pytest.mark.parametrize(
    ("level", "manifest", "told"),
    [
        (
            "baseline",
            pod({}, **HOST),
            'host namespaces (hostNetwork=true, hostPID=true), hostPath volumes (volume "h")',
        ),
        ("restricted", pod({}, {}), RESTRICTED),
        ("restricted", pod(SAFE), ""),
        ("restricted", pod(SAFE, SAFE | {"runAsNonRoot": None}, securityContext={"runAsNonRoot": True}), ""),
        ("baseline", pod({}), ""),
        ("privileged", pod({}, **HOST), ""),
    ],
    ids=["host", "loose", "safe", "safe by the pod", "baseline is enough", "everything"],
)
def test_a_level_keeps_out_what_it_forbids(
    anywhere: client.ApiClient, name: str, level: str, manifest: Object, told: str
) -> None:
    core = use(client.CoreV1Api, anywhere)
    core.create_namespace({"metadata": {"name": name, "labels": {ENFORCE: level}}})
    if not told:
        core.create_namespaced_pod(name, manifest)
        return

    with pytest.raises(ApiException) as caught:
        core.create_namespaced_pod(name, manifest)

    code, status = refusal(caught)
    assert (code, status["message"]) == (403, f'pods "p" is forbidden: violates PodSecurity "{level}:latest": {told}')
