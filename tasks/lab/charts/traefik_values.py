"""The values of the chart traefik, as far as the lab reads them, and the definitions in its folder crds.

The real schema refuses other keys at the top, below providers and at most other places; the lab at all of these, and
at some where the real one does not look.

Source: traefik/traefik-helm-chart@v41.3.0 traefik/values.yaml
Source: traefik/traefik-helm-chart@v41.3.0 traefik/values.schema.json
Source: traefik/traefik-helm-chart@v41.3.0 traefik/crds
"""

from __future__ import annotations

from tasks.lab.definitions import definition
from thinkube_nornir.lab.kube import Object

_PORTS: Object = {
    "metrics": {"port": 9100, "expose": {"default": False}, "exposedPort": 9100, "protocol": "TCP"},
    "traefik": {"port": 8080, "expose": {"default": False}, "exposedPort": 8080, "protocol": "TCP"},
    "web": {"port": 8000, "expose": {"default": True}, "exposedPort": 80, "protocol": "TCP", "http": {}},
    "websecure": {
        "port": 8443,
        "expose": {"default": True},
        "exposedPort": 443,
        "protocol": "TCP",
        "http": {"tls": {"enabled": True}},
    },
}
_PROVIDERS: Object = {
    "precedence": [],
    "kubernetesCRD": {
        "enabled": True,
        "allowCrossNamespace": False,
        "allowExternalNameServices": False,
        "allowEmptyServices": True,
        "crossProviderNamespaces": [],
        "defaultTLSResourcesNamespace": "",
        "ingressClass": "",
        "labelSelector": "",
        "namespaces": [],
        "nativeLBByDefault": False,
        "safeNaming": False,
    },
    "kubernetesIngress": {
        "enabled": True,
        "allowExternalNameServices": False,
        "allowEmptyServices": True,
        "crossProviderNamespaces": [],
        "disableIngressClassLookup": False,
        "ingressClass": None,
        "labelSelector": None,
        "namespaces": [],
        "publishedService": {"enabled": True, "pathOverride": ""},
        "ingressEndpoint": {"hostname": "", "ip": ""},
        "nativeLBByDefault": False,
        "strictPrefixMatching": False,
    },
    "kubernetesGateway": {
        "enabled": False,
        "crossProviderNamespaces": [],
        "experimentalChannel": False,
        "namespaces": [],
        "labelSelector": "",
        "nativeLBByDefault": False,
        "qps": None,
        "burst": None,
        "statusAddress": {"ip": "", "hostname": "", "service": {"enabled": True, "name": "", "namespace": ""}},
    },
    "kubernetesIngressNGINX": {
        "enabled": False,
        "controllerClass": "k8s.io/ingress-nginx",
        "ingressClass": "nginx",
        "ingressClassByName": False,
        "watchIngressWithoutClass": False,
        "watchNamespace": "",
        "watchNamespaceSelector": "",
        "publishService": {"enabled": False, "pathOverride": ""},
        "publishStatusAddress": "",
        "defaultBackendService": "",
        "disableSvcExternalName": False,
        "allowSnippetAnnotations": None,
        "strictValidatePathType": None,
        "httpEntryPoint": "web",
        "httpsEntryPoint": "websecure",
    },
    "file": {"enabled": False, "watch": True, "content": {}},
    "knative": {"enabled": False, "namespaces": [], "labelSelector": ""},
}
DEFAULTS: Object = {
    **{name: {} for name in ("commonLabels", "resources", "affinity", "nodeSelector", "podSecurityContext")},
    **{name: {} for name in ("securityContext", "tlsOptions", "tlsStore", "certificatesResolvers", "hub", "oci_meta")},
    **{name: {} for name in ("startupProbe", "serviceAccountAnnotations", "log", "accessLog", "metrics", "tracing")},
    **{name: {} for name in ("global", "autoscaling", "persistence", "experimental", "image", "updateStrategy")},
    **{name: {} for name in ("readinessProbe", "livenessProbe", "podDisruptionBudget", "core", "api", "ocsp")},
    **{name: {} for name in ("ingressRoute", "serviceAccount")},
    **{name: [] for name in ("volumes", "additionalVolumeMounts", "additionalArguments", "env", "envFrom")},
    **{name: [] for name in ("tolerations", "topologySpreadConstraints", "extraObjects")},
    **dict.fromkeys(("namespaceOverride", "instanceLabelOverride", "versionOverride", "priorityClassName"), ""),
    **dict.fromkeys(("nameOverride", "fullnameOverride", "offering_version"), ""),
    "enabled": True,
    "hostNetwork": False,
    "rbac": {"enabled": True, "namespaced": False, "secretResourceNames": [], "aggregateTo": []},
    "deployment": {"enabled": True, "kind": "Deployment", "replicas": 1, "annotations": {}, "labels": {}},
    "ingressClass": {"enabled": True, "isDefaultClass": True, "name": ""},
    "gateway": {
        "enabled": True,
        "name": "",
        "namespace": "",
        "annotations": {},
        "infrastructure": {},
        "defaultScope": None,
        "listeners": {},
    },
    "gatewayClass": {"enabled": True, "name": "", "labels": {}},
    "providers": _PROVIDERS,
    "ports": _PORTS,
    "service": {
        "enabled": True,
        "nameOverride": "",
        "single": True,
        "annotations": {},
        "annotationsTCP": {},
        "annotationsUDP": {},
        "labels": {},
        "spec": {},
        "additionalServices": {},
    },
}
_OWN_KINDS = {
    "IngressRoute": "ingressroutes",
    "IngressRouteTCP": "ingressroutetcps",
    "IngressRouteUDP": "ingressrouteudps",
    "Middleware": "middlewares",
    "MiddlewareTCP": "middlewaretcps",
    "ServersTransport": "serverstransports",
    "ServersTransportTCP": "serverstransporttcps",
    "TLSOption": "tlsoptions",
    "TLSStore": "tlsstores",
    "TraefikService": "traefikservices",
}
_HUB_KINDS = {
    "AccessControlPolicy": "accesscontrolpolicies",
    "AIService": "aiservices",
    "APIAuth": "apiauths",
    "APIBundle": "apibundles",
    "APICatalogItem": "apicatalogitems",
    "APIPlan": "apiplans",
    "APIPortalAuth": "apiportalauths",
    "APIPortal": "apiportals",
    "APIRateLimit": "apiratelimits",
    "API": "apis",
    "APIVersion": "apiversions",
    "ContentItem": "contentitems",
    "ManagedApplication": "managedapplications",
    "ManagedSubscription": "managedsubscriptions",
    "Uplink": "uplinks",
}


def definitions() -> list[Object]:
    """What stands in the chart's folder crds."""
    own = [definition("traefik.io", kind, plural, "v1alpha1") for kind, plural in _OWN_KINDS.items()]
    return own + [
        definition("hub.traefik.io", kind, plural, "v1alpha1", namespaced=kind != "AccessControlPolicy")
        for kind, plural in _HUB_KINDS.items()
    ]
