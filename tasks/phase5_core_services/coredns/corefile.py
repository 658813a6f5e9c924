"""The Corefile: managed server blocks, written and rolled out, and those for zones of others, which are kept."""

from __future__ import annotations

from nornir.core.task import Result, Task

from tasks.shared.address_pool import ingress_addresses
from tasks.shared.cluster.control_plane import kube
from tasks.shared.cluster.corefile import joined, others, text_of
from tasks.shared.cluster.probes import acme_names
from tasks.shared.cluster.workloads import Workload, restarted_for, scaled_up
from tasks.shared.hosts.resolver import bind_address
from thinkube_nornir.cluster import apply, restore, rolled_out
from thinkube_nornir.cluster.managed import forget
from thinkube_nornir.cluster.ownership import is_owned_by_us
from thinkube_nornir.context import context, is_managed, setting
from thinkube_nornir.errors import DeadlinePassed, Refused, ThinkubeError
from thinkube_nornir.fixes import set_up
from thinkube_nornir.outcome import all_of, unchanged
from thinkube_nornir.templates import render

NAMESPACE = "kube-system"
COREDNS: Workload = ("Deployment", "coredns")
CONFIG_MAP = ("v1", "ConfigMap", "coredns", NAMESPACE)
_KEY = f"object:v1/ConfigMap/{NAMESPACE}/coredns"
_ROLL_OUT = 120.0  # seconds


def wanted(task: Task, found: str) -> str:
    """Our blocks, and those of the Corefile that is there for zones of others."""
    return joined(_own(task), others(found, _own(task)))


def _own(task: Task) -> str:
    domain, public = setting(task, "domain_name"), setting(task, "dns_servers")
    zones = dict(zip((domain, f"kn.{domain}"), ingress_addresses(task), strict=False))
    values = {"acme": acme_names(task), "zones": zones, "bind": bind_address(task), "public": public}
    return render(task, "coredns/Corefile.j2", **values)


def apply_corefile(task: Task) -> Result:
    """Takes the file over from the addon's own apply; the previous one is kept."""
    return _applied(task, wanted(task, text_of(kube(task).get(*CONFIG_MAP))))


def _applied(task: Task, text: str, summary: str = "") -> Result:
    place, data = {"name": "coredns", "namespace": NAMESPACE}, {"Corefile": text}
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": place, "data": data}
    return apply(kube(task), manifest, summary=summary, force=True)


def roll_out_corefile(task: Task) -> Result:
    scaled = scaled_up(task, [COREDNS], NAMESPACE)
    result = restarted_for(task, COREDNS, CONFIG_MAP)
    if context(task).dry_run:
        return all_of(task, scaled, result)
    try:
        rolled_out(kube(task), *COREDNS, NAMESPACE, timeout=_ROLL_OUT)
    except DeadlinePassed as error:
        theirs = ", ".join(others(text_of(kube(task).get(*CONFIG_MAP)), _own(task)))
        _put_back(task)
        why = f"{error.what}: {error.why}\nThe previous Corefile was put back."
        why += f"\nIt has blocks of others, which are kept: {theirs}" if theirs else ""
        fix = "see why: `kubectl -n kube-system logs deployment/coredns --previous`"
        raise ThinkubeError("CoreDNS does not start with our Corefile", why=why, fix=fix) from error
    return all_of(task, scaled, result)


def restore_corefile(task: Task) -> Result:
    """An API that has gone took the Corefile with it; one that merely does not answer is an error."""
    if not any(is_managed(task, key) for key in (_KEY, f"object:apps/v1/Deployment/{NAMESPACE}/coredns")):
        return unchanged(task, "the Corefile is not managed")
    result = _put_back(task)
    if not context(task).dry_run:
        rolled_out(kube(task), *COREDNS, NAMESPACE, timeout=_ROLL_OUT)
    return result


def _put_back(task: Task) -> Result:
    return all_of(task, _put_back_text(task), restore(kube(task), "apps/v1", *COREDNS, NAMESPACE))


def _put_back_text(task: Task) -> Result:
    """As it was before us, with the blocks for zones of others that came since."""
    api, record = kube(task), context(task).change_log.managed(task.host.name, _KEY)
    live = api.get(*CONFIG_MAP)
    if record is None or live is None or record.before["object"] is None:
        return restore(api, *CONFIG_MAP)
    text, before = text_of(live), text_of(record.before["object"])
    added = others(text, _own(task), before)
    if not added and is_owned_by_us(live):
        return restore(api, *CONFIG_MAP)
    strange = [line for line in text.splitlines() if line.strip() and line not in wanted(task, text).splitlines()]
    if strange:
        why = "they would be lost:\n" + "\n".join(strange)
        fix = f"move them to blocks for zones of their own, which are kept, and {set_up(task)}; then roll back again"
        raise Refused("the Corefile was changed in managed blocks", why=why, fix=fix)
    summary = f"put back ConfigMap {NAMESPACE}/coredns, with what came since: {', '.join(added) or 'nothing'}"
    result = _applied(task, joined(before, added), summary)
    forget(api, record)
    return result
