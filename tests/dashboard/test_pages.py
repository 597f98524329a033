"""Pages from a source in memory: what is on them, and what the browser is told to follow."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from dash import html
from dash.development.base_component import Component

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.limits import DEFAULT_LIMITS
from rolloutwatch_contract.protocol import MarkView, RunState, Series, SessionView
from rolloutwatch_dashboard import MemorySource
from rolloutwatch_dashboard.app import page
from rolloutwatch_dashboard.charts import SMALL_PRINT, TILES, charts_of
from rolloutwatch_dashboard.figures.timeseries import timeseries
from rolloutwatch_dashboard.pages.run_charts import drawn
from rolloutwatch_dashboard.visit import Visit

NOW = 1000.0
CONFIG: dict[str, str | int | float | bool | None] = {
    "rollout_is": "token",
    "rollout_token_veto_threshold": 1e-4,
}


@pytest.fixture
def source() -> MemorySource:
    one = MemorySource()
    one.add_run("math~a", updated_at=990.0, config=CONFIG)
    one.add_step(
        "math~a", 0, {"mismatch_k3_kl": 0.2, "mismatch_ppl_ratio": 1.0, "rollout_is_veto_fraction": 0.0}
    )
    one.add_step("math~a", 1, {"mismatch_k3_kl": math.nan, "train/reward": 0.5})
    return one


def text_of(component: Any) -> str:
    """All the text of a page, as one line."""
    if isinstance(component, Component):
        children = getattr(component, "children", None)
        return text_of(children)
    if isinstance(component, list | tuple):
        return " ".join(filter(None, map(text_of, component)))
    return "" if component is None else str(component)


def found(component: Any, name: str) -> Any:
    """The component of an id."""
    return next(one for one in component._traverse() if getattr(one, "id", None) == name)


def test_every_chart_says_its_limits_in_words(source: MemorySource) -> None:
    """A limit that is far from healthy data is outside the value axis; it is said nevertheless, once."""
    shown, _ = page("/runs/math~a", source, DEFAULT_LIMITS, NOW)
    limits = [text_of(one) for one in shown._traverse() if getattr(one, "className", None) == "limits"]
    assert limits == [
        "warning > 0.02 critical > 0.1",
        "warning outside 0.95 to 1.05 critical outside 0.6667 to 1.5",
        "warning > 0.01 critical > 0.1",
        "",
        "warning > 0.01 critical > 0.1",  # the reward has KL beside it
    ]


def test_a_run_page_tells_the_browser_what_to_follow(source: MemorySource) -> None:
    _, followed = page("/runs/math~a", source, DEFAULT_LIMITS, NOW)
    assert (followed["run"], followed["step"], followed["seconds_since_update"]) == ("math~a", 1, 10.0)
    assert followed["recent"]["mismatch_k3_kl"] == {"step": [0, 1], "value": [0.2, None]}
    assert [tile["metric"] for tile in followed["tiles"]] == list(TILES)
    k3 = next(chart for chart in followed["charts"] if chart["id"] == "chart-k3")
    bounds = k3.pop("bounds")
    assert k3 == {
        "id": "chart-k3",
        "name": "k3",
        "title": "KL (K3)",
        "metrics": ["mismatch_k3_kl"],
        "labels": ["K3"],
        "limits": [0.01, 0.1],
        "ideal": 0.0,
        "usual": {"scale": {"ideal": 0.0, "matters": 3e-4, "is_ratio": False}, "most": None},
        "floor": 1e-7,
        "home": [1e-5, 0.1],
        "group": "group-kl",
        "part": "kl-0",
        "drawn": True,
    }
    lines = [(one["name"], one["y0"]) for one in bounds["linear"] if one["type"] == "line"]
    assert lines == [("kl_high: limit", 0.01), ("kl_very_high: limit", 0.1), ("ideal", 0.0)]
    assert [one["name"] for one in bounds["log"] if one["type"] == "line"] == [name for name, _ in lines[:2]]
    json.dumps(followed, allow_nan=False)  # raises at what is not finite, for which JSON has no word


def test_the_charts_carry_the_history(source: MemorySource) -> None:
    shown, _ = page("/runs/math~a", source, DEFAULT_LIMITS, NOW)
    graph = found(shown, "chart-k3")
    assert (graph.figure["data"][0]["x"], graph.figure["data"][0]["y"]) == ([0, 1], [0.2, None])


def test_steps_of_which_nothing_could_be_read_are_holes_of_the_history(source: MemorySource) -> None:
    """In the charts and in what tiles are filled with; what the trainer logged itself has none."""
    source.add_step("math~a", 2, {"nonfinite_fraction": 1.0, "train/reward": 0.25})
    source.add_step("math~a", 3, {"mismatch_ppl_ratio": 1.5})
    shown, followed = page("/runs/math~a", source, DEFAULT_LIMITS, NOW)
    line = found(shown, "chart-ppl").figure["data"][0]
    assert (line["x"], line["y"]) == ([0, 2, 3], [1.0, None, 1.5])
    assert followed["recent"]["mismatch_ppl_ratio"] == {"step": [0, 2, 3], "value": [1.0, None, 1.5]}
    wanted = {"page": "a page", "query": "", "charts": ["chart-logged-0"]}
    (logged,) = drawn(wanted, "math~a", Visit(source, DEFAULT_LIMITS, NOW))
    assert found(logged, "chart-logged-0").figure["data"][0]["y"] == [0.5, 0.25]


def test_a_run_id_in_an_address_may_be_quoted(source: MemorySource) -> None:
    assert page("/runs/math%7Ea", source, DEFAULT_LIMITS, NOW)[1]["run"] == "math~a"


@pytest.mark.parametrize(
    "path", ["/runs/no~such", "/runs/", "/runs", "/else", "/runs/%00", "//", "/runs/math~a/b"]
)
def test_an_address_that_leads_nowhere_says_so(path: str, source: MemorySource) -> None:
    shown, followed = page(path, source, DEFAULT_LIMITS, NOW)
    told = {"title": "Nothing here"}
    assert ("Nothing here" in text_of(shown), followed == told) == (path != "//", path != "//")


def test_tiles_and_small_print_are_metrics_of_the_catalogue() -> None:
    assert {*TILES, *(metric for metric, _ in SMALL_PRINT.values())} <= METRICS.keys()


CONFIGS: list[dict[str, str | int | float | bool | None]] = [
    {"rollout_is": "token", "rollout_token_veto_threshold": 1e-4},
    {"rollout_is": "token"},
    {},
]


@pytest.mark.parametrize("config", CONFIGS)
def test_what_a_reason_may_name_has_a_chart_that_shows_its_limit(
    config: dict[str, str | int | float | bool | None],
) -> None:
    """Whatever a run brings and a rule judges is drawn; nonfinite_fraction, as soon as it is not 0."""
    source = MemorySource()
    source.add_run("math~b", config=config)
    needed = {metric for metric, one in METRICS.items() if one.needs and not config.get(one.needs)}
    source.add_step("math~b", 0, dict.fromkeys(METRICS.keys() - needed, 0.5))
    _, followed = page("/runs/math~b", source, DEFAULT_LIMITS, NOW)
    drawn = {metric for chart in followed["charts"] if chart["limits"] for metric in chart["metrics"]}
    assert {rule.metric for rule in DEFAULT_LIMITS} - needed <= drawn


def test_a_healthy_chart_shows_its_limit_and_shades_the_bad_side(source: MemorySource) -> None:
    """In view, with room on the bad side; the critical limits of the four core figures with one side too."""
    source.add_run("math~b", config=CONFIG)
    source.add_step("math~b", 0, dict.fromkeys(METRICS, 0.0))
    run = source.run("math~b")
    assert run is not None
    in_view = {}
    judged = {limit.metric for limit in DEFAULT_LIMITS}
    for chart in [
        chart for group in charts_of(run) for chart in group.charts if judged & chart.metrics.keys()
    ]:
        values = {metric: Series(np.arange(2), np.full(2, chart.ideal)) for metric in chart.metrics}
        layout = timeseries(chart, values, DEFAULT_LIMITS).layout
        scale = math.log10 if chart.log else float
        low, high = layout.yaxis.range
        shades = {
            shape.y0: [scale(edge) for edge in sorted((shape.y0, shape.y1))]
            for shape in layout.shapes
            if shape.name.endswith(": bad side") and shape.visible is not False and shape.fillcolor
        }
        lines = [shape.y0 for shape in layout.shapes if shape.name.endswith(": limit")]
        in_view[chart.name] = sorted({limit for limit in lines if low < scale(limit) < high})
        for limit in in_view[chart.name]:
            bottom, top = shades[limit]
            assert min(top, high) - max(bottom, low) > 0.05 * (high - low), f"{chart.name}, shade at {limit}"
    assert in_view == {
        "ess": [0.3, 0.8],
        "veto": [0.02, 0.1],
        "ppl": [0.95, 1.05],
        "k3": [0.01, 0.1],
        "k1": [-0.01, 0.01],
        "mean": [0.5, 2.0],
        "std": [1.0],
        "weight-mean": [0.5, 2.0],
        "weight-std": [1.0],
        "extremes": [1e-4, 100.0],
        "removed": [0.5],
    }


def test_a_data_quality_chart_comes_when_there_is_something_to_see(source: MemorySource) -> None:
    """While every log-prob is finite its chart would be a line at 0; the browser is told to ask for it when it is not."""

    def titles() -> list[str]:
        return [
            text_of(one)
            for one in page("/runs/math~a", source, DEFAULT_LIMITS, NOW)[0]._traverse()
            if isinstance(one, html.H3)
        ]

    source.add_step("math~a", 1, {"nonfinite_fraction": 0.0})
    assert "Tokens not finite" not in titles()
    assert page("/runs/math~a", source, DEFAULT_LIMITS, NOW)[1]["shown_when_not_zero"] == [
        "nonfinite_fraction", "unmeasured_steps", "dropped_records", "saturated_fraction",
    ]  # fmt: skip
    source.add_step("math~a", 2, {"nonfinite_fraction": 0.25})
    assert "Tokens not finite" in titles()
    assert "Records dropped" not in titles()
    source.add_step("math~a", 3, {"dropped_records": 2.0})
    assert "Records dropped" in titles()


def test_the_newest_figures_are_told_one_by_one_also_of_a_long_run() -> None:
    """Charts of a long run are thinned to its extremes; health is about the last steps, and not about extremes."""

    class Thinning(MemorySource):
        def series(self, run: str, metrics: Sequence[str], **which: Any) -> Mapping[str, Series]:
            found = super().series(run, metrics, **which)
            return {
                m: Series(s.step[::5], s.value[::5]) if "points" in which else s for m, s in found.items()
            }

    source = Thinning()
    source.add_run("math~a")
    for step in range(1000):
        source.add_step(
            "math~a", step, {"mismatch_k3_kl": 0.001, **({"mismatch_kl": 0.0} if step % 100 == 0 else {})}
        )
    recent = page("/runs/math~a", source, DEFAULT_LIMITS, NOW)[1]["recent"]
    assert recent["mismatch_k3_kl"]["step"] == list(range(940, 1000))
    assert recent["mismatch_kl"]["step"] == [0, 500], "one that comes seldom is taken from its whole series"


def test_a_run_that_two_trainers_claim_says_so() -> None:
    """In the table of runs, and to the browser, who they are."""
    rivals = [
        SessionView(name, RunState.LIVE, 1.0, {}, {"host": host, "pid": "7"}, True)
        for name, host in (("s1", "a"), ("s2", "b"))
    ]
    source = MemorySource()
    source.add_run("math~a", sessions=rivals)
    source.add_run("math~b")
    rows = page("/", source, DEFAULT_LIMITS, NOW)[1]["rows"]
    assert {row["id"]: row["contested"] for row in rows} == {"math~a": True, "math~b": False}
    assert page("/runs/math~b", source, DEFAULT_LIMITS, NOW)[1]["rivals"] == []
    assert page("/runs/math~a", source, DEFAULT_LIMITS, NOW)[1]["rivals"] == [
        {"session": "s1", "host": "a", "pid": "7"},
        {"session": "s2", "host": "b", "pid": "7"},
    ]


def test_marks_stand_on_every_chart_and_go_to_the_browser(source: MemorySource) -> None:
    """As JSON can hold them: a large number as text, and null for what is not finite."""
    source.add_mark("math~a", MarkView(1, 5.0, "weight_sync", {"version": 2**60, "x": math.nan}))
    source.add_mark("math~a", MarkView(0, 4.0, "checkpoint"))
    shown, followed = page("/runs/math~a", source, DEFAULT_LIMITS, NOW)
    k3 = found(shown, "chart-k3").figure
    assert {shape["path"] for shape in k3["layout"]["shapes"] if shape["type"] == "path"} == {
        "M0,0L0,1M1,0L1,1"
    }
    assert followed["marks"] == [
        {"step": 0, "time": 4.0, "kind": "checkpoint", "fields": {}, "found": False},
        {
            "step": 1,
            "time": 5.0,
            "kind": "weight_sync",
            "fields": {"version": str(2**60), "x": None},
            "found": False,
        },
    ]


def test_an_archive_without_runs_shows_the_lines_for_a_trainer() -> None:
    assert "rolloutwatch.Monitor(" in text_of(page("/", MemorySource(), DEFAULT_LIMITS, NOW)[0])
