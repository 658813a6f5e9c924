"""TLS secrets as values: what their certificate is for, who signed it, whether its key belongs to it."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from thinkube_nornir.secret import Secret

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

TYPE = "kubernetes.io/tls"


@dataclass(frozen=True)
class Pair:
    """The certificate and key of a TLS secret."""

    certificate: Certificate
    key_matches: bool

    @property
    def names(self) -> frozenset[str]:
        """Of the SAN extension; the common name counts for nothing."""
        from cryptography import x509

        try:
            found = self.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except x509.ExtensionNotFound:
            return frozenset()
        return frozenset(found.value.get_values_for_type(x509.DNSName))

    @property
    def issuer(self) -> str:
        return self.certificate.issuer.rfc4514_string()

    @property
    def organization(self) -> str:
        """Of its issuer; empty for none."""
        from cryptography.x509.oid import NameOID

        found = self.certificate.issuer.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        return str(found[0].value) if found else ""

    @property
    def self_signed(self) -> bool:
        return self.certificate.issuer == self.certificate.subject

    @property
    def end(self) -> datetime:
        return self.certificate.not_valid_after_utc

    @property
    def fingerprint(self) -> str:
        from cryptography.hazmat.primitives.hashes import SHA256

        return self.certificate.fingerprint(SHA256()).hex()

    def signed_by(self, authority: Certificate) -> bool:
        from cryptography.exceptions import InvalidSignature

        try:
            self.certificate.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True


def pair_faults(pair: Pair, names: Iterable[str]) -> tuple[str, ...]:
    """What keeps it from being a valid certificate for exactly these names; empty when nothing does."""
    wanted = frozenset(names)
    statements = {
        f"it is for {', '.join(sorted(pair.names)) or 'no name'}, not for {', '.join(sorted(wanted))}": (
            pair.names != wanted
        ),
        "its key is of another certificate": not pair.key_matches,
        f"it ended at {pair.end:%Y-%m-%d %H:%M}": pair.end <= datetime.now(UTC),
        "nobody signed it but itself: a placeholder": pair.self_signed,
    }
    return tuple(text for text, holds in statements.items() if holds)


def read_pair(secret: dict[str, Any]) -> Pair:
    """
    Raises:
        ValueError: it is no TLS secret, or its certificate or key cannot be read.
    """
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if secret.get("type") != TYPE:
        raise ValueError(f"its type is {secret.get('type')}, not {TYPE}")
    certificate = read_certificate(secret)
    key = load_pem_private_key(_field(secret, "tls.key"), None)
    return Pair(certificate, key.public_key() == certificate.public_key())


def read_certificate(secret: dict[str, Any]) -> Certificate:
    """The first certificate of the chain.

    Raises:
        ValueError: there is none that can be read.
    """
    from cryptography.x509 import load_pem_x509_certificates

    return load_pem_x509_certificates(_field(secret, "tls.crt"))[0]


def _field(secret: dict[str, Any], name: str) -> bytes:
    text = (secret.get("data") or {}).get(name)
    if not text:
        raise ValueError(f"it has no {name}")
    if name == "tls.key":
        Secret(text)
    return base64.b64decode(text)
