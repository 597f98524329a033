"""What a replay computes by itself, and reads of the archive."""

import itertools
import math
from typing import Any

import pytest
from playwright.sync_api import Page

from rolloutwatch_contract import StepRecord
from rolloutwatch_contract.limits import DEFAULT_LIMITS
from rolloutwatch_dashboard.pages.run_followed import followed_limit
from rolloutwatch_dashboard.shell import HERE
from rolloutwatch_server.replay import _Tempo
from tests.browser.site import Site

RUN = "math~grpo"
SCRIPTS = ("figures.js", "judgement.js", "replay_past.js", "replay_archive.js")
K3, ESS = "mismatch_k3_kl", "ratio_eff_sample_size"


@pytest.fixture
def blank(page: Page) -> Page:
    """A page with the pure functions and nothing else."""
    for script in SCRIPTS:
        page.add_script_tag(content=(HERE / "assets" / script).read_text())
    return page


def worst(page: Page, rules: list[Any], **series: list[float | None]) -> int | None:
    told = {metric: {"step": list(range(len(values))), "value": values} for metric, values in series.items()}
    found: int | None = page.evaluate("([rules, told]) => rolloutwatch.worstStep(rules, told)", [rules, told])
    return found


def test_the_worst_step_is_farthest_beyond_a_critical_limit(blank: Page) -> None:
    """By how many times the limit, whichever figure it is; without one the highest K3; the first of equals."""
    rules = [followed_limit(rule) for rule in DEFAULT_LIMITS]
    # K3 0.7 is 7 times its limit, ESS 0.03 a tenth of its own
    assert worst(blank, rules, **{K3: [0.0, 0.7, 0.2], ESS: [1.0, 0.9, 0.03]}) == 2
    assert worst(blank, rules, **{K3: [0.0, 1.5, 0.2], ESS: [1.0, 0.9, 0.03]}) == 1
    assert worst(blank, rules, **{K3: [0.0, 0.02, 0.03, 0.03, None]}) == 2
    assert worst(blank, rules, **{K3: [0.0, 0.0]}) == 0
    assert worst(blank, rules, **{K3: [None, None], "reward": [1.0, 2.0]}) is None
    assert worst(blank, rules) is None
    # a K1 of the other sign, and log-probs that are not finite, whose limit is 0
    assert worst(blank, rules, mismatch_kl=[0.0, 0.15, -0.2, 0.2]) == 2
    assert worst(blank, rules, nonfinite_fraction=[0.0, 0.001, 0.002]) == 2
    assert worst(blank, rules, **{ESS: [0.2, 0.0, 0.1]}) == 1


def test_a_surplus_is_how_many_times_the_limit_a_value_is(blank: Page) -> None:
    def of(above: float | None, below: float | None, *values: float | None) -> list[float]:
        asked = [{"above": above, "below": below}, values]
        found: list[float] = blank.evaluate(
            "([rule, values]) => values.map((value) => rolloutwatch.surplus(rule, value))", asked
        )
        return found

    assert of(0.1, None, 0.1, 0.2, None, -5.0) == [0, pytest.approx(math.log(2)), 0, 0]
    assert of(None, 0.3, 0.3, 0.15) == [0, pytest.approx(math.log(2))]
    assert of(0.1, -0.1, -0.2, 0.2) == [pytest.approx(math.log(2))] * 2
    assert of(0.0, None, 0.25) == [0.25]
    assert of(None, 0.5, -0.5) == [2.0]
    assert of(None, 0.3, 0.0) == [math.inf]


def test_pauses_are_those_of_the_servers_replay(blank: Page) -> None:
    """Long ones are cut, clocks that are behind take no time, and unknown times are evenly apart."""
    for times in (
        [0.0, 1.0, 3.0, 3.5],
        [0.0, 1.0, 2.0, 500.0, 501.0],
        [0.0, 10.0, 20.0, 30.0, 10_000.0],
        [5.0, 4.0, 6.0],
        [7.0],
        [],
    ):
        tempo = _Tempo()
        tempo.learn(times)
        expected = [tempo.after(time)[0] for time in times]
        assert blank.evaluate("(times) => rolloutwatch.pausesOf(times)", times)[1:] == expected[1:]
    assert blank.evaluate("rolloutwatch.pausesOf([null, null, null])") == [1, 1, 1]
    assert blank.evaluate("rolloutwatch.pausesOf([0, 2, null, 6, 8])") == [2, 2, 2, 2, 2]


PLAYED = """([pace, seconds, stretch, from]) => {
    const player = new rolloutwatch.Player();
    player.seek(from);
    player.setPace(pace);
    player.pass(9, stretch); // it does not move before it plays
    player.setPlaying(true);
    return seconds.map((one) => { const isShort = player.pass(one, stretch); return [player.step, isShort]; });
}"""


def test_what_plays_goes_as_far_as_its_time_reaches(blank: Page) -> None:
    """Time that is left over counts for the next step; at the end of what is known it asks for more, and keeps its time."""
    stretch = {"step": [3, 5, 9, 10, 11], "pauses": [1, 2, 4, 1, 1]}

    def played(pace: str, *seconds: float, start: int = 3) -> list[list[Any]]:
        found: list[list[Any]] = blank.evaluate(PLAYED, [pace, seconds, stretch, start])
        return found

    assert played("s2", 0.4, 0.1, 0.4, 0.7) == [[3, False], [5, False], [5, False], [10, False]]
    assert played("x2", 0.9, 0.1, 2.0, 0.5) == [[3, False], [5, False], [9, False], [10, False]]
    assert played("x1", 2.0, 3.9, 0.1) == [[5, False], [5, False], [9, False]]
    assert played("s1000", 1.0) == [[11, True]]
    assert played("s10", 0.1, start=4) == [[5, False]]  # from between two steps
    assert blank.evaluate("['s1', 'x1000', 's0', 'y3', '', 's12345'].map(rolloutwatch.paceOf)") == [
        {"asItWas": False, "rate": 1},
        {"asItWas": True, "rate": 1000},
        *[{"asItWas": False, "rate": 10}] * 4,
    ]


def test_alerts_stand_from_where_they_began_until_where_they_ended(blank: Page) -> None:
    alerts = [
        {"id": "a", "firing_step": 3, "resolved_step": 5, "given_up": False},
        {"id": "b", "firing_step": 4, "resolved_step": None, "given_up": False},
        {"id": "c", "firing_step": 1, "resolved_step": None, "given_up": True},
    ]
    stood = "(alerts) => [0, 3, 4, 5].map((step) => rolloutwatch.alertsAt(alerts, step).map((one) => one.id).join(''))"
    assert blank.evaluate(stood, alerts) == ["", "a", "ab", "b"]
    assert blank.evaluate("(alerts) => rolloutwatch.firstAlert(alerts)", alerts) == 3
    assert blank.evaluate("rolloutwatch.firstAlert([])") is None


RECENT = """([step, window, whole]) => {
    const told = { unreadable: "nonfinite_fraction", measured: ["kl"] };
    const found = rolloutwatch.recentAt(step, window, whole, told);
    return Object.fromEntries(Object.entries(found).map(([name, one]) => [name, [one.step, one.value]]));
}"""


def test_figures_of_a_step_are_those_that_had_come_by_then(blank: Page) -> None:
    """One that comes seldom is known of the whole run; one that could not be read is null; what never came is not there."""
    window = {
        "kl": {"step": [10, 11, 13], "value": [0.1, None, 0.3]},
        "reward": {"step": [], "value": []},
        "later": {"step": [13], "value": [1.0]},
        "nonfinite_fraction": {"step": [10, 11, 12, 13], "value": [0.0, 0.5, 1.0, 0.0]},
        "constructor": {"step": [12], "value": [7.0]},
    }
    whole = {
        "kl": {"step": [2, 11, 13], "value": [0.2, 9.0, 9.0]},
        "reward": {"step": [5, 50], "value": [1.5, 2.0]},
    }
    found = blank.evaluate(RECENT, [12, window, whole])
    assert found == {
        "kl": [[2, 10, 11, 12], [0.2, 0.1, None, None]],
        "reward": [[5], [1.5]],
        "nonfinite_fraction": [[10, 11, 12], [0.0, 0.5, 1.0]],
        "constructor": [[12], [7.0]],
    }


WALK = """async ([run, start, by, count]) => {
    const archive = new rolloutwatch.Archive(run, ["kl"], () => false);
    let step = start;
    const found = [];
    for (let taken = 0; taken < count; taken++) {
        const { step: steps } = await archive.around(step, Math.max(0, -by), Math.max(0, by));
        step = steps[Math.min(Math.max(0, rolloutwatch.placeOf(steps, step) + by), steps.length - 1)];
        found.push(step);
    }
    return found;
}"""


def test_every_recorded_step_is_reached_forwards_and_backwards(site: Site, page: Page) -> None:
    """However close or far apart steps are: sparse at first, then one after the other, then with a hole of a million."""
    steps = [*range(0, 100_000, 10_000), *range(100_000, 106_000), 2_000_000, 2_000_001]
    site.begin(RUN)
    site.archive(
        RUN, "session-1", *(StepRecord(step, float(step), {"kl": float(step)}) for step in steps), first=2
    )
    page.goto(site.url)
    page.wait_for_function("() => Boolean(window.rolloutwatch && rolloutwatch.Archive)")
    by_hundreds = [steps[min(100 * count, len(steps) - 1)] for count in range(1, 63)]
    assert page.evaluate(WALK, [RUN, 0, 100, 62]) == by_hundreds
    back = [steps[max(0, len(steps) - 1 - 100 * count)] for count in range(1, 63)]
    assert page.evaluate(WALK, [RUN, steps[-1], -100, 62]) == back
    assert page.evaluate(WALK, [RUN, 1_000_000, 1, 2]) == [2_000_000, 2_000_001]
    assert page.evaluate(WALK, [RUN, 105_998, 1, 3]) == [105_999, 2_000_000, 2_000_001]
    window = (
        "async ([run, step]) => (await new rolloutwatch.Archive(run, ['kl'], () => false).window(step, 0)).kl"
    )
    exact = page.evaluate(window, [RUN, 105_000])
    assert exact["step"] == exact["value"] == list(range(104_880, 105_001))
    first = page.evaluate(window, [RUN, 30_000])
    assert first["step"] == list(itertools.islice(steps, 4))
