"""What one does all day: keys, links that are passed on, tabs behind others that tell, a server that comes and goes."""

import re
import time

from playwright.sync_api import BrowserContext, Locator, Page, Route, expect

from rolloutwatch_contract import RunEnd
from tests.browser.conftest import Complaints
from tests.browser.site import HEALTHY, Site
from tests.browser.test_alerts import RUN, fall_ill

RED = "%23d5371e"
REFUSED = "The server does not answer; trying again. What you see is the past."
COPIED = "Copied: the link to what you see."


def recorded(site: Site, steps: int = 40) -> None:
    """A run that is over."""
    site.begin(RUN)
    for step in range(steps):
        site.step(RUN, step, HEALTHY | {"ratio_eff_sample_size": 0.9 + step / 1000})
    site.put(RUN, RunEnd(time.time()))


def chart(page: Page, name: str = "ess") -> Locator:
    found = page.locator(f"#chart-{name} .js-plotly-plot[tabindex='0']")
    expect(found).to_be_visible()
    return found


def keys_of(page: Page) -> set[str]:
    """What the help says of keys."""
    page.keyboard.press("?")
    rows = page.get_by_role("dialog", name="Keys").locator("tr")
    expect(rows.first).to_be_visible()
    found = {": ".join(row.split("\t")) for row in rows.all_inner_texts()}
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    return found


def test_keys_lead_anywhere_and_the_help_lists_those_of_the_page(site: Site, page: Page) -> None:
    """None is taken from who writes, or presses it with another one."""
    recorded(site)
    page.goto(site.url)
    page.locator("#runs tbody tr").wait_for()
    everywhere = keys_of(page)
    assert "g then a: go to alerts" in everywhere
    assert "Space: play, or pause" not in everywhere
    page.keyboard.press("/")
    page.keyboard.type("ga?t")
    search = page.get_by_role("searchbox", name="Search runs")
    expect(search).to_have_value("ga?t")
    expect(page).to_have_url(f"{site.url}/?q=ga%3Ft")
    expect(page.get_by_role("dialog")).to_have_count(0)
    search.blur()
    theme = page.locator("html").get_attribute("data-theme")
    page.keyboard.press("Control+t")
    expect(page.locator("html")).to_have_attribute("data-theme", theme or "")
    page.keyboard.press("t")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark" if theme == "light" else "light")
    for key, path in (("a", "/alerts"), ("c", "/compare"), ("u", "/rules"), ("r", "/")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        expect(page).to_have_url(f"{site.url}{path}")
    page.goto(f"{site.url}/runs/{RUN}")
    chart(page)
    of_a_run = keys_of(page)
    its = {
        "Space: play, or pause",
        "Enter: open the step that is pointed at",
        "← → ↑ ↓: the cell beside, above, below",
    }
    assert its | everywhere < of_a_run
    page.goto(f"{site.url}/runs/{RUN}/steps/5")
    page.get_by_role("heading", name="What stands out").wait_for()
    assert "← →: the step before, the next one" in keys_of(page)
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(f"{site.url}/runs/{RUN}/steps/6")
    page.goto(f"{site.url}/guides")
    page.get_by_role("button", name="Keys").click()
    expect(page.get_by_role("dialog", name="Keys")).to_contain_text("This page has no keys of its own.")
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("a")
    expect(page).to_have_url(f"{site.url}/alerts")


def test_the_link_to_what_one_sees_is_copied_or_shown(
    site: Site, page: Page, context: BrowserContext
) -> None:
    """With what has just been changed and is not in the address yet; where a browser refuses, one can take it oneself."""
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    recorded(site)
    page.goto(f"{site.url}/runs/{RUN}")
    chart(page)
    page.evaluate("rolloutwatch.view.set({ from: 3, to: 9, smooth: 0.5 })")
    page.locator("#copy-link").click()
    expect(page.get_by_role("alert")).to_have_text(COPIED)
    link = f"{site.url}/runs/{RUN}?from=3&to=9&smooth=0.5"
    assert page.evaluate("navigator.clipboard.readText()") == link
    page.goto(f"{site.url}/compare?run={RUN}&from=-2.5&to=9")
    page.keyboard.press("l")
    expect(page.get_by_role("alert")).to_have_text(COPIED)
    assert page.evaluate("navigator.clipboard.readText()") == f"{site.url}/compare?run={RUN}&from=-2.5&to=9"
    page.evaluate(
        "navigator.clipboard.writeText = () => Promise.reject(new Error('refused'));"
        "document.execCommand = () => false;"
    )
    page.keyboard.press("l")
    field = page.get_by_role("dialog").get_by_role("textbox")
    expect(field).to_have_value(f"{site.url}/compare?run={RUN}&from=-2.5&to=9")
    expect(field).to_be_focused()
    assert page.evaluate("getSelection().toString()") == field.input_value()


def test_keys_point_at_a_chart_and_open_a_step(site: Site, page: Page) -> None:
    """The line stands on all charts, what is there is said, and a click on a chart takes no key from the replay."""
    recorded(site)
    page.goto(f"{site.url}/runs/{RUN}")
    said = page.locator("#pointed-at")
    chart(page).focus()
    page.keyboard.press("ArrowLeft")
    expect(said).to_contain_text("step 39; ratios 0.939; weights 0.9995")
    expect(page.locator("#chart-veto .pointer")).to_be_visible()
    for key, step in (
        ("ArrowLeft", 38),
        ("Shift+ArrowLeft", 28),
        ("ArrowRight", 29),
        ("Home", 0),
        ("End", 39),
    ):
        page.keyboard.press(key)
        expect(said).to_contain_text(f"step {step};")
        expect(page.locator("#chart-ess .pointed strong")).to_have_text(f"step {step}")
    page.keyboard.press("Escape")
    expect(page.locator("#chart-veto .pointer")).to_be_hidden()
    expect(chart(page)).not_to_be_focused()
    page.get_by_role("button", name="Replay").click()
    expect(page.locator("#replay-step")).to_have_text("step 39 of 39")
    page.locator("#chart-ess .nsewdrag").click()
    page.keyboard.press("Home")
    expect(page.locator("#replay-step")).to_have_text("step 0 of 39")
    chart(page).focus()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{site.url}/runs/{RUN}/steps/0")


def icon(page: Page) -> str:
    return page.locator("#icon").get_attribute("href") or ""


def test_every_tab_tells_how_the_worst_of_its_page_is(site: Site, page: Page) -> None:
    """In its title and in its icon, also without a reload, also behind others."""
    site.begin(RUN)
    site.step(RUN, 0, HEALTHY)
    page.clock.install()
    page.goto(f"{site.url}/rules")
    expect(page).to_have_title("Rules · Rolloutwatch")
    assert RED not in icon(page)
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true })")
    fall_ill(site)
    page.clock.fast_forward(16_000)
    expect(page).to_have_title("1 critical · Rules · Rolloutwatch")
    assert RED in icon(page)
    for path, title in (
        ("/guides", "1 critical · Guides · Rolloutwatch"),
        ("/alerts", "1 critical · Alerts · Rolloutwatch"),
        (f"/runs/{RUN}/whatif", "critical · a · What if · Rolloutwatch"),
        (f"/compare?run={RUN}", "critical · Compare · Rolloutwatch"),
        ("/", "1 critical · Rolloutwatch"),
        (f"/runs/{RUN}/steps/3", "critical · step 3 · a · Rolloutwatch"),
        (f"/runs/{RUN}?at=1", "critical · a · Rolloutwatch"),
    ):
        page.goto(site.url + path)
        expect(page).to_have_title(title)
        assert RED in icon(page)
        if path == "/guides":
            page.clock.fast_forward(11_000)
            expect(page.locator("#notice")).to_be_hidden()


OBSERVED = """
window.shown = [];
window.Notification = class extends Notification {
  constructor(title, options) { super(title, options); window.shown.push([title, options.body, this]); }
};
window.tones = 0;
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (...when) { window.tones += 1; return start.apply(this, when); };
"""
SHOWN = "window.shown.map(([title, body]) => [title, body])"


def test_one_tab_tells_once_that_alerts_begin_to_fire(
    site: Site, page: Page, context: BrowserContext
) -> None:
    """From the severity on that was chosen, several at once as one; what fired before is no news, and a click leads there."""
    context.add_init_script(OBSERVED)
    context.grant_permissions(["notifications"])
    fall_ill(site, "math~old")
    page.goto(f"{site.url}/rules")
    page.get_by_role("button", name="Tell me").click()
    dialog = page.get_by_role("dialog", name="Tell me when an alert begins to fire")
    for name in ("Show a notification", "Make a sound"):
        expect(dialog.get_by_label(name)).not_to_be_checked()
        dialog.get_by_label(name).check()
    dialog.get_by_label("Of which alerts").select_option("critical")
    page.keyboard.press("Escape")
    other = context.new_page()
    other.goto(f"{site.url}/runs/math~old")
    for tab in (page, other):
        expect(tab.locator("header .count")).to_have_text("2")
    tones = page.evaluate("window.tones")
    fall_ill(site)
    page.wait_for_function("() => window.shown.length === 1")
    first = "◆ critical: too_many_vetoed"
    assert page.evaluate(SHOWN) == [[first, "math / a at step 2. More than one sequence in ten is vetoed."]]
    assert page.evaluate("window.tones") == tones + 3
    other.locator("#tell").click()
    other.get_by_label("Of which alerts").select_option("warning")
    other.keyboard.press("Escape")
    fall_ill(site, "math~b")
    page.wait_for_function("() => window.shown.length === 2")
    title, body = page.evaluate(SHOWN)[1]
    assert title == "◆ 2 alerts begin to fire, the worst critical"
    assert body == "◆ too_many_vetoed, math / b at step 2\n▲ sequences_vetoed, math / b at step 2"
    expect(other.locator("header .count")).to_have_text("6")
    assert other.evaluate(SHOWN) == []
    page.evaluate("window.shown[0][2].dispatchEvent(new Event('click'))")
    expect(page).to_have_url(f"{site.url}/runs/{RUN}?step=2")


def test_a_browser_that_refuses_notifications_is_told_so(site: Site, page: Page) -> None:
    """It is not switched on then."""
    page.add_init_script("Notification.requestPermission = async () => 'denied'")
    page.goto(f"{site.url}/rules")
    page.locator("#tell").click()
    box = page.get_by_label("Show a notification")
    box.click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text(
        "This browser refuses notifications"
    )
    expect(box).not_to_be_checked()
    page.reload()
    page.locator("#tell").click()
    expect(page.get_by_label("Show a notification")).not_to_be_checked()


def test_a_page_says_that_the_server_has_gone_and_that_it_is_back(
    site: Site, page: Page, complaints: Complaints
) -> None:
    """Also one that does not move by itself; whoever goes on to another page gets it when the server is back."""
    complaints.expected += [
        "ERR_CONNECTION_REFUSED",
        "ERR_EMPTY_RESPONSE",
        "ERR_CONNECTION_RESET",
        "Failed to fetch",
        "did not respond",
        "ERR_ABORTED",
    ]
    recorded(site)
    page.clock.install()
    page.goto(f"{site.url}/runs/{RUN}/steps/3")
    page.get_by_role("heading", name="What stands out").wait_for()
    notice = page.locator("#notice")
    site.stop()
    page.clock.fast_forward(3_000)
    page.clock.fast_forward(11_000)
    expect(notice).to_have_text(REFUSED)
    site.start()
    page.clock.fast_forward(3_000)
    expect(notice).to_have_text("The server answers again.")
    page.clock.fast_forward(6_000)
    expect(notice).to_be_hidden()
    site.stop()
    page.get_by_role("link", name="Rules").click()
    page.clock.fast_forward(11_000)
    expect(notice).to_have_text("The server does not answer; asking again for this page.")
    site.start()
    page.clock.fast_forward(11_000)
    expect(page.get_by_role("heading", name="Rules")).to_be_visible()
    expect(notice).to_be_hidden()


def test_a_page_that_is_slow_to_come_says_that_it_comes(site: Site, page: Page) -> None:
    """Never is there nothing at all; and an archive without a run says on each page what to do."""
    waiting: list[Route] = []

    def hold(route: Route) -> None:
        if "page.children.." in (route.request.post_data or "") and not waiting:
            waiting.append(route)
        else:
            route.continue_()

    page.route(re.compile("_dash-update-component"), hold)
    page.goto(f"{site.url}/alerts")
    expect(page.locator("main")).to_have_text("Loading …")
    expect(page.locator("#notice")).to_have_text("Loading …")
    waiting[0].continue_()
    expect(page.locator(".calm")).to_contain_text("Nothing fires.")
    expect(page.locator("#notice")).to_be_hidden()
    for path, said in (
        ("/", "Put these lines into a trainer"),
        ("/compare", "No run yet"),
        ("/rules", "quiet"),
        (f"/runs/{RUN}/whatif", "There is no run or page at"),
    ):
        page.goto(site.url + path)
        expect(page.locator("main")).to_contain_text(said)
