"""Pod security: what a namespace's label `pod-security.kubernetes.io/enforce` keeps out.

Left out: of both levels AppArmor, SELinux, /proc mounts, sysctls, Windows and probes' hosts; exemptions; warnings.

Source: kubernetes/kubernetes@v1.36.2 staging/src/k8s.io/pod-security-admission/admission/admission.go
Source: kubernetes/kubernetes@v1.36.2 staging/src/k8s.io/pod-security-admission/policy/check_capabilities_baseline.go
    and its other checks
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from thinkube_nornir.lab.kube import status
from thinkube_nornir.lab.kube.objects import Object, dig, labels_of, name_of, namespace_of
from thinkube_nornir.lab.kube.store import Store

ENFORCE = "pod-security.kubernetes.io/enforce"
_SAFE = ("RuntimeDefault", "Localhost")


def admit(store: Store, pod: Object) -> None:
    """
    Raises:
        ApiError: 403, with everything that the level forbids.
    """
    namespace = store.get("namespaces", ("", namespace_of(pod))) or {}
    level = labels_of(namespace).get(ENFORCE, "privileged")
    checks = {"baseline": (_baseline,), "restricted": (_baseline, _restricted)}.get(level, ())
    if found := sorted(one for check in checks for one in check(pod["spec"])):
        why = f'violates PodSecurity "{level}:latest": {", ".join(text for _, text in found)}'
        raise status.forbidden("pods", "", name_of(pod), why)


def _baseline(spec: Object) -> Iterator[tuple[int, str]]:
    """Each with its place in the server's list."""
    if privileged := _those(spec, lambda c: dig(c, "securityContext", "privileged")):
        yield 3, f"privileged ({privileged} must not set securityContext.privileged=true)"
    if shared := [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]:
        yield 1, f"host namespaces ({', '.join(f'{name}=true' for name in shared)})"
    if mounted := [f'"{v["name"]}"' for v in spec.get("volumes") or [] if "hostPath" in v]:
        yield 2, f"hostPath volumes ({'volume' if len(mounted) == 1 else 'volumes'} {', '.join(mounted)})"


def _restricted(spec: Object) -> Iterator[tuple[int, str]]:
    def lacks(name: str, wanted: Any) -> Callable[[Object], bool]:
        return lambda c: dig(c, "securityContext", name, default=dig(spec, "securityContext", name)) != wanted

    if loose := _those(spec, lambda c: dig(c, "securityContext", "allowPrivilegeEscalation") is not False):
        must = f"{loose} must set securityContext.allowPrivilegeEscalation=false"
        yield 4, f"allowPrivilegeEscalation != false ({must})"
    if capable := _those(spec, lambda c: "ALL" not in dig(c, "securityContext", "capabilities", "drop", default=[])):
        yield 5, f'unrestricted capabilities ({capable} must set securityContext.capabilities.drop=["ALL"])'
    if root := _those(spec, lacks("runAsNonRoot", wanted=True)):
        yield 7, f"runAsNonRoot != true (pod or {root} must set securityContext.runAsNonRoot=true)"
    unsafe = _those(spec, lambda c: _profile(c) not in _SAFE) if _profile(spec) not in _SAFE else ""
    if unsafe:
        must = 'securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
        yield 8, f"seccompProfile (pod or {unsafe} must set {must})"


def _profile(bearer: Object) -> Any:
    return dig(bearer, "securityContext", "seccompProfile", "type")


def _those(spec: Object, concerns: Callable[[Object], Any]) -> str:
    """The containers that are meant, as the messages name them; empty for none."""
    names = [f'"{c["name"]}"' for c in [*(spec.get("initContainers") or []), *spec["containers"]] if concerns(c)]
    return f"{'container' if len(names) == 1 else 'containers'} {', '.join(names)}" if names else ""
