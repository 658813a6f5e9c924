"""What Services, Ingresses and network policies must keep.

Source: kubernetes/kubernetes@v1.36.2 pkg/apis/core/validation/validation.go (ValidateService)
Source: kubernetes/kubernetes@v1.36.2 pkg/apis/networking/validation/validation.go
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from thinkube_nornir.lab.kube.objects import Object, dig
from thinkube_nornir.lab.kube.rules import (
    address,
    among,
    broken,
    duplicate,
    forbidden,
    invalid,
    label,
    labels,
    network,
    port,
    port_name,
    port_or_name,
    required,
    subdomain,
    wildcard,
)
from thinkube_nornir.lab.kube.status import Cause

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_OUTSIDE = ("LoadBalancer", "NodePort")
_DOMAIN_PATH = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[^/].*")


def service(obj: Object) -> Iterator[Cause]:
    spec = obj["spec"]
    kind, ports, policy = spec["type"], spec.get("ports") or [], spec.get("externalTrafficPolicy")
    if not ports and kind != "ExternalName" and spec.get("clusterIP") != "None":
        yield required("spec.ports")
    if kind == "ExternalName" and not spec.get("externalName"):
        yield required("spec.externalName")
    elif kind == "ExternalName":
        yield from broken("spec.externalName", spec["externalName"].rstrip("."), subdomain)
    yield from _service_ports(ports)
    yield from labels("spec.selector", spec.get("selector") or {})
    yield from among("spec.sessionAffinity", spec.get("sessionAffinity"), "ClientIP", "None")
    yield from among("spec.type", kind, *_TYPES)
    for index, one in enumerate(spec.get("externalIPs") or []):
        yield from broken(f"spec.externalIPs[{index}]", one, address)
    if policy and kind not in _OUTSIDE:
        yield invalid("spec.externalTrafficPolicy", policy, "may only be set for externally-accessible services")
    elif kind in _OUTSIDE:
        yield from among("spec.externalTrafficPolicy", policy, "Cluster", "Local")
    yield from among("spec.internalTrafficPolicy", spec.get("internalTrafficPolicy"), "Cluster", "Local")
    for index, one in enumerate(spec.get("ipFamilies") or []):
        yield from among(f"spec.ipFamilies[{index}]", one, "IPv4", "IPv6")
    for index, one in enumerate(spec.get("loadBalancerSourceRanges") or []):
        yield from broken(f"spec.LoadBalancerSourceRanges[{index}]", one.strip(), network)
    if spec.get("loadBalancerClass") and kind != "LoadBalancer":
        yield forbidden("spec.loadBalancerClass", "may only be used when `type` is 'LoadBalancer'")


def _service_ports(ports: list[Object]) -> Iterator[Cause]:
    names: set[str] = set()
    taken: set[tuple[object, object]] = set()
    for index, one in enumerate(ports):
        field, name = f"spec.ports[{index}]", one.get("name")
        if name:
            yield from broken(f"{field}.name", name, label)
            if name in names:
                yield duplicate(f"{field}.name", name)
            names.add(name)
        elif len(ports) > 1:
            yield required(f"{field}.name")
        yield from broken(f"{field}.port", one.get("port") or 0, port)
        yield from among(f"{field}.protocol", one.get("protocol"), "SCTP", "TCP", "UDP")
        yield from broken(f"{field}.targetPort", one.get("targetPort") or 0, port_or_name)
    for index, one in enumerate(ports):
        key = one.get("port"), one.get("protocol")
        if key in taken:
            reported = {
                "Name": "",
                "Protocol": key[1],
                "AppProtocol": None,
                "Port": key[0],
                "TargetPort": 0,
                "NodePort": 0,
            }
            yield duplicate(f"spec.ports[{index}]", reported)
        taken.add(key)


def ingress(obj: Object) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    if not spec.get("rules") and not spec.get("defaultBackend"):
        yield invalid("spec", None, "either `defaultBackend` or `rules` must be specified")
    if spec.get("defaultBackend"):
        yield from _backend(spec["defaultBackend"], "spec.defaultBackend")
    for index, rule in enumerate(spec.get("rules") or []):
        yield from _host(rule.get("host") or "", f"spec.rules[{index}].host")
        for number, path in enumerate(dig(rule, "http", "paths", default=[])):
            yield from _path(path, f"spec.rules[{index}].http.paths[{number}]")
    for index, tls in enumerate(spec.get("tls") or []):
        for number, host in enumerate(tls.get("hosts") or []):
            yield from broken(f"spec.tls[{index}].hosts[{number}]", host, wildcard if "*" in host else subdomain)
    if spec.get("ingressClassName"):
        yield from broken("spec.ingressClassName", spec["ingressClassName"], subdomain)


def _host(host: str, field: str) -> Iterator[Cause]:
    if not host:
        return
    try:
        ipaddress.ip_address(host)
    except ValueError:
        yield from broken(field, host, wildcard if "*" in host else subdomain)
    else:
        yield invalid(field, host, "must be a DNS name, not an IP address")


def _path(path: Object, field: str) -> Iterator[Cause]:
    kind, text = path.get("pathType"), path.get("path") or ""
    if not kind:
        yield required(f"{field}.pathType", "pathType must be specified")
    else:
        yield from among(f"{field}.pathType", kind, "Exact", "ImplementationSpecific", "Prefix")
        if not text.startswith("/") and (text or kind != "ImplementationSpecific") and kind in ("Exact", "Prefix"):
            yield invalid(f"{field}.path", text, "must be an absolute path")
    yield from _backend(path.get("backend") or {}, f"{field}.backend")


def _backend(backend: Object, field: str) -> Iterator[Cause]:
    found = backend.get("service")
    if not found:
        if not backend.get("resource"):
            yield invalid(field, "", "resource or service backend is required")
        return
    if not found.get("name"):
        yield required(f"{field}.service.name")
    else:
        yield from broken(f"{field}.service.name", found["name"], label)
    number, name = dig(found, "port", "number", default=0), dig(found, "port", "name", default="")
    if number and name:
        yield invalid(field, "", "cannot set both port name & port number")
    elif name:
        yield from broken(f"{field}.service.port.name", name, port_name)
    elif number:
        yield from broken(f"{field}.service.port.number", number, port)
    else:
        yield required(field, "port name or number is required")


def ingress_class(obj: Object) -> Iterator[Cause]:
    controller = dig(obj, "spec", "controller", default="")
    if not controller:
        yield required("spec.controller")
    elif not _DOMAIN_PATH.fullmatch(controller):
        yield invalid("spec.controller", controller, 'must be a domain-prefixed path (such as "acme.io/foo")')


def network_policy(obj: Object) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    for index, rule in enumerate(spec.get("ingress") or []):
        yield from _peers(rule.get("from") or [], f"spec.ingress[{index}].from")
    for index, rule in enumerate(spec.get("egress") or []):
        yield from _peers(rule.get("to") or [], f"spec.egress[{index}].to")
    for index, kind in enumerate(spec.get("policyTypes") or []):
        yield from among(f"spec.policyTypes[{index}]", kind, "Ingress", "Egress")


def _peers(peers: list[Object], where: str) -> Iterator[Cause]:
    for index, peer in enumerate(peers):
        if block := peer.get("ipBlock"):
            yield from broken(f"{where}[{index}].ipBlock.cidr", block.get("cidr") or "", network)
