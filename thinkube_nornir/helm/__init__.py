"""The only way to Helm releases: read, install or upgrade, recover, roll back, with whichever helm the host has.

    helm = ("/snap/bin/microk8s.helm3",)                    the distribution's own, run as root on the task's host
    wanted = Release("cert-manager", "cert-manager", "cert-manager", "v1.20.3", "https://charts.jetstack.io", {...})
    install_or_upgrade(task, helm, wanted)                  unchanged when chart, version and values are as wanted
    definitions(task, helm, wanted)                         the CRDs of its chart, which helm does not upgrade
    deviations(task, helm, wanted)                          for a check: what is not as wanted, one statement each
    uninstall(task, helm, "cert-manager", "cert-manager")   or goes back to the revision before

Charts come by `--repo`, so that no repository entry is left on the host. Values go by stdin.
"""

from thinkube_nornir.helm.changes import definitions, deviations, install_or_upgrade, key, recorded, uninstall
from thinkube_nornir.helm.releases import Helm, Installed, Release, installed, releases, values_of

__all__ = [
    "Helm",
    "Installed",
    "Release",
    "definitions",
    "deviations",
    "install_or_upgrade",
    "installed",
    "key",
    "recorded",
    "releases",
    "uninstall",
    "values_of",
]
