"""Orders: all of their challenges at once; when each is valid, Let's Encrypt signs, and the challenges go.

Source: cert-manager/cert-manager@v1.20.3 pkg/controller/acmeorders/sync.go
Source: cert-manager/cert-manager@v1.20.3 third_party/forked/acme/types.go
"""

from __future__ import annotations

import base64
import hashlib

from cryptography import x509

from tasks.lab.issuing.authority import lets_encrypt
from tasks.lab.issuing.base import ACME, DEPLOYMENT, Issuing
from tasks.lab.issuing.challenges import CHALLENGE, FAILED, FINAL
from thinkube_nornir.lab.kube import Object
from thinkube_nornir.lab.kube.objects import dig, name_of, namespace_of, owned_by, owner_reference, terminating


class Orders(Issuing):
    kind = (ACME, "Order")
    watches = (DEPLOYMENT, CHALLENGE)

    def act(self, obj: Object) -> None:
        state = dig(obj, "status", "state")
        if state in FAILED or terminating(obj):
            return
        mine = [c for c in self.cluster.list(*CHALLENGE, namespace_of(obj)) if owned_by(c, obj)]
        if state == "valid":
            for challenge in mine:
                if not terminating(challenge):
                    self.cluster.remove(challenge)
        elif not mine:
            self.cluster.set_status(obj, state="pending")
            for number, name in enumerate(sorted(obj["spec"]["dnsNames"])):
                self._challenge(obj, name, number)
        elif any(dig(c, "status", "state") in FAILED for c in mine):
            self.cluster.set_status(obj, state="invalid")
        elif all(dig(c, "status", "state") in FINAL for c in mine):
            self._finalize(obj)

    def _challenge(self, obj: Object, name: str, number: int) -> None:
        digest = hashlib.sha256(f"{name}/{obj['metadata']['uid']}".encode()).digest()
        domain = name.removeprefix("*.")
        spec = {
            "dnsName": domain,
            "wildcard": name.startswith("*."),
            "type": "DNS-01",
            "key": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "issuerRef": obj["spec"]["issuerRef"],
        }
        metadata = {
            "name": f"{name_of(obj)}-{number}",
            "namespace": namespace_of(obj),
            "ownerReferences": [owner_reference(obj)],
        }
        made = self.cluster.create({"apiVersion": ACME, "kind": "Challenge", "metadata": metadata, "spec": spec})
        message = f'Created Challenge resource "{name_of(made)}" for domain "{domain}"'
        self.record_event(obj, "Normal", "Created", message)

    def _finalize(self, obj: Object) -> None:
        issuer = self.issuer(obj) or {}
        authority = lets_encrypt(self.lab, issuer["spec"]["acme"]["server"])
        chain = authority.sign(x509.load_pem_x509_csr(base64.b64decode(obj["spec"]["request"])))
        encoded = base64.b64encode(chain.encode()).decode()
        self.cluster.set_status(obj, state="valid", certificate=encoded)
