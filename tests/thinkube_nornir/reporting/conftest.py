"""Chromium for the tests of the page, where it is."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import chromium
from tests.chromium import Reader

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """For one module: while it is there, no other event loop can run in this thread."""
    if find_spec("playwright") is None:
        pytest.skip("playwright is not installed: pip install -e '.[browser]'")
    if chromium.program() is None:
        pytest.skip(f"there is no browser: none of {', '.join(chromium.NAMES)} is on PATH")
    with chromium.started(tmp_path_factory.mktemp("home")) as started:
        yield started


@pytest.fixture
def reader(browser: Browser, tmp_path: Path) -> Iterator[Reader]:
    """Opens reports; in the end no page may have complained, or asked for anything but itself."""
    made = Reader(browser, tmp_path)
    yield made
    for context in browser.contexts:
        context.close()
    assert made.faults == []
