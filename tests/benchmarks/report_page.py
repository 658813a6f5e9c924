"""How large the report of a large installation is, and how quickly Chromium shows it.

`python -m tests.benchmarks.report_page`; figures of one machine at one time; no test asserts them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests import chromium
from tests.chromium import Reader
from tests.large_runs import installation, verification
from thinkube_nornir.reporting.html_report import as_html
from thinkube_nornir.reporting.record import Record

if TYPE_CHECKING:
    from playwright.sync_api import Page

RUNS = {"verify, 50 hosts x 40 checks": verification, "run, 50 hosts x 60 steps": installation}
_WATCH = """window.tasks = [];
new PerformanceObserver((list) => tasks.push(...list.getEntries())).observe({ entryTypes: ["longtask"] });"""
_LOADED = """() => new Promise((resolve) => setTimeout(() => {
    const { loadEventEnd } = performance.getEntriesByType("navigation")[0];
    const [paint] = performance.getEntriesByName("first-contentful-paint");
    resolve([loadEventEnd, paint ? paint.startTime : NaN, Math.max(0, ...tasks.map((task) => task.duration))]);
}, 1000))"""
_FRAME = """(act) => new Promise((resolve) => {
    const begin = performance.now();
    eval(act);
    requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - begin), 0));
})"""
_TYPED = "const t = document.querySelector('#text'); t.value = '{text}'; t.dispatchEvent(new Event('input'))"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, chromium.started(Path(folder)) as browser:
        for name, make in RUNS.items():
            record = make()
            page = Reader(browser, Path(folder)).open(record)
            print(f"{name}: {', '.join(_figures(record, page))}")  # noqa: T201


def _figures(record: Record, page: Page) -> list[str]:
    page.add_init_script(_WATCH)
    page.reload()
    load, paint, task = page.evaluate(_LOADED)
    keys = [_milliseconds(page, _TYPED.format(text="node-37"[:length])) for length in range(1, 8)]
    cleared = _milliseconds(page, _TYPED.format(text=""))
    unfolded = _milliseconds(page, "document.querySelector('#unfold').click()")
    return [
        f"{len(as_html(record).encode()) / 1e6:.2f} MB",
        f"loaded in {load:.0f} ms",
        f"first paint after {paint:.0f} ms",
        f"longest task {task:.0f} ms",
        f"a key in the filter {sorted(keys)[len(keys) // 2]:.0f} ms, the slowest {max(keys):.0f} ms",
        f"cleared in {cleared:.0f} ms",
        f"all unfolded in {unfolded:.0f} ms",
    ]


def _milliseconds(page: Page, act: str) -> float:
    """From what is done to the frame that shows it."""
    return float(page.evaluate(_FRAME, act))


if __name__ == "__main__":
    main()
