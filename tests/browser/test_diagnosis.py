"""What is probably wrong with a run, on its page as steps come, in a replay, and on the page of a step."""

import re
import time

import pytest
from playwright.sync_api import Page, expect

from rolloutwatch_contract import RunEnd
from tests.browser.ailing import stale, unclear
from tests.browser.site import Site
from tests.browser.test_run_page import RUN, follow
from tests.browser.test_why import box

ONSET = 20
STALE = "Probably the rollout weights are stale."
# what the page asks for, but for the event stream, which is one question that goes on
COUNT = """() => {
    window.asked = [];
    const former = fetch;
    window.fetch = (where, options) => {
        window.asked.push(`${where} ${options && options.body ? options.body : ""}`);
        return former(where, options);
    };
}"""
DIAGNOSES = "() => asked.filter((one) => one.includes('diagnosis-watch.data')).length"
MS_AT_REST = 7000


@pytest.fixture
def ill(site: Site) -> Site:
    site.begin(RUN)
    for step in range(ONSET + 6):
        site.step(RUN, step, stale(step, ONSET))
    return site


def test_the_cause_is_named_once_an_alert_fires_and_goes_when_it_ends(site: Site, page: Page) -> None:
    """Nothing is asked while nothing stands; panel and head name it, and the rules' own advice steps back."""
    site.begin(RUN)
    for step in range(ONSET):
        site.step(RUN, step, stale(step, ONSET))
    follow(page, site)
    expect(page.locator("#health")).to_have_text("healthy")
    page.evaluate(COUNT)
    site.step(RUN, ONSET, stale(ONSET - 1, ONSET))
    expect(page.locator("#step")).to_have_text(f"step {ONSET}")
    expect(page.locator("#diagnosis")).to_be_hidden()
    assert page.evaluate(DIAGNOSES) == 0
    for step in range(ONSET + 1, ONSET + 6):
        site.step(RUN, step, stale(step, ONSET))
    panel = page.locator("#diagnosis .diagnosis")
    expect(panel.get_by_role("heading")).to_have_text(STALE)
    expect(panel.locator(".likelihood")).to_have_text(re.compile(r"^Likely \((over )?\d\d %\)$"))
    expect(panel).to_contain_text("The rollout weights are up to")
    expect(panel).to_contain_text("Look at nextCompare the version of the weights")
    expect(panel).to_contain_text("What to doSync the rollout weights at each step")
    expect(panel.get_by_role("link", name="Guide")).to_have_attribute(
        "href", "/guides/diagnosis/stale_weights"
    )
    expect(page.locator("#headline")).to_contain_text("; probably the rollout weights are stale.")
    rows = page.locator("#reasons li")
    expect(rows.filter(visible=True)).to_have_count(2)
    expect(rows.locator(".cure").filter(visible=True)).to_have_count(0)
    # it goes on with the run
    expect(panel).to_contain_text(f"as of step {ONSET + 5}")
    site.step(RUN, ONSET + 6, stale(ONSET + 6, ONSET))
    expect(panel).to_contain_text(f"as of step {ONSET + 6}")
    for step in range(ONSET + 7, ONSET + 27):
        site.step(RUN, step, stale(step, ONSET + 100))
    expect(page.locator("#diagnosis")).to_be_hidden()
    expect(page.locator("#headline")).not_to_contain_text("probably")
    expect(page.locator("#health")).to_have_text("healthy")


def test_a_page_at_rest_asks_nothing_and_one_that_nobody_sees_neither(ill: Site, page: Page) -> None:
    """What is known came with the page; of steps that come it asks every few seconds at most."""
    follow(page, ill)
    expect(page.locator("#diagnosis h3")).to_have_text(STALE)
    page.evaluate(COUNT)
    page.wait_for_timeout(MS_AT_REST)
    assert page.evaluate(DIAGNOSES) == 0
    for step in range(ONSET + 6, ONSET + 16):
        ill.step(RUN, step, stale(step, ONSET))
        page.wait_for_timeout(200)
    expect(page.locator("#diagnosis .since")).to_contain_text(f"as of step {ONSET + 15}")
    assert page.evaluate(DIAGNOSES) <= 3
    before = page.evaluate(DIAGNOSES)
    page.evaluate("() => Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    ill.step(RUN, ONSET + 16, stale(ONSET + 16, ONSET))
    page.wait_for_timeout(MS_AT_REST)
    assert page.evaluate(DIAGNOSES) == before


def test_where_none_is_sure_candidates_stand_side_by_side_and_what_is_open_stays_so(
    site: Site, page: Page
) -> None:
    """The head names none; news does not close what somebody has opened, nor take the focus from them."""
    site.begin(RUN)
    for step in range(60):
        site.step(RUN, step, unclear(step, 40))
    follow(page, site)
    panel = page.locator("#diagnosis .diagnosis")
    expect(panel.get_by_role("heading")).to_have_text("Not sure; these are the likeliest causes.")
    candidates = panel.locator(".candidates > li")
    expect(candidates).to_have_count(2)
    expect(candidates.nth(0)).to_contain_text(re.compile(r"Possible \(\d\d %\)"))
    expect(candidates.nth(1)).to_contain_text("The rollout weights are stale")
    assert box(candidates.nth(0))["y"] == box(candidates.nth(1))["y"]
    expect(page.locator("#headline")).not_to_contain_text("probably")
    fold = candidates.nth(1).locator("summary")
    fold.press("Enter")
    expect(candidates.nth(1)).to_contain_text("Sync the rollout weights at each step")
    expect(candidates.nth(1).locator("details p")).to_be_visible()
    site.step(RUN, 60, unclear(60, 40))
    expect(panel).to_contain_text("as of step 60")
    expect(candidates.nth(1).locator("details p")).to_be_visible()
    expect(fold).to_be_focused()


def test_what_comes_above_does_not_move_what_one_looks_at(site: Site, page: Page) -> None:
    """Somebody reads a chart further down while the alert begins to fire."""
    site.begin(RUN)
    for step in range(ONSET):
        site.step(RUN, step, stale(step, ONSET))
    follow(page, site)
    chart = page.locator("#chart-k1")
    chart.scroll_into_view_if_needed()
    expect(chart.locator(".main-svg").first).to_be_visible()
    page.wait_for_timeout(1000)  # charts around it are drawn
    before = box(chart)["y"]
    for step in range(ONSET, ONSET + 6):
        site.step(RUN, step, stale(step, ONSET))
    expect(page.locator("#diagnosis h3")).to_have_text(STALE)
    page.wait_for_timeout(500)
    assert box(chart)["y"] == pytest.approx(before, abs=2)


def test_a_run_that_is_over_keeps_what_was_known_and_a_replay_says_what_was_known_then(
    ill: Site, page: Page
) -> None:
    """Alerts end with their run; a replay of a step before they began says nothing."""
    ill.put(RUN, RunEnd(time.time()))
    follow(page, ill)
    panel = page.locator("#diagnosis .diagnosis")
    expect(panel).to_contain_text(f"as of step {ONSET + 4}")
    expect(page.locator("#headline")).to_contain_text("probably the rollout weights are stale")
    page.goto(f"{ill.url}/runs/{RUN}?at={ONSET + 3}")
    expect(panel).to_contain_text(f"as of step {ONSET + 3}")
    expect(page.locator("#headline")).to_contain_text("probably the rollout weights are stale")
    slider = page.locator("#replay input[type=range]")
    slider.fill(str(ONSET - 5))
    expect(page.locator("#step")).to_have_text(f"step {ONSET - 5}")
    expect(page.locator("#diagnosis")).to_be_hidden()
    slider.fill(str(ONSET + 4))
    expect(panel).to_contain_text(f"as of step {ONSET + 4}")
    page.get_by_role("button", name="Close replay").click()
    expect(page.locator("#state")).to_have_text("finished")
    expect(panel).to_contain_text(f"as of step {ONSET + 4}")


def test_a_step_says_what_was_known_then(ill: Site, page: Page) -> None:
    """Above the alerts that stood; a step before them says nothing."""
    page.goto(f"{ill.url}/runs/{RUN}/steps/{ONSET + 5}")
    expect(page.get_by_role("heading", name="What was probably wrong")).to_be_visible()
    expect(page.locator(".diagnosis h3")).to_have_text(STALE)
    page.goto(f"{ill.url}/runs/{RUN}/steps/{ONSET - 5}")
    expect(page.get_by_role("heading", name="What stands out")).to_be_visible()
    expect(page.locator(".diagnosis")).to_have_count(0)
