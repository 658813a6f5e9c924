"""Certificates: compare the secret with what is asked for, request another one, and put it there.

Source: cert-manager/cert-manager@v1.20.3 internal/controller/certificates/policies/policies.go
Source: cert-manager/cert-manager@v1.20.3 internal/controller/certificates/policies/checks.go
Source: cert-manager/cert-manager@v1.20.3 pkg/controller/certificates/readiness/readiness_controller.go
Source: cert-manager/cert-manager@v1.20.3 pkg/controller/certificates/issuing/issuing_controller.go
Source: cert-manager/cert-manager@v1.20.3 pkg/controller/certificates/trigger/trigger_controller.go
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tasks.lab.issuing.authority import Key, key_pem, new_key, request_pem, self_signed
from tasks.lab.issuing.base import API, DEPLOYMENT, SECRET, Issuing, hours, is_ready, now
from thinkube_nornir.lab.kube import Object
from thinkube_nornir.lab.kube.objects import condition, dig, is_true, name_of, namespace_of, owner_reference, uid_of

REQUEST = (API, "CertificateRequest")
TEMPORARY = "cert-manager.io/issue-temporary-certificate"
_PREFIX = "cert-manager.io/"
_BACK_OFF, _LONGEST = timedelta(hours=1), timedelta(hours=32)
_STILL_GOOD = ("Renewing", "ManuallyTriggered")


class Certificates(Issuing):
    kind = (API, "Certificate")
    watches = (DEPLOYMENT, SECRET, REQUEST, (API, "ClusterIssuer"))

    def act(self, obj: Object) -> None:
        secret = self.cluster.get(*SECRET, obj["spec"]["secretName"], namespace_of(obj))
        reason, why = self._mismatch(obj, secret)
        if not reason:
            self._up_to_date(obj, secret or {})
            return
        if reason not in _STILL_GOOD:
            self.say(obj, "Ready", False, reason, why)
        self._placeholder(obj, secret)
        self._issue(obj, reason, why)

    def _mismatch(self, obj: Object, secret: Object | None) -> tuple[str, str]:
        """Why the secret is not what is asked for; empty when it is."""
        spec = obj["spec"]
        if secret is None:
            return "DoesNotExist", "Issuing certificate as Secret does not exist"
        notes = secret["metadata"].get("annotations") or {}
        if broken := _broken(secret):
            return broken
        certificate, issuer = _leaf(secret), (notes.get(f"{_PREFIX}issuer-name"), notes.get(f"{_PREFIX}issuer-kind"))
        if issuer != (spec["issuerRef"]["name"], spec["issuerRef"].get("kind", "Issuer")):
            before = f"{issuer[1]}.cert-manager.io/{issuer[0]}"
            return "IncorrectIssuer", f'Issuing certificate as Secret was previously issued by "{before}"'
        if _names(certificate) != set(spec.get("dnsNames") or ()):
            why = "Issuing certificate as Existing issued Secret is not up to date for spec: [spec.dnsNames]"
            return "SecretMismatch", why
        if certificate.not_valid_after_utc <= datetime.now(UTC):
            return "Expired", f"Certificate expired on {certificate.not_valid_after_utc:%a, %d %b %Y %H:%M:%S} UTC"
        renewal = certificate.not_valid_after_utc - self._before(obj)
        if renewal <= datetime.now(UTC):
            return "Renewing", f"Renewing certificate as renewal was scheduled at {renewal:%Y-%m-%d %H:%M:%S} +0000 UTC"
        return ("ManuallyTriggered", "Certificate re-issuance manually triggered") if _asked(obj) else ("", "")

    def _before(self, obj: Object) -> timedelta:
        return timedelta(hours=hours(obj["spec"].get("renewBefore"), 720))

    def _up_to_date(self, obj: Object, secret: Object) -> None:
        certificate = _leaf(secret)
        start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        status = dig(obj, "status", default={})
        kept = [c for c in status.get("conditions") or () if c["type"] != "Issuing"]
        found = self.cluster.set_status(
            obj,
            conditions=kept,
            notBefore=_stamp(start),
            notAfter=_stamp(end),
            renewalTime=_stamp(end - self._before(obj)),
            revision=status.get("revision", 1),
            lastFailureTime=None,
            failedIssuanceAttempts=None,
        )
        self.say(found, "Ready", True, "Ready", "Certificate is up to date and has not expired")

    def _placeholder(self, obj: Object, secret: Object | None) -> None:
        """The real thing's kindness to ingress controllers, and a trap for who waits for the secret alone."""
        if secret is None and (obj["metadata"].get("annotations") or {}).get(TEMPORARY) == "true":
            key = self._key(obj)
            request = x509.load_pem_x509_csr(self._csr(obj, key))
            self._store(obj, key, self_signed(key, request), "", {})

    def _issue(self, obj: Object, reason: str, why: str) -> None:
        number = int(dig(obj, "status", "revision", default=0)) + 1
        name = f"{name_of(obj)}-{number}"
        request = self.cluster.get(*REQUEST, name, namespace_of(obj))
        if request is None:
            self.say(obj, "Issuing", True, reason, why)
            self._ask(obj, name, number)
        elif request["spec"]["issuerRef"] != obj["spec"]["issuerRef"] or not self._is_for(request, obj):
            self.cluster.remove(request)
        elif is_ready(request):
            self._store_issued(obj, request, number)
        elif (found := condition(request, "Ready")) and found.get("reason") == "Failed":
            self._failed(obj, request, str(found.get("message")))

    def _is_for(self, request: Object, obj: Object) -> bool:
        csr = x509.load_pem_x509_csr(base64.b64decode(request["spec"]["request"]))
        return uid_of(obj) in self.keys and _names(csr) == set(obj["spec"].get("dnsNames") or ())

    def _key(self, obj: Object) -> Key:
        if uid_of(obj) not in self.keys:
            self.keys[uid_of(obj)] = self._previous_key(obj) or new_key()
        return self.keys[uid_of(obj)]

    def _previous_key(self, obj: Object) -> Key | None:
        secret = self.cluster.get(*SECRET, obj["spec"]["secretName"], namespace_of(obj))
        if secret is None or dig(obj, "spec", "privateKey", "rotationPolicy") != "Never":
            return None
        found: Key = load_pem_private_key(base64.b64decode(secret["data"]["tls.key"]), None)  # type: ignore[assignment]
        return found

    def _csr(self, obj: Object, key: Key) -> bytes:
        spec = obj["spec"]
        organization = next(iter(dig(spec, "subject", "organizations", default=[])), "")
        names, authority = spec.get("dnsNames") or (), bool(spec.get("isCA"))
        return request_pem(key, names, spec.get("commonName", ""), organization, authority=authority)

    def _ask(self, obj: Object, name: str, number: int) -> None:
        notes = {f"{_PREFIX}certificate-name": name_of(obj), f"{_PREFIX}certificate-revision": str(number)}
        spec = {
            "request": base64.b64encode(self._csr(obj, self._key(obj))).decode(),
            "issuerRef": obj["spec"]["issuerRef"],
            "isCA": bool(obj["spec"].get("isCA")),
            "duration": obj["spec"].get("duration"),
        }
        metadata = {
            "name": name,
            "namespace": namespace_of(obj),
            "annotations": notes,
            "ownerReferences": [owner_reference(obj)],
        }
        self.cluster.create({"apiVersion": API, "kind": "CertificateRequest", "metadata": metadata, "spec": spec})

    def _store_issued(self, obj: Object, request: Object, number: int) -> None:
        status = request["status"]
        chain = base64.b64decode(status["certificate"]).decode()
        authority = base64.b64decode(status.get("ca", "")).decode()
        key = self.keys.pop(uid_of(obj))
        issuer = obj["spec"]["issuerRef"]
        notes = {f"{_PREFIX}issuer-name": issuer["name"], f"{_PREFIX}issuer-kind": issuer.get("kind", "Issuer")}
        present = self.cluster.set_status(obj, revision=number)
        kept = [c for c in dig(present, "status", "conditions", default=[]) if c["type"] != "Issuing"]
        self.cluster.set_status(present, conditions=kept)
        self._store(obj, key, chain, authority, notes)

    def _store(self, obj: Object, key: Key, chain: str, authority: str, notes: dict[str, str]) -> None:
        spec = obj["spec"]
        data = {"tls.crt": chain.encode(), "tls.key": key_pem(key)} | (
            {"ca.crt": authority.encode()} if authority else {}
        )
        names = ",".join(spec.get("dnsNames") or ())
        notes = notes | {f"{_PREFIX}certificate-name": name_of(obj), f"{_PREFIX}alt-names": names}
        metadata = {"name": spec["secretName"], "namespace": namespace_of(obj), "annotations": notes}
        encoded = {name: base64.b64encode(value).decode() for name, value in data.items()}
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": metadata,
            "data": encoded,
        }
        self.cluster.apply(secret, manager="cert-manager-certificates-issuing")

    def _failed(self, obj: Object, request: Object, why: str) -> None:
        """Not tried again for an hour, then two, unless somebody asks for it anew."""
        last, count = dig(obj, "status", "lastFailureTime"), dig(obj, "status", "failedIssuanceAttempts", default=1)
        delay = min(_BACK_OFF * 2 ** (int(count) - 1), _LONGEST)
        if last is not None and datetime.now(UTC) - datetime.fromisoformat(last) >= delay:
            self.cluster.remove(request)
            return
        if last is None:
            attempts = int(dig(obj, "status", "failedIssuanceAttempts", default=0)) + 1
            obj = self.cluster.set_status(obj, lastFailureTime=now(), failedIssuanceAttempts=attempts)
        message = f"The certificate request has failed to complete and will be retried: {why}"
        self.say(obj, "Issuing", False, "Failed", message)


def _asked(obj: Object) -> bool:
    """Whether somebody asked for a renewal, as `cmctl renew` does: by the condition alone."""
    return is_true(obj, "Issuing")


def _broken(secret: Object) -> tuple[str, str] | None:
    """What is wrong with its content, whatever was asked for."""
    data = secret.get("data") or {}
    missing = {"tls.key": "a private key", "tls.crt": "a certificate"}
    for part, name in missing.items():
        if not data.get(part):
            return "MissingData", f"Issuing certificate as Secret does not contain {name}"
    try:
        key = load_pem_private_key(base64.b64decode(data["tls.key"]), None)
    except (ValueError, TypeError) as error:
        return "InvalidKeyPair", f"Issuing certificate as Secret contains invalid private key data: {error}"
    try:
        certificate = _leaf(secret)
    except (ValueError, LookupError) as error:
        return "InvalidCertificate", f"Issuing certificate as Secret contains an invalid certificate: {error}"
    if key.public_key() != certificate.public_key():
        why = "Issuing certificate as Secret contains a private key that does not match the certificate"
        return "InvalidKeyPair", why
    return None


def _leaf(secret: Object) -> x509.Certificate:
    return x509.load_pem_x509_certificates(base64.b64decode(secret["data"]["tls.crt"]))[0]


def _names(signed: x509.Certificate | x509.CertificateSigningRequest) -> set[str]:
    try:
        found = signed.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return set()
    return set(found.value.get_values_for_type(x509.DNSName))


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
