"""What happened beside the figures: sent by a trainer, or found in its sessions; kept, and shown where it belongs."""

from typing import Any

import pytest

from rolloutwatch_contract import Heartbeat, Mark, RunEnd, RunStart, StepRecord, stream_key
from rolloutwatch_contract.keys import part_of
from rolloutwatch_contract.protocol import MarkView
from rolloutwatch_server.store import MEMORY, SECONDS_UNTIL_STALLED, Store
from rolloutwatch_server.store.continuation import MOST_CONTINUATIONS
from tests.server.records import OTHER_SESSION, RUN, STREAM, batch

THIRD_SESSION = stream_key(RUN, "s3")
FIGURES = ("kl", "ess", "reward")


def begun(time: float, host: str = "", pid: int = 0, **config: str | float | None) -> RunStart:
    environment = {"host": host, "pid": str(pid), "python": "3.12"} if host else {}
    return RunStart("math", "a", time, {"rollout_is": "token", **config}, environment)


def did(step: int, time: float, *metrics: str) -> StepRecord:
    return StepRecord(step, time, dict.fromkeys(metrics or FIGURES, 1.0))


def mark(step: int, kind: str = "weight_sync", **fields: Any) -> Mark:
    return Mark(step, 10.0 + step, kind, fields)


def places(store: Store, **which: int) -> list[tuple[int, str]]:
    return [(one.step, one.kind) for one in store.marks(RUN, **which)]


def test_a_mark_comes_back_with_its_fields(store: Store) -> None:
    """Each value as the type it had; by step, whatever the order in which they came."""
    late = mark(9, "checkpoint", path="/c\0\u202e", kept=True, size=2**62, loss=0.5, none=None)
    store.archive(STREAM, batch(begun(1.0), late, mark(3, version="a")))
    assert store.marks(RUN) == [
        MarkView(3, 13.0, "weight_sync", {"version": "a"}, "s1"),
        MarkView(9, 19.0, "checkpoint", dict(late.fields), "s1"),
    ]
    assert store.marks("math~none") == []


def test_a_mark_that_is_sent_again_is_there_once(store: Store) -> None:
    """By a session that had to go on in another stream; it is no news then. The same at another time is another one."""
    again = stream_key(RUN, part_of("s1", 1))
    store.archive(STREAM, batch(begun(1.0), mark(3, version=7)))
    assert [entry.hidden for entry in store.archive(again, batch(begun(1.0), mark(3, version=7)))] == [
        frozenset(),
        frozenset({"weight_sync"}),
    ]
    assert len(store.marks(RUN)) == 1
    later = Mark(3, 99.0, "weight_sync", {"version": 7})
    store.archive(again, batch(later, mark(3, version=8), first=3))
    assert [(one.time, one.fields["version"]) for one in store.marks(RUN)] == [
        (13.0, 7),
        (13.0, 8),
        (99.0, 7),
    ]


def test_a_range_of_steps_has_both_its_ends(store: Store) -> None:
    store.archive(STREAM, batch(begun(1.0), *(mark(n) for n in range(10))))
    assert [step for step, _ in places(store, from_step=3, to_step=5)] == [3, 4, 5]
    assert [step for step, _ in places(store, from_step=8)] == [8, 9]
    assert places(store, from_step=20) == []


@pytest.mark.parametrize("most", [1, 10, 100])
def test_of_a_kind_that_is_marked_at_every_step_some_are_shown(most: int, store: Store) -> None:
    """Spread over the steps asked for; what is rare is all there, and none is invented."""
    rare = [mark(n, "checkpoint") for n in (7, 700)]
    store.archive(STREAM, batch(begun(1.0), *(mark(n) for n in range(1000)), *rare[: min(most, 2)]))
    syncs = [step for step, kind in places(store, most=most) if kind == "weight_sync"]
    assert len(syncs) == most
    assert syncs == [n * (1000 // most) for n in range(most)]
    assert [step for step, kind in places(store, most=most) if kind == "checkpoint"] == [7, 700][:most]
    assert len(places(store)) == 1000 + min(most, 2)
    assert [step for step, kind in places(store, from_step=500, to_step=501, most=most)][:1] == [500]


def test_a_run_that_goes_on_in_another_process_has_a_mark(store: Store) -> None:
    """Each later session where it began, with its host and process; the first start has none."""
    store.archive(STREAM, batch(begun(1.0, "a", 12), *(did(n, 2.0 + n) for n in range(10))))
    assert store.marks(RUN) == []
    store.archive(OTHER_SESSION, batch(begun(50.0, "b", 34)))
    assert store.marks(RUN) == [], "it has done nothing yet"
    store.archive(OTHER_SESSION, batch(did(5, 51.0), did(6, 52.0), first=2))
    store.archive(THIRD_SESSION, batch(begun(90.0), did(7, 91.0)))
    assert store.marks(RUN) == [
        MarkView(5, 50.0, "restart", {"host": "b", "pid": "34"}, "s2", found=True),
        MarkView(7, 90.0, "restart", {"session": "s3"}, "s3", found=True),
    ]


def test_what_a_resumed_run_configures_otherwise_is_marked(store: Store) -> None:
    """After its restart, with what was and what is; where nothing is said or changed but the host there is no mark."""
    store.archive(STREAM, batch(begun(1.0, "a", 12, bound=2.0, lr=1e-6, veto=None), did(0, 2.0), did(1, 3.0)))
    store.archive(OTHER_SESSION, batch(begun(50.0, "b", 34, bound=3, lr=1e-6, mode="x"), did(2, 51.0)))
    store.archive(THIRD_SESSION, batch(begun(90.0, "c", 56, bound=3.0, lr=1e-6, mode="x"), did(3, 91.0)))
    told = {"bound": "2 → 3", "veto": "not set → absent", "mode": "absent → x"}
    assert places(store) == [(2, "restart"), (2, "config"), (3, "restart")]
    assert store.marks(RUN)[1] == MarkView(2, 50.0, "config", told, "s2", found=True)
    silent = RunStart("math", "a", 120.0, {}, {})
    store.archive(stream_key(RUN, "s4"), batch(silent, did(4, 121.0)))
    assert places(store)[3:] == [(4, "restart")]


def test_a_configuration_is_compared_with_that_of_the_trainer(store: Store) -> None:
    """Not with that of an evaluation, or of a process that died before its first step, that began in between."""
    store.archive(STREAM, batch(begun(1.0, bound=2.0), did(0, 2.0, *FIGURES, "eval/score")))
    store.archive(OTHER_SESSION, batch(begun(50.0, bound=7.0), did(0, 51.0, "eval/score")))
    store.archive(THIRD_SESSION, batch(begun(60.0, bound=8.0)))
    more = did(1, 71.0, *FIGURES, "eval/score", *(f"new/{n}" for n in range(20)))
    store.archive(stream_key(RUN, "s4"), batch(begun(70.0, bound=2.5), more))
    assert [(one.kind, one.fields["bound"]) for one in store.marks(RUN)[1:]] == [("config", "2 → 2.5")]


def test_an_evaluation_beside_the_trainer_is_no_restart(store: Store) -> None:
    """Nor is it a rival, also where both bring one figure of the same name."""
    store.archive(STREAM, batch(begun(1.0), did(0, 2.0, *FIGURES, "eval/score")))
    store.archive(OTHER_SESSION, batch(begun(3.0), did(0, 4.0, "eval/score"), did(0, 4.0, "eval/length")))
    store.archive(STREAM, batch(did(1, 5.0), did(2, 6.0), did(3, 7.0, *FIGURES, "eval/score"), first=3))
    assert store.marks(RUN) == []
    assert not store.runs()[0].contested


def test_marks_of_steps_that_were_done_again_are_given_up_with_them(store: Store) -> None:
    """A checkpoint that the resumed run has not written is not shown as its own, and not lost either."""
    store.archive(STREAM, batch(begun(1.0), *(did(n, 2.0 + n) for n in range(10)), mark(4), mark(8)))
    store.archive(OTHER_SESSION, batch(begun(50.0), did(6, 51.0), mark(7)))
    assert places(store) == [(4, "weight_sync"), (6, "restart"), (7, "weight_sync")]
    (late,) = store.archive(STREAM, batch(mark(9), first=14))
    assert late.hidden == {"weight_sync"}
    assert places(store)[-1] == (7, "weight_sync")


def test_marks_stay_where_only_an_evaluation_takes_something_over(store: Store) -> None:
    store.archive(STREAM, batch(begun(1.0), did(0, 2.0, *FIGURES, "eval/score"), mark(4)))
    store.archive(OTHER_SESSION, batch(begun(50.0), did(0, 51.0, "eval/score")))
    assert places(store) == [(4, "weight_sync")]


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def contested(store: Store) -> list[str]:
    """Which sessions claim the run now; all answers have to agree."""
    detail = store.run(RUN)
    assert detail is not None
    rivals = [session.id for session in detail.rivals]
    assert detail.summary.contested == store.runs()[0].contested == bool(rivals)
    return rivals


@pytest.mark.parametrize("later_first", [False, True])
def test_two_trainers_that_claim_a_run_at_once_are_told_apart(later_first: bool) -> None:
    """Whichever is read first, and in whatever portions: a server that was away finds both in Redis."""
    store = Store(MEMORY, clock=Clock())
    former = batch(begun(1.0, "a", 12), *(did(n, 2.0 + n) for n in range(10)))
    later = batch(begun(5.0, "b", 34), *(did(n, 6.0 + n) for n in range(3)))
    brought = (
        [(OTHER_SESSION, later), (STREAM, former)]
        if later_first
        else [(STREAM, former), (OTHER_SESSION, later)]
    )
    for stream, entries in brought:
        store.archive(stream, entries)
    assert contested(store) == ["s1", "s2"]
    (found,) = store.marks(RUN)
    assert (found.kind, found.session) == ("contested", "s2")
    assert found.fields == {"host": "b", "pid": "34", "other_host": "a", "other_pid": "12"}
    detail = store.run(RUN)
    assert detail is not None
    assert [(one.id, one.environment["host"], one.config) for one in detail.sessions] == [
        ("s1", "a", {"rollout_is": "token"}),
        ("s2", "b", {"rollout_is": "token"}),
    ]


@pytest.mark.parametrize("ends", [True, False])
def test_a_run_is_contested_while_both_are_at_work(ends: bool) -> None:
    """When one has ended or fallen silent the flag goes; where it began stays marked."""
    clock = Clock()
    store = Store(MEMORY, clock=clock)
    store.archive(STREAM, batch(begun(1.0), *(did(n, 2.0 + n) for n in range(10))))
    store.archive(OTHER_SESSION, batch(begun(5.0), did(3, 6.0)))
    assert contested(store) == ["s1", "s2"]
    if ends:
        store.archive(STREAM, batch(RunEnd(20.0), first=12))
    else:
        clock.now += SECONDS_UNTIL_STALLED + 1
        store.archive(OTHER_SESSION, batch(did(4, 7.0), first=3))
    assert contested(store) == []
    assert places(store) == [(3, "contested")]
    if not ends:
        store.archive(STREAM, batch(Heartbeat(40.0), first=12))
        assert contested(store) == ["s1", "s2"], "it was not dead"


def test_that_a_run_is_contested_outlives_the_server(path: Any) -> None:
    clock = Clock()
    for first, time in ((1, 2.0), (3, 9.0)):
        store = Store(path, clock=clock)
        store.archive(STREAM, batch(begun(1.0), did(9, time), first=first))
        store.archive(OTHER_SESSION, batch(begun(5.0), did(3, time), first=first))
        store.close()
    store = Store(path, clock=clock)
    assert contested(store) == ["s1", "s2"]
    assert places(store) == [(9, "contested")]
    store.close()


def test_a_run_that_was_resumed_is_not_contested(store: Store) -> None:
    """The former session may be silent only for a moment, and its last steps may be read after the first new ones."""
    store.archive(OTHER_SESSION, batch(begun(50.0), did(5, 51.0), did(6, 52.0)))
    store.archive(STREAM, batch(begun(1.0), *(did(n, 2.0 + n) for n in range(10))))
    assert contested(store) == []
    assert places(store) == [(5, "restart")]


def test_of_three_trainers_all_are_named(store: Store) -> None:
    """The last one to start is shown; a rival is no restart, and who resumed before the contest still is one."""
    store.archive(STREAM, batch(begun(1.0), did(0, 2.0), RunEnd(3.0)))
    streams = [stream_key(RUN, f"t{n}") for n in range(3)]
    for n, stream in enumerate(streams):
        store.archive(stream, batch(begun(10.0 + n), did(1, 20.0 + n)))
    assert contested(store) == ["t0", "t1", "t2"]
    assert {kind for _, kind in places(store)} == {"restart", "contested"}
    assert [one.session for one in store.marks(RUN) if one.kind == "restart"] == ["t0"]


def shown(store: Store) -> list[int]:
    """Whose values are shown, by step: they are the number of the trainer."""
    series = store.series(RUN, ["kl"])["kl"]
    assert series.step.tolist() == list(range(len(series.step)))
    return [int(value) for value in series.value]


class Trainer:
    """A process that writes to the run and whose figures are all its number, with a clock that may go wrong."""

    def __init__(self, store: Store, clock: Clock, number: int, off: float = 0.0) -> None:
        self._store, self._clock, self._number, self._off = store, clock, number, off
        self._stream = stream_key(RUN, f"t{number}")
        self._sent = 0
        self.put(begun(self.time, "host", number))

    @property
    def time(self) -> float:
        return self._clock.now + self._off

    def put(self, *records: Any) -> None:
        self._store.archive(self._stream, batch(*records, first=self._sent + 1))
        self._sent += len(records)

    def rolled_back(self, store: Store, number: int) -> "Trainer":
        """The same process, whose figures are another number from now on."""
        self._store, self._number = store, number
        return self

    def step(self, *steps: int) -> None:
        """Do steps, one a second."""
        for step in steps:
            self._clock.now += 1.0
            self.put(StepRecord(step, self.time, dict.fromkeys(FIGURES, float(self._number))))


@pytest.mark.parametrize("ends", [True, False])
def test_what_survives_a_contest_is_shown_again(ends: bool, path: Any) -> None:
    """Not while the other may be at work; from its next step on, in a session that says that it took over."""
    clock = Clock()
    store = Store(path, clock=clock)
    one = Trainer(store, clock, 1)
    one.step(*range(5))
    two = Trainer(store, clock, 2)
    for step in range(5):
        two.step(step)
        one.step(5 + step)
    assert (contested(store), shown(store)) == (["t1", "t2"], [2] * 5)
    quiet = 0
    if ends:
        two.put(RunEnd(two.time))
    else:
        quiet = int(SECONDS_UNTIL_STALLED) - 2
        one.step(*range(10, 10 + quiet))
        assert shown(store) == [2] * 5
        clock.now += 2.0
    last = 10 + quiet
    one.step(last, last + 1)
    assert store.series(RUN, ["kl"])["kl"].step.tolist() == [*range(5), last, last + 1]
    assert places(store) == [(5, "contested"), (last, "takeover")]
    detail = store.run(RUN)
    assert detail is not None
    assert (detail.summary.state.value, detail.summary.last_step) == ("live", last + 1)
    assert contested(store) == []
    one.put(RunEnd(one.time))
    assert store.runs()[0].state.value == "finished"
    assert store.archived_to(stream_key(RUN, "t1")) == 14 + quiet
    store.close()


def test_one_that_wakes_up_contests_the_run_again() -> None:
    clock = Clock()
    store = Store(MEMORY, clock=clock)
    one, two = Trainer(store, clock, 1), Trainer(store, clock, 2)
    for step in range(3):
        one.step(step)
        two.step(step)
    one.step(*range(3, 40))
    two.step(40)
    assert contested(store) == ["t2", "t1+1"]
    assert store.series(RUN, ["kl"])["kl"].value[-1] == 1.0


def test_what_a_dead_trainer_had_not_delivered_takes_nothing_over() -> None:
    """Its spool comes when the later session has ended; it was written before that one's figures."""
    clock = Clock()
    store = Store(MEMORY, clock=clock)
    began = clock.now
    clock.now += 100.0
    two = Trainer(store, clock, 2)
    two.step(*range(5))
    two.put(RunEnd(two.time))
    clock.now += 100.0
    spool = batch(begun(began), *(did(step, began + 5.0 * step) for step in range(9)))
    store.archive(STREAM, spool)
    assert shown(store)[:5] == [2] * 5
    assert places(store) == [(0, "restart")]


def test_a_server_that_was_away_takes_nobody_for_silent() -> None:
    """What it did not hear while it was away says nothing."""
    clock = Clock()
    store = Store(MEMORY, clock=clock)
    one, two = Trainer(store, clock, 1), Trainer(store, clock, 2)
    for step in range(3):
        one.step(step)
        two.step(step)
    clock.now += 1000.0
    one.step(3)
    two.step(3)
    assert (contested(store), shown(store)) == (["t1", "t2"], [2] * 4)


@pytest.mark.parametrize("off", [-3600.0, -6.0, 0.0, 6.0, 3600.0])
def test_a_clock_that_goes_wrong_does_not_hide_a_resumed_run(off: float) -> None:
    """Its steps are shown, its restart is marked, and nobody calls it contested, also when it is resumed once more."""
    clock = Clock()
    clock.now = 10_000.0
    store = Store(MEMORY, clock=clock)
    Trainer(store, clock, 1).step(*range(10))
    clock.now += 5.0
    Trainer(store, clock, 2, off).step(*range(6, 12))
    assert shown(store) == [1] * 6 + [2] * 6
    clock.now += 5.0
    Trainer(store, clock, 3).step(*range(9, 14))
    assert shown(store) == [1] * 6 + [2] * 3 + [3] * 5
    assert places(store) == [(6, "restart"), (9, "restart")]


@pytest.mark.parametrize("off", [-3600.0, 3600.0])
def test_a_clock_that_goes_wrong_does_not_hide_a_contest(off: float) -> None:
    clock = Clock()
    clock.now = 10_000.0
    store = Store(MEMORY, clock=clock)
    one = Trainer(store, clock, 1)
    one.step(*range(5))
    clock.now += 4.0
    two = Trainer(store, clock, 2, off)
    for step in range(3):
        two.step(step)
        one.step(5 + step)
    assert (contested(store), shown(store)) == (["t1", "t2"], [2] * 3)


@pytest.mark.parametrize("reopened", [False, True])
def test_steps_that_are_done_again_in_the_same_process_are_another_attempt(reopened: bool, path: Any) -> None:
    """Both are kept, the later one is shown, and it is marked where the trainer went back, each time it did."""
    clock = Clock()
    store = Store(path, clock=clock)
    trainer = Trainer(store, clock, 1)
    trainer.step(*range(20))
    if reopened:
        store.close()
        store = Store(path, clock=clock)
    for number in (2, 3):
        trainer = trainer.rolled_back(store, number)
        trainer.step(*range(10, 15))
    assert shown(store) == [1] * 10 + [3] * 5
    found = [(attempt.session, attempt.metrics["kl"]) for attempt in store.attempts(RUN, 12)]
    assert found == [("t1", 1.0), ("t1+1", 2.0), ("t1+2", 3.0)]
    assert places(store) == [(10, "rollback")] * 2
    detail = store.run(RUN)
    assert detail is not None
    assert (detail.summary.last_step, detail.summary.contested) == (14, False)
    assert detail.sessions[-1].environment == {"host": "host", "pid": "1", "python": "3.12"}
    store.close()


def test_what_comes_late_or_is_corrected_is_no_other_attempt() -> None:
    """A figure that is logged some steps later, one that is logged again, and steps that come out of order."""
    store = Store(MEMORY)
    store.archive(STREAM, batch(begun(1.0), *(did(step, 2.0 + step) for step in (0, 1, 3, 2, 4))))
    store.archive(STREAM, batch(did(1, 8.0, "late"), did(3, 8.0, "late"), did(2, 8.0, "late"), first=7))
    store.archive(STREAM, batch(did(1, 9.0, "late"), did(4, 9.0), first=10))
    detail = store.run(RUN)
    assert detail is not None
    assert ([one.id for one in detail.sessions], store.marks(RUN)) == (["s1"], [])


@pytest.mark.parametrize("former_first", [False, True])
def test_what_a_session_sends_again_is_no_other_attempt(former_first: bool) -> None:
    """In another stream, because the first one was spoilt, what the server may have had from there already."""
    store = Store(MEMORY)
    former = batch(begun(1.0), *(did(step, 2.0 + step) for step in range(10)))
    again = [*batch(begun(1.0), first=4), *batch(*(did(step, 2.0 + step) for step in range(4, 12)), first=6)]
    brought = [(STREAM, former), (f"{STREAM}.part1", again)]
    for stream, entries in brought if former_first else brought[::-1]:
        store.archive(stream, entries)
    detail = store.run(RUN)
    assert detail is not None
    assert ([one.id for one in detail.sessions], store.marks(RUN)) == (["s1"], [])


def test_a_process_that_goes_back_all_the_time_ends_as_many_sessions_as_can_be_told_apart() -> None:
    store = Store(MEMORY)
    steps = [did(step, 2.0) for _ in range(MOST_CONTINUATIONS + 20) for step in (4, 5)]
    store.archive(STREAM, batch(begun(1.0), *steps))
    detail = store.run(RUN)
    assert detail is not None
    assert len(detail.sessions) == 1 + MOST_CONTINUATIONS
    assert store.archived_to(STREAM) == 1 + len(steps)
