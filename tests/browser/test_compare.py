"""Runs laid over each other: what is drawn of them, what is chosen, and what comes of it while they go on."""

import json
import math
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from rolloutwatch_contract import Mark, RunEnd, RunStart, StepRecord
from rolloutwatch_contract.keys import split_run_id
from tests.browser.conftest import Complaints
from tests.browser.site import CONFIG, HEALTHY, Site
from tests.browser.test_marks import OVERFLOW

BEGAN = 1_700_000_000.0
A, B = "math~a", "math~b"
# of a chart the lines of runs, as they are drawn: [[x, ...], [y, ...]]
LINES = """([id, runs]) => {
    const graph = document.querySelector(`#${id} .js-plotly-plot`);
    return graph && graph.data ? graph.data.slice(0, runs).map((one) => [Array.from(one.x), Array.from(one.y)]) : null;
}"""
RANGE = """(id) => {
    const graph = document.querySelector(`#${id} .js-plotly-plot`);
    return graph && graph._fullLayout && graph._fullLayout.xaxis ? graph._fullLayout.xaxis.range : null;
}"""


def record(
    site: Site, run: str, values: dict[int, float], syncs: tuple[int, ...] = (), *, begin: float = BEGAN,
    config: dict[str, str | int | float | bool | None] = CONFIG, is_over: bool = True,
) -> None:  # fmt: skip
    """A run with a figure of its own at some steps, ten seconds apart."""
    project, name = split_run_id(run)
    records = [RunStart(project, name, begin, config, {"host": f"host-{name}", "pid": "1"})]
    records += [Mark(step, begin + 10 * step, "weight_sync") for step in syncs]
    records += [StepRecord(at, begin + 10 * at, HEALTHY | {"reward": value}) for at, value in values.items()]
    records += [RunEnd(begin + 1000)] if is_over else []
    site.archive(run, "session-1", *records)
    site._sessions[run], site._sequences[run] = 1, len(records)


def two_runs(site: Site, *, is_over: bool = True) -> str:
    record(site, A, {step: step / 10 for step in range(40)}, (4, 14), is_over=is_over)
    shifted = CONFIG | {"rollout_is_threshold": 5.0}
    record(site, B, {step: step / 20 for step in range(30)}, (10, 20), begin=BEGAN + 60, config=shifted)
    return f"{site.url}/compare?run={A}&run={B}&metric=reward"


def wait_for_lines(
    page: Page, *lines: tuple[list[float], list[float | None]], chart: str = "compared-0"
) -> None:
    """Wait until the chart has these lines, and no other ones."""
    wanted = json.dumps([list(map(list, line)) for line in lines])
    page.wait_for_function(
        f"([wanted, runs]) => JSON.stringify(({LINES})(['{chart}', runs])) === JSON.stringify(JSON.parse(wanted))",
        arg=[wanted, len(lines)],
    )


def wait_for_range(page: Page, ends: str, chart: str = "compared-0") -> None:
    page.wait_for_function(f"([chart, ends]) => String(({RANGE})(chart)) === ends", arg=[chart, ends])


def zoom(page: Page, first: float, last: float) -> None:
    """Draw over a part of the first chart, from one share of its width to another."""
    expect(page.locator("#compared")).not_to_have_attribute("aria-busy", "true")
    box = page.locator("#compared-0 .nsewdrag").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * first, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * last, middle, steps=4)
    page.mouse.up()


def steps_of(values: range, by: float, shift: int = 0) -> tuple[list[float], list[float | None]]:
    return [step - shift for step in values], [step / by for step in values]


def test_runs_are_aligned_by_step_by_a_mark_and_by_time(site: Site, page: Page) -> None:
    """What stands at 0 is the first step, the second weight sync, or the beginning; the address says it."""
    page.goto(two_runs(site))
    wait_for_lines(page, steps_of(range(40), 10), steps_of(range(30), 20))
    expect(page.locator(".legend li")).to_have_text(["math / a×", "math / b×"])
    page.get_by_label("What runs are aligned by").select_option("mark:weight_sync")
    wait_for_lines(page, steps_of(range(40), 10, 4), steps_of(range(30), 20, 10))
    page.get_by_role("link", name="The mark after it").click()
    expect(page).to_have_url(f"{site.url}/compare?run={A}&run={B}&align=mark:weight_sync:2&metric=reward")
    wait_for_lines(page, steps_of(range(40), 10, 14), steps_of(range(30), 20, 20))
    page.get_by_role("link", name="The mark after it").click()
    expect(page.locator(".notes li")).to_have_text(
        [f"{name} has no weight sync no. 3, and is not drawn." for name in "ab"]
    )
    page.get_by_label("What runs are aligned by").select_option("relative")
    minutes = ([step / 6 for step in range(40)], [step / 10 for step in range(40)])
    page.wait_for_function(f"() => ({LINES})(['compared-0', 2])?.[0][0].at(-1) === 6.5")
    drawn = page.evaluate(LINES, ["compared-0", 2])
    assert [round(x, 9) for x in drawn[0][0]] == [round(x, 9) for x in minutes[0]]
    assert round(drawn[1][0][-1], 9) == round(29 / 6, 9)
    page.go_back()
    expect(page.get_by_label("What runs are aligned by")).to_have_value("mark:weight_sync")


def test_wall_time_is_that_of_who_looks(site: Site, page: Page) -> None:
    """In Tokyo it is nine hours later; what one zooms into stands in the address in seconds since 1970, of no zone."""
    context = page.context.browser.new_context(timezone_id="Asia/Tokyo")  # type: ignore[union-attr]
    there = context.new_page()
    there.goto(f"{two_runs(site)}&align=time&from={BEGAN + 100:.0f}&to={BEGAN + 200:.0f}")
    expect(there.locator("#compared-zone")).to_have_text("in your zone, UTC+9")
    wait_for_range(there, "2023-11-15 07:15,2023-11-15 07:16:40")
    there.get_by_role("button", name="Show all").click()
    wait_for_range(there, "2023-11-15 07:13:20,2023-11-15 07:19:50")
    zoom(there, 0.25, 0.5)
    there.wait_for_url("**&from=*&to=*")
    found = parse_qs(urlsplit(there.url).query)
    assert [round(float(found[name][0]) - BEGAN) for name in ("from", "to")] == pytest.approx(
        [97, 195], abs=2
    )
    context.close()


def test_who_zooms_into_one_chart_zooms_into_all(site: Site, page: Page) -> None:
    """The address has it, so that the page is the same when it is loaded anew; a double click takes it back."""
    page.goto(f"{two_runs(site)}&metric=mismatch_k3_kl")
    wait_for_lines(page, steps_of(range(40), 10), steps_of(range(30), 20))
    zoom(page, 10.2 / 39, 19.8 / 39)
    for chart in ("compared-0", "compared-1"):
        wait_for_range(page, "10,20", chart)
    assert page.url.endswith("&from=10&to=20")
    page.reload()
    wait_for_range(page, "10,20", "compared-1")
    page.wait_for_function(f"() => ({LINES})(['compared-0', 2])?.[0][0].length === 40")
    page.locator("#compared-0 .nsewdrag").dblclick()
    wait_for_range(page, "0,39", "compared-1")
    assert page.url.endswith("&metric=mismatch_k3_kl")
    expect(page.get_by_role("button", name="Show all")).to_be_hidden()


def test_a_long_run_has_every_step_where_one_zooms_in(site: Site, page: Page) -> None:
    """Of all of it as much as a screen can show, with the spike; around it every step."""
    values = {step: 9.0 if step == 7001 else step % 7 for step in range(12_000)}
    record(site, A, values)
    page.goto(f"{site.url}/compare?run={A}&metric=reward")
    page.wait_for_function(f"() => ({LINES})(['compared-0', 1])?.[0][1].includes(9)")
    assert len(page.evaluate(LINES, ["compared-0", 1])[0][0]) < 2500
    page.goto(f"{site.url}/compare?run={A}&metric=reward&from=6990&to=7010")
    count = f"() => ({LINES})(['compared-0', 1])?.[0][0].filter((x) => 6990 <= x && x <= 7010).length === 21"
    page.wait_for_function(count)
    page.wait_for_function(f"() => ({LINES})(['compared-0', 1])[0][0].length > 1400")  # the rest has come too
    page.wait_for_function(count)


def test_live_runs_go_on(site: Site, page: Page) -> None:
    """Figures and tables, every few seconds; a run that ends is not asked for any more."""
    page.goto(two_runs(site, is_over=False))
    wait_for_lines(page, steps_of(range(40), 10), steps_of(range(30), 20))
    for step in range(40, 45):
        site.put(A, StepRecord(step, time.time(), {"reward": step / 10}))
    wait_for_lines(page, steps_of(range(45), 10), steps_of(range(30), 20))
    last = page.locator(".beside tr", has=page.get_by_role("rowheader", name="last")).locator("td").first
    expect(last).to_have_text("4.4 at 44")
    site.put(A, RunEnd(time.time()))
    expect(page.locator(".beside .state").first).to_have_text("finished")
    expect(page.locator("#compared")).to_have_attribute("data-followed", "1")
    site.put(B, RunEnd(time.time()))
    expect(page.locator("#compared")).to_have_attribute("data-followed", "0")


def test_a_server_that_is_away_is_said_and_what_was_missed_comes(
    site: Site, page: Page, complaints: Complaints
) -> None:
    page.goto(two_runs(site, is_over=False))
    wait_for_lines(page, steps_of(range(40), 10), steps_of(range(30), 20))
    complaints.expected += ["ERR_", "Callback failed"]
    site.stop()
    expect(page.locator("#notice")).to_have_text(
        "The server does not answer; trying again. What you see is the past."
    )
    site.start()
    site.put(A, StepRecord(40, BEGAN + 400, {"reward": 4.0}))
    wait_for_lines(page, steps_of(range(41), 10), steps_of(range(30), 20))
    expect(page.locator("#notice")).to_be_hidden()


def test_runs_and_figures_are_chosen_in_a_dialog(site: Site, page: Page) -> None:
    """By keys alone, on a telephone too; what is written narrows the list, and no more can be chosen than are drawn."""
    page.set_viewport_size({"width": 390, "height": 844})
    two_runs(site)
    for number in range(12):
        record(site, f"sweep~lr-{number}", {0: 1.0})
    page.goto(f"{site.url}/compare")
    expect(page.get_by_role("heading", name="Compare runs")).to_be_visible()
    assert page.evaluate(OVERFLOW) == 0
    page.get_by_role("button", name="Choose runs").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("checkbox")).to_have_count(14)
    page.keyboard.type("MATH a")
    expect(dialog.get_by_role("checkbox")).to_have_count(2)
    dialog.get_by_label("math / a").check()
    dialog.get_by_role("searchbox").fill("sweep")
    for number in range(11):
        dialog.get_by_label(f"sweep / lr-{number}finished").check()
    expect(dialog.get_by_role("status")).to_have_text("12 of at most 12")
    expect(dialog.get_by_label("sweep / lr-11finished")).to_be_disabled()
    page.keyboard.press("Enter")
    expect(page.locator(".legend li")).to_have_count(12)
    assert page.url.startswith(f"{site.url}/compare?run=math~a&run=sweep~lr-0&run=")
    assert page.evaluate(OVERFLOW) == 0
    page.get_by_role("button", name="Take lr-0 out").click()
    expect(page.locator(".legend li")).to_have_count(11)
    page.get_by_role("button", name="Choose figures").click()
    dialog.get_by_role("button", name="None").click()
    dialog.get_by_role("searchbox").fill("ratio_max")
    dialog.get_by_role("checkbox").check()
    page.keyboard.press("Enter")
    expect(page.locator(".card h3")).to_have_text(["Ratio of a token, highest"])


def test_what_differs_is_beside_each_other(site: Site, page: Page) -> None:
    """The rest too for who asks for it, which stands in the address."""
    page.goto(two_runs(site))
    rows = page.get_by_role("region", name="Configuration and environment").locator("tbody tr:visible")
    texts = ["Configuration", "rollout_is_threshold25", "Environment", "hosthost-ahost-b"]
    expect(rows).to_have_text(texts)
    page.get_by_role("button", name="Show what does not differ").click()
    expect(rows).to_have_count(len(texts) + 3)
    assert page.url.endswith("&same=1")
    page.reload()
    expect(rows).to_have_count(len(texts) + 3)
    page.get_by_role("button", name="Show what differs").click()
    expect(rows).to_have_count(len(texts))


def test_pointing_at_one_chart_tells_what_all_runs_have_there(site: Site, page: Page) -> None:
    """With a line at the same place of all charts; none, NaN and infinite are three things; a run can be lifted out."""
    record(site, A, {step: step / 10 for step in range(40)}, (4,))
    record(site, B, {step: {23: math.inf, 24: math.nan}.get(step, step / 20) for step in range(30)}, (10,))
    page.goto(
        f"{site.url}/compare?run={A}&run={B}&metric=reward&metric=mismatch_k3_kl&align=mark:weight_sync"
    )
    page.wait_for_function(f"() => {GRAPH}?.data?.[5].marker.symbol.join() === 'triangle-up,x'")
    expect(page.locator("#compared")).not_to_have_attribute("aria-busy", "true")
    point(page, 0.5)  # of -10 to 35
    told = page.locator("#compared-0 .pointed")
    expect(told.locator("strong")).to_have_text("13 steps from weight sync no. 1")
    expect(told.locator("tr")).to_have_text(["a1.7step 17", "b∞step 23"])
    expect(page.locator("#compared-1 .pointed tr")).to_have_text(["a1.00e-4step 17", "b1.00e-4step 23"])
    places = [page.locator(f"#compared-{at} .pointer i").bounding_box() for at in (0, 1)]
    charts = [page.locator(f"#compared-{at} .nsewdrag").bounding_box() for at in (0, 1)]
    offsets = [line["x"] - chart["x"] for line, chart in zip(places, charts, strict=True) if line and chart]
    assert offsets[0] == pytest.approx(offsets[1], abs=1)
    page.mouse.move(5, 5)
    page.locator("#compared-0 .js-plotly-plot").focus()
    page.keyboard.press("Home")
    expect(told.locator("strong")).to_have_text("-10 steps from weight sync no. 1")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#pointed-at")).to_contain_text(
        "-9 steps from weight sync no. 1; a no value; b 0.05 step 1"
    )
    point(page, 24 / 45)
    expect(told.locator("tr")).to_have_text(["a1.8step 18", "bNaNstep 24"])
    point(page, 0.05)
    expect(told.locator("tr")).to_have_text(["ano value", "b0.1step 2"])
    page.locator(".legend li").first.hover()
    expect(told).to_be_hidden()
    expect(page.locator(".faded")).to_have_count(3)  # two lines, and what has no place
    page.get_by_role("heading", name="Compare").hover()
    expect(page.locator(".faded")).to_have_count(0)


def point(page: Page, share: float, chart: str = "compared-0") -> None:
    """Point at a share of the width of a chart, in its middle."""
    plot = page.locator(f"#{chart} .nsewdrag")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)


def test_lines_of_runs_are_smoothed_and_their_value_axis_is_switched(site: Site, page: Page) -> None:
    """The address says it beside the part in view, which may be before 0, and a reload draws the same."""
    page.goto(f"{two_runs(site)}&align=mark:weight_sync&from=-5&to=20")
    wait_for_range(page, "-5,20")
    page.get_by_label("Smoothing").fill("0.5")
    page.wait_for_function(f"() => {GRAPH}.data.length === 8")
    mean = page.evaluate(f"Array.from({GRAPH}.data[6].y)")
    weights = [0.5**age for age in range(40)]
    expected = [
        sum(w * (at - age) / 10 for age, w in enumerate(weights[: at + 1])) / sum(weights[: at + 1])
        for at in range(40)
    ]
    assert mean == pytest.approx(expected)
    assert page.evaluate(f"{GRAPH}._fullData.slice(0, 2).map((one) => one.opacity)") == [0.3, 0.3]
    menu(page, "Log axis")
    page.wait_for_function(f"() => {GRAPH}._fullLayout.yaxis.type === 'log'")
    page.wait_for_url("**&align=mark:weight_sync&from=-5&to=20&smooth=0.5&log=reward")
    assert page.url.startswith(f"{site.url}/compare?run={A}&run={B}&")
    page.reload()
    page.wait_for_function(f"() => {GRAPH}?._fullLayout?.yaxis?.type === 'log' && {GRAPH}.data.length === 8")
    wait_for_range(page, "-5,20")
    assert page.evaluate(f"Array.from({GRAPH}.data[6].y)")[1:] == pytest.approx(expected[1:])
    page.get_by_label("Smoothing").fill("0")
    page.wait_for_function(f"() => {GRAPH}.data.length === 6")
    menu(page, "Log axis")
    page.wait_for_function(f"() => {GRAPH}._fullLayout.yaxis.type === 'linear'")
    page.wait_for_url("**&align=mark:weight_sync&from=-5&to=20")


GRAPH = "document.querySelector('#compared-0 .js-plotly-plot')"


def menu(page: Page, item: str, metric: str = "reward") -> None:
    page.locator(f"[data-chart='{metric}'] summary").click()
    page.locator(f"[data-chart='{metric}']").get_by_role("button", name=item).click()


def test_a_chart_of_runs_is_saved_and_its_link_copied(site: Site, page: Page) -> None:
    """Every value in view of each run, with where it stands; a picture; the address with the chart."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    address = f"{two_runs(site)}&align=mark:weight_sync"
    page.goto(f"{address}&from=-2&to=1")
    wait_for_range(page, "-2,1")
    with page.expect_download() as told:
        menu(page, "Save as CSV")
    assert told.value.suggested_filename == "a-b-reward.csv"
    assert Path(told.value.path()).read_text().splitlines() == [
        "run,steps_from_weight_sync_1,step,time,reward",
        *(f"{A},{at - 4},{at},{BEGAN + 10 * at},{at / 10}" for at in range(2, 6)),
        *(f"{B},{at - 10},{at},{BEGAN + 60 + 10 * at},{at / 20}" for at in range(8, 12)),
    ]
    with page.expect_download() as told:
        menu(page, "Save as PNG")
    assert Path(told.value.path()).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    menu(page, "Copy link")
    expect(page.locator(".toast")).to_have_text("The link to this chart, as you see it, is copied.")
    assert page.evaluate("navigator.clipboard.readText()") == f"{address}&from=-2&to=1#compared-0"


def test_what_there_is_not_is_said(site: Site, page: Page) -> None:
    """Names, figures, alignments and places that are nonsense are shown as text, and the rest is drawn."""
    bad = "%3Cimg%20src%3Dx%20onerror%3Dwindow.owned%3D1%3E"
    two_runs(site)
    page.goto(f"{site.url}/compare?run={A}&run={bad}&metric=reward&metric={bad}&align={bad}&from=9&to={bad}")
    wait_for_lines(page, steps_of(range(40), 10))
    expect(page.locator(".notes li")).to_have_count(5)
    expect(page.locator(".notes")).to_contain_text("There is no run “<img src=x onerror=window.owned=1>”.")
    assert page.evaluate("window.owned") is None
    page.goto(f"{site.url}/compare?run=math~gone")
    expect(page.get_by_role("heading", name="Compare runs")).to_be_visible()
    expect(page.locator(".notes li")).to_have_text(["There is no run “math~gone”."])


def test_without_any_run_it_is_said_how_to_send_one(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/compare")
    page.get_by_role("link", name="See how to send the first step").click()
    expect(page.get_by_role("heading", name="No run yet")).to_be_visible()
    expect(page.locator("pre")).to_contain_text("rolloutwatch.Monitor(")
