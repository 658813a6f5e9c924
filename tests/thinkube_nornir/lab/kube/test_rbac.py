"""What roles let their subjects do, on the lab and on a real API server: asked as somebody else, by impersonation."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes import client

from thinkube_nornir.lab.kube import Object

Ask = Callable[..., tuple[int, Object]]
ROLES = "/apis/rbac.authorization.k8s.io/v1"
MAPS = "/api/v1/namespaces/default/configmaps"
APPLY = "application/apply-patch+yaml"


def config_map(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}}


@pytest.fixture
def ask(anywhere: client.ApiClient) -> Ask:
    """A request as the administrator, or as somebody else: status and body."""

    def asked(method: str, path: str, body: Any = None, *, user: str = "", kind: str = "application/json") -> Any:
        settings: Any = anywhere.configuration
        headers = {"Content-Type": kind, "Accept": "application/json"} | ({"Impersonate-User": user} if user else {})
        headers |= {one["key"]: one["value"] for one in settings.auth_settings().values()}
        url = f"{settings.host}{path}" + ("?fieldManager=test&force=true" if kind == APPLY else "")
        data = None if body is None else json.dumps(body).encode()
        answer = anywhere.rest_client.pool_manager.request(method, url, body=data, headers=headers)
        return answer.status, json.loads(answer.data or b"{}")

    return asked


def grant(ask: Ask, name: str, rules: list[Object], subject: Object, *, cluster: bool = False) -> None:
    """A role with the rules, and a binding of it to the subject; in the whole cluster, or in namespace default."""
    prefix = f"{ROLES}/" if cluster else f"{ROLES}/namespaces/default/"
    kinds = ("clusterroles", "clusterrolebindings") if cluster else ("roles", "rolebindings")
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole" if cluster else "Role", "name": name}
    assert ask("POST", prefix + kinds[0], {"metadata": {"name": name}, "rules": rules})[0] == 201
    binding = {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}
    assert ask("POST", prefix + kinds[1], binding)[0] == 201


def rule(*verbs: str, resources: tuple[str, ...] = ("configmaps",), names: tuple[str, ...] = ()) -> Object:
    given: Object = {"apiGroups": [""], "resources": list(resources), "verbs": list(verbs)}
    return given | ({"resourceNames": list(names)} if names else {})


def person(name: str) -> Object:
    return {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name}


def test_a_stranger_may_do_nothing(ask: Ask, name: str) -> None:
    """The message says who, what and where; discovery is for everybody who is known."""
    refused = ask("GET", f"{MAPS}/x", user=name)
    listed = ask("GET", "/apis/apps/v1/deployments", user=name)

    why = f'User "{name}" cannot get resource "configmaps" in API group "" in the namespace "default"'
    assert refused == (
        403,
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": f'configmaps "x" is forbidden: {why}',
            "reason": "Forbidden",
            "details": {"name": "x", "kind": "configmaps"},
            "code": 403,
        },
    )
    why = f'User "{name}" cannot list resource "deployments" in API group "apps" at the cluster scope'
    assert listed[1]["message"] == f"deployments.apps is forbidden: {why}"
    assert listed[1]["details"] == {"group": "apps", "kind": "deployments"}
    assert ask("GET", "/api/v1", user=name)[0] == 200


def test_a_role_holds_in_its_namespace_for_its_verbs_and_names(ask: Ask, name: str) -> None:
    grant(ask, name, [rule("get", "patch", names=(name,)), rule("create")], person(name))

    assert ask("POST", MAPS, config_map(name), user=name)[0] == 201
    assert ask("GET", f"{MAPS}/{name}", user=name)[0] == 200
    assert ask("GET", f"{MAPS}/other", user=name)[0] == 403
    assert ask("GET", MAPS, user=name)[0] == 403
    assert ask("GET", f"/api/v1/namespaces/kube-system/configmaps/{name}", user=name)[0] == 403
    assert ask("DELETE", f"{MAPS}/{name}", user=name)[0] == 403
    assert ask("GET", f"/api/v1/namespaces/default/secrets/{name}", user=name)[0] == 403


def test_an_apply_that_creates_needs_the_right_to_create(ask: Ask, name: str) -> None:
    """Who may only patch can change what is there, and makes nothing."""
    grant(ask, name, [rule("get", "patch", names=(name,))], person(name))

    refused = ask("PATCH", f"{MAPS}/{name}", config_map(name), user=name, kind=APPLY)
    ask("POST", MAPS, config_map(name))
    allowed = ask("PATCH", f"{MAPS}/{name}", config_map(name), user=name, kind=APPLY)

    assert (refused[0], allowed[0]) == (403, 200)
    assert f'User "{name}" cannot create resource "configmaps"' in refused[1]["message"]


def test_a_cluster_role_holds_everywhere(ask: Ask, name: str) -> None:
    grant(ask, name, [rule("list", "watch")], person(name), cluster=True)

    assert ask("GET", "/api/v1/configmaps", user=name)[0] == 200
    assert ask("GET", "/api/v1/secrets", user=name)[0] == 403


@pytest.mark.parametrize(
    "subject",
    [
        {"kind": "ServiceAccount", "name": "copier", "namespace": "kube-system"},
        {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:serviceaccounts:kube-system"},
    ],
    ids=["the account", "its group"],
)
def test_a_service_account_is_a_user(ask: Ask, name: str, subject: Object) -> None:
    grant(ask, name, [rule("get")], subject)

    assert ask("GET", f"{MAPS}/{name}", user="system:serviceaccount:kube-system:copier")[0] == 404
    assert ask("GET", f"{MAPS}/{name}", user="system:serviceaccount:default:copier")[0] == 403


def test_a_subresource_is_a_right_of_its_own(ask: Ask, name: str) -> None:
    grant(ask, name, [rule("get", resources=("pods", "*/status"))], person(name))
    pods = "/api/v1/namespaces/default/pods"

    assert ask("GET", f"{pods}/{name}", user=name)[0] == 404
    assert ask("GET", f"{pods}/{name}/status", user=name)[0] == 404
    assert ask("GET", f"{pods}/{name}/log", user=name)[0] == 403
