"""The replay of a run, as somebody who wants to know how it went wrong uses it."""

import time

import httpx
from playwright.sync_api import Locator, Page, expect

from rolloutwatch_contract import Mark, RunEnd, StepRecord
from tests.browser.conftest import Complaints
from tests.browser.site import HEALTHY, STALE, Site
from tests.browser.test_marks import OVERFLOW
from tests.browser.test_run_page import DRAWN, GONE, follow

RUN = "math~grpo"
ILL = range(40, 50)
BEGIN = 1_700_000_000.0
WORST = 45


def figures(step: int) -> dict[str, float]:
    """K3 tells at which step one is."""
    k3 = {"mismatch_k3_kl": 0.2 + step / 1000} if step in ILL else {"mismatch_k3_kl": 1e-5 * (step + 1)}
    return (STALE if step in ILL else HEALTHY) | k3 | ({"mismatch_k3_kl": 3.0} if step == WORST else {})


def recorded(site: Site, steps: int = 100, run: str = RUN) -> None:
    site.begin(run)
    records = [StepRecord(step, BEGIN + 2.0 * step, figures(step)) for step in range(steps)]
    site.archive(run, "session-1", *records, Mark(20, BEGIN + 40.0, "weight_sync", {}), first=2)
    site._sequences[run] = steps + 2


def finished(site: Site) -> None:
    recorded(site)
    site.put(RUN, RunEnd(BEGIN + 500.0))


def tile(page: Page, name: str) -> Locator:
    return page.locator(f"#tile-{name} .value")


def expect_at(page: Page, step: int, last: int = 99) -> None:
    """Bar, head and a tile are those of a step."""
    expect(page.locator("#replay-step")).to_have_text(f"step {step} of {last}")
    expect(page.locator("#step")).to_have_text(f"step {step}")
    expect(tile(page, "mismatch_k3_kl")).to_have_text(
        page.evaluate("(value) => rolloutwatch.number(value)", figures(step)["mismatch_k3_kl"])
    )


def expect_drawn(page: Page, chart: str, last: int) -> None:
    see = f"document.getElementById('{chart}')?.scrollIntoView()"
    page.wait_for_function(f"() => {{ {see}; return ({DRAWN})('{chart}')?.[0]?.[0].at(-1) === {last}; }}")


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def test_all_of_the_page_goes_back_to_the_step_that_is_chosen_and_comes_forth_again(
    site: Site, page: Page
) -> None:
    """Charts, tiles, head, reasons and alerts: at the first one, at the worst step, and before all that; the address says it."""
    finished(site)
    follow(page, site)
    expect(page.locator("#health")).to_have_text("healthy")
    expect(page.locator("#replay")).to_be_hidden()
    press(page, "Replay")
    expect_at(page, 99)
    expect(page.locator("#state")).to_have_text("replay")
    page.keyboard.press("ArrowLeft")  # whoever opens it by the mouse has its keys
    expect_at(page, 98)
    page.locator("#replay").get_by_role("button", name="Close replay").focus()
    page.keyboard.press("ArrowRight")
    expect_at(page, 99)
    press(page, "Go to first alert")
    expect_at(page, 42)  # the third bad step
    expect(page.locator("#health")).to_have_text("critical")
    expect(page.locator("#reasons li", has_text="KL (K3)")).to_contain_text(
        "0.242 above 0.1 in 3 of the last 10 steps"
    )
    alerts = page.locator("#reasons li")
    expect(alerts.filter(has_text="kl_very_high")).to_contain_text("since step 40")
    expect(page.get_by_role("button", name="Acknowledge")).to_have_count(0)
    expect(page).to_have_url(f"{site.url}/runs/{RUN}?at=42")
    expect_drawn(page, "chart-k3", 42)
    expect_drawn(page, "chart-ess", 42)
    assert page.evaluate("document.querySelector('#chart-k3 .js-plotly-plot')._fullLayout.xaxis.range") == [
        0,
        99,
    ]
    press(page, "Go to worst step")
    expect_at(page, WORST)
    expect(alerts.filter(has_text="kl_very_high")).to_contain_text("since step 40")
    expect(page.locator("#speed")).to_have_text("2.0 s/step")
    page.locator("#replay-slider").fill("30")
    expect_at(page, 30)
    expect(page.locator("#health")).to_have_text("healthy")
    expect(alerts).to_have_count(0)
    expect_drawn(page, "chart-k3", 30)
    page.locator("#replay-slider").fill("54")
    expect_at(page, 54)
    # five good steps after the last bad one
    expect(page.locator("#reasons", has_text="Rule")).to_have_count(0)
    press(page, "Close replay")
    expect(page.locator("#replay")).to_be_hidden()
    expect(page.locator("#state")).to_have_text("finished")
    expect(page.locator("#step")).to_have_text("step 99")
    expect_drawn(page, "chart-k3", 99)
    expect(page).to_have_url(f"{site.url}/runs/{RUN}")


def test_keys_go_from_step_to_step_and_play(site: Site, page: Page) -> None:
    """Left and right, ten with Shift, the ends; space plays and pauses; what plays stops at the last step."""
    finished(site)
    page.goto(f"{site.url}/runs/{RUN}?at=60")
    expect_at(page, 60)
    for key, step in (
        ("ArrowRight", 61), ("Shift+ArrowRight", 71), ("ArrowLeft", 70), ("Shift+ArrowLeft", 60),
        ("Home", 0), ("ArrowLeft", 0), ("End", 99), ("ArrowRight", 99), ("Shift+ArrowLeft", 89),
    ):  # fmt: skip
        page.keyboard.press(key)
        expect_at(page, step)
    page.locator("#replay-slider").focus()
    page.keyboard.press("ArrowLeft")
    expect_at(page, 88)
    page.locator("#replay-pace").select_option("s30")
    page.locator("h1").click()
    page.keyboard.press("Space")
    play = page.locator("[data-replay=play]")
    expect(play).to_have_text("Pause")
    expect_at(page, 99)
    expect(play).to_have_text("Play")
    page.keyboard.press("Space")  # once more from the beginning
    page.wait_for_function("() => rolloutwatch.view.get().at > 3 && rolloutwatch.view.get().at < 90")
    page.keyboard.press("Space")
    expect(play).to_have_text("Play")
    at = page.evaluate("rolloutwatch.view.get().at")
    expect_at(page, at)
    press(page, "One step on")
    expect_at(page, at + 1)
    press(page, "One step back")
    expect_at(page, at)


PLAYED = """async (steps) => {
    const [began, first] = [performance.now(), rolloutwatch.view.get().at];
    document.querySelector("[data-replay=play]").click();
    while (rolloutwatch.view.get().at < first + steps) await new Promise(requestAnimationFrame);
    const played = [(performance.now() - began) / 1000, rolloutwatch.view.get().at - first];
    document.querySelector("[data-replay=play]").click();
    return played;
}"""


SEEN = """(id) => {
    window.farthest = [];
    const look = () => {
        const graph = document.querySelector(`#${id} .js-plotly-plot`);
        const path = graph?.querySelector(".scatterlayer .js-line");
        if (path && getComputedStyle(path).visibility === "visible") {
            const [line, plot] = [path.getBoundingClientRect(), graph.querySelector(".nsewdrag").getBoundingClientRect()];
            farthest.push((line.right - plot.left) / plot.width);
        }
        requestAnimationFrame(look);
    };
    look();
}"""


def test_a_chart_that_is_looked_at_in_a_replay_never_shows_what_came_later(site: Site, page: Page) -> None:
    """The server draws it with all of the run: in no frame is more of it seen than its part up to the step."""
    finished(site)
    page.goto(f"{site.url}/runs/{RUN}?at=30")
    expect_at(page, 30)
    assert page.evaluate("document.querySelector('#chart-extremes .js-plotly-plot')") is None
    page.evaluate(SEEN, "chart-extremes")
    expect_drawn(page, "chart-extremes", 30)
    page.wait_for_function("() => farthest.length > 3")
    assert page.evaluate("Math.max(...farthest)") < 31 / 99


def test_what_plays_is_never_ahead_of_its_time(site: Site, page: Page) -> None:
    """Ten steps a second; ten times as fast as it was, when a step took two seconds."""
    finished(site)
    page.goto(f"{site.url}/runs/{RUN}?at=0")
    expect_at(page, 0)
    for pace, steps_a_second in (("s10", 10.0), ("x10", 5.0)):
        page.locator("#replay-pace").select_option(pace)
        seconds, steps = page.evaluate(PLAYED, 6)
        assert steps >= 6
        assert steps <= steps_a_second * seconds + 1


def test_a_live_run_goes_on_behind_its_replay(site: Site, page: Page) -> None:
    """The bar says how far ahead it is; a page that is built anew because of a new figure shows the same step still."""
    recorded(site)
    page.goto(f"{site.url}/runs/{RUN}?at=42")
    expect_at(page, 42)
    note = page.locator("#replay-note")
    expect(note).to_have_text("The run goes on: it is 57 steps ahead.")
    site.step(RUN, 100, figures(100))
    expect(note).to_have_text("The run goes on: it is 58 steps ahead.")
    expect_at(page, 42, last=100)
    expect(page).to_have_title("healthy · grpo · Rolloutwatch")
    site.step(RUN, 101, figures(101) | {"reward": 1.0})
    expect(page.locator("#chart-logged-0")).to_be_attached()
    expect_at(page, 42, last=101)
    expect(page.locator("#health")).to_have_text("critical")
    page.keyboard.press("End")
    expect_at(page, 101, last=101)
    expect(note).to_have_text("This is the newest step so far.")
    site.step(RUN, 102, figures(102))
    expect(page.locator("#replay-step")).to_have_text("step 101 of 102")
    page.keyboard.press("ArrowRight")
    expect_at(page, 102, last=102)
    press(page, "Back to live")
    expect(page.locator("#state")).to_have_text("live")
    expect(page.locator("#step")).to_have_text("step 102")


def test_what_has_been_read_is_replayed_without_the_server_and_the_rest_is_said_to_be_missing(
    site: Site, page: Page, complaints: Complaints
) -> None:
    recorded(site, steps=5000)
    site.put(RUN, RunEnd(BEGIN + 20_000.0))
    page.goto(f"{site.url}/runs/{RUN}?at=4800")
    expect(page.locator("#replay-step")).to_have_text("step 4800 of 4999")
    complaints.expected += GONE
    site.stop()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#replay-step")).to_have_text("step 4801 of 4999")
    expect(page.locator("#step")).to_have_text("step 4801")
    page.keyboard.press("Home")
    expect(page.locator("#replay-note")).to_contain_text("The server does not say how it was")
    expect(page.locator("#step")).to_have_text("step 4801")
    site.start()
    expect(page.locator("#notice")).to_be_hidden()
    page.keyboard.press("Home")
    expect(page.locator("#replay-step")).to_have_text("step 0 of 4999")
    expect(page.locator("#step")).to_have_text("step 0")
    expect(page.locator("#replay-note")).to_be_empty()


def test_a_run_that_is_resumed_from_an_earlier_step_is_replayed_as_far_as_it_goes_now(
    site: Site, page: Page
) -> None:
    recorded(site)
    page.goto(f"{site.url}/runs/{RUN}?at=60")
    expect_at(page, 60)
    site.begin(RUN)
    for step in range(10, 13):
        site.step(RUN, step, HEALTHY | {"mismatch_k3_kl": 0.5})
    expect(page.locator("#replay-step")).to_have_text("step 12 of 12")
    expect(tile(page, "mismatch_k3_kl")).to_have_text("0.5")
    expect(page.locator("#replay-note")).to_have_text(
        "There is no step 60 in this run; this is the nearest one."
    )
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect_at(page, 9, last=12)


def test_who_looked_after_an_alert_later_had_not_done_so_then(site: Site, page: Page) -> None:
    """An acknowledgement of today is seen at today's steps, and not at one of long ago."""
    recorded(site, steps=45)
    (alert, *_) = (
        one
        for one in httpx.get(f"{site.url}/api/v1/alerts", params={"run": RUN}).json()["alerts"]
        if one["rule"] == "kl_very_high"
    )
    httpx.post(f"{site.url}/api/v1/alerts/{alert['id']}/acknowledge", json={"note": "I look."})
    site.put(RUN, StepRecord(45, time.time() + 5.0, figures(45)))
    page.goto(f"{site.url}/runs/{RUN}?at=44")
    shown = page.locator("#reasons li", has_text="kl_very_high")
    expect(shown).to_be_visible()
    expect(shown).not_to_contain_text("I look.")
    page.keyboard.press("ArrowRight")
    expect(shown).to_contain_text("I look.")
    expect(shown.locator("[data-act]")).to_have_count(0)  # nobody acts in the past


def test_an_address_may_name_a_step_that_is_not_there(site: Site, page: Page) -> None:
    """The nearest one is shown, and said to be; also on a phone, where nothing is wider than the screen."""
    finished(site)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{site.url}/runs/{RUN}?at=5000")
    expect_at(page, 99)
    expect(page.locator("#replay-note")).to_have_text(
        "There is no step 5000 in this run; this is the nearest one."
    )
    assert page.evaluate(OVERFLOW) == 0


def test_nonsense_in_the_address_replays_nothing_and_a_run_without_steps_says_so(
    site: Site, page: Page
) -> None:
    site.begin(RUN)
    page.goto(f"{site.url}/runs/{RUN}?at=<img src=x>")
    expect(page.locator("#health")).to_have_text("no step yet")
    expect(page.locator("#replay")).to_be_hidden()
    press(page, "Replay")
    expect(page.locator("#replay-note")).to_have_text("The run has no step yet, so that none can be shown.")


def test_one_step_of_many_is_shown_by_its_exact_figures(site: Site, page: Page) -> None:
    """Of a run that is thinned on its charts, a spike of one step is on the tile, and its neighbours are healthy."""
    site.begin(RUN)
    spike = 8_001
    values = [HEALTHY | {"mismatch_k3_kl": 3.5 if step == spike else 1e-4} for step in range(12_000)]
    site.archive(
        RUN, "session-1", *(StepRecord(step, BEGIN + step, one) for step, one in enumerate(values)), first=2
    )
    page.goto(f"{site.url}/runs/{RUN}?at={spike - 1}")
    word = page.locator("#tile-mismatch_k3_kl .word")
    expect(page.locator("#step")).to_have_text(f"step {spike - 1}")
    expect(tile(page, "mismatch_k3_kl")).to_have_text("1.00e-4")
    expect(word).to_have_text("healthy")
    page.keyboard.press("ArrowRight")
    expect(tile(page, "mismatch_k3_kl")).to_have_text("3.5")
    expect(word).to_have_text("critical")
    press(page, "Go to worst step")
    expect(page.locator("#replay-step")).to_have_text(f"step {spike} of 11999")
    page.locator("#replay-slider").fill("100")
    expect(page.locator("#step")).to_have_text("step 100")
    expect(word).to_have_text("healthy")
