"""What holds on every page: anybody can use it, on a phone and on a desk, by keys alone, light and dark."""

import contextlib
from collections.abc import Iterator

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page, expect

from rolloutwatch_dashboard.pages.routes import ROUTES
from tests.browser.every_page import PLACES, Place, breathing, fill
from tests.browser.site import Site
from tests.server.notify.events import webhook
from tests.server.receiver import Mode, Receiver, always

pytestmark = pytest.mark.timeout(300)  # axe reads all of a page many times
DESK, PHONE = 1280, 390
# all rules at their defaults; the insides of a drawing are left out, of whose thousands of shapes no rule has anything to say
GRAVE = """async (where) => {
    const context = { include: [where || "html"], exclude: [".main-svg"] };
    const found = await axe.run(context, { resultTypes: ["violations"], elementRef: false });
    const grave = found.violations.filter((one) => ["serious", "critical"].includes(one.impact));
    const why = (node) => [...node.any, ...node.all, ...node.none].map((one) => one.message).join("; ");
    return grave.flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.target}: ${why(node)}`));
}"""
# texts that begin or end beyond the edge of the screen, where nothing can be moved to see them
CUT_OFF = """() => {
    const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    const found = wide > 0 ? [`the page is ${wide} px wider than the screen`] : [];
    const isAny = (element, of) => element && (of(element) || isAny(element.parentElement, of));
    const isMoved = (one) => one.scrollWidth > one.clientWidth && /auto|scroll/.test(getComputedStyle(one).overflowX);
    const isTiny = (one) => one.clientWidth === 1 && one.clientHeight === 1;
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode, holder = text.parentElement;
        if (!text.data.trim() || !holder.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
        const range = document.createRange();
        range.selectNodeContents(text);
        const out = Array.from(range.getClientRects()).some((box) => box.width && (box.left < -1 || box.right > innerWidth + 1));
        if (out && !isAny(holder, isMoved) && !isAny(holder, isTiny)) found.push(`"${text.data.slice(0, 60)}" is cut off`);
    }
    return found;
}"""
SETTLED = """() => document.documentElement.scrollWidth <= document.documentElement.clientWidth
    && !document.querySelector("[aria-busy=true], .is-old")"""
MS_TO_SETTLE = 5000
# what keys lead to, and of what they have led to whether one sees where one is
LISTEN = """() => {
    const KEYED = "a[href], button, input, select, textarea, summary, [tabindex]";
    const named = (one) => {
        const text = (one.ariaLabel || one.textContent || one.name || "").trim().slice(0, 40);
        return `${one.tagName.toLowerCase()} ${one.id} ${one.getAttribute("class") || ""} "${text}"`;
    };
    const isAsked = (one) => one.tabIndex >= 0 && !one.disabled && one.checkVisibility({ visibilityProperty: true })
        && !(one.type === "radio" && !one.checked);
    const isRinged = (one) => {
        const styles = ["", "::after"].map((part) => getComputedStyle(one, part));
        const isOutlined = (style) => style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
        return styles.some((style) => isOutlined(style) || style.boxShadow !== "none");
    };
    const around = (one) => [one, one.parentElement, one.parentElement.parentElement, ...(one.labels || [])];
    const asked = Array.from(document.querySelectorAll(KEYED)).filter(isAsked);
    const walk = (window.walk = { asked, reached: new Set(), dim: [] });
    walk.look = () => {
        const target = document.activeElement;
        if (target === document.body || walk.reached.has(target)) return; // a field of a date has several stops
        walk.reached.add(target);
        const box = target.getBoundingClientRect();
        const isSeen = box.right > 0 && box.left < innerWidth && box.bottom > 0 && box.top < innerHeight;
        if (!isSeen) walk.dim.push(`${named(target)}, which is off the screen at ${box.x}, ${box.y}`);
        if (!around(target).some(isRinged)) walk.dim.push(named(target));
    };
    walk.left = () => walk.asked.filter((one) => one.isConnected && !walk.reached.has(one)).map(named);
    document.activeElement.blur();
    return walk.asked.length;
}"""
FRAME = """() => ({
    lang: document.documentElement.lang,
    titled: document.title.length > 0,
    h1: document.querySelectorAll("h1").length,
    main: document.querySelectorAll("main").length,
    header: document.querySelectorAll("body header:not(main header)").length,
    nav: document.querySelectorAll("nav").length > 0,
})"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Site]:
    """One archive for all of them, and somebody who is told and takes nothing; nothing here changes it."""
    plain = "allow_internal = true\npicture = false"
    with Receiver(always(Mode.GONE)) as receiver:
        targets = [webhook(receiver.url, "on-call", plain)]
        one = Site(tmp_path_factory.mktemp("every"), redis_url, targets=targets)
        one.start()
        try:
            fill(one)
            with breathing(one):
                yield one
        finally:
            one.stop()
            one.close()


def test_no_page_is_left_out() -> None:
    """Every route has a place in the table."""
    assert {place.pattern for place in PLACES} - {None} == {pattern for pattern, _ in ROUTES}


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_anybody_can_use_the_page(place: Place, site: Site, page: Page) -> None:
    """It is whole, nothing of it is cut off, axe finds nothing grave, and keys lead everywhere and are seen to."""
    page.set_viewport_size({"width": DESK, "height": 900})
    page.goto(site.url + place.path)
    expect(page.locator(place.drawn).first).to_be_visible()
    assert page.evaluate(FRAME) == {
        "lang": "en",
        "titled": True,
        "h1": 1,
        "main": 1,
        "header": 1,
        "nav": True,
    }
    page.evaluate(AXE_SCRIPT)
    found = keyed(page)
    found += seen(page, place, "light")
    page.set_viewport_size({"width": PHONE, "height": 844})
    found += seen(page, place, "dark")
    assert "\n".join(dict.fromkeys(found)) == ""


def seen(page: Page, place: Place, theme: str) -> list[str]:
    """Look at a page, and at all that can be opened there; return what is wrong."""
    page.evaluate("(theme) => { document.documentElement.dataset.theme = theme; scrollTo(0, 0); }", theme)
    found = looked_at(page, place.part, theme)
    for opening in place.openings:
        for one in opening.keys:
            page.locator(one).first.press("Enter")
        expect(page.locator(opening.there).first).to_be_visible()
        found += looked_at(page, opening.there, f"{theme}, {opening.there}")
        page.keyboard.press("Escape")
        if page.locator(opening.there).first.is_visible():
            page.locator(opening.keys[0]).first.press("Enter")
        expect(page.locator(opening.there).locator("visible=true")).to_have_count(0)
    return found


def looked_at(page: Page, where: str, when: str) -> list[str]:
    wait_until_settled(page)
    return [f"{when}: {one}" for one in [*page.evaluate(CUT_OFF), *page.evaluate(GRAVE, where)]]


def wait_until_settled(page: Page) -> None:
    """Charts follow the width of the screen a moment later, and what is asked for comes."""
    with contextlib.suppress(PlaywrightError):
        page.wait_for_function(SETTLED, timeout=MS_TO_SETTLE)


def keyed(page: Page) -> list[str]:
    """Press Tab until it leads nowhere new; return what it does not lead to, and where one does not see where one is."""
    few = page.evaluate(LISTEN) + 10
    for pressed in range(3 * few):
        # charts that are drawn meanwhile can be reached, too
        if pressed >= few and not page.evaluate("walk.left().length"):
            break
        page.keyboard.press("Tab")
        page.evaluate("walk.look()")
    missed, dim = page.evaluate("[walk.left(), walk.dim]")
    return [f"Tab does not lead to {one}" for one in missed] + [f"no focus is seen on {one}" for one in dim]
