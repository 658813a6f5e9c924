"""ClusterIssuers: whether each can sign.

Source: cert-manager/cert-manager@v1.20.3 pkg/issuer/ca/setup.go
Source: cert-manager/cert-manager@v1.20.3 pkg/issuer/acme/setup.go
Source: cert-manager/cert-manager@v1.20.3 pkg/issuer/selfsigned/setup.go
"""

from __future__ import annotations

import base64
from urllib.parse import urlsplit

from tasks.lab.cluster_dns import ask_coredns
from tasks.lab.dns import Query
from tasks.lab.issuing.authority import SERVERS, from_secret, key_pem, new_key
from tasks.lab.issuing.base import API, DEPLOYMENT, NAMESPACE, SECRET, Issuing
from thinkube_nornir.lab.kube import Object

_REFUSED = ("example.com", "example.net", "example.org")


class Issuers(Issuing):
    kind = (API, "ClusterIssuer")
    watches = (DEPLOYMENT, SECRET)

    def act(self, obj: Object) -> None:
        spec = obj["spec"]
        if "selfSigned" in spec:
            self.say(obj, "Ready", True, "IsReady", "")
        elif "ca" in spec:
            self._authority(obj, spec["ca"]["secretName"])
        elif "acme" in spec:
            self._account(obj, spec["acme"])
        else:
            self.say(obj, "Ready", False, "Error", "no issuer specified for Issuer")

    def _authority(self, obj: Object, name: str) -> None:
        secret = self.cluster.get(*SECRET, name, NAMESPACE)
        if secret is None:
            message = f'Error getting keypair for CA issuer: secret "{name}" not found'
            self.say(obj, "Ready", False, "ErrGetKeyPair", message)
            return
        try:
            from_secret(secret.get("data") or {})
        except (ValueError, IndexError) as error:
            self.say(obj, "Ready", False, "ErrInvalidKeyPair", f"Error getting keypair for CA issuer: {error}")
        else:
            self.say(obj, "Ready", True, "KeyPairVerified", "Signing CA verified")

    def _account(self, obj: Object, acme: Object) -> None:
        refused = self._refusal(acme)
        if refused:
            self.say(obj, "Ready", False, "ErrRegisterACMEAccount", f"Failed to register ACME account: {refused}")
            return
        name = acme["privateKeySecretRef"]["name"]
        if self.cluster.get(*SECRET, name, NAMESPACE) is None:
            metadata = {"name": name, "namespace": NAMESPACE}
            data = {"tls.key": _encoded(key_pem(new_key()))}
            self.cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
        if (obj.get("status") or {}).get("acme", {}).get("lastRegisteredEmail") != acme.get("email"):
            account = {"uri": f"{acme['server'].removesuffix('directory')}acct/1", "lastRegisteredEmail": acme["email"]}
            obj = self.cluster.set_status(obj, acme=account)
        message = "The ACME account was registered with the ACME server"
        self.say(obj, "Ready", True, "ACMEAccountRegistered", message)

    def _refusal(self, acme: Object) -> str:
        host = urlsplit(acme["server"]).hostname or ""
        if acme["server"] not in SERVERS or not ask_coredns(self.node, Query(host)).records:
            return f'Get "{acme["server"]}": dial tcp: lookup {host} on 10.152.183.10:53: no such host'
        domain = str(acme.get("email", "")).rpartition("@")[2]
        if domain in _REFUSED:
            message = f'Error validating contact(s) :: contact email has forbidden domain "{domain}"'
            return f"400 urn:ietf:params:acme:error:invalidContact: {message}"
        return ""


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
