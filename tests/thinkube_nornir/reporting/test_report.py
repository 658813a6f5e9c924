"""Reports: which there are, and how they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fake_run import MIXED, record, row
from thinkube_nornir.errors import ConfigError
from thinkube_nornir.reporting.html_report import as_html
from thinkube_nornir.reporting.json_report import as_dict
from thinkube_nornir.reporting.markdown_report import as_markdown
from thinkube_nornir.reporting.report import WRITERS, write


def test_emulated_parts_are_named() -> None:
    """A report from the lab cannot pass for one from real hosts."""
    made = record(row(), target="lab", emulated=("snapd", "MicroK8s"))

    assert as_dict(made)["run"]["emulated"] == ["snapd", "MicroK8s"]
    for text in (as_markdown(made), as_html(made)):
        assert "snapd, MicroK8s" in text
        assert "emulated, not real" in text


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
