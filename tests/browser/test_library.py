"""How a page comes to its charts."""

from playwright.sync_api import Page, expect

from rolloutwatch_dashboard.shell import LIBRARY
from tests.browser.conftest import Complaints
from tests.browser.site import HEALTHY, Site

RUN = "math~grpo"


def test_charts_are_drawn_by_the_small_library_which_is_fetched_once(site: Site, page: Page) -> None:
    """Also after one has gone to another page and back; all of plotly.js is never asked for."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    site.begin(RUN)
    for step in range(3):
        site.step(RUN, step, HEALTHY)
    page.goto(site.url)
    page.get_by_role("link", name=RUN.partition("~")[2]).click()
    line = page.locator("#chart-weight-std .scatterlayer .js-line").first
    expect(line).to_be_attached()
    page.get_by_role("link", name="Runs").click()
    expect(page.locator("h1")).to_have_text("Runs")
    page.go_back()
    expect(line).to_be_attached()
    assert page.evaluate("typeof Plotly.react") == "function"
    assert sum(LIBRARY in url for url in asked) == 1
    assert [url for url in asked if "plotly.min.js" in url] == []


def test_a_browser_without_the_library_still_has_the_figures(
    site: Site, page: Page, complaints: Complaints
) -> None:
    """Tiles and health need no chart."""
    complaints.expected.append("")  # it is not there, which is said
    page.route(f"**/{LIBRARY}*", lambda route: route.abort())
    site.begin(RUN)
    site.step(RUN, 0, HEALTHY)
    page.goto(f"{site.url}/runs/{RUN}")
    expect(page.locator("#tile-mismatch_k3_kl .value")).to_have_text("1.00e-4")
