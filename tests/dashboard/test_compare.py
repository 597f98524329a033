"""Runs that are compared: what an address asks for, where each run stands, what is drawn and what is written."""

import json
import math
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolloutwatch_contract.figure_summary import FigureSummary
from rolloutwatch_contract.limits import DEFAULT_LIMITS
from rolloutwatch_contract.metric import Better
from rolloutwatch_contract.protocol import MarkView, RunState, Series
from rolloutwatch_dashboard import MemorySource
from rolloutwatch_dashboard.app import page
from rolloutwatch_dashboard.compared import nth_mark, read, with_voids
from rolloutwatch_dashboard.compared_charts import charts_for, common, usual
from rolloutwatch_dashboard.comparison import MOST_RUNS, Align, Asked
from rolloutwatch_dashboard.components.compare_tables import worst_of
from rolloutwatch_dashboard.figures.compare import EMPTY, Axis, Run, figure_of, line_of
from rolloutwatch_dashboard.figures.timeseries import Chart
from tests.dashboard.test_pages import found, text_of

STEPS = Axis("step")
KL = Chart("k", "KL", "nats", {"mismatch_k3_kl": "K3"}, 0.0, 1e-7, (1e-5, 0.1))


def series(values: dict[int, float], times: dict[int, float] | None = None) -> Series:
    step = np.array(list(values), dtype=np.int64)
    time = None if times is None else np.array([times[one] for one in values], dtype=np.float64)
    return Series(step, np.array(list(values.values()), dtype=np.float64), time)


@pytest.fixture
def source() -> MemorySource:
    """Two runs of which the second one is a minute later, and has its weight syncs at other steps."""
    one = MemorySource()
    for run, began, state, syncs in (
        ("math~a", 1000.0, RunState.FINISHED, (2, 6)),
        ("math~b", 1060.0, RunState.LIVE, (5,)),
    ):
        config = {"rollout_is": "token", "rollout_is_threshold": 2.0 if run == "math~a" else 5, "seed": run}
        one.add_run(run, state=state, started_at=began, updated_at=began + 100, config=config)
        for step in range(10):
            one.add_step(run, step, {"mismatch_k3_kl": 0.001 * (1 + step), "train/reward": float(step)})
            one.add_along(run, step, time=began + 10 * step)
        for number, step in enumerate(syncs):
            one.add_mark(run, MarkView(step, began + 10 * step, "weight_sync", {"version": number}))
    return one


def shown(source: MemorySource, query: str) -> tuple[Any, dict[str, Any]]:
    return page("/compare", source, DEFAULT_LIMITS, 1200.0, query)


def line(component: Any, chart: str, run: int) -> tuple[list[float], list[float | None]]:
    trace = found(component, chart).figure["data"][run]
    return trace["x"], trace["y"]


@given(st.text() | st.from_regex(r"\?(run|metric|align|from|to|same)=[^&]*(&(run|align|from|to)=.*)*"))
def test_any_address_is_read_and_leads_to_itself(query: str) -> None:
    """Whatever it asks for that cannot be is said; what is left is what its own address asks for."""
    asked = Asked.of(query)
    again = Asked.of(asked.address.partition("?")[2])
    assert again == Asked(
        asked.runs, asked.metrics, asked.align, asked.mark, asked.number, again.ends, asked.same
    )
    assert (again.ends is None) is (asked.ends is None) or asked.ends is not None
    assert len(asked.runs) <= MOST_RUNS


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("align=mark:", "Runs cannot be aligned by “mark:”"),
        ("align=mark:a:0", "Runs cannot be aligned by “mark:a:0”"),
        ("from=3&to=3", "There is nothing from “3” to “3”"),
        ("from=nan&to=inf", "There is nothing from “nan” to “inf”"),
        ("from=1", "There is nothing from “1” to “”"),
        ("metric=<b>", "No figure can be called “<b>”."),
        ("&".join(f"run=a~{one}" for one in range(14)), "No more than 12 runs are compared at once; the first 12 of 14 are."),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(query: str, said: str) -> None:
    assert [one[: len(said)] for one in Asked.of(query).refused] == [said]


def test_steps_stand_at_their_distance_from_the_mark(source: MemorySource) -> None:
    """Each run has its own first weight sync at 0; the second one is there in one run only, and that is said."""
    body, told = shown(source, "?run=math~a&run=math~b&align=mark:weight_sync&metric=train/reward")
    values = [float(step) for step in range(10)]
    assert line(body, "compared-0", 0) == ([step - 2 for step in values], values)
    assert line(body, "compared-0", 1) == ([step - 5 for step in values], values)
    assert [one["origin"] for one in told["runs"]] == [2.0, 5.0]
    body, told = shown(source, "?run=math~a&run=math~b&align=mark:weight_sync:2&metric=train/reward")
    assert line(body, "compared-0", 0)[0][0] == -6
    assert line(body, "compared-0", 1) == ([], [])
    assert "b has no weight sync no. 2, and is not drawn." in text_of(body)


def test_time_is_that_of_the_wall_or_since_the_beginning(source: MemorySource) -> None:
    body, told = shown(source, "?run=math~a&run=math~b&align=time&metric=train/reward")
    assert line(body, "compared-0", 1)[0][:2] == [1_060_000.0, 1_070_000.0]
    assert found(body, "compared-0").figure["layout"]["xaxis"]["type"] == "date"
    body, told = shown(source, "?run=math~a&run=math~b&align=relative&metric=train/reward")
    assert line(body, "compared-0", 1)[0][:2] == [0.0, 10.0]
    assert told["axis"] == {
        "kind": "relative", "title": "time since each run began", "unit": 1.0, "timed": True, "dated": False,
        "column": "seconds_since_the_run_began",
    }  # fmt: skip


def test_steps_of_which_nobody_knows_the_time_are_not_drawn_by_time(source: MemorySource) -> None:
    source.add_run("math~c")
    source.add_step("math~c", 0, {"train/reward": 1.0})
    body, _ = shown(source, "?run=math~a&run=math~c&align=relative")
    assert "Nobody knows when the steps of c were made: it is not drawn." in text_of(body)


def test_the_nth_mark_is_found_wherever_it_is() -> None:
    """Of a long run the steps are asked for by and by, and what is marked behind the last one too."""
    source = MemorySource()
    source.add_run("math~a")
    source.add_step("math~a", 100_000, {"kl": 1.0})
    for step in [*range(0, 100_000, 1000), 2_000_000]:
        source.add_mark("math~a", MarkView(step, 0.0, "weight_sync"))
    detail = source.run("math~a")
    assert detail is not None
    places = {1: 0, 2: 1000, 100: 99_000, 101: 2_000_000}
    for number, step in places.items():
        mark = nth_mark(source, detail, "weight_sync", number)
        assert mark is not None
        assert mark.step == step
    assert nth_mark(source, detail, "weight_sync", 102) is None
    assert nth_mark(source, detail, "checkpoint", 1) is None


def test_what_is_absent_is_a_break_and_what_is_not_finite_is_marked_at_the_edge() -> None:
    """What is infinite above or below, what is NaN by a cross. 0 is a value; a dot stands where no line would show one."""
    values = {0: 0.0, 1: 1.0, 2: math.nan, 3: 1.0, 4: math.inf, 5: 1.0, 6: 1.0, 20: 2.0, 21: 2.0}
    one = line_of(series(values), 0.0, STEPS)
    assert one.step == [0, 1, 2, 3, 4, 5, 6, None, 20, 21]
    assert one.value == [0.0, 1.0, None, 1.0, None, 1.0, 1.0, None, 2.0, 2.0]
    figure = go.Figure(figure_of(Chart("r", "r", "", {"r": "r"}), [Run("a", 0, one)], STEPS))
    lines, dots, crosses = figure.data
    assert lines.connectgaps is False
    assert (list(dots.x), list(dots.y)) == ([3], [1.0])
    assert [tuple(one) for one in crosses.customdata] == [(2, "NaN"), (4, "∞")]
    assert (list(crosses.y), list(crosses.marker.symbol)) == ([0.0, 1.0], ["x", "triangle-up"])


def test_what_is_looked_at_closely_has_its_own_breaks() -> None:
    """A thinned series is far apart, and that is no gap; within every step one that is left out is."""
    whole = series(dict.fromkeys(range(0, 1000, 100), 1.0))
    close = series({step: 2.0 for step in range(300, 340) if not 310 <= step < 320})
    one = line_of(whole, 0.0, STEPS, close)
    assert one.step == [0, 100, 200, *range(300, 310), None, *range(320, 340), 400, 500, 600, 700, 800, 900]
    assert line_of(whole, 0.0, STEPS).step == list(range(0, 1000, 100))


def test_a_gap_where_what_is_close_begins_is_a_gap() -> None:
    whole = series(dict.fromkeys([*range(20), *range(100, 140)], 1.0))
    one = line_of(whole, 0.0, STEPS, series(dict.fromkeys(range(100, 110), 1.0)))
    assert one.step == [*range(20), None, *range(100, 140)]


def test_only_what_is_in_view_counts_for_the_value_axis() -> None:
    one = line_of(series({step: 10.0**-step for step in range(6)}), 0.0, STEPS)
    whole = figure_of(KL, [Run("a", 0, one)], STEPS)["layout"]["yaxis"]["range"]
    part = figure_of(KL, [Run("a", 0, one)], STEPS, ends=(2.0, 4.0))["layout"]["yaxis"]["range"]
    assert part[1] < whole[1]
    assert figure_of(KL, [Run("a", 0, one)], STEPS, ends=(50.0, 60.0))["layout"]["annotations"][0]["visible"]


def test_twelve_runs_have_twelve_lines() -> None:
    looks = {(one.color, one.dash) for one in (Run("a", number) for number in range(MOST_RUNS))}
    assert len(looks) == MOST_RUNS


def test_names_are_text_for_plotly() -> None:
    figure = figure_of(KL, [Run("<b>a</b>", 0)], STEPS)
    assert figure["data"][0]["name"] == "&lt;b&gt;a&lt;/b&gt;"


def test_a_step_that_could_not_be_read_is_a_hole_by_time_too() -> None:
    times = {step: 100.0 + step for step in range(4)}
    kl = series({0: 1.0, 3: 1.0}, times)
    unreadable = series({0: 0.0, 1: 1.0, 2: 0.5, 3: 0.0}, times)
    found = with_voids(kl, unreadable)
    assert found.step.tolist() == [0, 1, 3]
    assert np.isnan(found.value[1])
    assert found.time is not None
    assert found.time.tolist() == [100.0, 101.0, 103.0]
    assert with_voids(EMPTY, unreadable) is EMPTY


def test_one_looks_at_the_core_figures_and_the_reward_first(source: MemorySource) -> None:
    """Of several rewards the one that most runs have; runs without core figures have their own drawn."""
    source.add_step("math~a", 0, {"critic/score/mean": 1.0, "rewarded_users": 1.0})
    details = [one for run in ("math~a", "math~b") if (one := source.run(run))]
    assert usual(details) == ["mismatch_k3_kl", "train/reward"]
    source.add_run("math~c")
    source.add_step("math~c", 0, {"loss": 1.0})
    other = source.run("math~c")
    assert other is not None
    assert usual([other]) == ["loss"]
    charts = charts_for(details, ["mismatch_k3_kl", "train/reward"])
    assert [(one.title, one.floor) for one in charts] == [("KL (K3)", 1e-7), ("train/reward", 0.0)]


def test_limits_are_drawn_where_all_runs_have_them() -> None:
    assert common([DEFAULT_LIMITS, DEFAULT_LIMITS[1:]]) == list(DEFAULT_LIMITS[1:])
    assert common([DEFAULT_LIMITS, ()]) == []
    assert common([]) == []


@pytest.mark.parametrize(
    ("better", "ideal", "low", "high", "worst"),
    [
        (Better.HIGHER, 1.0, 0.2, 0.9, 0.2),
        (Better.LOWER, 0.0, 0.2, 0.9, 0.9),
        (Better.IDEAL, 1.0, 0.4, 2.0, 0.4),  # by a factor: 2.5 is more than 2
        (Better.IDEAL, 1.0, 0.6, 2.0, 2.0),
        (Better.IDEAL, 1.0, -1.0, 1e9, -1.0),
        (Better.IDEAL, 0.0, -0.3, 0.2, -0.3),
        (Better.IDEAL, 1.0, 0.1, math.inf, math.inf),
    ],
)
def test_the_worst_is_what_is_farthest_from_good(
    better: Better, ideal: float, low: float, high: float, worst: float
) -> None:
    one = FigureSummary(finite=2, lowest=low, lowest_step=1, highest=high, highest_step=2)
    assert worst_of(better, ideal, one)[0] == worst
    assert worst_of(better, ideal, FigureSummary()) == (None, None)


def test_the_table_has_last_mean_and_worst_of_each_run(source: MemorySource) -> None:
    """Coloured by the limits of the rules; what did not come is a dash, and what is not finite is counted."""
    source.add_step("math~b", 10, {"mismatch_k3_kl": math.nan})
    body, _ = shown(source, "?run=math~a&run=math~b&metric=mismatch_k3_kl&metric=mismatch_kl")
    table = next(one for one in body._traverse() if getattr(one, "className", None) == "beside")
    rows = [text_of(one) for one in table._traverse() if type(one).__name__ == "Tr"]
    assert [" ".join(row.split()) for row in rows[1:]] == [
        "State finished live", "Steps 0 to 9 0 to 10", "Updated 1 min ago 40 s ago", "Alerts none none",
        "KL (K3) nats", "last 0.01 at 9 NaN at 10", "mean 0.0055 0.0055 without 1 NaN", "worst 0.01 at 9 0.01 at 9",
        "KL (K1) nats", "last – –", "mean – –", "worst – –",
    ]  # fmt: skip


def facts(body: Any) -> dict[str, tuple[str, str]]:
    """What stands beside each name in the tables, and the class of the row."""
    rows = [one for one in body._traverse() if type(one).__name__ == "Tr"]
    named = [one for one in rows if isinstance(one.children, list) and hasattr(one, "className")]
    return {text_of(one.children[0]): (text_of(one.children[1:]), one.className) for one in named}


def test_only_what_differs_is_beside_each_other_unless_asked(source: MemorySource) -> None:
    """A key that one run was not told of differs from one that is not set; 2.0 and 2 are the same, True and 1 are not."""
    source.add_run("math~c", config={"rollout_is": None, "rollout_is_threshold": 2, "seed": "math~a"})
    body, _ = shown(source, "?run=math~a&run=math~c")
    assert facts(body)["rollout_is"] == ("token not set", "")
    assert facts(body)["rollout_is_threshold"] == ("2 2", "same")
    source.add_run("math~d", config={"x": True})
    source.add_run("math~e", config={"x": 1})
    body, _ = shown(source, "?run=math~d&run=math~e")
    assert facts(body)["x"] == ("True 1", "")
    body, _ = shown(source, "?run=math~c&run=math~e")
    assert facts(body)["x"] == ("– 1", "")
    body, _ = shown(source, "?run=math~d")
    assert facts(body)["x"] == ("True", "")


def test_what_differs_is_sorted_and_looks_different(source: MemorySource) -> None:
    """Numbers are short, but where two of them would be written alike."""
    source.add_run("math~f", config={"lr": 1.000001e-6, "decay": 0.123456, "warmup": 10})
    source.add_run("math~g", config={"warmup": 20, "lr": 1e-6, "decay": 0.2})
    body, _ = shown(source, "?run=math~f&run=math~g")
    told = {name: text for name, (text, _) in facts(body).items() if name in ("lr", "decay", "warmup")}
    assert list(told.items()) == [
        ("decay", "0.1235 0.2"), ("lr", "1.000001e-06 1e-06"), ("warmup", "10 20"),
    ]  # fmt: skip


def test_the_browser_is_told_what_to_follow(source: MemorySource) -> None:
    body, told = shown(source, "?run=math~a&run=math~b&metric=mismatch_k3_kl&from=2&to=5")
    assert [(one["id"], one["over"]) for one in told["runs"]] == [("math~a", True), ("math~b", False)]
    assert (told["kind"], told["ends"], told["points"], told["chosen"]) == (
        "compare",
        (2.0, 5.0),
        1500,
        ["math~a", "math~b"],
    )
    (chart,) = told["charts"]
    shapes = chart.pop("shapes")
    assert chart == {
        "id": "compared-0", "name": "mismatch_k3_kl", "title": "KL (K3)", "metric": "mismatch_k3_kl",
        "limits": [0.01, 0.1], "ideal": 0.0, "floor": 1e-7, "home": [1e-5, 0.1],
    }  # fmt: skip
    assert shapes["log"] == found(body, "compared-0").figure["layout"]["shapes"]
    assert len(shapes["linear"]) > 2
    json.dumps(told, allow_nan=False)


def test_many_runs_share_the_points_of_a_chart(source: MemorySource) -> None:
    for number in range(12):
        source.add_run(f"sweep~{number}")
    query = "&".join(f"run=sweep~{number}" for number in range(12))
    assert shown(source, f"?{query}")[1]["points"] == 500


def test_what_is_near_is_read_from_before_to_behind(source: MemorySource) -> None:
    """So that lines lead out of the picture; a run that has nothing there is not asked."""
    details = [one for run in ("math~a", "math~b") if (one := source.run(run))]
    asked = Asked(("math~a", "math~b"), align=Align.RELATIVE, ends=(25.0, 41.0))
    near = read(source, asked, details, ["train/reward"])
    assert [one.close["train/reward"].step.tolist() for one in near] == [[2, 3, 4, 5]] * 2
    far = read(source, Asked(align=Align.RELATIVE, ends=(1e6, 2e6)), details, ["train/reward"])
    assert [one.close for one in far] == [{}, {}]
    wall = read(source, Asked(align=Align.TIME, ends=(1055.0, 1065.0)), details, ["train/reward"])
    assert [one.close["train/reward"].step.tolist() for one in wall] == [[5, 6, 7], [0, 1]]


def test_no_run_is_no_mistake() -> None:
    """Without any run one is led to how to send a step; with some the newest two of a project are offered."""
    empty = MemorySource()
    assert "No run yet" in text_of(shown(empty, "")[0])
    for number in range(3):
        empty.add_run(f"math~{number}", updated_at=number)
    body, told = shown(empty, "?run=math~9")
    assert "There is no run “math~9”." in text_of(body)
    links = [one.href for one in body._traverse() if getattr(one, "href", None)]
    assert links == ["/compare?run=math~1&run=math~2"]
    assert (told["runs"], told["charts"]) == ([], [])
