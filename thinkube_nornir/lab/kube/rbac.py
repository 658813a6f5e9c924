"""Who asks, and what roles let them do.

Left out: anonymous users, rules of aggregated ClusterRoles, and that nobody gives away rights that they do not have.

Source: kubernetes/kubernetes@v1.36.2 pkg/registry/rbac/validation/rule.go (VisitRulesFor, appliesToUser)
Source: kubernetes/kubernetes@v1.36.2 pkg/apis/rbac/v1/evaluation_helpers.go
Source: kubernetes/kubernetes@v1.36.2 staging/src/k8s.io/apiserver/pkg/endpoints/request/requestinfo.go
Source: kubernetes/kubernetes@v1.36.2
    staging/src/k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go (forbiddenMessage)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from thinkube_nornir.lab.kube import status
from thinkube_nornir.lab.kube.objects import Object
from thinkube_nornir.lab.kube.resources import Resource
from thinkube_nornir.lab.kube.status import ApiError
from thinkube_nornir.lab.kube.store import Store

_GROUP = "rbac.authorization.k8s.io"
_ALL = "*"
_EVERYBODY = "system:authenticated"
_ACCOUNT = "system:serviceaccount:"
_DISCOVERY = ("/api", "/apis", "/healthz", "/livez", "/openapi", "/readyz", "/version")
"""What the role system:discovery gives to everybody who is known."""


@dataclass(frozen=True)
class User:
    name: str
    groups: tuple[str, ...] = ()

    @property
    def is_master(self) -> bool:
        return "system:masters" in self.groups


@dataclass(frozen=True)
class Attempt:
    """What somebody is about to do with a resource."""

    verb: str
    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def what(self) -> str:
        return f"{self.resource.plural}/{self.subresource}" if self.subresource else self.resource.plural


def user_of(name: str, groups: tuple[str, ...] = ()) -> User:
    """With the groups that everybody is in who is known, and those of a service account."""
    own: tuple[str, ...] = ()
    if name.startswith(_ACCOUNT):
        own = ("system:serviceaccounts", f"system:serviceaccounts:{name.split(':')[2]}")
    return User(name, (*groups, *own, _EVERYBODY))


def account(namespace: str, name: str) -> User:
    return user_of(f"{_ACCOUNT}{namespace}:{name}")


def verb_of(method: str, *, named: bool, watching: bool) -> str:
    match method:
        case "GET" if watching:
            return "watch"
        case "GET":
            return "get" if named else "list"
        case "DELETE":
            return "delete" if named else "deletecollection"
    return {"POST": "create", "PUT": "update", "PATCH": "patch"}.get(method, method.lower())


def authorize(store: Store, user: User, attempt: Attempt) -> None:
    """
    Raises:
        ApiError: 403, no role of the user's allows it.
    """
    if user.is_master or any(_allows(rule, attempt) for rule in _rules(store, user, attempt.namespace)):
        return
    group = attempt.resource.group
    where = f'in the namespace "{attempt.namespace}"' if attempt.namespace else "at the cluster scope"
    why = f'User "{user.name}" cannot {attempt.verb} resource "{attempt.what}" in API group "{group}" {where}'
    raise status.forbidden(attempt.resource.plural, group, attempt.name, why)


def authorize_path(user: User, method: str, path: str) -> None:
    """Of what is no resource, such as discovery."""
    known = any(path == one or path.startswith(f"{one}/") for one in _DISCOVERY)
    if not user.is_master and not (known and method == "GET"):
        why = f'User "{user.name}" cannot {method.lower()} path "{path}"'
        raise ApiError(403, f"forbidden: {why}", details={})


def _rules(store: Store, user: User, namespace: str) -> Iterator[Object]:
    for binding in store.list(f"clusterrolebindings.{_GROUP}"):
        if any(_is_meant(subject, user, "") for subject in binding.get("subjects") or ()):
            yield from _rules_of(store, binding["roleRef"], "")
    for binding in store.list(f"rolebindings.{_GROUP}", namespace) if namespace else ():
        if any(_is_meant(subject, user, namespace) for subject in binding.get("subjects") or ()):
            yield from _rules_of(store, binding["roleRef"], namespace)


def _is_meant(subject: Object, user: User, namespace: str) -> bool:
    match subject["kind"]:
        case "User":
            return bool(subject["name"] == user.name)
        case "Group":
            return subject["name"] in user.groups
        case "ServiceAccount":
            return user.name == f"{_ACCOUNT}{subject.get('namespace') or namespace}:{subject['name']}"
    return False


def _rules_of(store: Store, reference: Object, namespace: str) -> list[Object]:
    is_role = reference["kind"] == "Role"
    found = store.get(
        f"{'roles' if is_role else 'clusterroles'}.{_GROUP}", (namespace if is_role else "", reference["name"])
    )
    return list((found or {}).get("rules") or [])


def _allows(rule: Object, attempt: Attempt) -> bool:
    names = rule.get("resourceNames") or []
    return (
        _has(rule, "verbs", attempt.verb)
        and _has(rule, "apiGroups", attempt.resource.group)
        and (
            _has(rule, "resources", attempt.what)
            or bool(attempt.subresource and f"*/{attempt.subresource}" in (rule.get("resources") or []))
        )
        and (not names or attempt.name in names)
    )


def _has(rule: Object, field: str, value: str) -> bool:
    listed = rule.get(field) or []
    return _ALL in listed or value in listed
