"""Certificates of the lab: keys, requests, and the authorities that sign them, Let's Encrypt's among them.

Unproven: which intermediates Let's Encrypt signs with today, and what else its certificates contain: here each has what
    its request asks for, and lives ninety days.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from thinkube_nornir.lab.emulation import Lab

Key = ec.EllipticCurvePrivateKey
HOURS = 2160
"""Ninety days, what Let's Encrypt gives."""
SERVERS = {
    "https://acme-v02.api.letsencrypt.org/directory": ("Let's Encrypt", "ISRG Root X1", "E5"),
    "https://acme-staging-v02.api.letsencrypt.org/directory": (
        "(STAGING) Let's Encrypt",
        "(STAGING) Pretend Pear X1",
        "(STAGING) Puzzling Parsnip E7",
    ),
}


@dataclass(frozen=True)
class Authority:
    key: Key
    certificate: x509.Certificate
    above: tuple[x509.Certificate, ...] = ()
    """Further certificates of the chain that are sent along."""

    def sign(self, request: x509.CertificateSigningRequest, hours: float = HOURS) -> str:
        """The chain, PEM, the new certificate first."""
        made = _signed(request.subject, request.public_key(), self.certificate.subject, self.key, hours, request)
        return "".join(pem(c) for c in (made, *self._sent()))

    def _sent(self) -> tuple[x509.Certificate, ...]:
        root = self.certificate.issuer == self.certificate.subject
        return () if root else (self.certificate, *self.above)


def lets_encrypt(lab: Lab, server: str) -> Authority:
    """The intermediate that signs; the production root is in every host's certificate store."""
    known = cast(dict[str, Authority], lab.state.setdefault("acme_authorities", {}))
    if server not in known:
        organization, root_name, name = SERVERS[server]
        root_key, key = new_key(), new_key()
        root = _authority(_name(root_name, "Internet Security Research Group"), root_key, None, root_key)
        certificate = _authority(_name(name, organization), key, root, root_key)
        known[server] = Authority(key, certificate)
        if "STAGING" not in organization:
            lab.state["public_roots"] = str(lab.state.get("public_roots", "")) + pem(root)
    return known[server]


def from_secret(data: dict[str, str]) -> Authority:
    """
    Raises:
        ValueError: it is no authority's certificate and key.
    """
    key = load_pem_private_key(base64.b64decode(data.get("tls.key", "")), None)
    certificate = x509.load_pem_x509_certificates(base64.b64decode(data.get("tls.crt", "")))[0]
    try:
        is_authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_authority = False
    if not is_authority:
        raise ValueError("certificate is not a CA")
    return Authority(cast(Key, key), certificate)


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: Key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def request_pem(key: Key, names: Sequence[str], common: str, organization: str, *, authority: bool) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(common, organization))
    builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    if names:
        san = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(san, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def self_signed(key: Key, request: x509.CertificateSigningRequest, hours: float = HOURS) -> str:
    return pem(_signed(request.subject, key.public_key(), request.subject, key, hours, request))


def _signed(
    subject: x509.Name,
    public: object,
    issuer: x509.Name,
    key: Key,
    hours: float,
    request: x509.CertificateSigningRequest,
) -> x509.Certificate:
    builder = _builder(subject, issuer, cast(ec.EllipticCurvePublicKey, public), hours)
    for extension in request.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(key, hashes.SHA256())


def _authority(subject: x509.Name, key: Key, above: x509.Certificate | None, signer: Key) -> x509.Certificate:
    issuer = above.subject if above is not None else subject
    builder = _builder(subject, issuer, key.public_key(), 24 * 3650)
    return builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(
        signer, hashes.SHA256()
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, hours: float
) -> x509.CertificateBuilder:
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=5)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(hours=hours))
    )


def _name(common: str, organization: str = "") -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    return x509.Name([*parts, *([x509.NameAttribute(NameOID.COMMON_NAME, common)] if common else [])])
