"""Reports for machines and people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fake_run import failed, record, row
from thinkube_nornir.errors import ConfigError
from thinkube_nornir.outcome import Outcome
from thinkube_nornir.reporting.html_report import as_html
from thinkube_nornir.reporting.json_report import as_dict, as_json
from thinkube_nornir.reporting.junit_report import as_junit
from thinkube_nornir.reporting.markdown_report import as_markdown
from thinkube_nornir.reporting.record import Record
from thinkube_nornir.reporting.report import WRITERS, write
from thinkube_nornir.reporting.terminal import clean

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "report.schema.json").read_text())

MIXED = record(
    row("install", chain="setup", outcome=Outcome.CHANGED, message="install microk8s", started=1_700_000_000.5),
    row(),
    failed(host="tkw1"),
    row(host="tkw2", outcome=Outcome.SKIPPED, message="tkw2 is unreachable"),
    row(host="tkw3", outcome=None),
)
_TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
}


def conform(value: Any, schema: dict[str, Any], where: str = "report") -> None:
    """Assert that a value conforms to as much of JSON Schema as docs/report.schema.json uses."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if value is None:
        assert "null" in kinds, where
        return
    assert not kinds or any(isinstance(value, _TYPES[kind]) for kind in kinds if kind != "null"), where
    assert "const" not in schema or value == schema["const"], where
    assert "enum" not in schema or value in schema["enum"], where
    assert not ("minimum" in schema and value < schema["minimum"]), where
    if isinstance(value, dict):
        assert set(schema.get("required", [])) <= set(value), where
        known, other = schema.get("properties", {}), schema.get("additionalProperties", True)
        for key, member in value.items():
            assert key in known or other is not False, f"{where}.{key}"
            conform(member, known.get(key, other), f"{where}.{key}")
    if isinstance(value, list):
        for index, item in enumerate(value):
            conform(item, schema["items"], f"{where}[{index}]")


@pytest.mark.parametrize("made", [MIXED, record(), record(row(), interrupted=True)])
def test_json_conforms_to_the_schema(made: Record) -> None:
    """What is written is what docs/report.schema.json promises, for every outcome."""
    conform(json.loads(as_json(made)), SCHEMA)


def test_json_of_thousands_of_nodes_is_complete() -> None:
    """Each node is there once, and the counts are those of the nodes."""
    outcomes = [Outcome.CHANGED, Outcome.UNCHANGED, Outcome.SKIPPED, None]
    rows = [row(f"step_{n}", f"h{n % 100}", outcomes[n % 4]) for n in range(4000)]

    told = as_dict(record(*rows))

    assert [node["id"] for node in told["nodes"]] == [r.id for r in rows]
    assert {word: count for word, count in told["counts"].items() if count} == dict.fromkeys(
        ("changed", "unchanged", "skipped", "missing"), 1000
    )
    assert sum(sum(counts.values()) for counts in told["hosts"].values()) == 4000
    assert told["verdict"] == "failed"


def test_junit_says_what_failed_and_what_is_missing() -> None:
    """Failures, missing results and skips are told apart, and the totals agree with the cases."""
    root = ET.fromstring(as_junit(MIXED))  # noqa: S314 our own text

    assert (root.get("tests"), root.get("failures"), root.get("errors"), root.get("skipped")) == ("5", "1", "1", "1")
    cases = {case.get("name"): [child.tag for child in case] for case in root.iter("testcase")}
    assert cases["coredns_answers[tkw1]"] == ["failure"]
    assert cases["coredns_answers[tkw2]"] == ["skipped"]
    assert cases["coredns_answers[tkw3]"] == ["error"]
    assert "the Corefile has no forward line" in (root.findtext(".//failure") or "")


@given(st.text())
def test_junit_can_carry_anything_a_host_says(said: str) -> None:
    """No byte from a host makes a report that cannot be read back."""
    made = record(failed(what=clean(said)), row(message=clean(said)))

    root = ET.fromstring(as_junit(made))  # noqa: S314 our own text

    case = root.find(".//failure")
    assert case is not None
    as_markdown(made).encode()


def test_markdown_has_matrix_and_failures() -> None:
    """A reader sees the verdict, each check, and why one failed."""
    text = as_markdown(MIXED)

    assert text.startswith("# run phase5: failed\n")
    assert "coredns_answers" in text
    assert "why   the Corefile has no forward line" in text


def test_emulated_parts_are_named() -> None:
    """A report from the lab cannot pass for one from real hosts."""
    made = record(row(), target="lab", emulated=("snapd", "MicroK8s"))

    assert as_dict(made)["run"]["emulated"] == ["snapd", "MicroK8s"]
    for text in (as_markdown(made), as_html(made)):
        assert "emulated, not real: snapd, MicroK8s" in text


@pytest.mark.parametrize("ending", WRITERS)
def test_reports_are_written_by_their_ending(ending: str, tmp_path: Path) -> None:
    """The folder is made, the file holds the format's text, and nothing else is left beside it."""
    path = tmp_path / "out" / f"report{ending}"
    write(MIXED, path)

    assert path.read_text() == WRITERS[ending](MIXED)
    assert list(path.parent.iterdir()) == [path]


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    """The error names the endings that we know."""
    with pytest.raises(ConfigError, match=r"\.json, \.xml"):
        write(MIXED, tmp_path / "report.pdf")


def test_a_report_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """No traceback: the path and the reason."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write"):
        write(MIXED, tmp_path / "file" / "report.json")
