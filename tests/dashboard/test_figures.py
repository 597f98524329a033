"""Figures: what is drawn, with which limits, on which axis."""

import math

import numpy as np
import pytest

from rolloutwatch_contract.protocol import Series
from rolloutwatch_contract.rules import Rule, Severity
from rolloutwatch_dashboard.figures.timeseries import Chart, axis_title, timeseries, value_range, visible

ESS = Chart("ess", "Effective sample size", "fraction", {"ess": "ratios", "of_weights": "weights"}, ideal=1.0)
KL = Chart("kl", "KL", "nats", {"kl": "K3"}, ideal=0.0, log=True)
TOO_LOW = Rule(name="low", metric="ess", severity=Severity.CRITICAL, below=0.3, summary="", cure="")
TOO_HIGH = Rule(name="high", metric="kl", severity=Severity.WARNING, above=0.01, summary="", cure="")


def series(values: list[float]) -> Series:
    return Series(np.arange(len(values)), np.array(values, dtype=np.float64))


def test_every_metric_of_a_chart_is_a_line() -> None:
    figure = timeseries(ESS, {"ess": series([0.5, 0.9]), "of_weights": series([0.7, 1.0])}, [])
    assert [(line.name, line.x, line.y) for line in figure.data] == [
        ("ratios", (0, 1), (0.5, 0.9)),
        ("weights", (0, 1), (0.7, 1.0)),
    ]


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
    assert axis_title(Chart("loss", "loss", "value", {"loss": "loss"})) == "value"


def test_what_cannot_be_drawn_is_a_gap() -> None:
    """NaN and infinities anywhere; on a log axis also 0 and what is below."""
    values = series([1.0, math.nan, math.inf, -math.inf, 0.0, -1.0])
    assert visible(values, log=False) == ([0, 1, 2, 3, 4, 5], [1.0, None, None, None, 0.0, -1.0])
    assert visible(values, log=True) == ([0, 1, 2, 3, 4, 5], [1.0, None, None, None, None, None])
    assert visible(None, log=False) == ([], [])


def test_lists_not_arrays_reach_the_browser() -> None:
    """An array would travel as base64, to which plotly cannot append."""
    figure = timeseries(ESS, {"ess": series([0.5, 0.9])}, []).to_plotly_json()
    assert figure["data"][0]["y"] == [0.5, 0.9]
    assert type(figure["data"][0]["y"]) in (list, tuple)


@pytest.mark.parametrize(
    ("values", "limits", "expected"),
    [
        ([0.0, 1.0], [], (-0.08, 1.08)),  # the data, and 8 percent of air
        ([0.0, 1.0], [1.5], (-0.12, 1.62)),  # a limit that is near is taken in
        ([0.0, 1.0], [2.5], (-0.08, 1.08)),  # one that is far would flatten the data
        ([], [0.2, 0.4], (0.184, 0.416)),  # without data the limits are shown
        ([None, None], [], (-8e-8, 8e-8)),
    ],
)
def test_the_value_axis_follows_the_data_and_near_limits(
    values: list[float | None], limits: list[float], expected: tuple[float, float]
) -> None:
    chart = Chart("c", "C", "", {"c": "c"})
    assert value_range(values, limits, chart) == pytest.approx(expected, abs=1e-12)


def test_a_log_axis_is_in_powers_of_ten() -> None:
    assert value_range([1e-4, 1e-2], [0.1], KL) == pytest.approx((-4 - 0.24, -1 + 0.24))
