"""Which certificate Traefik shows for a name: one of those it knows, else the default store's, else its own.

Source: traefik/traefik@v3.7.9 pkg/tls/certificate_store.go
Source: traefik/traefik@v3.7.9 pkg/tls/tlsmanager.go
Source: traefik/traefik@v3.7.9 pkg/tls/generate/generate.go
Source: traefik/traefik@00a3a7c5b9bb6f642bf9ce61b9536123e2edfe1a pkg/provider/kubernetes/crd/kubernetes.go
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Iterable
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from tasks.lab.traefik.instance import Instance
from tasks.lab.traefik.routes import is_for
from thinkube_nornir.lab.kube import Object
from thinkube_nornir.lab.kube.certificates import Authority
from thinkube_nornir.lab.kube.objects import dig, name_of, namespace_of

STORE = ("traefik.io/v1alpha1", "TLSStore")
OWN = "TRAEFIK DEFAULT CERT"


def pair_of(secret: Object) -> bytes | None:
    """Certificate and key; None when they are not there, or do not belong together."""
    data = secret.get("data") or {}
    try:
        certificate, key = (base64.b64decode(data.get(name) or "") for name in ("tls.crt", "tls.key"))
        public = load_pem_private_key(key, None).public_key()
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if x509.load_pem_x509_certificate(certificate).public_key().public_bytes(*form) != public.public_bytes(*form):
            return None
    except (ValueError, TypeError, binascii.Error):
        return None
    return certificate + key


def choose(instance: Instance, name: str, known: Iterable[tuple[str, str]]) -> ssl.SSLContext:
    """
    Args:
        known: namespace and name of the secrets that objects name, which it has read.
    """
    pairs = [pair for place in known if (pair := _read(instance, *place)) is not None]
    by_names = {",".join(sorted(_names(pair))): pair for pair in pairs}
    for names in sorted(by_names, reverse=True):
        if any(is_for(wanted, name.lower()) for wanted in names.split(",")):
            return _context(by_names[names])
    default = _default(instance)
    return _context(default) if default is not None else _own()


def _default(instance: Instance) -> bytes | None:
    """The certificate of the store called default; of several in allowed namespaces Traefik takes none."""
    allowed = instance.provider("kubernetescrd.defaulttlsresourcesnamespace")
    found = instance.cluster.list(*STORE) if instance.has("kubernetescrd") else []
    stores = [s for s in found if name_of(s) == "default" and allowed in ("", namespace_of(s))]
    if len(stores) != 1:
        return None
    return _read(instance, namespace_of(stores[0]), dig(stores[0], "spec", "defaultCertificate", "secretName") or "")


def _read(instance: Instance, namespace: str, name: str) -> bytes | None:
    secret = instance.cluster.get("v1", "Secret", name, namespace)
    return pair_of(secret) if secret is not None else None


@lru_cache(maxsize=64)
def _names(pair: bytes) -> tuple[str, ...]:
    found = x509.load_pem_x509_certificate(pair)
    try:
        return tuple(
            found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
                x509.DNSName
            )
        )
    except x509.ExtensionNotFound:
        return ()


@lru_cache(maxsize=16)
def _context(pair: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:  # the ssl module reads files only
        os.fchmod(file.fileno(), 0o600)
        file.write(pair)
        file.flush()
        context.load_cert_chain(file.name)
    return context


@lru_cache(maxsize=1)
def _own() -> ssl.SSLContext:
    certificate, key = Authority().server([f"{OWN.lower().replace(' ', '-')}.traefik.default"])
    return _context(certificate + key)
