"""The charts of a step: what is drawn, where."""

import json
import math
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.protocol_steps import SequencesView, StepView, TokensView
from rolloutwatch_contract.tables import HISTOGRAM_BINS, HISTOGRAM_EDGES
from rolloutwatch_dashboard.figures.log_ratio_axis import END, places
from rolloutwatch_dashboard.figures.step_histogram import histogram_of
from rolloutwatch_dashboard.figures.step_sequences import (
    LARGEST,
    SMALLEST,
    groups_of,
    positions_of,
    scatter_of,
)
from rolloutwatch_dashboard.figures.step_tokens import along_of, told_tokens
from rolloutwatch_dashboard.sequences import Asked, Row, ordered, rows_of
from rolloutwatch_dashboard.thresholds import Threshold

VETO = Threshold(math.log(1e-4), "veto", "sequence vetoed below 1e-4")
CONFIG = CorrectionConfig(rollout_is="token", rollout_token_veto_threshold=1e-4)


def rows(config: CorrectionConfig | None = CONFIG, **columns: list[float]) -> list[Row]:
    """Four sequences: one kept, one cut, one vetoed, one empty."""
    table = {
        "length": [10.0, 20.0, 30.0, 0.0],
        "log_ratio_mean": [0.1, -0.2, -1.0, 0.0],
        "log_ratio_min": [-0.5, -2.0, -12.0, 0.0],
        "log_ratio_max": [1.0, 0.5, 0.25, 0.0],
        "log_ratio_min_position": [3.0, 4.0, 5.0, -1.0],
        "log_ratio_max_position": [0.0, 1.0, 2.0, -1.0],
        "k3_sum": [1.0, 1.0, 2.0, 0.0],
        "kept_fraction": [1.0, 0.5, 0.0, 0.0],
        "weight_mean": [1.0, 1.0, 0.5, 0.0],
    } | columns
    groups = ("<b>math</b>", "code", "<b>math</b>", None)
    view = SequencesView({k: np.array(v) for k, v in table.items()}, (7, -1, 9, 10), groups, 4)
    step = StepView(run="r", step=0, session="s", shown=True, time=None, metrics={}, sequences=view)
    return rows_of(step, config)


def test_plotly_takes_every_chart_as_it_is() -> None:
    tokens = TokensView(0, ("a", "<i>"), np.array([0.5, -0.5]))
    counts = [0] * HISTOGRAM_BINS
    for figure in (
        histogram_of(counts, [VETO]),
        histogram_of([1] * HISTOGRAM_BINS, [VETO]),
        scatter_of(rows(), 2),
        scatter_of([]),
        groups_of(rows()),
        positions_of(rows(), [VETO]),
        along_of(tokens, [VETO]),
    ):
        assert json.loads(go.Figure(figure).to_json()) == json.loads(json.dumps(figure))


def test_every_bin_is_one_wide_and_stands_where_its_log_ratios_do() -> None:
    """Also an edge: it belongs to the bin further from 0, and a bin's middle is its number from the middle."""
    edges = np.array(HISTOGRAM_EDGES)
    middles = places(((edges[1:] + edges[:-1]) / 2).tolist())
    assert middles == pytest.approx([bin_ - END for bin_ in range(1, HISTOGRAM_BINS - 1)])
    assert places(HISTOGRAM_EDGES) == pytest.approx([bin_ - END - 0.5 for bin_ in range(1, HISTOGRAM_BINS)])
    counts = [0] * HISTOGRAM_BINS
    counts[0], counts[END], counts[-1], counts[END + 1] = 5, 1000, 1, 44
    bars = histogram_of(counts, [])["data"][0]
    assert (bars["x"], bars["y"]) == ([-END, 0, 1, END], [5, 1000, 44, 1])
    assert bars["customdata"][0] == "log ratio below -32<br>5 tokens, 0.476 %"
    assert bars["customdata"][-1] == "log ratio above 32<br>1 token, 0.0952 %"
    assert bars["customdata"][1].startswith("log ratio -7.63e-6 to 7.63e-6 (ratio 1 to 1)<br>1000 tokens")


def test_a_single_token_is_a_bar_and_an_empty_histogram_says_so() -> None:
    """On a log axis that begins below 1, and is never flat."""
    one = histogram_of([0] * END + [1] + [0] * END, [])
    low, high = one["layout"]["yaxis"]["range"]
    assert 10**low < 1 < 10 < 10**high
    assert one["layout"]["annotations"][0]["visible"] is False
    none = histogram_of([0] * HISTOGRAM_BINS, [])
    note = none["layout"]["annotations"][0]
    assert (note["text"], note["visible"]) == ("no token was counted", True)


def test_thresholds_are_lines_at_their_log_ratios_with_their_labels_apart() -> None:
    close = [Threshold(math.log(each), "cut", "") for each in (2.0, 2.2, 2.5)]
    figure = histogram_of([1] * HISTOGRAM_BINS, [VETO, *close])
    assert [line["x0"] for line in figure["layout"]["shapes"]] == places(
        [VETO.at, *(one.at for one in close)]
    )
    heights = figure["data"][1]["y"]
    assert heights[0] == heights[1] > heights[2] > heights[3]


def test_other_bins_are_refused() -> None:
    with pytest.raises(ValueError, match="histogram of 3 bins: expected the 179"):
        histogram_of([1, 2, 3], [])


def test_the_fate_of_a_sequence_is_a_word() -> None:
    """What a veto took is told from what a rejection took by its lowest ratio; without a configuration nobody knows."""
    assert [one.fate for one in rows()] == ["kept", "partly kept", "vetoed", "empty"]
    assert rows(log_ratio_min=[-0.5, -2.0, -3.0, 0.0])[2].fate == "rejected"
    assert rows(None)[2].fate == "rejected"
    assert rows(kept_fraction=[math.nan] * 4)[0].fate == ""


def test_a_point_is_as_large_as_the_share_of_its_sequence() -> None:
    """By its area; what became of it is the symbol, an empty sequence has no place, and a ring is around the chosen one."""
    kept, partly, vetoed, ring = scatter_of(rows(), 2)["data"]
    assert [(one["name"], one["x"], one["y"]) for one in (kept, partly, vetoed)] == [
        ("kept", [10.0], [0.1]),
        ("partly kept", [20.0], [-0.2]),
        ("vetoed", [30.0], [-1.0]),
    ]
    half = SMALLEST + (LARGEST - SMALLEST) * math.sqrt(0.5)
    assert [one["marker"]["size"] for one in (kept, vetoed)] == [[pytest.approx(half)], [LARGEST]]
    assert {one["marker"]["symbol"] for one in (kept, partly, vetoed)} == {"circle", "square", "x"}
    assert (ring["x"], ring["y"]) == ([30.0], [-1.0])
    assert kept["customdata"] == [
        "sample 7, &lt;b&gt;math&lt;/b&gt;<br>25 % of the mismatch<br>10 tokens, mean log ratio 0.1<br>kept"
    ]
    assert partly["customdata"][0].startswith("row 1, code")
    assert scatter_of(rows(), None)["data"][-1]["x"] == []


def test_a_group_has_its_share_of_the_mismatch_beside_that_of_the_tokens() -> None:
    """The largest on top, which plotly draws last; names are text."""
    tokens, mismatch = groups_of(rows())["data"]
    names = groups_of(rows())["layout"]["yaxis"]["ticktext"]
    assert names == ["no group", "code", "&lt;b&gt;math&lt;/b&gt;"]
    assert mismatch["x"] == [0.0, 0.25, 0.75]
    assert tokens["x"] == pytest.approx([0.0, 20 / 60, 40 / 60])
    assert mismatch["customdata"][1] == "code: 25 % of the mismatch"


def test_many_groups_are_the_largest_and_the_others_together() -> None:
    many = [rows()[0]._replace(group=f"g{at}", share=at / 190, length=1.0) for at in range(20)]
    tokens, mismatch = groups_of(many)["data"]
    assert groups_of(many)["layout"]["yaxis"]["ticktext"] == ["9 others", *(f"g{at}" for at in range(9, 20))]
    assert mismatch["x"][0] == pytest.approx(sum(range(9)) / 190)
    assert tokens["x"][0] == pytest.approx(9 / 20)


def test_extremes_stand_at_their_tokens() -> None:
    lowest, highest = positions_of(rows(), [VETO])["data"]
    assert (lowest["x"], lowest["y"]) == ([3.0, 4.0, 5.0], places([-0.5, -2.0, -12.0]))
    assert (highest["x"], highest["y"]) == ([0.0, 1.0, 2.0], places([1.0, 0.5, 0.25]))
    assert lowest["customdata"][2] == "sample 9, token 5 of 30<br>log ratio -12"
    assert positions_of(rows(), [VETO])["layout"]["shapes"][0]["y0"] == places([VETO.at])[0]


def test_tokens_are_told_as_text_with_what_cannot_be_seen() -> None:
    """A token outside the mask has no colour and no place; infinity has the strongest and stands at the end."""
    ratios = np.array([0.3, -4.0, math.nan, math.inf, 0.0])
    tokens = TokensView(0, ("<b>", "\n", "\u202e", "", " it"), ratios)
    told = told_tokens(tokens)
    assert told["texts"] == ["<b>", "⏎\n", "\\u202e", "∅", " it"]
    assert told["levels"] == [2, -5, None, 5, 0]
    assert told["words"][0] == "log ratio 0.3, ratio 1.35"
    assert told["words"][2] == "outside the mask, or its log-probs are not finite"
    assert told["words"][3] == "log ratio ∞, ratio beyond 1e300"
    less, more = along_of(tokens, [])["data"]
    assert (less["x"], more["x"], more["y"][1]) == ([1, 4], [0, 3], END)
    assert more["customdata"][0] == "token 0: &lt;b&gt;<br>log ratio 0.3, ratio 1.35"


@pytest.mark.parametrize(
    ("query", "order"),
    [
        ("", [2, 0, 1, 3]),
        ("?sort=-share", [3, 0, 1, 2]),
        ("?sort=length", [2, 1, 0, 3]),
        ("?sort=lowest", [2, 1, 0, 3]),
        ("?sort=group", [0, 2, 1, 3]),  # without a group last
        ("?sort=-group", [1, 0, 2, 3]),
        ("?sort=sample", [0, 2, 3, 1]),  # without an id last
        ("?sort=kept", [2, 3, 1, 0]),
        ("?sort=<b>&row=x", [2, 0, 1, 3]),
        ("?sort=-fate", [2, 0, 1, 3]),
    ],
)
def test_rows_stand_in_the_order_that_an_address_asks_for(query: str, order: list[int]) -> None:
    """Those without a value come last either way, and equals as they came."""
    assert [one.row for one in ordered(rows(), Asked.of(query))] == order


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?attempt=s1&sort=-length&row=12", ("s1", "length", True, 12)),
        ("?row=-1&sort=", (None, "share", False, None)),
        ("?row=٣&row=2", (None, "share", False, None)),
        ("?row=" + "9" * 5000, (None, "share", False, None)),
        ("?sort=--length", (None, "share", False, None)),
        ("?\ud800", (None, "share", False, None)),
    ],
)
def test_any_query_may_be_asked(query: str, expected: tuple[Any, ...]) -> None:
    assert Asked.of(query) == expected
