"""Orders and their challenges: a TXT record at Cloudflare, seen by public resolvers, then Let's Encrypt signs."""

from __future__ import annotations

import base64
import hashlib

from cryptography import x509

from tasks.lab import cloudflare
from tasks.lab.cluster_dns import ask_coredns
from tasks.lab.dns import Query, ask_server
from tasks.lab.issuing.authority import lets_encrypt
from tasks.lab.issuing.base import ACME, DEPLOYMENT, NAMESPACE, SECRET, Issuing
from thinkube_nornir.lab.kube import Object
from thinkube_nornir.lab.kube.objects import dig, finalizers_of, name_of, namespace_of, owner_reference, terminating

CHALLENGE = (ACME, "Challenge")
FINALIZER = "acme.cert-manager.io/finalizer"


class Orders(Issuing):
    """One challenge of a name at a time: apex and wildcard share the record's name."""

    kind = (ACME, "Order")
    watches = (DEPLOYMENT, CHALLENGE)

    def act(self, obj: Object) -> None:
        if dig(obj, "status", "state") in ("valid", "errored", "invalid") or terminating(obj):
            return
        done: list[Object] = []
        for number, name in enumerate(obj["spec"]["dnsNames"]):
            challenge = self.cluster.get(*CHALLENGE, f"{name_of(obj)}-{number}", namespace_of(obj))
            state = dig(challenge, "status", "state", default="pending")
            if challenge is None:
                self._challenge(obj, name, number)
            if state in ("errored", "invalid"):
                why = dig(challenge, "status", "reason", default="")
                self.cluster.set_status(obj, state="errored", reason=f"Failed to finalize Order: {why}")
            if challenge is None or state != "valid":
                return
            done.append(challenge)
        self._finalize(obj)
        for challenge in done:
            self.cluster.remove(challenge)

    def _challenge(self, obj: Object, name: str, number: int) -> None:
        self.cluster.set_status(obj, state="pending")
        digest = hashlib.sha256(f"{name}/{obj['metadata']['uid']}".encode()).digest()
        spec = {
            "dnsName": name.removeprefix("*."),
            "wildcard": name.startswith("*."),
            "type": "DNS-01",
            "key": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "issuerRef": obj["spec"]["issuerRef"],
        }
        metadata = {
            "name": f"{name_of(obj)}-{number}",
            "namespace": namespace_of(obj),
            "finalizers": [FINALIZER],
            "ownerReferences": [owner_reference(obj)],
        }
        self.cluster.create({"apiVersion": ACME, "kind": "Challenge", "metadata": metadata, "spec": spec})

    def _finalize(self, obj: Object) -> None:
        issuer = self.issuer(obj) or {}
        authority = lets_encrypt(self.lab, issuer["spec"]["acme"]["server"])
        chain = authority.sign(x509.load_pem_x509_csr(base64.b64decode(obj["spec"]["request"])))
        encoded = base64.b64encode(chain.encode()).decode()
        self.cluster.set_status(obj, state="valid", certificate=encoded)


class Challenges(Issuing):
    kind = CHALLENGE
    watches = (DEPLOYMENT, SECRET, ("v1", "ConfigMap"))

    def act(self, obj: Object) -> None:
        name, value = f"_acme-challenge.{obj['spec']['dnsName']}", obj["spec"]["key"]
        if terminating(obj):
            cloudflare.remove_record(self.lab, name, value)
            if FINALIZER in finalizers_of(obj):
                self.cluster.drop_finalizer(obj, FINALIZER)
            return
        if dig(obj, "status", "state") in ("valid", "errored"):
            return
        if not dig(obj, "status", "presented", default=False) and not self._present(obj, name, value):
            return
        if value not in self._seen(name):
            told = f'DNS record for "{obj["spec"]["dnsName"]}" not yet propagated'
            waiting = f"Waiting for DNS-01 challenge propagation: {told}"
            self.cluster.set_status(obj, state="pending", processing=True, presented=True, reason=waiting)
            return
        validated = "Successfully authorized domain"
        self.cluster.set_status(obj, state="valid", processing=False, presented=True, reason=validated)

    def _present(self, obj: Object, name: str, value: str) -> bool:
        token = self._token(obj)
        if cloudflare.editable_zone(self.lab, token, name) is None:
            api = 'Cloudflare API Error for GET "/zones?name=...": 10000: Authentication error'
            attempt = f"while attempting to find Zones for domain {name}"
            self.cluster.set_status(obj, state="errored", reason=f"Error presenting challenge: {attempt}: {api}")
            return False
        if value not in cloudflare.account(self.lab).records.get(name, ()):
            cloudflare.add_record(self.lab, name, value)
        return True

    def _token(self, obj: Object) -> str:
        solvers = dig(self.issuer(obj), "spec", "acme", "solvers", default=[{}])
        wanted = dig(solvers[0], "dns01", "cloudflare", "apiTokenSecretRef", default={})
        secret = self.cluster.get(*SECRET, wanted.get("name", ""), NAMESPACE)
        found = ((secret or {}).get("data") or {}).get(wanted.get("key", ""), "")
        return base64.b64decode(found).decode().strip()

    def _seen(self, name: str) -> tuple[str, ...]:
        """By the resolvers that the controller's arguments name, else as its pod sees it."""
        given = dict(word.split("=", 1) for word in self.arguments() if "=" in word)
        servers = given.get("--dns01-recursive-nameservers", "")
        if servers and given.get("--dns01-recursive-nameservers-only") == "true":
            first = servers.split(",")[0].rpartition(":")[0]
            return ask_server(self.lab, self.node.host, first, Query(name, "TXT")).records
        return ask_coredns(self.node, Query(name, "TXT")).records
