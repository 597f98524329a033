"""The page of one step, as someone looks into what went wrong there."""

import csv
import time
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from rolloutwatch_contract import Mark, StepRecord
from tests.browser.site import HEALTHY, Site
from tests.browser.test_looks import OVERFLOW
from tests.step_records import step_record

RUN = "math~grpo"
HOSTILE = "<img src=x onerror=window.owned=1>"
TEXTS = (HOSTILE, " the", "\n", "\u202etxet", "", " end")
LONG = "g" * 128
ROWS = "#step-choice .step-rows tbody tr"
DRAWN = "#{} .main-svg"
POINT = """(row) => {
    const graph = document.querySelector("#step-scatter .js-plotly-plot");
    const traces = graph.querySelectorAll(".scatterlayer .trace");
    for (const [at, trace] of graph._fullData.entries()) {
        const place = (trace.ids || []).indexOf(row);
        if (place < 0) continue;
        const box = traces[at].querySelectorAll(".point")[place].getBoundingClientRect();
        return [box.x + box.width / 2, box.y + box.height / 2];
    }
}"""


def sick(step: int) -> StepRecord:
    """Four sequences of 4, 6, 8, 10 tokens; the second one is far off at its third token, the last one a little."""
    sequences = [np.full(4 + 2 * at, 0.001, dtype=np.float32) for at in range(4)]
    sequences[1][2] = -12.0
    sequences[3][:] = 0.5
    return step_record(
        step, time.time(), sequences, HEALTHY | {"ratio_eff_sample_size": 0.2}, groups=(HOSTILE, LONG), kept={1: 0.0},
        texts={1: TEXTS, 3: [f" word{at}" for at in range(10)]},
    )  # fmt: skip


@pytest.fixture
def run(site: Site) -> Site:
    site.begin(RUN)
    for step in range(40):
        site.step(RUN, step, HEALTHY)
    site.put(RUN, sick(40))
    site.put(RUN, Mark(40, time.time(), "weight_sync", {HOSTILE: LONG}))
    return site


def first_cells(page: Page, column: int) -> list[str]:
    return page.locator(f"{ROWS} td:nth-child({column})").all_text_contents()


def test_what_one_chooses_stands_in_the_address_and_tokens_are_text(run: Site, page: Page) -> None:
    """By headings, rows and points of the chart; whoever opens the address sees the same."""
    page.goto(f"{run.url}/runs/{RUN}/steps/40")
    expect(page.get_by_role("heading", level=1)).to_have_text("math / grpo / step 40")
    expect(page).to_have_title("critical · step 40 · grpo · Rolloutwatch")
    expect(page.locator(".step-figures").first.locator("tbody tr").first).to_have_text(
        "ESS0.20.999 (0.9981 to 0.9996)-52warning < 0.8critical < 0.3"
    )
    expect(page.locator(".step-marks")).to_have_text(f"weight sync, {HOSTILE} {LONG[:59]}…")
    expect(page.locator("#step-text > span")).to_have_text(
        [HOSTILE, " the", "⏎\n", "\\u202etxet", "∅", " end"]
    )
    classes = page.locator("#step-text > span").evaluate_all("all => all.map((one) => one.className)")
    assert classes == ["z0", "z0", "n5", "z0", "z0", "z0"]
    assert first_cells(page, 2) == ["1001", "1003", "1002", "1000"]
    assert first_cells(page, 3)[0] == f"{LONG[:39]}…"
    assert page.evaluate("window.owned") is None

    page.locator("#step-text > span", has_text="⏎").hover()
    expect(page.locator("#step-token")).to_have_text("⏎ token 2: log ratio -12, ratio 6.14e-6")
    page.locator("#step-text").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#step-token")).to_have_text("\\u202etxet token 3: log ratio 0.001, ratio 1.001")
    expect(page).to_have_url(f"{run.url}/runs/{RUN}/steps/40")  # the keys were those of the text

    page.locator("#step-choice th button", has_text="Tokens").click()
    expect(page.locator("#step-choice th[aria-sort=descending]")).to_have_text("Tokens ↓")
    assert first_cells(page, 2) == ["1003", "1002", "1001", "1000"]
    page.locator("#step-choice th button", has_text="Tokens").click()
    expect(page.locator("#step-choice th[aria-sort=ascending]")).to_have_text("Tokens ↑")
    page.get_by_role("button", name="Read the tokens of sample 1003").click()
    expect(page.locator("#step-text > span").first).to_have_text(" word0")
    expect(page).to_have_url(f"{run.url}/runs/{RUN}/steps/40?sort=-length&row=3")

    page.locator("#step-scatter").scroll_into_view_if_needed()
    expect(page.locator(DRAWN.format("step-scatter")).first).to_be_visible()
    page.mouse.click(*page.evaluate(POINT, "1"))
    expect(page.locator("#step-text > span").first).to_have_text(HOSTILE)
    expect(page).to_have_url(f"{run.url}/runs/{RUN}/steps/40?sort=-length&row=1")
    page.reload()
    expect(page.locator("#step-text > span").first).to_have_text(HOSTILE)
    assert first_cells(page, 2) == ["1000", "1001", "1002", "1003"]
    expect(page.locator("tr.chosen td").nth(1)).to_have_text("1001")
    assert page.evaluate("window.owned") is None


def test_the_time_of_a_step_is_told_where_the_viewer_is(run: Site, browser: Browser) -> None:
    """And as the server has it, to whoever points at it."""
    run.put(RUN, StepRecord(41, 1_780_000_000.0, HEALTHY))
    context = browser.new_context(timezone_id="Asia/Tokyo")
    page = context.new_page()
    page.goto(f"{run.url}/runs/{RUN}/steps/41")
    when = page.locator(".head time")
    expect(when).to_have_text("2026-05-29 05:26:40 GMT+9")
    expect(when).to_have_attribute("title", "2026-05-28 20:26:40 UTC")
    context.close()


def test_keys_and_links_lead_from_step_to_step(run: Site, page: Page) -> None:
    """Over those that were not recorded; a step that comes while one looks is found by looking again."""
    run.step(RUN, 45, HEALTHY)
    page.goto(f"{run.url}/runs/{RUN}/steps/45")
    expect(page.locator(".step-ways")).to_contain_text("last step so far")
    run.step(RUN, 47, HEALTHY)
    page.get_by_role("button", name="Look again").click()
    expect(page.get_by_role("link", name="Step 47 ›")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("heading", level=1)).to_have_text("math / grpo / step 40")
    expect(page.locator("#step-text > span").first).to_have_text(HOSTILE)
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(f"{run.url}/runs/{RUN}/steps/45")
    expect(page.locator("main")).to_contain_text("No table of sequences came with this step.")
    page.goto(f"{run.url}/runs/{RUN}/steps/43")
    page.get_by_role("link", name="step 40").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("math / grpo / step 40")
    page.get_by_role("link", name="Charts around it").click()
    expect(page.locator("#around")).to_contain_text("Around step 40.")


def test_a_step_done_again_can_be_seen_as_it_was(run: Site, page: Page) -> None:
    run.begin(RUN)
    run.step(RUN, 40, HEALTHY)
    page.goto(f"{run.url}/runs/{RUN}/steps/40")
    expect(page.locator(".step-note").first).to_contain_text("2 sessions did this step: session-1")
    expect(page.locator("main")).to_contain_text("No table of sequences came with this step.")
    page.get_by_role("link", name="session-1").click()
    expect(page.locator(".step-note").first).to_contain_text(
        "What you see was given up when the run was resumed."
    )
    assert first_cells(page, 2) == ["1001", "1003", "1002", "1000"]
    page.locator("#step-choice th button", has_text="Sample").click()
    expect(page.locator("#step-choice th[aria-sort=ascending]")).to_have_text("Sample ↑")
    expect(page).to_have_url(f"{run.url}/runs/{RUN}/steps/40?attempt=session-1&sort=sample")
    assert first_cells(page, 2) == ["1000", "1001", "1002", "1003"]


def test_the_page_fits_a_phone(run: Site, page: Page) -> None:
    """With all that it has, and the names as long as may be: the table alone is wider, and scrolls in itself."""
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{run.url}/runs/{RUN}/steps/40")
    expect(page.locator(DRAWN.format("step-histogram")).first).to_be_visible()
    expect(page.locator("#step-text > span")).to_have_count(len(TEXTS))
    page.locator(".all-figures summary").click()
    assert page.evaluate(OVERFLOW) == 0


def test_what_a_chart_shows_is_saved_and_is_no_formula(run: Site, page: Page) -> None:
    """As recorded values where a chart has words and places, and text where people wrote it; and as a picture."""
    formula = '=HYPERLINK("x","y")'
    sequences = [np.full(4, at, dtype=np.float32) for at in (0.0, 0.0, 0.5, -60.0)]
    texts = {3: ["+1", "a,b", "\n", " ok"]}
    run.put(RUN, step_record(41, time.time(), sequences, HEALTHY, groups=(formula, HOSTILE), texts=texts))
    page.goto(f"{run.url}/runs/{RUN}/steps/41")

    def saved(chart: str, title: str) -> list[list[str]]:
        expect(page.locator(DRAWN.format(chart)).first).to_be_attached()
        with page.expect_download() as told:
            page.get_by_label(f"More about {title}").click()
            page.locator(".chart-menu[open]").get_by_text("Save as CSV").click()
        assert told.value.suggested_filename == f"step-41-grpo-{title.replace(' ', '-')}.csv"
        with Path(told.value.path()).open(newline="") as file:
            return list(csv.reader(file))

    zero = "0.00000762939453125"
    assert saved("step-histogram", "Log ratio of the tokens") == [
        ["log_ratio_from", "log_ratio_to", "tokens"],
        ["-Infinity", "-32", "4"],
        [f"-{zero}", zero, "8"],
        ["0.5", "0.625", "4"],
    ]
    sequence = saved("step-scatter", "Which sequences carry it")
    assert sequence[0] == ["sample", "group", "tokens", "mean_log_ratio", "share_of_mismatch", "fate"]
    assert sequence[3][:4] == ["1002", f"'{formula}", "4", "0.5"]
    assert sequence[4][:4] == ["1003", HOSTILE, "4", "-60"]
    assert saved("step-positions", "Where in the response")[3:5] == [
        ["1002", "lowest", "0", "0.5"],
        ["1003", "lowest", "0", "-60"],
    ]
    groups = saved("step-groups", "Which groups carry it")
    assert [[group, tokens] for group, _, tokens in groups[1:]] == [[HOSTILE, "0.5"], [f"'{formula}", "0.5"]]
    assert sum(float(share) for _, share, _ in groups[1:]) == pytest.approx(1)
    assert saved("step-along", "Along the response") == [
        ["token", "text", "log_ratio"],
        *([str(at), text, "-60"] for at, text in enumerate(("'+1", "a,b", "\n", " ok"))),
    ]
    with page.expect_download() as told:
        page.get_by_label("More about Which groups carry it").click()
        page.locator(".chart-menu[open]").get_by_text("Save as PNG").click()
    picture = Path(told.value.path()).read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert [int.from_bytes(picture[at : at + 4]) for at in (16, 20)] == [1920, 840]
