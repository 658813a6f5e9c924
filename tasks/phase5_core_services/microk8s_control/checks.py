"""What must be true of a MicroK8s control plane, beside what holds for each node."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from nornir.core.task import Result, Task

from tasks.phase5_core_services.microk8s_control.workloads import NAMESPACE, STORAGE, addons, workloads
from tasks.shared.cluster.control_plane import expect, kube, name_of
from tasks.shared.cluster.workloads import expect_rolled_out
from tasks.shared.microk8s import node
from tasks.shared.microk8s.distribution import where_installed
from tasks.shared.microk8s.facts import CERTIFICATE
from thinkube_nornir.command import Fact
from thinkube_nornir.context import setting
from thinkube_nornir.fixes import set_up
from thinkube_nornir.outcome import passed
from thinkube_nornir.remote import read

_DEFAULT = "storageclass.kubernetes.io/is-default-class"


def facts(_: Task) -> tuple[Fact[Any], ...]:
    return (*node.check_facts(worker=False), CERTIFICATE)


@where_installed
def certificate_covers_the_lan_address(task: Task) -> Result:
    lan_ip, found = setting(task, "lan_ip"), read(task, CERTIFICATE)
    why = f"it covers: {', '.join(sorted(map(str, found))) or 'nothing'}"
    fix = "add it to certs/csr.conf.template, then: `microk8s refresh-certs --cert server.crt`"
    expect(ip_address(lan_ip) in found, f"the API's certificate does not cover {lan_ip}", why=why, fix=fix)
    return passed(task, f"the certificate covers {lan_ip}")


def api_is_ready(task: Task) -> Result:
    answer = kube(task).raw("/readyz").strip()
    fix = "see `kubectl get --raw /readyz?verbose`"
    expect(answer == "ok", "the API is not ready", why=f"/readyz says: {answer}", fix=fix)
    return passed(task, "/readyz: ok")


def workloads_are_ready(task: Task) -> Result:
    expect_rolled_out(task, workloads(task), NAMESPACE, "not all workloads of MicroK8s are ready")
    return passed(task, f"ready: {', '.join(name for _, name in workloads(task))}")


def storage_class_is_default(task: Task) -> Result:
    if STORAGE not in addons(task):
        return passed(task, f"addon {STORAGE} is not wanted")
    classes = kube(task).list("storage.k8s.io/v1", "StorageClass")
    default = [name_of(c) for c in classes if (c["metadata"].get("annotations") or {}).get(_DEFAULT) == "true"]
    why = f"default: {', '.join(default) or 'none'}; there are: {', '.join(map(name_of, classes)) or 'none'}"
    fix = f"`microk8s disable {STORAGE}`, whose volumes you keep, and {set_up(task)}; or unmark the other class"
    what = "microk8s-hostpath is not the one default StorageClass"
    expect(default == ["microk8s-hostpath"], what, why=why, fix=fix)
    return passed(task, "microk8s-hostpath is the default StorageClass")
