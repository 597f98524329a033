"""A figure of a whole run in a few numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolloutwatch_contract.figure_summary import FigureSummary, summarise


def of(*values: float) -> FigureSummary:
    return summarise(np.arange(10, 10 + len(values)), np.array(values, dtype=np.float64))


def test_of_no_values_there_is_nothing() -> None:
    """Which is not the same as 0."""
    assert of() == FigureSummary()
    assert of(0.0).mean == 0.0


def test_steps_stand_beside_the_first_lowest_and_highest_value() -> None:
    one = of(2.0, 1.0, 3.0, 1.0, 3.0)
    assert (one.lowest, one.lowest_step, one.highest, one.highest_step) == (1.0, 11, 3.0, 12)
    assert (one.last, one.last_step, one.mean, one.count) == (3.0, 14, 2.0, 5)


def test_nan_and_infinity_are_counted_and_not_averaged() -> None:
    """An infinite value is the highest there is; one that is NaN is neither, even where it is the last or the first."""
    one = of(math.nan, math.inf, 1.0, -math.inf, 2.0, math.nan)
    assert (one.finite, one.infinite, one.nan, one.mean) == (2, 2, 2, 1.5)
    assert (one.lowest, one.lowest_step, one.highest, one.highest_step) == (-math.inf, 13, math.inf, 11)
    assert math.isnan(one.last or 0.0)
    nothing = of(math.nan, math.nan)
    assert (nothing.nan, nothing.mean, nothing.lowest, nothing.highest) == (2, None, None, None)


def test_the_mean_of_what_is_finite_is_finite() -> None:
    assert of(1e308, 1e308, 1e308).mean == pytest.approx(1e308)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_it_is_what_plain_loops_find(values: list[float]) -> None:
    one = of(*values)
    assert (one.lowest, one.highest, one.last) == (min(values), max(values), values[-1])
    assert one.lowest_step == 10 + values.index(min(values))
    assert one.mean == pytest.approx(math.fsum(values) / len(values), rel=1e-9, abs=1e-6)
