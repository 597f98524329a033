"""Figures of windows are exact, however long the window is and whatever was in it before."""

import math
import statistics
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rolloutwatch_contract.baselines import LEAST, SAMPLES
from rolloutwatch_contract.conditions import parse
from rolloutwatch_contract.rules import Rule
from rolloutwatch_contract.severity import Severity
from rolloutwatch_dashboard.usual import usual
from rolloutwatch_server.alerts.evaluation import RunAlerts
from rolloutwatch_server.alerts.feed import Piece
from rolloutwatch_server.alerts.plan import Plan
from rolloutwatch_server.alerts.window import UNKNOWN
from rolloutwatch_server.alerts.windows import WINDOWS, Mean, Slope, empty_window
from tests.oracle.conditions import FROM_A_BASELINE, OVER

HUGE = np.finfo(np.float64).max


def test_a_mean_of_many_values_is_the_double_nearest_to_the_true_one() -> None:
    """After 30,000 values of all magnitudes nothing has added up: it is as if computed of the last 10,000 alone."""
    random = np.random.default_rng(3)
    values = (random.normal(size=30_000) * 10.0 ** random.integers(-200, 200, 30_000)).tolist()
    mean = Mean(10_000)
    found = [mean.push(step, value) for step, value in enumerate(values)]
    assert all(math.isnan(value) for value in found[:9_999])
    for at in (9_999, 17_000, 29_999):
        assert found[at] == statistics.mean(values[at - 9_999 : at + 1])


def test_a_huge_value_leaves_nothing_behind() -> None:
    for name, expected in {"mean": 0.2, "rate": 0.1, "min": 0.1, "max": 0.3, "change": 0.2}.items():
        window = WINDOWS[name](3)
        found = [window.push(step, value) for step, value in enumerate([HUGE, math.inf, 0.1, 0.2, 0.3])]
        assert found[-1] == pytest.approx(expected, rel=1e-15)


VALUES = st.sampled_from([0.0, 0.0, 1.0, -1.0, math.inf, -math.inf, 1e300]) | st.floats(-3, 3)


@given(st.sampled_from(["off", "trend", "saw"]), st.integers(2, 12), st.lists(VALUES, max_size=40))
def test_figures_of_sorted_values_are_what_a_slow_computation_finds(
    function: str, samples: int, values: list[float]
) -> None:
    """To the last bit, though each value is put into its place among those that are sorted already."""
    window = empty_window(function, samples, "x")
    for at, value in enumerate(values):
        found = window.push(at, value)
        expected = UNKNOWN
        if at + 1 >= samples:
            expected = OVER[function](list(enumerate(values[at + 1 - samples : at + 1])))
        assert found == expected or (math.isnan(found) and math.isnan(expected))
        assert window.is_full == (at + 1 >= samples)


@pytest.mark.parametrize("metric", ["reward_mean", "mismatch_k3_kl", "ratio_mean@math", "ratio_max"])
def test_a_value_is_as_far_off_beside_a_step_as_a_rule_says(metric: str) -> None:
    """The page of a step and the band of a chart have the baseline of jump(metric, 400), with infinite values in it too."""
    random = np.random.default_rng(5)
    values = (random.lognormal(-3.0, size=1000) * np.repeat([1.0, 1.0, 1.0, 30.0, 1.0], 200)).tolist()
    values[100:1000:90] = [math.inf, 0.0, 1e6, -math.inf, 1.0, 1e-6, math.inf, -1.0, 0.5, 2.0]
    window = empty_window("jump", SAMPLES, metric)
    for at, value in enumerate(values):
        expected = window.push(at, value)
        found = usual(values[:at], metric)
        if at < LEAST:
            assert found is None
        else:
            assert found is not None
            assert found.off(value) == expected


def test_sums_beyond_the_largest_double_are_no_obstacle() -> None:
    mean = Mean(3)
    assert [mean.push(step, HUGE) for step in range(3)][-1] == HUGE
    slope = Slope(2)
    assert [slope.push(step, value) for step, value in enumerate([-HUGE, HUGE])][-1] == math.inf
    assert slope.push(2, -HUGE) == -math.inf


def test_the_smallest_double_counts() -> None:
    smallest = math.ulp(0.0)
    mean = Mean(2)
    assert [mean.push(step, smallest) for step in range(2)][-1] == smallest


def test_a_slope_is_exact_where_steps_count_tokens() -> None:
    """Steps of 10^12 apart that began at 10^15 cancel badly in doubles."""
    random = np.random.default_rng(4)
    values = random.normal(1e6, 1e-3, 50).tolist()
    steps = [10**15 + 10**12 * number for number in range(50)]
    slope = Slope(20)
    found = [slope.push(step, value) for step, value in zip(steps, values, strict=True)]
    x = [Fraction(step) for step in steps[-20:]]
    y = [Fraction(value) for value in values[-20:]]
    rise = sum((a - statistics.mean(x)) * b for a, b in zip(x, y, strict=True))
    assert found[-1] == float(rise / sum((a - statistics.mean(x)) ** 2 for a in x))


@pytest.mark.parametrize(
    ("condition", "needed"),
    [
        ("x > 1", 1),  # the open step
        ("mean(x, 5) > 1", 5),
        ("share(x > 1, 7) > 0.5", 7),
        ("share(mean(x, 5) > 1, 7) > 0.5", 11),
        ("share(x > 1, 4) > 0.5 or max(x, 8) > 3", 8),
        ("mean(y, 5) > 1", 0),  # which has never come
        ("share(y > 1, 7) > 0.5 or x > 1", 1),
        ("x < share(y > 1 or 0 < 1, 7)", 7),  # which is known without it
        ("x < share(0 < 1, 7)", 7),
        ("trend(x, 5) > 1", 5),
        ("saw(x, 5) > 1", 5),
        ("jump(x, 40) > 1", 40),
        ("drift(x, 40) > 1", 40 + 31),  # the oldest of 32 with the 39 before it
    ],
)
def test_after_a_restart_it_is_told_how_far_back_windows_have_to_be_filled(
    condition: str, needed: int
) -> None:
    rule = Rule(name="one", severity=Severity.WARNING, when=parse(condition))
    alerts = RunAlerts(Plan([rule]))
    pieces = [Piece(step, float(step), 1, {"x": float(step % 3)}) for step in range(120)]
    for piece in pieces:
        alerts.feed(piece)
    resumed = RunAlerts(Plan([rule]), alerts.states, alerts.memory())
    enough = [far for far in range(121) if resumed.warm(pieces[120 - far :])]
    assert enough == list(range(needed, 121))
    assert resumed.memory() == alerts.memory()


@st.composite
def stretches(draw: st.DrawFn) -> list[float]:
    """Values that stay, wander, jump and go wrong, enough of them for a baseline; some are the same, some infinite."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values: list[float] = []
    for _ in range(draw(st.integers(1, 5))):
        count, spread = draw(st.integers(1, 70)), draw(st.sampled_from([0.0, 1e-5, 0.01, 1.0, 1e300]))
        center, alike = draw(st.sampled_from([0.0, 1.0, -3.0, 1e-3])), draw(st.sampled_from([0.0, 0.5, 0.99]))
        last = 0.0
        for new in random.normal(size=count).tolist():
            last = alike * last + new
            values.append(center + spread * last)
        for at in draw(st.lists(st.integers(0, len(values) - 1), max_size=4)):
            values[at] = draw(VALUES)
    digits = draw(st.none() | st.integers(0, 2))
    return values if digits is None else [round(value, digits) for value in values]


METRICS = st.sampled_from(["x", "mismatch_k3_kl", "ratio_mean@math", "mismatch_ppl_ratio"])


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(["jump", "drift"]), st.integers(40, 130), METRICS, stretches(), st.data())
def test_a_baseline_is_what_a_slow_computation_finds_and_nothing_of_before_is_left_in_it(
    function: str, samples: int, metric: str, values: list[float], data: st.DataObject
) -> None:
    """To the last bit, also for a window that has seen only as many values as it needs."""
    window, resumed = (empty_window(function, samples, metric) for _ in range(2))
    begin = data.draw(st.integers(0, len(values) - 1))
    for at, value in enumerate(values):
        found = window.push(at, value)
        expected = FROM_A_BASELINE[function](values[: at + 1], samples, metric)
        assert found == expected or (math.isnan(found) and math.isnan(expected))
        again = resumed.push(at, value) if at >= begin else UNKNOWN
        if resumed.is_full:
            assert again == found or (math.isnan(again) and math.isnan(found))


@pytest.mark.parametrize("function", ["jump", "drift"])
def test_values_of_before_do_not_count_once_a_baseline_begins_anew(function: str) -> None:
    """It is as if they had never been, and known to be so at once."""
    random = np.random.default_rng(6)
    before, after = random.normal(5.0, 9.0, 150).tolist(), random.normal(size=150).tolist()
    window, fresh = (empty_window(function, 60, "x") for _ in range(2))
    for step, value in enumerate(before):
        window.push(step, value)
    window.begin_anew()
    for step, value in enumerate(after, len(before)):
        found, expected = window.push(step, value), fresh.push(step, value)
        assert found == expected or (math.isnan(found) and math.isnan(expected))
        assert window.is_full


def test_a_fault_becomes_the_baseline_only_once_it_has_lasted_for_half_of_what_is_looked_back_over() -> None:
    """Of 99 values before one the older 49: the first 50 of a fault are none of them, and 25 more are most of them."""
    calm = [float(number % 3) - 1.0 for number in range(200)]
    jump = empty_window("jump", 100, "x")
    found = [jump.push(step, value) for step, value in enumerate(calm + [9.0] * 100)][200:]
    assert found[:51] == [9 / 1.4826] * 51
    assert found[76:] == [0.0] * 24
