"""The groups of charts on a run's page, and the sentence at its head."""

import re
import time

from playwright.sync_api import Browser, Page, Route, expect

from rolloutwatch_contract import RunEnd, StepRecord
from rolloutwatch_dashboard.shell import HERE
from tests.browser.conftest import Complaints
from tests.browser.site import HEALTHY, Site
from tests.browser.test_looks import OVERFLOW
from tests.browser.test_run_page import GONE, RUN, follow, wait_until_drawn

AGE_IN_TOKYO = re.compile(r"began [\d-]+ [\d:]+ GMT\+9, last heard of [\d-]+ [\d:]+ GMT\+9")
PLOTS = (
    "() => Array.from(document.querySelectorAll('.js-plotly-plot'), (one) => one.closest('.dash-graph').id)"
)
FIRST = ["chart-ess", "chart-veto", "chart-weight-mean", "chart-weight-extremes", "chart-weight-std"]
DRAWN_NOW = f"(count) => ({PLOTS})().length >= count"


def begin(site: Site, steps: int = 3) -> None:
    site.begin(RUN)
    for step in range(steps):
        site.step(RUN, step, HEALTHY | {"reward": 0.5})


def test_charts_out_of_view_are_drawn_when_one_comes_near_and_then_follow_the_run(
    site: Site, page: Page
) -> None:
    """On a small screen the first two groups come with the page; what came before a chart was drawn is on it."""
    page.set_viewport_size({"width": 600, "height": 300})
    begin(site)
    follow(page, site)
    page.wait_for_function(DRAWN_NOW, arg=len(FIRST))
    assert page.evaluate(PLOTS) == FIRST
    site.step(RUN, 3, HEALTHY | {"reward": 0.75})
    wait_until_drawn(page, "chart-ess", [0, 1, 2, 3])
    assert page.evaluate(PLOTS) == FIRST, "what nobody looks at is not drawn when a step comes"
    ((_, values),) = wait_until_drawn(page, "chart-logged-0", [0, 1, 2, 3])
    assert values == [0.5, 0.5, 0.5, 0.75]
    site.step(RUN, 4, HEALTHY | {"reward": 1.0})
    ((_, values),) = wait_until_drawn(page, "chart-logged-0", [0, 1, 2, 3, 4])
    assert values[-1] == 1.0
    assert page.evaluate(OVERFLOW) == 0


def test_what_has_come_is_not_asked_for_again_once_somebody_has_gone_through_a_run_that_is_over(
    site: Site, page: Page
) -> None:
    begin(site)
    site.put(RUN, RunEnd(time.time()))
    page.clock.install()
    page.goto(f"{site.url}/runs/{RUN}")
    expect(page.locator("#state")).to_have_text("finished")
    with page.expect_response(lambda response: "chart-logged-0" in (response.request.post_data or "")):
        page.evaluate("() => scrollTo(0, document.body.scrollHeight)")
    expect(
        page.locator("#chart-logged-0 .main-svg").first
    ).to_be_visible()  # scrolling there would paint again
    page.clock.run_for(3_000)  # until the page has taken it over
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.clock.run_for(30_000)  # thrice the time after which it asks again for what does not come
    page.wait_for_timeout(500)
    assert sent == []


def test_while_nobody_looks_what_has_come_is_not_asked_for_again(site: Site, page: Page) -> None:
    """Nor once somebody looks again, who sees it."""
    begin(site)
    site.put(RUN, RunEnd(time.time()))
    page.clock.install()
    page.goto(f"{site.url}/runs/{RUN}")
    expect(page.locator("#chart-ess .main-svg").first).to_be_visible()
    hide = "(yes) => { Object.defineProperty(document, 'hidden', { value: yes, configurable: true }); scrollTo(0, 1e6); }"
    with page.expect_response(lambda response: "chart-logged-0" in (response.request.post_data or "")):
        page.evaluate(hide, True)
    expect(page.locator("#chart-logged-0 .main-svg").first).to_be_visible()
    page.clock.run_for(1_000)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.post_data or ""))
    page.clock.run_for(30_000)
    page.evaluate(hide, False)
    page.clock.run_for(30_000)
    page.wait_for_timeout(500)
    assert [one for one in sent if '"type":"wanted"' in one] == []


def test_a_folded_group_stays_folded_and_is_not_drawn_until_it_is_opened(site: Site, page: Page) -> None:
    """Also on the next page; and somebody who folded the first group sees its charts whole when he opens it."""
    begin(site)
    follow(page, site)
    wait_until_drawn(page, "chart-ess", [0, 1, 2])
    for group in ("health", "perplexity"):
        page.locator(f"#group-{group} > summary").click()
        expect(page.locator(f"#group-{group}")).not_to_have_attribute("open", "")
    page.reload()
    wait_until_drawn(page, "chart-k3", [0, 1, 2])
    expect(page.locator("#chart-ess")).to_be_hidden()
    expect(page.locator("#chart-ppl")).to_be_hidden()
    assert "chart-ppl" not in page.evaluate(PLOTS)
    page.locator("#group-perplexity > summary").click()
    wait_until_drawn(page, "chart-ppl", [0, 1, 2])
    page.locator("#group-health > summary").click()
    expect(page.locator("#chart-ess .main-svg").first).to_be_visible()
    width = "() => { const box = (one) => document.querySelector(`#chart-ess ${one}`).getBoundingClientRect().width;"
    page.wait_for_function(f"{width} return Math.abs(box('.main-svg') - box('.js-plotly-plot')) < 2; }}")
    page.reload()
    expect(page.locator("#group-health")).to_have_attribute("open", "")


def test_a_tile_and_a_jump_lead_to_charts_also_into_a_folded_group(site: Site, page: Page) -> None:
    """The address says where one is, and leads there again; nothing is loaded anew for it."""
    begin(site)
    follow(page, site)
    wait_until_drawn(page, "chart-ess", [0, 1, 2])
    page.evaluate("window.isTheSamePage = true")
    page.locator("#group-kl > summary").click()
    page.locator("#tile-mismatch_k3_kl a").press("Enter")
    card = page.locator(".card", has=page.locator("#chart-k3"))
    expect(card).to_be_focused()
    expect(card).to_be_in_viewport()
    wait_until_drawn(page, "chart-k3", [0, 1, 2])
    page.locator(".jumps a", has_text="Training").click()
    expect(page.locator("#group-training > summary")).to_be_in_viewport()
    assert page.evaluate("window.isTheSamePage && location.hash") == "#group-training"
    page.goto("about:blank")
    page.goto(f"{site.url}/runs/{RUN}#chart-k3")
    expect(card).to_be_in_viewport()


def test_where_something_is_wrong_is_seen_on_the_way_there(site: Site, page: Page) -> None:
    site.begin(RUN)
    site.step(RUN, 0, HEALTHY | {"mismatch_k3_kl": 0.05, "ratio_eff_sample_size": 0.1})
    follow(page, site)
    jumps = page.locator(".jumps a")
    expect(jumps.filter(has_text="Health indicators")).to_have_class("critical")
    expect(jumps.filter(has_text=re.compile("^KL"))).to_have_class("warning")
    expect(jumps.filter(has_text="Perplexity")).to_have_class("")
    headings = page.locator("details.group > summary").all_text_contents()
    assert jumps.all_text_contents() == headings


def test_charts_that_the_server_could_not_bring_come_when_it_answers_again(
    site: Site, page: Page, complaints: Complaints
) -> None:
    complaints.expected += GONE
    page.set_viewport_size({"width": 600, "height": 300})
    refused: list[str] = []

    def refuse(route: Route) -> None:
        if "wanted" in (route.request.post_data or "") and len(refused) < 1:
            refused.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    page.route("**/_dash-update-component*", refuse)
    begin(site)
    page.clock.install()
    follow(page, site)
    page.wait_for_function(DRAWN_NOW, arg=len(FIRST))
    page.locator("#chart-k3").scroll_into_view_if_needed()
    assert page.locator("#chart-k3.room").count() == 1
    page.clock.fast_forward(11_000)
    wait_until_drawn(page, "chart-k3", [0, 1, 2])
    assert len(refused) == 1


def test_the_head_says_in_a_sentence_what_is_wrong(site: Site, page: Page) -> None:
    """Which figure, what that means and since when; it says the same at each step, and when an alert fires later."""
    site.begin(RUN)
    site.step(RUN, 0, HEALTHY)
    follow(page, site)
    headline = page.locator("#headline")
    expect(headline).to_have_text("Every figure that is judged is within its limits.")
    site.step(RUN, 1, HEALTHY | {"ratio_eff_sample_size": 0.11})
    said = "A few tokens carry the whole gradient: ESS below 0.3 since step 1."
    expect(headline).to_have_text(said)
    site.step(RUN, 2, HEALTHY | {"ratio_eff_sample_size": 0.12})
    expect(page.locator("#reasons li")).to_contain_text("ESS 0.12 below 0.3 in 2 of the last 3 steps.")
    expect(headline).to_have_text(said)
    for step in range(3, 5):
        site.step(RUN, step, HEALTHY | {"ratio_eff_sample_size": 0.11})
    expect(headline).to_have_text(
        "A few tokens carry the whole gradient: ESS below 0.3 since step 1. 1 more alert fires."
    )
    expect(page.locator("#health")).to_have_text("critical")


def test_the_server_is_said_to_answer_again(site: Site, page: Page, complaints: Complaints) -> None:
    complaints.expected += GONE
    begin(site)
    follow(page, site)
    wait_until_drawn(page, "chart-ess", [0, 1, 2])
    site.stop()
    expect(page.locator("#notice")).to_contain_text("The server does not answer")
    site.start()
    expect(page.locator("#notice")).to_have_text(
        "The server answers again; what was missed has been fetched."
    )
    expect(page.locator("#notice")).to_be_hidden()


def test_times_are_those_of_the_viewer(site: Site, browser: Browser, complaints: Complaints) -> None:
    site.begin(RUN)
    site.put(RUN, StepRecord(0, time.time(), HEALTHY))
    context = browser.new_context(timezone_id="Asia/Tokyo")
    context.on("page", complaints.listen)
    page = context.new_page()
    follow(page, site)
    expect(page.locator("#age")).to_have_attribute("title", AGE_IN_TOKYO)
    assert page.evaluate("rolloutwatch.moment(0)") == "1970-01-01 09:00:00 GMT+9"
    complaints.expected.append("net::ERR_ABORTED")
    context.close()


ALERTS = [
    {"severity": 1, "rule": "a", "summary": "One.", "step": 3},
    {"severity": 2, "rule": "b", "summary": "Weights look stale. They do!", "step": 9},
    {"severity": 2, "rule": "<b>", "summary": "", "step": 7},
]


def test_the_worst_alert_speaks_and_of_several_the_first(page: Page) -> None:
    page.add_script_tag(content=(HERE / "assets" / "figures.js").read_text())
    say = "(alerts) => rolloutwatch.alertText(rolloutwatch.worstAlert(alerts), alerts.length - 1)"
    assert page.evaluate(say, ALERTS) == "Rule <b> fires, since step 7. 2 more alerts fire."
    assert page.evaluate(say, ALERTS[:2]) == "Weights look stale, since step 9. 1 more alert fires."
    assert page.evaluate(say, ALERTS[:1]) == "One, since step 3."
    assert page.evaluate("() => rolloutwatch.worstAlert([])") is None
