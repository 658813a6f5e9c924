"""The log says what each node came to."""

from __future__ import annotations

import logging

import pytest

from tests.fake_run import complete, plan
from thinkube_nornir.errors import CommandFailed
from thinkube_nornir.reporting.node_log import NodeLog


def test_a_failed_commands_output_is_logged_whole(caplog: pytest.LogCaptureFixture) -> None:
    """The error on the terminal shows the end of it; the log line it points to has all."""
    caplog.set_level(logging.INFO)
    done, failed = plan("install", "join").nodes
    error = CommandFailed("join: exit status 1", status=1, stdout=b"a lot", stderr=b"of words\xff", why="words")
    heard = NodeLog()

    heard.node_started(done.id, done.host)
    complete(heard, done, result="installed", changed=True)
    complete(heard, failed, failed=True, exception=error)

    assert [record.levelname for record in caplog.records] == ["INFO", "ERROR"]
    assert f"{done.id}: changed: installed" in caplog.text
    assert "join: exit status 1\nwords\nstdout:\na lot\nstderr:\nof words\\xff" in caplog.text


def test_what_is_as_it_should_be_is_logged_on_request(caplog: pytest.LogCaptureFixture) -> None:
    """`-vv` has every start and result."""
    node = plan("look").nodes[0]
    lines: list[list[str]] = []

    for level in (logging.INFO, logging.DEBUG):
        caplog.set_level(level)
        caplog.clear()
        NodeLog().node_started(node.id, node.host)
        complete(NodeLog(), node, result="it holds")
        lines.append(caplog.messages)

    assert lines == [[], [f"{node.id}: started", f"{node.id}: unchanged: it holds"]]
