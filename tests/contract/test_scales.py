"""On its scale a figure's changes are alike wherever it is."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolloutwatch_contract.catalogue import METRICS
from rolloutwatch_contract.scales import SCALES, Scale, scale_of

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(st.sampled_from(sorted(SCALES)), FINITE, FINITE)
def test_a_scale_keeps_the_order_of_values(metric: str, one: float, other: float) -> None:
    scale = SCALES[metric]
    low, high = sorted((one, other))
    assert scale.of(-math.inf) <= scale.of(low) <= scale.of(high) <= scale.of(math.inf) == math.inf
    assert scale.of(scale.ideal) == 0.0


@given(st.sampled_from(sorted(SCALES)), st.lists(st.floats()))
def test_many_values_are_where_each_of_them_is(metric: str, values: list[float]) -> None:
    scale = SCALES[metric]
    with np.errstate(over="ignore"):  # as far from 0 as doubles are
        found = scale.of_all(np.array(values, dtype=np.float64))
    assert found.tolist() == pytest.approx([scale.of(one) for one in values], rel=1e-12, nan_ok=True)


@given(st.sampled_from(sorted(SCALES)), st.floats(-30, 30))
def test_a_scale_leads_back_to_the_value_that_is_at_a_place(metric: str, place: float) -> None:
    """Where doubles reach; beyond, a value is infinite, and of ratios 0 below."""
    scale = SCALES[metric]
    value = scale.back(place)
    assert value == pytest.approx(scale.back(scale.of(value)), rel=1e-9, abs=1e-12)
    if 0 < value < math.inf and abs(value - scale.ideal) > 1e-6:
        assert scale.of(value) == pytest.approx(place, rel=1e-6)
    assert [scale.back(sign * 1e4) for sign in (1, -1)] == [math.inf, 0.0 if scale.is_ratio else -math.inf]


@pytest.mark.parametrize("metric", sorted(SCALES))
def test_what_matters_is_about_one_and_ten_times_as_much_two_more(metric: str) -> None:
    """On both sides: asinh(1) is 0.88 and asinh(10) is 3.0."""
    scale = SCALES[metric]
    for sign in (-1, 1):
        for times in (1, 10):
            away = sign * times * scale.matters
            value = math.exp(away) if scale.is_ratio else scale.ideal + away
            assert scale.of(value) == pytest.approx(math.asinh(sign * times), rel=1e-9)


def test_a_ratio_and_its_inverse_are_equally_far_from_one() -> None:
    """And what no ratio can be is infinitely far."""
    scale = Scale(1.0, 0.5, is_ratio=True)
    assert scale.of(8.0) == pytest.approx(-scale.of(1 / 8))
    assert scale.of(8.0) == pytest.approx(math.asinh(2 * math.log(8)))
    assert scale.of(0.0) == scale.of(-1.0) == scale.of(-math.inf) == -math.inf
    assert math.isnan(scale.of(math.nan))


def test_a_group_is_on_the_scale_of_its_metric_and_a_metric_of_ones_own_on_none() -> None:
    assert scale_of("mismatch_kl@math") == scale_of("mismatch_kl") == Scale(0.0, 1e-3)
    assert scale_of("reward_mean") is scale_of("n_tokens") is None


def test_scales_rest_where_the_catalogue_says_that_figures_are_best() -> None:
    for metric in SCALES.keys() & METRICS.keys():
        assert METRICS[metric].ideal in (None, SCALES[metric].ideal), metric
