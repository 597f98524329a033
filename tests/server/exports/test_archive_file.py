"""A run that goes out as an archive file and comes in elsewhere is the same run, whatever is asked of it."""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rolloutwatch_contract import (
    Array,
    Heartbeat,
    Mark,
    Record,
    RunEnd,
    RunStart,
    SequenceTokens,
    StepRecord,
    stream_key,
)
from rolloutwatch_contract.record import Outcome
from rolloutwatch_server.exports.export import CannotExport, Format, Wish, export
from rolloutwatch_server.exports.secrets import without_secrets
from rolloutwatch_server.imports.restoring import Restored, restore
from rolloutwatch_server.store import MEMORY, Entry, Position, Store
from rolloutwatch_server.store.restoration import Conflict
from tests.server.records import DELICATE, RUN, STREAM, batch, start, step

METRICS = ("kl", "ess", "reward")
SESSIONS = ("s1", "s2", "s2.part1", "s3")
NOW = 1000.0


def exported(store: Store, run: str = RUN) -> bytes:
    detail = store.run(run)
    assert detail is not None
    return b"".join(export(store, detail, Wish(Format.RWZ)))


def imported(store: Store, data: bytes, **names: str) -> Restored:
    with tempfile.NamedTemporaryFile(suffix=".rwz") as file:
        file.write(data)
        file.flush()
        return restore(store, Path(file.name), **names)


def answers(store: Store, run: str = RUN) -> list[bytes]:
    """All that the archive says of a run, as bytes, which tell NaN and -0.0.

    How often it changed, and what an archive calls its history, is that archive's own affair.
    """
    detail = store.run(run)
    assert detail is not None
    metrics = detail.metrics
    first, last = detail.summary.first_step or 0, 2**53 - 1
    steps = {first, *(number for number, _ in store.tables(run))}
    series = [store.series(run, metrics), store.series(run, metrics, from_step=3, to_step=9)]
    steps.update(number for name in metrics for number in series[0][name].step.tolist())
    times = store.times(run)
    said = [
        store.runs(),
        msgspec.structs.replace(detail, changes=0, generation=""),
        [(name, bits(one.step), bits(one.value)) for found in series for name, one in found.items()],
        (bits(times.step), bits(times.value)),
        store.marks(run, from_step=0, to_step=last),
        [(number, store.attempts(run, number), store.step_tables(run, number)) for number in sorted(steps)],
        list(store.tables(run)),
        [store.archived_to(stream_key(run, session)) for session in SESSIONS],
    ]
    return [
        msgspec.msgpack.encode(one, order="deterministic") for one in said
    ]  # dictionaries are equal in any order


def bits(values: Any) -> bytes:
    return np.ascontiguousarray(values).tobytes()


@dataclass(frozen=True)
class Part:
    """What a session sends next: steps in a stride, forwards or back, with tables or marks or an end."""

    session: str
    at: float
    first: int
    stride: int
    length: int
    metrics: tuple[str, ...]
    value: float
    extra: str

    def records(self) -> Sequence[Record]:
        numbers = [abs(self.first + self.stride * n) for n in range(self.length)]
        figures: list[Record] = [
            StepRecord(
                number, self.at + n / 100, dict.fromkeys(self.metrics, self.value + n), **self._tables(number)
            )
            for n, number in enumerate(numbers)
        ]
        return [*figures, *self._end(numbers)]

    def _tables(self, number: int) -> dict[str, Any]:
        if self.extra != "tables" or number % 2:
            return {}
        sequences = np.full((2, 3), self.value, dtype=np.float64)
        return {
            "histogram": Array.of(np.arange(4, dtype=np.int64)),
            "sequences": Array.of(sequences),
            "sample_ids": Array.of(np.array([number, 2**60], dtype=np.int64)),
            "groups": ("easy", "<b>hard</b>"),
            "tokens": (SequenceTokens(1, ("a", "\0"), Array.of(np.zeros(2, dtype=np.float32))),),
        }

    def _end(self, numbers: list[int]) -> list[Record]:
        last = self.at + self.length
        match self.extra:
            case "mark":
                return [
                    Mark(numbers[-1], last, "weight_sync", {"version": 2**60, "lag": math.inf, "to": None})
                ]
            case "end":
                return [RunEnd(last, Outcome.CRASHED, {"queue_full": 3})]
            case "heartbeat":
                return [Heartbeat(last, {"too_large": 1})]
            case "start":
                return [RunStart("math", "a", self.at, {"lr": 1e-6, "mode": "token"}, {"host": self.session})]
            case "only tables":
                return [
                    StepRecord(numbers[-1] + 1, last, {}, histogram=Array.of(np.arange(2, dtype=np.int64)))
                ]
        return []


parts = st.builds(
    Part,
    session=st.sampled_from(SESSIONS),
    at=st.integers(0, 500).map(float),
    first=st.integers(0, 40),
    stride=st.sampled_from((1, 3, -1)),
    length=st.sampled_from((1, 4, 30)),
    metrics=st.lists(st.sampled_from(METRICS), unique=True).map(tuple),
    value=st.sampled_from(DELICATE),
    extra=st.sampled_from(("", "tables", "mark", "end", "heartbeat", "start", "only tables")),
)


@settings(deadline=None, max_examples=40)
@given(story=st.lists(parts, min_size=1, max_size=8))
def test_a_run_that_went_out_and_came_in_gives_the_same_answers(story: list[Part]) -> None:
    """Several sessions, steps that are done again, rivals, tables, marks, and values that a careless format would lose."""
    clock = [0.0]
    store, other = Store(MEMORY, clock=lambda: clock[0]), Store(MEMORY, clock=lambda: NOW)
    numbers = dict.fromkeys(SESSIONS, 0)
    for part in story:
        clock[0] += 40.0
        entries = [Entry(Position(numbers[part.session] + n), one) for n, one in enumerate(part.records(), 1)]
        numbers[part.session] += len(entries)
        store.archive(stream_key(RUN, part.session), entries)
    clock[0] = NOW
    data = exported(store)
    assert imported(other, data).new
    assert answers(other) == answers(store)
    assert exported(other) == data
    assert not imported(other, data).new
    assert not imported(store, data).new


def test_a_run_can_come_in_under_another_name(store: Store) -> None:
    store.archive(STREAM, batch(start(), step(1, kl=1.0)))
    data = exported(store)
    assert imported(store, data, run="b", project="code").run == "code~b"
    assert {one.id for one in store.runs()} == {"math~a", "code~b"}
    assert answers(store, "code~b")[2] == answers(store)[2]


def test_a_run_of_the_same_id_that_says_something_else_is_left_as_it_is(store: Store) -> None:
    """Also where one of them has only gone on since; and nothing is left behind."""
    store.archive(STREAM, batch(start(), step(1, kl=1.0)))
    data = exported(store)
    store.archive(STREAM, batch(step(2, kl=2.0), first=3))
    before = answers(store)
    with pytest.raises(Conflict, match="under another name"):
        imported(store, data)
    assert answers(store) == before
    assert rows(store) == {"math~a"}


def test_a_trainer_goes_on_with_a_run_that_came_in(store: Store) -> None:
    """What it sends again is not archived twice, and what is new is."""
    store.archive(STREAM, batch(start(), step(1, kl=1.0)))
    other = Store(MEMORY)
    imported(other, exported(store))
    other.archive(STREAM, batch(start(), step(1, kl=7.0), step(2, kl=2.0)))
    assert other.series(RUN, ["kl"])["kl"].value.tolist() == [1.0, 2.0]
    assert other.archived_to(STREAM) == 3


def test_an_archive_file_holds_a_whole_run(store: Store) -> None:
    store.archive(STREAM, batch(start(), step(1, kl=1.0)))
    detail = store.run(RUN)
    assert detail is not None
    with pytest.raises(CannotExport, match="holds a whole run"):
        export(store, detail, Wish(Format.RWZ, from_step=1))


def test_no_secret_of_a_configuration_goes_out(store: Store) -> None:
    config = {"redis": "redis://me:hunter2@host/0", "api_key": "hunter2", "lr": "1e-6"}
    store.archive(STREAM, batch(start(**config), step(1, kl=1.0)))
    detail = store.run(RUN)
    assert detail is not None
    for form in Format:
        assert b"hunter2" not in b"".join(export(store, detail, Wish(form)))
    other = Store(MEMORY)
    imported(other, exported(store))
    came = other.run(RUN)
    assert came is not None
    assert came.config == {"redis": "redis://me:***@host/0", "api_key": "***", "lr": "1e-6"}
    assert came.sessions[0].config == came.config


@pytest.mark.parametrize(
    ("name", "value", "is_secret"),
    [
        ("note", "hf_" + "aB3d" * 8, True),
        ("note", "sk-proj-" + "aB3d" * 8, True),
        ("note", "use ghp_" + "aB3d" * 8 + " for it", True),
        ("note", "0123456789abcdef" * 2 + "01234567", True),
        ("git_commit", "0123456789abcdef" * 2 + "01234567", False),
        ("model", "hf_internal-testing-tiny-random", False),
        ("library", "sk-learn", False),
    ],
)
def test_a_value_that_looks_like_a_key_is_hidden_whatever_its_name(
    name: str, value: str, is_secret: bool
) -> None:
    assert without_secrets({name: value}) == {name: "***" if is_secret else value}


def test_a_file_of_version_1_is_read_as_it_was_meant(store: Store) -> None:
    """It was written once, by `make_run_v1.py`, and no later version may read anything else from it."""
    restored = restore(store, Path(__file__).with_name("run-v1.rwz"))
    assert restored == Restored(RUN, new=True, sessions=2, records=9)
    kl = store.series(RUN, ["kl"])["kl"]
    assert kl.step.tolist() == [0, 1, 2, 3, 4, 5]
    assert kl.value.tobytes() == np.array([*DELICATE[:5], 50.0]).tobytes()
    assert [one.metrics for one in store.attempts(RUN, 5)] == [{"kl": DELICATE[5]}, {"kl": 50.0, "ess": 0.5}]
    assert [(mark.kind, mark.step, mark.fields) for mark in store.marks(RUN) if not mark.found] == [
        ("checkpoint", 3, {"n": 1})
    ]
    detail = store.run(RUN)
    assert detail is not None
    assert [one.config for one in detail.sessions] == [{"lr": "1e-6"}, {}]
    assert (detail.summary.last_step, detail.summary.state.value) == (5, "finished")


def rows(store: Store) -> set[str]:
    """The run of each row that the archive has."""
    tables = ("chunks", "step_tables", "marks", "beginnings", "contests", "sessions", "recent")
    with store._database.read() as db:
        return {run for table in tables for (run,) in db.execute(f"SELECT DISTINCT run FROM {table}")}
