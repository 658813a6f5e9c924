"""Challenges: a TXT record at Cloudflare, seen by public resolvers, then accepted; and gone again.

One challenge of a name is worked at at a time: apex and wildcard share the record's name. A record that Cloudflare
refuses fails nothing: the challenge stays pending with the reason, and is tried again at growing intervals.

Source: cert-manager/cert-manager@v1.20.3 pkg/controller/acmechallenges/sync.go
Source: cert-manager/cert-manager@v1.20.3 pkg/controller/acmechallenges/scheduler/scheduler.go
Source: cert-manager/cert-manager@v1.20.3 pkg/issuer/acme/dns/dns.go
Source: cert-manager/cert-manager@v1.16.1 pkg/controller/acmechallenges/sync.go
"""

from __future__ import annotations

import base64
from collections.abc import Iterable

from tasks.lab.cluster_dns import ask_coredns
from tasks.lab.dns import Query, ask_server
from tasks.lab.issuing.base import ACME, DEPLOYMENT, NAMESPACE, SECRET, Issuing
from tasks.lab.issuing.dns_provider import Cloudflare, ProviderError
from thinkube_nornir.lab.kube import Object
from thinkube_nornir.lab.kube.objects import Key, dig, finalizers_of, terminating

CHALLENGE = (ACME, "Challenge")
FINALIZER = "acme.cert-manager.io/finalizer"
FINAL = ("valid", "expired", "errored", "invalid")
FAILED = FINAL[1:]
CHECK = 10.0  # seconds between looks at the record
_TTL = 60.0  # seconds that the record is given, after it was seen


class Challenges(Issuing):
    kind = CHALLENGE
    watches = (DEPLOYMENT, CHALLENGE)

    def concerned(self, changed: Object) -> Iterable[Key]:  # noqa: ARG002
        """The scheduler looks at all challenges when one of them changes."""
        return self.every()

    def act(self, obj: Object) -> None:
        if terminating(obj) or dig(obj, "status", "state") in FINAL:
            self._end(obj)
        elif not dig(obj, "status", "processing", default=False):
            self._schedule(obj)
        elif FINALIZER not in finalizers_of(obj):
            self.cluster.add_finalizer(obj, FINALIZER)
        elif self._presented(obj):
            self._check(obj)

    def _end(self, obj: Object) -> None:
        """Both the finished and the deleted: first the record goes, then the finalizer.

        Until 1.19 a deleted one goes also when its record cannot be removed, and the record stays.
        """
        if terminating(obj) and self._lets_go():
            self._leave(obj)
        elif FINALIZER in finalizers_of(obj):
            try:
                self._provider(obj).clean_up(*_record(obj))
            except ProviderError as error:
                self.record_event(obj, "Warning", "CleanUpError", f"Error cleaning up challenge: {error}")
                self.retry(self.cluster.set_status(obj, reason=str(error)))
                return
            self.succeeded(obj)
            if dig(obj, "status", "state") in FINAL:
                obj = self.cluster.set_status(obj, presented=False, processing=False)
            self.cluster.drop_finalizer(obj, FINALIZER)
        elif not terminating(obj):
            self.cluster.set_status(obj, presented=False, processing=False)

    def _lets_go(self) -> bool:
        major, minor = self.version().removeprefix("v").split(".")[:2]
        return (int(major), int(minor)) < (1, 20)

    def _leave(self, obj: Object) -> None:
        try:
            if dig(obj, "status", "processing", default=False):
                self._provider(obj).clean_up(*_record(obj))
        except ProviderError as error:
            self.record_event(obj, "Warning", "CleanUpError", f"Error cleaning up challenge: {error}")
        if FINALIZER in finalizers_of(obj):
            self.cluster.drop_finalizer(obj, FINALIZER)

    def _schedule(self, obj: Object) -> None:
        busy = [c for c in self.cluster.list(*CHALLENGE) if dig(c, "status", "processing", default=False)]
        if not any(c["spec"]["dnsName"] == obj["spec"]["dnsName"] for c in busy):
            self.record_event(obj, "Normal", "Started", "Challenge scheduled for processing")
            self.cluster.set_status(obj, processing=True, state="pending")

    def _presented(self, obj: Object) -> bool:
        if dig(obj, "status", "presented", default=False):
            return True
        try:
            self._provider(obj).present(*_record(obj))
        except ProviderError as error:
            self.record_event(obj, "Warning", "PresentError", f"Error presenting challenge: {error}")
            self.retry(self.cluster.set_status(obj, reason=str(error)))
            return False
        self.succeeded(obj)
        self.record_event(obj, "Normal", "Presented", "Presented challenge using DNS-01 challenge mechanism")
        self.cluster.set_status(obj, presented=True, reason="")
        return False  # its own change calls again

    def _check(self, obj: Object) -> None:
        fqdn, value = _record(obj)
        if value not in self._seen(fqdn.rstrip(".")):
            message = f'DNS record for "{obj["spec"]["dnsName"]}" not yet propagated'
            self.cluster.set_status(obj, reason=f"Waiting for DNS-01 challenge propagation: {message}")
            self.again(obj, CHECK, settles=False)
        elif self.waited(obj, _TTL):
            self._accept(obj)

    def _accept(self, obj: Object) -> None:
        """What Let's Encrypt says to it. Domains that it may not serve are in the lab's state, `caa`."""
        name = obj["spec"]["dnsName"]
        if name in self.lab.state.get("caa", ()):
            message = f"403 urn:ietf:params:acme:error:caa: CAA record for {name} prevents issuance"
            why = f"acme: authorization error for {name}: {message}"
            self.record_event(obj, "Warning", "Failed", f"Accepting challenge authorization failed: {why}")
            self.cluster.set_status(obj, state="invalid", reason=f"Error accepting authorization: {why}")
        else:
            self.record_event(obj, "Normal", "DomainVerified", f'Domain "{name}" verified with "DNS-01" validation')
            self.cluster.set_status(obj, state="valid", reason="Successfully authorized domain")

    def _provider(self, obj: Object) -> Cloudflare:
        """Raises ProviderError: its secret is not there, or lacks the key."""
        solvers = dig(self.issuer(obj), "spec", "acme", "solvers", default=[{}])
        wanted = dig(solvers[0], "dns01", "cloudflare", "apiTokenSecretRef", default={})
        name, key = wanted.get("name", ""), wanted.get("key", "")
        secret = self.cluster.get(*SECRET, name, NAMESPACE)
        if secret is None:
            raise ProviderError(f'error getting cloudflare secret: secret "{name}" not found')
        if key not in (secret.get("data") or {}):
            raise ProviderError(f'specified key "{key}" not found in secret {NAMESPACE}/{name}')
        return Cloudflare(self.lab, base64.b64decode(secret["data"][key]).decode(), self.version())

    def _seen(self, name: str) -> tuple[str, ...]:
        """The TXT records as the controller sees them: by the resolvers that its arguments name, else by its pod's."""
        given = dict(word.split("=", 1) for word in self.arguments() if "=" in word)
        servers = given.get("--dns01-recursive-nameservers", "")
        if servers and given.get("--dns01-recursive-nameservers-only") == "true":
            first = servers.split(",")[0].rpartition(":")[0]
            return ask_server(self.lab, self.node.host, first, Query(name, "TXT")).records
        return ask_coredns(self.node, Query(name, "TXT")).records


def _record(obj: Object) -> tuple[str, str]:
    return f"_acme-challenge.{obj['spec']['dnsName']}.", obj["spec"]["key"]
