"""What a 403 means: five different things, each with a remedy of its own; and what admission webhooks say, in any code.

Source: kubernetes/kubernetes@v1.36.2
    staging/src/k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go (forbiddenMessage)
Source: kubernetes/kubernetes@v1.36.2 staging/src/k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle/admission.go
Source: kubernetes/kubernetes@v1.36.2 staging/src/k8s.io/apiserver/pkg/admission/plugin/resourcequota/controller.go
Source: kubernetes/kubernetes@v1.36.2 staging/src/k8s.io/pod-security-admission/admission/admission.go
Source: kubernetes/kubernetes@v1.36.2
    staging/src/k8s.io/apiserver/pkg/admission/plugin/webhook/errors/statuserror.go (ToStatusErr)
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_RIGHT = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) '
    r'(?:path "(?P<path>[^"]*)"|resource "(?P<resource>[^"]*)" in API group "(?P<group>[^"]*)"'
    r' (?:in the namespace "(?P<namespace>[^"]*)"|at the cluster scope))'
)
_QUOTA = re.compile(r"exceeded quota: (?P<name>[^,]+), requested: (?P<numbers>.+)", re.DOTALL)
_UNLIMITED = re.compile(r"failed quota: (?P<name>[^:]+): must specify (?P<what>.+)", re.DOTALL)
_SECURITY = re.compile(r'violates PodSecurity "(?P<level>[^":]+)[^"]*"')
_DENIED = re.compile(r'admission webhook "(?P<name>[^"]+)" denied the request')
_POLICY = re.compile(r"ValidatingAdmissionPolicy '(?P<name>[^']+)' with binding '[^']+' denied request")
_SILENT = re.compile(r'failed calling webhook "(?P<name>[^"]+)"')


def meaning(message: str, causes: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """What it means and what to do about it, for an operator; `{host}` in the second is for the caller to fill in.

    >>> meaning('pods "p" is forbidden: exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1', [])[0]
    'quota few of the namespace is used up: requested: pods=1, used: pods=1, limited: pods=1'
    """
    if any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
        held = "`kubectl get namespace NAME -o yaml` says what holds it"
        return "the namespace is being deleted, and nothing new may be made in it", f"run again once it is gone; {held}"
    if found := _QUOTA.search(message):
        fix = f"raise the ResourceQuota {found['name']}, or remove what uses it up, then run again"
        return f"quota {found['name']} of the namespace is used up: requested: {found['numbers']}", fix
    if found := _UNLIMITED.search(message):
        fix = f"remove the ResourceQuota {found['name']}, or have a LimitRange give the namespace's pods defaults"
        return f"quota {found['name']} of the namespace wants every pod to say its {found['what']}", fix
    if found := _SECURITY.search(message):
        fix = (
            "let the namespace admit it: label it pod-security.kubernetes.io/enforce with the level that the pod needs"
        )
        return f"the namespace admits pods of the security level {found['level']} only", fix
    if found := _RIGHT.search(message):
        return _lacking(found)
    return "our user may not do that", "give the user of the kubeconfig on {host} the right named above"


def admission(message: str) -> tuple[str, str] | None:
    """What an admission webhook or policy said, or that it said nothing; None when none was the cause.

    >>> admission('admission webhook "policy.example.org" denied the request: no')[0]
    "the cluster's admission webhook policy.example.org does not let it pass"
    """
    if found := _DENIED.search(message):
        fix = f"see what the admission webhook {found['name']} demands, or exempt the namespace from it"
        return f"the cluster's admission webhook {found['name']} does not let it pass", fix
    if found := _POLICY.search(message):
        fix = f"see what it demands: kubectl get validatingadmissionpolicy {found['name']} -o yaml"
        return f"the cluster's admission policy {found['name']} does not let it pass", fix
    if found := _SILENT.search(message):
        inspect = "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations"
        fix = f"see that the pods behind it run; `{inspect}` says which service it is"
        return f"the cluster's admission webhook {found['name']} does not answer", fix
    return None


def _lacking(found: re.Match[str]) -> tuple[str, str]:
    user, verb, namespace = found["user"], found["verb"], found["namespace"]
    if found["path"]:
        return f"{user} may not {verb} {found['path']}", "use the kubeconfig of an administrator on {host}"
    what = f"{found['resource']}.{found['group']}" if found["group"] else found["resource"]
    where, role = (f"in namespace {namespace}", "Role there") if namespace else ("in the whole cluster", "ClusterRole")
    fix = f"give {user} a {role} with the verb {verb} on {what}, or use an administrator's kubeconfig on {{host}}"
    return f"{user} may not {verb} {what} {where}", fix
