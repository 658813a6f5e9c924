"""The HTTP side of the cluster API: one API server, many threads, every request with a deadline and sensible retries.

The official client supplies TLS and the connection pool. Its generated models are not used: objects stay the plain
dicts that the API speaks, so that any kind, also one from a CRD, is handled by the same few functions. Importing this
module costs 0.3 s; handle.py does it when a cluster is first opened.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import urllib3
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError, ReadTimeoutError, SSLError

from thinkube_nornir.cluster.connections import Dial, pool_of, tls_of
from thinkube_nornir.cluster.deadline import Deadline
from thinkube_nornir.cluster.kubeconfig import Access
from thinkube_nornir.cluster.messages import Answer, Call, Object, refusal, unreachable_through
from thinkube_nornir.cluster.silence import Silence, is_silence
from thinkube_nornir.errors import ClusterError, ClusterUnreachable, ThinkubeError, Unreachable
from thinkube_nornir.secret import redact

if TYPE_CHECKING:
    from thinkube_nornir.evidence.recorder import Recorder

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
        self,
        host: str,
        access: Access,
        state: Path,
        dial: Dial | None = None,
        evidence: Recorder | None = None,
        longest_silence: float = 60.0,
    ) -> None:
        """
        Args:
            state: the private folder where the files live that the TLS library wants to read.
            dial: how to reach the server; None for a plain TCP connection.
            evidence: where requests and answers are recorded, if anywhere.
            longest_silence: seconds after which a server that says nothing is not waited for any more.
        """
        self.host = host
        self._evidence = evidence
        self._server = access.server
        self._headers = {"Accept": "application/json", "User-Agent": "thinkube-nornir"}
        if access.token:
            self._headers["Authorization"] = f"Bearer {access.token.reveal()}"
        self.tls = tls_of(host, access, state)
        self._pool = pool_of(access, self.tls, dial)
        self._given_up = False
        self._silence = Silence(longest_silence)

    def request(self, call: Call, deadline: Deadline) -> Answer:
        """Send until there is an answer that another attempt would not better; any status is returned.

        When the last attempt got no answer, the error tells the last real one as well.

        After one call that waited in vain for a server the next ones make one attempt each, until it answers again:
        a dozen checks of a dead API must not take a dozen times the deadline.

        Raises:
            ClusterError: no answer within the deadline, or a server that is not the one we know.
            ClusterUnreachable: the host through which it is reached does not answer, or it has been silent for long.
            Cancelled: the operator ended the run.
        """
        pause, answered, began = _FIRST_PAUSE, "", time.monotonic()
        while True:
            deadline.pause(0)
            self._silence.must_be_over(call, self.host)
            try:
                answer = self._attempt(call, deadline)
            except _Again as again:
                error, wait = again.error, max(pause, again.after)
                answered = error.answered or answered
                if is_silence(again.__cause__):
                    self._silence.note(began)
                if self._given_up or wait >= deadline.left:
                    self._given_up = error.status != 429  # a busy server is no dead one
                    self._silence.given_up(began)
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
        except (HTTPError, OSError) as error:
            failed = self._unanswered(call, error)
            started = not isinstance(error, NewConnectionError)
            if isinstance(failed, ClusterUnreachable) or _unknown_host_key(error) or (started and not call.repeatable):
                raise failed from error
            raise _Again(failed) from error
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
        response = self._pool.request(
            call.method,
            self._server + call.url,
            body=body,
            headers=self._headers | ({"Content-Type": call.content_type} if body else {}),
            timeout=urllib3.Timeout(connect=connect, read=read),
            preload_content=preload,
            retries=False,
        )
        self._silence.end()
        return response

    def _unanswered(self, call: Call, error: Exception) -> ClusterError:
        if isinstance(error.__cause__, Unreachable):
            return unreachable_through(self.host, error.__cause__)
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
        case NewConnectionError() if isinstance(error.__cause__, ThinkubeError):
            return str(error.__cause__)
        case ReadTimeoutError():
            return "it took the request and then stayed silent"
        case ProtocolError() if len(error.args) > 1:
            return f"the connection was lost: {error.args[1]}"
        case _:
            return f"{type(error).__name__}: {error}"
