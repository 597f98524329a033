"""Marks on a chart: each is seen, as many as can be told apart are named, and all can be pointed at."""

import numpy as np
import pytest

from rolloutwatch_contract.protocol import MarkView, Series
from rolloutwatch_dashboard.figures.marks import (
    HEIGHT_OF_ROW,
    MOST_LINES,
    PX_BETWEEN_TICKS,
    Placed,
    place_marks,
)
from rolloutwatch_dashboard.figures.timeseries import Chart, timeseries
from rolloutwatch_dashboard.text import mark_label, mark_text

CHART = Chart("kl", "KL", "nats", {"kl": "K3"})
STEPS = list(range(101))
WIDTH = 400.0


def mark(step: int, kind: str = "weight_sync", **fields: str | int | float | bool | None) -> MarkView:
    return MarkView(step, float(step), kind, fields)


def found(step: int, kind: str) -> MarkView:
    """One that follows from the run's sessions."""
    return MarkView(step, float(step), kind, found=True)


def place(*marks: MarkView, width: float = WIDTH) -> Placed:
    return place_marks(marks, STEPS, 0, 100, width)


def names(placed: Placed) -> list[tuple[int, str]]:
    return [(step, text.strip()) for step, _, text, _ in placed.labels]


def test_each_kind_of_mark_is_a_line_with_a_label() -> None:
    """What a trainer marks is quiet; that the run was resumed, and that two claim it, is not."""
    placed = place(mark(10, version=3), mark(40, "checkpoint"), found(60, "restart"), found(80, "contested"))
    assert placed.paths == {
        "marks": "M10,0L10,1M40,0L40,1",
        "restart": "M60,0L60,1",
        "contested": "M80,0L80,1",
    }
    assert sorted(names(placed)) == [(10, "sync 3"), (40, "checkpoint"), (60, "restart"), (80, "contested")]


def test_what_is_outside_of_the_plot_is_not_drawn() -> None:
    assert place_marks([mark(10), mark(50)], STEPS, 20, 40, WIDTH) == Placed()
    assert place() == Placed()


def test_a_kind_that_is_marked_at_every_step_is_a_row_of_ticks() -> None:
    """Without labels, and no more of them than a screen can show; the rarer kinds keep their lines."""
    placed = place(*(mark(n) for n in range(101)), mark(50, "checkpoint"), found(70, "restart"))
    assert set(placed.paths) == {"marks", "restart", "ticks"}
    assert placed.paths["marks"] == "M50,0L50,1"
    assert placed.paths["ticks"].startswith("M0,0L0,0.05M1,0L1,0.05M2,")
    assert sorted(names(placed)) == [(50, "checkpoint"), (70, "restart")]
    narrow = place(*(mark(n) for n in range(101)), width=100.0).paths["ticks"]
    assert narrow.count("M") == 1 + 100 // PX_BETWEEN_TICKS


@pytest.mark.parametrize(("count", "style"), [(MOST_LINES, "marks"), (MOST_LINES + 1, "ticks")])
def test_lines_become_ticks_where_they_would_hide_the_figures(count: int, style: str) -> None:
    assert list(place(*(mark(n) for n in range(count))).paths) == [style]


def test_labels_do_not_touch() -> None:
    """Those that matter most come first; they may stand below each other, so that each of them is named."""
    close = [
        mark(50, "checkpoint"),
        mark(51),
        found(52, "restart"),
        found(53, "restart"),
        found(54, "contested"),
    ]
    placed = place(*close)
    assert [(step, row) for step, row, *_ in placed.labels] == [
        (54, 1.0),
        (52, 1.0),
        (53, 1 - 0.085),
    ]
    apart = place(mark(0), mark(50), mark(100))
    assert names(apart) == [(0, "sync"), (50, "sync"), (100, "sync")]
    assert [side for *_, side in apart.labels] == ["bottom right", "bottom right", "bottom left"]


def test_a_mark_that_comes_twice_at_a_step_has_one_label() -> None:
    placed = place(mark(50, "checkpoint", path="a"), mark(50, "checkpoint", path="b"))
    assert names(placed) == [(50, "checkpoint")]
    assert placed.words == [(50, "step 50: checkpoint, path a\nstep 50: checkpoint, path b")]


def test_one_who_points_at_a_step_is_told_what_is_marked_near_it() -> None:
    """At the steps that the chart has, because it tells of no others; of many at one place some are told."""
    placed = place_marks([mark(4), mark(16)], [0, 10, 20], 0, 20, WIDTH)
    assert [step for step, _ in placed.words] == [0, 20]
    many = place(*(mark(50, f"kind-{n}") for n in range(9))).words
    assert many[0][1].endswith("step 50: kind-3\nand 5 more")
    assert place_marks([mark(4)], [], 0, 20, WIDTH).words == []


HOSTILE = "<script>alert(1)</script>\u202e\0" + "x" * 10_000


def test_text_of_a_trainer_is_text_and_short() -> None:
    """No markup for plotly, which reads some tags, and no name that covers the chart."""
    loud = mark(50, "k" * 128, version=HOSTILE, **{HOSTILE: HOSTILE})
    placed = place(loud)
    assert "<script" not in placed.labels[0][2]
    for text in (placed.labels[0][2], placed.words[0][1]):
        assert len(text) < 350
    assert mark_label(loud) == "k" * 15 + "… <script…"
    assert (
        mark_text(mark(1, fields=None, a=True, b=1.0, c=1e-7))
        == "step 1: weight sync, fields none, a yes, b 1, c 1.00e-7"
    )


def test_a_chart_shows_marks_and_keeps_its_axis() -> None:
    """Lines below the figures, labels as the last trace; the axis ends where the figures end."""
    series = {"kl": Series(np.arange(101), np.linspace(0, 1, 101))}
    figure = timeseries(CHART, series, [], [found(99, "restart"), mark(500)])
    (line,) = [shape for shape in figure.layout.shapes if shape.name.startswith("mark: ")]
    assert (line.path, line.layer, line.yref) == ("M99,0L99,1", "below", "paper")
    labels = figure.data[-1]
    assert (labels.x, labels.text, labels.hoverinfo) == ((99,), ("restart\u00a0",), "skip")
    assert figure.layout.xaxis.range == (0, 100)
    assert timeseries(CHART, {}, [], [mark(1)]).layout.shapes == ()


def test_a_mark_that_only_looks_like_one_of_the_servers_is_drawn_as_a_trainers() -> None:
    """Whoever likes may send a mark "contested"; it has no colour of alarm, and its label gives way."""
    placed = place(mark(50, "contested"), mark(20, "restart"), mark(30, "config"))
    assert placed.paths == {"marks": "M50,0L50,1M20,0L20,1M30,0L30,1"}
    placed = place(mark(50, "contested"), found(51, "takeover"), found(20, "rollback"))
    assert set(placed.paths) == {"marks", "takeover", "rollback"}
    assert names(placed) == [(51, "takeover"), (20, "rollback")]


def test_a_label_is_not_crossed_by_the_line_of_another_alert() -> None:
    """Of two that began close together one has its label on either side; of three the one between has to bear it."""

    def sides(*marks: MarkView) -> dict[int, tuple[float, str]]:
        return {step: (height, side) for step, height, _, side in place(*marks).labels}

    mild, grave = found(50, "alert_warning"), found(54, "alert_critical")
    assert sides(mild, grave) == {54: (1.0, "bottom right"), 50: (1.0, "bottom left")}
    assert sides(mild, found(52, "restart"), grave) == {
        54: (1.0, "bottom right"),
        52: (1.0, "bottom left"),
        50: (1 - HEIGHT_OF_ROW, "bottom left"),
    }
