"""How one looks at charts: all of them at the same steps, along the same axis, and at what each has at a step."""

import math
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from rolloutwatch_contract import RunEnd, StepRecord
from rolloutwatch_dashboard.usual import usual
from tests.browser.site import HEALTHY, Site
from tests.browser.test_links_to_steps import wait_for_range
from tests.browser.test_run_page import DRAWN, follow

RUN = "math~grpo"
BEGAN = 1_700_000_000.0
GRAPH = "document.querySelector(`#${id} .js-plotly-plot`)"
LAYOUT = f"(id) => {GRAPH}?._fullLayout"
LINE = (
    f"([id, at]) => {{ const line = {GRAPH}.data.at(at); return [Array.from(line.x), Array.from(line.y)]; }}"
)
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def figures(step: int) -> dict[str, float]:
    noise = math.sin(step * 12.9898) * 43758.5453 % 1
    spike = {"ratio_eff_sample_size": 0.25} if step == 3210 else {}
    return HEALTHY | {"mismatch_ppl_ratio": 1 + noise / 50, "reward": noise} | spike


def recorded(site: Site, steps: int, seconds: float = 3.0) -> None:
    """A run that is over, of a step every few seconds."""
    site.begin(RUN)
    records = [StepRecord(step, BEGAN + seconds * step, figures(step)) for step in range(steps)]
    site.archive(RUN, "session-1", *records, RunEnd(BEGAN + seconds * steps), first=2)


def plot(page: Page, chart: str = "chart-ess") -> Locator:
    found = page.locator(f"#{chart} .nsewdrag")
    found.scroll_into_view_if_needed()
    return found


def place(page: Page, share: float, chart: str = "chart-ess") -> tuple[float, float]:
    """Where on the screen a share of the width of a chart is, in its middle."""
    box = plot(page, chart).bounding_box()
    assert box is not None
    return box["x"] + share * box["width"], box["y"] + box["height"] / 2


def drag(page: Page, begin: float, end: float) -> None:
    (left, middle), (right, _) = place(page, begin), place(page, end)
    page.wait_for_timeout(300)  # plotly takes what follows within 300 ms of its drawing for one gesture
    page.mouse.move(left, middle)
    page.mouse.down()
    page.mouse.move(right, middle, steps=5)
    page.mouse.up()


def wait_for_detail(page: Page, chart: str, first: int, last: int) -> None:
    """Wait until every step of a part is drawn."""
    page.wait_for_function(
        f"""([id, first, last]) => {{
            document.getElementById(id).scrollIntoView();
            const steps = ({DRAWN})(id)?.[0][0].filter((step) => first <= step && step <= last);
            return steps?.length === last - first + 1;
        }}""",
        arg=[chart, first, last],
    )


def test_what_one_zooms_into_is_shown_by_all_charts_in_all_detail(site: Site, page: Page) -> None:
    """It stands in the address, by which the same is drawn again; a double click and a button show all."""
    recorded(site, 5000)
    follow(page, site)
    wait_for_range(page, 0, 4999)
    assert len(page.evaluate(DRAWN, "chart-ess")[0][0]) < 2000
    drag(page, 0.62, 0.68)
    page.wait_for_function("() => location.search.startsWith('?from=3')")
    match = re.fullmatch(r"from=(\d+)&to=(\d+)", page.url.partition("?")[2])
    assert match
    first, last = int(match[1]), int(match[2])
    assert 3050 < first < 3150
    assert 3350 < last < 3450
    said = page.locator(".chart-tools .zoomed span")
    expect(said).to_have_text(f"Steps {first} to {last}")
    for chart in ("chart-ess", "chart-ppl", "chart-logged-0"):
        wait_for_range(page, first, last, chart)
        wait_for_detail(page, chart, first, last)
    assert min(page.evaluate(DRAWN, "chart-ess")[0][1]) == 0.25
    page.reload()
    wait_for_range(page, first, last)
    wait_for_detail(page, "chart-ess", first, last)
    expect(said).to_have_text(f"Steps {first} to {last}")
    page.locator(".chart-tools").get_by_role("button", name="Show all").click()
    wait_for_range(page, 0, 4999)
    expect(page).to_have_url(f"{site.url}/runs/{RUN}")
    expect(said).to_have_text("")
    drag(page, 0.2, 0.4)
    page.wait_for_function("() => location.search.startsWith('?from=')")
    page.wait_for_timeout(300)
    plot(page).dblclick()
    wait_for_range(page, 0, 4999)
    wait_for_range(page, 0, 4999, "chart-ppl")


def test_from_a_step_on_the_newest_is_always_in_view(site: Site, page: Page) -> None:
    """On a telephone too."""
    page.set_viewport_size({"width": 390, "height": 844})
    site.begin(RUN)
    for step in range(30):
        site.step(RUN, step, figures(step))
    page.goto(f"{site.url}/runs/{RUN}?from=20")
    wait_for_range(page, 20, 29)
    expect(page.locator(".chart-tools .zoomed span")).to_have_text("From step 20 on")
    site.step(RUN, 30, figures(30))
    wait_for_range(page, 20, 30)
    assert page.evaluate(OVERFLOW) == 0


def test_pointing_at_a_chart_tells_what_all_charts_have_at_that_step(site: Site, page: Page) -> None:
    """What came, what came and is no number, what is infinite, and what did not come are four different things."""
    site.begin(RUN)
    odd = {"mismatch_ppl_ratio": math.nan, "ratio_std": math.inf}
    for step in range(41):
        brought = figures(step) | (odd if step == 20 else {})
        site.step(
            RUN, step, {name: v for name, v in brought.items() if step != 20 or name != "mismatch_k3_kl"}
        )
    page.set_viewport_size({"width": 1280, "height": 3000})
    follow(page, site)
    for chart in ("chart-ess", "chart-ppl", "chart-k3", "chart-std"):
        page.wait_for_function(f"(id) => {GRAPH}?._fullLayout !== undefined", arg=chart)
    page.mouse.move(*place(page, 0.5))
    told = page.locator("#chart-ess .pointed")
    expect(told.locator("strong")).to_have_text("step 20")
    expect(told.locator("tr")).to_have_text(["ratios0.999", "weights0.9995"])
    expect(told.locator(".usual")).to_have_text(
        "usual 0.9981 to 0.9996: median ± 4 robust spreads, older half of the 399 values before"
    )
    expect(page.locator("#chart-ppl .pointed")).to_have_text("training / rolloutNaN")
    expect(page.locator("#chart-std .pointed")).to_have_text("ratios∞")
    expect(page.locator("#chart-k3 .pointed")).to_have_text("K3no value")
    line = page.locator("#chart-ppl .pointer i").bounding_box()
    assert line is not None
    assert line["x"] == pytest.approx(place(page, 0.5, "chart-ppl")[0], abs=2)
    assert page.evaluate(LINE, ["chart-k3", -2]) == [[], []]
    page.mouse.move(5, 5)
    expect(told).to_be_hidden()
    site.step(RUN, 41, figures(41) | odd)  # and the same where they come by the feed
    lost = f"[({LINE})(['chart-std', -2]), ({LINE})(['chart-ppl', -2])]"
    page.wait_for_function(f"() => JSON.stringify({lost}) === '[[[20,41],[1,1]],[[20,41],[0,0]]]'")


def test_what_is_usual_begins_anew_with_another_session(site: Site, page: Page) -> None:
    """A chart that has come with the page, one that goes on, and one of which a part is in view all draw it so."""
    for first, last, value in ((0, 150, 0.999), (150, 200, 0.5)):
        site.begin(RUN)
        for step in range(first, last):
            site.step(RUN, step, figures(step) | {"ratio_eff_sample_size": value})
    begins = f"""(id) => {GRAPH}?.layout?.shapes.find((one) => one.name === 'usual range')?.path
        .split("M").slice(1).map((part) => parseInt(part))"""
    usual = page.locator("#chart-ess .pointed .usual")
    follow(page, site)
    wait_for_range(page, 0, 199)
    assert page.evaluate(begins, "chart-ess") == [20, 172]
    site.step(RUN, 200, figures(200))
    wait_for_range(page, 0, 200)
    assert page.evaluate(begins, "chart-ess") == [20, 172]
    page.mouse.move(*place(page, 0.5))
    expect(usual).to_contain_text("usual 0.9981 to 0.9996")
    page.mouse.move(*place(page, 0.8))
    expect(page.locator("#chart-ess .pointed strong")).to_have_text("step 160")
    expect(usual).to_have_count(0)
    page.mouse.move(*place(page, 0.95))
    expect(usual).to_contain_text("usual 0.17")
    page.goto(f"{site.url}/runs/{RUN}?from=100&to=180")
    wait_for_range(page, 100, 180)
    assert page.evaluate(begins, "chart-ess") == [100, 170]
    page.mouse.move(*place(page, 0.05))
    expect(usual).to_contain_text("usual 0.9981 to 0.9996")


def test_what_is_usual_in_a_part_of_a_long_run_is_what_alerts_say(site: Site, page: Page) -> None:
    """As the address asks for it and as somebody zooms into it, though all of the run is drawn thinned."""
    recorded(site, 5000)
    values = [figures(step)["mismatch_ppl_ratio"] for step in range(5000)]
    ranges = f"""(id) => {GRAPH}.layout.shapes.find((one) => one.name === 'usual range').path
        .slice(1, -1).split("L").map((place) => place.split(",").map(Number))"""

    def check(first: int, last: int) -> None:
        in_view = [place for place in page.evaluate(ranges, "chart-ppl") if first <= place[0] <= last]
        assert len(in_view) > 10
        for step, end in in_view:
            before = usual(values[: int(step)], "mismatch_ppl_ratio")
            assert before is not None
            assert end == pytest.approx(before.low) or end == pytest.approx(before.high)

    page.goto(f"{site.url}/runs/{RUN}?from=3000&to=3100")
    wait_for_range(page, 3000, 3100, "chart-ppl")
    check(3000, 3100)
    page.goto(f"{site.url}/runs/{RUN}?step=3500")
    wait_for_range(page, 3440, 3560, "chart-ppl")
    check(3440, 3560)
    follow(page, site)
    wait_for_range(page, 0, 4999)
    drag(page, 0.62, 0.66)
    page.wait_for_function("() => location.search.startsWith('?from=3')")
    match = re.fullmatch(r"from=(\d+)&to=(\d+)", page.url.partition("?")[2])
    assert match
    first, last = int(match[1]), int(match[2])
    wait_for_detail(page, "chart-ppl", first, last)
    check(first, last)


def test_lines_are_smoothed_and_stand_behind_their_means(site: Site, page: Page) -> None:
    """By the control of all charts; a reload draws the same."""
    recorded(site, 200)
    follow(page, site)
    wait_for_range(page, 0, 199)
    before = page.evaluate(
        DRAWN, "chart-ppl" if page.locator("#chart-ppl .js-plotly-plot").count() else "chart-ess"
    )
    page.get_by_label("Smoothing").fill("0.9")
    expect(page.locator(".chart-tools output")).to_have_text("0.90")
    lines = f"() => {{ const id = 'chart-ess'; return {GRAPH}?.data?.length; }}"
    page.wait_for_function(f"() => ({lines})() === 8")
    mean = page.evaluate(LINE, ["chart-ess", -2])
    raw = page.evaluate(DRAWN, "chart-ess")[0]
    assert before[0][0] == raw[0]
    assert [min(raw[1]), len(mean[1])] == [0.999, 200]
    opacity = f"(id) => {GRAPH}._fullData[0].opacity"
    assert page.evaluate(opacity, "chart-ess") == 0.3
    page.wait_for_function("() => location.search === '?smooth=0.9'")
    page.reload()
    page.wait_for_function(f"() => ({lines})() === 8")
    assert page.evaluate(LINE, ["chart-ess", -2])[1] == pytest.approx(mean[1], rel=1e-12)
    page.get_by_label("Smoothing").fill("0")
    page.wait_for_function(f"() => ({lines})() === 6")
    assert page.evaluate(opacity, "chart-ess") == 1


@pytest.mark.parametrize("axis", ["time", "relative"])
def test_charts_stand_along_time(axis: str, site: Site, page: Page) -> None:
    """Wall time, or the time since the run began, with what is in view still in steps; and back along steps."""
    recorded(site, 100, seconds=60.0)
    page.goto(f"{site.url}/runs/{RUN}?x={axis}&from=10&to=40")
    began = BEGAN if axis == "time" else 0
    wait_for_range(page, int(began + 600), int(began + 2400))
    labels = page.locator("#chart-ess .xtick text").all_text_contents()
    assert labels == ([f"{n} min" for n in range(10, 41, 5)] if axis == "relative" else labels)
    assert all(re.fullmatch(r"\d\d:\d\d|\d+ min", label) for label in labels)
    steps, _ = page.evaluate(LINE, ["chart-ess", 0])
    assert steps == pytest.approx([began + 60 * step for step in range(100)])
    page.mouse.move(*place(page, 0.5))
    expect(page.locator("#chart-ess .pointed strong")).to_contain_text("step 25 · ")
    expect(page.locator("#chart-ess .pointed strong")).to_contain_text(
        "25 min" if axis == "relative" else "2023-11-1"
    )
    drag(page, 0.0, 0.5)
    page.wait_for_function("() => location.search.includes('from=10&to=2')")
    page.get_by_label("Axis").select_option("step")
    page.wait_for_function(f"() => Math.round(({LAYOUT})('chart-ess')?.xaxis.range[0]) === 10")
    assert "x=" not in page.evaluate("rolloutwatch.view.link()")


def menu(page: Page, chart: str, item: str) -> None:
    page.locator(f"[data-chart={chart}] summary").click()
    page.locator(f"[data-chart={chart}]").get_by_role("button", name=item).click()


def test_the_value_axis_of_a_chart_is_switched_by_its_menu(site: Site, page: Page) -> None:
    """That of the others stays, the address says so, and a reload draws the same, limits and labels too."""
    recorded(site, 60)
    follow(page, site)
    wait_for_range(page, 0, 59)
    menu(page, "ess", "Log axis")
    axis = f"() => ({LAYOUT})('chart-ess')?.yaxis?.type"
    shapes = f"() => {{ const id = 'chart-ess'; return {GRAPH}.layout.shapes.map((one) => one.name).sort().join(); }}"
    page.wait_for_function(f"() => ({axis})() === 'log'")
    assert page.evaluate(f"({LAYOUT})('chart-veto').yaxis.type") == "linear"
    expect(page.locator("[data-chart=ess]")).not_to_have_attribute("open", "")
    before = page.evaluate(shapes)
    ranges = f"() => ({LAYOUT})('chart-ess').yaxis.range"
    seen = page.evaluate(ranges)
    expect(page).to_have_url(f"{site.url}/runs/{RUN}?log=ess")
    page.reload()
    page.wait_for_function(f"() => ({axis})() === 'log'")
    assert page.evaluate(shapes) == before
    assert page.evaluate(ranges) == pytest.approx(seen)
    page.locator("[data-chart=ess] summary").press("Enter")
    button = page.locator("[data-chart=ess]").get_by_role("button", name="Log axis")
    expect(button).to_have_attribute("aria-pressed", "true")
    button.press("Escape")
    expect(page.locator("[data-chart=ess] summary")).to_be_focused()
    expect(button).to_be_hidden()
    menu(page, "ess", "Log axis")
    page.wait_for_function(f"() => ({axis})() === 'linear'")
    expect(page).to_have_url(f"{site.url}/runs/{RUN}")


def test_a_chart_is_saved_and_its_link_copied(site: Site, page: Page) -> None:
    """Figures of what is in view in full, however long the run is; a picture; the address with the chart."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    recorded(site, 4000)
    page.goto(f"{site.url}/runs/{RUN}?from=100&to=3600")
    wait_for_range(page, 100, 3600)
    with page.expect_download() as told:
        menu(page, "ess", "Save as CSV")
    assert told.value.suggested_filename == "grpo-Effective-sample-size.csv"
    head, *rows = Path(told.value.path()).read_text().splitlines()
    assert head == "step,time,ratio_eff_sample_size,rollout_is_eff_sample_size"
    assert [int(row.partition(",")[0]) for row in rows] == list(range(100, 3601))
    assert rows[3110] == f"3210,{BEGAN + 9630},0.25,0.9995"
    with page.expect_download() as told:
        menu(page, "ess", "Save as PNG")
    picture = Path(told.value.path()).read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert [int.from_bytes(picture[at : at + 4]) for at in (16, 20)] == [1920, 840]
    menu(page, "veto", "Copy link")
    expect(page.locator(".toast")).to_have_text("The link to this chart, as you see it, is copied.")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == f"{site.url}/runs/{RUN}?from=100&to=3600#chart-veto"
