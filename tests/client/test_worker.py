"""The queue and the thread: bounded, in order, and not to be stopped."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from rolloutwatch import MemorySink, SinkError
from rolloutwatch.drops import Ledger
from rolloutwatch.jobs import Ready
from rolloutwatch.spool import Head, Spool
from rolloutwatch.worker import MAX_JOBS, Worker
from rolloutwatch_contract import Record, RunStart, StepRecord
from tests.client.batches import Gate, in_seconds, monitor, steps
from tests.processes import wait_for


class Figures:
    """A job whose figures arrive when a test says so."""

    def __init__(self, step: int, size: int = 1, *, arrived: bool = True, poisoned: bool = False) -> None:
        self.step, self.size, self.arrived, self.poisoned = step, size, arrived, poisoned

    def ready(self) -> bool:
        return self.arrived

    def record(self, dropped: dict[str, int]) -> Record:
        if self.poisoned:
            raise ArithmeticError("no figures in here")
        return StepRecord(self.step, 0.0, {"loss": 1.0}, dropped=dropped)


def arrived(sink: MemorySink) -> list[int]:
    return [record.step for record in steps(sink.records)]


def test_a_full_queue_drops_the_oldest_and_says_how_many(caplog: pytest.LogCaptureFixture) -> None:
    """The newest figures matter most; the log tells it once, the tally how often."""
    sink = MemorySink()
    worker = Worker(lambda: sink, Ledger())
    for step in range(MAX_JOBS + 10):
        assert worker.put(Figures(step))
    assert worker.health().dropped == {"queue_full": 10}
    worker.start()
    assert worker.flush(20)
    assert arrived(sink) == list(range(10, MAX_JOBS + 10))
    assert steps(sink.records)[0].dropped == {"queue_full": 10}
    assert worker.close(Figures(9999), in_seconds(20))
    assert [message for message in caplog.messages if "the oldest are dropped" in message] == caplog.messages
    assert len(caplog.messages) == 1


def test_a_queue_is_full_by_size_too() -> None:
    sink = MemorySink()
    worker = Worker(lambda: sink, Ledger())
    for step in range(3):
        worker.put(Figures(step, size=30 * 1024 * 1024))
    assert worker.health().dropped == {"queue_full": 1}
    worker.start()
    assert worker.close(Figures(3), in_seconds(20))
    assert arrived(sink) == [1, 2, 3]


def test_many_scalars_weigh_more_in_the_queue_than_few() -> None:
    """Or what is believed to be 64 MiB could be ten times that."""
    worker = Worker(MemorySink, Ledger())
    for step in range(2000):
        worker.put(Ready(lambda dropped, step=step: StepRecord(step, 0.0, {}), 400))
    assert 500 < worker.health().dropped["queue_full"] < 1500


def test_a_job_larger_than_the_queue_is_still_taken() -> None:
    sink = MemorySink()
    worker = Worker(lambda: sink, Ledger())
    worker.put(Figures(0, size=10**12))
    worker.start()
    assert worker.close(Figures(1), in_seconds(20))
    assert arrived(sink) == [0, 1]


def test_figures_that_have_not_arrived_keep_those_behind_them_waiting() -> None:
    """Records leave in the order in which the trainer made them."""
    sink = MemorySink()
    worker = Worker(lambda: sink, Ledger())
    slow = Figures(0, arrived=False)
    worker.put(slow)
    worker.put(Figures(1))
    worker.start()
    assert not worker.flush(0.1)
    assert arrived(sink) == []
    slow.arrived = True
    assert worker.flush(20)
    assert arrived(sink) == [0, 1]
    assert worker.close(Figures(2), in_seconds(20))


def test_a_poisoned_record_is_counted_and_the_next_one_goes(caplog: pytest.LogCaptureFixture) -> None:
    sink = MemorySink()
    worker = Worker(lambda: sink, Ledger())
    worker.put(Figures(0, poisoned=True))
    worker.put(Figures(-5))  # breaks the contract
    worker.put(Figures(1))
    worker.start()
    with caplog.at_level(logging.WARNING):
        assert worker.close(Figures(2), in_seconds(20))
    assert arrived(sink) == [1, 2]
    assert worker.health().dropped == {"not_encoded": 2}
    assert "no figures in here" in caplog.text


def test_a_poisoned_record_is_kept_beside_the_spool(tmp_path: Path) -> None:
    """Where it went wrong, and what it was, for whoever looks for the reason."""
    worker = Worker(MemorySink, Ledger(), spool=Spool(tmp_path, Head("math~a", "s1", "memory")))
    worker.put(Figures(0, poisoned=True))
    worker.put(Figures(1))
    worker.start()
    assert worker.close(Figures(2), in_seconds(20))
    (told,) = (tmp_path / "quarantine").iterdir()
    assert "ArithmeticError: no figures in here" in told.read_text()
    assert "Figures" in told.read_text()


class Deadly:
    """A job that ends the thread which looks whether its figures have arrived, as often as it is told to."""

    size = 1

    def __init__(self, times: int) -> None:
        self.times = times

    def ready(self) -> bool:
        if self.times:
            self.times -= 1
            raise SystemExit("the end of a thread")
        return True

    def record(self, dropped: dict[str, int]) -> Record:
        return StepRecord(0, 0.0, {"loss": 1.0}, dropped=dropped)


def test_a_thread_that_ends_by_an_error_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    """It is said once, and counted."""
    sink = MemorySink()
    worker = Worker(lambda: sink, Ledger())
    worker.start()
    worker.put(Deadly(3))
    worker.put(Figures(1))
    assert worker.flush(20)
    assert arrived(sink) == [0, 1]
    assert worker.health().restarts == 3
    assert caplog.text.count("met an error of its own") == 1
    assert worker.close(Figures(2), in_seconds(20))


class Mortal(MemorySink):
    """A sink in which the thread that uses it ends, so often."""

    deaths = 0

    def send(self, frames: Sequence[tuple[int, bytes]]) -> int:
        if self.deaths:
            self.deaths -= 1
            raise SystemExit
        return super().send(frames)


def test_a_delivering_thread_that_ends_delivers_again() -> None:
    sink = Mortal()
    sink.deaths = 2
    worker = Worker(lambda: sink, Ledger())
    worker.start()
    for step in range(5):
        worker.put(Figures(step))
    assert worker.flush(20)
    assert arrived(sink) == list(range(5))
    assert worker.health().restarts == 2
    assert worker.close(Figures(5), in_seconds(20))


def test_a_sink_that_is_gone_for_a_while_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Records wait in memory; the log has one line when it begins and one when it ends."""
    sink = Gate()
    with caplog.at_level(logging.WARNING), monitor(sink) as one:
        for step in range(500):
            one.log(step, {"loss": 1.0})
        wait_for("the first attempt", lambda: one.health().state == "retrying")
        assert one.health().last_error == "nobody is there"
        assert arrived(sink) == []
        sink.open.set()
        assert one.flush(30)
        assert (one.health().state, one.health().last_error) == ("delivering", ""), "what is past is past"
    assert arrived(sink) == list(range(500))
    assert [record.message.split(".")[0] for record in caplog.records] == [
        "nobody is there",
        "Redis takes records again; nothing of what waited is lost",
    ]


def test_a_lost_answer_doubles_nothing() -> None:
    """Frames that were taken though an error came back have their numbers, and are not sent under new ones."""
    sink = Gate()
    sink.silent_takes = 3
    sink.open.set()
    with monitor(sink) as one:
        for step in range(50):
            one.log(step, {"loss": float(step)})
        assert one.flush(30)
    assert arrived(sink) == list(range(50))
    assert sorted(sink.frames) == list(range(1, 53))


class Narrow(MemorySink):
    """A sink for a few frames at a time, as a Redis that is nearly full or behind a slow line."""

    def send(self, frames: Sequence[tuple[int, bytes]]) -> int:
        if len(frames) > 40:
            raise SinkError("too much at once")
        return super().send(frames)


def test_a_sink_that_takes_little_at_a_time_gets_all_of_it() -> None:
    """What fails is tried again with less, or it would fail for ever."""
    sink = Narrow()
    with monitor(sink) as one:
        for step in range(2000):
            one.log(step, {"loss": 1.0})
        assert one.flush(60)
    assert arrived(sink) == list(range(2000))


def test_what_a_sink_lost_is_sent_again_until_it_is_archived(caplog: pytest.LogCaptureFixture) -> None:
    """A stream that is spoilt is followed by another: the start again, then what is not archived; said once, counted."""
    sink = Gate()
    sink.open.set()
    with caplog.at_level(logging.WARNING), monitor(sink) as one:
        for step in range(20):
            one.log(step, {"loss": 1.0})
        assert one.flush(30)
        for archived in (11, 21):
            sink.archived, sink.forgetting = archived, True  # the start and steps 0 to 9, then all of them
            one.log(archived + 9, {"loss": 1.0})
            assert one.flush(30)
        assert one.health().streams_lost == 2
        assert one.health().dropped == {}
    assert isinstance(sink.records[0], RunStart)
    assert arrived(sink) == [20, 30]
    (told,) = [record.message for record in caplog.records]
    assert told.startswith("the stream is spoilt. Records go on in a new stream")


def test_what_can_be_sent_no_more_is_counted_when_its_stream_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of what was sent as much is kept as there is room for; what was in the stream beyond that may be lost."""
    sink = Gate()
    sink.open.set()
    worker = Worker(lambda: sink, Ledger(), limit_bytes=1000)
    worker.start()
    for step in range(100):
        worker.put(Figures(step))
    assert worker.flush(30)
    sink.forgetting = True
    with caplog.at_level(logging.WARNING):
        assert worker.close(Figures(100), in_seconds(20))
    kept = arrived(sink)[1:]  # behind the first one, which every stream begins with
    assert kept == list(range(kept[0], 101))
    assert worker.health().dropped == {"not_kept": 100 - len(kept)}
    assert "Records may be lost: they were sent, not archived" in caplog.text


def test_closing_is_bounded_when_nobody_is_there(caplog: pytest.LogCaptureFixture) -> None:
    """It comes back, counts what was not delivered, and says so in its last words."""
    one = monitor(Gate())
    one.log(0, {"loss": 1.0})
    with caplog.at_level(logging.WARNING):
        assert not one.close(timeout=0.2)
    assert (one.health().queued, one.health().dropped) == (0, {"undelivered": 3})
    assert caplog.messages[-1].startswith(
        "3 records were not delivered, and are gone: there was not enough time"
    )
    assert "nobody is there" in caplog.messages[-1]


def test_a_sink_that_cannot_even_be_built_is_an_error_like_others() -> None:
    sink = MemorySink()
    attempts: list[int] = []

    def build() -> MemorySink:
        attempts.append(1)
        if len(attempts) < 3:
            raise SinkError("not yet")
        return sink

    worker = Worker(build, Ledger())
    worker.put(Figures(0))
    worker.start()
    assert worker.close(Figures(1), in_seconds(20))
    assert arrived(sink) == [0, 1]
