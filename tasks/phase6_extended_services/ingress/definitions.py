"""Definitions (CRDs) that Traefik needs: Helm brings its own along, nobody those of Gateway API.

Helm installs what stands in a chart's folder crds when it installs a release, and never changes or removes it. Gateway
API's are published as one manifest; the chart's README names the release of it that this Traefik is made for.

Source: traefik/traefik-helm-chart@v41.3.0 README.md
Source: traefik/traefik@v3.7.9 pkg/provider/kubernetes/gateway/client.go
"""

from __future__ import annotations

import re

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.ingress.controller import CHART, RELEASES, controllers, release_of
from tasks.shared.cluster.control_plane import Object, expect, kube, name_of
from tasks.shared.cluster.kubernetes_distribution import DISTRIBUTION
from tasks.shared.microk8s.facts import COMMAND
from thinkube_nornir.change_log import Change
from thinkube_nornir.cluster import Cluster, condition_true, delete
from thinkube_nornir.context import context, setting
from thinkube_nornir.errors import CommandFailed, DeadlinePassed, Refused
from thinkube_nornir.fixes import set_up
from thinkube_nornir.helm import Installed, installed
from thinkube_nornir.helm import definitions as helm_definitions
from thinkube_nornir.outcome import all_of, changed, passed, said_with_changes, unchanged
from thinkube_nornir.remote import change, undo
from thinkube_nornir.remote.retry import retry

GATEWAY_API = "gateway.networking.k8s.io"
GROUPS = (GATEWAY_API, "traefik.io", "hub.traefik.io")
CRD = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
NOTED = "object:definitions before Traefik"
"""What the cluster had before us. Like an object's, the record is forgotten with the cluster."""
_WATCHED = {
    "gatewayclasses": "v1",
    "gateways": "v1",
    "httproutes": "v1",
    "grpcroutes": "v1",
    "tlsroutes": "v1",
    "backendtlspolicies": "v1",
    "referencegrants": "v1beta1",
}
"""Gateway API's kinds and versions that Traefik watches: while one is not served, it serves no Gateway at all."""
_OWN = ("ingressroutes", "middlewares", "tlsstores")
_GUARD = "safe-upgrades.gateway.networking.k8s.io"
_GUARDS = ("ValidatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy")
"""What the manifest brings beside definitions: it refuses older ones."""
_APPLY = 120.0  # seconds; a megabyte over a slow line
_DEADLINE = 60.0  # seconds in which a download is tried again
_PASSING = re.compile(r"dial tcp|i/o timeout|TLS handshake|connection re|no such host|EOF|status code=5", re.IGNORECASE)


def bring_definitions(task: Task) -> Result:
    """
    Raises:
        Refused: Gateway API is there in a release that Traefik cannot use, and it is not ours.
    """
    api = kube(task)
    noted = _noted(task)
    present = {name_of(crd) for crd in definitions(api)}
    results = [unchanged(task, "Gateway API is there")]
    if noted is None:
        summary, before = "note which definitions are there before Traefik", {"crds": sorted(present)}
        results.append(change(task, summary, "true", key=NOTED, before=before))
    lacking = gateway_api_faults(api)
    if lacking:
        formerly = present if noted is None else noted.before["crds"]
        _must_be_ours(task, [name for name in formerly if name.endswith(f".{GATEWAY_API}")], lacking)
        results.append(_apply(task))
    return all_of(task, *results)


def update_own_definitions(task: Task) -> Result:
    """Traefik's own, before an upgrade: helm brings them with the first release, and never changes them.

    Source: helm/helm@v3.19.2 pkg/action/install.go
    """
    helm = DISTRIBUTION.HELM
    wanted = [release_of(task, controller) for controller in controllers(task)]
    found = [(installed(task, helm, release.name, release.namespace), release) for release in wanted]
    old = [release for there, release in found if there and _is_traefiks(there) and not there.is_of(release)]
    if not old:
        return unchanged(task, "Traefik's definitions are those of its release")
    summary = f"bring Traefik's definitions to those of chart {old[0].version}"
    if context(task).dry_run:
        return changed(task, summary, planned=True)
    import yaml  # components are listed without it

    text = yaml.safe_dump_all(helm_definitions(task, helm, old[0]))
    argv = (COMMAND, "kubectl", "apply", "--server-side", "--force-conflicts", "--filename", "-")
    return change(task, summary, *argv, stdin=text.encode(), root=True, timeout=_APPLY)


def _is_traefiks(there: Installed) -> bool:
    return there.chart.startswith(f"{CHART}-")


def _must_be_ours(task: Task, others: list[str], lacking: list[str]) -> None:
    if others:
        raise Refused(
            "Gateway API is there in a release that Traefik cannot use",
            why="\n".join(lacking),
            fix=f"bring it up to date: `kubectl apply --server-side -f {_manifest(task)}`",
        )


def _manifest(task: Task) -> str:
    return str(setting(task, "gateway_api_manifest"))


def _apply(task: Task) -> Result:
    """Downloads fail now and then; one that the network refuses is tried again."""
    source = _manifest(task)
    argv = (COMMAND, "kubectl", "apply", "--server-side", "--filename", source)

    def attempt() -> Result:
        return change(task, f"install Gateway API from {source}", *argv, root=True, timeout=_APPLY)

    def refused(error: CommandFailed) -> bool:
        return bool(_PASSING.search(error.why))

    try:
        return retry(task, attempt, refused=refused, what=f"{source} to be downloaded", timeout=_DEADLINE)
    except (CommandFailed, DeadlinePassed) as error:
        error.fix = "see that the host reaches the address, or name a file on it as gateway_api_manifest"
        raise


def definitions_are_there(task: Task) -> Result:
    api = kube(task)
    wrong = gateway_api_faults(api)
    wrong += [f"{plural}.traefik.io is not there" for plural in _OWN if not _is_there(api, f"{plural}.traefik.io")]
    fix = f"{set_up(task)}; Traefik's own: `helm show crds`, and `kubectl apply --server-side --force-conflicts`"
    expect(not wrong, "not every definition that Traefik needs is there", why="\n".join(wrong), fix=fix)
    return passed(task, "Gateway API and Traefik's kinds are served")


def gateway_api_faults(api: Cluster) -> list[str]:
    """What Traefik lacks of it, one statement each."""
    served = {name_of(crd): _served(crd) for crd in definitions(api) if condition_true(crd, "Established")}
    names: dict[str, str] = {f"{plural}.{GATEWAY_API}": version for plural, version in _WATCHED.items()}
    return [
        f"{name} is {'served as ' + ', '.join(served[name]) if name in served else 'not there'}, not as {version}"
        for name, version in names.items()
        if version not in served.get(name, ())
    ]


def definitions(api: Cluster) -> list[Object]:
    return [crd for crd in api.list(*CRD) if crd["spec"]["group"] in GROUPS]


def objects_of(api: Cluster, crd: Object) -> list[Object]:
    """Of the kind that it defines."""
    version, kind = f"{crd['spec']['group']}/{_served(crd)[0]}", crd["spec"]["names"]["kind"]
    return api.list(version, kind) if api.kind(version, kind) is not None else []


def _is_there(api: Cluster, name: str) -> bool:
    return condition_true(api.get(*CRD, name) or {}, "Established")


def _served(crd: Object) -> list[str]:
    return [str(version["name"]) for version in crd["spec"]["versions"] if version.get("served")]


def _noted(task: Task) -> Change | None:
    return context(task).change_log.managed(task.host.name, NOTED)


def delete_definitions(task: Task) -> Result:
    """Those that came with us, and only while nobody has such objects: these would go with them."""
    noted = _noted(task)
    if noted is None:
        return unchanged(task, "no definitions are ours")
    api, results = kube(task), [unchanged(task, "no definition is left")]
    mine = [crd for crd in definitions(api) if name_of(crd) not in noted.before["crds"]]
    used = {name_of(crd): found for crd in mine if (found := _of_others(task, api, crd))}
    for crd in mine:
        if name_of(crd) in used:
            results.append(unchanged(task, f"{name_of(crd)} was left: it defines {', '.join(used[name_of(crd)])}"))
        else:
            results.append(delete(api, *CRD, name_of(crd), undo=False))
    gateway_api = {name_of(crd) for crd in mine if name_of(crd).endswith(f".{GATEWAY_API}")}
    if gateway_api and not gateway_api & used.keys():
        results += [_delete_guard(task, api, kind) for kind in _GUARDS]
    results.append(undo(task, NOTED, "forget which definitions were there before Traefik"))
    return said_with_changes(task, results)


def _delete_guard(task: Task, api: Cluster, kind: str) -> Result:
    version = "admissionregistration.k8s.io/v1"
    if api.kind(version, kind) is None:
        return unchanged(task, f"there is no {kind}")
    return delete(api, version, kind, _GUARD, undo=False)


def _of_others(task: Task, api: Cluster, crd: Object) -> list[str]:
    """In a dry run the releases' own objects are still there."""
    found = objects_of(api, crd)
    own = [o for o in found if _by_helm(o)] if context(task).dry_run else []
    return [f"{o['metadata'].get('namespace', '')}/{name_of(o)}".lstrip("/") for o in found if o not in own]


def _by_helm(obj: Object) -> bool:
    return (obj["metadata"].get("annotations") or {}).get("meta.helm.sh/release-name") in RELEASES
