"""Taking the GPU operator back: what it was there before it is noted at set-up, and only what came with it goes."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from typing import Any

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.gpu_operator.chart import NAME, POLICY, namespace, nothing_here
from tasks.phase6_extended_services.gpu_operator.containerd_facts import DROP_IN_FOLDER, RUNTIME_TEMPLATE, TEMPLATE
from tasks.phase6_extended_services.gpu_operator.cuda_pod import users
from tasks.shared.cluster.control_plane import CONTROL_PLANE, control_plane, kube, name_of
from tasks.shared.cluster.definitions import CRD, remove_definitions
from tasks.shared.gpus.facts import RUNTIME, TOOLKIT
from tasks.shared.gpus.nodes import with_cards
from tasks.shared.microk8s import distribution as microk8s
from tasks.shared.microk8s.facts import COMMAND, parse_text
from thinkube_nornir import helm
from thinkube_nornir.change_log import Change
from thinkube_nornir.cluster import LABELS, delete, restore, wait_all
from thinkube_nornir.command import Fact
from thinkube_nornir.context import absent, context, is_managed
from thinkube_nornir.errors import Refused
from thinkube_nornir.outcome import all_of, unchanged
from thinkube_nornir.program import command
from thinkube_nornir.remote import change, read, undo
from thinkube_nornir.resources import File

BACKUP = f"{TEMPLATE}.before-thinkube"
"""The template as it was, for people to compare; the record has it, too, and never changes."""
PRESENT_KEY = "object:before the GPU operator"
"""Of the control plane: what the cluster had before the operator came. Like an object's, it is forgotten with that."""
FILES_KEY = "before:nvidia-container-toolkit"
"""Of a GPU node: which of the toolkit's places were there before, and containerd's template."""
PLACES = (TOOLKIT, "/run/nvidia", DROP_IN_FOLDER)
DEFINITIONS = (
    *("clusterpolicies.nvidia.com", "nvidiadrivers.nvidia.com"),
    *(f"{plural}.nfd.k8s-sigs.io" for plural in ("nodefeatures", "nodefeaturegroups", "nodefeaturerules")),
)
"""CRDs that the chart brings and does not take away."""

_DISCOVERY = "nodefeatures.nfd.k8s-sigs.io"
_OPERATORS = "nvidia.com/"
_DISCOVERED = ("feature.node.kubernetes.io/", "nfd.node.kubernetes.io/")
_GONE = 150.0  # seconds

Object = dict[str, Any]

FILES = Fact(
    "places of the toolkit", ("ls", "-d", "--", *PLACES), lambda done: tuple(done.text.splitlines()), accept=(0, 2)
)
BACKUP_TEXT = Fact("containerd's previous template", ("cat", BACKUP), parse_text, root=True, accept=(0, 1))


def note_what_was_there(task: Task) -> Result:
    """CRDs, and labels and annotations of nodes, that are not to go with the operator."""
    if not with_cards(task):
        return unchanged(task, "no node has cards")
    if context(task).change_log.managed(task.host.name, PRESENT_KEY):
        return unchanged(task, "noted what was there before the operator")
    api = kube(task)
    crds = [name_of(crd) for crd in api.list(*CRD) if name_of(crd) in DEFINITIONS]
    nodes = {name_of(node): [*_named(node, "labels"), *_named(node, "annotations")] for node in api.list("v1", "Node")}
    before = {"crds": crds, "nodes": nodes}
    return change(task, "note what is there before the operator", "true", key=PRESENT_KEY, before=before)


def note_files(task: Task) -> Result:
    """Once for a host, before the toolkit writes into containerd's template."""
    if reason := (is_managed(task, FILES_KEY) and "noted what was there before the toolkit") or nothing_here(task):
        return unchanged(task, reason)
    before = {"there": list(read(task, FILES)), "template": _original(task)}
    return change(task, "note what is there before the toolkit", "true", root=True, key=FILES_KEY, before=before)


def _original(task: Task) -> str | None:
    """containerd's template before the toolkit: as noted, as saved, or as it is while nobody has done either."""
    noted = context(task).change_log.managed(task.host.name, FILES_KEY)
    return (noted and noted.before.get("template")) or read(task, BACKUP_TEXT) or read(task, RUNTIME_TEMPLATE)


def _nothing_to_save(task: Task) -> str:
    reason = "" if is_managed(task, FILES_KEY) else nothing_here(task)
    return reason or ("" if _original(task) else "containerd has no template")


SAVED_TEMPLATE = File(
    BACKUP,
    content=lambda task: (_original(task) or "").encode(errors="surrogateescape"),
    mode=0o660,
    unless=_nothing_to_save,
    label="saved containerd template",
)


# in the cluster


def refuse_while_pods_use_gpus(task: Task) -> Result:
    """Probe pods are deleted first: a killed run may have left one."""
    if _noted(task) is None:
        return unchanged(task, "no operator was installed by this program")
    api, selector = kube(task), ",".join(f"{name}={value}" for name, value in LABELS.items())
    probes = [p for p in api.list("v1", "Pod", label_selector=selector) if p["spec"].get("runtimeClassName") == RUNTIME]
    gone = [delete(api, "v1", "Pod", name_of(p), p["metadata"]["namespace"], undo=False) for p in probes]
    left, own = [p for p in api.list("v1", "Pod") if p not in probes], namespace(task)
    of_class = [p for p in left if p["spec"].get("runtimeClassName") == RUNTIME and _lives(p)]
    others = [p for p in left if users([p]) or (p in of_class and p["metadata"]["namespace"] != own)]
    if others:
        raise Refused(
            f"{len(others)} pods use GPUs",
            why=", ".join(f"{p['metadata']['namespace']}/{name_of(p)}" for p in others),
            fix="delete what owns them, then run again",
        )
    return all_of(task, unchanged(task, "no pod uses a GPU"), *gone)


def delete_policy(task: Task) -> Result:
    """Before the operator, which takes its pods away and ends finalizers."""
    record = helm.recorded(task, NAME, namespace(task))
    if record is None or record["revision"] is not None:
        return unchanged(task, "the ClusterPolicy was not installed by this program")
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


def delete_runtime_class(task: Task) -> Result:
    """The policy takes it with it; one that stayed leads to a runtime that goes."""
    if _noted(task) is None:
        return unchanged(task, "no operator was installed by this program")
    api = kube(task)
    found = api.get("node.k8s.io/v1", "RuntimeClass", RUNTIME)
    if found is None or not _of_policy(found):
        return unchanged(task, "the operator left no RuntimeClass")
    return delete(api, "node.k8s.io/v1", "RuntimeClass", RUNTIME, undo=False)


def delete_definitions(task: Task) -> Result:
    """Only those that came with the operator, and only while nobody else has such objects: those would go with them."""
    noted = _noted(task)
    if noted is None:
        return unchanged(task, "no operator was installed by this program")
    going = [crd for name in DEFINITIONS if (crd := kube(task).get(*CRD, name)) is not None]
    return remove_definitions(task, going, noted.before["crds"], lambda obj: _is_of_operator(task, obj))


def _is_of_operator(task: Task, obj: Object) -> bool:
    """In a dry run its own objects are still there."""
    at = obj["metadata"]
    release = (at.get("annotations") or {}).get("meta.helm.sh/release-name")
    return release == NAME or at.get("namespace") == namespace(task)


def clean_nodes(task: Task) -> Result:
    """Give our labels back, then take away what the operator and its feature discovery wrote."""
    noted = _noted(task)
    if noted is None:
        return unchanged(task, "no operator was installed by this program")
    api = kube(task)
    results = [restore(api, "v1", "Node", name_of(node)) for node in api.list("v1", "Node")]
    prefixes = (_OPERATORS, *(() if _DISCOVERY in noted.before["crds"] else _DISCOVERED))
    for node in api.list("v1", "Node"):
        kept = noted.before["nodes"].get(name_of(node), ())
        for verb, part in (("label", "labels"), ("annotate", "annotations")):
            names = [n for n in _named(node, part) if n.startswith(prefixes) and n not in kept]
            results += _without(task, name_of(node), verb, part, names)
    return all_of(task, unchanged(task, "nodes have their previous labels"), *results)


def _without(task: Task, node: str, verb: str, part: str, names: list[str]) -> list[Result]:
    if not names:
        return []
    message = f"remove {len(names)} of the operator's {part} from {node}"
    argv = (COMMAND, "kubectl", verb, "node", node, *(f"{name}-" for name in names))
    return [change(task, message, *argv, root=True)]


def forget_what_was_there(task: Task) -> Result:
    return undo(task, PRESENT_KEY, "forget what was there before the operator")


BEFORE_THE_RELEASE = (refuse_while_pods_use_gpus, delete_policy)
AFTER_THE_RELEASE = (delete_runtime_class, delete_definitions, clean_nodes, forget_what_was_there)

# on each node


def restore_runtime_template(task: Task) -> Result:
    """A default runtime that leads to removed files would stop every pod of the node.

    What somebody else changed in it meanwhile stays, when the toolkit has taken its runtimes away.

    Raises:
        Refused: the operator still runs in the cluster, or the toolkit's runtimes stand beside somebody's changes.
    """
    if not is_managed(task, FILES_KEY):
        return unchanged(task, "containerd's template was not changed for the toolkit")
    _must_have_gone(task)
    now, previous = read(task, RUNTIME_TEMPLATE), _original(task)
    if now is None or previous is None or now == previous:
        return unchanged(task, "containerd's template is as it was")
    if not _differs_by_the_toolkit_alone(now, previous):
        return _left_to_others(task, now)
    text = previous.encode(errors="surrogateescape")
    written = change(task, "put containerd's template back", "cp", "/dev/stdin", TEMPLATE, root=True, stdin=text)
    return all_of(task, written, microk8s.restart(task, "containerd", "restart containerd"))


def remove_toolkit_files(task: Task) -> Result:
    noted = context(task).change_log.managed(task.host.name, FILES_KEY)
    if noted is None:
        return unchanged(task, "no toolkit was installed here by this program")
    left = [path for path in read(task, FILES) if path not in noted.before["there"]]
    argv = ("rm", "-rf", "--one-file-system", "--", *left) if left else ()
    message = f"remove {' and '.join(left)}" if left else "forget the toolkit: it left nothing"
    return undo(task, FILES_KEY, message, *argv, root=True)


def _must_have_gone(task: Task) -> None:
    """A run limited to this node would take away what the operator's pods here need."""
    run, there = context(task), control_plane(task)
    stays = not run.dry_run or absent(task, CONTROL_PLANE)  # in a dry run it is still there
    if stays and run.change_log.managed(there.host.name, helm.key(NAME, namespace(task))):
        raise Refused(
            "the GPU operator is still in the cluster",
            why=f"its toolkit would write into containerd's template of {task.host.name} again",
            fix=f"roll it back on {there.host.name} as well: `{command('rollback', 'phase6.gpu_operator')}`",
        )


def _differs_by_the_toolkit_alone(now: str, previous: str) -> bool:
    try:
        return bool(_without_toolkit(tomllib.loads(now)) == _without_toolkit(tomllib.loads(previous)))
    except ValueError:
        return False


def _left_to_others(task: Task, now: str) -> Result:
    """In a dry run the toolkit, which takes its runtimes away when it ends, is still there."""
    if f"{TOOLKIT}/" in now and not context(task).dry_run:
        raise Refused(
            f"somebody else changed {TEMPLATE} since the set-up",
            why="it differs from the saved one in more than the runtimes of NVIDIA's toolkit, and still has these",
            fix=f"compare it with {BACKUP} on {task.host.name}, take the runtimes out of it, then roll back again",
        )
    return unchanged(task, f"{TEMPLATE} was left as it is: somebody else changed it since the set-up")


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
