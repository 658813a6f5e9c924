"""The cluster's own certificate authority, its server certificate, and the admin's kubeconfig.

Unproven: that nothing depends on the kind and the life of these keys, which are the lab's own choice.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import ssl
import tempfile
from collections.abc import Iterable
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFE = datetime.timedelta(days=365)
_NAMES = ("localhost", "127.0.0.1", "::1", "10.152.183.1", "kubernetes", "kubernetes.default", "kubernetes.default.svc")


class Authority:
    """A CA made for one cluster; its key lives in memory only.

    Args:
        key_usage: whether its certificate says what it is for, without which VERIFY_X509_STRICT refuses it.
    """

    def __init__(self, *, key_usage: bool = True) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _subject("lab-ca")
        public = self._key.public_key()
        builder = (
            _builder(self._name, self._name, public)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        )
        if key_usage:
            builder = builder.add_extension(_key_usage(authority=True), critical=True)
        self._certificate = builder.sign(self._key, hashes.SHA256())

    @property
    def pem(self) -> bytes:
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def client(self, user: str, group: str) -> tuple[bytes, bytes]:
        """Certificate and key of a user, PEM."""
        return self._issue(_subject(user, group), ExtendedKeyUsageOID.CLIENT_AUTH, ())

    def server(self, names: Iterable[str]) -> tuple[bytes, bytes]:
        """Certificate and key of a server with these DNS names and addresses, PEM."""
        return self._issue(_subject("kube-apiserver"), ExtendedKeyUsageOID.SERVER_AUTH, tuple(names))

    def _issue(self, subject: x509.Name, usage: x509.ObjectIdentifier, names: tuple[str, ...]) -> tuple[bytes, bytes]:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(subject, self._name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general(n) for n in names]), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return certificate.public_bytes(serialization.Encoding.PEM), private


class ServerContext:
    """The TLS side of the server. Names can be added while it serves: the next connection sees them."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._names = dict.fromkeys(_NAMES)
        self.ssl = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
        self.ssl.verify_mode = ssl.CERT_OPTIONAL  # who has no certificate may have a token, or gets 401
        self.ssl.load_verify_locations(cadata=authority.pem.decode())
        self._load()

    def add_name(self, name: str) -> None:
        if name and name not in self._names:
            self._names[name] = None
            self._load()

    def _load(self) -> None:
        certificate, key = self._authority.server(self._names)
        with tempfile.TemporaryDirectory() as folder:  # the ssl module reads keys from files only; mode 0700
            path = Path(folder) / "server.pem"
            path.write_bytes(certificate + key)
            self.ssl.load_cert_chain(path)


def kubeconfig(authority: Authority, server: str, user: str, group: str) -> str:
    certificate, key = authority.client(user, group)
    cluster = {"server": server, "certificate-authority-data": _encoded(authority.pem)}
    credentials = {"client-certificate-data": _encoded(certificate), "client-key-data": _encoded(key)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user}}],
        "current-context": "lab",
        "users": [{"name": user, "user": credentials}],
    }
    return str(yaml.safe_dump(config, sort_keys=False))


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _subject(name: str, group: str = "") -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    return x509.Name(([x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []) + parts)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + _LIFE)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not authority,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
