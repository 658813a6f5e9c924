"""Definitions (CRDs) that Traefik needs: its own, and those of Gateway API, which are published as one manifest.

The chart's README names the release of Gateway API that this Traefik is made for.

Source: traefik/traefik-helm-chart@v41.3.0 README.md
Source: traefik/traefik@v3.7.9 pkg/provider/kubernetes/gateway/client.go
"""

from __future__ import annotations

import re

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.ingress.controllers import PRIMARY, RELEASES
from tasks.shared.cluster.control_plane import Object, expect, kube, name_of
from tasks.shared.cluster.definitions import CRD, remove_definitions, served_by, update_definitions
from tasks.shared.microk8s.facts import COMMAND
from thinkube_nornir.cluster import Cluster, condition_true, delete
from thinkube_nornir.context import context, setting
from thinkube_nornir.errors import CommandFailed, DeadlinePassed, Refused
from thinkube_nornir.fixes import set_up
from thinkube_nornir.outcome import passed, said_with_changes, unchanged
from thinkube_nornir.remote import change, undo
from thinkube_nornir.remote.retry import retry

GATEWAY_API = "gateway.networking.k8s.io"
GROUPS = (GATEWAY_API, "traefik.io", "hub.traefik.io")
NOTED = "object:definitions before Traefik"
"""What the cluster had before us. Like an object's, the record is forgotten with the cluster."""
WATCHED = {
    **{f"{plural}.{GATEWAY_API}": "v1" for plural in ("gatewayclasses", "gateways", "httproutes", "grpcroutes")},
    **{f"{plural}.{GATEWAY_API}": "v1" for plural in ("tlsroutes", "backendtlspolicies")},
    f"referencegrants.{GATEWAY_API}": "v1beta1",
}
"""Definitions and versions that Traefik watches: while one is not served, it serves no Gateway at all."""
_OWN = ("ingressroutes.traefik.io", "middlewares.traefik.io", "tlsstores.traefik.io")
_GUARD = f"safe-upgrades.{GATEWAY_API}"
_GUARDS = ("ValidatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy")
"""What the manifest brings beside definitions: it refuses older ones."""
_APPLY = 120.0  # seconds; a megabyte over a slow line
_DEADLINE = 60.0  # seconds in which a download is tried again
_PASSING = re.compile(r"dial tcp|i/o timeout|TLS handshake|connection re|no such host|EOF|status code=5", re.IGNORECASE)


def note_definitions(task: Task) -> Result:
    if _noted(task) is not None:
        return unchanged(task, "noted which definitions were there before Traefik")
    before = {"crds": sorted(map(name_of, definitions(kube(task))))}
    return change(task, "note which definitions are there before Traefik", "true", key=NOTED, before=before)


def install_gateway_api(task: Task) -> Result:
    """
    Raises:
        Refused: it is there in a release that Traefik cannot use, and was there before.
    """
    api, source = kube(task), str(setting(task, "gateway_api_manifest"))
    lacking = _faults(api)
    if not lacking:
        return unchanged(task, "Gateway API is there")
    before = _noted(task)
    if any(name.endswith(GATEWAY_API) for name in (map(name_of, definitions(api)) if before is None else before)):
        raise Refused(
            "Gateway API is there in a release that Traefik cannot use",
            why="\n".join(lacking),
            fix=f"bring it up to date: `kubectl apply --server-side -f {source}`",
        )
    argv = (COMMAND, "kubectl", "apply", "--server-side", "--filename", source)
    try:
        return retry(
            task,
            lambda: change(task, f"install Gateway API from {source}", *argv, root=True, timeout=_APPLY),
            refused=lambda error: bool(_PASSING.search(error.why)),
            what=f"{source} to be downloaded",
            timeout=_DEADLINE,
        )
    except (CommandFailed, DeadlinePassed) as error:
        error.fix = "see that the host reaches the address, or name a file on it as gateway_api_manifest"
        raise


def update_own_definitions(task: Task) -> Result:
    return update_definitions(task, PRIMARY.declared(task), _OWN)


def definitions_are_there(task: Task) -> Result:
    api = kube(task)
    missing = [name for name in _OWN if not condition_true(api.get(*CRD, name) or {}, "Established")]
    wrong = [*_faults(api), *(f"{name} is not there" for name in missing)]
    fix = f"{set_up(task)}; Traefik's own: `helm show crds`, and `kubectl apply --server-side --force-conflicts`"
    expect(not wrong, "not every definition that Traefik needs is there", why="\n".join(wrong), fix=fix)
    return passed(task, "Gateway API and Traefik's kinds are served")


def _faults(api: Cluster) -> list[str]:
    """What Traefik lacks of Gateway API, one statement each."""
    served = {name_of(crd): served_by(crd) for crd in definitions(api) if condition_true(crd, "Established")}
    seen = {name: f"served as {', '.join(served[name])}" if name in served else "not there" for name in WATCHED}
    return [f"{name} is {seen[name]}, not as {v}" for name, v in WATCHED.items() if v not in served.get(name, ())]


def definitions(api: Cluster) -> list[Object]:
    return [crd for crd in api.list(*CRD) if crd["spec"]["group"] in GROUPS]


def _noted(task: Task) -> list[str] | None:
    record = context(task).change_log.managed(task.host.name, NOTED)
    return None if record is None else list(record.before["crds"])


def delete_definitions(task: Task) -> Result:
    before, api = _noted(task), kube(task)
    if before is None:
        return unchanged(task, "no definition came with Traefik")
    removed = remove_definitions(task, definitions(api), before, _is_of_release)
    results, served = [removed], [name_of(crd) for crd in definitions(api)]
    if context(task).dry_run or not any(name.endswith(GATEWAY_API) for name in served):
        version = "admissionregistration.k8s.io/v1"
        results += [delete(api, version, kind, _GUARD, undo=False) for kind in _GUARDS if api.kind(version, kind)]
    forgotten = undo(task, NOTED, "forget which definitions were there before Traefik")
    return said_with_changes(task, [*(r for r in results if r.changed or r is removed), forgotten])


def _is_of_release(obj: Object) -> bool:
    """In a dry run the releases' own objects are still there."""
    return (obj["metadata"].get("annotations") or {}).get("meta.helm.sh/release-name") in RELEASES
