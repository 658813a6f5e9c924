"""The settings of certificates: each rule seen to fail, and when a token is asked for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from nornir.core.inventory import Host

from tasks.phase6_extended_services.cert_manager import COMPONENT
from tasks.phase6_extended_services.cert_manager.settings import cert_manager_version
from tests.project_copy import copied_project
from thinkube_nornir.errors import ConfigError
from thinkube_nornir.project import load_project
from thinkube_nornir.settings.schema import HostSettings

CASES = [
    ("acme_issuer: ca", "acme_issuer: letsencrypt", "acme_issuer"),
    ("acme_issuer: ca", "acme_issuer: letsencrypt-prod", "acme_issuer is letsencrypt-prod, and acme_email is not set"),
    ("acme_issuer: ca", "acme_issuer: ca\n    acme_email: nobody", "must be a mail address"),
    ("acme_issuer: ca", "acme_issuer: ca\n    acme_email: a@example.com", "must be a real mailbox"),
    ("cert_manager_version: v1.20.3", "cert_manager_version: latest", "must be a chart's full version"),
    ("cert_manager_version: v1.20.3", "cert_manager_version: v1.15.5", "never end a challenge there"),
    ("cert_manager_version: v1.20.3", "cert_manager_version: v1.16.3", "never end a challenge there"),
    ("cert_manager_version: v1.20.3", "cert_manager_version: v1.17.0", "never end a challenge there"),
    ('"8.8.8.8:53"', '"8.8.8.8"', "must be an address with port"),
    ('"8.8.8.8:53"', '"dns.google:53"', "must be an IPv4 address"),
    ('"8.8.8.8:53"', '"8.8.8.8:99999"', "must be an address with port"),
    ("acme_issuer: ca", "acme_issuer: ca\n    certificate_namespaces: [kube-system]", "a namespace of the system"),
    ("acme_issuer: ca", "acme_issuer: ca\n    certificate_namespaces: [shop, shop]", "shop is twice"),
    ("acme_issuer: ca", "acme_issuer: ca\n    certificate_namespaces: [Shop]", "must be a name of small letters"),
    ("acme_issuer: ca", "acme_issuer: ca\n    certificate_copier_image: python", "must be an image with a tag"),
    ("acme_issuer: ca", "acme_issuer: ca\n    helm_chart_source: charts", "must be an https:// or oci:// address"),
]


@pytest.fixture
def project(tmp_path: Path) -> Any:
    with copied_project(tmp_path) as folder:
        yield folder


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "inventory/groups.yaml"
    text = path.read_text()
    start = re.search(r"^microk8s_control_plane:", text, re.MULTILINE)
    assert start
    at = text.index(old, start.start())
    path.write_text(text[:at] + new + text[at + len(old) :])


@pytest.mark.parametrize(("old", "new", "says"), CASES, ids=[case[2][:30] for case in CASES])
def test_each_rule_is_seen_to_fail(project: Path, old: str, new: str, says: str) -> None:
    """One change to the sound example, and the mistake is reported before anything starts."""
    edit(project, old, new)

    with pytest.raises(ConfigError) as caught:
        load_project(project / "config.yaml", ["phase5"])

    assert says in str(caught.value)


@pytest.mark.parametrize("source", ["oci://registry.example/charts", "https://charts.example/", "/srv/charts"])
def test_charts_may_come_from_elsewhere(project: Path, source: str) -> None:
    """A mirror, a registry, or a folder."""
    edit(project, "acme_issuer: ca", f"acme_issuer: ca\n    helm_chart_source: {source}")

    load_project(project / "config.yaml", ["phase5"])


@pytest.mark.parametrize(("issuer", "used"), [("ca", False), ("letsencrypt-staging", True), ("letsencrypt-prod", True)])
def test_a_token_is_needed_for_lets_encrypt_alone(issuer: str, used: bool) -> None:
    """So that the example runs on a fresh checkout, without any secret."""
    assert COMPONENT.uses_secrets(Host("tkc", data={"acme_issuer": issuer})) is used


def test_hosts_without_an_issuer_have_no_mistake() -> None:
    """The settings are the control plane's."""
    from tasks.phase6_extended_services.cert_manager.settings import RULES

    hosts = {"w": HostSettings("w", frozenset(), {}, frozenset())}

    assert [mistake for rule in RULES for mistake in rule(hosts)] == []


@pytest.mark.parametrize("version", ["v1.16.4", "v1.16.5", "1.17.1", "v1.18.0-alpha.0", "v1.20.3", "v2.0.0"])
def test_releases_that_end_their_challenges_are_accepted(version: str) -> None:
    """By the tags that have the fix."""
    assert cert_manager_version(version) == version
