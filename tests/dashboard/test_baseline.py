"""The usual range of a figure: what it did before."""

import math

import pytest

from rolloutwatch_contract.baselines import LEAST
from rolloutwatch_contract.conditions.nodes import OF_A_NORMAL
from rolloutwatch_contract.protocol import MarkView
from rolloutwatch_dashboard.figures.baseline import FARTHEST_DRAWN, MOST_PLACES, Range, band, usual_ranges
from rolloutwatch_dashboard.figures.timeseries import figure_of
from rolloutwatch_dashboard.usual import SPREADS, usual
from tests.dashboard.test_figures import ESS, KL, series


def only(parts: list[list[Range]]) -> dict[int, tuple[float, float]]:
    """The ranges of the only session, by step."""
    (part,) = parts
    return {step: (low, high) for step, low, high in part}


def test_of_too_few_values_nothing_is_usual() -> None:
    assert usual_ranges([*range(LEAST)], [1.0] * LEAST) == []
    assert figure_of(ESS, {"ess": series([0.9] * LEAST)}, [])["layout"]["shapes"][0]["name"] == "ideal"


def test_a_band_stays_where_it_was_while_a_fault_lasts() -> None:
    """For as many steps as there were before, and then it follows."""
    values = [at % 3 + (100.0 if at >= 160 else 0.0) for at in range(640)]
    ranges = only(usual_ranges([*range(640)], values))
    far = SPREADS * OF_A_NORMAL
    assert [ranges[step] for step in range(64, 321, 16)] == [pytest.approx((0.0, 1 + far))] * 17
    assert ranges[639] == pytest.approx((101 - far, 101 + far))


@pytest.mark.parametrize("metric", ["reward_mean", "mismatch_k3_kl", "ratio_eff_sample_size", "ratio_max"])
def test_a_band_says_what_a_table_beside_the_step_says(metric: str) -> None:
    """Also where a value is infinite, is NaN or did not come, and where most values are equal."""
    values: list[float | None] = [0.9, 0.99, 0.95, math.inf, None, math.nan] * 10 + [1.0] * 440
    ranges = only(usual_ranges([*range(500)], values, metric))
    for step, found in ranges.items():
        beside = usual([value for value in values[:step] if value is not None], metric)
        assert beside is not None
        assert found == pytest.approx((beside.low, beside.high), rel=1e-9)
    if metric == "reward_mean":
        assert ranges[499] == (1.0, 1.0)


def test_another_session_begins_a_band_anew() -> None:
    """The band ends there, and goes on when the session has brought enough."""
    values = [1.0, 2.0, 3.0] * 60
    marks = [
        MarkView(100, 0.0, "restart", found=True),
        MarkView(150, 0.0, "restart"),
        MarkView(139, 0.0, "config"),
    ]
    former, latter = usual_ranges([*range(180)], values, begins=[100])
    assert [former[0][0], former[-1][0]] == [20, 99]
    assert [latter[0][0], latter[-1][0]] == [120, 179]
    assert latter == [
        (step + 100, low, high) for step, low, high in usual_ranges([*range(80)], values[100:])[0][::2]
    ]
    path = figure_of(KL, {"kl": series(values)}, [], marks)["layout"]["shapes"][0]["path"]
    assert [part.split(",")[0] for part in path.split("M")[1:]] == ["20", "120", "160"]


def test_a_band_in_view_knows_what_came_before() -> None:
    """Its places are all in view, and it is that of the whole run there."""
    values = [float(n % 7) for n in range(4000)]
    found = only(usual_ranges([*range(4000)], values, first=3900))
    assert [*found] == [*range(3900, 4000, 2), 3999]
    assert found[3904] == only(usual_ranges([*range(4000)], values))[3904]


def test_values_that_are_none_are_left_out() -> None:
    values = [None if n % 2 else float(n % 3) for n in range(100)]
    known = [value for value in values if value is not None]
    found = only(usual_ranges([*range(100)], values))
    assert [*found] == [*range(2 * LEAST, 100, 2)]
    assert [*found.values()] == [*only(usual_ranges([*range(50)], known)).values()]


@pytest.mark.parametrize("count", [21, 64, 65, 128, 1500, 4000])
def test_a_band_has_few_places_and_its_last_one_at_the_last_value(count: int) -> None:
    (ranges,) = usual_ranges([*range(count)], [float(n % 5) for n in range(count)])
    assert ranges[-1][0] == count - 1
    assert len(ranges) <= MOST_PLACES + 1


def test_a_band_goes_there_above_and_back_below() -> None:
    (shape,) = band([[(3, 1.0, 2.0), (5, 1.5, 4.0)]], 0.0)
    assert shape["path"] == "M3,2.0L5,4.0L5,1.5L3,1.0Z"
    assert band([[(3, 1.0, 2.0)]], 0.0) == []
    (shape,) = band([[(3, -1.0, 2.0), (5, 1.5, 4.0)], [(7, 1.0, 1.0)], [(8, 2.0, 3.0), (9, 2.0, 3.0)]], 0.1)
    assert shape["path"] == "M3,2.0L5,4.0L5,1.5L3,0.1ZM8,3.0L9,3.0L9,2.0L8,2.0Z", "none below a log axis"


def test_a_band_ends_where_pixels_cannot_be_counted_any_more() -> None:
    """On its scale a range may reach as far as doubles do, and beyond."""
    (shape,) = band([[(3, -math.inf, math.inf), (5, 1.0, 1e300)]], 0.0)
    assert shape["path"] == f"M3,{FARTHEST_DRAWN}L5,{FARTHEST_DRAWN}L5,1.0L3,{-FARTHEST_DRAWN}Z"
    (shape,) = band([[(3, 0.5, math.inf), (5, 1.0, 1e100)]], 0.1)
    assert shape["path"] == "M3,1e+200L5,1e+100L5,1.0L3,0.5Z"


def test_a_chart_has_the_band_of_its_own_figure_behind_its_limits() -> None:
    first = figure_of(KL, {"kl": series([1e-4 * (1 + n % 3) for n in range(100)])}, [])["layout"]["shapes"][0]
    assert (first["name"], first["layer"], first["type"]) == ("usual range", "below", "path")
    assert "nan" not in first["path"]
