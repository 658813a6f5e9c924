"""CertificateRequests: signed by the issuer, or by Let's Encrypt when an order is done.

Source: cert-manager/cert-manager@v1.20.3 pkg/controller/certificaterequests/acme/acme.go
Source: cert-manager/cert-manager@v1.20.3 pkg/controller/certificaterequests/sync.go
Source: cert-manager/cert-manager@v1.20.3 pkg/controller/certificaterequests/util/reporter.go
"""

from __future__ import annotations

import base64

from cryptography import x509

from tasks.lab.issuing.authority import from_secret, pem, self_signed
from tasks.lab.issuing.base import ACME, API, DEPLOYMENT, NAMESPACE, SECRET, Issuing, hours, is_ready
from thinkube_nornir.lab.kube import Object
from thinkube_nornir.lab.kube.objects import condition, controller_of, dig, name_of, namespace_of, owner_reference

ORDER = (ACME, "Order")


class Requests(Issuing):
    kind = (API, "CertificateRequest")
    watches = (DEPLOYMENT, ORDER, (API, "ClusterIssuer"))

    def act(self, obj: Object) -> None:
        ended = condition(obj, "Ready") or {}
        if ended.get("status") == "True" or ended.get("reason") == "Failed":
            return
        self.say(obj, "Approved", True, "cert-manager.io", "Certificate request has been approved by cert-manager.io")
        issuer = self.issuer(obj)
        if issuer is None or not is_ready(issuer):
            wanted = f'clusterissuer.cert-manager.io "{obj["spec"]["issuerRef"]["name"]}" not found'
            lacking, unready = (
                f'Referenced "ClusterIssuer" not found: {wanted}',
                "does not have a Ready status condition",
            )
            self.say(obj, "Ready", False, "Pending", lacking if issuer is None else f"Referenced issuer {unready}")
        elif "acme" in issuer["spec"]:
            self._order(obj)
        else:
            self._sign(obj, issuer)

    def _sign(self, obj: Object, issuer: Object) -> None:
        csr = x509.load_pem_x509_csr(base64.b64decode(obj["spec"]["request"]))
        duration = hours(obj["spec"].get("duration"), 2160)
        if "selfSigned" in issuer["spec"]:
            owner = controller_of(obj) or {}
            chain = authority = self_signed(self.keys[owner["uid"]], csr, duration)
        else:
            secret = self.cluster.get(*SECRET, issuer["spec"]["ca"]["secretName"], NAMESPACE) or {}
            signer = from_secret(secret.get("data") or {})
            chain, authority = signer.sign(csr, duration), pem(signer.certificate)
        self._issued(obj, chain, authority)

    def _issued(self, obj: Object, chain: str, authority: str) -> None:
        fields = {"certificate": base64.b64encode(chain.encode()).decode()}
        fields |= {"ca": base64.b64encode(authority.encode()).decode()} if authority else {}
        found = self.cluster.set_status(obj, **fields)
        self.say(found, "Ready", True, "Issued", "Certificate fetched from issuer successfully")

    def _order(self, obj: Object) -> None:
        name = f"{name_of(obj)}-order"
        order = self.cluster.get(*ORDER, name, namespace_of(obj))
        if order is None:
            csr = x509.load_pem_x509_csr(base64.b64decode(obj["spec"]["request"]))
            names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            spec = {
                "request": obj["spec"]["request"],
                "issuerRef": obj["spec"]["issuerRef"],
                "dnsNames": names.get_values_for_type(x509.DNSName),
            }
            metadata = {"name": name, "namespace": namespace_of(obj), "ownerReferences": [owner_reference(obj)]}
            self.cluster.create({"apiVersion": ACME, "kind": "Order", "metadata": metadata, "spec": spec})
            self.say(obj, "Ready", False, "Pending", f"Created Order resource {namespace_of(obj)}/{name}")
            return
        state = dig(order, "status", "state", default="pending")
        if state == "valid":
            self._issued(obj, base64.b64decode(order["status"]["certificate"]).decode(), "")
        elif state in ("errored", "invalid"):
            why = dig(order, "status", "reason", default="")
            message = f'Failed to wait for order resource "{name}" to become ready: order is in "{state}" state: {why}'
            self.say(obj, "Ready", False, "Failed", message)
        else:
            waiting = f"Waiting on certificate issuance from order {namespace_of(obj)}/{name}"
            self.say(obj, "Ready", False, "Pending", f'{waiting}: "{state}"')
