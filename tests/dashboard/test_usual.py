"""What is usual for a figure, and how far from it a step is."""

import math

import numpy as np
import pytest

from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import Series
from rolloutwatch_contract.severity import Severity
from rolloutwatch_dashboard import MemorySource
from rolloutwatch_dashboard.components.figure_table import outstanding
from rolloutwatch_dashboard.usual import LEAST, Compared, before, compared, most_of, usual

RUN = "math~a"


def series(values: list[float]) -> Series:
    return Series(np.arange(len(values)), np.array(values))


def test_wild_values_before_do_not_move_what_is_usual() -> None:
    """Of 1 to 21 the median is 11 and the median distance 5; two of 1e9 among them move it by one."""
    calm = usual(range(1, 22))
    assert calm is not None
    assert (calm.center, calm.spread) == (11.0, pytest.approx(5 * 1.4826))
    wild = usual([*range(1, 22), 1e9, 1e9])
    assert wild is not None
    assert (wild.center, wild.spread) == (12.0, pytest.approx(6 * 1.4826))


def test_the_spread_is_the_standard_deviation_of_noise() -> None:
    found = [usual(np.random.default_rng(seed).normal(7.0, 2.0, 60).tolist()) for seed in range(500)]
    assert np.mean([one.center for one in found if one]) == pytest.approx(7.0, abs=0.05)
    assert np.mean([one.spread for one in found if one]) == pytest.approx(2.0, abs=0.1)


def test_the_usual_range_stays_where_such_figures_can_be() -> None:
    """What was never negative does not become so, and no fraction is above 1."""
    values = [0.1, 0.9] * LEAST
    assert usual(values) == (0.5, pytest.approx(0.4 * 1.4826), 0.0, pytest.approx(0.5 + 4 * 0.4 * 1.4826), 40)
    ess = usual(values, most_of("ratio_eff_sample_size@math"))
    assert ess is not None
    assert (ess.low, ess.high) == (0.0, 1.0)
    signed = usual([value - 0.5 for value in values])
    assert signed is not None
    assert signed.low == pytest.approx(-4 * 0.4 * 1.4826)


def test_of_too_few_values_nobody_says_what_is_usual() -> None:
    """What is not finite does not count."""
    assert usual([1.0] * (LEAST - 1) + [math.nan, math.inf]) is None
    assert usual([1.0] * LEAST) is not None


def test_how_far_a_figure_is_off_is_counted_in_spreads() -> None:
    former = {"a": series([1.0, 2.0, 3.0] * 10), "b": series([5.0] * 30), "c": series([1.0])}
    step = {"a": 2.0 + 2 * 1.4826, "b": 5.0, "c": 7.0, "d": 1.0}
    assert [one.off for one in compared(step, former, [])] == pytest.approx(
        [2.0, 0.0, math.nan, math.nan], nan_ok=True
    )
    [changed] = compared({"b": 5.5}, former, [])
    assert changed.off == math.inf
    [beyond] = compared({"b": 4.5}, former, [])
    assert beyond.off == -math.inf
    [broken] = compared({"a": math.nan}, former, [])
    assert math.isnan(broken.off)


def test_where_most_values_are_equal_all_that_came_is_usual() -> None:
    """A step in ten with a veto is nothing new, though the median distance from 0 is 0."""
    vetoes = usual([0.0] * 18 + [0.01, 0.02])
    assert vetoes == (0.0, 0.0, 0.0, 0.02, 20)
    assert [vetoes.off(one) for one in (0.0, 0.015, 0.03)] == [0.0, 0.0, math.inf]


def test_a_figure_that_comes_seldom_is_looked_for_farther_back() -> None:
    """Of one that comes at every step the last 60 are read; of another one that never came nothing is found."""
    source = MemorySource()
    source.add_run(RUN)
    for step in range(3000):
        source.add_step(RUN, step, {"often": 1.0} | ({"seldom": 2.0} if step % 100 == 0 else {}))
    found = before(source, RUN, 3000, ["often", "seldom", "never"])
    assert found["often"].step.tolist() == list(range(2936, 3000))
    assert found["seldom"].step.tolist() == list(range(0, 3000, 100))
    assert len(found["never"].step) == 0
    assert before(source, RUN, 0, ["often"]) == {}


def test_what_stands_out_is_told_with_the_worst_first() -> None:
    """What breaks a limit, then what is no number, then what is far from usual; calm figures are not told."""
    critical, warning = (
        Limit(name="", metric="m", severity=one, above=1.0, summary="", cure="")
        for one in (Severity.CRITICAL, Severity.WARNING)
    )
    ordinary = usual([1.0, 2.0, 3.0] * 10)
    figures = [
        Compared("calm", 2.0, ordinary, None),
        Compared("far", 2.0 + 6 * 1.4826, ordinary, None),
        Compared("farther", 2.0 - 9 * 1.4826, ordinary, None),
        Compared("broken", 2.0, ordinary, warning),
        Compared("new", 9.0, None, None),
        Compared("nan", math.nan, ordinary, None),
        Compared("very", 2.0, None, critical),
    ]
    assert [one.metric for one in outstanding(figures)] == ["very", "broken", "nan", "farther", "far"]
