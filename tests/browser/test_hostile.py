"""What others call things is shown as text on every page, does nothing, and fits a phone."""

import re

import pytest
from playwright.sync_api import Page, expect

from rolloutwatch_contract import Mark, RecordError, RunStart, StepRecord
from rolloutwatch_contract.record import check
from rolloutwatch_dashboard.figures.step_tokens import visible
from tests.browser.hostile import NAMES, OTHER, PLANTED, RUN, STEPS, TAGS, TEXTS, TOKENS, fill
from tests.browser.site import Site
from tests.browser.test_looks import OVERFLOW

# all that a page says, to whomever: to who reads it, points at it, or has it read aloud
SAID = """() => {
    const texts = [document.title, document.body.textContent];
    for (const one of document.querySelectorAll("[title], [aria-label], [alt], [placeholder]")) {
        texts.push(...["title", "aria-label", "alt", "placeholder"].map((name) => one.getAttribute(name) || ""));
    }
    for (const one of document.querySelectorAll("input, textarea")) texts.push(one.value);
    return texts.join("\\n");
}"""
# a chart is drawn when one comes to it
DRAWN = """(title) => {
    const card = Array.from(document.querySelectorAll(".card")).find((one) => one.querySelector("h3")?.textContent === title);
    card?.scrollIntoView({ block: "center" });
    return Boolean(card?.querySelector(".main-svg .trace"));
}"""
POINTED_AT = """(id) => {
    document.getElementById(id)?.scrollIntoView({ block: "center" });
    return Boolean(document.querySelector(`#${id} .main-svg .point`));
}"""
# what a chart says of the point of a row
HOVER = """([id, row, text]) => {
    const graph = document.querySelector(`#${id} .js-plotly-plot`);
    const curveNumber = graph._fullData.findIndex((trace) => trace.hoverinfo !== "skip" && (trace.ids || []).includes(row));
    Plotly.Fx.hover(graph, [{ curveNumber, pointNumber: graph._fullData[curveNumber].ids.indexOf(row) }]);
    return graph.querySelector(".hoverlayer").textContent.includes(text);
}"""
MARKUP = (5, 6)  # the rows whose groups plotly might take for its own markup


def bare(text: str) -> str:
    """A text without what browsers do not tell: controls, and which white it is."""
    return re.sub(r"[\s\x00]+", " ", text.replace("\xa0", " "))


def missing(said: str, *texts: str) -> list[str]:
    told = bare(said)
    return [one for one in texts if bare(one).strip() not in told]


def nothing_was_done(page: Page) -> None:
    assert page.evaluate("window.canary") is None
    assert page.evaluate("Object.prototype.hasOwnProperty.call(Object.prototype, 'step')") is False
    planted = page.locator(PLANTED)
    assert planted.count() == 0, planted.first.evaluate("(one) => one.outerHTML")
    assert page.evaluate(OVERFLOW) == 0


def test_texts_of_runs_rules_and_people_do_nothing_anywhere(site: Site, page: Page) -> None:
    """On a phone: names, tags, figures, groups, marks, tokens, configuration, environment, rules, notes and reasons."""
    fill(site)
    page.set_viewport_size({"width": 390, "height": 844})
    dialogs: list[str] = []
    page.on("dialog", lambda one: dialogs.append(one.message))

    page.goto(site.url)
    expect(page.locator("#runs .spark").first).to_be_visible()
    assert missing(page.evaluate(SAID), *TAGS, "constructor / toString") == []
    nothing_was_done(page)

    page.goto(f"{site.url}/runs/{RUN}")
    expect(page.locator("#chart-ess .main-svg").first).to_be_visible()
    page.locator(".facts > summary").press("Enter")
    for name in NAMES:
        page.wait_for_function(DRAWN, arg=name)
    assert missing(page.evaluate(SAID), *TEXTS, *NAMES) == []
    nothing_was_done(page)

    page.goto(f"{site.url}/runs/{RUN}/steps/{STEPS - 1}?row={len(TEXTS) - 1}")
    expect(page.locator("#step-text > span")).to_have_text([visible(one) for one in TOKENS])
    page.wait_for_function(POINTED_AT, arg="step-scatter")
    assert missing(page.evaluate(SAID), *NAMES, *TEXTS) == []
    for row in MARKUP:
        page.wait_for_function(HOVER, arg=["step-scatter", str(row), TEXTS[row][:30]], polling=100)
        nothing_was_done(page)
    nothing_was_done(page)

    for path, drawn, texts in (
        (f"/runs/{RUN}/whatif?rollout_is=token", "#whatif-table td", ("constructor / toString",)),
        (
            f"/compare?run={RUN}&run={OTHER}&metric=__proto__&metric=constructor",
            ".main-svg",
            ("__proto__", *TEXTS),
        ),
        ("/alerts", "#alerts .alert", TEXTS),
        ("/rules", "#rules-lines:not(:empty)", TEXTS),
        (f"/runs/{TEXTS[1]}".replace("%", "%25"), "h1", (TEXTS[1],)),
    ):
        page.goto(site.url + path)
        expect(page.locator(drawn).first).to_be_visible()
        assert missing(page.evaluate(SAID), *texts) == [], path
        nothing_was_done(page)
    assert dialogs == []


@pytest.mark.parametrize("text", [one for one in TEXTS if one not in NAMES and one != "w" * 128])
def test_what_names_a_path_a_key_or_a_column_is_refused(text: str) -> None:
    """Projects, runs, figures, kinds of marks and reasons of drops have an alphabet of their own."""
    for record in (
        RunStart(text, "a", 0.0),
        RunStart("math", text, 0.0),
        StepRecord(0, 0.0, {text: 1.0}),
        StepRecord(0, 0.0, {}, dropped={text: 1}),
        Mark(0, 0.0, text),
    ):
        with pytest.raises(RecordError, match="expected"):
            check(record)
