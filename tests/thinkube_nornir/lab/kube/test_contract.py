"""What the lab's API server and a real one must both do, asked with the official client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from tests.thinkube_nornir.lab.kube.conftest import resource, stream, use
from thinkube_nornir.lab.kube import Object


def config_map(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def deployment(name: str, **spec: Any) -> Object:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "app:1"}]}}
    body = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": body}


def applied(api: client.ApiClient, obj: Object, manager: str, **options: Any) -> Any:
    return (
        resource(api, obj["apiVersion"], obj["kind"])
        .server_side_apply(obj, namespace="default", field_manager=manager, **options)
        .to_dict()
    )


def refusal(error: pytest.ExceptionInfo[Any]) -> tuple[int, Object]:
    return error.value.status, json.loads(error.value.body)


def test_an_object_is_created_read_replaced_and_deleted(anywhere: client.ApiClient, name: str) -> None:
    """The four verbs do what they say, and a deleted object is not found."""
    core = use(client.CoreV1Api, anywhere)

    made = core.create_namespaced_config_map("default", config_map(name, a="1"))
    made.data["a"] = "2"
    replaced = core.replace_namespaced_config_map(name, "default", made)
    read = core.read_namespaced_config_map(name, "default")
    core.delete_namespaced_config_map(name, "default")

    assert (read.data, read.metadata.uid) == ({"a": "2"}, made.metadata.uid)
    assert int(replaced.metadata.resource_version) > int(made.metadata.resource_version)
    with pytest.raises(ApiException) as missing:
        core.read_namespaced_config_map(name, "default")
    code, status = refusal(missing)
    assert (code, status["reason"], status["message"]) == (404, "NotFound", f'configmaps "{name}" not found')


def test_a_stale_replace_is_a_conflict(anywhere: client.ApiClient, name: str) -> None:
    """Who replaces what another changed meanwhile gets 409 and changes nothing."""
    core = use(client.CoreV1Api, anywhere)
    first = core.create_namespaced_config_map("default", config_map(name, a="1"))
    core.patch_namespaced_config_map(name, "default", {"data": {"a": "2"}})
    first.data["a"] = "3"

    with pytest.raises(ApiException) as caught:
        core.replace_namespaced_config_map(name, "default", first)

    code, status = refusal(caught)
    assert (code, status["reason"]) == (409, "Conflict")
    assert core.read_namespaced_config_map(name, "default").data == {"a": "2"}


def test_a_second_create_is_refused(anywhere: client.ApiClient, name: str) -> None:
    """A name is given once in a namespace."""
    core = use(client.CoreV1Api, anywhere)
    core.create_namespaced_config_map("default", config_map(name))

    with pytest.raises(ApiException) as caught:
        core.create_namespaced_config_map("default", config_map(name))

    assert refusal(caught)[1]["reason"] == "AlreadyExists"


def test_a_bad_name_is_invalid(anywhere: client.ApiClient) -> None:
    """422 names the field."""
    with pytest.raises(ApiException) as caught:
        use(client.CoreV1Api, anywhere).create_namespaced_config_map("default", config_map("Not_A_Name"))

    code, status = refusal(caught)
    assert (code, status["reason"]) == (422, "Invalid")
    assert [cause["field"] for cause in status["details"]["causes"]] == ["metadata.name"]


def test_nothing_is_created_in_a_namespace_that_is_not_there(anywhere: client.ApiClient, name: str) -> None:
    """404 names the namespace, not the object."""
    with pytest.raises(ApiException) as caught:
        use(client.CoreV1Api, anywhere).create_namespaced_config_map(name, config_map("x"))

    code, status = refusal(caught)
    assert (code, status["message"]) == (404, f'namespaces "{name}" not found')


def test_a_selector_must_match_and_cannot_change(anywhere: client.ApiClient, name: str) -> None:
    """A Deployment that would not find its own pods, or would find others later, is refused."""
    apps = use(client.AppsV1Api, anywhere)
    with pytest.raises(ApiException) as unmatched:
        apps.create_namespaced_deployment("default", deployment(name, selector={"matchLabels": {"app": "other"}}))
    apps.create_namespaced_deployment("default", deployment(name))
    template = deployment(name)["spec"]["template"] | {"metadata": {"labels": {"app": name, "b": "1"}}}
    changed = {"spec": {"selector": {"matchLabels": {"b": "1"}}, "template": template}}
    with pytest.raises(ApiException) as moved:
        apps.patch_namespaced_deployment(name, "default", changed)

    assert refusal(unmatched)[1]["details"]["causes"][0]["field"] == "spec.template.metadata.labels"
    assert refusal(moved)[1]["details"]["causes"][0]["field"] == "spec.selector"


def test_unknown_fields_are_refused_when_asked_strictly(anywhere: client.ApiClient, name: str) -> None:
    """fieldValidation=Strict is an error that names the field; without it the field is dropped."""
    found = resource(anywhere, "v1", "ConfigMap")
    wrong = config_map(name, a="1") | {"dataa": {"a": "1"}}

    with pytest.raises(ApiException) as caught:
        found.create(wrong, namespace="default", query_params=[("fieldValidation", "Strict")])
    made = found.create(wrong, namespace="default").to_dict()

    assert "dataa" not in made
    code, status = refusal(caught)
    assert code == 400
    assert 'strict decoding error: unknown field "dataa"' in status["message"]


def test_a_dry_run_stores_nothing(anywhere: client.ApiClient, name: str) -> None:
    """dryRun=All answers as if, and leaves no trace."""
    core = use(client.CoreV1Api, anywhere)

    answer = core.create_namespaced_config_map("default", config_map(name, a="1"), dry_run="All")

    assert answer.data == {"a": "1"}
    with pytest.raises(ApiException):
        core.read_namespaced_config_map(name, "default")


def test_apply_creates_then_changes_nothing(anywhere: client.ApiClient, name: str) -> None:
    """Applying the same again is no write."""
    first = applied(anywhere, config_map(name, a="1"), "us")
    second = applied(anywhere, config_map(name, a="1"), "us")

    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]
    entry = second["metadata"]["managedFields"][0]
    assert (entry["manager"], entry["operation"], entry["fieldsV1"]) == ("us", "Apply", {"f:data": {"f:a": {}}})


def test_apply_refuses_a_field_of_another_manager(anywhere: client.ApiClient, name: str) -> None:
    """409 names the manager and the field."""
    applied(anywhere, config_map(name, a="theirs"), "them")

    with pytest.raises(ApiException) as caught:
        applied(anywhere, config_map(name, a="ours"), "us")

    code, status = refusal(caught)
    cause = status["details"]["causes"][0]
    assert (code, status["reason"], cause["reason"]) == (409, "Conflict", "FieldManagerConflict")
    assert (cause["field"], cause["message"]) == (".data.a", 'conflict with "them"')


def test_apply_by_force_takes_the_field(anywhere: client.ApiClient, name: str) -> None:
    """With force the value and the ownership move, and what was not contended stays."""
    applied(anywhere, config_map(name, a="theirs", b="theirs"), "them")

    taken = applied(anywhere, config_map(name, a="ours"), "us", force_conflicts=True)

    owners = {entry["manager"]: entry["fieldsV1"] for entry in taken["metadata"]["managedFields"]}
    assert taken["data"] == {"a": "ours", "b": "theirs"}
    assert owners == {"them": {"f:data": {"f:b": {}}}, "us": {"f:data": {"f:a": {}}}}


def test_a_secret_s_plain_texts_are_owned_as_they_were_sent(anywhere: client.ApiClient, name: str) -> None:
    """stringData becomes data, but its ownership does not: nobody may apply the same, and what is given up stays."""
    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"a": "1", "b": "2"}}
    first = applied(anywhere, manifest, "us")
    with pytest.raises(ApiException) as caught:
        applied(anywhere, manifest, "them")
    second = applied(anywhere, manifest | {"stringData": {"a": "1"}}, "us")

    assert first["data"] == second["data"] == {"a": "MQ==", "b": "Mg=="}
    assert first["metadata"]["managedFields"][0]["fieldsV1"] == {"f:stringData": {"f:a": {}, "f:b": {}}}
    assert [cause["field"] for cause in refusal(caught)[1]["details"]["causes"]] == [".stringData.a", ".stringData.b"]


def test_fields_no_longer_applied_are_removed_unless_shared(anywhere: client.ApiClient, name: str) -> None:
    """A field goes when the last manager that applied it gives it up."""
    applied(anywhere, config_map(name, mine="1", shared="1"), "us")
    applied(anywhere, config_map(name, shared="1"), "them")

    ours = applied(anywhere, config_map(name), "us")

    assert ours["data"] == {"shared": "1"}


def test_an_update_takes_over_what_it_changes(anywhere: client.ApiClient, name: str) -> None:
    """After an edit by hand the field is the editor's alone, and applying the old value again is a conflict."""
    applied(anywhere, config_map(name, a="1"), "us")
    core = use(client.CoreV1Api, anywhere)
    edited = core.patch_namespaced_config_map(name, "default", {"data": {"a": "2"}}, field_manager="editor")

    with pytest.raises(ApiException) as caught:
        applied(anywhere, config_map(name, a="1"), "us")

    assert 'conflict with "editor"' in refusal(caught)[1]["details"]["causes"][0]["message"]
    assert [entry.manager for entry in edited.metadata.managed_fields] == ["editor"]


def test_containers_are_merged_by_name(anywhere: client.ApiClient, name: str) -> None:
    """Two managers may each apply a container of one Deployment, and each removes its own only."""
    applied(anywhere, deployment(name), "us")
    second = deployment(name)
    second["spec"] = {"template": {"spec": {"containers": [{"name": "side", "image": "side:1"}]}}}
    both = applied(anywhere, second, "them")
    second["spec"] = {"paused": False}
    left = applied(anywhere, second, "them")

    assert [c["name"] for c in both["spec"]["template"]["spec"]["containers"]] == ["main", "side"]
    assert [c["name"] for c in left["spec"]["template"]["spec"]["containers"]] == ["main"]


def test_generation_counts_changes_of_the_spec_only(anywhere: client.ApiClient, name: str) -> None:
    """Labels and status leave the generation alone."""
    apps = use(client.AppsV1Api, anywhere)
    apps.create_namespaced_deployment("default", deployment(name))
    apps.patch_namespaced_deployment(name, "default", {"metadata": {"labels": {"a": "b"}}})
    labelled = apps.read_namespaced_deployment(name, "default").metadata.generation

    changed = apps.patch_namespaced_deployment(name, "default", {"spec": {"minReadySeconds": 1}})

    assert (labelled, changed.metadata.generation) == (1, 2)


def test_each_kind_of_patch(anywhere: client.ApiClient, name: str) -> None:
    """JSON patch, merge patch and strategic merge patch each follow their own rules."""
    found = resource(anywhere, "apps/v1", "Deployment")
    applied(anywhere, deployment(name), "us")

    def patched(kind: str, change: Any) -> list[Any]:
        answer = found.patch(change, name=name, namespace="default", content_type=f"application/{kind}+json")
        return list(answer.to_dict()["spec"]["template"]["spec"]["containers"])

    side = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "side:1"}]}}}}
    strategic = patched("strategic-merge-patch", side)
    jsonpatch = patched("json-patch", [{"op": "remove", "path": "/spec/template/spec/containers/0"}])
    only = {"spec": {"template": {"spec": {"containers": [{"name": "only", "image": "only:1"}]}}}}
    merged = patched("merge-patch", only)

    assert sorted(container["name"] for container in strategic) == ["main", "side"]
    assert len(jsonpatch) == 1
    assert [container["name"] for container in merged] == ["only"]


def test_a_watch_follows_from_a_list(anywhere: client.ApiClient, name: str) -> None:
    """Every change after the listed revision arrives once and in order, up to the deletion."""
    core = use(client.CoreV1Api, anywhere)
    start = core.list_namespaced_config_map("default").metadata.resource_version
    core.create_namespaced_config_map("default", config_map(name, a="1"))
    core.patch_namespaced_config_map(name, "default", {"data": {"a": "2"}})
    core.delete_namespaced_config_map(name, "default")

    seen = []
    only = f"metadata.name={name}"
    for event in stream(
        core.list_namespaced_config_map, "default", field_selector=only, resource_version=start, timeout_seconds=20
    ):
        seen.append((event["type"], event["object"].data["a"]))
        if event["type"] == "DELETED":
            break

    assert seen == [("ADDED", "1"), ("MODIFIED", "2"), ("DELETED", "2")]


def test_a_watch_sees_objects_leave_its_selector(anywhere: client.ApiClient, name: str) -> None:
    """What no longer matches is deleted for this watch."""
    core = use(client.CoreV1Api, anywhere)
    core.create_namespaced_config_map(
        "default", config_map(name) | {"metadata": {"name": name, "labels": {"in": name}}}
    )
    start = core.list_namespaced_config_map("default").metadata.resource_version
    core.patch_namespaced_config_map(name, "default", {"metadata": {"labels": {"in": None}}})

    events = stream(
        core.list_namespaced_config_map,
        "default",
        label_selector=f"in={name}",
        resource_version=start,
        timeout_seconds=20,
    )

    assert next(events)["type"] == "DELETED"


def test_a_watch_ends_when_its_time_is_up(anywhere: client.ApiClient, name: str) -> None:
    """timeoutSeconds ends the stream without an error.

    Of a kind that was just written: with etcd 3.4 another one's watches may be behind, and refused at first.
    """
    core = use(client.CoreV1Api, anywhere)
    core.create_namespaced_config_map("default", config_map(name))

    events = list(stream(core.list_namespaced_config_map, "default", timeout_seconds=1))

    assert name in {event["object"].metadata.name for event in events}


def test_lists_are_selected_and_paged(anywhere: client.ApiClient, name: str) -> None:
    """Set-based and equality selectors narrow a list; pages together are the whole."""
    core = use(client.CoreV1Api, anywhere)
    for number in range(5):
        labels = {"set": name, "number": str(number)}
        core.create_namespaced_config_map("default", {"metadata": {"name": f"{name}-{number}", "labels": labels}})

    def names(selector: str, **page: Any) -> tuple[list[str], str | None]:
        found = core.list_namespaced_config_map("default", label_selector=selector, **page)
        return [item.metadata.name.rpartition("-")[2] for item in found.items], found.metadata._continue

    first, token = names(f"set={name}", limit=3)
    rest, end = names(f"set={name}", limit=3, _continue=token)
    assert (first, rest, end or None) == (["0", "1", "2"], ["3", "4"], None)
    assert names(f"set={name},number in (1,4)")[0] == ["1", "4"]
    assert names(f"set={name},number notin (0,1,2),number!=3")[0] == ["4"]
    assert names(f"set={name},!number")[0] == []


def test_names_are_generated(anywhere: client.ApiClient, name: str) -> None:
    """generateName is a prefix; two objects get two names."""
    core = use(client.CoreV1Api, anywhere)
    made = [core.create_namespaced_config_map("default", {"metadata": {"generateName": f"{name}-"}}) for _ in range(2)]

    names = {obj.metadata.name for obj in made}
    assert len(names) == 2
    assert all(given.startswith(f"{name}-") for given in names)


def test_a_finalizer_holds_a_deleted_object(anywhere: client.ApiClient, name: str) -> None:
    """It goes when the last finalizer does."""
    core = use(client.CoreV1Api, anywhere)
    held = {"metadata": {"name": name, "finalizers": ["example.com/hold"]}}
    core.create_namespaced_config_map("default", held)
    core.delete_namespaced_config_map(name, "default")
    waiting = core.read_namespaced_config_map(name, "default")

    core.patch_namespaced_config_map(name, "default", {"metadata": {"finalizers": None}})

    assert waiting.metadata.deletion_timestamp is not None
    with pytest.raises(ApiException) as caught:
        core.read_namespaced_config_map(name, "default")
    assert caught.value.status == 404


def test_a_service_keeps_its_address(anywhere: client.ApiClient, name: str) -> None:
    """An address is given, kept over a replace without it, and cannot be moved."""
    core = use(client.CoreV1Api, anywhere)
    spec = {"ports": [{"port": 80}]}
    core.create_namespaced_service("default", {"metadata": {"name": f"{name}-before"}, "spec": spec})
    made = core.create_namespaced_service("default", {"metadata": {"name": name}, "spec": spec})
    core.delete_namespaced_service(f"{name}-before", "default")
    given = made.spec.cluster_ip
    core.replace_namespaced_service(name, "default", {"metadata": {"name": name}, "spec": {"ports": [{"port": 81}]}})

    with pytest.raises(ApiException) as caught:
        core.patch_namespaced_service(name, "default", {"spec": {"clusterIP": f"{given}1"}})

    assert caught.value.status == 422
    assert core.read_namespaced_service(name, "default").spec.cluster_ip == given


def test_custom_resources_are_served(anywhere: client.ApiClient, name: str) -> None:
    """A kind that a CRD defines can be discovered, applied, given a status, and goes with its CRD."""
    group = f"{name}.example.com"
    with defined(anywhere, group, {"type": "object", "x-kubernetes-preserve-unknown-fields": True}) as custom:
        widget = {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 1}}
        made = applied(anywhere, widget, "us")
        at = (group, "v1", "default", "widgets", "w")
        custom.patch_namespaced_custom_object_status(*at, {"status": {"ready": True}, "spec": {"size": 2}})
        found = custom.get_namespaced_custom_object(*at)

    assert (made["metadata"]["generation"], found["spec"], found["status"]) == (1, {"size": 1}, {"ready": True})


PART = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string"}, "size": {"type": "integer", "default": 1}},
}
SPEC = {
    "type": "object",
    "required": ["color"],
    "properties": {
        "color": {"type": "string", "enum": ["red", "blue"]},
        "parts": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": PART,
        },
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "port": {"x-kubernetes-int-or-string": True},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}


@pytest.fixture(scope="module")
def widgets(anywhere: client.ApiClient) -> Iterator[tuple[Any, str]]:
    """The API of a kind with a schema, and its group."""
    group = f"widgets-{uuid4().hex[:8]}.example.com"
    with defined(anywhere, group, {"type": "object", "properties": {"spec": SPEC}}) as custom:
        yield custom, group


def widget(group: str, name: str, **spec: Any) -> Object:
    return {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        pytest.param({}, "spec.color", id="a required field is missing"),
        pytest.param({"color": "green"}, "spec.color", id="a value that is not allowed"),
        pytest.param({"color": "red", "parts": "all"}, "spec.parts", id="a wrong type"),
        pytest.param({"color": "red", "labels": {"a": 1}}, "spec.labels.a", id="a wrong type in a map"),
        pytest.param({"color": "red", "port": {}}, "spec.port", id="neither number nor text"),
        pytest.param({"color": "red", "parts": [{"size": 2}]}, "spec.parts[0].name", id="missing in an item"),
    ],
)
def test_a_custom_resource_keeps_to_its_schema(
    widgets: tuple[Any, str], name: str, spec: dict[str, Any], field: str
) -> None:
    """What the CRD requires and forbids is invalid, and the field is named."""
    custom, group = widgets

    with pytest.raises(ApiException) as caught:
        custom.create_namespaced_custom_object(group, "v1", "default", "widgets", widget(group, name, **spec))

    code, status = refusal(caught)
    assert (code, status["details"]["causes"][0]["field"]) == (422, field)


def test_unknown_fields_of_a_custom_resource(anywhere: client.ApiClient, widgets: tuple[Any, str], name: str) -> None:
    """Refused when asked strictly and in an apply, dropped otherwise; where the CRD keeps them they stay."""
    custom, group = widgets
    at = (group, "v1", "default", "widgets")
    wrong = widget(group, name, color="red", colour="red", free={"any": {"thing": 1}})

    with pytest.raises(ApiException) as strictly:
        custom.create_namespaced_custom_object(*at, wrong, field_validation="Strict")
    with pytest.raises(ApiException) as by_apply:
        applied(anywhere, wrong, "us")
    made = custom.create_namespaced_custom_object(*at, wrong)

    assert 'unknown field "spec.colour"' in refusal(strictly)[1]["message"]
    assert ".spec.colour: field not declared in schema" in refusal(by_apply)[1]["message"]
    assert made["spec"] == {"color": "red", "free": {"any": {"thing": 1}}}


def test_a_custom_resource_gets_defaults_and_merges_by_key(
    anywhere: client.ApiClient, widgets: tuple[Any, str], name: str
) -> None:
    """Defaults of the CRD are filled in, also in items; two appliers own different items of a keyed list."""
    _, group = widgets

    made = applied(anywhere, widget(group, name, color="red", parts=[{"name": "a"}]), "us")
    both = applied(anywhere, widget(group, name, color="red", parts=[{"name": "b", "size": 2}]), "them")

    assert made["spec"]["parts"] == [{"name": "a", "size": 1}]
    assert both["spec"]["parts"] == [{"name": "a", "size": 1}, {"name": "b", "size": 2}]


def test_a_definition_needs_a_schema(anywhere: client.ApiClient, name: str) -> None:
    """In v1 of its API; one that takes anything says so."""
    with pytest.raises(ApiException) as caught, defined(anywhere, f"{name}.example.com", None):
        pass

    assert refusal(caught)[1]["details"]["causes"][0]["field"] == "spec.versions[0].schema.openAPIV3Schema"


@contextmanager
def defined(anywhere: client.ApiClient, group: str, schema: Object | None) -> Iterator[Any]:
    """Serve a kind Widget in a group for the time of the block, which gets the API of custom objects."""
    version: Object = {"name": "v1", "served": True, "storage": True, "subresources": {"status": {}}}
    version |= {"schema": {"openAPIV3Schema": schema}} if schema else {}
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
    spec = {"group": group, "scope": "Namespaced", "names": names, "versions": [version]}
    definitions = use(client.ApiextensionsV1Api, anywhere)
    definitions.create_custom_resource_definition({"metadata": {"name": f"widgets.{group}"}, "spec": spec})
    _established(definitions, f"widgets.{group}")
    yield use(client.CustomObjectsApi, anywhere)
    definitions.delete_custom_resource_definition(f"widgets.{group}")


def _established(definitions: Any, name: str) -> None:
    only = f"metadata.name={name}"
    for event in stream(definitions.list_custom_resource_definition, field_selector=only, timeout_seconds=20):
        conditions = (event["raw_object"].get("status") or {}).get("conditions") or []
        if any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
            return
    raise AssertionError(f"{name} was not established")
