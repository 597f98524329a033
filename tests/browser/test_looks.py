"""Every page in light and dark, on a phone and on a wide screen."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Complaints
from tests.browser.site import HEALTHY, STALE, Site

# as long as names may be: one that can be broken nowhere, one in many places
RUN = f"{'a-project-' * 12}with-a-n~{'g' * 128}"
LONG_METRIC = "m" * 128
PHONE, WIDEST = 390, 1600
WIDTHS = (320, PHONE, 1010, 1250, WIDEST)
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
GROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture
def wide_and_small(site: Site) -> Site:
    site.begin(RUN)
    for step in range(30):
        site.step(RUN, step, STALE | {LONG_METRIC: step / 30, "mismatch_k3_kl": 2.917e-5})
    site.begin("empty~run")
    return site


@pytest.mark.parametrize(
    "path", ["/", f"/runs/{RUN}", "/runs/empty~run", "/runs/no~such", "/nowhere", "/docs"]
)
def test_no_page_is_wider_than_the_screen(path: str, wide_and_small: Site, page: Page) -> None:
    """On a phone, and where it is made wide."""
    page.set_viewport_size({"width": PHONE, "height": 900})
    page.goto(wide_and_small.url + path)
    expect(page.locator("h1")).to_be_visible()
    if path == f"/runs/{RUN}":
        expect(page.locator("#reasons li").first).to_be_visible()
        expect(page.locator("#chart-ess .main-svg").first).to_be_visible()
    assert page.evaluate(OVERFLOW) == 0
    page.set_viewport_size({"width": WIDEST, "height": 900})
    page.wait_for_function(f"() => {OVERFLOW} === 0")  # charts follow a moment later


LINES = """(element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    return new Set(Array.from(range.getClientRects(), (box) => Math.round(box.top))).size;
}"""


def test_a_number_is_never_broken_and_its_trend_is_always_there(wide_and_small: Site, page: Page) -> None:
    """On a tile and in the table, on a phone and beside a name that takes all the room there is."""
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    page.goto(f"{wide_and_small.url}/runs/{RUN}")
    tile = page.locator("#tile-mismatch_k3_kl")
    expect(tile.locator(".value")).to_have_text("2.92e-5")
    expect(tile.locator(".trend span")).to_have_text("→ steady")
    expect(page.locator("#chart-ess .main-svg").first).to_be_visible()
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        expect(tile.locator(".trend span")).to_be_visible()
        expect(tile.locator(".trend svg")).to_be_visible()
        for value in page.locator(".tile .value").all():
            assert value.evaluate(LINES) == 1, width
            assert value.evaluate("(one) => one.scrollWidth <= one.clientWidth"), width
    page.goto(wide_and_small.url)
    expect(page.locator("#runs td.figure", has_text="2.92e-5")).to_be_visible()
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        for value in page.locator("#runs td.figure .now").all():
            assert value.evaluate(LINES) == 1, width


def test_the_page_follows_the_system_and_remembers_who_said_otherwise(
    wide_and_small: Site, browser: Browser, complaints: Complaints
) -> None:
    """Dark where the system is dark; after a click it is light, also the next time."""
    context = browser.new_context(color_scheme="dark")
    context.on("page", complaints.listen)
    page = context.new_page()
    page.goto(wide_and_small.url)
    expect(page.locator("h1")).to_be_visible()
    assert page.evaluate(GROUND) == "rgb(15, 19, 24)"
    page.get_by_role("button", name="Theme").click()
    assert page.evaluate(GROUND) == "rgb(245, 246, 248)"
    page.reload()
    expect(page.locator("h1")).to_be_visible()
    assert page.evaluate(GROUND) == "rgb(245, 246, 248)"
    context.close()


def test_the_first_page_may_be_any(site: Site, page: Page) -> None:
    """A bookmark of a run works on a server that nobody has asked for "/" yet."""
    site.begin("math~a")
    site.step("math~a", 0, HEALTHY)
    page.goto(f"{site.url}/runs/math~a")
    expect(page.locator("#health")).to_have_text("healthy")
