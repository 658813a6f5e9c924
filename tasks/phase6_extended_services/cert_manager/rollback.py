"""Taking cert-manager back: certificates while the controller still ends their challenges, then what it stands on.

The controller makes secrets for our objects, which no record knows. Each goes after the object it was made for, which
would have it made again, and before another one that was set up earlier, whose record says that we were here.
A certificate of Let's Encrypt stays in its secret: another one would count against the weekly limit.
"""

from __future__ import annotations

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.cert_manager.copies import namespace_gone
from tasks.phase6_extended_services.cert_manager.issuing import (
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
from tasks.phase6_extended_services.cert_manager.settings import ACME_SERVERS
from tasks.shared.cluster.control_plane import Object, kube, name_of
from tasks.shared.cluster.kubernetes_distribution import DISTRIBUTION
from thinkube_nornir.cluster import Cluster, delete, drop_finalizer, restore, wait_all
from thinkube_nornir.context import context, is_managed
from thinkube_nornir.errors import DeadlinePassed
from thinkube_nornir.helm import recorded, uninstall
from thinkube_nornir.outcome import all_of, unchanged

_ISSUERS = (*ACME_SERVERS, AUTHORITY, f"{AUTHORITY}-root")
_PRODUCTION = "letsencrypt-prod"
_WEBHOOK_KEY = "cert-manager-webhook-ca"
_LEASES = ("cert-manager-controller", "cert-manager-cainjector-leader-election")
_FINALIZER = "acme.cert-manager.io/finalizer"
_CHALLENGES = 120.0  # seconds for the controller to remove its records at Cloudflare


def _brought(task: Task) -> bool:
    """Whether cert-manager is there by our doing, and was not before us."""
    record = recorded(task, RELEASE, NAMESPACE)
    if record is not None:
        return bool(record["revision"] is None)
    return is_managed(task, f"object:v1/Namespace/{NAMESPACE}")


def remove_certificate(task: Task) -> Result:
    api, name = kube(task), certificate_name(task)
    result = restore(api, API, "Certificate", name, SOURCE_NAMESPACE)
    if result.changed and not context(task).dry_run and api.get(API, "Certificate", name, SOURCE_NAMESPACE) is None:
        _await_none(api, "Order", name)
        result = all_of(task, result, *_end_challenges(task, api, name))
    return result


def _end_challenges(task: Task, api: Cluster, certificate: str) -> list[Result]:
    """One whose record Cloudflare does not let go stays for ever: with a token that was taken back, say.

    Source: cert-manager/cert-manager@v1.20.3 pkg/controller/acmechallenges/sync.go
    """
    try:
        _await_none(api, "Challenge", certificate)
    except DeadlinePassed:
        stuck = [obj for obj in _of(api, "Challenge", certificate) if obj["metadata"].get("deletionTimestamp")]
        if not stuck:
            raise
        return [_let_go(api, obj) for obj in stuck]
    return [unchanged(task, "no challenge is left")]


def _let_go(api: Cluster, challenge: Object) -> Result:
    status, record = challenge.get("status") or {}, f"_acme-challenge.{challenge['spec']['dnsName']}"
    left = f"; its record {record} was left at Cloudflare" if status.get("presented") else ""
    summary = f"let Challenge {name_of(challenge)} go{left}: {status.get('reason', 'its controller does not')}"
    return drop_finalizer(api, {**challenge, "apiVersion": ACME_API, "kind": "Challenge"}, _FINALIZER, summary=summary)


def _await_none(api: Cluster, kind: str, certificate: str) -> None:
    """Their owner is gone; the controller removes their records first, and then lets them go."""

    def none(found: list[Object]) -> bool:
        return not any(name_of(obj).startswith(f"{certificate}-") for obj in found)

    what = f"the controller to end its {kind.lower()}s of {certificate}"
    wait_all(api, ACME_API, kind, SOURCE_NAMESPACE, condition=none, what=what, timeout=_CHALLENGES)


def _of(api: Cluster, kind: str, certificate: str) -> list[Object]:
    return [o for o in api.list(ACME_API, kind, SOURCE_NAMESPACE) if name_of(o).startswith(f"{certificate}-")]


def remove_certificate_secret(task: Task) -> Result:
    api, name = kube(task), certificate_name(task)
    notes = _notes(api, name, SOURCE_NAMESPACE)
    if notes.get("cert-manager.io/issuer-name") == _PRODUCTION and _made_for_us(task, api, name, SOURCE_NAMESPACE):
        return unchanged(task, f"secret {SOURCE_NAMESPACE}/{name} was left: Let's Encrypt gives few new ones in a week")
    return _remove_secret(task, api, name, SOURCE_NAMESPACE)


def remove_authority(task: Task) -> Result:
    api = kube(task)
    result = restore(api, API, "Certificate", AUTHORITY, NAMESPACE)
    return all_of(task, result, _remove_secret(task, api, AUTHORITY, NAMESPACE))


def _remove_secret(task: Task, api: Cluster, name: str, namespace: str) -> Result:
    if not _made_for_us(task, api, name, namespace):
        return unchanged(task, f"secret {namespace}/{name} is not ours to remove")
    return delete(api, "v1", "Secret", name, namespace, undo=False)


def _made_for_us(task: Task, api: Cluster, name: str, namespace: str) -> bool:
    """For a Certificate of its name that was ours: our issuers are still there, and set-up made them first."""
    if not any(is_managed(task, f"object:{API}/ClusterIssuer/{issuer}") for issuer in _ISSUERS):
        return False
    made = _notes(api, name, namespace).get("cert-manager.io/certificate-name") == name
    planned = context(task).dry_run  # the Certificate is still there, and only promised to go
    return made and (planned or api.get(API, "Certificate", name, namespace) is None)


def _notes(api: Cluster, name: str, namespace: str) -> dict[str, str]:
    found = api.get("v1", "Secret", name, namespace) or {}
    return dict(found.get("metadata", {}).get("annotations") or {})


def remove_issuers(task: Task) -> Result:
    api = kube(task)
    return all_of(task, *[restore(api, API, "ClusterIssuer", name) for name in _ISSUERS])


def remove_account_keys(task: Task) -> Result:
    if not is_managed(task, f"object:v1/Secret/{NAMESPACE}/{TOKEN_SECRET}"):
        return unchanged(task, "no account is ours")
    api = kube(task)
    used = {name_of(issuer) for issuer in api.list(API, "ClusterIssuer")}
    gone = [name for name in ACME_SERVERS if name not in used or context(task).dry_run]
    return all_of(
        task,
        unchanged(task, "no account is left"),
        *[delete(api, "v1", "Secret", f"{name}-account-key", NAMESPACE, undo=False) for name in gone],
    )


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
    """With what its pods made by themselves: the webhook's key, and leases in another namespace."""
    brought = _brought(task)
    result = uninstall(task, DISTRIBUTION.HELM, RELEASE, NAMESPACE)
    if not brought:
        return result
    api = kube(task)
    leases = [delete(api, "coordination.k8s.io/v1", "Lease", name, "kube-system", undo=False) for name in _LEASES]
    return all_of(task, result, delete(api, "v1", "Secret", _WEBHOOK_KEY, NAMESPACE, undo=False), *leases)


def remove_namespace(task: Task) -> Result:
    return namespace_gone(task, NAMESPACE)
