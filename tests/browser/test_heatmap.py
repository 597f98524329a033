"""The heat map of the log ratio on the page of a run, with a mouse, with keys, and with a finger."""

import json
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from rolloutwatch_contract import Array, RunEnd, StepRecord
from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.histograms import Histograms
from rolloutwatch_contract.tables import HISTOGRAM_BINS, HISTOGRAM_EDGES
from rolloutwatch_dashboard.figures.heatmap import cells, filled, frame, heatmap
from rolloutwatch_dashboard.figures.log_ratio_axis import places
from rolloutwatch_dashboard.shell import HERE
from rolloutwatch_dashboard.thresholds import token_thresholds
from rolloutwatch_server.api.histograms import _columns
from tests.browser.conftest import Complaints
from tests.browser.site import HEALTHY, Site
from tests.browser.test_looking_at_charts import drag, menu, place
from tests.browser.test_looks import OVERFLOW

RUN = "math~grpo"
MIDDLE = HISTOGRAM_BINS // 2
FAR = 8  # the bin of log ratios from -10 to -8
BEGAN = 1_700_000_000.0
STEPS = 1500  # in columns of 4 on the page
SPIKE = 801  # in which some tokens were far off
Z = """() => {
    const graph = document.getElementById("heatmap");
    const trace = graph && graph.data && graph.data[0];
    if (!trace || !trace.x.length) return null;
    return { x: trace.x, y: trace.y, z: trace.z, zmin: trace.zmin, zmax: trace.zmax };
}"""
# a pixel of a cell on the screen, of which rows have hardly two: a mouse is at whole ones
CELL = """([step, bin]) => {
    const graph = document.getElementById("heatmap");
    const { xaxis, yaxis } = graph._fullLayout;
    const box = graph.getBoundingClientRect();
    return [box.left + xaxis._offset + xaxis.l2p(step), Math.ceil(box.top + yaxis._offset + yaxis.l2p(bin + 0.5))];
}"""


def counts(step: int) -> np.ndarray:
    found = np.zeros(HISTOGRAM_BINS, dtype=np.int64)
    found[MIDDLE - 30 : MIDDLE + 31] = 10
    found[MIDDLE + 20 + step % 20] += 100
    if step == SPIKE:
        found[FAR] = 3
    return found


def record(step: int) -> StepRecord:
    return StepRecord(step, time.time(), HEALTHY, histogram=Array.of(counts(step)))


def long_run(site: Site, steps: int = STEPS) -> None:
    site.begin(RUN)
    site.archive(RUN, "session-1", *map(record, range(steps)), first=2)
    site._sequences[RUN] = steps + 1


def histograms(steps: int) -> Histograms:
    """What the page has of so many steps."""
    return Histograms.of(range(steps), [counts(step) for step in range(steps)]).wider(4)


def see(page: Page, url: str) -> dict[str, Any]:
    """Go to a page and down to the heat map; return what is drawn there."""
    page.goto(url)
    expect(page.locator("#heatmap-card")).to_be_attached()
    page.wait_for_function(
        f"() => {{ document.getElementById('heatmap')?.scrollIntoView({{block: 'center'}}); return ({Z})(); }}"
    )
    found: dict[str, Any] = page.evaluate(Z)
    return found


def wait_for_columns(page: Page, count: int) -> dict[str, Any]:
    page.wait_for_function(f"(count) => ({Z})()?.x.length === count + 1", arg=count)
    found: dict[str, Any] = page.evaluate(Z)
    return found


def cell(page: Page, step: float, bin_: int) -> tuple[float, float]:
    x, y = page.evaluate(CELL, [step, bin_ - MIDDLE])
    return x, y


@pytest.fixture
def blank(page: Page) -> Page:
    for name in ("figures.js", "heatcells.js"):
        page.add_script_tag(content=(HERE / "assets" / name).read_text())
    return page


def test_the_browser_draws_what_python_does(blank: Page) -> None:
    """Columns, gaps, colours and axes, of every kind of run, and in wider columns too."""
    rng = np.random.default_rng(7)
    thresholds = token_thresholds(CorrectionConfig(rollout_is="token", rollout_token_veto_threshold=1e-4))
    at = places([one.at for one in thresholds])
    kinds = [
        [],
        [7],
        [0, 1, 2, 90, 91],
        [0, 1, 2, 6, 7],
        [0, 1, 2, 5, 6],
        [*range(0, 400, 10)],
        sorted(rng.choice(5000, 60, replace=False)),
    ]
    cases: list[tuple[int, tuple[int, int] | None]] = [(1, None), (8, (3, 50)), (64, (9, 9))]
    for steps in kinds:
        tokens = rng.poisson(rng.exponential(size=(len(steps), HISTOGRAM_BINS)))
        whole = Histograms.of(steps, tokens * (rng.random(HISTOGRAM_BINS) < 0.3))
        asked = [told(whole), cases, frame(thresholds), at, HISTOGRAM_BINS]
        for (width, ends), drawn in zip(cases, blank.evaluate(FILLED, asked), strict=True):
            expected = filled(frame(thresholds), cells(whole.wider(width)), thresholds, ends)
            assert drawn["layout"] == expected["layout"]
            assert_same(drawn["data"][0], expected["data"][0])


FILLED = """([columns, cases, frame, at, bins]) => cases.map(([width, ends]) => {
    const { heat } = rolloutwatch;
    return heat.filled(frame, heat.cells(heat.wider(heat.columnsOf(columns), width), bins), at, bins, ends);
})"""


def assert_same(drawn: dict[str, Any], expected: dict[str, Any]) -> None:
    """The same places and colours, and shares that are the same but for the last digit of a logarithm."""
    z, expected_z = (np.array(one["z"], dtype=np.float64) for one in (drawn, expected))
    assert z.shape == expected_z.shape
    assert np.allclose(z, expected_z, rtol=0, atol=1e-12, equal_nan=True)
    for name in ("x", "y", "zmin", "zmax"):
        assert drawn[name] == expected[name]


def told(found: Histograms) -> Any:
    """As the API tells it."""
    return json.loads(bytes(_columns(found)))


def test_an_answer_takes_the_place_of_what_it_is_newer_than(blank: Page) -> None:
    """And where there are too many columns, two become one."""
    steps = Histograms.of(range(10), [counts(step) for step in range(10)])
    known = {"columns": [], "width": 1}
    put = "([known, answer, most]) => rolloutwatch.heat.put(known, answer, most)"
    first = {"from_step": None, "width": 1, "columns": told(steps.between(0, 6))}
    known = blank.evaluate(put, [known, first, 100])
    later = {"from_step": 5, "width": 1, "columns": told(steps.between(5, 9))}
    known = blank.evaluate(put, [known, later, 4])
    expected = steps.wider(4)
    assert known["width"] == 4
    assert [(one["first"], one["last"]) for one in known["columns"]] == [(0, 3), (4, 7), (8, 9)]
    assert [one["steps"] for one in known["columns"]] == [4, 4, 2]
    assert [one["total"] for one in known["columns"]] == expected.counts.sum(axis=1).tolist()


def test_the_ends_of_the_legend_are_written_shortly(blank: Page) -> None:
    found = blank.evaluate("[0, -1, -4, -5, -6, -9].map(rolloutwatch.heat.percentOfPower)")
    assert found == ["100 %", "10 %", "0.01 %", "0.001 %", "1e-4 %", "1e-7 %"]


def test_it_is_asked_for_when_it_is_seen_and_grows_with_the_run(site: Site, page: Page) -> None:
    """Not before: a page that nobody scrolls loads as quickly as ever. What is drawn is what the archive has."""
    long_run(site)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/histograms" in request.url else None)
    page.set_viewport_size({"width": 1280, "height": 600})
    page.goto(f"{site.url}/runs/{RUN}")
    expect(page.locator("#chart-weight-mean .main-svg").first).to_be_attached()  # the last one before it
    expect(page.locator("#health")).not_to_be_empty()
    assert asked == []
    drawn = see(page, f"{site.url}/runs/{RUN}")
    assert len(asked) == 1
    assert_same(drawn, heatmap(histograms(STEPS))["data"][0])
    for step in range(STEPS, STEPS + 6):
        site.put(RUN, record(step))
    grown = wait_for_columns(page, STEPS // 4 + 2)
    assert_same(grown, heatmap(histograms(STEPS + 6))["data"][0])
    assert all("after=" in url for url in asked[1:])
    expect(page.locator("#heatmap-card .limits")).to_contain_text("sequence vetoed below 1.00e-4")
    assert page.locator("#heatmap .shapelayer path").count() == 2  # weights are cut, and sequences vetoed


def test_a_cell_is_read_and_a_click_opens_its_step(site: Site, page: Page) -> None:
    """Of a column of four steps the one whose tokens were there."""
    long_run(site)
    site.put(RUN, RunEnd(time.time()))
    see(page, f"{site.url}/runs/{RUN}")
    page.mouse.move(*cell(page, 801.5, FAR))
    expect(page.locator("#heatmap-text")).to_have_text(
        "Steps 800 to 803: log ratio -10 to -8, 0.1055 % of tokens (3 of 2843)"
    )
    expect(page.locator("#heatmap-cursor")).to_be_visible()
    page.mouse.move(*cell(page, 801.5, FAR + 3))
    expect(page.locator("#heatmap-text")).to_have_text(
        "Steps 800 to 803: log ratio -6 to -5, no token of 2843"
    )
    # at once, and not where one has pointed before
    page.mouse.click(*cell(page, 801.5, FAR))
    expect(page).to_have_url(f"{site.url}/runs/{RUN}/steps/{SPIKE}")
    page.go_back()
    expect(page.locator("#heatmap-card")).to_be_visible()


def test_zoom_shows_every_step_and_is_taken_back(site: Site, page: Page) -> None:
    """By the mouse; a double click brings all back and opens nothing."""
    long_run(site)
    see(page, f"{site.url}/runs/{RUN}")
    x, y = cell(page, 700, MIDDLE)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move((x + cell(page, 900, MIDDLE)[0]) / 2, y, steps=4)
    page.mouse.move(cell(page, 900, MIDDLE)[0], y, steps=4)
    page.mouse.up()
    page.wait_for_function(f"() => ({Z})()?.x[1] - ({Z})()?.x[0] === 1")
    zoomed = page.evaluate(Z)
    assert 690 <= zoomed["x"][0] <= 710
    assert 890 <= zoomed["x"][-1] <= 910
    spike = zoomed["z"][FAR - round(zoomed["y"][0] + HISTOGRAM_BINS / 2)]
    assert [zoomed["x"][at] + 0.5 for at, share in enumerate(spike) if share is not None] == [SPIKE]
    page.mouse.dblclick(*cell(page, 800, MIDDLE))
    assert wait_for_columns(page, STEPS // 4)["x"][-1] == STEPS - 0.5
    assert "/steps/" not in page.url


def test_keys_move_from_cell_to_cell_and_open_a_step(site: Site, page: Page) -> None:
    long_run(site, 30)
    see(page, f"{site.url}/runs/{RUN}")
    page.locator(".heat-plot").focus()
    page.keyboard.press("ArrowLeft")
    text = page.locator("#heatmap-text")
    expect(text).to_contain_text("Step 29: log ratio")
    expect(text).to_contain_text("15.49 % of tokens (110 of 710)")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("ArrowUp")
    expect(text).to_contain_text("Step 18: log ratio")
    page.keyboard.press("Escape")
    expect(text).to_contain_text("Point at a cell")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{site.url}/runs/{RUN}/steps/29")


def recorded(site: Site, steps: int = 60) -> None:
    """A run that is over, of a step every minute."""
    site.begin(RUN)
    records = [StepRecord(s, BEGAN + 60 * s, HEALTHY, histogram=Array.of(counts(s))) for s in range(steps)]
    site.archive(RUN, "session-1", *records, RunEnd(BEGAN + 60 * steps), first=2)


def test_it_is_one_of_the_charts(site: Site, page: Page) -> None:
    """What one points at or zooms into on one of them is seen on the other, along time too; and it has a menu."""
    page.set_viewport_size({"width": 1280, "height": 1800})
    recorded(site)
    see(page, f"{site.url}/runs/{RUN}")
    page.mouse.move(*place(page, 20.2 / 59))
    there = page.locator("#heatmap .pointer i").bounding_box()
    assert there is not None
    assert there["x"] == pytest.approx(cell(page, 20, MIDDLE)[0], abs=1.5)
    page.mouse.move(*cell(page, 33, MIDDLE))
    expect(page.locator("#chart-ess .pointer")).to_be_visible()
    expect(page.locator("#heatmap .pointer")).to_be_hidden()
    line = page.locator("#chart-ess .pointer i").bounding_box()
    assert line is not None
    assert line["x"] == pytest.approx(place(page, 33 / 59)[0], abs=1.5)
    page.locator(".heat-plot").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#heatmap-text")).to_contain_text("Step 32: log ratio")
    line = page.locator("#chart-ess .pointer i").bounding_box()
    assert line is not None
    assert line["x"] == pytest.approx(place(page, 32 / 59)[0], abs=1.5)
    page.get_by_label("Axis").select_option("relative")
    page.wait_for_function(f"() => ({Z})()?.x[1] > 29")
    assert page.evaluate(Z)["x"] == [60 * step - 30 for step in range(61)]
    assert page.locator("#heatmap .xtick text").all_text_contents() == [
        f"{n} min" if n else "0" for n in range(0, 60, 10)
    ]
    drag(page, 10.2 / 59, 19.8 / 59)
    page.wait_for_function(
        "() => document.getElementById('heatmap')._fullLayout.xaxis.range.join() === '600,1200'"
    )
    assert "from=10&to=20" in page.evaluate("rolloutwatch.view.link()")
    with page.expect_download() as told:
        menu(page, "heatmap", "Save as CSV")
    head, *rows = Path(told.value.path()).read_text().splitlines()
    assert head == "first_step,last_step,steps,log_ratio_from,log_ratio_to,tokens,share_of_tokens"
    assert len(rows) == sum(int((counts(step) > 0).sum()) for step in range(10, 21))
    first = [row.split(",") for row in rows if row.startswith("10,10,1,")]
    assert sum(int(row[5]) for row in first) == counts(10).sum() == 710
    fullest = max(first, key=lambda row: int(row[5]))
    assert [float(end) for end in fullest[3:5]] == list(HISTOGRAM_EDGES[MIDDLE + 29 : MIDDLE + 31])
    with page.expect_download() as told:
        menu(page, "heatmap", "Save as PNG")
    assert Path(told.value.path()).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    expect(page.locator("[data-chart=heatmap] [data-do=log]")).to_have_count(0)


# the newest column that was ever drawn
NEWEST = """window.newest = -1;
(function look() {
    const z = document.getElementById("heatmap")?.data?.[0].z || [];
    z.forEach((row) => row.forEach((share, at) => share !== null && (window.newest = Math.max(window.newest, at))));
    requestAnimationFrame(look);
})();"""


def test_a_replay_hides_later_columns(site: Site, page: Page) -> None:
    """The axes stay; what is not there yet is neither read out nor opened, by keys neither, and comes back at the end."""
    recorded(site)
    page.add_init_script(NEWEST)
    see(page, f"{site.url}/runs/{RUN}?at=25")
    drawn = wait_for_columns(page, 60)
    assert page.evaluate("window.newest") == 25  # nor has anything else ever been there
    assert [at for at in range(60) if any(row[at] is not None for row in drawn["z"])] == list(range(26))
    page.mouse.move(*cell(page, 25, MIDDLE))
    expect(page.locator("#heatmap-text")).to_contain_text("Step 25: log ratio")
    page.mouse.move(*cell(page, 26, MIDDLE))
    expect(page.locator("#heatmap-text")).to_contain_text("Point at a cell")
    page.mouse.click(*cell(page, 40, MIDDLE))
    page.locator(".heat-plot").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#heatmap-text")).to_contain_text("Step 25: log ratio")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#heatmap-text")).to_contain_text("Step 25: log ratio")
    assert "/steps/" not in page.url
    page.evaluate("rolloutwatch.view.set({ at: null })")
    page.wait_for_function(f"() => ({Z})()?.z.some((row) => row[59] !== null)")


def test_a_finger_reads_first_and_the_page_is_no_wider_than_a_telephone(
    site: Site, browser: Browser, complaints: Complaints
) -> None:
    """On dark ground, where plenty is bright: the drawing is turned around, and so is its legend."""
    long_run(site, 30)
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, color_scheme="dark"
    )
    context.on("page", complaints.listen)
    page = context.new_page()
    see(page, f"{site.url}/runs/{RUN}")
    expect(page.locator("#heatmap-text")).to_have_text("Tap a cell to read it.")
    page.touchscreen.tap(*cell(page, 10, MIDDLE))
    expect(page.locator("#heatmap-text")).to_contain_text("Step 10: log ratio -7.63e-6 to 7.63e-6")
    assert "/steps/" not in page.url
    assert page.evaluate(OVERFLOW) == 0
    filters = "(names) => names.map((name) => getComputedStyle(document.querySelector(name)).filter)"
    turned = page.evaluate(filters, ["#heatmap .heatmaplayer", "#heatmap-scale i"])
    assert turned == ["invert(1) hue-rotate(180deg)"] * 2
    page.get_by_role("link", name="Open step 10").tap()
    expect(page).to_have_url(f"{site.url}/runs/{RUN}/steps/10")
    complaints.expected.append("net::ERR_ABORTED")
    context.close()


def test_where_no_histogram_came_that_is_said(site: Site, page: Page) -> None:
    site.begin(RUN)
    site.step(RUN, 0, HEALTHY)
    page.goto(f"{site.url}/runs/{RUN}")
    page.locator("#heatmap-card").scroll_into_view_if_needed()
    expect(page.locator("#heatmap-empty")).to_be_visible()
    expect(page.locator("#heatmap-empty")).to_have_text("No histogram came with these steps.")
    expect(page.locator("#heatmap-scale")).to_be_hidden()
    assert len(httpx.get(f"{site.url}/api/v1/runs/{RUN}/histograms").json()["edges"]) == len(HISTOGRAM_EDGES)
