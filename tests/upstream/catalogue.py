"""All objects that an installation has when it is real: upstream's, those that we write, those that controllers make.

What the product asks the API for must be among them: a check that looks for a name that exists in the lab alone would
be green there and red, or blind, on a real cluster.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from tests import upstream_data as upstream
from tests.product_objects import Recording
from tests.upstream.deployed import GATEWAY_API, definitions_of, rendered_file, track
from tests.upstream_data import Object
from thinkube_nornir.helm import Release
from thinkube_nornir.lab.kube.resources import Registry
from thinkube_nornir.lab.kube.selectors import label_predicate

Place = tuple[str, str, str]
"""Plural with its group (`deployments.apps`), namespace, name."""

_RENDERED_FOR = re.compile(r"release (\S+) in (\S+),")
_PATH = re.compile(
    r"/(?:api/v1|apis/(?P<group>[^/]+)/[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?"
)
_WORKLOADS = ("Deployment", "DaemonSet", "StatefulSet", "Job")
_OF_STORED = "thinkube_nornir/resources/releases.py:"
_ADDONS = ("dns/coredns", "hostpath-storage/storage", "metallb/crd", "metallb/metallb", "metallb/addresspool")
_CALICO = "upgrade-scripts/000-switch-to-calico/resources/calico.yaml"


@dataclass(frozen=True)
class Question:
    """What a request asks for."""

    plural: str
    namespace: str = ""
    name: str = ""
    labels: str = ""

    def __str__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        what = f" {self.name}" if self.name else f" with {self.labels}" if self.labels else ""
        return f"{self.plural}{what}{where}"


def questions(recording: Recording) -> set[Question]:
    """Without what a release's resource asks: its names are those that helm stored, and nobody wrote them down."""
    asked = [read for read in recording.reads if not any(site.startswith(_OF_STORED) for site in read.sites)]
    return {found for read in asked if (found := question(read.url)) is not None}


def question(url: str) -> Question | None:
    """
    >>> question("/api/v1/namespaces/shop/pods?labelSelector=app%3Dweb")
    Question(plural='pods', namespace='shop', name='', labels='app=web')
    >>> question("/apis/apps/v1")
    """
    parts = urlsplit(url)
    found = _PATH.fullmatch(unquote(parts.path).removesuffix("/log"))
    if found is None and (namespace := re.fullmatch(r"/api/v1/namespaces/([^/]+)", parts.path)):
        return Question("namespaces", name=namespace[1])
    if found is None:
        return None
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    by_field = dict(pair.split("=") for pair in query.get("fieldSelector", "").split(",") if "=" in pair)
    plural = f"{found['plural']}.{found['group']}" if found["group"] else found["plural"]
    name = found["name"] or by_field.get("metadata.name", "")
    return Question(plural, found["namespace"] or "", name, query.get("labelSelector", ""))


class Catalogue:
    """Objects by place, and pods by what selects them."""

    def __init__(self, objects: Iterable[Object]) -> None:
        self._objects = [*objects]
        definitions = [obj for obj in self._objects if obj["kind"] == "CustomResourceDefinition"]
        registry = Registry()
        for definition in definitions:
            registry.serve(definition)
        self._plurals = {(r.group, r.kind): (r.id, r.namespaced) for r in registry}
        self._by_place = {self._place(obj): obj for obj in self._objects}
        self._by_place |= {("pods", *self._place(pod)[1:]): pod for pod in self._pods()}

    def _place(self, obj: Object) -> Place:
        group = obj["apiVersion"].rpartition("/")[0]
        plural, namespaced = self._plurals[group, obj["kind"]]
        at = obj["metadata"]
        return plural, at.get("namespace", "default") if namespaced else "", at["name"]

    def _pods(self) -> Iterator[Object]:
        """One of each workload, under the workload's name."""
        for obj in self._objects:
            if obj["kind"] in _WORKLOADS:
                at = obj["metadata"]
                labels = dict(obj["spec"]["template"]["metadata"].get("labels") or {})
                labels |= {"job-name": at["name"]} if obj["kind"] == "Job" else {}
                named = {"name": f"{obj['kind']}-{at['name']}", "namespace": at["namespace"], "labels": labels}
                yield {"apiVersion": "v1", "kind": "Pod", "metadata": named}

    def answers(self, asked: Question) -> bool:
        """Whether there is what it asks for."""
        if asked.name:
            return (asked.plural, asked.namespace, asked.name) in self._by_place
        if asked.labels:
            takes = label_predicate(asked.labels)
            return any(
                takes(obj)
                for (plural, namespace, _), obj in self._by_place.items()
                if plural == asked.plural and asked.namespace in ("", namespace)
            )
        return not asked.namespace or ("namespaces", "", asked.namespace) in self._by_place


def upstreams_objects(releases: Iterable[Release]) -> Iterator[Object]:
    """Of MicroK8s, its addons and the charts, as they are deployed."""
    yield from upstream.yaml_documents(upstream.microk8s(track(), _CALICO))
    yield from upstream.documents(GATEWAY_API)
    for addon in _ADDONS:
        yield from upstream.addon(track(), f"{addon}.yaml")
    seen = set()
    for release in releases:
        if (release.name, release.version) not in seen:
            seen.add((release.name, release.version))
            yield from rendered_as(release)
            yield from definitions_of(release)


def rendered_as(release: Release) -> Iterator[Object]:
    """The chart's objects under the release's name and in its namespace; they were rendered for another one."""
    text = upstream.text(rendered_file(release))
    found = _RENDERED_FOR.search(text)
    assert found is not None, f"{rendered_file(release)} does not say for which release"
    text = text.replace(found[1], release.name) if found[1] != release.chart else text
    for obj in upstream.yaml_documents(text):
        namespace = obj["metadata"].get("namespace", found[2])
        obj["metadata"]["namespace"] = release.namespace if namespace == found[2] else namespace
        yield obj
