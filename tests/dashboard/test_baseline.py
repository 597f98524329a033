"""The usual range of a figure: what it did before."""

import math

import pytest

from rolloutwatch_contract.conditions.nodes import OF_A_NORMAL
from rolloutwatch_dashboard.figures.baseline import MOST_PLACES, band, usual_ranges
from rolloutwatch_dashboard.figures.timeseries import figure_of
from rolloutwatch_dashboard.usual import LEAST, SPREADS, VALUES, usual
from tests.dashboard.test_figures import ESS, KL, series


def test_of_too_few_values_nothing_is_usual() -> None:
    assert usual_ranges([*range(LEAST)], [1.0] * LEAST) == []
    assert figure_of(ESS, {"ess": series([0.9] * LEAST)}, [])["layout"]["shapes"][0]["name"] == "ideal"


def test_a_value_is_seen_against_those_before_it() -> None:
    """A jump stands out of the range at its own step, and is in it sixty values later."""
    noise = [0.0, 1.0, 2.0, 1.0] * 40
    values = [*noise[:80], *(value + 100 for value in noise[:80])]
    ranges = {step: (low, high) for step, low, high in usual_ranges([*range(160)], values)}
    far = SPREADS * OF_A_NORMAL / 2
    assert ranges[80] == pytest.approx((0.0, 1 + far))
    assert ranges[80 + VALUES] == pytest.approx((101 - far, 101 + far))


def test_a_band_says_what_a_table_beside_the_step_says() -> None:
    """No fraction is above 1, and where most values are equal all that came is usual."""
    values = [0.9, 0.99, 0.95] * 10 + [1.0] * 60
    ranges = {step: (low, high) for step, low, high in usual_ranges([*range(90)], values, 1.0)}
    for step in (30, 60, 89):
        beside = usual(values[:step], 1.0)
        assert beside is not None
        assert ranges[step] == (beside.low, beside.high)
    assert ranges[30][1] == 1.0
    assert ranges[89] == (0.95, 1.0)


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
