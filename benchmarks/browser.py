"""A real headless browser: when a chart is there, when it has been drawn anew, and how busy a page keeps it."""

import contextlib
import math
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

BINARIES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
SIZE = {"width": 1280, "height": 900}
MS_TO_WAIT = 60_000

Launch = Callable[[], contextlib.AbstractContextManager[Any]]

OURS = "() => (document.querySelector('.js-plotly-plot .scatterlayer .js-line')?.getAttribute('d') ?? '').length > 20"
THEIRS = """() => document.querySelector('line-chart canvas')
    && performance.getEntriesByType('resource').some((one) => one.name.includes('timeSeries') && one.responseEnd > 0)"""
NOTE = """() => {
    const chart = document.querySelector('.js-plotly-plot');
    window.drawn ??= {};
    if (chart.isNoted) return;
    chart.isNoted = true;
    chart.scrollIntoView({ block: 'center' }); // what nobody sees is not drawn
    chart.on('plotly_afterplot', () => {
        const line = chart.data.find((one) => one.mode === 'lines');
        const step = line?.x[line.x.length - 1];
        requestAnimationFrame(() => { window.drawn[step] ??= Date.now() / 1000; });
    });
}"""


@contextlib.contextmanager
def browsers(reasons: list[str]) -> Iterator[Launch | None]:
    """Give what starts a browser that has nothing in memory yet, with a page; where there is none, say why among the reasons."""
    chromium = next(filter(None, map(shutil.which, BINARIES)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        reasons.append(f"No browser is driven: {error}.")
        yield None
        return
    if chromium is None:
        reasons.append(f"No browser is driven: none of {', '.join(BINARIES)} is on PATH.")
        yield None
        return
    with sync_playwright() as playwright:
        yield lambda: _browser(playwright.chromium, chromium)


@contextlib.contextmanager
def _browser(kind: Any, path: str) -> Iterator[Any]:
    browser = kind.launch(executable_path=path, args=list(ARGUMENTS))
    try:
        page = browser.new_page(viewport=SIZE)
        page.set_default_timeout(MS_TO_WAIT)
        yield page
    finally:
        browser.close()


def first_charts(
    launch: Launch, pages: Mapping[str, tuple[str, str]], rounds: int, seconds: float = math.inf
) -> dict[str, float]:
    """Return the median seconds until the first chart of each page is there, browser after browser in turn.

    A page is its address, and what is true once the chart is there.
    Rounds end early, but not before the second, once so many seconds have gone by.
    """
    times: dict[str, list[float]] = {name: [] for name in pages}
    started = time.perf_counter()
    for round_ in range(rounds):
        if round_ > 1 and time.perf_counter() - started > seconds:
            break
        for name, (url, is_there) in pages.items():
            with launch() as page:
                began = time.perf_counter()
                page.goto(url, wait_until="commit")
                page.wait_for_function(is_there)
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(all_) for name, all_ in times.items()}


def redrawn(page: Any, push: Callable[[int], float], steps: range, seconds_a_step: float) -> dict[int, float]:
    """Push steps to a run that a page shows; return the seconds from each push to the frame with the chart that has it.

    `push` returns the time at which it began. What is drawn together with the next step is drawn late and not left out.
    """
    pushed = {}
    for step in steps:
        page.wait_for_function(OURS)
        page.evaluate(NOTE)  # again and again: the page may be made anew
        page.wait_for_timeout(1e3 * seconds_a_step)
        pushed[step] = push(step)
    page.wait_for_function(f"() => {steps[-1]} in window.drawn")
    drawn = {int(step): at for step, at in page.evaluate("() => window.drawn").items()}
    return {
        step: next(at for of, at in sorted(drawn.items()) if of >= step) - pushed[step] for step in pushed
    }
