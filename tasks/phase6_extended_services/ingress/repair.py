"""What was changed or deleted of the controllers by hand: helm compares values only, and takes a release for done."""

from __future__ import annotations

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.ingress.checks import argument_faults, class_faults, service_faults
from tasks.phase6_extended_services.ingress.controller import Controller, controllers, release_of
from tasks.phase6_extended_services.ingress.gateway_checks import gateway_class_faults, gateway_faults, store_faults
from tasks.shared.cluster.kubernetes_distribution import DISTRIBUTION
from thinkube_nornir.helm import installed
from thinkube_nornir.outcome import all_of, unchanged
from thinkube_nornir.remote import change

_READY = 300.0  # seconds
_FAULTS = (argument_faults, class_faults, service_faults, gateway_class_faults, gateway_faults, store_faults)


def repair_controllers(task: Task) -> Result:
    return all_of(task, *[_mended(task, controller) for controller in controllers(task)])


def _mended(task: Task, controller: Controller) -> Result:
    there = installed(task, DISTRIBUTION.HELM, controller.release, controller.namespace)
    if there is None or not there.is_of(release_of(task, controller)):
        return unchanged(task, f"release {controller.release} is not there yet")
    faults = [told for faults_of in _FAULTS for told in faults_of(task, controller)]
    if not faults:
        return unchanged(task, f"{controller} is as its release made it")
    again = ("rollback", there.name, str(there.revision), "--namespace", there.namespace)
    limits = ("--wait", "--timeout", f"{_READY:.0f}s")
    summary = f"apply release {there.name} again: {'; '.join(faults)}"
    return change(task, summary, *DISTRIBUTION.HELM, *again, *limits, root=True, timeout=_READY + 60)
