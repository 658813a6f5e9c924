"""The templates' environment, and that the templates come along."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from thinkube_nornir.reporting.rendering import environment

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "thinkube_nornir"


def test_every_template_is_part_of_what_is_installed() -> None:
    """A wheel without the templates would fail at its first report."""
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = setuptools["package-data"]["thinkube_nornir"]

    paths = [path.relative_to(PACKAGE) for path in (PACKAGE / "reporting" / "templates").rglob("*") if path.is_file()]

    assert paths
    assert [str(p) for p in paths if not any(p.match(pattern) for pattern in patterns)] == []


def test_every_template_can_be_compiled() -> None:
    """A mistake in a template that is rarely used is found here, not in an operator's run."""
    names = environment().list_templates()

    assert names
    for name in names:
        environment().get_template(name)


def test_an_undefined_name_is_an_error() -> None:
    """A report with a hole in it is worse than none."""
    with pytest.raises(UndefinedError):
        environment().from_string("{{ nothing }}").render()


@pytest.mark.parametrize("name", ["report.html.j2", "part.html"])
def test_html_is_escaped_by_itself(name: str) -> None:
    """Nobody has to remember it."""
    autoescape = environment().autoescape

    assert callable(autoescape)
    assert autoescape(name)
    assert not autoescape("report.md.j2")
