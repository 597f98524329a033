"""A link to a step: the page of the run shows what was around it, and the way back to all of it."""

import time

import pytest
from playwright.sync_api import Page, expect

from rolloutwatch_contract import RunEnd, StepRecord
from rolloutwatch_dashboard.shell import HERE
from tests.browser.site import HEALTHY, Site
from tests.browser.test_alerts import RULE, VETOED, card
from tests.browser.test_marks import OVERFLOW, wait_for_paths
from tests.browser.test_run_page import DRAWN

RUN = "math~grpo"
RANGE = """(id) => {
    const graph = document.querySelector(`#${id} .js-plotly-plot`);
    return graph && graph._fullLayout && graph._fullLayout.xaxis ? graph._fullLayout.xaxis.range.map(Math.round).join() : "";
}"""


def long_run(site: Site, steps: int = 300, ill: range = range(0)) -> None:
    site.begin(RUN)
    figures = [
        StepRecord(step, time.time(), VETOED if step in ill else HEALTHY | {"reward": step / 10})
        for step in range(steps)
    ]
    site.archive(RUN, "session-1", *figures, first=2)
    site._sequences[RUN] = steps + 1


def wait_for_range(page: Page, first: int, last: int, chart: str = "chart-ess") -> None:
    see = f"document.getElementById('{chart}')?.scrollIntoView()"
    page.wait_for_function(f"() => {{ {see}; return ({RANGE})('{chart}') === '{first},{last}'; }}")


def test_the_link_of_an_alert_shows_the_run_around_its_step(site: Site, page: Page) -> None:
    """Every chart has the line and the range, of figures with and without limits; back and forward do what they say."""
    long_run(site, ill=range(150, 153))
    site.put(RUN, RunEnd(time.time()))
    page.goto(f"{site.url}/alerts")
    page.locator(".past tbody tr", has_text=RULE).locator("a.run").click()
    expect(page).to_have_url(f"{site.url}/runs/{RUN}?step=152")
    expect(page.locator("#around")).to_have_text("Around step 152. Show all All of this step")
    for chart in ("chart-ess", "chart-veto", "chart-logged-0"):
        wait_for_range(page, 92, 212, chart)
        expect(page.locator(f"#{chart} .textpoint", has_text="step 152")).to_be_visible()
    wait_for_paths(page, {"mark: linked": "M152,0L152,1"}, "chart-k3")
    page.get_by_role("link", name="Show all").click()
    expect(page).to_have_url(f"{site.url}/runs/{RUN}")
    expect(page.locator("#around")).to_have_count(0)
    wait_for_range(page, 0, 299)
    wait_for_paths(page, {})
    page.go_back()
    expect(page.locator("#around")).to_be_visible()
    wait_for_range(page, 92, 212)
    page.go_forward()
    wait_for_range(page, 0, 299)


def test_a_step_is_looked_at_while_the_run_goes_on(site: Site, page: Page) -> None:
    """On a telephone too: what comes is drawn, and the range, the line and the words stay where they are."""
    page.set_viewport_size({"width": 390, "height": 844})
    long_run(site, 100)
    page.goto(f"{site.url}/runs/{RUN}?step=80")
    wait_for_range(page, 20, 140)
    assert page.evaluate(OVERFLOW) == 0
    for step in range(100, 110):
        site.step(RUN, step, HEALTHY)
    expect(page.locator("#step")).to_have_text("step 109")
    page.wait_for_function(f"() => ({DRAWN})('chart-ess')?.[0][0].at(-1) === 109")
    wait_for_range(page, 20, 140)
    wait_for_paths(page, {"mark: linked": "M80,0L80,1"})
    site.step(RUN, 110, HEALTHY | {"another": 1.0})  # for which the page is built anew
    expect(page.get_by_role("heading", name="another")).to_be_visible()
    wait_for_range(page, 20, 140)
    expect(page.locator("#around")).to_contain_text("Around step 80.")


def test_of_a_long_run_every_step_around_is_drawn(site: Site, page: Page) -> None:
    """Of all of it only as much as a screen can show."""
    long_run(site, 7000)
    page.goto(f"{site.url}/runs/{RUN}?step=5000")
    wait_for_range(page, 4940, 5060)
    site.step(RUN, 7000, HEALTHY)
    expect(page.locator("#step")).to_have_text("step 7000")
    steps = page.evaluate(f"({DRAWN})('chart-ess')[0][0]")
    assert [step for step in steps if 4940 <= step <= 5060] == list(range(4940, 5061))
    assert len(steps) < 4000


def test_of_a_short_run_all_is_in_view(site: Site, page: Page) -> None:
    long_run(site, 30)
    site.put(RUN, RunEnd(time.time()))
    page.goto(f"{site.url}/runs/{RUN}?step=10")
    wait_for_range(page, 0, 29)
    wait_for_paths(page, {"mark: linked": "M10,0L10,1"})


@pytest.mark.parametrize(
    "step", ["999", "-1", "1e3", "٣", "<img src=x onerror=window.owned=1>", "", "9" * 400]
)
def test_a_step_that_there_is_not_is_said_and_all_is_shown(step: str, site: Site, page: Page) -> None:
    long_run(site, 200)
    page.goto(f"{site.url}/runs/{RUN}?step={step}")
    expect(page.locator("#around")).to_contain_text("in this run: it has steps 0 to 199. All of it is shown.")
    wait_for_range(page, 0, 199)
    wait_for_paths(page, {})
    assert page.evaluate("window.owned") is None


def test_an_alert_that_fires_leads_to_its_step(site: Site, page: Page) -> None:
    long_run(site, 103, ill=range(100, 103))
    page.goto(f"{site.url}/alerts")
    card(page).get_by_role("link", name="Run at step 102").click()
    wait_for_range(page, 42, 162)
    expect(page.locator("#chart-veto .textpoint", has_text="step 102")).to_be_visible()


def test_what_is_looked_at_closely_is_not_thinned_again(page: Page) -> None:
    """A page that has become long fetches its series anew, with fewer points; what there is of the steps in view stays."""
    for script in ("figures.js", "axis.js", "parts.js", "chart.js"):
        page.add_script_tag(content=(HERE / "assets" / script).read_text())
    found = page.evaluate("""() => {
        const told = { metrics: ["a"], floor: 0 };
        const chart = new rolloutwatch.LiveChart(told, "p", new rolloutwatch.Marks([], 1), {}, [100, 200]);
        const steps = Array.from({ length: 3500 }, (_, step) => step);
        chart.columns = [new rolloutwatch.Column(steps, steps)];
        const wasLong = chart.isLong();
        const near = steps.slice(75, 226);
        chart.refine({ a: { step: near, value: near } }, 75, 225);
        chart.replace({ a: { step: [0, 1000, 2000, 3499], value: [0, 1000, 2000, 3499] } });
        const close = chart.shown()[0].step;
        chart.look({ zoom: [0, 3499] });
        return [wasLong, chart.isLong(), close, chart.shown()[0].step];
    }""")
    assert found == [True, False, list(range(75, 226)), [0, 1000, 2000, 3499]]
