"""The histogram of the log ratio over steps: what the archive sums, and how the API tells it."""

import numpy as np
import pytest

from rolloutwatch_contract import Array, StepRecord, stream_key
from rolloutwatch_contract.histograms import Histograms
from rolloutwatch_contract.record import MAX_STEP
from rolloutwatch_contract.tables import HISTOGRAM_BINS, HISTOGRAM_EDGES
from rolloutwatch_server.store import MEMORY, DamagedArchive, Limits, Store
from rolloutwatch_server.store.histograms import BLOCK, HistogramSums
from rolloutwatch_server.store.news import News
from tests.server.asking import Asking
from tests.server.records import OTHER_SESSION, RUN, STREAM, batch, start, step

SHORT = "math~short"
LONG = 4 * BLOCK + 10


def counts(number: int) -> np.ndarray:
    """A histogram that only this step has."""
    found = np.zeros(HISTOGRAM_BINS, dtype=np.int64)
    found[number % HISTOGRAM_BINS] = number + 1
    found[3] += 1
    return found


def record(number: int, histogram: np.ndarray | None = None, **metrics: float) -> StepRecord:
    there = counts(number) if histogram is None else histogram
    return StepRecord(number, float(number), metrics, histogram=Array.of(there))


def sums(steps: range | list[int], width: int = 1) -> Histograms:
    """What is expected of such steps."""
    return Histograms.of(list(steps), [counts(number) for number in steps]).wider(width)


def assert_same(found: Histograms, expected: Histograms) -> None:
    assert found.width == expected.width
    for name in ("first", "last", "steps", "counts"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist(), name


def test_each_step_has_its_own_column_where_there_are_few(store: Store) -> None:
    """A step without a histogram has none, and one of a run that nobody knows neither."""
    store.archive(STREAM, batch(start(), record(0), step(1, kl=1.0), record(2), record(9)))
    assert_same(store.histograms(RUN), sums([0, 2, 9]))
    assert_same(store.histograms(RUN, from_step=1, to_step=8), sums([2]))
    assert_same(store.histograms("math~nobody"), sums([]))


@pytest.mark.parametrize("columns", [5, 3, 2, 1])
def test_columns_of_a_long_run_have_every_token(columns: int, store: Store) -> None:
    """Summed from blocks or from steps, and asked for a second time."""
    store.archive(STREAM, batch(start(), *(record(number) for number in range(LONG))))
    for _ in range(2):
        found = store.histograms(RUN, columns=columns)
        assert len(found.first) <= columns
        assert_same(found, sums(range(LONG), found.width))
    part = store.histograms(RUN, from_step=5, to_step=3 * BLOCK + 7, columns=columns)
    assert_same(part, sums(range(5, 3 * BLOCK + 8), part.width))


def test_what_is_new_or_late_is_in_the_sums_at_once(store: Store) -> None:
    """Though the blocks that it is none of are not read again."""
    steps = [number for number in range(2 * BLOCK) if number != 7]
    store.archive(STREAM, batch(start(), *map(record, steps)))
    assert_same(store.histograms(RUN, width=BLOCK), sums(steps, BLOCK))
    store.archive(STREAM, batch(record(2 * BLOCK), record(7), first=1000))
    assert_same(store.histograms(RUN, width=BLOCK), sums(range(2 * BLOCK + 1), BLOCK))
    store.archive(STREAM, batch(*map(record, range(2 * BLOCK + 1, 3 * BLOCK)), first=2000))
    assert_same(store.histograms(RUN, width=BLOCK), sums(range(3 * BLOCK), BLOCK))


def test_only_what_is_shown_is_counted(store: Store) -> None:
    """What was given up when a run was resumed is not, though it was summed before."""
    store.archive(STREAM, batch(start(), *(record(number, kl=1.0) for number in range(2 * BLOCK))))
    assert_same(store.histograms(RUN, width=BLOCK), sums(range(2 * BLOCK), BLOCK))
    again = np.zeros(HISTOGRAM_BINS, dtype=np.int64)
    again[0] = 5
    store.archive(OTHER_SESSION, batch(start(time=9999.0), record(100, again, kl=1.0), step(101, kl=1.0)))
    expected = Histograms.of(range(101), [*(counts(number) for number in range(100)), again])
    assert_same(store.histograms(RUN, width=BLOCK), expected.wider(BLOCK))


def test_of_two_sessions_that_both_speak_for_a_step_the_later_one_is_counted(store: Store) -> None:
    """As of all that goes along with a step, though it has nothing there: a table without a histogram is one."""
    store.archive(STREAM, batch(start(), *(record(number, kl=1.0) for number in range(3))))
    table = Array.of(np.zeros((1, 15), dtype=np.float32))
    others = [record(0, counts(7), other=1.0), StepRecord(1, 1.0, {"other": 1.0}, sequences=table)]
    store.archive(OTHER_SESSION, batch(start(time=9999.0), *others))
    shown = {at: one.histogram for at, one in store.tables(RUN)}
    expected = {at: one.numpy() for at, one in shown.items() if one is not None}
    assert_same(store.histograms(RUN), Histograms.of(list(expected), list(expected.values())))
    assert expected[0].tolist() == counts(7).tolist()
    assert list(expected) == [0, 2]


def test_a_run_that_is_there_anew_has_nothing_of_the_one_before(store: Store) -> None:
    store.archive(STREAM, batch(start(), *map(record, range(2 * BLOCK)), first=1))
    assert len(store.histograms(RUN, width=BLOCK).first) == 2
    with store._database.write() as db:
        store._delete(db, RUN, "a test")
    store.archive(OTHER_SESSION, batch(start(), record(BLOCK + 3), record(2 * BLOCK)))
    assert_same(store.histograms(RUN, width=BLOCK), sums([BLOCK + 3, 2 * BLOCK], BLOCK))


def test_tables_that_were_let_go_of_are_not_counted() -> None:
    store = Store(MEMORY, limits=Limits(table_steps=BLOCK))
    store.archive(STREAM, batch(start(), *(record(number, kl=1.0) for number in range(3 * BLOCK))))
    assert store.histograms(RUN, width=BLOCK).steps.tolist() == [BLOCK, BLOCK, BLOCK]
    while store.keep():
        pass
    assert store.histograms(RUN, width=BLOCK).steps.tolist() == [BLOCK]
    store.close()


def test_histograms_that_no_correction_makes_are_left_out(store: Store) -> None:
    """Of other bins, negative, or beyond all numbers; in another precision they are as good."""
    strange = [
        np.zeros(7, dtype=np.int64),
        np.full(HISTOGRAM_BINS, -1),
        np.full(HISTOGRAM_BINS, 2**62),
        np.full(HISTOGRAM_BINS, -(2**63)),
        np.full(HISTOGRAM_BINS, np.nan),
        np.zeros((HISTOGRAM_BINS, 1)),
    ]
    records = [record(number, one) for number, one in enumerate(strange)]
    store.archive(STREAM, batch(start(), *records, record(8, counts(8).astype(np.float32)), record(9)))
    assert_same(store.histograms(RUN), sums([8, 9]))


def test_damage_is_noticed(store: Store) -> None:
    store.archive(STREAM, batch(start(), record(0)))
    with store._database.write() as db:
        db.execute("UPDATE step_tables SET histogram = x'00'")
    with pytest.raises(DamagedArchive, match="the histogram of a step is not what was written"):
        store.histograms(RUN)


def test_no_more_is_kept_than_there_is_room_for(store: Store) -> None:
    """A run with more blocks than that is read again, and is right nevertheless; others make room for it."""
    steps = [number * BLOCK for number in range(6)]
    store.archive(STREAM, batch(start(), *map(record, steps)))
    store.archive(stream_key(SHORT, "s1"), batch(start(name="short"), *map(record, range(BLOCK + 1))))
    kept = HistogramSums(News(), most=3)
    with store._database.read() as db:
        assert_same(kept.read(db, SHORT, 0, MAX_STEP, 500, BLOCK), sums(range(BLOCK + 1), BLOCK))
        assert list(kept._kept) == [SHORT]
        for _ in range(2):
            assert_same(kept.read(db, RUN, 0, MAX_STEP, 500, BLOCK), sums(steps, BLOCK))
            assert list(kept._kept) == []


def test_a_client_reads_what_lies_between_the_empty_bins(store: Store) -> None:
    store.archive(STREAM, batch(start(), record(10), record(11, np.zeros(HISTOGRAM_BINS, dtype=np.int64))))
    told = Asking.of(store).get(f"/runs/{RUN}/histograms")
    assert (told["width"], told["edges"], told["from_step"]) == (1, list(HISTOGRAM_EDGES), None)
    assert told["columns"] == {
        "first": [10, 11], "last": [10, 11], "steps": [1, 1], "bin": [3, 0], "counts": [[1, 0, 0, 0, 0, 0, 0, 11], []],
    }  # fmt: skip


@pytest.mark.parametrize(("width", "expected"), [(1, 1), (3, 4), (4, 4), (5, 8)])
def test_a_width_is_rounded_up_to_a_power_of_two(width: int, expected: int, store: Store) -> None:
    store.archive(STREAM, batch(start(), *map(record, range(4))))
    assert Asking.of(store).get(f"/runs/{RUN}/histograms", width=width)["width"] == expected


def test_who_asks_for_what_is_new_has_the_whole_run_in_the_end(store: Store) -> None:
    """Whole columns come, from the first one that anything came for, late histograms too."""
    api = Asking.of(store)
    first = 0
    known: dict[int, tuple[int, list[int]]] = {}
    after: int | None = None
    sent = []
    for records in ([*range(4, 10)], [10, 11], [2], [], [40]):
        store.archive(STREAM, batch(*map(record, records), first=1 + first)) if records else None
        first += len(records)
        query = {} if after is None else {"after": after}
        told = api.get(f"/runs/{RUN}/histograms", width=4, **query)
        known = {at: one for at, one in known.items() if at < (told["from_step"] or 0)}
        columns = told["columns"]
        known |= {
            at: (bin_, counts_of)
            for at, bin_, counts_of in zip(columns["first"], columns["bin"], columns["counts"], strict=True)
        }
        sent.append(columns["first"])
        after = told["changes"]
    assert sent == [[4, 8], [8], [2, 4, 8], [], [40]]
    columns = api.get(f"/runs/{RUN}/histograms", width=4)["columns"]
    assert list(known) == columns["first"]
    assert [list(one) for one in known.values()] == [
        list(one) for one in zip(columns["bin"], columns["counts"], strict=True)
    ]


def test_who_has_the_answer_is_told_so(store: Store) -> None:
    store.archive(STREAM, batch(start(), record(0)))
    api = Asking.of(store)
    tag = api.ask(f"/api/v1/runs/{RUN}/histograms").headers["etag"]
    assert api.ask(f"/api/v1/runs/{RUN}/histograms", headers={"If-None-Match": tag}).status_code == 304
    store.archive(STREAM, batch(record(1), first=3))
    assert api.ask(f"/api/v1/runs/{RUN}/histograms", headers={"If-None-Match": tag}).status_code == 200


@pytest.mark.parametrize("query", [{"columns": 0}, {"columns": 2001}, {"width": 0}, {"from_step": -1}])
def test_what_cannot_be_asked_is_refused(query: dict[str, int], store: Store) -> None:
    store.archive(STREAM, batch(start(), record(0)))
    assert Asking.of(store).ask(f"/api/v1/runs/{RUN}/histograms", **query).status_code == 422


def test_the_widest_columns_and_a_strange_after_are_answered(store: Store) -> None:
    store.archive(STREAM, batch(start(), record(0), record(MAX_STEP, counts(1))))
    api = Asking.of(store)
    assert api.get(f"/runs/{RUN}/histograms", width=MAX_STEP)["columns"]["steps"] == [2]
    assert api.get(f"/runs/{RUN}/histograms", after=MAX_STEP)["columns"]["first"] == [0, MAX_STEP]
    assert api.ask("/api/v1/runs/math~nobody/histograms").status_code == 404
