"""What an address says of how one looks at charts, and what is drawn then."""

import numpy as np
import pytest

from rolloutwatch_dashboard import MemorySource
from rolloutwatch_dashboard.around import Around, around
from rolloutwatch_dashboard.figures.lost import LARGEST, lost_values
from rolloutwatch_dashboard.figures.smoothing import smoothed, unit_of
from rolloutwatch_dashboard.figures.timeseries import figure_of, floor_of, with_axis
from rolloutwatch_dashboard.usual import BEFORE
from rolloutwatch_dashboard.view import USUAL, View, view_of
from tests.dashboard.test_figures import ESS, KL, TOO_HIGH, series

INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", USUAL),
        ("?from=10&to=20&x=time&smooth=0.9&log=ess,-k3", View(10, 20, "time", 0.9, ("ess", "-k3"))),
        ("?from=20&to=10&x=steps&smooth=2&log=<b>", USUAL),
        ("?from=-1&to=1e3&smooth=nan&log=,a b", USUAL),
        (f"?from={2**53}&to={2**53 - 1}", View(None, 2**53 - 1)),
        ("?smooth=1", View(smooth=0.99)),
    ],
)
def test_any_address_is_read_as_some_view(query: str, expected: View) -> None:
    assert view_of(query) == expected


def test_an_address_may_name_one_end_only() -> None:
    assert view_of("?from=40").ends(0, 99) == (40, 99)
    assert view_of("?to=40").ends(10, 99) == (10, 40)
    assert view_of("?from=400").ends(0, 99) == (400, 400), "steps that are still to come"
    assert USUAL.ends(0, 99) is None


def run_of(steps: int) -> MemorySource:
    source = MemorySource()
    source.add_run("math~a")
    for step in range(steps):
        source.add_step("math~a", step, {"loss": float(step)})
    return source


def looked_at(query: str, steps: int = 100) -> Around | str | None:
    source = run_of(steps)
    run = source.run("math~a")
    assert run is not None
    return around(query, run, source, ["loss"])


def test_steps_in_view_are_read_with_some_on_either_side() -> None:
    """For a line goes on where it leaves the chart, and what is usual follows from what came before."""
    found = looked_at("?from=640&to=659", steps=700)
    assert isinstance(found, Around)
    assert (found.ends, found.step, found.marks) == ((640, 659), None, [])
    assert found.series["loss"].step.tolist() == list(range(640 - BEFORE, 665))
    around_one = looked_at("?step=600", steps=700)
    assert isinstance(around_one, Around)
    assert around_one.ends == (540, 660)
    assert around_one.series["loss"].step.tolist() == list(range(540 - BEFORE, 661))


def test_what_came_before_is_not_seen_around_a_step() -> None:
    """Where figures come seldom enough of them are in view."""
    source = MemorySource()
    source.add_run("math~a")
    for step in range(0, 3000, 50):
        source.add_step("math~a", step, {"loss": float(step)})
    run = source.run("math~a")
    assert run is not None
    found = around("?step=1500", run, source, ["loss"])
    assert isinstance(found, Around)
    assert found.ends == (900, 2100)


def test_a_step_is_marked_also_where_other_steps_are_in_view() -> None:
    found = looked_at("?step=7&from=40&to=59")
    assert isinstance(found, Around)
    assert (found.ends, found.step, found.said) == ((40, 59), 7, "Around step 7.")


def test_a_run_without_steps_has_none_in_view() -> None:
    assert looked_at("?from=1&to=5", steps=0) is None


def test_smoothing_is_the_mean_of_what_came_with_the_newest_counting_most() -> None:
    """By hand: after 1 and 0 at weight 1/2, (0.5 * 1 + 0) / 1.5, and then (0.25 * 1 + 0.5 * 0 + 4) / 1.75."""
    assert smoothed([0, 1, 2], [1.0, 0.0, 4.0], 0.5, 1.0) == pytest.approx([1.0, 1 / 3, 4.25 / 1.75])
    assert smoothed([0, 1, 2], [5.0, 5.0, 5.0], 0.99, 1.0) == pytest.approx([5.0] * 3), "no way from 0"
    assert smoothed([0, 1, 3], [1.0, None, 4.0], 0.5, 1.0) == [
        1.0,
        None,
        pytest.approx((0.125 + 4) / 1.125),
    ]
    assert smoothed([3, 4], [1.0, 2.0], 0.0, 1.0) == [1.0, 2.0]


def test_a_long_run_is_smoothed_by_what_a_screen_can_show() -> None:
    assert unit_of([]) == unit_of([5]) == unit_of([0, 1, 2]) == 1.0
    assert unit_of([0, 10, 20]) == 10.0
    assert unit_of(list(range(0, 100_001, 50))) == 100.0


def test_a_smoothed_line_stands_before_itself() -> None:
    figure = figure_of(ESS, {"ess": series([0.5, 0.9]), "of_weights": series([0.7, 1.0])}, [], smooth=0.5)
    raw, mean = figure["data"][0], figure["data"][-2]
    assert (raw["opacity"], raw["y"]) == (0.3, [0.5, 0.9])
    assert (mean["name"], mean["y"]) == ("ratios, smoothed", pytest.approx([0.5, (0.25 + 0.9) / 1.5]))
    plain = figure_of(ESS, {"ess": series([0.5, 0.9])}, [])["data"]
    assert (len(plain), plain[0]["opacity"]) == (len(figure["data"]) - 2, 1)


def test_the_value_axis_of_a_chart_can_be_switched() -> None:
    """A log axis begins at the power of ten below the values; on a linear one 0 has a place, and so has its ideal."""
    values = {"ess": series([0.5, 0.03, 0.0]), "kl": series([1e-4, 0.3])}
    assert with_axis(ESS, values, log=True).floor == 0.01
    assert with_axis(KL, values, log=False).floor == 0.0
    assert with_axis(KL, values, log=True) is KL
    assert [floor_of([1.0]), floor_of([0.2, -3.0, 0.0]), floor_of([])] == [1.0, 0.1, 1e-3]
    linear = figure_of(with_axis(KL, values, log=False), values, [TOO_HIGH])["layout"]
    assert linear["yaxis"]["type"] == "linear"
    assert [one["name"] for one in linear["shapes"]] == ["high: bad side", "high: limit", "ideal"]
    assert view_of("?log=ess,-k3").is_log("ess", usually=False)
    assert not view_of("?log=ess,-k3").is_log("k3", usually=True)
    assert USUAL.is_log("k3", usually=True)


def test_what_has_no_place_on_the_axis_has_one_at_its_edge() -> None:
    """NaN and minus infinity below, infinity and what no axis can count to above; with its line and its words."""
    marks = lost_values(
        [series([1.0, NAN, INF]), None, series([-INF, 2 * LARGEST, 0.0])], ["red", "", "blue"]
    )
    assert marks["x"] == [1, 2, 0, 1]
    assert marks["y"] == [0.0, 1.0, 0.0, 1.0]
    assert marks["customdata"] == [[0, "NaN"], [0, "∞"], [2, "-∞"], [2, "2.00e200"]]
    assert marks["marker"]["symbol"] == ["x", "triangle-up", "triangle-down", "triangle-up"]
    assert marks["marker"]["color"] == ["red", "red", "blue", "blue"]


def test_absent_and_lost_are_different_in_a_figure() -> None:
    """A stretch without values breaks the line as a NaN does, and has no mark."""
    read = series([0.5, NAN, 0.7, 0.8])
    read = type(read)(np.array([0, 1, 2, 40]), read.value)
    data = figure_of(ESS, {"ess": read}, [])["data"]
    assert (data[0]["x"], data[0]["y"]) == ([0, 1, 2, 3, 40], [0.5, None, 0.7, None, 0.8])
    assert data[4]["x"] == [1]
