"""The benchmark's work is the same for both of our own tools; how long it takes is not asked here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks.compare import TOOLS, WORK, Bench, measure, standing, table, timed
from tests.openssh import needs_sshd

pytestmark = [pytest.mark.openssh, needs_sshd]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with standing(2, tmp_path) as bench:
        yield bench


def test_each_tool_leaves_the_same_files(bench: Bench) -> None:
    """After a first and a second run every host has the files, lines and marks that the work asks for, and no other."""
    for tool in ("nornir", "limit"):
        bench.clear()
        for _ in range(2):
            timed(bench, TOOLS[tool], "run")

        for number in range(2):
            found = {path.name: path.read_text() for path in Path(bench.data(number)).iterdir()}
            assert sorted(found) == ["command1", "command2", *(f"service{n}.conf" for n in range(10)), "settings"], tool
            assert found["settings"] == "alpha = 1\nbeta = 2\ngamma = 3\n"
            assert "listen = 127.0.0.1:9007\n" in found["service7.conf"]


@pytest.mark.parametrize("tool", ["nornir", "limit"])
def test_verify_fails_on_a_host_that_lacks_a_line(bench: Bench, tool: str) -> None:
    """A tool that checked nothing would look fast: its process must fail."""
    timed(bench, TOOLS[tool], "run")
    Path(bench.data(1), "settings").write_text("alpha = 1\n")

    with pytest.raises(SystemExit):
        timed(bench, TOOLS[tool], "verify")


def test_table_has_a_line_for_each_tool(bench: Bench) -> None:
    """Every work of every tool is measured."""
    lines = table(2, measure(bench, ["nornir", "limit"], 1)).splitlines()

    assert [line.split()[0] for line in lines] == ["2", "nornir", "limit"]
    assert lines[1].count(" s ") == len(WORK)
