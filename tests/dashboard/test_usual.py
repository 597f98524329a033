"""What is usual for a figure, and how far from it a step is."""

import math

import numpy as np
import pytest

from rolloutwatch_contract.baselines import LEAST, SAMPLES
from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import MarkView, Series
from rolloutwatch_contract.severity import Severity
from rolloutwatch_dashboard import MemorySource
from rolloutwatch_dashboard.components.figure_table import outstanding
from rolloutwatch_dashboard.usual import BEFORE, Compared, before, begins_of, compared, usual

RUN = "math~a"


def series(values: list[float]) -> Series:
    return Series(np.arange(len(values)), np.array(values))


def test_wild_values_before_do_not_move_what_is_usual() -> None:
    """Of 1 to 21 the first 20 have the median 10.5 and the median distance 5; two of 1e9 for them do not move it far."""
    calm = usual(range(1, 22))
    assert calm is not None
    assert (calm.center, calm.baseline.spread) == (10.5, pytest.approx(5 * 1.4826))
    wild = usual([*range(1, 19), 1e9, 1e9, 1.0])
    assert wild is not None
    assert (wild.center, wild.baseline.spread) == (10.5, pytest.approx(5 * 1.4826))


def test_what_happens_now_is_not_usual_before_it_has_lasted_for_half_of_what_is_looked_back_over() -> None:
    """Of 399 values before one the older 199: a fault of 200 steps is none of them, and one of 300 is half of them."""
    calm, fault = [1.0, 2.0, 3.0] * 200, [9.0] * 300
    assert usual(calm + fault[:200]) == usual(calm) == usual(calm[-BEFORE:])
    later = usual(calm + fault)
    assert later is not None
    assert later.center == 9.0


def test_the_spread_is_the_standard_deviation_of_noise() -> None:
    found = [usual(np.random.default_rng(seed).normal(7.0, 2.0, BEFORE).tolist()) for seed in range(500)]
    assert np.mean([one.center for one in found if one]) == pytest.approx(7.0, abs=0.05)
    assert np.mean([one.baseline.spread for one in found if one]) == pytest.approx(2.0, abs=0.1)


def test_the_usual_range_stays_where_such_figures_can_be() -> None:
    """What was never negative does not become so, and no fraction and no correlation is above 1."""
    values = [0.1, 0.9] * LEAST
    found = usual(values)
    assert found is not None
    assert (found.center, found.low, found.high) == (0.5, 0.0, pytest.approx(0.5 + 4 * 0.4 * 1.4826))
    for metric in ("rollout_is_veto_fraction", "ratio_eff_sample_size@math", "prob_pearson_corr"):
        limited = usual(values, metric)
        assert limited is not None
        assert (limited.low, limited.high) == (0.0, 1.0)
    signed = usual([value - 0.5 for value in values])
    assert signed is not None
    assert signed.low == pytest.approx(-4 * 0.4 * 1.4826)


def test_on_a_scale_the_range_goes_by_magnitude_and_is_never_narrower_than_what_matters() -> None:
    """K3 of 3e-4 is at asinh(1) = 0.8814; half a unit to either side are 1.2e-4 and 5.6e-4, also where it never moves."""
    found = usual([3e-4] * LEAST, "mismatch_k3_kl")
    assert found is not None
    assert (found.center, found.low, found.high) == pytest.approx((3e-4, 1.1718e-4, 5.5931e-4), rel=1e-3)
    assert found.off(found.high) == pytest.approx(4.0)
    assert found.off(found.low) == pytest.approx(-4.0)
    ratio = usual([0.25] * LEAST, "ratio_min")
    assert ratio is not None
    assert 0.0 < ratio.low < 0.25 < ratio.high < 1.0


def test_of_too_few_values_nobody_says_what_is_usual() -> None:
    """NaN does not count; and where most values are infinite there is no middle."""
    assert usual([1.0] * (LEAST - 1) + [math.nan]) is None
    assert usual([1.0] * LEAST) is not None
    assert usual([math.inf] * LEAST) is None


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
    assert vetoes is not None
    assert (vetoes.center, vetoes.low, vetoes.high, vetoes.is_spread) == (0.0, 0.0, 0.02, False)
    assert [vetoes.off(one) for one in (0.0, 0.015, 0.03)] == [0.0, 0.0, math.inf]


def test_a_figure_that_comes_seldom_is_looked_for_farther_back() -> None:
    """Of one that comes at every step the last 400 are read; of another one that never came nothing is found."""
    source = MemorySource()
    source.add_run(RUN)
    for step in range(3000):
        source.add_step(RUN, step, {"often": 1.0} | ({"seldom": 2.0} if step % 100 == 0 else {}))
    found = before(source, RUN, 3000, ["often", "seldom", "never"])
    assert found["often"].step.tolist() == list(range(3000 - SAMPLES, 3000))
    assert found["seldom"].step.tolist() == list(range(0, 3000, 100))
    assert len(found["never"].step) == 0
    assert before(source, RUN, 0, ["often"]) == {}


def test_another_session_begins_anew_and_another_configuration_does() -> None:
    """As for rules: what came before a restart that the server found is not compared with; what a trainer calls one is none."""
    source = MemorySource()
    source.add_run(RUN)
    for step in range(300):
        source.add_step(RUN, step, {"a": float(step)})
    source.add_mark(RUN, MarkView(100, 1.0, "restart", found=True))
    source.add_mark(RUN, MarkView(150, 2.0, "restart"))
    source.add_mark(RUN, MarkView(200, 3.0, "rollback", found=True))
    assert before(source, RUN, 199, ["a"])["a"].step.tolist() == list(range(100, 199))
    assert before(source, RUN, 200, ["a"]) == {}
    assert before(source, RUN, 260, ["a"])["a"].step.tolist() == list(range(200, 260))
    source.add_mark(RUN, MarkView(249, 3.0, "config"))
    source.add_mark(RUN, MarkView(200, 3.0, "config", found=True))
    assert before(source, RUN, 249, ["a"])["a"].step.tolist() == list(range(200, 249))
    assert before(source, RUN, 260, ["a"])["a"].step.tolist() == list(range(250, 260))
    assert begins_of(source.marks(RUN)) == [100, 200, 250]


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
