"""The certificate that a controller serves: what is in its secret, and what is wrong with it."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime

from nornir.core.task import Task

from tasks.control_plane import Object, kube
from tasks.phase6_extended_services._controllers import Controller


@dataclass(frozen=True)
class Pair:
    """A TLS secret's content, PEM; empty where it has none."""

    chain: bytes
    key: bytes
    authority: bytes

    @property
    def trusted(self) -> str:
        """What a client must trust to accept this certificate, and no other: its authority, else the chain itself."""
        return (self.authority or self.chain).decode(errors="replace")


def secret_of(task: Task, controller: Controller) -> Object | None:
    return kube(task).get("v1", "Secret", controller.secret, controller.namespace)


def pair_in(secret: Object) -> Pair:
    data = secret.get("data") or {}
    return Pair(*(_decoded(data.get(name) or "") for name in ("tls.crt", "tls.key", "ca.crt")))


def faults_of(secret: Object | None, domain: str) -> list[str]:
    """What keeps it from being a valid certificate for all names of a domain; empty when nothing does."""
    if secret is None:
        return ["it is not there"]
    if secret.get("type") != "kubernetes.io/tls":
        return [f"its type is {secret.get('type')}, not kubernetes.io/tls"]
    return _faults(pair_in(secret), f"*.{domain}")


def _faults(pair: Pair, name: str) -> list[str]:
    from cryptography import x509  # components are listed without it
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    try:
        leaf = x509.load_pem_x509_certificates(pair.chain)[0]
        key = load_pem_private_key(pair.key, None)
    except (ValueError, TypeError) as error:
        return [f"it holds no certificate with its key: {type(error).__name__}"]
    public = [
        k.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for k in (leaf.public_key(), key.public_key())
    ]
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        covered = names.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        covered = []
    statements = {
        f"it covers {', '.join(covered) or 'no name'}, not {name}": name not in covered,
        f"it ended at {leaf.not_valid_after_utc:%Y-%m-%d}": leaf.not_valid_after_utc <= datetime.now(UTC),
        "its key is of another certificate": public[0] != public[1],
    }
    return [text for text, holds in statements.items() if holds]


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except binascii.Error:
        return b""
