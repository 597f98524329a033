"""What a person sees: the first chart of a long run, and a chart that is drawn anew, in a real headless browser."""

import contextlib
import os
import shutil
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.server.board import PYTHON, TensorBoard
from benchmarks.server.content import FIGURES, LONG, PROJECT, figures, start
from benchmarks.server.report import Figures
from benchmarks.server.servers import Server
from rolloutwatch_contract import StepRecord, encode, run_id, stream_key
from rolloutwatch_contract.keys import RECORD_FIELD, entry_id
from rolloutwatch_server.transport import connect

BINARIES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
SIZE = {"width": 1280, "height": 900}
ROUNDS = 7
STEPS = 30
SECONDS_A_STEP = 1.0
MS_TO_WAIT = 60_000

OURS = "() => (document.querySelector('.js-plotly-plot .scatterlayer .js-line')?.getAttribute('d') ?? '').length > 20"
THEIRS = """() => document.querySelector('line-chart canvas')
    && performance.getEntriesByType('resource').some((one) => one.name.includes('timeSeries') && one.responseEnd > 0)"""
NOTE = """() => {
    const chart = document.querySelector('.js-plotly-plot');
    window.drawn = {};
    chart.on('plotly_afterplot', () => {
        const line = chart.data.find((one) => one.mode === 'lines');
        const step = line?.x[line.x.length - 1];
        requestAnimationFrame(() => { window.drawn[step] ??= Date.now() / 1000; });
    });
}"""


def look(server: Server, redis_url: str, steps: int, folder: Path, reasons: list[str]) -> Figures:
    """Return what a browser shows when; where there is none, nothing, and why among the reasons."""
    chromium = next(filter(None, map(shutil.which, BINARIES)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        reasons.append(f"No browser is driven: {error}.")
        return {}
    if chromium is None:
        reasons.append(f"No browser is driven: none of {', '.join(BINARIES)} is on PATH.")
        return {}
    with sync_playwright() as playwright:

        def launch() -> contextlib.AbstractContextManager[Any]:
            return _browser(playwright.chromium, chromium)

        return {"push_to_chart_median_s": _redrawn(launch, server, redis_url)} | _first(
            launch, server, steps, folder, reasons
        )


@contextlib.contextmanager
def _browser(kind: Any, path: str) -> Iterator[Any]:
    """Start a browser that has nothing in memory yet, and open a page in it."""
    browser = kind.launch(executable_path=path, args=list(ARGUMENTS))
    try:
        page = browser.new_page(viewport=SIZE)
        page.set_default_timeout(MS_TO_WAIT)
        yield page
    finally:
        browser.close()


def _redrawn(launch: Any, server: Server, redis_url: str) -> float:
    """Return the median seconds from a push to the frame with the chart that has it, at a step a second."""
    run, pushed = run_id(PROJECT, "watched"), dict[int, float]()
    stream = stream_key(run, "s1")
    with connect(redis_url) as client, launch() as page:

        def push(step: int) -> None:
            pushed[step] = time.time()
            record = StepRecord(step, pushed[step], figures(step, FIGURES))
            client.xadd(stream, {RECORD_FIELD: encode(record)}, id=entry_id(step + 2))

        client.xadd(stream, {RECORD_FIELD: start("watched", time.time())}, id=entry_id(1))
        for step in range(5):
            push(step)
        while server.records() < 6:
            time.sleep(0.05)
        page.goto(f"{server.url}/runs/{run}")
        page.wait_for_function(OURS)
        page.evaluate(NOTE)
        for step in range(5, 5 + STEPS):
            page.wait_for_timeout(1e3 * SECONDS_A_STEP)
            push(step)
        page.wait_for_function(f"() => {4 + STEPS} in window.drawn")
        drawn = {int(step): at for step, at in page.evaluate("() => window.drawn").items()}
    return statistics.median(drawn[step] - pushed[step] for step in drawn if step >= 5)


def _first(launch: Any, server: Server, steps: int, folder: Path, reasons: list[str]) -> Figures:
    """Return the median seconds until the first chart is there, ours and TensorBoard's, browser after browser in turn."""
    with contextlib.ExitStack() as stack:
        pages = {"first_chart_s": (f"{server.url}/runs/{LONG}", OURS)}
        found: Figures = {}
        if python := os.environ.get(PYTHON):
            board = stack.enter_context(TensorBoard(python, folder / "tensorboard", steps // 10))
            pages["first_chart_tensorboard_s"] = (f"{board.url}/#timeseries", THEIRS)
            found["tensorboard_ingest_steps_per_s"] = steps // 10 / board.seconds_to_read
            found["tensorboard_series_median_ms"] = board.series_ms()
        else:
            reasons.append(
                f"TensorBoard is not compared with: {PYTHON} may name a Python that has it, see benchmarks/README.md."
            )
        times: dict[str, list[float]] = {name: [] for name in pages}
        for _ in range(ROUNDS):
            for name, (url, is_there) in pages.items():
                with launch() as page:
                    began = time.perf_counter()
                    page.goto(url, wait_until="commit")
                    page.wait_for_function(is_there)
                    times[name].append(time.perf_counter() - began)
    found |= {name: statistics.median(all_) for name, all_ in times.items()}
    ours, theirs = found["first_chart_s"], found.get("first_chart_tensorboard_s")
    return found | {"first_chart_vs_tensorboard": ours / theirs if ours and theirs else None}
