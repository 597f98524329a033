"""The archive beside a dictionary that does the same in the obvious way."""

import bisect
import tempfile
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rolloutwatch_contract import RunStart, StepRecord, stream_key
from rolloutwatch_server.store import FOLD_AT, Entry, Position, Store
from tests.server.records import DELICATE

RUNS = ("math~a", "code~b")
METRICS = ("kl", "ess", "reward")
SESSIONS = ("s1", "s2", "s3")


@dataclass(eq=False)
class Part:
    """What a session brought until it did steps again: when that began, and values by metric and step."""

    session: str
    began: float
    values: dict[str, dict[int, float]]


@dataclass(frozen=True)
class Push:
    """What one session pushes: steps from `first` on, forwards or backwards; then perhaps again, or after a restart."""

    run: str
    session: str
    first: int
    stride: int
    length: int
    metrics: tuple[str, ...]
    value: float
    seen_before: int
    times: int
    reopen: bool

    def records(self) -> list[StepRecord]:
        steps = range(self.first, self.first + self.stride * self.length, self.stride)
        return [
            StepRecord(abs(n), 0.0, dict.fromkeys(self.metrics, self.value + i)) for i, n in enumerate(steps)
        ]


pushes = st.builds(
    Push,
    run=st.sampled_from(RUNS),
    session=st.sampled_from(SESSIONS),
    first=st.integers(0, FOLD_AT),
    stride=st.sampled_from((1, 3, -1)),
    length=st.sampled_from((1, 7, FOLD_AT // 3, FOLD_AT - 1, FOLD_AT)),
    metrics=st.lists(st.sampled_from(METRICS), min_size=1, unique=True).map(tuple),
    value=st.sampled_from(DELICATE) | st.integers(0, 9).map(float),
    seen_before=st.integers(0, 10),
    times=st.integers(1, 2),
    reopen=st.booleans(),
)


@settings(deadline=None, max_examples=30)
@given(
    story=st.lists(pushes, max_size=8),
    ends=st.lists(st.integers(0, 2 * FOLD_AT), min_size=2, max_size=2),
    order=st.permutations(SESSIONS),
)
def test_the_archive_is_a_dictionary_that_lasts(story: list[Push], ends: list[int], order: list[str]) -> None:
    """Whatever comes in whatever order, repeated, overlapping and across restarts: the last value for a step stays.

    A session that does steps again is another one from there on, and the last of its run.
    """
    parts: dict[str, list[Part]] = defaultdict(list)
    sent: dict[str, list[Entry]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "archive.db"
        store = Store(path, clock=lambda: 1000.0)
        for push in story:
            stream = stream_key(push.run, push.session)
            if stream not in sent:
                began = RunStart(*push.run.split("~"), time=float(order.index(push.session)))
                sent[stream] = [Entry(Position(1), began)]
                store.archive(stream, sent[stream])
                bisect.insort(parts[push.run], Part(push.session, began.time, {}), key=lambda one: one.began)
            former = sent[stream]
            new = [Entry(Position(n), record) for n, record in enumerate(push.records(), len(former) + 1)]
            again = former[-push.seen_before :] if push.seen_before else []
            archived = store.archive(stream, [*again, *new])
            assert archived == [
                replace(entry, hidden=put(parts[push.run], push.session, record))
                for entry, record in zip(new, push.records(), strict=True)
            ]
            for _ in range(push.times - 1):
                assert store.archive(stream, new) == []
            former += new
            if push.reopen:
                store.close()
                store = Store(path, clock=lambda: 1000.0)
        shown = {(run, metric): show(parts[run], metric) for run in RUNS for metric in METRICS}
        check(store, shown, min(ends), max(ends))
        assert [entry for stream, entries in sent.items() for entry in store.archive(stream, entries)] == []
        store.close()


def put(parts: list[Part], session: str, record: StepRecord) -> frozenset[str]:
    """Take a record, into another part if it does steps again; return what later parts have from there on."""
    mine = [part for part in parts if part.session == session][-1]
    if goes_back(mine.values, record):
        mine = Part(session, parts[-1].began + 1e-5, {})
        parts.append(mine)
    for metric, value in record.metrics.items():
        mine.values.setdefault(metric, {})[record.step] = value
    later = parts[parts.index(mine) + 1 :]
    firsts = {
        metric: min((step for part in later for step in part.values.get(metric, ())), default=None)
        for metric in record.metrics
    }
    return frozenset(metric for metric, first in firsts.items() if first is not None and first <= record.step)


def goes_back(values: dict[str, dict[int, float]], record: StepRecord) -> bool:
    """Whether half of a record, which is a third of all there is, was there already, and what came after it."""
    there = [values[metric] for metric in record.metrics if record.step in values.get(metric, ())]
    again = [steps for steps in there if max(steps) > record.step]
    return 2 * len(again) >= len(record.metrics) and 3 * len(record.metrics) >= len(values)


def show(parts: list[Part], metric: str) -> dict[int, float]:
    """What sessions leave of a metric, each one taking over from its own first step on."""
    shown: dict[int, float] = {}
    for part in parts:
        values = part.values.get(metric, {})
        shown = {
            step: value for step, value in shown.items() if step < min(values, default=step + 1)
        } | values
    return shown


def check(store: Store, expected: dict[tuple[str, str], dict[int, float]], first: int, last: int) -> None:
    for run in RUNS:
        everything, part = (
            store.series(run, METRICS),
            store.series(run, METRICS, from_step=first, to_step=last),
        )
        for metric in METRICS:
            steps = sorted(expected[run, metric])
            inside = [n for n in steps if first <= n <= last]
            for shown, found in ((steps, everything[metric]), (inside, part[metric])):
                values = np.array([expected[run, metric][n] for n in shown])
                assert shown == found.step.tolist()
                assert values.tobytes() == found.value.tobytes()
    summaries = {summary.id: (summary.first_step, summary.last_step) for summary in store.runs()}
    for run, ends in summaries.items():
        steps = [n for metric in METRICS for n in expected[run, metric]]
        assert (min(steps), max(steps)) == ends
