"""A run whose trainer logs hundreds of figures of its own."""

import json

from playwright.sync_api import Page, Request

from tests.browser.site import HEALTHY, Site
from tests.browser.test_run_page import RUN, follow, wait_until_drawn

MANY = {f"module_{at // 50}/layer_{at:03}": float(at) for at in range(300)}
IN_A_PART = 12
ELEMENTS = "document.querySelectorAll('#group-training .charts *').length"
# what the page's script wants, also before Dash, whose clock stands still, has sent it
LISTEN = """
() => {
  const { set_props: set } = dash_clientside;
  window.wanted = [];
  dash_clientside.set_props = (id, props) => {
    if (id.type === "wanted") window.wanted.push(id.part);
    return set(id, props);
  };
}
"""
# until the page, too, has been told what is near to the screen
GO = """
(id) => new Promise((done) => {
  const chart = document.getElementById(id);
  chart.scrollIntoView({ block: "center" });
  const observer = new IntersectionObserver(([{ isIntersecting }]) => {
    if (!isIntersecting) return;
    observer.disconnect();
    done();
  }, { rootMargin: "600px 0px" });
  observer.observe(chart.closest("[data-part]"));
})
"""


def test_of_hundreds_of_charts_those_that_one_scrolls_past_are_neither_asked_for_nor_drawn(
    site: Site, page: Page
) -> None:
    """Their rooms are one element each; where one rests, charts are drawn, with the axis that the address asks for."""
    site.begin(RUN)
    for step in range(2):
        site.step(RUN, step, HEALTHY | MANY)
    asked: list[str] = []

    def heard(request: Request) -> None:
        inputs = json.loads(request.post_data or "{}").get("inputs", []) if request.method == "POST" else []
        asked.extend(name for one in inputs if "wanted" in str(one["id"]) for name in one["value"]["charts"])

    page.on("request", heard)
    page.clock.install()
    follow(page, site, f"{RUN}?log=logged-180")
    wait_until_drawn(page, "chart-ess", [0, 1])
    assert page.evaluate(ELEMENTS) == len(MANY)
    page.clock.pause_at(page.evaluate("Date.now() + 1000"))
    page.evaluate(LISTEN)
    asked.clear()
    for at in (60, 120, 180):
        page.evaluate(GO, f"chart-logged-{at}")
    assert page.evaluate("window.wanted") == []
    page.clock.resume()
    wait_until_drawn(page, "chart-logged-180", [0, 1])
    numbers = sorted(int(name.rpartition("-")[2]) for name in asked if name.startswith("chart-logged-"))
    assert {*range(180, 180 + IN_A_PART)} <= {*numbers} <= {*range(140, 230)}
    for at in (60, 120):
        room = page.locator(f"#chart-logged-{at}")
        expected = (f"module_{at // 50}/layer_{at:03}", "card room")
        assert (room.text_content(), room.get_attribute("class")) == expected
    menu = page.locator(".chart-menu[data-chart=logged-180]")
    menu.locator("summary").click()
    assert menu.locator("[data-do=log]").get_attribute("aria-pressed") == "true"
