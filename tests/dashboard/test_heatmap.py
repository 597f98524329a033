"""The heat map of the log ratio: what is drawn where, and in which colour."""

import itertools
import math

import numpy as np
import plotly.graph_objects as go
import pytest

from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.histograms import Histograms
from rolloutwatch_contract.protocol import RunState
from rolloutwatch_contract.tables import HISTOGRAM_BINS, HISTOGRAM_EDGES
from rolloutwatch_dashboard import MemorySource
from rolloutwatch_dashboard.app import page
from rolloutwatch_dashboard.figures.heatmap import (
    COLORS,
    Cells,
    cells,
    color_range,
    edges_of,
    heatmap,
    rows_in_view,
)
from rolloutwatch_dashboard.thresholds import token_thresholds
from tests.dashboard.test_pages import NOW, found, text_of
from tests.dashboard.test_style import luminance

MIDDLE = HISTOGRAM_BINS // 2


def histograms(columns: dict[int, dict[int, int]]) -> Histograms:
    """Counts by bin, by step."""
    counts = np.zeros((len(columns), HISTOGRAM_BINS), dtype=np.int64)
    for at, one in enumerate(columns.values()):
        for bin_, count in one.items():
            counts[at, bin_] = count
    return Histograms.of(list(columns), counts)


def test_a_cell_has_the_share_of_its_column() -> None:
    """In powers of ten; no token is no cell, and rows begin and end with tokens."""
    shown = cells(histograms({0: {MIDDLE: 90, MIDDLE + 2: 10}, 1: {MIDDLE + 1: 7}}))
    assert shown.low == MIDDLE
    assert shown.z == [[pytest.approx(math.log10(0.9)), None], [None, 0.0], [pytest.approx(-1.0), None]]
    assert shown.x == [-0.5, 0.5, 1.5]


def test_a_step_of_no_token_has_no_cell() -> None:
    shown = cells(histograms({0: {}, 1: {5: 1}}))
    assert (shown.z, shown.low, shown.column) == ([[None, 0.0]], 5, [0, 1])
    assert cells(histograms({3: {}})).z == []


@pytest.mark.parametrize(
    ("steps", "x", "column"),
    [
        ([], [], []),
        ([7], [6.5, 7.5], [0]),
        ([0, 10, 20, 30], [-5, 5, 15, 25, 35], [0, 1, 2, 3]),
        ([0, 1, 2, 3, 20, 21], [-0.5, 0.5, 1.5, 2.5, 3.5, 19.5, 20.5, 21.5], [0, 1, 2, 3, None, 4, 5]),
        ([0, 1, 2, 4, 5], [-0.5, 0.5, 1.5, 3, 4.5, 5.5], [0, 1, 2, 3, 4]),
    ],
)
def test_columns_reach_halfway_and_a_stretch_without_is_a_gap(
    steps: list[int], x: list[float], column: list[int | None]
) -> None:
    assert edges_of(steps, steps) == (x, column)


def test_columns_of_many_steps_end_where_the_next_ones_begin() -> None:
    assert edges_of([0, 8, 16], [7, 15, 23]) == ([-0.5, 7.5, 15.5, 23.5], [0, 1, 2])


def test_a_gap_is_shaded_and_a_place_without_tokens_is_not() -> None:
    figure = heatmap(histograms({0: {4: 1}, 1: {4: 1}, 2: {6: 1}, 40: {4: 1}}))
    gaps = [one for one in figure["layout"]["shapes"] if one["name"] == "no histogram"]
    assert [(one["x0"], one["x1"]) for one in gaps] == [(2.5, 39.5)]
    assert figure["data"][0]["z"][1] == [None, None, None, None, None]  # nobody was in bin 5


def test_thresholds_stand_at_their_log_ratios_with_their_words() -> None:
    """On an axis whose rows are bins: the lower edge of a bin is where its row begins."""
    edge = HISTOGRAM_EDGES[-8]
    thresholds = token_thresholds(
        CorrectionConfig(
            rollout_is="token", rollout_is_threshold=math.exp(edge), rollout_token_veto_threshold=1e-4
        )
    )
    figure = heatmap(histograms({0: {len(HISTOGRAM_EDGES) - 7: 1}}), thresholds)
    veto, upper = (one["y0"] for one in figure["layout"]["shapes"])
    assert upper == pytest.approx(figure["data"][0]["y"][0])
    assert HISTOGRAM_EDGES[7] < math.log(1e-4) < HISTOGRAM_EDGES[8]  # in bin 8
    assert 8 - MIDDLE - 0.5 < veto < 8 - MIDDLE + 0.5
    assert figure["layout"]["yaxis2"]["ticktext"] == ["\u00a0veto", "\u00a0cut"]
    low, high = figure["layout"]["yaxis"]["range"]
    assert low < veto < upper < high


def test_labels_of_thresholds_do_not_touch() -> None:
    """Of two that are at one place the lower one has a label; the lines are both there."""
    config = CorrectionConfig(
        rollout_is="token", rollout_is_threshold=2.0, rollout_rs="token", rollout_rs_threshold=2.1
    )
    figure = heatmap(histograms({0: {MIDDLE: 1}}), token_thresholds(config))
    assert len(figure["layout"]["shapes"]) == 3
    assert figure["layout"]["yaxis2"]["ticktext"] == ["\u00a0reject", "\u00a0cut"]


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([], (-1, 0)),
        ([-0.5, -2.3], (-3, 0)),
        ([-1.5, -1.2], (-2, -1)),
        ([-9.5, -0.1], (-7, 0)),
        ([0.0], (-1, 0)),
    ],
)
def test_colours_are_of_whole_powers_of_ten(shares: list[float], expected: tuple[float, float]) -> None:
    z: list[list[float | None]] = [[None, *shares]]
    assert color_range(Cells([], z, 0, [])) == expected


def test_the_axis_shows_data_and_thresholds_and_never_more_than_there_is() -> None:
    assert rows_in_view(None, []) == (-20, 20)
    assert rows_in_view((MIDDLE, MIDDLE + 1), [60.0]) == (-4.5, 64)
    assert rows_in_view((0, HISTOGRAM_BINS), []) == (-(HISTOGRAM_BINS / 2 + 1), HISTOGRAM_BINS / 2 + 1)


def test_few_steps_have_a_tick_each_and_none_between() -> None:
    axis = heatmap(histograms({4: {1: 1}, 5: {1: 1}}))["layout"]["xaxis"]
    assert (axis["range"], axis["tick0"], axis["dtick"]) == ([3.5, 5.5], 0, 1)
    many = heatmap(histograms({step: {1: 1} for step in range(50)}))["layout"]["xaxis"]
    assert "dtick" not in many
    assert heatmap(histograms({4: {1: 1}, 5: {1: 1}}), ends=(4, 90))["layout"]["xaxis"]["range"] == [4, 90]


def test_plotly_takes_it_as_it_is() -> None:
    thresholds = token_thresholds(CorrectionConfig(rollout_is="token"))
    for one in ({}, {0: {}}, {0: {3: 1}, 90: {170: 5}, 91: {3: 3}}):
        assert go.Figure(heatmap(histograms(one), thresholds)).data[0].type == "heatmap"


def test_colours_fall_evenly_in_lightness() -> None:
    """So that plenty is darker than little for everybody, and little still stands out from a white card."""
    lightness = [116 * luminance(color) ** (1 / 3) - 16 for color in COLORS]
    steps = [one - other for one, other in itertools.pairwise(lightness)]
    assert all(8 < step < 16 for step in steps)
    assert 1.05 / (luminance(COLORS[0]) + 0.05) > 1.9


def shown(config: dict[str, str | float | None], metrics: dict[str, float]) -> tuple[object, object]:
    source = MemorySource()
    source.add_run("math~a", state=RunState.LIVE, updated_at=NOW, config=config)
    source.add_step("math~a", 0, metrics)
    return page("/runs/math~a", source, (), NOW)


def test_the_page_of_a_run_has_the_card_and_says_its_thresholds() -> None:
    config = {"rollout_is": "token", "rollout_is_threshold": 3.0, "rollout_token_veto_threshold": 1e-4}
    layout, told = shown(config, {"mismatch_kl": 0.1})
    card = text_of(found(layout, "heatmap-card"))
    assert "weight cut above 3" in card
    assert "sequence vetoed below 1.00e-4" in card
    assert len(told["heatmap"]["thresholds"]) == 2


def test_thresholds_of_sequences_are_no_lines_and_that_is_said() -> None:
    layout, told = shown(
        {"rollout_is": "sequence", "rollout_rs": "geometric", "rollout_rs_threshold": 1.1},
        {"mismatch_kl": 0.1},
    )
    assert told["heatmap"]["thresholds"] == []
    assert "rollout_is and rollout_rs look at whole sequences: no line here." in text_of(
        found(layout, "heatmap-card")
    )


def test_a_configuration_that_is_none_draws_no_line() -> None:
    _, told = shown({"rollout_is": "<b>x</b>"}, {"mismatch_kl": 0.1})
    assert told["heatmap"]["thresholds"] == []


def test_a_run_that_measures_nothing_has_no_card() -> None:
    layout, told = shown({}, {"reward": 0.1})
    assert told["heatmap"] is None
    assert "Log ratio" not in text_of(layout)


def test_the_source_in_memory_gives_columns_as_the_server_does() -> None:
    source = MemorySource()
    source.add_run("math~a")
    for step in range(10):
        source.add_along("math~a", step, histogram=[step, *[0] * (HISTOGRAM_BINS - 1)])
    found_ = source.histograms("math~a", from_step=1, columns=3)
    assert (found_.width, found_.counts[:, 0].tolist()) == (4, [6, 22, 17])
    assert source.histograms("math~nobody").counts.shape == (0, HISTOGRAM_BINS)
