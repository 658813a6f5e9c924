"""The cluster's CA and the API's certificate, as MicroK8s makes them from csr.conf.template.

The keys are of another kind, which is quicker to make.

Source: canonical/microk8s@1.35 microk8s-resources/certs/csr.conf.template
Source: canonical/microk8s@1.32 microk8s-resources/actions/common/utils.sh
Source: canonical/microk8s@1.34 microk8s-resources/actions/common/utils.sh
Source: canonical/microk8s@1.35 microk8s-resources/actions/common/utils.sh
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tasks.lab.microk8s.node import DATA
from tasks.lab.state import addresses
from thinkube_nornir.lab.emulation import LabHost

TEMPLATE = f"{DATA}/certs/csr.conf.template"
DAYS = 365
NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster",
    "kubernetes.default.svc.cluster.local",
)
ADDRESSES = ("127.0.0.1", "10.152.183.1")
SHOWN_OF_FINGERPRINT = 12
_CA_KEY_USAGE = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def has_key_usage(version: str) -> bool:
    """Whether the authority of this release says that it may sign certificates: `produce_certs` does from 1.34 on."""
    return int(version.removeprefix("v").split(".")[1]) >= 34


def create(host: LabHost, extra: list[str], version: str) -> None:
    """Template, CA and server certificate for a new installation; `extra` are the launch configuration's extraSANs."""
    lines = [f"DNS.{i} = {n}" for i, n in enumerate([*NAMES, *(e for e in extra if not _is_ip(e))], start=1)]
    lines += [f"IP.{i} = {a}" for i, a in enumerate([*ADDRESSES, *(e for e in extra if _is_ip(e))], start=1)]
    text = "[ req ]\ndefault_bits = 2048\nprompt = no\n\n[ alt_names ]\n" + "\n".join(lines) + "\n#MOREIPS\n"
    host.files.write(TEMPLATE, text)
    refresh_ca(host, version)


def refresh_ca(host: LabHost, version: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "10.152.183.1")])
    builder = (
        _builder(name, name, key)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    if has_key_usage(version):
        builder = builder.add_extension(_CA_KEY_USAGE, critical=True)
    _save(host, "ca", key, builder.sign(key, hashes.SHA256()))
    refresh_server(host)


def refresh_server(host: LabHost) -> None:
    """A new server.crt from the template's names and the host's addresses of now."""
    text = host.files.read(TEMPLATE).decode()
    names = re.findall(r"^DNS\.\d+\s*=\s*(\S+)", text, re.M)
    ips = list(dict.fromkeys([*re.findall(r"^IP\.\d+\s*=\s*(\S+)", text, re.M), *addresses(host)]))
    listed: list[x509.GeneralName] = [x509.DNSName(n) for n in names]
    listed += [x509.IPAddress(ipaddress.ip_address(a)) for a in ips]
    ca = x509.load_pem_x509_certificate(host.files.read(f"{DATA}/certs/ca.crt"))
    ca_key = serialization.load_pem_private_key(host.files.read(f"{DATA}/certs/ca.key"), None)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    builder = _builder(subject, ca.subject, key).add_extension(x509.SubjectAlternativeName(listed), critical=False)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise TypeError("certs/ca.key is not the key this lab made")
    _save(host, "server", key, builder.sign(ca_key, hashes.SHA256()))


def fingerprint(host: LabHost) -> str:
    """The second part of a join URL: the start of the SHA-256 of the control plane's certificate."""
    certificate = x509.load_pem_x509_certificate(host.files.read(f"{DATA}/certs/server.crt"))
    der = certificate.public_bytes(serialization.Encoding.DER)
    return hashlib.sha256(der).hexdigest()[:SHOWN_OF_FINGERPRINT]


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=DAYS))
    )


def _save(host: LabHost, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    form = serialization.PrivateFormat.TraditionalOpenSSL
    secret = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    host.files.write(f"{DATA}/certs/{name}.key", secret, 0o660)
    host.files.write(f"{DATA}/certs/{name}.crt", certificate.public_bytes(serialization.Encoding.PEM), 0o660)


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
