"""Promise 10: what failed, on which host, why, and what to do; one bad host neither stops nor poisons the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.promises.conftest import Labs
from tests.promises.lab_project import ROOT, LabProject, differences, kill

pytestmark = pytest.mark.lab


def _errors(ended: Any, host: str) -> list[dict[str, str]]:
    return [n["error"] for n in ended.report["nodes"] if n["host"] == host and n["error"]]


def test_a_dead_host_turns_the_result_red_and_stops_nobody(standing: LabProject) -> None:
    """The others' checks run and hold; the dead one's are in the matrix and not green."""
    standing.fault("tkw1", "dead")
    try:
        ended = standing("verify", "phase5")
    finally:
        standing.fault("tkw1", "none")

    assert ended.code == 1
    assert _errors(ended, "tkw1")[0]["kind"] == "Unreachable"
    assert _errors(ended, "tkw1")[0]["fix"]
    hosts = {host for _, _, host in ended.places("passed")}
    assert hosts == {"bcn1", "tkc"}
    assert ended.places("failed") <= {p for p in ended.places("failed") if p[2] == "tkw1"}
    assert "✗" in ended.out  # the matrix has a column for it
    assert "Traceback" not in ended.told


def test_a_dead_host_does_not_stop_a_set_up(labs: Labs) -> None:
    """What does not need it is set up; what does is skipped, with the reason; code 1."""
    project = labs()
    project.fault("bcn1", "dead")

    ended = project("run", "phase5")

    assert ended.code == 1
    changed = {(c, h) for c, _, h in ended.places("changed")}
    assert {("phase5.microk8s_control", "tkc"), ("phase5.microk8s_workers", "tkw1")} <= changed
    assert {host for _, _, host in ended.places("failed")} == {"bcn1"}
    counted = next(n for n in ended.report["nodes"] if n["step"] == "every_member_is_a_node")
    assert (counted["outcome"], counted["message"]) == ("passed", "tkc, tkw1; not judged: bcn1 (unreachable)")
    project.fault("bcn1", "none")
    assert project("run", "phase5").code == 0


def test_a_full_disk_is_an_error_that_says_so(labs: Labs) -> None:
    """With room again the set-up goes on; no half file stays."""
    project = labs()
    before = project.snapshot()
    project.fault("tkc", "full")

    ended = project("run", "phase5.microk8s_control")

    assert ended.code == 1
    error = _errors(ended, "tkc")[0]
    assert "No space left" in error["what"] + error["why"], error
    assert error["fix"]
    project.fault("tkc", "none")
    assert project("rollback", "phase5.microk8s_control").code == 0
    assert "\n".join(differences(before, project.snapshot())) == ""


def test_an_ssh_server_that_dies_in_the_middle_is_outlived_or_told(labs: Labs) -> None:
    """The connection is made again where that is safe, else the step says that it was lost; running again is green."""
    project = labs()
    with project.started("run", "phase5") as process:
        project.fault("tkw1", "sshd", seconds=0.5)
        out, err = process.communicate(timeout=60)

    assert process.returncode in (0, 1), out + err
    assert "Traceback" not in out + err
    assert project("run", "phase5").code == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "phase55"), "did you mean phase5?"),
        (("verify", "phase5", "-l", "tkw2"), "tkw1"),
        (("verify", "phase5", "-l", "dns1"), "none of dns1 is in a group that gets it"),
        (("verify", "phase5", "-l", "tkw1,!tkw1"), "-l"),
        (("run", "phase5", "--report", "r.pdf"), ".json"),
    ],
)
def test_a_wrong_request_is_explained(standing: LabProject, arguments: tuple[str, ...], told: str) -> None:
    """Code 2, one line with the near or the known names, and nothing is touched."""
    ended = standing.bare(*arguments)

    assert ended.code == 2
    assert told in ended.err
    assert "Traceback" not in ended.told


def test_a_misspelt_setting_is_found_with_its_line(labs: Labs) -> None:
    """Before anything starts, with file, line and the near name."""
    project = labs()
    path = project.folder / "inventory/hosts.yaml"
    path.write_text(path.read_text().replace("lan_ip: 192.168.1.111", "lan_pi: 192.168.1.111"))

    ended = project.bare("run", "phase5")

    assert ended.code == 2
    assert "hosts.yaml:" in ended.err
    assert "lan_ip" in ended.err
    assert "Traceback" not in ended.told


def test_a_second_controller_is_told_who_is_at_work(labs: Labs) -> None:
    """While a set-up runs another one is refused, with the holder's name and process."""
    project = labs()
    with project.started("run", "phase5") as process:
        assert process.stdout is not None
        while "hosts  " not in process.stdout.readline():
            pass
        ended = project.bare("run", "phase5")
        kill(process)

    assert ended.code == 2
    assert str(process.pid) in ended.err


@pytest.mark.parametrize(
    ("limit", "hosts"), [("tkw1", {"tkw1"}), ("microk8s,!bcn1", {"tkc", "tkw1"}), ("baremetal", {"bcn1"})]
)
def test_a_limit_is_kept(standing: LabProject, limit: str, hosts: set[str]) -> None:
    """Only these hosts are checked, with what is checked once, and the first lines say which hosts they are."""
    ended = standing("verify", "phase5", "-l", limit)

    assert ended.code == 0, ended.told
    nodes = ended.report["nodes"]
    assert {n["host"] for n in nodes if not n["prerequisite"]} == hosts
    assert {n["host"] for n in nodes} == hosts | {"tkc"}
    assert f"hosts  {', '.join(sorted(hosts))}" in ended.out


def test_reports_are_valid(standing: LabProject) -> None:
    """JSON fits docs/report.schema.json as far as required members go; JUnit parses and counts the same."""
    junit = standing.folder / "report.xml"

    ended = standing("verify", "phase5", "--report", str(junit))

    _must_fit(ended.report, json.loads((ROOT / "docs/report.schema.json").read_text()), Path("report"))
    suites = ET.fromstring(junit.read_text())  # noqa: S314 our own file
    assert int(suites.attrib["tests"]) == len(ended.report["nodes"]) == len(suites.findall("./testsuite/testcase"))


def _must_fit(value: Any, schema: dict[str, Any], at: Path, root: dict[str, Any] | None = None) -> None:
    """The part of JSON Schema that our schema uses: type, enum, const, required, properties, items, $ref, anyOf."""
    root = root or schema
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    if "enum" in schema:
        assert value in schema["enum"], at
    if "const" in schema:
        assert value == schema["const"], at
    if isinstance(value, dict):
        assert set(schema.get("required", ())) <= set(value), at
        if schema.get("additionalProperties") is False:
            assert set(value) <= set(schema["properties"]), at
        for name, inner in value.items():
            _must_fit(inner, schema.get("properties", {}).get(name, {}), at / name, root)
    if isinstance(value, list):
        for number, inner in enumerate(value):
            _must_fit(inner, schema.get("items", {}), at / str(number), root)
