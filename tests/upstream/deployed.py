"""Which of upstream's releases the inventory deploys, and where upstream's data has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tests import product_settings
from tests import upstream_data as upstream
from tests.upstream_data import Object
from tests.upstream_schemas import GroupVersionKind, Schema
from thinkube_nornir.helm import Release

_CRDS = {  # below a chart's version
    "cert-manager": "cert-manager/{}/deploy/crds",
    "gpu-operator": "gpu-operator/{}/deployments/gpu-operator/crds",
    "traefik": "traefik/v{}/traefik/crds",
}
TRACKS = ("1.32", "1.34", "1.35")
"""The MicroK8s releases that are compared; 1.33 was read by hand."""
_TAGS = {"traefik": "v"}
GATEWAY_API = "gateway-api/crds.yaml"


def rendered_file(release: Release) -> str:
    """What the real chart renders; the file has the name of upstream's tag."""
    return f"rendered/{release.chart}-{_TAGS.get(release.chart, '')}{release.version}.yaml"


def track() -> str:
    """The MicroK8s release that is deployed where the inventory does not name another: `1.35`."""
    return str(product_settings.defaults()["microk8s_channel"]).partition("/")[0]


def needed(releases: Iterable[Release], tracks: Iterable[str]) -> Iterator[str]:
    """The files and folders of upstream's data that cover these charts and MicroK8s releases."""
    for release in releases:
        yield f"{upstream.chart_folder(release.chart, release.version)}/values.yaml"
        yield rendered_file(release)
        if release.chart in _CRDS:
            yield _CRDS[release.chart].format(release.version)
    for track in tracks:
        yield f"microk8s/{track}/microk8s-resources/default-args"
        yield f"microk8s/{track}/microk8s-resources/microk8s.default.yaml"
        yield f"microk8s/{track}/upgrade-scripts/000-switch-to-calico/resources/calico.yaml"
        yield f"microk8s-addons/{track}/addons.yaml"
        yield from (f"microk8s-addons/{track}/addons/{addon}" for addon in ("dns", "hostpath-storage", "metallb"))


def definitions_of(release: Release) -> list[Object]:
    """The CRDs of a chart; none for one that brings none."""
    path = _CRDS.get(release.chart)
    found = upstream.documents(path.format(release.version)) if path else []
    return [obj for obj in found if obj["kind"] == "CustomResourceDefinition"]


def deployed_crds(releases: Iterable[Release]) -> Mapping[GroupVersionKind, Schema]:
    charts = {(release.chart, release.version) for release in releases}
    paths = [_CRDS[chart].format(version) for chart, version in sorted(charts) if chart in _CRDS]
    paths += [GATEWAY_API, f"microk8s-addons/{track()}/addons/metallb/crd.yaml"]
    return {kind: schema for path in paths for kind, schema in upstream.crds(path).items()}
