"""The arguments files that MicroK8s' services start with, as the snap brings them.

Source: canonical/microk8s@1.32 microk8s-resources/default-args/kube-apiserver
Source: canonical/microk8s@1.35 microk8s-resources/default-args/kube-apiserver
Source: canonical/microk8s@1.35 microk8s-resources/default-args/kubelet
Source: canonical/microk8s@1.35 microk8s-resources/default-args/kube-proxy
Source: canonical/microk8s@1.35 microk8s-resources/default-args/kube-controller-manager
Source: canonical/microk8s@1.35 microk8s-resources/default-args/kube-scheduler
Source: canonical/microk8s@1.35 microk8s-resources/default-args/k8s-dqlite
Source: canonical/microk8s@1.35 microk8s-resources/default-args/cluster-agent
Source: canonical/microk8s@1.35 microk8s-resources/default-args/containerd
Source: canonical/microk8s@1.35 microk8s-resources/default-args/apiserver-proxy
"""

from __future__ import annotations

from tasks.lab.microk8s.node import arguments_file
from thinkube_nornir.lab.emulation import LabHost

_CERTS, _CREDENTIALS = "${SNAP_DATA}/certs", "${SNAP_DATA}/credentials"
_SOCKET = "unix://${SNAP_DATA}/var/kubernetes/backend/kine.sock:12379"
_LABELS = "microk8s.io/cluster=true,node.kubernetes.io/microk8s-controlplane=microk8s-controlplane"
_LEADER = {"--leader-elect-lease-duration": "60s", "--leader-elect-renew-deadline": "30s", "--profiling": "false"}

_KUBELET = {
    "--kubeconfig": f"{_CREDENTIALS}/kubelet.config",
    "--cert-dir": _CERTS,
    "--client-ca-file": f"{_CERTS}/ca.crt",
    "--anonymous-auth": "false",
    "--root-dir": "${SNAP_COMMON}/var/lib/kubelet",
    "--fail-swap-on": "false",
    "--eviction-hard": '"memory.available<100Mi,nodefs.available<1Gi,imagefs.available<1Gi"',
    "--container-runtime-endpoint": "${SNAP_COMMON}/run/containerd.sock",
    "--containerd": "${SNAP_COMMON}/run/containerd.sock",
    "--node-labels": f'"{_LABELS}"',
    "--authentication-token-webhook": "true",
    "--read-only-port": "0",
    "--serialize-image-pulls": "false",
}
_API_SERVER = {
    "--cert-dir": _CERTS,
    "--service-cluster-ip-range": "10.152.183.0/24",
    "--authorization-mode": "AlwaysAllow",
    "--service-account-key-file": f"{_CERTS}/serviceaccount.key",
    "--client-ca-file": f"{_CERTS}/ca.crt",
    "--tls-cert-file": f"{_CERTS}/server.crt",
    "--tls-private-key-file": f"{_CERTS}/server.key",
    "--kubelet-client-certificate": f"{_CERTS}/apiserver-kubelet-client.crt",
    "--kubelet-client-key": f"{_CERTS}/apiserver-kubelet-client.key",
    "--secure-port": "16443",
    "--etcd-servers": f'"{_SOCKET}"',
    "--allow-privileged": "true",
    "--service-account-issuer": "'https://kubernetes.default.svc'",
    "--service-account-signing-key-file": f"{_CERTS}/serviceaccount.key",
    "--event-ttl": "5m",
    "--profiling": "false",
    "--requestheader-client-ca-file": f"{_CERTS}/front-proxy-ca.crt",
    "--requestheader-allowed-names": "front-proxy-client",
    "--requestheader-extra-headers-prefix": "X-Remote-Extra-",
    "--requestheader-group-headers": "X-Remote-Group",
    "--requestheader-username-headers": "X-Remote-User",
    "--proxy-client-cert-file": f"{_CERTS}/front-proxy-client.crt",
    "--proxy-client-key-file": f"{_CERTS}/front-proxy-client.key",
    "--enable-admission-plugins": "EventRateLimit",
    "--admission-control-config-file": "${SNAP_DATA}/args/admission-control-config-file.yaml",
    "--kubelet-certificate-authority": f"{_CERTS}/ca.crt",
    "--kubelet-preferred-address-types": "InternalIP,Hostname,InternalDNS,ExternalDNS,ExternalIP",
}
LEFT_OUT = ("--tls-cipher-suites",)
"""What the lab's files do not have."""
_OTHERS = {
    "kube-proxy": {
        "--kubeconfig": f"{_CREDENTIALS}/proxy.config",
        "--cluster-cidr": "10.1.0.0/16",
        "--healthz-bind-address": "127.0.0.1",
        "--profiling": "false",
    },
    "kube-controller-manager": {
        "--kubeconfig": f"{_CREDENTIALS}/controller.config",
        "--service-account-private-key-file": f"{_CERTS}/serviceaccount.key",
        "--root-ca-file": f"{_CERTS}/ca.crt",
        "--cluster-signing-cert-file": f"{_CERTS}/ca.crt",
        "--cluster-signing-key-file": f"{_CERTS}/ca.key",
        "--use-service-account-credentials": "",
        **_LEADER,
    },
    "kube-scheduler": {"--kubeconfig": f"{_CREDENTIALS}/scheduler.config", **_LEADER},
    "k8s-dqlite": {"--storage-dir": "${SNAP_DATA}/var/kubernetes/backend/", "--listen": _SOCKET},
}
_SPACED = {
    "cluster-agent": {
        "--bind": "0.0.0.0:25000",
        "--keyfile": f'"{_CERTS}/server.key"',
        "--certfile": f'"{_CERTS}/server.crt"',
        "--timeout": "240",
    },
    "containerd": {
        "--config": "${SNAP_DATA}/args/containerd.toml",
        "--root": "${SNAP_COMMON}/var/lib/containerd",
        "--state": "${SNAP_COMMON}/run/containerd",
        "--address": "${SNAP_COMMON}/run/containerd.sock",
    },
    "apiserver-proxy": {
        "--traefik-config": "${SNAP_DATA}/args/traefik/traefik.yaml",
        "--kubeconfig": f"{_CREDENTIALS}/kubelet.config",
        "--refresh-interval": "30s",
    },
}


def _gates(minor: tuple[int, int]) -> dict[str, str]:
    """What the datastore cannot do is switched off in the API server."""
    if minor >= (1, 34):
        off = ("ListFromCacheSnapshot", "SizeBasedListCostEstimate", "DetectCacheInconsistency")
        return {"--feature-gates": ",".join(f"{gate}=false" for gate in off)}
    return {"--feature-gates": "WatchList=false"} if minor == (1, 32) else {}


def defaults(minor: tuple[int, int]) -> dict[str, str]:
    """The content of each file, by its name."""
    joined = {"kubelet": _KUBELET, "kube-apiserver": _API_SERVER | _gates(minor), **_OTHERS}
    found = {name: _text(values, "=") for name, values in joined.items()}
    return found | {name: _text(values, " ") for name, values in _SPACED.items()}


def _text(values: dict[str, str], between: str) -> str:
    return "".join(f"{key}{between if value else ''}{value}\n" for key, value in values.items())


def reset(host: LabHost, minor: tuple[int, int], names: tuple[str, ...]) -> None:
    known = defaults(minor)
    for name in names:
        host.files.write(arguments_file(name), known[name], 0o660)
