"""The view that stands in the address and is that of all charts, and charts that draw only what came up to a step."""

import time

import pytest
from playwright.sync_api import Page

from rolloutwatch_contract import RunEnd, StepRecord
from rolloutwatch_dashboard.shell import HERE
from tests.browser.site import HEALTHY, Site
from tests.browser.test_run_page import follow, wait_until_drawn

RUN = "math~grpo"
RANGES = """(id) => {
    const { xaxis, yaxis } = document.querySelector(`#${id} .js-plotly-plot`)._fullLayout;
    return [xaxis.range, yaxis.range];
}"""
ALL = {"from": None, "to": None, "x": "step", "smooth": 0, "log": [], "at": None}


@pytest.fixture
def blank(page: Page) -> Page:
    page.add_script_tag(content=(HERE / "assets" / "view.js").read_text())
    return page


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {}),
        ("?from=10&to=20&x=time&smooth=0.9&log=ess,-k3&at=15",
         {"from": 10, "to": 20, "x": "time", "smooth": 0.9, "log": ["ess", "-k3"], "at": 15}),
        ("?from=10", {"from": 10}),
        ("?from=20&to=10", {}),
        ("?from=-1&to=1e3&x=<b>&smooth=NaN&log=<img>,,a b&at=٣", {}),
        ("?smooth=1&from=0&to=0", {"smooth": 0.99, "from": 0, "to": 0}),
        ("?from=9007199254740993&smooth=.5&log=a,a", {"smooth": 0.5, "log": ["a"]}),
    ],
)  # fmt: skip
def test_any_address_is_read_as_some_view(query: str, expected: dict[str, object], blank: Page) -> None:
    assert blank.evaluate("(query) => rolloutwatch.viewOf(query)", query) == ALL | expected


def test_a_view_is_written_beside_what_else_an_address_says(blank: Page) -> None:
    """What is as usual is not named, and what is read again is the same."""
    write = "([view, query]) => rolloutwatch.queryOf(view, query)"
    view = ALL | {"from": 3, "to": 9, "log": ["ess", "-k3"], "smooth": 0.6}
    assert blank.evaluate(write, [view, "?step=5&to=1"]) == "?step=5&to=9&from=3&smooth=0.6&log=ess,-k3"
    assert blank.evaluate("(query) => rolloutwatch.viewOf(query)", blank.evaluate(write, [view, ""])) == view
    assert blank.evaluate(write, [ALL, "?from=1&x=time"]) == ""


def test_whoever_listens_is_told_what_changes_and_the_address_follows(site: Site, page: Page) -> None:
    site.begin(RUN)
    site.step(RUN, 0, HEALTHY)
    follow(page, site)
    page.evaluate("""() => {
        window.told = [];
        window.end = rolloutwatch.view.subscribe((view, before) => told.push([before.from, view.from]));
        rolloutwatch.view.set({ from: 3, to: 5 });
        rolloutwatch.view.set({ from: 3 });
    }""")
    assert page.evaluate("told") == [[None, 3]]
    page.wait_for_function("() => location.search === '?from=3&to=5'")
    page.evaluate("() => { end(); rolloutwatch.view.set({ from: null, to: null }); }")
    assert page.evaluate("told.length") == 1
    assert page.evaluate("rolloutwatch.view.link()") == f"{site.url}/runs/{RUN}"


def test_a_chart_draws_what_came_up_to_a_step_on_the_axes_of_all_of_it(site: Site, page: Page) -> None:
    """And all of it again."""
    site.begin(RUN)
    steps = [StepRecord(s, time.time(), {"mismatch_ppl_ratio": 3.0 if s == 15 else 1.0}) for s in range(20)]
    site.archive(RUN, "session-1", *steps, RunEnd(time.time()), first=2)
    follow(page, site)
    wait_until_drawn(page, "chart-ppl", list(range(20)))
    before = page.evaluate(RANGES, "chart-ppl")
    page.goto(f"{site.url}/runs/{RUN}?at=7")
    wait_until_drawn(page, "chart-ppl", list(range(8)))
    assert page.evaluate(RANGES, "chart-ppl") == before
    page.evaluate("rolloutwatch.view.set({ at: null })")
    wait_until_drawn(page, "chart-ppl", list(range(20)))
    assert page.evaluate(RANGES, "chart-ppl") == before
