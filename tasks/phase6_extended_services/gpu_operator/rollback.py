"""Taking the GPU operator back: what it was there before it is noted at set-up, and only what came with it goes."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from typing import Any

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.gpu_operator.chart import HELM, NAME, POLICY, namespace
from tasks.phase6_extended_services.gpu_operator.containerd_facts import DROP_IN_FOLDER, RUNTIME_TEMPLATE, TEMPLATE
from tasks.phase6_extended_services.gpu_operator.cuda_pod import users
from tasks.shared.cluster.control_plane import control_plane, kube, name_of
from tasks.shared.gpus.facts import RUNTIME, TOOLKIT
from tasks.shared.microk8s import distribution as microk8s
from tasks.shared.microk8s.facts import COMMAND, parse_text
from thinkube_nornir import helm
from thinkube_nornir.change_log import Change
from thinkube_nornir.cluster import LABELS, delete, restore, wait_all
from thinkube_nornir.command import Fact
from thinkube_nornir.context import component_of, context
from thinkube_nornir.errors import Refused
from thinkube_nornir.outcome import all_of, unchanged
from thinkube_nornir.program import command
from thinkube_nornir.remote import change, read, undo
from thinkube_nornir.remote import restore as restore_file

BACKUP = f"{TEMPLATE}.before-thinkube"
PRESENT_KEY = "object:before the GPU operator"
"""Of the control plane: what the cluster had before the operator came. Like an object's, it is forgotten with that."""
FILES_KEY = "before:nvidia-container-toolkit"
"""Of a GPU node: which of the toolkit's places were there before."""
PLACES = (TOOLKIT, "/run/nvidia", DROP_IN_FOLDER)
DEFINITIONS = {
    "clusterpolicies.nvidia.com": ("nvidia.com/v1", "ClusterPolicy"),
    "nvidiadrivers.nvidia.com": ("nvidia.com/v1alpha1", "NVIDIADriver"),
    "nodefeatures.nfd.k8s-sigs.io": ("nfd.k8s-sigs.io/v1alpha1", "NodeFeature"),
    "nodefeaturegroups.nfd.k8s-sigs.io": ("nfd.k8s-sigs.io/v1alpha1", "NodeFeatureGroup"),
    "nodefeaturerules.nfd.k8s-sigs.io": ("nfd.k8s-sigs.io/v1alpha1", "NodeFeatureRule"),
}
"""CRDs that the chart brings and does not take away, and what they define."""
CRD = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")

_DISCOVERY = "nodefeatures.nfd.k8s-sigs.io"
_OPERATORS = "nvidia.com/"
_DISCOVERED = ("feature.node.kubernetes.io/", "nfd.node.kubernetes.io/")
_GONE = 150.0  # seconds

Object = dict[str, Any]

FILES = Fact(
    "places of the toolkit", ("ls", "-d", "--", *PLACES), lambda done: tuple(done.text.splitlines()), accept=(0, 2)
)
BACKUP_TEXT = Fact("containerd's former template", ("cat", BACKUP), parse_text, root=True, accept=(0, 1))


def note_what_was_there(task: Task) -> Result:
    """CRDs, and labels and annotations of nodes, that are not to go with the operator."""
    if context(task).change_log.managed(task.host.name, PRESENT_KEY):
        return unchanged(task, "noted what was there before the operator")
    api = kube(task)
    crds = [name_of(crd) for crd in api.list(*CRD) if name_of(crd) in DEFINITIONS]
    nodes = {name_of(node): [*_named(node, "labels"), *_named(node, "annotations")] for node in api.list("v1", "Node")}
    before = {"crds": crds, "nodes": nodes}
    return change(task, "note what is there before the operator", "true", key=PRESENT_KEY, before=before)


def save_runtime_template(task: Task, save: Callable[[str], Result]) -> Result:
    """Once, before the toolkit writes into it.

    Args:
        save: writes the text beside the template.
    """
    change_log, text = context(task).change_log, read(task, RUNTIME_TEMPLATE)
    saved = change_log.managed(task.host.name, f"file:{BACKUP}") and read(task, BACKUP_TEXT) is not None
    results = [unchanged(task, "containerd's template is saved") if saved or text is None else save(text)]
    if not change_log.managed(task.host.name, FILES_KEY):
        there = {"there": list(read(task, FILES))}
        results.append(
            change(task, "note what is there before the toolkit", "true", root=True, key=FILES_KEY, before=there)
        )
    return all_of(task, *results)


# in the cluster


def refuse_while_pods_use_gpus(task: Task) -> Result:
    """Ours are deleted first: a killed run may have left one."""
    if _noted(task) is None:
        return unchanged(task, "no operator of ours is there")
    api, selector = kube(task), ",".join(f"{name}={value}" for name, value in LABELS.items())
    probes = [p for p in api.list("v1", "Pod", label_selector=selector) if p["spec"].get("runtimeClassName") == RUNTIME]
    gone = [delete(api, "v1", "Pod", name_of(p), p["metadata"]["namespace"], undo=False) for p in probes]
    left = [p for p in api.list("v1", "Pod") if p not in probes and p["metadata"]["namespace"] != namespace(task)]
    others = [p for p in left if users([p]) or (p["spec"].get("runtimeClassName") == RUNTIME and _lives(p))]
    if others:
        raise Refused(
            f"{len(others)} pods use GPUs",
            why=", ".join(f"{p['metadata']['namespace']}/{name_of(p)}" for p in others),
            fix="delete what owns them, then run again",
        )
    return all_of(task, unchanged(task, "no pod uses a GPU"), *gone)


def delete_policy(task: Task) -> Result:
    """Before the operator, which takes its pods away and ends finalizers."""
    ours = context(task).change_log.managed(task.host.name, helm.key(NAME, namespace(task)))
    if ours is None or ours.before["revision"] is not None:
        return unchanged(task, "no ClusterPolicy is ours")
    api = kube(task)
    result = delete(api, *POLICY, undo=False)
    if not context(task).dry_run:
        wait_all(
            api,
            *("apps/v1", "DaemonSet", namespace(task)),
            condition=lambda found: not [d for d in found if _of_policy(d)],
            what="the operator's DaemonSets to be gone",
            timeout=_GONE,
        )
    return result


def uninstall_release(task: Task) -> Result:
    return helm.uninstall(task, HELM, NAME, namespace(task))


def delete_runtime_class(task: Task) -> Result:
    """The policy takes it with it; one that stayed leads to a runtime that goes."""
    if _noted(task) is None:
        return unchanged(task, "no RuntimeClass is ours")
    api = kube(task)
    found = api.get("node.k8s.io/v1", "RuntimeClass", RUNTIME)
    if found is None or not _of_policy(found):
        return unchanged(task, "the operator left no RuntimeClass")
    return delete(api, "node.k8s.io/v1", "RuntimeClass", RUNTIME, undo=False)


def delete_definitions(task: Task) -> Result:
    """Only those that came with the operator, and only while nobody has such objects: those would go with them."""
    noted = _noted(task)
    if noted is None:
        return unchanged(task, "no CRDs are ours")
    api, results = kube(task), []
    for name, (version, kind) in DEFINITIONS.items():
        if name in noted.before["crds"]:
            results.append(restore(api, *CRD, name))
            continue
        if api.get(*CRD, name) is None:
            continue
        objects = [o for o in api.list(version, kind) if o["metadata"].get("namespace") != namespace(task)]
        if objects:
            results.append(unchanged(task, f"CRD {name} stays: {len(objects)} objects of it are there"))
        else:
            results.append(delete(api, *CRD, name, undo=False))
    return all_of(task, unchanged(task, "no CRDs of the operator are left"), *results)


def clean_nodes(task: Task) -> Result:
    """Give our labels back, then take away what the operator and its feature discovery wrote."""
    noted = _noted(task)
    if noted is None:
        return unchanged(task, "no labels of nodes are ours")
    api = kube(task)
    results = [restore(api, "v1", "Node", name_of(node)) for node in api.list("v1", "Node")]
    prefixes = (_OPERATORS, *(() if _DISCOVERY in noted.before["crds"] else _DISCOVERED))
    for node in api.list("v1", "Node"):
        kept = noted.before["nodes"].get(name_of(node), ())
        for verb, part in (("label", "labels"), ("annotate", "annotations")):
            names = [n for n in _named(node, part) if n.startswith(prefixes) and n not in kept]
            results += _without(task, name_of(node), verb, part, names)
    return all_of(task, unchanged(task, "nodes have their former labels"), *results)


def _without(task: Task, node: str, verb: str, part: str, names: list[str]) -> list[Result]:
    if not names:
        return []
    told = f"remove {len(names)} of the operator's {part} from {node}"
    argv = (COMMAND, "kubectl", verb, "node", node, *(f"{name}-" for name in names))
    return [change(task, told, *argv, root=True)]


def remove_namespace(task: Task) -> Result:
    """With the ConfigMaps in it; one that was there before us stays."""
    api, run, space = kube(task), context(task), namespace(task)
    records = run.change_log.changes(host=task.host.name, component=component_of(task))
    maps = [r.key.rpartition("/")[2] for r in records if r.key.startswith(f"object:v1/ConfigMap/{space}/")]
    results = [restore(api, "v1", "ConfigMap", name, space) for name in maps]
    results.append(restore(api, "v1", "Namespace", space))
    results.append(undo(task, PRESENT_KEY, "forget what was there before the operator"))
    return all_of(task, *results)


FROM_THE_CLUSTER = (
    refuse_while_pods_use_gpus,
    delete_policy,
    uninstall_release,
    delete_runtime_class,
    delete_definitions,
    clean_nodes,
    remove_namespace,
)

# on each node


def restore_runtime_template(task: Task) -> Result:
    """A default runtime that leads to removed files would stop every pod of the node.

    Raises:
        Refused: the operator still runs in the cluster, or somebody else changed the template meanwhile.
    """
    if not context(task).change_log.managed(task.host.name, f"file:{BACKUP}"):
        return unchanged(task, "containerd's template is not ours")
    _must_have_gone(task)
    now, previous = read(task, RUNTIME_TEMPLATE), read(task, BACKUP_TEXT)
    results = [unchanged(task, "containerd's template is as it was")]
    if now is not None and previous is not None and now != previous:
        _must_differ_by_the_toolkit_alone(task, now, previous)
        argv = ("cp", "--preserve=mode,ownership", BACKUP, TEMPLATE)
        results.append(change(task, "put containerd's template back", *argv, root=True))
        results.append(microk8s.restart(task, "containerd", "restart containerd"))
    return all_of(task, *results, restore_file(task, BACKUP))


def remove_toolkit_files(task: Task) -> Result:
    noted = context(task).change_log.managed(task.host.name, FILES_KEY)
    if noted is None:
        return unchanged(task, "no files of the toolkit are ours")
    left = [path for path in read(task, FILES) if path not in noted.before["there"]]
    argv = ("rm", "-rf", "--one-file-system", "--", *left) if left else ()
    told = f"remove {' and '.join(left)}" if left else "forget the toolkit: it left nothing"
    return undo(task, FILES_KEY, told, *argv, root=True)


def _must_have_gone(task: Task) -> None:
    """A run limited to this node would take away what the operator's pods here need."""
    run, there = context(task), control_plane(task)
    if not run.dry_run and run.change_log.managed(there.host.name, helm.key(NAME, namespace(task))):
        raise Refused(
            "the GPU operator is still in the cluster",
            why=f"its toolkit would write into containerd's template of {task.host.name} again",
            fix=f"roll it back on {there.host.name} as well: `{command('rollback', 'phase6.gpu_operator')}`",
        )


def _must_differ_by_the_toolkit_alone(task: Task, now: str, previous: str) -> None:
    if _without_toolkit(tomllib.loads(now)) != _without_toolkit(tomllib.loads(previous)):
        raise Refused(
            f"somebody else changed {TEMPLATE} since the set-up",
            why="it differs from the saved one in more than the runtimes of NVIDIA's toolkit",
            fix=f"compare it with {BACKUP} on {task.host.name}; make the saved one as it should be, then run again",
        )


def _without_toolkit(settings: Any) -> Any:
    """Without the runtimes that start the toolkit's programs, the name of the default one, and the toolkit's import."""
    if not isinstance(settings, dict):
        return settings
    kept = {k: v for k, v in settings.items() if not _of_toolkit(v) and k != "default_runtime_name"}
    if kept.get("imports") == [f"{DROP_IN_FOLDER}/*.toml"]:
        del kept["imports"]
    return {name: _without_toolkit(value) for name, value in kept.items()}


def _of_toolkit(value: Any) -> bool:
    options = value.get("options") if isinstance(value, dict) else None
    return isinstance(options, dict) and str(options.get("BinaryName", "")).startswith(f"{TOOLKIT}/")


def _noted(task: Task) -> Change | None:
    return context(task).change_log.managed(task.host.name, PRESENT_KEY)


def _named(node: Object, part: str) -> Iterable[str]:
    return sorted(node["metadata"].get(part) or {})


def _of_policy(obj: Object) -> bool:
    return any(owner.get("kind") == POLICY[1] for owner in obj["metadata"].get("ownerReferences") or ())


def _lives(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
