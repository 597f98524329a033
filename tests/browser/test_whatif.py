"""The what-if page of a run: what people set, and what they are shown of it, against what the server answers."""

import re
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from rolloutwatch_contract import Array, StepRecord
from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.presets import PRESETS
from rolloutwatch_correction import histogram_of
from rolloutwatch_dashboard.figures.whatif import Would, band, dots_of, words_of
from rolloutwatch_dashboard.shell import HERE
from tests.browser.conftest import Complaints
from tests.browser.site import Site
from tests.dashboard.test_whatif import GAPPED
from tests.server.test_whatif import random_batch

RUN = "math~grpo-7b"
OWN = CorrectionConfig(
    rollout_is="token", rollout_rs="sequence", rollout_rs_threshold=3.0, rollout_token_veto_threshold=1e-4
)
STEPS = 12
SPREAD = 0.05
LOOKED_AT = f"{STEPS} steps looked at."
VETO = "rollout_token_veto_threshold"
REFUSED = "status of 422"
OUTAGE = ["net::ERR_", "Callback failed: the server did not respond"]
# what is seen for some milliseconds alone
REMEMBER_PROGRESS = """addEventListener("DOMContentLoaded", () => {
    new MutationObserver(() => {
        const bar = document.querySelector("#whatif-status progress");
        if (bar) window.reached = [bar.getAttribute("value"), bar.parentElement.textContent.trim()];
    }).observe(document.body, { subtree: true, childList: true });
})"""


def record(number: int, config: CorrectionConfig = OWN) -> StepRecord:
    """A step as the client sends it."""
    correction = random_batch(number, SPREAD, sequences=16, tokens=40).correct(config)
    return StepRecord(
        number,
        time.time(),
        correction.metrics.as_dict(),
        Array.of(histogram_of(correction.statistics.vector.numpy(), correction.config)),
        Array.of(correction.sequences.numpy().astype(np.float32)),
    )


@pytest.fixture
def recorded(site: Site) -> Site:
    """A site with a real run that was corrected."""
    site.begin(RUN, OWN.as_dict())
    for number in range(STEPS):
        site.put(RUN, record(number))
    return site


def opened(site: Site, page: Page, query: str = "", run: str = RUN) -> Page:
    page.goto(f"{site.url}/runs/{run}/whatif{query}")
    return page


def answered(page: Page, text: str = LOOKED_AT) -> None:
    """Wait until the page shows the answer to what is set."""
    expect(page.locator("#whatif-charts:not(.is-old)")).to_be_attached()
    expect(page.locator("#whatif-status")).to_have_text(text)


def asked(site: Site, keys: dict[str, Any], run: str = RUN, **query: Any) -> Any:
    """What the API answers to the same question."""
    answer = httpx.post(f"{site.url}/api/v1/runs/{run}/whatif", json=keys, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def drawn(page: Page, chart: str, trace: int) -> dict[str, list[Any]]:
    """What a trace of a chart has; None where it does not stand there."""
    found: dict[str, list[Any]] = page.evaluate(
        """([id, at]) => {
            const trace = document.querySelector(`#${id} .js-plotly-plot`).data[at];
            return { x: Array.from(trace.x), y: Array.from(trace.y), words: Array.from(trace.customdata || []) };
        }""",
        [chart, trace],
    )
    return found


def test_every_control_leads_to_figures_that_the_server_tells(recorded: Site, page: Page) -> None:
    """From the run's own correction on, where what would have been is what was: modes, a slider, a number, a preset.

    Charts and table have the server's figures, the address has what is set, and brings it back.
    """
    answered(opened(recorded, page))
    kept = drawn(page, "chart-whatif-kept", 0)
    assert kept["x"] == list(range(STEPS))
    assert drawn(page, "chart-whatif-kept", 2)["y"][:STEPS] == pytest.approx(kept["y"], abs=1e-12)
    expect(page.locator("#whatif-start")).to_have_value("own")

    page.locator("label[for=whatif-rollout_is-sequence]").click()
    answered(page)
    page.locator(f"#whatif-{VETO}-").fill("0.5")
    answered(page)
    expect(page.locator("#whatif-start")).to_have_value("")
    slider = page.locator("#whatif-rollout_rs_threshold-sequence-slider")
    slider.focus()
    slider.press("Home")
    expect(page.locator("#whatif-rollout_rs_threshold-sequence")).to_have_value("1.01")
    answered(page)
    assert page.url.split("?")[1] == f"rollout_is=sequence&{VETO}=0.5&rollout_rs_threshold=1.01"

    told = asked(
        recorded, OWN.as_dict() | {"rollout_is": "sequence", "rollout_rs_threshold": 1.01, VETO: 0.5}
    )
    vetoed = told["figures"]["rollout_is_veto_fraction"]
    assert drawn(page, "chart-whatif-vetoed", 2)["y"][:STEPS] == vetoed["low"]
    words = [f"would have been {page.evaluate('rolloutwatch.number', one)}" for one in vetoed["low"]]
    assert drawn(page, "chart-whatif-vetoed", 4)["words"] == words
    worst, was = (
        told[side]["rollout_is_veto_fraction"]["highest"]["step"] for side in ("summary", "recorded")
    )
    row = page.locator("#whatif-table tr", has_text="Sequences vetoed")
    expect(row.locator("td").nth(2).locator("a")).to_have_attribute("href", f"/runs/{RUN}/steps/{worst}")
    assert was in range(STEPS)
    mean = page.evaluate("rolloutwatch.number", told["summary"]["rollout_rs_seq_masked_fraction"]["mean_low"])
    expect(
        page.locator("#whatif-table tr", has_text="Sequences rejected from").locator("strong").last
    ).to_have_text(mean)
    expect(page.locator("#whatif-yaml pre")).to_have_text(told["yaml"])

    page.reload()
    answered(page)
    expect(page.locator("#whatif-rollout_is-sequence")).to_be_checked()
    expect(page.locator(f"#whatif-{VETO}-")).to_have_value("0.5")
    assert drawn(page, "chart-whatif-vetoed", 2)["y"][:STEPS] == vetoed["low"]

    page.locator("#whatif-start").select_option("decoupled_k3_rs")
    answered(page)
    table = page.locator("#whatif-table tr")
    expect(table.filter(has_text="Mean weight").locator("td").last).to_have_text("off")
    expect(page.locator("#chart-whatif-mean")).to_be_visible()
    page.locator("#whatif-rs-token_k1").check()
    expect(page.locator("#whatif-rollout_rs_threshold-token_k1")).to_have_value("2")
    expect(page.locator("#whatif-rollout_rs_threshold-token_k1-lower")).to_have_value("0.5")
    answered(page)
    expect(page.locator("#whatif-yaml pre")).to_contain_text('rollout_rs: "token_k1,seq_mean_k3"')
    assert "rollout_rs_threshold=0.5_2,0.01" in page.url


def test_what_cannot_be_is_said_beside_its_control_and_the_old_answer_stays(
    recorded: Site, page: Page, complaints: Complaints
) -> None:
    """In the words of the configuration, as text, whatever an address or a person says; and it goes when it is mended."""
    complaints.expected.append(REFUSED)
    opened(recorded, page, "?rollout_is=<b>tokn&rollout_rs=nonsense,token&rollout_rs_threshold=1_2_3&x=1")
    wrong = page.locator("#whatif-controls .wrong")
    expect(wrong).to_contain_text("rollout_is is '<b>tokn': expected one of token, sequence, geometric")
    expect(page.locator("#whatif-status")).to_have_text("What is set cannot be.")
    answered(opened(recorded, page))
    before = drawn(page, "chart-whatif-kept", 2)
    field = page.locator("#whatif-rollout_rs_threshold-sequence")
    field.fill("-1")
    expect(page.locator("fieldset:has(.wrong) legend")).to_have_text("Rejection")
    expect(wrong).to_have_text(
        re.compile(r"rollout_rs_threshold is '-1': expected a positive number such as 2.0")
    )
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#whatif-charts")).to_have_class("charts is-old")
    assert drawn(page, "chart-whatif-kept", 2) == before
    field.fill("5")
    answered(page)
    expect(wrong).to_have_count(0)
    expect(page.locator("#whatif-charts")).to_have_class("charts")


def test_a_long_run_is_asked_about_in_portions_and_a_spike_of_one_step_is_there(
    site: Site, page: Page
) -> None:
    """More steps than an answer is asked for: how far it has come is said, and the means are those of all steps."""
    usual, spike = record(3, CorrectionConfig()), record(8, CorrectionConfig())
    steps = [
        StepRecord(n, 0.0, one.metrics, one.histogram, one.sequences)
        for n in range(4200)
        for one in [spike if n == 4100 else usual]
    ]
    site.begin("math~long", CorrectionConfig().as_dict())
    site.archive("math~long", "session-1", *steps, first=2)
    keys = {"rollout_is": "sequence"}
    page.add_init_script(REMEMBER_PROGRESS)
    page.goto(f"{site.url}/runs/math~long/whatif?rollout_is=sequence")
    answered(page, "4200 steps looked at.")
    assert page.evaluate("() => window.reached") == ["4000", "up to step 4000 of 4199"]
    told = asked(site, keys, run="math~long")
    assert told["next_step"] is None
    figure = "rollout_is_eff_sample_size"
    worst = told["summary"][figure]["lowest"]
    cell = page.locator("#whatif-table tr", has_text="ESS of weights").locator("td").last
    mean = page.evaluate("rolloutwatch.number", told["summary"][figure]["mean_low"])
    expect(cell.locator("strong")).to_have_text(mean)
    assert str(4100) in {
        str(worst["step"]),
        str(told["summary"][figure]["highest"]["step"]),
    }, "it is an extreme"
    line = drawn(page, "chart-whatif-ess", 4)
    assert len(line["x"]) < 4200
    assert 4100 in line["x"]


def test_an_answer_in_portions_is_the_answer(recorded: Site, page: Page) -> None:
    """Put together in the browser: figures, means, worst steps, and what was."""
    page.goto(f"{recorded.url}/rules")
    keys = {"rollout_is": "token", "rollout_rs": "geometric", "rollout_rs_threshold": 1.01}
    whole, parts = asked(recorded, keys), [asked(recorded, keys, most=5)]
    while parts[-1]["next_step"] is not None:
        parts.append(asked(recorded, keys, most=5, from_step=parts[-1]["next_step"]))
    assert len(parts) == 3
    merged = page.evaluate(
        "(parts) => parts.reduce((all, one) => rolloutwatch.whatif.merged(all, one), null)", parts
    )
    for name, figure in whole["figures"].items():
        assert merged["figures"][name] == {side: figure[side] for side in ("step", "low", "high")}
    for side in ("summary", "recorded"):
        assert set(merged[side]) == set(whole[side])
        for name, one in whole[side].items():
            for mean in ("mean_low", "mean_high"):
                assert merged[side][name].pop(mean) == pytest.approx(one.pop(mean), rel=1e-12, abs=1e-15)
            assert merged[side][name] == one


@pytest.fixture
def blank(page: Page) -> Page:
    """A page with the pure functions and nothing else."""
    for name in ("figures.js", "whatif_figures.js", "whatif_keys.js"):
        page.add_script_tag(content=(HERE / "assets" / name).read_text())
    return page


def test_areas_dots_and_words_are_those_of_python(blank: Page) -> None:
    asked = [
        GAPPED,
        Would(),
        Would([3], [0.5], [0.75]),
        Would([1, 2], [0.1, 0.2], [0.3, 0.2]),
        Would([0, 1], [0.12345, 1e-9], [0.123451, 2e7]),
    ]
    columns = [{"step": list(one.step), "low": list(one.low), "high": list(one.high)} for one in asked]
    ask = "(all) => all.map((one) => ['band', 'dotsOf', 'wordsOf'].map((name) => rolloutwatch.whatif[name](one)))"
    expected = [
        [[list(side) for side in band(one)], [list(side) for side in dots_of(one)], words_of(one)]
        for one in asked
    ]
    assert blank.evaluate(ask, columns) == expected


def test_what_is_set_is_the_configuration_it_was_read_from(blank: Page) -> None:
    """Every preset through the controls' keys and back, and through an address, is the same correction."""
    ask = """([all, own]) => all.map((keys) => {
        const { read, write, toQuery, fromQuery } = rolloutwatch.whatif;
        const written = write(read(keys));
        return [written, write(read(fromQuery("?" + toQuery(written, write(read(own))), write(read(own)))))];
    })"""
    presets = [CorrectionConfig.preset(name) for name in PRESETS]
    found = blank.evaluate(ask, [[one.as_dict() for one in presets], OWN.as_dict()])
    for preset, ways in zip(presets, found, strict=True):
        for keys in ways:
            again = CorrectionConfig.from_mapping(keys)
            for name in ("rollout_is", "rollout_is_mode", "bounds", "rejections", VETO, "bypass_mode", "loss_type"):  # fmt: skip
                assert getattr(again, name) == getattr(preset, name), (name, keys)


def test_sliders_stand_where_their_number_is(blank: Page) -> None:
    """By powers of ten, of the value, or of how far from 1 it is; beyond an end at that end, and for no number nowhere."""
    ask = """(all) => all.map(([kind, said]) => {
        const slider = rolloutwatch.whatif.slider(kind);
        const at = slider.place(said);
        return [at, at === null ? null : slider.said(at)];
    })"""
    cases = {
        ("veto", "1e-4"): (-4, "0.0001"),
        ("ratio upper", "2"): (0, "2"),
        ("ratio upper", "5000"): (2, "101"),
        ("ratio upper", "-1"): (None, None),
        ("ratio upper", "many"): (None, None),
        ("ratio upper", ""): (None, None),
        ("mean upper", "1.001"): (pytest.approx(-3), "1.001"),
        ("mean lower", "0.999"): (pytest.approx(3), "0.999"),
        ("divergence", "0.24"): (pytest.approx(-0.6198, abs=1e-4), "0.24"),
        ("ratio lower", "1"): (0, "1"),
    }
    assert [tuple(one) for one in blank.evaluate(ask, [list(one) for one in cases])] == list(cases.values())


def test_a_run_without_tables_and_one_without_steps_say_why_nothing_is_told(site: Site, page: Page) -> None:
    site.begin("math~none")
    opened(site, page, run="math~none")
    expect(page.locator("h1", has_text="No step yet")).to_be_visible()
    site.begin("math~plain", OWN.as_dict())
    site.step("math~plain", 0, {"rollout_is_mean": 1.0})
    opened(site, page, run="math~plain")
    expect(page.locator("#whatif-notes")).to_contain_text(
        "No step of this run has a table of its sequences or a histogram"
    )
    expect(page.locator("#whatif-charts")).to_be_hidden()
    expect(page.locator("#whatif-table table")).to_have_count(0)


def test_a_phone_shows_all_of_it_without_sideways_scroll(
    browser: Browser, recorded: Site, complaints: Complaints
) -> None:
    """With every kind of control there is, and a name as long as may be."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    context.on("page", complaints.listen)
    page = context.new_page()
    try:
        run = f"math~{'x' * 90}"
        recorded.begin(run, OWN.as_dict())
        recorded.put(run, record(1))
        names = "token_k1,seq_sum_k2,seq_mean_k1,seq_max_k3"
        opened(
            recorded, page, f"?rollout_rs={names}&rollout_rs_threshold=0.5_2,1,0.999_1.001,10", run
        ).locator("#whatif-yaml pre").wait_for()
        answered(page, "1 step looked at.")
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0
        boxes = [
            page.locator(f"#{part}").bounding_box()
            for part in ("whatif-controls", "whatif-table", "whatif-yaml")
        ]
        tops = [box["y"] for box in boxes if box]
        assert tops == sorted(tops)
        assert len(tops) == 3
    finally:
        complaints.expected.append("net::ERR_ABORTED")
        context.close()


def test_the_yaml_is_copied(recorded: Site, page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    answered(opened(recorded, page))
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.locator(".toast")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == asked(recorded, OWN.as_dict())["yaml"]


def test_a_run_that_goes_on_is_looked_at_again_with_what_is_set(recorded: Site, page: Page) -> None:
    answered(opened(recorded, page, f"?{VETO}=0.5"))
    recorded.put(RUN, record(STEPS))
    page.get_by_role("button", name="Look again").click()
    answered(page, f"{STEPS + 1} steps looked at.")
    expect(page.locator(f"#whatif-{VETO}-")).to_have_value("0.5")
    for chart, trace in (("chart-whatif-kept", 0), ("chart-whatif-vetoed", 4)):  # drawn one after the other
        page.wait_for_function(
            "([id, at, steps]) => document.querySelector(`#${id} .js-plotly-plot`).data[at].x.length === steps",
            arg=[chart, trace, STEPS + 1],
        )
        assert drawn(page, chart, trace)["x"] == list(range(STEPS + 1))


def test_who_zooms_into_one_chart_sees_those_steps_in_all(recorded: Site, page: Page) -> None:
    """And all of them again when that is taken back."""
    answered(opened(recorded, page))
    charts = "Array.from(document.querySelectorAll('#whatif-charts .js-plotly-plot'))"
    zoom = "(change) => Plotly.relayout(document.querySelector('#chart-whatif-kept .js-plotly-plot'), change)"
    page.evaluate(zoom, {"xaxis.range[0]": 2, "xaxis.range[1]": 5})
    page.wait_for_function(f"() => {charts}.every((one) => one._fullLayout.xaxis.range.join() === '2,5')")
    page.evaluate(zoom, {"xaxis.autorange": True})
    page.wait_for_function(
        f"() => {charts}.every((one) => one._fullLayout.xaxis.range.join() === '0,{STEPS - 1}')"
    )


CHARTS_IN_VIEW = """(range) => Array.from(document.querySelectorAll("#whatif-charts .js-plotly-plot"))
    .every((one) => one._fullLayout.xaxis.range.join() === range)"""


def wait_for_ranges(page: Page, first: int, last: int) -> None:
    page.wait_for_function(CHARTS_IN_VIEW, arg=f"{first},{last}")


def test_what_is_in_view_stands_in_the_address_and_is_what_is_saved(recorded: Site, page: Page) -> None:
    """Beside what is set, over a reload, and in the link; a double click, or the button, takes it back."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    answered(opened(recorded, page, f"?{VETO}=0.5"))
    plot = page.locator("#chart-whatif-vetoed .nsewdrag").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    x, y = ([box[place] + share * box[size] for share in shares] for place, size, shares in [
        ("x", "width", (1.6 / (STEPS - 1), 5.4 / (STEPS - 1))), ("y", "height", (0.5, 0.52)),
    ])  # fmt: skip
    page.mouse.move(x[0], y[0])
    page.mouse.down()
    page.mouse.move(x[1], y[1], steps=4)
    page.mouse.up()
    wait_for_ranges(page, 2, 5)
    expect(page).to_have_url(f"{recorded.url}/runs/{RUN}/whatif?{VETO}=0.5&from=2&to=5")
    expect(page.locator("#chart-tools")).to_have_text("Steps 2 to 5Show all")
    page.locator(f"#whatif-{VETO}-").fill("0.25")
    expect(page).to_have_url(f"{recorded.url}/runs/{RUN}/whatif?{VETO}=0.25&from=2&to=5")
    page.locator("#copy-link").click()
    expect(page.locator(".toast")).to_contain_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    page.reload()
    answered(page)
    wait_for_ranges(page, 2, 5)

    with page.expect_download() as told:
        page.get_by_label("More about Sequences vetoed").click()
        page.locator(".chart-menu[open]").get_by_text("Save as CSV").click()
    assert told.value.suggested_filename == "grpo-7b-What-if-Sequences-vetoed.csv"
    head, *rows = Path(told.value.path()).read_text().splitlines()
    assert head == "step,was,would_have_been_from,would_have_been_to"
    would = asked(recorded, OWN.as_dict() | {VETO: 0.25})["figures"]["rollout_is_veto_fraction"]
    was = drawn(page, "chart-whatif-vetoed", 0)["y"]
    assert [[float(cell) for cell in row.split(",")] for row in rows] == [
        [step, was[step], would["low"][step], would["high"][step]] for step in range(2, 6)
    ]

    page.locator("#chart-whatif-kept .nsewdrag").first.dblclick()
    wait_for_ranges(page, 0, STEPS - 1)
    expect(page).to_have_url(f"{recorded.url}/runs/{RUN}/whatif?{VETO}=0.25")
    expect(page.locator("#chart-tools button")).to_be_hidden()


def test_a_page_asks_again_by_itself_when_its_server_is_back(
    recorded: Site, page: Page, complaints: Complaints
) -> None:
    complaints.expected += OUTAGE
    answered(opened(recorded, page))
    recorded.stop()
    page.locator(f"#whatif-{VETO}-").fill("0.5")
    expect(page.locator("#whatif-status")).to_contain_text("The server does not answer.")
    expect(page.get_by_role("button", name="Ask again")).to_be_visible()
    recorded.start()
    answered(page)
    told = asked(recorded, OWN.as_dict() | {VETO: 0.5})["figures"]["rollout_is_veto_fraction"]
    assert drawn(page, "chart-whatif-vetoed", 2)["y"][:STEPS] == told["low"]
