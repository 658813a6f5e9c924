"""The settings of certificates: who issues them, under which account, and where their copies go."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from annotated_types import MinLen

from tasks.shared.settings.values import Image, Label, address, chart_version
from thinkube_nornir.settings.schema import Hosts, Mistake, Valid

CA = "ca"
ACME_SERVERS = {
    "letsencrypt-prod": "https://acme-v02.api.letsencrypt.org/directory",
    "letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}
TOKEN = "CLOUDFLARE_TOKEN"  # noqa: S105  a secret's name
_MAIL = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]+@([a-z0-9-]+\.)+[a-z]{2,}", re.IGNORECASE)
_REFUSED = ("example.com", "example.net", "example.org")
_ALL_REPAIRED = (1, 18, 0)
_FIRST_REPAIRED = {(1, 16): (1, 16, 4), (1, 17): (1, 17, 1)}
_NO_NAMESPACES = ("kube-system", "kube-public", "kube-node-lease", "cert-manager")
_LONGEST_DOMAIN = 61  # characters: the authority is called `DOMAIN CA`, and a certificate's common name may have 64


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
    major, minor, patch = (int(part) for part in chart_version(text).removeprefix("v").split("-")[0].split("."))
    if (major, minor, patch) < _FIRST_REPAIRED.get((major, minor), _ALL_REPAIRED):
        raise ValueError(
            "must be v1.20.3, or another release that knows Cloudflare's records of today: v1.18.0 and newer, v1.17.1 "
            "and newer patches of it, v1.16.4 and v1.16.5; others never end a challenge there"
        )
    return text


def resolver(text: str) -> str:
    """Address and port, as cert-manager wants them: `8.8.8.8:53`."""
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise ValueError("must be an address with port such as 8.8.8.8:53")
    return f"{address(host)}:{port}"


class Settings:
    """The control plane's."""

    acme_issuer: Literal["ca", "letsencrypt-staging", "letsencrypt-prod"] = "ca"
    """Who signs the certificate: this installation's own authority, or Let's Encrypt."""
    acme_email: Annotated[str, Valid(mail)]
    """The address of the account at Let's Encrypt, needed there; it sends no mail before a certificate ends."""
    cert_manager_version: Annotated[str, Valid(cert_manager_version)] = "v1.20.3"
    """Version of cert-manager's chart: v1.16.4, v1.17.1, v1.18.0 or newer, which can end a challenge at Cloudflare."""
    dns01_resolvers: Annotated[Sequence[Annotated[str, Valid(resolver)]], MinLen(1)] = ("8.8.8.8:53", "1.1.1.1:53")
    """Whom cert-manager asks whether Let's Encrypt can see its DNS record."""
    certificate_namespaces: list[Label]
    """Namespaces that get a copy of the certificate, renewed with it, beside both ingresses."""
    certificate_copier_image: Image = "docker.io/library/python:3.13-alpine"
    """An image with Python, which renews the copies."""


def is_acme(settings: Mapping[str, Any]) -> bool:
    return settings.get("acme_issuer") in ACME_SERVERS


def acme_has_a_mailbox(hosts: Hosts) -> Iterator[Mistake]:
    for host in hosts.values():
        if is_acme(host.settings) and host.lacks("acme_email"):
            what = f"{host.name}: acme_issuer is {host.settings['acme_issuer']}, and acme_email is not set"
            yield Mistake(what, "the account at Let's Encrypt is registered with it", host.name, "acme_issuer")


def authority_has_a_name(hosts: Hosts) -> Iterator[Mistake]:
    for host in hosts.values():
        domain = host.settings.get("domain_name", "")
        if host.settings.get("acme_issuer") == CA and len(domain) > _LONGEST_DOMAIN:
            what = (
                f"domain_name has {len(domain)} characters, and this installation's authority cannot be named after it"
            )
            yield Mistake(what, f"take one of {_LONGEST_DOMAIN} at most", host.name, "domain_name")


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


RULES = (acme_has_a_mailbox, authority_has_a_name, copies_go_to_namespaces_of_their_own)
