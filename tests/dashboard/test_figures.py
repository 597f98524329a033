"""Figures: what is drawn, with which limits, on which axis."""

import itertools
import json
import math

import numpy as np
import pytest

from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import MarkView, Series
from rolloutwatch_contract.severity import Severity
from rolloutwatch_dashboard.figures.ticks import ticks_of
from rolloutwatch_dashboard.figures.timeseries import (
    Chart,
    axis_title,
    drawn,
    figure_of,
    isolated,
    timeseries,
    value_range,
    visible,
    with_gaps,
)
from rolloutwatch_server.downsample import thin

ESS = Chart("ess", "Effective sample size", "fraction", {"ess": "ratios", "of_weights": "weights"}, ideal=1.0)
KL = Chart("kl", "KL", "nats", {"kl": "K3"}, ideal=0.0, floor=1e-7)
TOO_LOW = Limit(name="low", metric="ess", severity=Severity.CRITICAL, below=0.3, summary="", cure="")
TOO_HIGH = Limit(name="high", metric="kl", severity=Severity.WARNING, above=0.01, summary="", cure="")


def series(values: list[float]) -> Series:
    return Series(np.arange(len(values)), np.array(values, dtype=np.float64))


def test_every_metric_of_a_chart_is_a_line() -> None:
    figure = timeseries(ESS, {"ess": series([0.5, 0.9]), "of_weights": series([0.7, 1.0])}, [])
    assert [(line.name, line.x, line.y) for line in figure.data if line.mode == "lines"] == [
        ("ratios", (0, 1), (0.5, 0.9)),
        ("weights", (0, 1), (0.7, 1.0)),
    ]
    assert [line.zorder for line in figure.data if line.mode == "lines"] == [0, -1], (
        "what is judged is on top"
    )


def test_lines_of_one_label_have_one_colour_and_stand_once_in_the_legend() -> None:
    """Highest and lowest of the same thing: which is which, one sees."""
    chart = Chart("x", "Extremes", "factor", {"high": "ratios", "w": "weights", "low": "ratios"})
    lines = [line for line in timeseries(chart, {}, []).data if line.mode == "lines"]
    assert lines[0].line.color == lines[2].line.color != lines[1].line.color
    assert [line.showlegend for line in lines] == [True, True, False]


def test_a_point_that_no_line_reaches_is_a_dot() -> None:
    """One step is a run too, and so is every value between two that are not finite."""
    values = [1.0, math.nan, 2.0, math.inf, 3.0, 4.0]
    line, dots, *_ = timeseries(Chart("c", "C", "", {"c": "c"}), {"c": series(values)}, []).data
    assert (dots.mode, dots.x, dots.y) == ("markers", (0, 2), (1.0, 2.0))
    assert line.marker.size is None
    assert isolated([5.0]) == [0]
    assert isolated([5.0, 6.0]) == isolated([None]) == isolated([]) == []


def test_an_empty_chart_says_that_there_is_nothing_to_draw() -> None:
    for values, empty in (([], True), ([math.nan, 1e308], True), ([0.5], False)):
        note = timeseries(ESS, {"ess": series(values)}, []).layout.annotations[0]
        assert (note.text, note.visible) == ("nothing to draw", empty)


@pytest.mark.parametrize(
    ("steps", "gaps"),
    [
        ([0, 1, 2, 3, 20, 21], [4]),  # it came at every step, and then for a while it did not
        ([0, 100, 200, 300, 400], []),  # it comes at every hundredth
        ([0, 100, 200, 300, 700, 800], [301]),
        ([0, 1, 2, 5, 6], []),  # a step or two that nobody measured are bridged
        ([0, 50], []),
        ([7], []),
        ([], []),
    ],
)
def test_where_values_stopped_coming_the_line_is_broken(steps: list[int], gaps: list[int]) -> None:
    with_them = sorted([*steps, *gaps])
    values = [None if step in gaps else 1.0 for step in with_them]
    assert with_gaps(steps, [1.0] * len(steps)) == (with_them, values)
    assert with_gaps(with_them, values) == (with_them, values), "a gap is made once"


def test_a_thinned_series_has_no_gaps_of_its_own() -> None:
    """Thinning keeps two values of each column of the screen, at uneven distances; that is no gap."""
    random = np.random.default_rng(1)
    long = Series(np.arange(100_000), random.normal(size=100_000))
    thinned = thin(long, 1500)
    steps, values = with_gaps(*visible(thinned))
    assert None not in values
    mixed = [*thinned.step.tolist(), *range(100_000, 101_500)]
    assert None not in with_gaps(mixed, [1.0] * len(mixed))[1]
    assert steps == thinned.step.tolist()


def test_a_limit_is_a_line_and_its_bad_side_is_shaded() -> None:
    """Below 0.3 is bad: the shade reaches down from the limit, farther than anyone scrolls."""
    shapes = {shape.name: shape for shape in timeseries(ESS, {"ess": series([0.5])}, [TOO_LOW]).layout.shapes}
    assert (shapes["low: limit"].y0, shapes["low: limit"].y1) == (0.3, 0.3)
    assert shapes["low: bad side"].y0 == 0.3
    assert shapes["low: bad side"].y1 == 0.3 - 1e9
    assert (shapes["ideal"].y0, shapes["ideal"].y1) == (1.0, 1.0)


def test_a_limit_above_shades_upwards_also_on_a_log_axis() -> None:
    shapes = {shape.name: shape for shape in timeseries(KL, {"kl": series([1e-4])}, [TOO_HIGH]).layout.shapes}
    assert shapes["high: bad side"].y0 == 0.01
    assert shapes["high: bad side"].y1 == 0.01 * 1e12
    assert "ideal" not in shapes, "0 has no place on a log axis"


def test_a_rule_of_another_metric_stays_out() -> None:
    assert [shape.name for shape in timeseries(ESS, {"ess": series([0.5])}, [TOO_HIGH]).layout.shapes] == [
        "ideal"
    ]


def test_unit_and_ideal_value_stand_at_the_axis() -> None:
    assert axis_title(ESS) == "fraction (ideal 1)"
    assert timeseries(ESS, {}, []).layout.yaxis.title.text == "fraction (ideal 1)"
    assert axis_title(Chart("loss", "loss", "", {"loss": "loss"})) == ""


def test_what_cannot_be_drawn_is_a_gap() -> None:
    """NaN and infinities, and what no value axis can count to."""
    values = series([1.0, math.nan, math.inf, -math.inf, 0.0, -1.0, 1e308])
    assert visible(values) == ([0, 1, 2, 3, 4, 5, 6], [1.0, None, None, None, 0.0, -1.0, None])
    assert visible(None) == ([], [])


def test_zero_has_no_place_on_a_log_axis_and_stands_on_its_floor() -> None:
    """Two equal policies have a KL of 0, which is a healthy line and not an empty chart; hovering tells the value."""
    assert drawn([0.0, -1e-17, 1e-9, 0.5, None], KL) == [1e-7, 1e-7, 1e-7, 0.5, None]
    assert drawn([0.0, -1.0], ESS) == [0.0, -1.0]
    line = timeseries(KL, {"kl": series([0.0, 0.5])}, []).data[0]
    assert (line.y, line.customdata) == ((1e-7, 0.5), (0.0, 0.5))


def test_lists_not_arrays_reach_the_browser() -> None:
    """An array would travel as base64, to which plotly cannot append."""
    assert figure_of(ESS, {"ess": series([0.5, 0.9])}, [])["data"][0]["y"] == [0.5, 0.9]


@pytest.mark.parametrize("chart", [ESS, KL])
def test_what_reaches_the_browser_is_what_plotly_itself_would_send(chart: Chart) -> None:
    """With its template, and with every property known to plotly, which would refuse another one."""
    read = {"ess": series([0.5, 0.9, math.nan, 0.4]), "kl": series([1e-4, 0.3])}
    marks = [MarkView(1, 0.0, "weight_sync", {"version": 3}), MarkView(0, 0.0, "restart", found=True)]
    for which in ({}, read):
        sent = figure_of(chart, which, [TOO_LOW, TOO_HIGH], marks)
        assert json.loads(timeseries(chart, which, [TOO_LOW, TOO_HIGH], marks).to_json()) == json.loads(
            json.dumps(sent)
        )


@pytest.mark.parametrize(
    ("values", "limits", "expected"),
    [
        ([-1.0, 1.0], [], (-1.16, 1.16)),  # the data, and 8 percent of air
        ([-1.0, 1.0], [5.0, 9.0, -3.0], (-3.64, 5.64)),  # the next limit on either side is in view
        ([-1.0, 7.0], [5.0, 9.0], (-1.8, 9.8)),  # one that was passed is, and the next one too
        ([0.0, 1.0], [], (-0.03, 1.08)),  # too little room below 0 for a negative label
        ([], [0.2, 0.4], (0.184, 0.416)),  # without data the limits are shown
        ([None, None], [], (-0.03, 1.08)),
        ([5.0, 5.0], [], (4.971, 5.029)),  # what does not change is in the middle
    ],
)
def test_the_value_axis_shows_the_data_and_the_next_limits(
    values: list[float | None], limits: list[float], expected: tuple[float, float]
) -> None:
    chart = Chart("c", "C", "", {"c": "c"})
    assert value_range(values, limits, chart) == pytest.approx(expected, abs=1e-12)


def test_what_is_at_home_on_a_chart_is_always_in_view() -> None:
    chart = Chart("c", "C", "fraction", {"c": "c"}, ideal=0.0, home=(0.0, 0.1))
    assert value_range([0.0], [0.02, 0.1], chart) == pytest.approx((-0.003, 0.108))
    assert value_range([0.9], [0.02, 0.1], chart) == pytest.approx((-0.027, 0.972))


def test_a_log_axis_is_in_powers_of_ten() -> None:
    assert value_range([1e-4, 1e-2], [0.1], KL) == pytest.approx((-4 - 0.24, -1 + 0.24))


def test_a_log_axis_has_its_limits_at_their_ratios() -> None:
    """Limits 5 percent above and below 1 are as far from it as they are, and nothing farther is shown."""
    chart = Chart("c", "C", "factor", {"c": "c"}, ideal=1.0, floor=1e-3)
    low, high = value_range([0.999, 1.001], [1.05, 0.95, 1.5, 1 / 1.5], chart)
    assert 0.93 < 10**low < 0.95 < 1.05 < 10**high < 1.07


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.4, 60), ["0.5", "1", "2", "5", "10", "20", "50"]),
        ((0.001, 1000), ["0.001", "0.01", "0.1", "1", "10", "100", "1000"]),
        ((1e-7, 1.2), ["1e-6", "1e-4", "0.01", "1"]),
        ((0.93, 1.07), ["0.94", "0.96", "0.98", "1.00", "1.02", "1.04", "1.06"]),
        ((1.5, 9), ["2", "4", "6", "8"]),
        ((2.1e-4, 2.6e-4), ["2.1e-4", "2.2e-4", "2.3e-4", "2.4e-4", "2.5e-4", "2.6e-4"]),
        ((9e5, 3e6), ["1e6", "1.5e6", "2e6", "2.5e6", "3e6"]),
    ],
)
def test_a_label_of_a_log_axis_is_the_whole_number(values: tuple[float, float], expected: list[str]) -> None:
    """No 2 that is 20; few where many decades are in view, and not none where less than one is."""
    ticks = ticks_of(*map(math.log10, values))
    assert ticks["ticktext"] == expected
    assert ticks["tickvals"] == pytest.approx([float(text) for text in expected], rel=1e-15)


def test_labels_of_a_log_axis_are_never_crowded_and_never_gone() -> None:
    for low, width in itertools.product(np.linspace(-8, 6, 141), np.geomspace(1e-3, 200, 60)):
        texts = ticks_of(low, low + width)["ticktext"]
        assert 2 <= len(texts) <= 7, (low, width)
        assert len(set(texts)) == len(texts)


def test_a_log_chart_comes_with_its_labels() -> None:
    axis = timeseries(KL, {"kl": series([0.5, 40.0])}, []).layout.yaxis
    assert (axis.tickmode, axis.ticktext) == ("array", ("0.5", "1", "2", "5", "10", "20", "50"))
    assert timeseries(ESS, {"ess": series([0.5])}, []).layout.yaxis.tickvals is None
