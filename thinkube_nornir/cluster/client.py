"""The HTTP side of the cluster door: one API server, many threads, every request with a deadline and sensible retries.

The official client supplies TLS and the connection pool. Its generated models are not used: objects stay the plain
dicts that the API speaks, so that any kind, also one from a CRD, is handled by the same few functions. Importing this
module costs 0.3 s; handle.py does it when a cluster is first opened.
"""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import urllib3
from kubernetes.client import Configuration
from kubernetes.client.rest import RESTClientObject
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError, ReadTimeoutError, SSLError
from urllib3.util.ssl_ import create_urllib3_context

from thinkube_nornir.cluster.deadline import Deadline
from thinkube_nornir.cluster.kubeconfig import Access, write_private
from thinkube_nornir.cluster.messages import Answer, Call, Object, refusal
from thinkube_nornir.errors import ClusterError, ThinkubeError
from thinkube_nornir.secret import redact

if TYPE_CHECKING:
    from thinkube_nornir.evidence.recorder import Recorder

Dial = Callable[[], socket.socket]
"""Opens a stream to the API server, through the SSH connection to a host."""

_ATTEMPT = 15.0  # seconds one attempt may be silent: a dropped link is noticed, a busy API is not
_WRITE = 40.0  # a write may wait for admission webhooks, 30 s each; the API server itself ends any write after 34 s
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0


class _Again(Exception):
    """This attempt failed, another one may do better."""

    def __init__(self, error: ClusterError, after: float = 0.0) -> None:
        super().__init__(error.what)
        self.error = error
        self.after = after


class Client:
    """Thread-safe."""

    def __init__(
        self, host: str, access: Access, state: Path, dial: Dial | None = None, evidence: Recorder | None = None
    ) -> None:
        """
        Args:
            state: the private folder where the files live that the TLS library wants to read.
            dial: how to reach the server; None for a plain TCP connection.
            evidence: where requests and answers are recorded, if anywhere.
        """
        self.host = host
        self._evidence = evidence
        self._server = access.server
        self._headers = {"Accept": "application/json", "User-Agent": "thinkube-nornir"}
        if access.token:
            self._headers["Authorization"] = f"Bearer {access.token.reveal()}"
        self.tls = _tls(host, access, state)
        self._pool = _pool(access, self.tls, dial)
        self._given_up = False

    def request(self, call: Call, deadline: Deadline) -> Answer:
        """Send until there is an answer that another attempt would not better; any status is returned.

        When the last attempt got no answer, the error tells the last real one as well.

        After one call that waited in vain for a server the next ones make one attempt each, until it answers again:
        a dozen checks of a dead API must not take a dozen times the deadline.

        Raises:
            ClusterError: no answer within the deadline, or a server that is not the one we know.
            Cancelled: the operator ended the run.
        """
        pause, answered = _FIRST_PAUSE, ""
        while True:
            deadline.pause(0)
            try:
                answer = self._attempt(call, deadline)
            except _Again as again:
                error, wait = again.error, max(pause, again.after)
                answered = error.answered or answered
                if self._given_up or wait >= deadline.left:
                    self._given_up = error.status != 429  # a busy server is no dead one
                    if error.status is None and answered:
                        error.why, error.answered = f"{error.why}\nits last answer before that: {answered}", answered
                    raise error from again.__cause__
                reason = error.why or error.what
            else:
                self._given_up = False
                return answer
            deadline.pause(wait)
            deadline.note(reason)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def ask(self, call: Call, deadline: Deadline) -> Object:
        """Like `request`, for an answer that must be good."""
        answer = self.request(call, deadline)
        if not answer.good:
            raise refusal(answer, call.doing, self.host)
        return answer.json()

    def stream(self, call: Call, seconds: float) -> Iterator[Object]:
        """The lines of a watch, until the server ends it after about `seconds`, or the connection is lost.

        Raises:
            ClusterError: the watch was refused; status 410 means that its resourceVersion is too old.
        """
        try:
            with closing(self._send(call, connect=min(seconds, _ATTEMPT), read=seconds + 2, preload=False)) as response:
                if response.status != 200:
                    answer = Answer(response.status, response.data, response.headers)
                    raise refusal(answer, call.doing, self.host)
                yield from self._events(call, response)
        except (HTTPError, OSError, ValueError) as error:
            raise self._unanswered(call, error) from error

    def _events(self, call: Call, response: urllib3.BaseHTTPResponse) -> Iterator[Object]:
        began = time.monotonic()
        events: list[Object] = []
        try:
            for line in response:
                if line.strip():
                    events.append(json.loads(line))
                    yield events[-1]
        finally:
            if self._evidence:
                answer = {"status": response.status, "events": events}
                self._evidence.request(self.host, {"method": call.method, "url": call.url}, answer, began)

    def close(self) -> None:
        self._pool.clear()

    def _attempt(self, call: Call, deadline: Deadline) -> Answer:
        timeout = max(0.001, min(_ATTEMPT if call.method == "GET" else _WRITE, deadline.left))
        try:
            response = self._recorded(call, min(timeout, _ATTEMPT), timeout)
        except NewConnectionError as error:
            raise _Again(self._unanswered(call, error)) from error
        except (HTTPError, OSError) as error:
            if call.repeatable and not _unknown_host_key(error):
                raise _Again(self._unanswered(call, error)) from error
            raise self._unanswered(call, error) from error
        answer = Answer(response.status, response.data, response.headers)
        if answer.status == 429 or (answer.status >= 500 and call.repeatable and not _final(call, answer)):
            raise _Again(refusal(answer, call.doing, self.host), answer.retry_after)
        return answer

    def _recorded(self, call: Call, connect: float, read: float) -> urllib3.BaseHTTPResponse:
        """One attempt, recorded whatever becomes of it."""
        began = time.monotonic()
        answer: dict[str, Any] = {}
        try:
            response = self._send(call, connect=connect, read=read)
            answer = {"status": response.status, "body": response.data}
        except (HTTPError, OSError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
            raise
        else:
            return response
        finally:
            if self._evidence:
                self._evidence.request(self.host, {"method": call.method, "url": call.url}, answer, began)

    def _send(self, call: Call, *, connect: float, read: float, preload: bool = True) -> urllib3.BaseHTTPResponse:
        body = None if call.body is None else json.dumps(call.body).encode()
        return self._pool.request(
            call.method,
            self._server + call.url,
            body=body,
            headers=self._headers | ({"Content-Type": call.content_type} if body else {}),
            timeout=urllib3.Timeout(connect=connect, read=read),
            preload_content=preload,
            retries=False,
        )

    def _unanswered(self, call: Call, error: Exception) -> ClusterError:
        what = f"{call.doing} failed (cluster of {self.host}): no answer from {self._server}"
        if _unknown_host_key(error):
            return ClusterError(
                what,
                why=f"its certificate is not the one the kubeconfig vouches for: {error}",
                fix=f"make sure that this address belongs to the cluster of {self.host}; was its certificate renewed?",
            )
        return ClusterError(
            what, why=redact(_plain(error)), fix=f"see whether the API server on {self.host} is running"
        )


def _final(call: Call, answer: Answer) -> bool:
    """A write whose 500 has no reason (a field that the schema has not) will fail again.

    With a reason it is a webhook or etcd, which may be back in a moment.
    """
    return call.method != "GET" and answer.status == 500 and not answer.reason


def _unknown_host_key(error: BaseException) -> bool:
    reason = error.args[0] if isinstance(error, SSLError) and error.args else error
    return isinstance(reason, ssl.SSLCertVerificationError)


def _plain(error: Exception) -> str:
    match error:
        case ReadTimeoutError():
            return "it took the request and then stayed silent"
        case ProtocolError() if len(error.args) > 1:
            return f"the connection was lost: {error.args[1]}"
        case _:
            return f"{type(error).__name__}: {error}"


def _pool(access: Access, tls: ssl.SSLContext, dial: Dial | None) -> urllib3.PoolManager:
    configuration = Configuration(host=access.server)
    configuration.proxy = None  # the cluster is on our own networks or behind SSH; a web proxy is neither
    configuration.tls_server_name = access.server_name or None
    configuration.connection_pool_maxsize = 64  # connections kept; more are made when more threads ask at once
    pool: urllib3.PoolManager = RESTClientObject(configuration).pool_manager
    pool.connection_pool_kw["ssl_context"] = tls
    if dial:
        pool.pool_classes_by_scheme = {"https": _through(dial)}
    return pool


def _tls(host: str, access: Access, state: Path) -> ssl.SSLContext:
    """The library's own TLS settings without VERIFY_X509_STRICT; chain and name are verified as ever.

    Python 3.13 sets that flag, and with it refuses an authority without keyUsage: `CA cert does not include key usage
    extension`. Such authorities are in use, and live as long as their clusters.
    """
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    try:
        context.load_verify_locations(cadata=access.ca.decode())
        if access.client:  # the ssl module reads keys from files only
            context.load_cert_chain(write_private(state / f"kubeconfig-{host}.pem", access.client.reveal().encode()))
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"the kubeconfig from {host} cannot be used",
            why=f"its certificates or its key cannot be read: {error}",
            fix=f"look at the kubeconfig on {host}: is the cluster installed and running there?",
        ) from error
    return context


def _through(dial: Dial) -> type[HTTPSConnectionPool]:
    """A pool whose connections start from `dial`. TLS still verifies the address that the URL names."""

    class Connection(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            try:
                stream = dial()
            except (ThinkubeError, OSError) as error:
                raise NewConnectionError(self, str(error)) from error
            if stream.family != socket.AF_UNIX:
                stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else each write takes 40 ms
            stream.settimeout(float(self.timeout) if isinstance(self.timeout, (int, float)) else None)
            return stream

    class Pool(HTTPSConnectionPool):
        ConnectionCls = Connection

    return Pool
