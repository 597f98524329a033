"""The page of a run, as someone who watches it sees it."""

import itertools
import math
import time

import pytest
from playwright.sync_api import Page, Route, expect

from rolloutwatch_contract import Heartbeat, RunEnd, StepRecord
from tests.browser.conftest import Complaints
from tests.browser.site import CONFIG, HEALTHY, STALE, Site

RUN = "math~grpo"
# charts, and what alerts there are, may be on their way when the server goes
GONE = ["net::ERR_", "Callback failed: the server did not respond"]

DRAWN = """(id) => {
    const lines = document.querySelector(`#${id} .js-plotly-plot`)?.data?.filter((trace) => trace.mode === "lines");
    return lines ? lines.map((trace) => [Array.from(trace.x), Array.from(trace.y)]) : null;
}"""


def follow(page: Page, site: Site, run: str = RUN) -> None:
    page.goto(f"{site.url}/runs/{run}")
    expect(page.locator("#state")).to_be_visible()


def wait_until_drawn(page: Page, chart: str, steps: list[int]) -> list[list[list[float | None]]]:
    """Wait until the first line of a chart stands at these steps; return all of its lines."""
    # looked at, because a chart is drawn when it is seen; each time anew, because the page may be built anew meanwhile
    see = f"document.getElementById('{chart}')?.scrollIntoView()"
    stands = f"lines?.[0]?.[0].join() === '{','.join(map(str, steps))}'"
    wanted = f"() => {{ {see}; const lines = ({DRAWN})('{chart}'); return {stands} ? lines : null; }}"
    drawn: list[list[list[float | None]]] = page.wait_for_function(wanted).json_value()
    return drawn


def test_charts_and_tiles_follow_a_live_run(site: Site, page: Page) -> None:
    """Steps that come while the page is open appear in charts and tiles, with their values."""
    site.begin(RUN)
    for step in range(3):
        site.step(RUN, step, HEALTHY | {"mismatch_k3_kl": 1e-4 * (step + 1)})
    follow(page, site)
    wait_until_drawn(page, "chart-k3", [0, 1, 2])
    for step in range(3, 8):
        site.step(RUN, step, HEALTHY | {"mismatch_k3_kl": 1e-4 * (step + 1)})
    ((_, values),) = wait_until_drawn(page, "chart-k3", list(range(8)))
    assert values == [1e-4 * (step + 1) for step in range(8)]
    tile = page.locator("#tile-mismatch_k3_kl")
    expect(tile.locator(".value")).to_have_text("8.00e-4")
    expect(tile.locator(".word")).to_have_text("healthy")
    expect(tile.locator(".small")).to_have_text("K1 2.00e-4")
    expect(page.locator("#step")).to_have_text("step 7")
    for chart in ("ess", "veto", "ppl", "k1", "mean", "std", "extremes"):
        wait_until_drawn(page, f"chart-{chart}", list(range(8)))


def test_a_run_that_goes_wrong_says_so_and_why(site: Site, page: Page) -> None:
    """Health, tile, reason and title turn from healthy to critical while one watches."""
    site.begin(RUN)
    site.step(RUN, 0, HEALTHY)
    follow(page, site)
    expect(page.locator("#health")).to_have_text("healthy")
    expect(page.locator("#reasons li")).to_have_count(0)
    site.step(RUN, 1, STALE)
    expect(page.locator("#health")).to_have_text("critical")
    expect(page.locator("#tile-ratio_eff_sample_size .word")).to_have_text("critical")
    reason = page.locator("#reasons li", has_text="ESS")
    expect(reason).to_contain_text(
        "0.11 below 0.3 in 1 of the last 2 steps. A few tokens carry the whole gradient."
    )
    expect(page).to_have_title("critical · grpo · Rolloutwatch")


CHARTS = ("ess", "veto", "ppl", "k3", "k1", "mean", "std", "extremes", "removed")
SHAPES = """(id) => {
    const plot = document.querySelector(`#${id} .nsewdrag`).getBoundingClientRect();
    return Array.from(document.querySelectorAll(`#${id} .shapelayer path`), (path) => {
        const [box, style] = [path.getBoundingClientRect(), getComputedStyle(path)];
        const isLine = path.getAttribute("fill-rule") === null && box.height < 2;
        const isSeen = style.visibility === "visible" && style.display !== "none" && Number(style.opacity) > 0;
        const fill = isSeen && style.fill !== "none" && Number(style.fillOpacity) > 0.02;
        const [top, bottom] = [Math.max(box.top, plot.top), Math.min(box.bottom, plot.bottom)];
        const inside = isSeen && box.top > plot.top && box.bottom < plot.bottom && style.stroke !== "none";
        return { isLine: box.height < 3, inside, height: fill ? bottom - top : 0 };
    });
}"""


def test_a_figure_that_jumps_in_and_out_of_its_limits_is_not_called_healthy(site: Site, page: Page) -> None:
    """Health looks at ten steps; after ten good ones all is well again."""
    site.begin(RUN)
    site.step(RUN, 0, STALE)
    for step in range(1, 10):
        site.step(RUN, step, HEALTHY)
    follow(page, site)
    tile = page.locator("#tile-ratio_eff_sample_size")
    expect(page.locator("#health")).to_have_text("critical")
    expect(tile.locator(".value")).to_have_text("0.999")
    expect(tile.locator(".word")).to_have_text("critical")
    expect(tile.locator(".small")).to_have_text("0.11 at step 0")
    reason = page.locator("#reasons li", has_text="ESS")
    expect(reason).to_contain_text("ESS 0.11 at step 0 below 0.3 in 1 of the last 10 steps.")
    site.step(RUN, 10, HEALTHY)
    expect(page.locator("#health")).to_have_text("healthy")
    expect(tile.locator(".word")).to_have_text("healthy")
    expect(tile.locator(".small")).to_have_text("of weights 0.9995")


def test_a_run_that_is_resumed_from_an_earlier_step_is_judged_by_what_it_does_now(
    site: Site, page: Page
) -> None:
    """The head, the tiles, the charts and the table of runs let go of the steps that are given up, and see the new ones."""
    site.begin(RUN)
    for step in range(30):
        site.step(RUN, step, HEALTHY)
    follow(page, site)
    expect(page.locator("#health")).to_have_text("healthy")
    wait_until_drawn(page, "chart-k3", list(range(30)))
    site.begin(RUN)
    for step in range(10, 13):
        site.step(RUN, step, STALE)
    expect(page.locator("#step")).to_have_text("step 12")
    expect(page.locator("#health")).to_have_text("critical")
    expect(page.locator("#tile-ratio_eff_sample_size .word")).to_have_text("critical")
    wait_until_drawn(page, "chart-k3", list(range(13)))
    page.goto(site.url)
    expect(page.locator("#runs tbody td.critical").first).to_have_text("0.11")


def test_a_run_that_goes_back_between_the_making_of_a_page_and_its_connecting_is_seen_as_it_is(
    site: Site, page: Page
) -> None:
    """And gets farther than it was, so that its last step does not tell: what was given up is not on the page."""
    site.begin(RUN)
    for step in range(30):
        site.step(RUN, step, HEALTHY | {"mismatch_ppl_ratio": 1.02})
    connected: list[str] = []
    resumed = [
        step for step in range(10, 40) if step != 20
    ]  # which step 20 of the former session would betray

    def resume(route: Route) -> None:
        if not connected:
            site.begin(RUN)
            for step in resumed:
                site.step(RUN, step, HEALTHY)
        connected.append(route.request.url)
        route.continue_()

    page.route("**/live?*", resume)
    follow(page, site)
    ((_, values),) = wait_until_drawn(page, "chart-ppl", [*range(10), *resumed])
    assert values == [1.02] * 10 + [1.001] * len(resumed)


def test_a_run_that_went_back_while_the_server_was_away_is_seen_to_have_done_so(
    site: Site, page: Page, complaints: Complaints
) -> None:
    site.begin(RUN)
    for step in range(30):
        site.step(RUN, step, HEALTHY)
    follow(page, site)
    wait_until_drawn(page, "chart-k3", list(range(30)))
    complaints.expected += GONE
    site.stop()
    expect(page.locator("#notice")).to_contain_text("does not answer")
    site.begin(RUN)
    for step in range(10, 13):
        site.step(RUN, step, STALE)
    site.start()
    expect(page.locator("#step")).to_have_text("step 12", timeout=20_000)
    expect(page.locator("#health")).to_have_text("critical")


def test_figures_that_have_stopped_coming_are_not_the_present(site: Site, page: Page) -> None:
    """The trainer goes on and logs, but measures no more: what was healthy is unknown now, and not called healthy."""
    site.begin(RUN)
    for step in range(5):
        site.step(RUN, step, HEALTHY)
    follow(page, site)
    tile = page.locator("#tile-ratio_eff_sample_size")
    site.step(RUN, 5, {"reward": 1.0})
    expect(page.locator("#step")).to_have_text("step 5")
    expect(tile.locator(".word")).to_have_text("healthy")  # what is measured of step 5 may be on its way
    site.step(RUN, 6, {"reward": 1.0})
    expect(page.locator("#health")).to_have_text("not measured")
    expect(tile.locator(".word")).to_have_text("unknown")
    expect(tile.locator(".value")).to_have_text("–")
    expect(tile.locator(".small")).to_have_text("0.999 at step 4, none since")
    expect(page.locator("#reasons li")).to_contain_text(
        "ESS, Veto fraction, PPL ratio, KL: unknown. No value since step 4."
    )
    for step in (7, 8):
        site.step(RUN, step, HEALTHY)
    expect(page.locator("#health")).to_have_text("healthy")
    expect(tile.locator(".word")).to_have_text("healthy")


def test_a_figure_that_comes_seldom_is_given_time(site: Site, page: Page) -> None:
    """Measured at every hundredth step, ESS is the present until it is overdue."""
    site.begin(RUN)
    for step in (0, 100, 200):
        site.step(RUN, step, HEALTHY)
    site.step(RUN, 299, {"reward": 1.0})
    follow(page, site)
    expect(page.locator("#health")).to_have_text("healthy")
    site.step(RUN, 350, {"reward": 1.0})
    expect(page.locator("#step")).to_have_text("step 350")
    expect(page.locator("#health")).to_have_text("healthy")
    site.step(RUN, 351, {"reward": 1.0})
    expect(page.locator("#health")).to_have_text("not measured")


def test_a_run_without_steps_waits_honestly_and_begins_by_itself(site: Site, page: Page) -> None:
    site.begin(RUN)
    follow(page, site)
    expect(page.locator("#health")).to_have_text("no step yet")
    expect(page.locator("#tile-mismatch_k3_kl .value")).to_have_text("–")
    site.step(RUN, 0, HEALTHY)
    expect(page.locator("#health")).to_have_text("healthy")
    wait_until_drawn(page, "chart-ess", [0])


def test_the_head_is_not_healthier_than_its_tiles(site: Site, page: Page) -> None:
    """Of four core figures only KL comes: that is not a healthy run, and it says which ones are missing."""
    site.begin(RUN)
    site.step(RUN, 0, {"mismatch_k3_kl": 1e-4})
    follow(page, site)
    expect(page.locator("#tile-mismatch_k3_kl .word")).to_have_text("healthy")
    expect(page.locator("#health")).to_have_text("partly measured")
    expect(page.locator("#health")).to_have_class("health unknown")
    expect(page.locator("#reasons li")).to_have_text(
        "ESS, Veto fraction, PPL ratio: not measured. No value up to step 0. "
    )
    site.step(RUN, 1, HEALTHY)
    expect(page.locator("#health")).to_have_text("healthy")
    expect(page.locator("#reasons li")).to_have_count(0)


def test_what_is_off_is_not_zero(site: Site, page: Page) -> None:
    """Without a veto threshold there is no veto fraction, and the tile says what would bring it."""
    site.begin(RUN, CONFIG | {"rollout_token_veto_threshold": None})
    site.step(RUN, 0, {name: value for name, value in HEALTHY.items() if "veto" not in name})
    follow(page, site)
    tile = page.locator("#tile-rollout_is_veto_fraction")
    expect(tile.locator(".small")).to_have_text("off: set rollout_token_veto_threshold to have it")
    expect(tile.locator(".value")).to_have_text("–")
    expect(page.locator("#health")).to_have_text("healthy")
    expect(page.locator("#chart-veto")).to_have_count(0)


def test_a_value_that_is_not_a_number_is_a_gap_and_never_healthy(site: Site, page: Page) -> None:
    site.begin(RUN)
    for step, value in enumerate([1.0, math.nan, 1.0, math.nan]):
        site.step(RUN, step, HEALTHY | {"mismatch_ppl_ratio": value})
    follow(page, site)
    ((_, values),) = wait_until_drawn(page, "chart-ppl", [0, 1, 2, 3])
    assert values == [1.0, None, 1.0, None]
    tile = page.locator("#tile-mismatch_ppl_ratio")
    expect(tile.locator(".value")).to_have_text("NaN")
    expect(tile.locator(".word")).to_have_text("unknown")
    expect(tile.locator(".small")).to_have_text("last 1 at step 2")
    expect(page.locator("#health")).to_have_text("partly measured")
    dots = "() => document.querySelector('#chart-ppl .js-plotly-plot').data[1].x.join()"
    assert page.evaluate(dots) == "0,2", "a value that no line reaches is a dot"
    assert page.locator("#chart-ppl .points path").count() == 4, "two dots, and a mark for each NaN"


UNREADABLE = {"nonfinite_fraction": 1.0, "rollout_is_veto_fraction": 0.0}


def test_steps_of_which_nothing_could_be_read_are_unknown_at_once_and_a_gap(site: Site, page: Page) -> None:
    """All log-probs NaN: no figure of the steps before is shown as the present, and no line bridges them afterwards.

    The chart of the tokens that are not finite, which nobody needed so far, comes by itself.
    """
    site.begin(RUN)
    for step in range(5):
        site.step(RUN, step, HEALTHY | {"nonfinite_fraction": 0.0})
    follow(page, site)
    wait_until_drawn(page, "chart-k3", list(range(5)))
    expect(page.locator("h3", has_text="Tokens not finite")).to_have_count(0)
    site.step(RUN, 5, UNREADABLE)
    for metric in ("ratio_eff_sample_size", "mismatch_ppl_ratio", "mismatch_k3_kl"):
        tile = page.locator(f"#tile-{metric}")
        expect(tile.locator(".word")).to_have_text("unknown")
        expect(tile.locator(".value")).to_have_text("NaN")
        expect(tile.locator(".small")).to_contain_text("at step 4")
        expect(tile).to_have_class("tile unknown")
    expect(page.locator("#health")).to_have_text("critical")
    expect(page.locator("#reasons li").first).to_contain_text(
        "Tokens not finite 1 above 0 in 1 of the last 6 steps."
    )
    expect(page.locator("h3", has_text="Tokens not finite")).to_be_visible()
    for step in range(6, 8):
        site.step(RUN, step, UNREADABLE)
    site.step(RUN, 8, HEALTHY | {"nonfinite_fraction": 0.0})
    for _ in range(2):
        ((_, values),) = wait_until_drawn(page, "chart-k3", list(range(9)))
        assert values == [1e-4] * 5 + [None] * 3 + [1e-4]
        expect(page.locator("#tile-mismatch_k3_kl .word")).to_have_text("healthy")
        page.reload()


def test_an_infinite_figure_is_beyond_its_limit_and_not_unknown(site: Site, page: Page) -> None:
    """Whether it came before the page or while one watches; its trend is that of finite values."""
    site.begin(RUN)
    for step in range(30):
        site.step(RUN, step, HEALTHY)
    follow(page, site)
    tile = page.locator("#tile-mismatch_k3_kl")
    expect(tile.locator(".word")).to_have_text("healthy")
    site.step(RUN, 30, HEALTHY | {"mismatch_k3_kl": math.inf})
    for _ in range(2):
        expect(tile.locator(".value")).to_have_text("∞")
        expect(tile.locator(".word")).to_have_text("critical")
        expect(tile.locator(".trend span")).to_have_text("→ steady")
        assert "NaN" not in str(tile.locator(".trend path").get_attribute("d"))
        expect(page.locator("#reasons li").first).to_contain_text("∞ above 0.1 in 1 of the last 10 steps.")
        page.reload()


def test_a_stretch_in_which_nothing_was_measured_is_a_gap(site: Site, page: Page) -> None:
    """Whether the page was there or came later."""
    site.begin(RUN)
    for step in (*range(10), *range(20, 25)):
        site.step(RUN, step, HEALTHY)
    follow(page, site)
    shown = [*range(11), *range(20, 25)]
    ((_, values),) = wait_until_drawn(page, "chart-ppl", shown)
    assert values[10] is None
    for step in range(40, 43):
        site.step(RUN, step, HEALTHY)
    ((_, values),) = wait_until_drawn(page, "chart-ppl", [*shown, 25, *range(40, 43)])
    assert [at for at, value in enumerate(values) if value is None] == [10, 16]


def test_a_run_of_one_step_is_seen(site: Site, page: Page) -> None:
    """Every chart of it has a dot, and the dot is gone when a second step makes a line."""
    site.begin(RUN)
    site.step(RUN, 0, HEALTHY)
    follow(page, site)
    for chart in CHARTS:
        wait_until_drawn(page, f"chart-{chart}", [0])
        expect(page.locator(f"#chart-{chart} .points path").first).to_be_visible()
    site.step(RUN, 1, HEALTHY)
    wait_until_drawn(page, "chart-ess", [0, 1])
    expect(page.locator("#chart-ess .points path")).to_have_count(0)


def test_a_limit_is_seen_on_a_healthy_chart_and_so_is_its_bad_side(site: Site, page: Page) -> None:
    """What the browser really draws: a line within the chart, and a shade beside it that has a colour and an area."""
    site.begin(RUN)
    for step in range(3):
        site.step(RUN, step, HEALTHY)
    follow(page, site)
    for chart in CHARTS:
        wait_until_drawn(page, f"chart-{chart}", [0, 1, 2])
        shapes = page.evaluate(SHAPES, f"chart-{chart}")
        assert any(one["isLine"] and one["inside"] for one in shapes), chart
        assert any(not one["isLine"] and one["height"] > 6 for one in shapes), chart
        labels = page.locator(f"#chart-{chart} .ytick text").all_text_contents()
        assert len(labels) >= 2
        if chart in ("ess", "veto", "removed"):
            assert not any(label.startswith(("-", "−")) for label in labels), "a fraction is never negative"


def test_a_run_in_which_no_step_could_be_corrected_says_so(site: Site, page: Page) -> None:
    """In the head, on the tiles and among the reasons, with the count, which goes on counting."""
    site.begin(RUN, CONFIG | {"rollout_token_veto_threshold": None})
    for step in range(3):
        site.put(RUN, StepRecord(step, time.time(), {"reward": 1.0}, dropped={"not_corrected": step + 1}))
    follow(page, site)
    expect(page.locator("#health")).to_have_text("critical")
    expect(page.locator("#headline")).to_have_text(
        "Steps were trained on that could not be corrected or measured, since step 0."
    )
    tile = page.locator("#tile-ratio_eff_sample_size")
    expect(tile.locator(".word")).to_have_text("not measured")
    expect(tile.locator(".small")).to_have_text("3 steps not corrected")
    expect(page.locator("#tile-rollout_is_veto_fraction .small")).to_contain_text("off: set")
    expect(page.locator("#reasons li.critical")).to_contain_text(
        "3 steps not corrected. Log-probs and mask did not fit together: these steps have no weights and no figures"
    )
    expect(page.locator("#chart-ess")).to_have_count(0)
    site.put(RUN, Heartbeat(time.time(), dropped={"not_corrected": 4}))
    expect(tile.locator(".small")).to_have_text("4 steps not corrected")
    for step in range(3, 9):
        site.step(RUN, step, HEALTHY)
    expect(page.locator("#health")).to_have_text("healthy")  # and the alert has ended
    expect(page.locator("#reasons li.unknown")).to_contain_text("4 steps not corrected.")
    wait_until_drawn(page, "chart-ess", list(range(3, 9)))


def test_a_run_that_ended_without_a_step_does_not_wait_for_one(site: Site, page: Page) -> None:
    site.begin(RUN)
    site.put(RUN, RunEnd(time.time()))
    follow(page, site)
    expect(page.locator("#health")).to_have_text("no step")
    tile = page.locator("#tile-mismatch_k3_kl")
    expect(tile.locator(".small")).to_have_text("no step came")
    expect(tile.locator(".word")).to_have_text("")


def test_a_scalar_that_is_logged_for_the_first_time_gets_its_chart(site: Site, page: Page) -> None:
    """What the trainer logs beside the mismatch appears without a reload."""
    site.begin(RUN)
    site.step(RUN, 0, HEALTHY)
    follow(page, site)
    wait_until_drawn(page, "chart-ess", [0])
    site.step(RUN, 0, {"train/reward": 0.5})
    expect(page.locator("h3", has_text="train/reward")).to_be_visible()


def test_figures_that_come_late_or_twice_stand_once_where_they_belong(site: Site, page: Page) -> None:
    """Steps out of order are put in order; of two values for a step the later one stays."""
    site.begin(RUN)
    site.step(RUN, 0, HEALTHY)
    follow(page, site)
    wait_until_drawn(page, "chart-ppl", [0])
    for step, value in ((4, 1.4), (2, 1.2), (4, 1.5)):
        site.step(RUN, step, {"mismatch_ppl_ratio": value})
    ((_, values),) = wait_until_drawn(page, "chart-ppl", [0, 2, 4])
    page.wait_for_function(f"() => ({DRAWN})('chart-ppl')[0][1][2] === 1.5")
    assert values[:2] == [1.001, 1.2]


def test_a_server_that_is_gone_is_said_and_what_was_missed_is_fetched(
    site: Site, page: Page, complaints: Complaints
) -> None:
    complaints.expected += GONE
    site.begin(RUN)
    site.step(RUN, 0, HEALTHY)
    follow(page, site)
    wait_until_drawn(page, "chart-ess", [0])
    expect(page.locator("#state")).to_have_css("color", MUTED)
    site.stop()
    expect(page.locator("#notice")).to_have_text(
        "The server does not answer; trying again. What you see is the past."
    )
    see_that_nothing_looks_alive(page, "disconnected")
    site.step(RUN, 1, HEALTHY)
    site.start()
    expect(page.locator("#notice")).to_be_hidden()
    site.step(RUN, 2, HEALTHY)
    wait_until_drawn(page, "chart-ess", [0, 1, 2])
    expect(page.locator("#health")).to_have_class("health ok")
    expect(page.locator("#state")).to_have_text("live")


MUTED = "rgb(89, 99, 111)"


def see_that_nothing_looks_alive(page: Page, state: str) -> None:
    """The words of health are in the past tense, and nothing that says it has a colour."""
    expect(page.locator("#state")).to_have_text(state)
    expect(page.locator("#health")).to_have_text("was healthy")
    expect(page.locator("#health")).to_have_css("color", MUTED)
    tile = page.locator("#tile-ratio_eff_sample_size")
    expect(tile.locator(".word")).to_have_text("was healthy")
    for part in (tile.locator(".word"), tile.locator(".value")):
        expect(part).to_have_css("color", MUTED)
    expect(tile).to_have_css("border-left-color", MUTED)
    expect(page.locator(".charts").first).to_have_css("filter", "grayscale(1)")
    expect(page.locator("#speed")).to_have_text("")
    expect(page).to_have_title(f"{state} · grpo · Rolloutwatch")


def test_speed_is_by_the_clock_of_the_trainer(site: Site, page: Page, complaints: Complaints) -> None:
    """Two steps a second stay two, however the records come: all at once, or fetched after an outage."""
    complaints.expected += GONE
    site.begin(RUN)
    site.put(RUN, StepRecord(0, 100.0, HEALTHY))
    follow(page, site)
    wait_until_drawn(page, "chart-ess", [0])
    for step in range(1, 5):
        site.put(RUN, StepRecord(step, 100.0 + step / 2, HEALTHY))
    expect(page.locator("#speed")).to_have_text("2.0 steps/s")
    site.stop()
    expect(page.locator("#state")).to_have_text("disconnected")
    for step in range(5, 20):
        site.put(RUN, StepRecord(step, 100.0 + step / 2, HEALTHY))
    site.start()
    expect(page.locator("#step")).to_have_text("step 19")
    expect(page.locator("#speed")).to_have_text("2.0 steps/s")
    for step in range(20, 22):
        site.put(RUN, StepRecord(step, 100.0 + step / 2, HEALTHY))
    expect(page.locator("#step")).to_have_text("step 21")
    expect(page.locator("#speed")).to_have_text("2.0 steps/s")


def test_a_run_that_falls_silent_is_stalled_and_says_since_when(site: Site, page: Page) -> None:
    site.begin(RUN)
    site.step(RUN, 12, HEALTHY)
    follow(page, site)
    expect(page.locator("#state")).to_have_text("live")
    site.late_seconds = 60.0
    expect(page.locator("#state")).to_have_text("stalled")
    expect(page.locator("#notice")).to_contain_text("No record since step 12")
    see_that_nothing_looks_alive(page, "stalled")


def test_redraws_are_collected_and_leave_the_browser_most_of_its_time(site: Site, page: Page) -> None:
    """However fast steps come: after all charts are drawn there is a rest, and the longer the longer that took."""
    site.begin(RUN)
    site.step(RUN, 0, HEALTHY)
    follow(page, site)
    wait_until_drawn(page, "chart-ess", [0])
    page.evaluate(
        """() => {
            const update = Plotly.update;
            window.drawings = [];
            Plotly.update = async (graph, ...rest) => {
                const began = performance.now();
                if (drawings.length > 20) await new Promise((done) => setTimeout(done, 40));
                await update(graph, ...rest);
                drawings.push([Boolean(graph.closest("#chart-ess")), began, performance.now()]);
            };
        }"""
    )
    patience = time.monotonic() + 90
    for step in itertools.count(1):
        site.step(RUN, step, HEALTHY)
        if page.evaluate("drawings.length") > 50 or time.monotonic() > patience:
            break
    drawings = page.evaluate("drawings")
    rounds = [at for at, (is_first, _, _) in enumerate(drawings) if is_first]
    assert len(rounds) > 3
    for first, following in itertools.pairwise(rounds):
        began, ended, next_began = drawings[first][1], drawings[following - 1][2], drawings[following][1]
        assert next_began - ended > 0.95 * max(250, 4 * (ended - began))


def test_what_a_user_zoomed_into_stays_until_he_lets_go(site: Site, page: Page) -> None:
    """New steps do not move a zoomed axis; a double click does."""
    site.begin(RUN)
    for step in range(20):
        site.step(RUN, step, HEALTHY)
    follow(page, site)
    wait_until_drawn(page, "chart-ess", list(range(20)))
    zoom = "() => document.querySelector('#chart-ess .js-plotly-plot')._fullLayout.yaxis.range"
    plot = page.locator("#chart-ess .nsewdrag")
    box = plot.bounding_box()
    assert box is not None
    page.wait_for_timeout(300)  # plotly takes what follows within 300 ms of its drawing for one gesture
    page.mouse.move(box["x"] + 80, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 80, steps=5)
    page.mouse.up()
    page.wait_for_function(
        "() => document.querySelector('#chart-ess .js-plotly-plot')._fullLayout.xaxis.range[1] < 19"
    )
    zoomed = page.evaluate(zoom)
    site.step(RUN, 20, HEALTHY | {"ratio_eff_sample_size": 0.2})
    wait_until_drawn(page, "chart-ess", list(range(21)))
    assert page.evaluate(zoom) == zoomed
    plot.dblclick()
    page.wait_for_function(
        "() => document.querySelector('#chart-ess .js-plotly-plot')._fullLayout.yaxis.range[0] < 0.2"
    )


def test_a_log_axis_has_whole_numbers_also_when_it_moves_or_is_zoomed_into(site: Site, page: Page) -> None:
    site.begin(RUN)
    site.step(RUN, 0, {"mismatch_ppl_ratio": 1.0})
    follow(page, site)
    wait_until_drawn(page, "chart-ppl", [0])
    site.step(RUN, 1, {"mismatch_ppl_ratio": 60.0})
    wait_until_drawn(page, "chart-ppl", [0, 1])
    labels = page.locator("#chart-ppl .ytick text")
    expect(labels).to_have_text(["1", "2", "5", "10", "20", "50"])
    page.evaluate(
        """() => Plotly.relayout(document.querySelector("#chart-ppl .js-plotly-plot"),
            { "yaxis.range[0]": Math.log10(18), "yaxis.range[1]": Math.log10(42) })"""
    )
    expect(labels).to_have_text(["20", "25", "30", "35", "40"])


@pytest.mark.parametrize(
    "text", ["<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>", "{{7*7}} \u202e"]
)
def test_what_a_trainer_says_of_itself_is_shown_as_text(text: str, site: Site, page: Page) -> None:
    site.begin(RUN, {"rollout_is": text})
    site.step(RUN, 0, HEALTHY)
    follow(page, site)
    page.locator(".facts summary").click()
    expect(page.locator(".facts")).to_contain_text(text)
    assert page.locator("img").count() == 0


def test_a_long_run_is_drawn_whole_with_its_one_bad_step(site: Site, page: Page) -> None:
    """Ten thousand steps fit the page, and the spike of one of them is still there."""
    site.begin(RUN)
    for step in range(10_000):
        site.step(RUN, step, {"mismatch_ppl_ratio": 3.0 if step == 6_543 else 1.0})
    follow(page, site)
    page.wait_for_function(f"() => ({DRAWN})('chart-ppl') !== null")
    ((steps, values),) = page.evaluate(DRAWN, "chart-ppl")
    assert steps[0] == 0
    assert steps[-1] == 9_999
    assert len(steps) <= 3000
    assert [step for step, value in zip(steps, values, strict=True) if value == 3.0] == [6_543]


def test_going_back_from_one_run_to_another_never_mixes_them(site: Site, page: Page) -> None:
    """Charts of two runs have the same names; each shows the steps of its own run."""
    for run, first in (("math~one", 0), ("math~two", 100)):
        site.begin(run)
        for step in range(first, first + 5):
            site.step(run, step, HEALTHY)
    for run in ("math~one", "math~two"):
        follow(page, site, run)
        wait_until_drawn(page, "chart-ess", list(range(5)) if run == "math~one" else list(range(100, 105)))
    move = "(path) => { history.pushState({}, '', path); dispatchEvent(new PopStateEvent('popstate')); }"
    for run, first in (("math~one", 0), ("math~two", 100), ("math~one", 0)):
        page.evaluate(move, f"/runs/{run}")
        expect(page.locator("h1")).to_contain_text(run.removeprefix("math~"))
        wait_until_drawn(page, "chart-ess", list(range(first, first + 5)))
        expect(page.locator("#step")).to_have_text(f"step {first + 4}")
