"""The usual range of a figure: what it did before."""

import math

import numpy as np
import pytest

from rolloutwatch_dashboard.figures.baseline import (
    LEAST,
    MOST_PLACES,
    SIGMA,
    SPREADS,
    WINDOW,
    band,
    usual,
    usual_ranges,
)
from rolloutwatch_dashboard.figures.timeseries import figure_of
from tests.dashboard.test_figures import ESS, KL, series


def test_centre_and_spread_are_medians() -> None:
    """Of 1 to 21 the median is 11, and the median distance from it is 5."""
    found = usual([float(n) for n in range(1, 22)])
    assert found is not None
    assert (found.centre, found.spread) == (11.0, pytest.approx(5 * SIGMA))
    assert (found.low, found.high) == pytest.approx((11 - 3 * 5 * SIGMA, 11 + 3 * 5 * SIGMA))


def test_the_spread_is_the_standard_deviation_of_noise() -> None:
    found = usual(np.random.default_rng(1).normal(7.0, 2.0, 100_000).tolist())
    assert found is not None
    assert (found.centre, found.spread) == pytest.approx((7.0, 2.0), rel=0.01)


def test_a_wild_value_moves_nothing() -> None:
    values = [float(n % 7) for n in range(60)]
    wild = [1e9 if n in (10, 30) else value for n, value in enumerate(values)]
    assert usual(values) is not None
    assert usual(wild) == usual(values)


def test_of_too_few_values_nothing_is_usual() -> None:
    assert usual([1.0] * (LEAST - 1)) is None
    assert usual_ranges([*range(LEAST)], [1.0] * LEAST) == []
    assert figure_of(ESS, {"ess": series([0.9] * LEAST)}, [])["layout"]["shapes"][0]["name"] == "ideal"


def test_a_value_is_seen_against_those_before_it() -> None:
    """A jump stands out of the range at its own step, and is in it sixty values later."""
    noise = [0.0, 1.0, 2.0, 1.0] * 40
    values = [*noise[:80], *(value + 100 for value in noise[:80])]
    ranges = {step: (low, high) for step, low, high in usual_ranges([*range(160)], values)}
    far = SPREADS * SIGMA / 2
    assert ranges[80] == pytest.approx((1 - far, 1 + far))
    assert ranges[80 + WINDOW] == pytest.approx((101 - far, 101 + far))


def test_values_that_are_none_are_left_out() -> None:
    values = [None if n % 2 else float(n % 3) for n in range(100)]
    known = [value for value in values if value is not None]
    assert [step for step, *_ in usual_ranges([*range(100)], values)] == [*range(2 * LEAST, 100, 2)]
    assert [one[1:] for one in usual_ranges([*range(100)], values)] == [
        one[1:] for one in usual_ranges([*range(50)], known)
    ]


@pytest.mark.parametrize("count", [21, 64, 65, 128, 1500, 4000])
def test_a_band_has_few_places_and_its_last_one_at_the_last_value(count: int) -> None:
    ranges = usual_ranges([*range(count)], [float(n % 5) for n in range(count)])
    assert ranges[-1][0] == count - 1
    assert len(ranges) <= MOST_PLACES + 1


def test_a_band_goes_there_above_and_back_below() -> None:
    (shape,) = band([(3, 1.0, 2.0), (5, 1.5, 4.0)], 0.0)
    assert shape["path"] == "M3,2.0L5,4.0L5,1.5L3,1.0Z"
    assert band([(3, 1.0, 2.0)], 0.0) == []
    (shape,) = band([(3, -1.0, 2.0), (5, 1.5, 4.0)], 0.1)
    assert shape["path"] == "M3,2.0L5,4.0L5,1.5L3,0.1Z", "nothing of it is below a log axis"


def test_a_chart_has_the_band_of_its_own_figure_behind_its_limits() -> None:
    read = {"kl": series([1e-4 * (1 + n % 3) for n in range(100)])}
    first = figure_of(KL, read, [])["layout"]["shapes"][0]
    assert (first["name"], first["layer"], first["type"]) == ("usual range", "below", "path")
    assert "nan" not in first["path"]
    assert all(math.isfinite(value) for one in usual_ranges(*ranges_of(read)) for value in one)


def ranges_of(read: dict[str, object]) -> tuple[list[int], list[float | None]]:
    kl = read["kl"]
    return kl.step.tolist(), kl.value.tolist()  # type: ignore[attr-defined]
