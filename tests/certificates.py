"""Throw-away authorities and certificates for tests that speak TLS on loopback."""

from __future__ import annotations

import base64
import datetime
import ipaddress
from dataclasses import dataclass, field

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Authority:
    """An authority as openssl makes one when nobody asks for keyUsage, and MicroK8s until 1.33.

    Strict X.509 refuses it. That is why it is made here: trustme's authorities have keyUsage always.
    """

    name: str = "test authority"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        own = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        basic = x509.BasicConstraints(ca=True, path_length=None)
        self.certificate = self._signed(self.name, self.key.public_key(), own, basic)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, name: str, *addresses: str) -> tuple[bytes, bytes]:
        """A certificate for a common name, and for IP addresses or DNS names; PEM of it and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        extensions: list[x509.ExtensionType] = []
        if addresses:
            extensions.append(x509.SubjectAlternativeName([_general(a) for a in addresses]))
        certificate = self._signed(name, key.public_key(), *extensions)
        plain = serialization.NoEncryption()
        form = serialization.PrivateFormat.PKCS8
        return (
            certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(serialization.Encoding.PEM, form, plain),
        )

    def _signed(
        self, name: str, public: ec.EllipticCurvePublicKey, *extensions: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(_named(self.name))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self.key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)


def kubeconfig(server: str, authority: bytes, **user: str) -> str:
    """A kubeconfig with one context; `user` holds its credentials: token, or client-certificate-data and so on."""
    cluster = {"server": server, "certificate-authority-data": encoded(authority)}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": user}],
        }
    )


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()
