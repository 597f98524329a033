"""The page of all runs: what is told of each run, how it is judged, how its figures are drawn, and what is told again."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from rolloutwatch_contract.limits import DEFAULT_LIMITS, Limit
from rolloutwatch_contract.protocol import RunState, Series
from rolloutwatch_contract.severity import Severity
from rolloutwatch_dashboard import MemorySource
from rolloutwatch_dashboard.app import page
from rolloutwatch_dashboard.board import Board
from rolloutwatch_dashboard.figures.sparkline import COLUMNS, HEIGHT, WIDTH, sparkline
from rolloutwatch_dashboard.figures.timeseries import Chart
from tests.dashboard.alerting import alert

NOW = 1000.0
RUN = "math~a"
CONFIG: dict[str, str | int | float | bool | None] = {
    "rollout_is": "token",
    "rollout_token_veto_threshold": 1e-4,
}
ESS = Chart("ess", "Effective sample size", "fraction", {"ess": "ratios"}, 1.0, home=(0.0, 1.0))
K3 = Chart("k3", "KL (K3)", "nats", {"k3": "K3"}, 0.0, floor=1e-7, home=(1e-5, 0.1))


@pytest.fixture
def source() -> MemorySource:
    one = MemorySource()
    one.add_run(RUN, updated_at=990.0, config=CONFIG)
    one.add_step(RUN, 0, {"mismatch_k3_kl": 0.2, "mismatch_ppl_ratio": 1.0, "rollout_is_veto_fraction": 0.0})
    one.add_step(RUN, 1, {"mismatch_k3_kl": math.nan, "train/reward": 0.5})
    return one


def rows_of(source: MemorySource) -> dict[str, dict[str, Any]]:
    told = page("/", source, DEFAULT_LIMITS, NOW)[1]
    json.dumps(told, allow_nan=False)  # raises at what is not finite, for which JSON has no word
    return {row["id"]: row for row in told["rows"]}


def figures(row: Mapping[str, Any]) -> list[tuple[str, str, float | None]]:
    return [(one["text"], one["kind"], one["rank"]) for one in row["figures"]]


def test_a_row_tells_a_run_as_it_is_now(source: MemorySource) -> None:
    """The last figure there is, even if the last step brought another; what is absent, NaN, infinite and 0 are four."""
    source.add_run("math~b", updated_at=980.0, tags=("baseline",), archived=True, config=CONFIG)
    source.add_step("math~b", 7, {"mismatch_ppl_ratio": math.inf})
    rows = rows_of(source)
    row = {name: value for name, value in rows[RUN].items() if name not in ("figures", "fires")}
    assert row == {
        "id": RUN, "project": "math", "name": "a", "href": "/runs/math~a", "state": "live", "contested": False,
        "first": 0, "step": 1, "started": 0.0, "updated": 990.0, "tags": [], "archived": False,
        "health": {"word": "critical", "kind": "critical"},
    }  # fmt: skip
    assert figures(rows[RUN]) == [
        ("–", "none", None),
        ("0", "ok", 0.0),
        ("1", "ok", 1.0),
        ("NaN", "critical", None),
    ]
    assert (rows["math~b"]["tags"], rows["math~b"]["archived"]) == (["baseline"], True)
    assert figures(rows["math~b"])[2] == ("∞", "critical", 1e308)
    source.add_step(RUN, 2, {"train/reward": 0.5})
    assert [text for text, _, _ in figures(rows_of(source)[RUN])] == ["–", "–", "–", "NaN"]


def test_runs_are_judged_as_on_their_own_pages(source: MemorySource) -> None:
    """By the last ten values: which one was bad is told when one points at the figure; a stalled run is of the past."""
    source.add_run("math~b", updated_at=980.0, state=RunState.STALLED, config=CONFIG)
    for step, value in enumerate([0.0, 0.2, 0.0]):
        source.add_step("math~b", step, {"rollout_is_veto_fraction": value})
    row = rows_of(source)["math~b"]
    assert row["figures"][1]["title"] == "0.2 at step 1: More than one sequence in ten is vetoed."
    assert figures(row)[1] == ("0", "critical", 0.0)
    assert row["health"] == {"word": "was critical", "kind": "unknown"}


def test_a_row_is_as_bad_as_the_worst_that_fires(source: MemorySource) -> None:
    """As the head of the run's page: figures may be well, or none may have come, while an alert calls."""
    source.add_run("math~quiet", updated_at=980.0)
    assert rows_of(source)["math~quiet"]["health"] == {"word": "waiting", "kind": "unknown"}
    source.add_alert(alert("mild", run="math~quiet", severity=Severity.WARNING))
    source.add_alert(alert("mild", id="2", severity=Severity.WARNING))
    assert rows_of(source)["math~quiet"]["health"] == {"word": "warning", "kind": "warning"}
    assert rows_of(source)[RUN]["health"] == {"word": "critical", "kind": "critical"}
    source.add_alert(alert("mild on a", severity=Severity.WARNING))
    assert rows_of(source)[RUN]["health"] == {"word": "critical", "kind": "critical"}


def test_a_board_makes_anew_what_has_changed_and_tells_nothing_else(source: MemorySource) -> None:
    """Steps, alerts, tags, and a state that time alone has changed; a run that is gone; and what it cannot know of."""
    board = Board()

    def look(seen: object = None) -> dict[str, Any]:
        return board.look(source, lambda run: DEFAULT_LIMITS, seen)

    def changed(seen: object) -> tuple[list[str], list[str], bool]:
        found = look(seen)
        return [row["id"] for row in found["rows"]], found["gone"], found["whole"]

    source.add_run("math~b", updated_at=980.0)
    first = look()
    assert (first["whole"], [row["id"] for row in first["rows"]]) == (True, [RUN, "math~b"])
    seen = look(first["seen"])["seen"]
    assert changed(seen) == ([], [], False)
    source.add_step(RUN, 2, {"mismatch_k3_kl": 0.0})
    assert changed(seen) == ([RUN], [], False)
    assert changed(seen) == ([RUN], [], False), "until it is seen"
    seen = look(seen)["seen"]
    source.add_alert(alert(run="math~b"))
    assert changed(seen) == (["math~b"], [], False)
    seen = look(seen)["seen"]
    runs = source._runs
    runs[RUN] = msgspec.structs.replace(runs[RUN], state=RunState.STALLED, tags=("x",))
    found = look(seen)
    assert [(row["id"], row["state"], row["tags"]) for row in found["rows"]] == [(RUN, "stalled", ["x"])]
    del runs["math~b"]
    assert changed(found["seen"]) == ([], ["math~b"], False)
    for nonsense in (None, "", "1.5", 7, ["x"], f"{found['seen']}.1", "x" * 9000, f"{found['seen'][:8]}.²"):
        assert changed(nonsense) == ([RUN], [], True)


def test_a_board_asks_for_the_figures_of_what_has_changed_alone(source: MemorySource) -> None:
    """A hundred runs of which one goes on cost what one costs."""

    class Counting(MemorySource):
        def __init__(self) -> None:
            super().__init__()
            self.asked: list[str] = []

        def series(self, run: str, metrics: Sequence[str], **range_: Any) -> Mapping[str, Series]:
            self.asked.append(run)
            return super().series(run, metrics, **range_)

    counting, board = Counting(), Board()
    for number in range(100):
        counting.add_run(f"math~{number}")
        counting.add_step(f"math~{number}", 0, {"mismatch_k3_kl": 0.0})
    for _ in range(3):
        board.look(counting, lambda run: DEFAULT_LIMITS)
    assert len(counting.asked) == 100
    counting.add_step("math~7", 1, {"mismatch_k3_kl": 0.1})
    board.look(counting, lambda run: DEFAULT_LIMITS)
    assert counting.asked[100:] == ["math~7"]


def test_a_look_at_many_runs_is_shared_out_and_brings_them_all() -> None:
    """One row at least with each; who looks is told how many are left; what has changed meanwhile is as it was until then."""
    source, board = MemorySource(), Board(seconds=0.0)
    for number in range(3):
        source.add_run(f"math~{number}", updated_at=-float(number))

    def look(seen: object) -> tuple[list[str], int, str]:
        found = board.look(source, lambda run: DEFAULT_LIMITS, seen)
        return [row["name"] for row in found["rows"]], found["left"], found["seen"]

    names, left, seen = look(None)
    assert (names, left) == (["0"], 2)
    source.add_step("math~0", 1, {"mismatch_k3_kl": 0.5})
    names, left, seen = look(seen)
    assert (names, left) == (["1"], 1)
    names, left, seen = look(seen)
    assert (names, left) == (["2"], 0)
    names, left, seen = look(seen)
    assert (names, left) == (["0"], 0)
    assert look(seen)[:2] == ([], 0)


def spark(values: Sequence[float], chart: Chart, steps: Sequence[int] | None = None) -> dict[str, Any]:
    at = list(range(len(values))) if steps is None else list(steps)
    series = Series(np.array(at, dtype=np.int64), np.array(values, dtype=np.float64))
    found = sparkline(series, chart, LIMITS, at[0], at[-1])
    assert found is not None
    return found


LIMITS = (
    Limit(name="few", metric="ess", severity=Severity.WARNING, below=0.5, summary="", cure=""),
    Limit(name="far", metric="k3", severity=Severity.CRITICAL, above=0.1, summary="", cure=""),
)


def points(path: str) -> list[list[tuple[int, int]]]:
    """Where a path goes, stroke by stroke, as a browser reads it."""
    strokes = []
    for x, y, rest in re.findall(r"M(\d+) (\d+)([^M]*)", path):
        numbers = [int(one) for one in re.findall(r"-?\d+", rest[1:])] if rest[0] == "l" else []
        stroke = [(int(x), int(y))]
        for dx, dy in zip(numbers[::2], numbers[1::2], strict=True):
            stroke.append((stroke[-1][0] + dx, stroke[-1][1] + dy))
        strokes.append(stroke)
    return strokes


def test_a_sparkline_stands_on_the_axis_of_its_chart() -> None:
    """ESS 0 to 1 whatever came, with the limit where it is; what is healthy is a flat line at the top, not mountains."""
    found = spark([0.99, 1.0, 0.98], ESS)
    assert points(found["line"]) == [[(0, 4), (45, 3), (90, 4)]]
    assert found["limits"] == [[12, "warning"]]
    assert (found["end"], found["far"]) == ([90, 4], "")
    assert points(spark([1e-5, 1e-3, 0.1], K3)["line"]) == [[(0, 21), (45, 12), (90, 3)]]


def test_no_spike_is_lost_in_a_sparkline() -> None:
    """Of 301 steps in 90 pixels, wherever it is; the line stays in its box and is short."""
    for at in range(301):
        values = [1e-4] * 301
        values[at] = 0.1
        found = spark(values, K3)
        (stroke,) = points(found["line"])
        assert min(y for _, y in stroke) == 3
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in stroke)
        assert len(found["line"]) < 40, "a line that is flat but for a spike is told in few words"
    noise = np.random.default_rng(1).uniform(1e-5, 0.1, 301).tolist()
    assert len(points(spark(noise, K3)["line"])[0]) <= 2 * COLUMNS


def test_nan_a_gap_infinity_and_zero_look_different_in_a_sparkline() -> None:
    """A line is broken by NaN and where values stop coming; infinity is a dot at the edge; 0 stands on the floor."""
    assert points(spark([1.0, 1.0, math.nan, 1.0, 1.0], ESS)["line"]) == [
        [(0, 3), (24, 3)],
        [(66, 3), (90, 3)],
    ]
    assert points(spark([1.0] * 6, ESS, [0, 1, 2, 20, 21, 22])["line"]) == [
        [(0, 3), (9, 3)],
        [(81, 3), (90, 3)],
    ]
    far = spark([1.0, math.inf, 1.0, -math.inf, 1.0], ESS)
    assert points(far["far"]) == [[(24, 2)], [(66, 22)]]
    assert points(far["line"]) == [[(0, 3)], [(45, 3)], [(90, 3)]]
    assert points(spark([0.0, 0.0], K3)["line"]) == [[(0, 21), (90, 21)]]


def test_what_is_alone_stands_where_the_newest_is_looked_for() -> None:
    found = spark([0.5], ESS)
    assert (found["line"], found["end"]) == ("M90 12h0", [90, 12])
    nothing = Series(np.array([], dtype=np.int64), np.array([], dtype=np.float64))
    assert sparkline(nothing, ESS, LIMITS, 0, 9) is None
    assert spark([math.nan], ESS) == {"line": "", "far": "", "limits": [[12, "warning"]], "end": None}
