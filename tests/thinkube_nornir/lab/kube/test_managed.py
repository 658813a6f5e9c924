"""Field ownership, patches and selectors as pure functions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkube_nornir.lab.kube import Object
from thinkube_nornir.lab.kube.custom import schema_of
from thinkube_nornir.lab.kube.managed import from_fields, in_words, owned_values, to_fields
from thinkube_nornir.lab.kube.patch import merge_patch, strategic_merge
from thinkube_nornir.lab.kube.resources import Registry
from thinkube_nornir.lab.kube.schema import mistakes
from thinkube_nornir.lab.kube.selectors import label_predicate

ELEMENTS = st.one_of(
    st.text(min_size=1).map(lambda text: f"f:{text}"),
    st.text().map(lambda text: f"k:{json.dumps({'name': text})}"),
    st.integers().map(lambda number: f"v:{number}"),
)
DEPLOYMENT = schema_of(Registry().by_kind("apps/v1", "Deployment"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.dictionaries(st.text(), v), max_leaves=6
)


@given(st.sets(st.lists(ELEMENTS, min_size=1, max_size=4).map(tuple)))
def test_fields_round_trip(paths: set[tuple[str, ...]]) -> None:
    """A set of paths written as FieldsV1 and read again is the same set."""
    assert set(from_fields(to_fields(paths))) == paths


@given(st.dictionaries(st.text(), JSON), st.dictionaries(st.text(), JSON))
def test_a_merge_patch_twice_is_once(value: Object, patch: Object) -> None:
    """Merge patches are idempotent, and leave no null they were given."""
    once = merge_patch(value, patch)

    assert merge_patch(once, patch) == once


def test_owned_fields_of_a_deployment() -> None:
    """Containers are told apart by name, ports by number and protocol, selectors are one value."""
    ports = [{"containerPort": 80}]
    spec = {"containers": [{"name": "web", "image": "i", "ports": ports, "args": ["a", "b"]}]}
    body = {"selector": {"matchLabels": {"a": "b"}}, "template": {"spec": spec}}
    obj = {"metadata": {"name": "x", "labels": {"a": "b"}}, "spec": body}

    told = {in_words(path) for path in owned_values(DEPLOYMENT, obj)}

    container = '.spec.template.spec.containers[name="web"]'
    port = f'{container}.ports[containerPort=80,protocol="TCP"]'
    assert told == {
        *(".metadata.labels.a", ".spec.selector"),
        *(container, f"{container}.name", f"{container}.image", f"{container}.args"),
        *(port, f"{port}.containerPort"),
    }


@pytest.mark.parametrize(
    ("obj", "found"),
    [
        ({"spec": {"replicaz": 1}}, [("spec.replicaz", True)]),
        ({"spec": {"replicas": "1"}}, [("spec.replicas", False)]),
        (
            {"spec": {"template": {"spec": {"containers": [{"imagee": "x"}]}}}},
            [("spec.template.spec.containers[0].imagee", True)],
        ),
        ({"spec": {"template": {"spec": {"containers": {}}}}}, [("spec.template.spec.containers", False)]),
        ({"spec": {"template": {"spec": {"nodeSelector": {"a": 1}}}}}, [("spec.template.spec.nodeSelector.a", False)]),
        ({"spec": {"strategy": {"rollingUpdate": {"maxSurge": 1}}}}, []),
        (
            {"spec": {"strategy": {"rollingUpdate": {"maxSurge": True}}}},
            [("spec.strategy.rollingUpdate.maxSurge", False)],
        ),
        ({"spec": {"template": {"spec": {"containers": [{"resources": {"limits": {"cpu": 1}}}]}}}}, []),
        ({"metadata": {"annotations": None}}, []),
    ],
)
def test_mistakes_are_found_where_they_stand(obj: Object, found: list[tuple[str, bool]]) -> None:
    """Unknown fields and wrong types at any depth; quantities and int-or-string may be numbers."""
    assert [(mistake.path, mistake.unknown) for mistake in mistakes(DEPLOYMENT, obj)] == found


def test_a_list_of_the_same_items_is_merged_here_and_replaced_there() -> None:
    """A pod's pull secrets are told apart by name, a service account's are one value."""
    secrets = {"imagePullSecrets": [{"name": "registry"}]}

    pod = owned_values(schema_of(Registry().by_kind("v1", "Pod")), {"spec": secrets})
    account = owned_values(schema_of(Registry().by_kind("v1", "ServiceAccount")), secrets)

    assert {in_words(path) for path in pod} == {
        '.spec.imagePullSecrets[name="registry"]',
    }
    assert {in_words(path) for path in account} == {".imagePullSecrets"}


def containers(*items: Object) -> Object:
    return {"spec": {"template": {"spec": {"containers": list(items)}}}}


@pytest.mark.parametrize(
    ("change", "after"),
    [
        ([{"name": "b", "image": "2"}], [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}]),
        ([{"name": "a", "image": "2"}], [{"name": "a", "image": "2"}]),
        ([{"name": "a", "$patch": "delete"}], []),
        ([{"$patch": "replace"}, {"name": "c"}], [{"name": "c"}]),
    ],
)
def test_strategic_merge_of_keyed_lists(change: list[Any], after: list[Any]) -> None:
    """Items are added, merged, deleted by their key, or replaced altogether."""
    before = containers({"name": "a", "image": "1"})

    assert strategic_merge(DEPLOYMENT, before, containers(*change)) == containers(*after)


@given(st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz")), st.sampled_from("abc"), st.sampled_from("xyz"))
def test_selectors_and_their_opposites(labels: dict[str, str], key: str, value: str) -> None:
    """Of a selector and its negation exactly one takes an object, and set and equality forms agree."""
    obj = {"metadata": {"labels": labels}}

    def takes(text: str) -> bool:
        return label_predicate(text)(obj)

    assert takes(f"{key}={value}") is not takes(f"{key}!={value}")
    assert takes(key) is not takes(f"!{key}")
    assert takes(f"{key} in ({value})") is takes(f"{key}=={value}")
    assert takes(f"{key} notin ({value})") is takes(f"{key}!={value}")
