"""The what-if page: what it shows before anything is asked, and what is drawn of an answer."""

import json
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from dash import html

from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.protocol import RunState, Series
from rolloutwatch_dashboard import MemorySource
from rolloutwatch_dashboard.app import page
from rolloutwatch_dashboard.figures.whatif import PANELS, Would, band, dots_of, figure_of, was_of, words_of
from tests.dashboard.test_pages import found, text_of

OWN: dict[str, Any] = {"rollout_is": "token", "rollout_rs": "seq_mean_k3", "rollout_rs_threshold": 0.01}
ESS, KEPT = PANELS[0], PANELS[2]


def series(values: dict[int, float]) -> Series:
    return Series(np.array(list(values), dtype=np.int64), np.array(list(values.values())))


@pytest.fixture
def source() -> MemorySource:
    one = MemorySource()
    one.add_run("math~a", state=RunState.FINISHED, config={**OWN, "group_names": "x"})
    for step, kept in enumerate((1.0, 0.75)):
        figures = {
            "rollout_is_eff_sample_size": 0.5,
            "rollout_is_masked_fraction": 1 - kept,
            "n_tokens": 8.0,
        }
        one.add_step("math~a", step, figures)
    return one


def shown(source: MemorySource, run: str = "math~a") -> tuple[Any, Any]:
    return page(f"/runs/{run}/whatif", source, None, 0.0)


def test_the_page_begins_with_what_was(source: MemorySource) -> None:
    """Lines of the figures that were recorded; what stayed in the loss is what was not taken out."""
    layout, _ = shown(source)
    ess, kept = (found(layout, f"chart-{panel.name}").figure["data"] for panel in (ESS, KEPT))
    assert (ess[0]["x"], ess[0]["y"]) == ([0, 1], [0.5, 0.5])
    assert (kept[0]["x"], kept[0]["y"]) == ([0, 1], [1.0, 0.75])
    assert [len(trace["x"]) for trace in ess[1:]] == [0, 0, 0, 0]


def test_the_browser_is_told_the_runs_own_configuration_and_every_preset(source: MemorySource) -> None:
    """Keys that are no keys of the correction are left out; presets come as they are read."""
    told = shown(source)[1]
    assert (told["kind"], told["run"], told["title"]) == ("whatif", "math~a", "a · What if")
    assert told["own"] == CorrectionConfig(**OWN).as_dict()
    assert told["problem"] == ""
    icepop = next(one for one in told["presets"] if one["name"] == "decoupled_token_icepop")
    assert icepop["group"] == "Decoupled"
    assert (icepop["keys"]["rollout_is_mode"], icepop["keys"]["rollout_is_threshold_lower"]) == ("mask", 0.5)
    assert "rollout_rs_masked_fraction" in told["brought"]
    assert "rollout_is_veto_fraction" not in told["brought"]
    assert [panel["metric"] for panel in told["panels"]] == [
        "rollout_is_eff_sample_size", "rollout_is_mean", "kept_fraction", "seq_kept_fraction", "rollout_rs_masked_fraction",
        "rollout_rs_seq_masked_fraction", "rollout_is_veto_fraction", "rollout_is_catastrophic_token_fraction",
    ]  # fmt: skip
    json.dumps(told, allow_nan=False)  # raises at what is not finite, for which JSON has no word


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "The run has not said which correction it has"),
        ({"rollout_is": "tokn"}, "cannot be read, so none is taken: rollout_is is 'tokn': expected one of"),
    ],
)
def test_a_run_whose_configuration_cannot_be_read_begins_with_none(
    config: dict[str, Any], words: str
) -> None:
    """And says so, in the words of the configuration."""
    source = MemorySource()
    source.add_run("math~a", config=config)
    source.add_step("math~a", 0, {"mismatch_kl": 0.1})
    told = shown(source)[1]
    assert told["own"] == CorrectionConfig().as_dict()
    assert words in told["problem"]


def test_a_run_without_a_step_says_so(source: MemorySource) -> None:
    source.add_run("math~b")
    layout, told = shown(source, "math~b")
    assert "No step yet" in text_of(layout)
    assert told["is_empty"]
    assert "Nothing here" in text_of(shown(source, "math~none")[0])


def test_the_page_leads_to_the_run_and_says_where_one_is(source: MemorySource) -> None:
    tabs = next(one for one in shown(source)[0]._traverse() if isinstance(one, html.Nav))
    assert [(text_of(way), getattr(way, "href", None)) for way in tabs.children][:1] == [
        ("Run", "/runs/math~a")
    ]
    here = [text_of(way) for way in tabs.children if getattr(way, "aria-current", None) == "page"]
    assert here == ["What if"]


def test_all_was_kept_where_nothing_was_on_that_takes_out() -> None:
    """At the steps that were measured, which had a token."""
    nothing, measured = series({}), series({3: 8.0, 4: 0.0, 5: 2.0})
    kept = was_of({"taken": nothing, "n": measured}, "kept_fraction", "taken", "n")
    assert (kept.step.tolist(), kept.value.tolist()) == ([3, 5], [1.0, 1.0])
    kept = was_of({"taken": series({3: 0.25}), "n": measured}, "kept_fraction", "taken", "n")
    assert (kept.step.tolist(), kept.value.tolist()) == ([3], [0.75])


TOGETHER = list(range(12))
GAPPED = Would([*TOGETHER, 50, 99], [0.25, *[0.5] * 11, 0.125, 0.5], [0.75, *[0.5] * 11, 0.25, 0.5])


def test_between_its_bounds_a_figure_is_an_area_and_where_they_are_equal_a_line() -> None:
    """There and back, closed; a gap is left out, and what stands alone has a dot at each of its bounds."""
    x, y = band(GAPPED)
    assert x == [*TOGETHER, *reversed(TOGETHER), 0, None]
    assert y == [0.25, *[0.5] * 11, *[0.5] * 11, 0.75, 0.25, None]
    assert dots_of(GAPPED) == ([50, 50, 99], [0.125, 0.25, 0.5])
    assert words_of(GAPPED)[:2] == ["would have been 0.25 to 0.75", "would have been 0.5"]


def test_was_and_would_have_been_stand_on_one_axis() -> None:
    """In view are both, and both bounds; with a line for each, the dots, and the words of each step."""
    panel = next(panel for panel in PANELS if panel.name == "whatif-vetoed")
    drawn = figure_of(panel, series({0: 0.0, 1: 0.0625}), Would([0, 1], [0.25, 0.5], [0.25, 0.5]))
    figure = go.Figure(drawn)
    low, high = figure.layout.yaxis.range
    assert (low, high) == (pytest.approx(-0.015), pytest.approx(0.54))
    assert list(figure.data[0].customdata) == ["was 0", "was 0.0625"]
    assert list(figure.data[2].y) == [0.25, 0.5, 0.5, 0.25, 0.25, None]
    assert (figure.data[2].fill, figure.data[2].line.color) == ("toself", "#d55e00")
    assert list(figure.data[4].customdata) == ["would have been 0.25", "would have been 0.5"]
    assert list(figure_of(ESS, None)["layout"]["yaxis"]["range"]) == [pytest.approx(-0.03), 1.08]
