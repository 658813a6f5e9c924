"""A report's page in headless Chromium: what it says on the console, and what it asks for, are faults in any test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from thinkube_nornir.reporting.html_report import as_html
from thinkube_nornir.reporting.record import Record

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",  # root has none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def program() -> str | None:
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def started(home: Path) -> Iterator[Browser]:
    """With a profile of its own, which goes with it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=list(FLAGS), env={"HOME": str(home)})
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Reader:
    """Somebody who opens reports."""

    browser: Browser
    folder: Path
    faults: list[str] = field(default_factory=list)

    def open(
        self,
        record: Record,
        *,
        width: int = 1280,
        height: int = 900,
        dark: bool = False,
        javascript: bool = True,
        anchor: str = "",
    ) -> Page:
        path = self.folder / "report.html"
        path.write_text(as_html(record), encoding="utf-8")
        scheme: Literal["dark", "light"] = "dark" if dark else "light"
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            java_script_enabled=javascript,
            reduced_motion="reduce",
        )
        page = context.new_page()
        page.on("console", lambda message: self.faults.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.route("**/*", lambda route: self._asked(route, path.as_uri()))
        page.goto(f"{path.as_uri()}{anchor}")
        return page

    def _asked(self, route: Any, own: str) -> None:
        url = route.request.url.partition("#")[0]
        if url == own:
            route.continue_()
        else:
            self.faults.append(f"request: {url}")
            route.abort()
