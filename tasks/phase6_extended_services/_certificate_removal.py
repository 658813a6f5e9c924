"""Taking cert-manager back: certificates while the controller still ends their challenges, then what it stands on.

A certificate of Let's Encrypt stays in its secret: another one would count against the weekly limit.
"""

from __future__ import annotations

from nornir.core.task import Result, Task

from tasks.certificate_settings import ACME_SERVERS
from tasks.control_plane import Object, kube, name_of
from tasks.kubernetes_distribution import DISTRIBUTION
from tasks.phase6_extended_services._copies import namespace_gone
from tasks.phase6_extended_services._issuing import (
    ACME_API,
    API,
    AUTHORITY,
    DEFINITION,
    KINDS,
    NAMESPACE,
    RELEASE,
    SOURCE_NAMESPACE,
    TOKEN_SECRET,
    certificate_name,
)
from thinkube_nornir.cluster import Cluster, delete, restore, wait_all
from thinkube_nornir.context import context
from thinkube_nornir.helm import recorded, uninstall
from thinkube_nornir.outcome import all_of, unchanged

_ISSUERS = (*ACME_SERVERS, AUTHORITY, f"{AUTHORITY}-root")
_PRODUCTION = "letsencrypt-prod"
_MADE_BY_CONTROLLER = (AUTHORITY, "cert-manager-webhook-ca", *(f"{name}-account-key" for name in ACME_SERVERS))
_LEASES = ("cert-manager-controller", "cert-manager-cainjector-leader-election")
_CHALLENGES = 120.0  # seconds for the controller to remove its records at Cloudflare


def _brought(task: Task) -> bool:
    """Whether cert-manager is there by our doing, and was not before us."""
    record = recorded(task, RELEASE, NAMESPACE)
    if record is not None:
        return bool(record["revision"] is None)
    return context(task).ledger.ours(task.host.name, f"object:v1/Namespace/{NAMESPACE}") is not None


def remove_certificate(task: Task) -> Result:
    api, name = kube(task), certificate_name(task)
    result = restore(api, API, "Certificate", name, SOURCE_NAMESPACE)
    if result.changed and not context(task).dry_run and api.get(API, "Certificate", name, SOURCE_NAMESPACE) is None:
        for kind in ("Challenge", "Order"):
            _await_none(api, kind, name)
    return result


def _await_none(api: Cluster, kind: str, certificate: str) -> None:
    """Their owner is gone; the controller removes their records first, and then lets them go."""

    def none(found: list[Object]) -> bool:
        return not any(name_of(obj).startswith(f"{certificate}-") for obj in found)

    what = f"the controller to end its {kind.lower()}s of {certificate}"
    wait_all(api, ACME_API, kind, SOURCE_NAMESPACE, condition=none, what=what, timeout=_CHALLENGES)


def remove_issuers(task: Task) -> Result:
    api = kube(task)
    results = [restore(api, API, "ClusterIssuer", name) for name in _ISSUERS]
    return all_of(task, *results, restore(api, API, "Certificate", AUTHORITY, NAMESPACE))


def remove_certificate_secret(task: Task) -> Result:
    """cert-manager made it for our Certificate, and leaves it when that is deleted."""
    api, name = kube(task), certificate_name(task)
    found = api.get("v1", "Secret", name, SOURCE_NAMESPACE)
    notes = (found or {}).get("metadata", {}).get("annotations") or {}
    made = notes.get("cert-manager.io/certificate-name") == name
    if not _brought(task) or not made or _is_used(task, api, name):
        return unchanged(task, f"secret {SOURCE_NAMESPACE}/{name} is not ours to remove")
    if notes.get("cert-manager.io/issuer-name") == _PRODUCTION:
        return unchanged(task, f"secret {SOURCE_NAMESPACE}/{name} was left: Let's Encrypt gives few new ones in a week")
    return delete(api, "v1", "Secret", name, SOURCE_NAMESPACE, undo=False)


def _is_used(task: Task, api: Cluster, name: str) -> bool:
    planned = context(task).dry_run  # the Certificate is still there, and only promised to go
    return not planned and api.get(API, "Certificate", name, SOURCE_NAMESPACE) is not None


def remove_token(task: Task) -> Result:
    return restore(kube(task), "v1", "Secret", TOKEN_SECRET, NAMESPACE)


def remove_definitions(task: Task) -> Result:
    """Before the chart, whose record says which were there before us; never while others have objects of them."""
    record = recorded(task, RELEASE, NAMESPACE)
    if record is None or record["revision"] is not None:
        return unchanged(task, "the definitions are not ours to remove")
    api = kube(task)
    used = sorted({f"{kind} {name_of(obj)}" for kind, obj in _of_others(task, api)})
    if used:
        return unchanged(task, f"the definitions were left: others have {', '.join(used)}")
    results = [delete(api, *DEFINITION, name, undo=False) for name in KINDS if name not in record["definitions"]]
    return all_of(task, *results, unchanged(task, "no definition is ours"))


def _of_others(task: Task, api: Cluster) -> list[tuple[str, Object]]:
    mine = (certificate_name(task), *_ISSUERS)
    found = [(kind, obj) for version, kind in KINDS.values() for obj in api.list(version, kind)]
    return [(kind, obj) for kind, obj in found if not name_of(obj).startswith(mine)]


def uninstall_release(task: Task) -> Result:
    return uninstall(task, DISTRIBUTION.HELM, RELEASE, NAMESPACE)


def remove_traces(task: Task) -> Result:
    """What the controllers made by themselves: keys in their namespace, leases in another one."""
    if not _brought(task):
        return unchanged(task, "cert-manager is not ours")
    api = kube(task)
    keys = [delete(api, "v1", "Secret", name, NAMESPACE, undo=False) for name in _MADE_BY_CONTROLLER]
    leases = [delete(api, "coordination.k8s.io/v1", "Lease", name, "kube-system", undo=False) for name in _LEASES]
    return all_of(task, *keys, *leases)


def remove_namespace(task: Task) -> Result:
    return namespace_gone(task, NAMESPACE)
