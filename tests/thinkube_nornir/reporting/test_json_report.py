"""The report for machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.fake_run import MIXED, failed, record, row
from thinkube_nornir.blocked_reason import NOT_FORESEEN
from thinkube_nornir.outcome import Outcome
from thinkube_nornir.reporting.json_report import SCHEMA, as_dict, as_json
from thinkube_nornir.reporting.record import Record
from thinkube_nornir.reporting.topology import Cluster, Network, PlacedHost, Topology

DOCS = Path(__file__).parents[3] / "docs"
FORM = json.loads((DOCS / "report.schema.json").read_text())
VALIDATOR = Draft202012Validator(FORM, format_checker=Draft202012Validator.FORMAT_CHECKER)

PLACES = Topology(
    (PlacedHost("tkc", "virtual machine", "bcn2", ("a card",)),),
    (Network("LAN", "192.168.1.0/24", {"tkc": "192.168.1.110"}, {"gateway": "192.168.1.1"}),),
    (Cluster("MicroK8s", ("tkc",), ("tkw1",), "control plane", "worker"),),
    {"domain": "home.example"},
)
NEEDED = row("install", outcome=Outcome.CHANGED, chain="setup", started=1_700_000_000.0, duration=3.0, retries=2)
WAITING = row(started=1_700_000_003.0, duration=1.0, needs=(NEEDED.id,), limited_by="join", about="It answers.")
PLANNED = [
    row("write", host, Outcome.PLANNED, chain="setup", message="write a file", diff="+a\n") for host in ("tkc", "tkw1")
]

UNFORESEEN = row("await", outcome=Outcome.SKIPPED, chain="setup", message=f"{NOT_FORESEEN}: 1 change is only planned")


@pytest.mark.parametrize(
    "made",
    [
        MIXED,
        record(),
        record(row(), interrupted=True),
        record(NEEDED, WAITING, topology=PLACES, next_command="run all", target="lab", emulated=("snapd",)),
        record(*PLANNED, UNFORESEEN, dry_run=True, verb="plan", left_out={"phase5.coredns": ("tkw2",)}),
    ],
)
def test_json_is_what_is_promised(made: Record) -> None:
    """Every member of docs/report.schema.json is there, and no other, for every outcome and verdict."""
    told = json.loads(as_json(made))

    assert [error.message for error in VALIDATOR.iter_errors(told)] == []
    assert not VALIDATOR.is_valid(told | {"more": 1})
    assert told["schema"] == SCHEMA


def test_every_member_is_documented() -> None:
    """docs/report-schema.md names each member of the form, and the version."""
    text = (DOCS / "report-schema.md").read_text()

    names = {*FORM["properties"], *FORM["$defs"]["node"]["properties"], *FORM["$defs"]["cause"]["properties"]}
    names |= {
        *FORM["$defs"]["change"]["properties"],
        *FORM["$defs"]["unknown"]["properties"],
        *FORM["$defs"]["topology"]["properties"],
    }
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []
    assert f"version {SCHEMA}\n" in text
    assert all(f"`{word}`" in text for word in FORM["$defs"]["counts"]["required"])


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


def test_failures_are_told_by_cause() -> None:
    """What several steps share is one cause, with the steps that failed and those that were not run because of it."""
    blocked = row("next", "tkw1", Outcome.SKIPPED, message=f"needs {failed(host='tkw1').id}, which failed")

    [cause] = as_dict(record(failed(host="tkw1"), failed(host="tkw2"), blocked))["causes"]

    assert cause["error"]["what"] == "0 of 2 pods are ready"
    assert cause["hosts"] == ["tkw1", "tkw2"]
    assert [name.rpartition("@")[2] for name in cause["failed"]] == ["tkw1", "tkw2"]
    assert cause["not_run"] == [blocked.id]


def test_a_planned_change_is_told_once() -> None:
    """With its hosts, however many they are."""
    told: dict[str, Any] = as_dict(record(*PLANNED, dry_run=True))

    assert told["planned"] == [
        {
            "component": "phase5.coredns",
            "step": "write",
            "summary": "write a file",
            "diff": "+a\n",
            "hosts": ["tkc", "tkw1"],
        }
    ]


def test_what_a_plan_cannot_know_is_told() -> None:
    """With its reason; of a run that was made, nothing is unknown."""
    told = as_dict(record(*PLANNED, UNFORESEEN, dry_run=True))

    assert [part["steps"] for part in told["unknown"]] == [["await"]]
    assert told["unknown"][0]["reason"] == "1 change is only planned"
    assert as_dict(record(UNFORESEEN))["unknown"] == []


def test_what_the_run_waited_for_is_told() -> None:
    """The critical path as ids of nodes, and of each node what it needed and shared."""
    told = as_dict(record(NEEDED, WAITING))

    assert told["critical_path"] == [NEEDED.id, WAITING.id]
    assert told["nodes"][1]["needs"] == [NEEDED.id]
    assert (told["nodes"][1]["limited_by"], told["nodes"][1]["about"]) == ("join", "It answers.")
    assert told["nodes"][0]["retries"] == 2


def test_names_from_the_inventory_are_clean() -> None:
    """A topology comes from files and not from rows: it is made harmless here."""
    places = Topology((PlacedHost("tkc\x1b[2J", notes=("a\x07",)),), facts={"domain\x1b": "b\x1b"})

    told = as_dict(record(row(), topology=places))["topology"]

    assert told["hosts"][0]["name"] == "tkc\\x1b[2J"
    assert told["hosts"][0]["notes"] == ["a\\x07"]
    assert told["facts"] == {"domain\\x1b": "b\\x1b"}
