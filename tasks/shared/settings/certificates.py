"""The settings of certificates: who issues them, under which account, and where their copies go."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from thinkube_nornir.settings.schema import HostSettings, Mistake

Hosts = Mapping[str, HostSettings]

CA = "ca"
ACME_SERVERS = {
    "letsencrypt-prod": "https://acme-v02.api.letsencrypt.org/directory",
    "letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}
TOKEN = "CLOUDFLARE_TOKEN"  # noqa: S105  a secret's name
_MAIL = re.compile(r"[^@\s]+@([a-z0-9-]+\.)+[a-z]{2,}", re.IGNORECASE)
_REFUSED = ("example.com", "example.net", "example.org")
_ALL_MENDED = (1, 18, 0)
_FIRST_MENDED = {(1, 16): (1, 16, 4), (1, 17): (1, 17, 1)}
_NO_NAMESPACES = ("kube-system", "kube-public", "kube-node-lease", "cert-manager")


def is_acme(settings: Mapping[str, Any]) -> bool:
    return settings.get("acme_issuer") in ACME_SERVERS


def mail(text: str) -> str:
    """An address that Let's Encrypt accepts for an account."""
    if not _MAIL.fullmatch(text):
        raise ValueError("must be a mail address such as admin@home.example")
    if text.rpartition("@")[2].lower() in _REFUSED:
        raise ValueError("must be a real mailbox: Let's Encrypt refuses addresses of example.com, .net and .org")
    return text


def cert_manager_version(text: str) -> str:
    """A release that can clean up after a challenge at Cloudflare, whose records have no zone_id since January 2025.

    One that cannot never ends the first of two challenges of the same name, so that the second one never begins.

    Source: cert-manager/cert-manager@v1.16.4 pkg/issuer/acme/dns/cloudflare/cloudflare.go
    Source: cert-manager/cert-manager@v1.17.1 pkg/issuer/acme/dns/cloudflare/cloudflare.go
    """
    from tasks.shared.settings.values import chart_version

    major, minor, patch = (int(part) for part in chart_version(text).removeprefix("v").split("-")[0].split("."))
    if (major, minor, patch) < _FIRST_MENDED.get((major, minor), _ALL_MENDED):
        raise ValueError(
            "must be v1.20.3, or another release that knows Cloudflare's records of today: v1.18.0 and newer, v1.17.1 "
            "and newer patches of it, v1.16.4 and v1.16.5; others never end a challenge there"
        )
    return text


def resolver(text: str) -> str:
    """Address and port, as cert-manager wants them: `8.8.8.8:53`."""
    from tasks.shared.settings.values import address

    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("must be an address with port such as 8.8.8.8:53")
    return f"{address(host)}:{port}"


def chart_source(text: str) -> str:
    if not re.fullmatch(r"(https?://|oci://|/)\S*[^/\s]/?", text):
        raise ValueError("must be an https:// or oci:// address, or the absolute path of a folder on the control plane")
    return text


def acme_has_a_mailbox(hosts: Hosts) -> Iterator[Mistake]:
    for host in hosts.values():
        missing = "acme_email" not in host.settings and "acme_email" not in host.mistaken
        if is_acme(host.settings) and missing:
            what = f"{host.name}: acme_issuer is {host.settings['acme_issuer']}, and acme_email is not set"
            yield Mistake(what, "the account at Let's Encrypt is registered with it", host.name, "acme_issuer")


def copies_go_to_namespaces_of_their_own(hosts: Hosts) -> Iterator[Mistake]:
    for host in hosts.values():
        found = host.settings.get("certificate_namespaces") or ()
        for name in found:
            if name in _NO_NAMESPACES:
                what = f"{host.name}: certificate_namespaces has {name}"
                yield Mistake(what, "a namespace of the system serves nobody", host.name, "certificate_namespaces")
        for name in {n for n in found if list(found).count(n) > 1}:
            what = f"{host.name}: {name} is twice in certificate_namespaces"
            yield Mistake(what, "", host.name, "certificate_namespaces")


CHECKS = (acme_has_a_mailbox, copies_go_to_namespaces_of_their_own)
