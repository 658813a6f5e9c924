"""Calling an admission webhook: over HTTPS at its address, or where its service's pods are, as those are emulated.

A service without ready pods, or that is not there, is a failed call, as in a real cluster: the API server connects to
the service's address, where kube-proxy refuses. A pod of the lab has no server of its own: behaviour code answers for
the service, and one that has none admits everything.

Source: kubernetes/kubernetes@v1.36.2 staging/src/k8s.io/apiserver/pkg/util/webhook/client.go
Source: kubernetes/kubernetes@v1.36.2 staging/src/k8s.io/apiserver/pkg/util/proxy/proxy.go (ResolveCluster)
Source: kubernetes/kubernetes@v1.36.2 cmd/kube-apiserver/app/server.go (buildServiceResolver)
Source: kubernetes/kubernetes@v1.36.2
    staging/src/k8s.io/apiserver/pkg/admission/plugin/webhook/request/admissionreview.go (VerifyAdmissionResponse)
Unproven: the words for what is no JSON and for connections that break; Go's and Python's libraries have their own.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Callable
from http.client import HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from thinkube_nornir.lab.kube.objects import Object
from thinkube_nornir.lab.kube.store import Store
from thinkube_nornir.lab.kube.webhooks import NoAnswer, Unanswered

Behaviour = Callable[[Object], Object]
"""From an AdmissionReview's request to its response, `{"allowed": True}`."""


class Caller:
    def __init__(self, store: Store) -> None:
        self._store = store
        self.behaviours: dict[tuple[str, str], Behaviour] = {}
        """By namespace and name of the service."""

    async def answer(self, asked: Unanswered) -> Object | NoAnswer:
        client = asked.hook["clientConfig"]
        service, seconds = client.get("service"), asked.hook.get("timeoutSeconds", 10)
        url = client.get("url") or "https://{name}.{namespace}.svc:{port}{path}".format(
            **{"port": 443, "path": "", **service}
        )
        url = f"{url}?timeout={seconds}s"
        try:
            if service:
                return self._of_pods(service, asked.review)
            return await asyncio.to_thread(_posted, url, client, asked.review, seconds)
        except NoAnswer as error:
            return error
        except TimeoutError:
            return _failed(url, "context deadline exceeded")
        except (HTTPException, OSError) as error:
            return _failed(url, _plain(error, url))
        except _Unreachable as error:
            return _failed(url, str(error))

    def _of_pods(self, service: Object, review: Object) -> Object:
        place = (service["namespace"], service["name"])
        found = self._store.get("services", place)
        if found is None:
            raise _Unreachable(f'service "{place[1]}" not found')
        subsets = (self._store.get("endpoints", place) or {}).get("subsets") or ()
        if not any(subset.get("addresses") for subset in subsets):
            address = f"{found['spec'].get('clusterIP')}:{service.get('port', 443)}"
            raise _Unreachable(f"dial tcp {address}: connect: connection refused")  # kube-proxy's answer
        behaviour = self.behaviours.get(place)
        return behaviour(review["request"]) if behaviour else {"allowed": True}


class _Unreachable(Exception):
    """There is nobody behind the service."""


def _failed(url: str, why: str) -> NoAnswer:
    return NoAnswer(f'failed to call webhook: Post "{url}": {why}')


def _posted(url: str, client: Object, review: Object, seconds: int) -> Object:
    trusted = base64.b64decode(client.get("caBundle") or "").decode() or None
    context = ssl.create_default_context(cadata=trusted)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Go accepts authorities without keyUsage
    parts = urlsplit(url)
    connection = HTTPSConnection(parts.hostname or "", parts.port, timeout=seconds, context=context)
    try:
        body = json.dumps(review)
        connection.request("POST", f"{parts.path}?{parts.query}", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        said = response.read().decode(errors="replace")
    finally:
        connection.close()
    if response.status != 200:
        why = f'an error on the server ("{said.strip() or "unknown"}") has prevented the request from succeeding'
        raise NoAnswer(f"failed to call webhook: {why}")
    try:
        return _verified(json.loads(said), review)
    except ValueError as error:
        raise NoAnswer(f"failed to call webhook: couldn't get version/kind; json parse error: {error}") from error


def _verified(said: Any, review: Object) -> Object:
    response = said.get("response") if isinstance(said, dict) else None
    if not isinstance(response, dict):
        raise NoAnswer("received invalid webhook response: webhook response was absent")
    wanted = review["request"]["uid"]
    if response.get("uid") != wanted:
        got = response.get("uid", "")
        raise NoAnswer(f'received invalid webhook response: expected response.uid="{wanted}", got "{got}"')
    return response


def _plain(error: Exception, url: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "tls: failed to verify certificate: x509: certificate signed by unknown authority"
    if isinstance(error, OSError) and error.strerror:
        return f"dial tcp {urlsplit(url).netloc}: connect: {error.strerror.lower()}"
    return str(error)
