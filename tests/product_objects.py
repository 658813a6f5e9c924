"""Everything that the product writes to clusters and gives to charts, recorded where all of it passes.

with recorded() as recording:
    project("run", "all")
recording.writes       bodies as they were sent to the API server, and what it answered
recording.reads        which objects it was asked for, by name or by labels
recording.releases     charts with their values

Nothing can go past it unseen: every request leaves by `Client._send`, and every release by `helm.changes._upgrade`.
"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import urllib3

from thinkube_nornir.cluster.client import Client
from thinkube_nornir.cluster.messages import Call
from thinkube_nornir.helm import Release, changes

Object = dict[str, Any]
_ROOT = Path(__file__).resolve().parents[1]
_ALTERING = ("POST", "PUT", "PATCH")


@dataclass(frozen=True)
class Write:
    method: str
    url: str
    content_type: str
    body: Object
    answer: Object | None
    """The object as the API server has it now; None when it refused."""
    sites: frozenset[str]
    """The product's functions that it came through: `tasks/shared/microk8s/node_address.py:apply_it`."""

    @property
    def partial(self) -> bool:
        """Whether the body is some fields of an object: the rest is there already."""
        return self.method == "PATCH"

    @property
    def sent(self) -> Object:
        """The body; with the object's kind, which a merge patch leaves out."""
        return {name: self.answer[name] for name in ("apiVersion", "kind")} | self.body if self.answer else self.body

    @property
    def name(self) -> str:
        metadata = self.sent.get("metadata", {})
        return f"{self.sent.get('kind')} {metadata.get('name') or metadata.get('generateName')}"


@dataclass(frozen=True)
class Read:
    url: str
    sites: frozenset[str]


@dataclass
class Recording:
    writes: list[Write] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)

    @property
    def sites(self) -> frozenset[str]:
        return frozenset().union(*(write.sites for write in self.writes))


@contextmanager
def recorded() -> Iterator[Recording]:
    """Record for the time of the block, in all threads of this process."""
    recording = Recording()
    send, upgrade = Client._send, changes._upgrade

    def sent(client: Client, call: Call, **how: Any) -> urllib3.BaseHTTPResponse:
        answer = send(client, call, **how)
        if call.method in _ALTERING and call.body is not None:
            made = json.loads(answer.data) if answer.status in (200, 201) else None
            body = copy.deepcopy(call.body)
            recording.writes.append(Write(call.method, call.url, call.content_type, body, made, _sites()))
        elif call.method == "GET":
            recording.reads.append(Read(call.url, _sites()))
        return answer

    def upgraded(*arguments: Any) -> Any:
        recording.releases.append(next(found for found in arguments if isinstance(found, Release)))
        return upgrade(*arguments)

    with patch.object(Client, "_send", sent), patch.object(changes, "_upgrade", upgraded):
        yield recording


def _sites() -> frozenset[str]:
    """The functions of the project on this thread's stack."""
    found, frame = set(), sys._getframe(2)
    while frame.f_back is not None:
        path = Path(frame.f_code.co_filename).resolve()  # a test's project links to tasks/
        if path.is_relative_to(_ROOT):
            found.add(f"{path.relative_to(_ROOT)}:{frame.f_code.co_name}")
        frame = frame.f_back
    return frozenset(found)
