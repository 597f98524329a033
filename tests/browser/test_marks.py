"""What happened beside the figures, as someone who watches a run sees it."""

import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from rolloutwatch_contract import Heartbeat, Mark, RunEnd, RunStart, StepRecord
from tests.browser.site import CONFIG, HEALTHY, Site
from tests.browser.test_run_page import follow, wait_until_drawn

RUN = "math~grpo"
PATHS = """(id) => Object.fromEntries(
    (document.querySelector(`#${id} .js-plotly-plot`)?.layout?.shapes || [])
        .filter((shape) => shape.name.startsWith("mark: ")).map((shape) => [shape.name, shape.path]))"""
LABELS = "#chart-ess .textpoint text"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def mark(step: int, kind: str = "weight_sync", **fields: Any) -> Mark:
    return Mark(step, time.time(), kind, fields)


def trainer(host: str, pid: int) -> RunStart:
    return RunStart("math", "grpo", time.time(), {}, {"host": host, "pid": str(pid)})


def figures(step: int) -> StepRecord:
    return StepRecord(step, time.time(), HEALTHY)


def wait_for_paths(page: Page, expected: dict[str, str], chart: str = "chart-ess") -> None:
    wanted = [f"{name}={path}" for name, path in sorted(expected.items())]
    found = f"Object.entries(({PATHS})('{chart}')).map((pair) => pair.join('=')).sort()"
    page.wait_for_function(f"(wanted) => JSON.stringify({found}) === JSON.stringify(wanted)", arg=wanted)


def point(page: Page, share: float) -> None:
    """Point at that share of a chart's width."""
    plot = page.locator("#chart-ess .nsewdrag").bounding_box()
    assert plot is not None
    page.mouse.move(plot["x"] + share * (plot["width"] - 1), plot["y"] + plot["height"] / 2)


def test_a_mark_is_drawn_at_once(site: Site, page: Page) -> None:
    """What was marked before stands there; what is marked now comes without a reload, on every chart."""
    site.begin(RUN)
    for step in range(10):
        site.step(RUN, step, HEALTHY | {"reward": 0.5})
    site.put(RUN, mark(2, version=7))
    follow(page, site)
    wait_for_paths(page, {"mark: marks": "M2,0L2,1"})
    page.evaluate("window.isTheSamePage = true")
    site.put(RUN, mark(6, "checkpoint", path="/ckpt/6"))
    wait_for_paths(page, {"mark: marks": "M2,0L2,1M6,0L6,1"})
    for chart in ("chart-ppl", "chart-logged-0"):  # the one of a figure without limits too
        page.evaluate("(id) => document.getElementById(id).scrollIntoView()", chart)
        wait_for_paths(page, {"mark: marks": "M2,0L2,1M6,0L6,1"}, chart)
    expect(page.locator(LABELS)).to_have_text(["\u00a0sync 7", "\u00a0checkpoint"])
    assert page.evaluate("window.isTheSamePage")


def test_pointing_at_a_mark_tells_what_it_is(site: Site, page: Page) -> None:
    """With its fields, which are text whatever they contain, beside the figures of the step."""
    site.begin(RUN)
    for step in range(11):
        site.step(RUN, step, HEALTHY)
    site.put(RUN, mark(5, "checkpoint", path="<b>/ckpt</b> &amp; <script>alert(1)</script>"))
    follow(page, site)
    wait_for_paths(page, {"mark: marks": "M5,0L5,1"})
    point(page, 1 / 2)
    told = page.locator("#chart-ess .pointed")
    expect(told.locator("strong")).to_have_text("step 5")
    expect(told.locator("tr").first).to_have_text("ratios0.999")
    expect(told.locator("p")).to_have_text(
        "step 5: checkpoint, path <b>/ckpt</b> &amp; <script>alert(1)</script>"
    )


@pytest.mark.parametrize("width", [390, 1600])
def test_what_is_marked_at_every_step_does_not_hide_the_figures(width: int, site: Site, page: Page) -> None:
    """Ticks while one sees all, lines with labels when one looks closer."""
    page.set_viewport_size({"width": width, "height": 900})
    site.begin(RUN)
    for step in range(100):
        site.step(RUN, step, HEALTHY)
        site.put(RUN, mark(step, version=step))
    follow(page, site)
    page.wait_for_function(f"() => '0.05' === ({PATHS})('chart-ess')['mark: ticks']?.slice(-4)")
    expect(page.locator(LABELS)).to_have_count(0)
    graph = "document.querySelector('#chart-ess .js-plotly-plot')"
    page.evaluate(f"() => Plotly.relayout({graph}, {{'xaxis.range[0]': 40, 'xaxis.range[1]': 44}})")
    lines = "".join(f"M{step},0L{step},1" for step in range(40, 45))
    wait_for_paths(page, {"mark: marks": lines})
    expect(page.locator(LABELS).first).to_have_text("\u00a0sync 40")
    assert page.evaluate(OVERFLOW) == 0


@pytest.mark.parametrize("query", ["", "?step=50"])
def test_who_looks_closer_at_once_sees_it_too(query: str, site: Site, page: Page) -> None:
    """Also before the page has begun to follow the run."""
    page.add_init_script("""
        new MutationObserver((_, observer) => {
            const graph = document.querySelector("#chart-ess .js-plotly-plot");
            if (!graph?.once) return;
            observer.disconnect();
            graph.once("plotly_afterplot", () => Plotly.relayout(graph, { "xaxis.range[0]": 40, "xaxis.range[1]": 44 }));
        }).observe(document, { childList: true, subtree: true });
    """)
    site.begin(RUN)
    for step in range(100):
        site.step(RUN, step, HEALTHY)
        site.put(RUN, mark(step, version=step))
    page.goto(f"{site.url}/runs/{RUN}{query}")
    lines = "".join(f"M{step},0L{step},1" for step in range(40, 45))
    wait_for_paths(page, {"mark: marks": lines})


def test_a_resumed_run_is_marked_where_it_went_on(site: Site, page: Page) -> None:
    """Also if it went on exactly where it had stopped; nobody calls it contested. What it configures otherwise is told."""
    site.begin(RUN)
    for step in range(5):
        site.step(RUN, step, HEALTHY)
    follow(page, site)
    wait_until_drawn(page, "chart-ess", list(range(5)))
    wait_for_paths(page, {})
    site.begin(RUN)
    for step in range(5, 9):
        site.step(RUN, step, HEALTHY)
    wait_for_paths(page, {"mark: restart": "M5,0L5,1"})
    expect(page.locator(LABELS)).to_have_text(["\u00a0restart"])
    expect(page.locator("#notice")).to_be_hidden()
    site.begin(RUN, CONFIG | {"rollout_is_threshold": 3.0})
    site.step(RUN, 8, HEALTHY)
    wait_for_paths(page, {"mark: restart": "M5,0L5,1M8,0L8,1", "mark: config": "M8,0L8,1"})
    expect(page.locator(LABELS)).to_have_text(["restart\u00a0", "\u00a0restart", "config\u00a0"])
    point(page, 1)
    told = ["step 8: restart, session session-3", "step 8: config, rollout is threshold 2 → 3"]
    expect(page.locator("#chart-ess .pointed p")).to_have_text(told)


def test_two_trainers_that_write_to_a_run_are_named(site: Site, page: Page) -> None:
    """In words, with what to do, as soon as both are at work; when one has ended the words go and the mark stays."""
    page.set_viewport_size({"width": 390, "height": 900})
    site.archive(RUN, "s1", trainer("gpu-a", 12), *(figures(step) for step in range(6)))
    follow(page, site)
    expect(page.locator("#notice")).to_be_hidden()
    site.archive(RUN, "s2", trainer("<b>gpu-b</b>", 34), *(figures(step) for step in range(3)))
    site.archive(RUN, "s1", figures(6), first=8)
    expect(page.locator("#notice")).to_have_text(
        "Two trainers write to this run: host gpu-a, process 12, and host <b>gpu-b</b>, process 34. "
        "Shown is the one named last, because it began last; what the other brings is kept and not shown. "
        "Stop one of them, or give it a run name of its own."
    )
    assert page.evaluate(OVERFLOW) == 0
    expect(page.locator("#contested")).to_have_text("contested")
    expect(page.locator("#health")).to_have_text("partly shown")
    site.archive(RUN, "s2", *(figures(step) for step in range(3, 9)), first=5)
    wait_for_paths(page, {"mark: contested": "M6,0L6,1"})
    page.get_by_role("link", name="Runs").click()
    expect(page.locator("#runs .state-contested")).to_have_text("contested")
    assert page.evaluate(OVERFLOW) == 0
    page.get_by_role("link", name="math / grpo").click()
    expect(page.locator("#notice")).to_contain_text("Two trainers write to this run")
    site.archive(RUN, "s1", RunEnd(time.time()), first=9)
    expect(page.locator("#notice")).to_be_hidden()
    expect(page.locator("#contested")).to_be_hidden()
    expect(page.locator("#health")).to_have_text("healthy")
    wait_for_paths(page, {"mark: contested": "M6,0L6,1"})
    page.get_by_role("link", name="Runs").click()
    expect(page.locator("#runs .state-live")).to_be_visible()
    expect(page.locator("#runs .state-contested")).to_have_count(0)


def test_the_trainer_that_survives_a_contest_is_shown_again(site: Site, page: Page) -> None:
    """An open page comes to it by itself, with a mark where it took over, and without words of a contest."""
    site.archive(RUN, "s1", trainer("gpu-a", 12), *(figures(step) for step in range(6)))
    site.archive(RUN, "s2", trainer("gpu-b", 34), *(figures(step) for step in range(3)))
    follow(page, site)
    site.archive(RUN, "s1", figures(6), first=8)
    expect(page.locator("#contested")).to_be_visible()
    site.archive(RUN, "s2", RunEnd(time.time()), first=5)
    site.archive(RUN, "s1", figures(7), figures(8), first=9)
    wait_until_drawn(page, "chart-ess", [0, 1, 2, 3, 7, 8])  # at 3 the line is broken
    wait_for_paths(page, {"mark: contested": "M6,0L6,1", "mark: takeover": "M7,0L7,1"})
    expect(page.locator("#contested")).to_be_hidden()


def test_the_name_of_a_setting_stays_in_its_tile(site: Site, page: Page) -> None:
    """Long as it is, on a telephone."""
    page.set_viewport_size({"width": 390, "height": 900})
    site.begin(RUN, {})
    without = {name: value for name, value in HEALTHY.items() if name != "rollout_is_veto_fraction"}
    site.step(RUN, 0, without)
    follow(page, site)
    expect(page.locator(".tile.off .small")).to_contain_text("rollout_token_veto_threshold")
    overflow = "(tiles) => Math.max(...tiles.map((one) => one.scrollWidth - one.clientWidth))"
    assert page.locator(".tile .small").evaluate_all(overflow) == 0


def test_what_a_trainer_could_not_deliver_is_said_above_the_charts(site: Site, page: Page) -> None:
    """Marks that were none, and records that a full disk had no room for: in words, without a search for them."""
    site.begin(RUN)
    site.step(RUN, 0, HEALTHY)
    follow(page, site)
    site.put(RUN, Mark(1, time.time(), "weight_sync", {}, {"bad_mark": 1}))
    site.put(RUN, Heartbeat(time.time(), dropped={"bad_mark": 1, "spool_full": 2}))
    expect(page.locator("#reasons")).to_contain_text("1 record lost, the mark was no mark.")
    reason = page.locator(
        "#reasons li", has_text="2 records lost, the spool was full. Redis or the server was away"
    )
    expect(reason).to_be_in_viewport()
