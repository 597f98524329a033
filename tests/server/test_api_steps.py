"""All of one step, as a client reads it."""

import math
from typing import Any

import numpy as np
import pytest

from rolloutwatch_contract import Array, Mark, SequenceTokens, StepRecord
from rolloutwatch_contract.tables import HISTOGRAM_BINS, HISTOGRAM_EDGES, SEQUENCE_COLUMNS
from rolloutwatch_server.store import Store
from tests.server.asking import Asking
from tests.server.records import OTHER_SESSION, RUN, STREAM, batch, start, step

BIG = 2**53 + 1
ROWS = 3


def full(number: int, **metrics: float) -> StepRecord:
    """A step with all that goes along with one."""
    table = np.arange(ROWS * len(SEQUENCE_COLUMNS), dtype=np.float32).reshape(ROWS, -1)
    table[:, SEQUENCE_COLUMNS.index("group")] = (0, 1, -1)
    table[0, SEQUENCE_COLUMNS.index("log_ratio_sum")] = np.nan
    return StepRecord(
        step=number,
        time=1000.5,
        metrics=metrics,
        histogram=Array.of(np.arange(HISTOGRAM_BINS)),
        sequences=Array.of(table),
        sample_ids=Array.of(np.array([7, BIG, -1])),
        groups=("math", "code"),
        tokens=(
            SequenceTokens(0, ("<b>", "\n"), Array.of(np.array([0.5, np.inf], dtype=np.float32))),
            SequenceTokens(2, ("x",), Array.of(np.array([0.25], dtype=np.float32))),
        ),
    )


def get(store: Store, number: int, **query: Any) -> Any:
    return Asking.of(store).get(f"/runs/{RUN}/steps/{number}", **query)


def refused(store: Store, path: str, **query: Any) -> tuple[int, str]:
    answer = Asking.of(store).ask(f"/api/v1/runs/{path}", **query)
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["detail"]


def test_a_step_comes_with_all_that_is_known_of_it(store: Store) -> None:
    """What is not finite is null, and an id that a browser would round is a text."""
    mark = Mark(5, 1001.0, "weight_sync", {"version": BIG})
    store.archive(
        STREAM, batch(start(), step(3, kl=1.0), full(5, kl=math.nan, n_sequences=9.0), mark, step(9, kl=1.0))
    )
    told = get(store, 5)
    assert (told["step"], told["session"], told["shown"], told["time"]) == (5, "s1", True, 1000.5)
    assert told["metrics"] == {"kl": None, "n_sequences": 9.0}
    assert told["histogram"] == {"edges": list(HISTOGRAM_EDGES), "counts": list(range(HISTOGRAM_BINS))}
    sequences = told["sequences"]
    assert (sequences["total"], sequences["offset"], sequences["n_sequences"]) == (ROWS, 0, 9)
    assert list(sequences["columns"]) == [c for c in SEQUENCE_COLUMNS if c not in ("group", "sample_id")]
    assert sequences["columns"]["log_ratio_sum"] == [None, 16.0, 31.0]
    assert sequences["sample_ids"] == [7, str(BIG), -1]
    assert sequences["groups"] == ["math", "code", None]
    assert told["tokens"] == [
        {"row": 0, "texts": ["<b>", "\n"], "log_ratios": [0.5, None]},
        {"row": 2, "texts": ["x"], "log_ratios": [0.25]},
    ]
    assert [(m["kind"], m["fields"]) for m in told["marks"]] == [("weight_sync", {"version": str(BIG)})]
    assert told["attempts"] == [{"session": "s1", "metrics": 2, "shown": True}]
    assert (told["previous"], told["next"]) == (3, 9)


def test_a_step_without_tables_has_none(store: Store) -> None:
    store.archive(STREAM, batch(start(), step(0, kl=1.0)))
    told = get(store, 0)
    assert (told["histogram"], told["sequences"], told["tokens"], told["marks"]) == (None, None, [], [])
    assert (told["previous"], told["next"]) == (None, None)


def test_a_step_that_has_tables_alone_is_one(store: Store) -> None:
    store.archive(STREAM, batch(start(), full(4)))
    told = get(store, 4)
    assert (told["session"], told["metrics"], told["sequences"]["total"]) == ("s1", {}, ROWS)
    assert told["time"] == 1000.5


def test_a_step_that_has_nothing_but_its_record_is_one(store: Store) -> None:
    store.archive(STREAM, batch(start(), step(1, kl=1.0), StepRecord(4, 7.0, {})))
    told = get(store, 4)
    assert (told["session"], told["shown"], told["time"], told["metrics"]) == ("s1", True, 7.0, {})
    assert (told["previous"], told["histogram"], told["sequences"]) == (1, None, None)


def test_a_step_that_has_marks_alone_is_one(store: Store) -> None:
    """Of the session that marked it; of no other."""
    store.archive(STREAM, batch(start(), Mark(3, 3.0, "checkpoint", {"path": "a"}), step(9, kl=1.0)))
    told = get(store, 3)
    assert (told["session"], told["shown"], told["time"], told["metrics"]) == ("s1", True, None, {})
    assert [one["fields"] for one in told["marks"]] == [{"path": "a"}]
    assert told["next"] == 9
    status, detail = refused(store, f"{RUN}/steps/3", attempt="s9")
    assert (status, "no attempt 's9': expected one of s1." in detail) == (404, True)
    assert refused(store, f"{RUN}/steps/4")[0] == 404


def test_rows_come_page_by_page_with_their_tokens(store: Store) -> None:
    store.archive(STREAM, batch(start(), full(0, kl=1.0)))
    page = get(store, 0, offset=2, rows=5)
    assert page["sequences"]["columns"]["length"] == [30.0]
    assert page["sequences"]["sample_ids"] == [-1]
    assert [one["row"] for one in page["tokens"]] == [2]
    none = get(store, 0, rows=0)
    assert (none["sequences"]["total"], none["sequences"]["columns"]["length"], none["tokens"]) == (
        ROWS,
        [],
        [],
    )


def test_ids_of_a_table_alone_may_be_anything(store: Store) -> None:
    """They are float32 of a stranger, perhaps; what is no number has no id."""
    table = np.zeros((2, len(SEQUENCE_COLUMNS)), dtype=np.float32)
    table[:, SEQUENCE_COLUMNS.index("sample_id")] = (np.nan, 3e38)
    store.archive(STREAM, batch(start(), StepRecord(0, 1.0, {"kl": 1.0}, sequences=Array.of(table))))
    ids = get(store, 0)["sequences"]["sample_ids"]
    assert ids == [-1, str(int(np.float32(3e38)))]


def test_tables_of_another_shape_are_no_error(store: Store) -> None:
    """A newer trainer may have more columns, and other bins."""
    record = StepRecord(
        0,
        1.0,
        {"kl": 1.0},
        histogram=Array.of(np.arange(4)),
        sequences=Array.of(np.zeros((1, 2), dtype=np.float32)),
    )
    store.archive(STREAM, batch(start(), record))
    told = get(store, 0)
    assert told["histogram"] == {"edges": [], "counts": [0, 1, 2, 3]}
    assert list(told["sequences"]["columns"]) == ["length", "log_ratio_sum"]


def test_a_step_done_again_is_shown_as_the_later_session_did_it(store: Store) -> None:
    """And as the former one did it, if that one is asked for; alerts are those of what is shown."""
    store.archive(STREAM, batch(start(time=1.0), *(step(n, mismatch_k3_kl=0.5) for n in range(6))))
    store.archive(
        OTHER_SESSION,
        batch(
            start(time=2.0),
            step(4, mismatch_k3_kl=0.25),
            *(step(n, mismatch_k3_kl=0.0) for n in range(6, 11)),
        ),
    )
    told = get(store, 4)
    assert (told["session"], told["metrics"]) == ("s2", {"mismatch_k3_kl": 0.25})
    assert told["attempts"] == [
        {"session": "s1", "metrics": 1, "shown": False},
        {"session": "s2", "metrics": 1, "shown": True},
    ]
    # they began before the step that the run went back to, and go on there
    for number in (3, 4):
        assert [
            (one["rule"], one["severity"], one["since_step"]) for one in get(store, number)["alerts"]
        ] == [
            ("kl_high", "warning", 2),
            ("kl_very_high", "critical", 2),
        ]
    assert get(store, 10)["alerts"] == []  # the fifth good step after that
    former = get(store, 4, attempt="s1")
    assert (former["session"], former["shown"], former["time"], former["alerts"]) == ("s1", False, None, None)
    assert former["metrics"] == {"mismatch_k3_kl": 0.5}


def test_a_step_that_was_given_up_is_found_by_its_session(store: Store) -> None:
    store.archive(STREAM, batch(start(time=1.0), *(step(n, kl=0.5) for n in range(6))))
    store.archive(OTHER_SESSION, batch(start(time=2.0), step(3, kl=0.25)))
    status, detail = refused(store, f"{RUN}/steps/5")
    assert status == 404
    assert "step 5 of run math~a was given up" in detail
    assert "attempt= one of s1" in detail
    assert get(store, 5, attempt="s1")["metrics"] == {"kl": 0.5}


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        (f"{RUN}/steps/7", 404, "no step 7; nearest are 2 and 5000000."),
        (f"{RUN}/steps/9007199254740991", 404, "nearest is 5000000."),
        (f"{RUN}/steps/-1", 422, "step is '-1'"),
        (f"{RUN}/steps/x", 422, "step is 'x'"),
        (f"{RUN}/steps/9007199254740992", 422, "step is '9007199254740992'"),
        ("math~none/steps/1", 404, "there is no run 'math~none'"),
        (f"{RUN}/steps/2?attempt=s9", 404, "no attempt 's9': expected one of s1."),
        (f"{RUN}/steps/2?rows=5000", 422, "rows is '5000'"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(
    store: Store, asked: str, status: int, words: str
) -> None:
    store.archive(STREAM, batch(start(), step(2, kl=1.0), step(5_000_000, kl=1.0)))
    came, detail = refused(store, asked)
    assert came == status
    assert words in detail


def test_a_run_without_steps_says_so(store: Store) -> None:
    store.archive(STREAM, batch(start()))
    assert refused(store, f"{RUN}/steps/0") == (404, "run math~a has no step 0, nor any other yet.")
