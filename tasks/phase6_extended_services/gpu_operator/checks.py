"""What must be true of GPUs in the cluster: the operator as a whole, and the chain of every card on its node."""

from __future__ import annotations

from typing import Any

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.gpu_operator.chart import (
    DRIVER,
    OPERANDS,
    POLICY,
    namespace,
    no_node_offers,
    offering,
    served_elsewhere,
    unless,
    without_driver,
)
from tasks.phase6_extended_services.gpu_operator.containerd_facts import RUNTIME_TEMPLATE, RUNTIMES
from tasks.phase6_extended_services.gpu_operator.cuda_pod import PASSED, parse_results, run_on_cards, users
from tasks.phase6_extended_services.gpu_operator.hops import TROUBLE, Link, allocatable, broken, check
from tasks.shared.cluster.control_plane import expect, kube, name_of, not_judged, registered_node
from tasks.shared.gpus.facts import BUS, HOST_DRIVER, MODULES, OPERATOR_DRIVER, RUNTIME, SECURE_BOOT
from tasks.shared.gpus.nodes import (
    absent_gpu_hosts,
    absent_nodes,
    count,
    driver_source,
    hardware,
    left_out,
    sliced,
    units,
)
from tasks.shared.hosts.node_facts import HOSTNAME
from thinkube_nornir.cluster import condition_true, current_pods, seen
from thinkube_nornir.command import Fact
from thinkube_nornir.errors import ClusterError, DeadlinePassed
from thinkube_nornir.outcome import passed, skipped

OPERATOR = "app.kubernetes.io/component=gpu-operator"
"""Its Deployment; `app=gpu-operator` is on its pods alone."""


def facts(task: Task) -> tuple[Fact[Any], ...]:
    return BUS, MODULES, HOST_DRIVER, OPERATOR_DRIVER, HOSTNAME, *((SECURE_BOOT,) if count(task) else ())


def verify_facts(task: Task) -> tuple[Fact[Any], ...]:
    return *facts(task), *((RUNTIME_TEMPLATE, RUNTIMES) if count(task) else ())


# preconditions


def cards_are_as_the_inventory_says(task: Task) -> Result:
    return cards_are_on_the_bus(task)


def one_driver_will_serve_the_cards(task: Task) -> Result:
    """The host's own, which must work, or the operator's, never both."""
    if not count(task):
        return passed(task, "no cards are expected here")
    source = driver_source(task)
    if hardware(task).driver.absent:
        return passed(task, f"{source} will serve them")
    message = TROUBLE[Link.DRIVER](task)
    expect(
        not message,
        "the driver does not serve all cards",
        why=message,
        fix="see `nvidia-smi` on it; reboot after repairs",
    )
    slices = f", in {units(task)} slices" if sliced(task) else ""
    return passed(task, left_out(task) or f"{source} serves {count(task)} cards{slices}")


def no_other_operator_is_there(task: Task) -> Result:
    """Two would fight for the nodes; MicroK8s' addon nvidia is one, too."""
    found = kube(task).list("apps/v1", "Deployment", label_selector=OPERATOR)
    found += kube(task).list("apps/v1", "Deployment", "gpu-operator-resources")
    others = {d["metadata"]["namespace"] for d in found} - {namespace(task)}
    fix = "microk8s disable nvidia, or uninstall it, or name its namespace in gpu_operator_namespace"
    expect(not others, "another GPU operator is there", why=f"in namespace {', '.join(sorted(others))}", fix=fix)
    return passed(task, "there is no other")


# the operator


@unless(no_node_offers, passed)
def runtime_class_exists(task: Task) -> Result:
    found = kube(task).get("node.k8s.io/v1", "RuntimeClass", RUNTIME)
    handler = found["handler"] if found else None
    what = f"RuntimeClass {RUNTIME} does not lead to the runtime {RUNTIME}"
    why = "it does not exist" if found is None else f"its handler is {handler}"
    expect(handler == RUNTIME, what, why=why, fix="see the log of deployment/gpu-operator, which makes it")
    return passed(task, f"RuntimeClass {RUNTIME} leads to the runtime {RUNTIME}")


@unless(no_node_offers, passed)
def policy_is_ready(task: Task) -> Result:
    """Its state is of all nodes together: while some do not take part in this run, it tells nothing of the others."""
    found = kube(task).get(*POLICY)
    state = ((found or {}).get("status") or {}).get("state")
    fix = f"see which of its pods are not ready: `kubectl -n {namespace(task)} get pods`"
    holds = state == "ready" or (found and served_elsewhere(task))
    expect(holds, f"ClusterPolicy {POLICY[2]} is not ready", why=seen(found), fix=fix)
    return passed(task, f"the ClusterPolicy is {state}{not_judged(absent_gpu_hosts(task))}")


@unless(no_node_offers, passed)
def operands_cover_the_gpu_nodes(task: Task) -> Result:
    """A ready pod of each on every node with cards, and on no other; a driver only where the host has none."""
    api = kube(task)
    nodes, drivers = _names(offering(task)), _names(without_driver(task))
    others = {name_of(node) for node in absent_nodes(task)}
    message = []
    for app, wanted in (dict.fromkeys(OPERANDS, nodes) | {DRIVER: drivers}).items():
        pods = current_pods(api.list("v1", "Pod", namespace(task), label_selector=f"app={app}"))
        ready = {p["spec"].get("nodeName") for p in pods if condition_true(p, "Ready")}
        there = {p["spec"].get("nodeName") for p in pods} - others
        message += [f"{app} is not ready on {node}" for node in sorted(wanted - ready)]
        message += [f"{app} is on {node}, and should not be" for node in sorted(there - wanted)]
    fix = f"see `kubectl -n {namespace(task)} get pods -o wide`, and the labels nvidia.com/gpu.deploy.* of the nodes"
    expect(not message, "the operator's pods do not cover the GPU nodes", why="\n".join(message), fix=fix)
    judged = ", ".join(sorted(nodes)) or "no node"
    return passed(task, f"all of them run on {judged}{not_judged(absent_gpu_hosts(task))}")


def _names(there: list[Task]) -> set[str]:
    return {name_of(registered_node(each)) for each in there}


# the chain of each card


def cards_are_on_the_bus(task: Task) -> Result:
    def good() -> str:
        found = hardware(task)
        reserved = f"; reserved for VMs: {', '.join(found.reserved)}" if found.reserved else ""
        return f"{', '.join(card.address for card in found.bus) or 'no cards, as expected'}{reserved}"

    return check(task, Link.BUS, good)


def driver_answers_for_each_card(task: Task) -> Result:
    def good() -> str:
        cards = hardware(task).driver.cards
        return f"{hardware(task).source} {cards[0].version}: {', '.join(map(str, cards))}"

    return check(task, Link.DRIVER, good)


def node_is_ready_for_the_operator(task: Task) -> Result:
    return check(task, Link.NODE, lambda: left_out(task) or "the labels let the operator put all of its parts here")


def toolkit_prepared_the_runtime(task: Task) -> Result:
    return check(task, Link.TOOLKIT, lambda: f"containerd has the runtime {RUNTIME}, and not as the default")


def node_offers_each_card(task: Task) -> Result:
    return check(task, Link.OFFER, lambda: f"{allocatable(registered_node(task))} allocatable")


def each_card_runs_cuda(task: Task) -> Result:
    """Skipped, and so not green, while others hold the cards: that is no fault of the hardware."""
    reached = check(task, Link.POD, str)
    if reached.result:
        return reached
    node = registered_node(task)
    holding = users(kube(task).list("v1", "Pod"), name_of(node))
    free = allocatable(node) - sum(holding.values())
    if free <= 0:
        return _pending(task, holding)
    try:
        done = run_on_cards(task, min(free, 1 if sliced(task) else count(task)), sliced=sliced(task))
    except (ClusterError, DeadlinePassed) as error:
        if "Insufficient nvidia.com/gpu" in error.why:
            return _pending(task, holding)
        raise broken(task, Link.POD, "it did not run", f"{error.what}\n{error.why}".rstrip()) from error
    return _judged(task, parse_results(done.log), done.log, holding)


def _judged(task: Task, results: dict[str, str], log: str, holding: dict[str, int]) -> Result:
    known = {card.uuid: card for card in hardware(task).driver.cards}
    strange = [uuid for uuid in results if uuid not in known]
    if strange or not results:
        why = f"the driver of the host has {', '.join(known)}; the pod said: {log.strip()}"
        what = f"it saw {', '.join(strange)}, which the host has not" if strange else "it saw no card"
        raise broken(task, Link.POD, what, why)
    failed = [f"{known[uuid]}: {said.strip()}" for uuid, said in results.items() if PASSED not in said]
    if failed:
        raise broken(task, Link.POD, failed[0].partition("\n")[0], "\n".join(failed))
    untried = [str(card) for uuid, card in known.items() if uuid not in results]
    if sliced(task):
        return passed(task, f"{PASSED} on one of {units(task)} slices")
    if untried and holding:
        return _pending(task, holding, f"{', '.join(untried)} not tried")
    if untried:
        raise broken(task, Link.POD, f"it did not see {', '.join(untried)}", log.strip())
    return passed(task, f"{PASSED} on {', '.join(str(known[uuid]) for uuid in results)}")


def _pending(task: Task, holding: dict[str, int], what: str = "no card was tried") -> Result:
    message = ", ".join(f"{pod} holds {amount}" for pod, amount in holding.items()) or "others were faster"
    return skipped(task, f"pending, Insufficient nvidia.com/gpu: {what}, because they are in use ({message})")
