"""The page of a long run that has ended: what it loads, whether it is quiet then, and whether a spike is seen."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.browser import OURS, Launch
from benchmarks.server.content import LONG, SPIKE_VALUE, LongRun
from benchmarks.server.servers import Server

BY_ADDRESS = (10_000, 100)  # zooms of so many steps; the other ones by the page's own, which is quicker
BEFORE = 0.3  # of what is in view is before the spike
MS_UNTIL_QUIET = 700.0
MS_BETWEEN_SCROLLS = 100.0
MOST_LOOKS = 40
MS_TO_SEE = 5000.0
PIXELS = 2.0
BYTES_A_MB = 1e6

# Whether a line of a chart that shows these steps has its corner where the spike belongs, within the axes.
IS_SEEN = """([step, value, first, last, pixels]) => {
    const near = (one, other, by) => Math.abs(one - other) <= by;
    const corners = (path) => (path.getAttribute('d') ?? '').match(/-?[0-9.]+,-?[0-9.]+/g) ?? [];
    return Array.from(document.querySelectorAll('.js-plotly-plot')).some((graph) => {
        const { xaxis, yaxis } = graph._fullLayout ?? {};
        if (!xaxis || !yaxis || !graph.data) return false;
        const slack = 1 + 0.1 * (last - first);
        if (!near(xaxis.range[0], first, slack) || !near(xaxis.range[1], last, slack)) return false;
        const isIt = (line) => line.mode === 'lines' && line.x.some((x, at) => x === step && near(line.y[at], value, 1e-6));
        const [x, y] = [xaxis.d2p(step), yaxis.d2p(value)];
        if (!graph.data.some(isIt) || y < 0 || y > yaxis._length) return false;
        // a line that is put on top of others stands in a layer of its own
        const drawn = Array.from(graph.querySelectorAll('.js-line')).filter((path) => !path.closest('.legend'));
        return drawn.flatMap(corners).some((corner) => {
            const [left, top] = corner.split(',').map(Number);
            return near(left, x, pixels) && near(top, y, pixels);
        });
    });
}"""
ZOOM = "([from, to]) => window.rolloutwatch.view.set({ from, to })"
SCROLL = (
    "() => { scrollBy(0, innerHeight / 2); return scrollY + innerHeight >= document.body.scrollHeight - 2; }"
)


@dataclass(frozen=True)
class Opened:
    """What the page of the long run took and showed. `seen` tells of each zoom whether the spike was seen."""

    wire_mb: float
    whole_page_mb: float
    idle_requests: list[str]
    seen: dict[str, bool]

    @property
    def spike_visible(self) -> float:
        """Return the share of zooms at which the spike is seen."""
        return statistics.mean(self.seen.values())


class Wire:
    """Counts the bytes that come to a page, as they come: compressed, with their headers."""

    def __init__(self, page: Any) -> None:
        self._page = page
        self.bytes = 0.0
        session = page.context.new_cdp_session(page)
        session.on("Network.loadingFinished", self._finished)
        session.send("Network.enable")

    @property
    def mb(self) -> float:
        """Return how many there were so far, in megabytes."""
        return self.bytes / BYTES_A_MB

    def quiet(self) -> None:
        """Wait until nothing more comes, or long enough."""
        for _ in range(MOST_LOOKS):
            before = self.bytes
            self._page.wait_for_timeout(MS_UNTIL_QUIET)
            if self.bytes == before:
                return

    def _finished(self, event: dict[str, Any]) -> None:
        self.bytes += event["encodedDataLength"]


def look(launch: Launch, server: Server, run: LongRun, idle_seconds: float, widths: Sequence[int]) -> Opened:
    """Open the page, go to its end, leave it alone for a while, and zoom into it until so many steps are in view."""
    url = f"{server.url}/runs/{LONG}"
    with launch() as page:
        wire = Wire(page)
        page.goto(url)
        page.wait_for_function(OURS)
        wire.quiet()
        at_first = wire.mb
        while not page.evaluate(SCROLL):
            page.wait_for_timeout(MS_BETWEEN_SCROLLS)
        wire.quiet()
        whole = wire.mb
        requests: list[str] = []
        page.on("request", lambda request: requests.append(f"{request.method} {request.url}"))
        page.wait_for_timeout(1e3 * idle_seconds)
        return Opened(at_first, whole, list(requests), _zooms(page, url, run, widths))


def _zooms(page: Any, url: str, run: LongRun, widths: Sequence[int]) -> dict[str, bool]:
    """Return whether the spike is seen in all of the run, which the page shows, and in ever fewer steps around it."""
    assert run.spike is not None
    page.evaluate("() => scrollTo(0, 0)")
    seen = {"all": _is_seen(page, run, 0, run.steps - 1)}
    for width in (one for one in widths if one < run.steps):
        first = max(0, run.spike - round(BEFORE * width))
        last = first + width
        if width in BY_ADDRESS:
            page.goto(f"{url}?from={first}&to={last}")
        else:
            page.evaluate(ZOOM, [first, last])
        seen[f"{width} steps"] = _is_seen(page, run, first, last)
    return seen


def _is_seen(page: Any, run: LongRun, first: int, last: int) -> bool:
    from playwright.sync_api import TimeoutError as TooLate

    page.wait_for_function(OURS)
    try:
        asked = [run.spike, SPIKE_VALUE, first, last, PIXELS]
        page.wait_for_function(IS_SEEN, arg=asked, timeout=MS_TO_SEE)
    except TooLate:
        return False
    return True
