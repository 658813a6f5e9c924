"""The report for CI."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from tests.fake_run import MIXED, failed, record, row
from thinkube_nornir.outcome import Outcome
from thinkube_nornir.reporting.junit_report import as_junit
from thinkube_nornir.reporting.record import Failure
from thinkube_nornir.reporting.terminal import clean

FORM = {
    "testsuites": ({"testsuite"}, set[str](), {"name", "time", "tests", "failures", "errors"}),
    "testsuite": (
        {"testcase"},
        {"name", "tests", "failures", "errors"},
        {"time", "skipped", "timestamp", "hostname", "id", "package"},
    ),
    "testcase": ({"skipped", "error", "failure", "system-out"}, {"name"}, {"time", "classname"}),
    "skipped": (set[str](), set[str](), {"type", "message"}),
    "error": (set[str](), set[str](), {"type", "message"}),
    "failure": (set[str](), set[str](), {"type", "message"}),
    "system-out": (set[str](), set[str](), set[str]()),
}
"""Element to its children, required and other attributes: as much of junit-10.xsd, Jenkins' schema, as is used here."""


def _faults(element: ET.Element) -> Iterator[str]:
    children, required, other = FORM[element.tag]
    yield from (f"{element.tag} lacks {name}" for name in required - set(element.attrib))
    yield from (f"{element.tag} has {name}" for name in set(element.attrib) - required - other)
    yield from (f"{element.tag} has <{child.tag}>" for child in element if child.tag not in children)
    if not re.fullmatch(r"[0-9]*(\.[0-9]*)?", element.get("time", "")):
        yield f"{element.tag} took {element.get('time')}"
    for child in element:
        yield from _faults(child) if child.tag in FORM else ()


def _read(text: str) -> ET.Element:
    root = ET.fromstring(text)  # noqa: S314 our own text
    assert list(_faults(root)) == []
    return root


def test_junit_says_what_failed_and_what_is_missing() -> None:
    """Failures, missing results and skips are told apart, and the totals agree with the cases."""
    root = _read(as_junit(MIXED))

    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("5", "1", "1")
    assert [suite.get("skipped") for suite in root.iter("testsuite")] == ["0", "0", "1", "0"]
    cases = {case.get("name"): [child.tag for child in case] for case in root.iter("testcase")}
    assert cases["coredns_answers[tkc]"] == ["system-out"]
    assert cases["coredns_answers[tkw1]"] == ["failure"]
    assert cases["coredns_answers[tkw2]"] == ["skipped"]
    assert cases["coredns_answers[tkw3]"] == ["error"]


def test_a_failed_check_says_what_was_expected_and_what_was_seen() -> None:
    """What the check states, in its docstring or else its name; the error; why and what to do."""
    root = _read(as_junit(record(failed(host="a"), failed(host="b", about="Both pods of CoreDNS answer."))))

    texts = [failure.text or "" for failure in root.iter("failure")]
    assert texts[0].splitlines() == [
        "expected: coredns answers",
        "seen:     0 of 2 pods are ready",
        "why:      the Corefile has no forward line",
        "fix:      run: thinkube-nornir run phase5.coredns",
    ]
    assert texts[1].startswith("expected: Both pods of CoreDNS answer.\n")


def test_a_failed_change_expected_nothing() -> None:
    """Of a step that alters, the error is all there is to say."""
    step = row("install", chain="setup", outcome=Outcome.FAILED, failure=Failure("CommandFailed", "snap ended with 1"))

    assert _read(as_junit(record(step))).findtext(".//failure") == "what:     snap ended with 1"


def test_a_suite_says_where_and_when() -> None:
    """The host and the first step's start, in the form without a zone that readers take for UTC."""
    suites = list(_read(as_junit(MIXED)).iter("testsuite"))

    assert (suites[0].get("hostname"), suites[0].get("timestamp")) == ("tkc", "2023-11-14T22:13:20")


@given(st.text(), st.text(), st.text())
def test_junit_can_carry_anything_a_host_says(what: str, why: str, said: str) -> None:
    """No byte from a host makes a report that cannot be read back."""
    failure = Failure("CheckFailed", clean(what), clean(why))
    root = _read(as_junit(record(row("a", outcome=Outcome.FAILED, failure=failure), row(message=clean(said)))))

    found = root.find(".//failure")
    assert found is not None
    assert clean(why).strip() in (found.text or "")
