"""Alerts are the same however the records of a run are cut into batches, and the archive can say so again."""

import contextlib
import math
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rolloutwatch_contract import Mark, Record, RunEnd, RunStart, StepRecord, stream_key
from rolloutwatch_contract.alerts import Change
from rolloutwatch_server.store import Entry, Position, Store
from tests.server.judging import document, judged_again, rule, timeline
from tests.server.records import RUN

FIRST = document(
    rule("high", "kl > 0.5", clear_steps=2),
    rule("lasting", "kl > 0.5", for_steps=2, for_seconds=2.0),
    rule("both", "kl > 0.5 and ess > 0.5"),
    rule("mean", "mean(kl, 3) > 0.5"),
    rule("gone", "absent(ess, 2)"),
    rule("share", "share(ess > 0.5, 3) >= 0.5"),
    rule("rewarded", "reward > 0.5 or ess > 0.9"),
    rule("seldom", "absent(reward, 4)"),
)
SECOND = document(
    rule("high", "kl > 0.4", clear_steps=2),
    rule("mean", "mean(kl, 3) > 0.5", summary="in other words"),
    rule("max", "max(kl, 2) > 0.9"),
    rule("rewarded", "reward > 0.5 or ess > 0.9"),
)


BASELINES = document(
    rule("jump", "jump(kl, 40) > 1"),
    rule("fall", "jump(ess, 60) < -1 or jump(side, 40) < -1"),
    rule("drift", "drift(kl, 40) > 1"),
    rule("often", "share(drift(side, 45) > 0, 10) > 0.5"),
    rule("rising", "trend(kl, 10) > 0.2 and saw(kl, 10) > 0"),
    own=("kl", "ess", "side"),
)
OTHER_BASELINES = BASELINES.replace("jump(kl, 40)", "jump(kl, 41)") + rule("late", "drift(ess, 40) < -1")


def test_what_flaps_is_found_again_with_all_that_is_told_of_it(tmp_path: Path) -> None:
    """And that it flaps is missed where it is not recorded."""
    stage = Stage(tmp_path / "archive.db")
    stage.store.save_rule_set(document(rule("high", "kl > 0.5")), "api", "somebody")
    turns = [StepRecord(number, float(number), {"kl": float(number % 2)}) for number in range(20)]
    calm = [StepRecord(number, float(number), {"kl": 0.0}) for number in range(20, 80)]
    stage.bring([(0, RunStart("math", "a", 0.0)), *((0, one) for one in [*turns, *calm])])
    changes = [one.change for one in stage.store.transitions(RUN)]
    assert (changes.count(Change.FLAPPING), changes.count(Change.STABLE)) == (1, 1)
    assert judged_again(stage.store, RUN) == []
    stage.store.close()
    with contextlib.closing(sqlite3.connect(stage.path)) as db:
        db.execute("DELETE FROM transitions WHERE change = 'flapping'")
        db.commit()
    stage.anew()
    (missing,) = judged_again(stage.store, RUN)
    assert missing.in_words == "step 6: high flapping, the 3. time: found again, and not recorded"


def test_an_alert_that_flaps_when_its_run_goes_back_is_found_again(tmp_path: Path) -> None:
    """It fires on, and people are told that it does not flap any more."""
    stage = Stage(tmp_path / "archive.db")
    stage.store.save_rule_set(document(rule("high", "kl > 0.5")), "api", "somebody")
    records = [
        StepRecord(number, float(number), {"kl": float(number % 2 or number > 7)}) for number in range(12)
    ]
    stage.bring([(0, RunStart("math", "a", 0.0)), *((0, one) for one in records)])
    assert [one.flapping for one in stage.store.alerts()] == [True]
    stage.bring([(1, RunStart("math", "a", 20.0)), (1, StepRecord(10, 30.0, {"kl": 1.0}))])
    (alert,) = stage.store.alerts()
    assert (alert.firing_step, alert.flapping) == (7, False)
    assert stage.store.outbox_events()[-1].change is Change.STABLE
    assert judged_again(stage.store, RUN) == []


def test_a_run_that_goes_back_keeps_its_alerts_and_misses_what_never_comes_again(tmp_path: Path) -> None:
    """Nobody is told twice of what stood before the checkpoint, and a figure that the new session never brings is missed."""
    stage = Stage(tmp_path / "archive.db")
    rules = [rule("high", "kl > 0.5"), rule("mean", "mean(kl, 20) > 0.5"), rule("gone", "absent(ess, 5)")]
    stage.store.save_rule_set(document(*rules), "api", "somebody")
    first = [StepRecord(n, float(n), {"kl": float(n >= 10), "ess": 1.0}) for n in range(101)]
    stage.bring([(0, RunStart("math", "a", 0.0)), *((0, one) for one in first)])
    again = [StepRecord(n, 200.0 + n, {"kl": 1.0}) for n in range(90, 120)]
    stage.bring([(1, RunStart("math", "a", 200.0)), *((1, one) for one in again)])
    assert [(rule, change, epoch, step) for rule, change, epoch, step, *_ in timeline(stage.store, RUN)] == [
        ("high", "firing", 1, 10),
        ("mean", "firing", 1, 20),
        ("gone", "firing", 1, 94),
    ]
    assert judged_again(stage.store, RUN) == []


def level(session: int, steps: range, kl: float = 0.0) -> list[tuple[int, Record]]:
    """Steps of a session at all of which K1 is the same."""
    return [(session, StepRecord(step, float(step), {"kl": kl})) for step in steps]


CONFIG = (0, Mark(24, 24.5, "config"))
HIGH, AGAIN, ESS = {"kl": 1.0}, {"kl": 0.0}, {"ess": 1.0}


@pytest.mark.parametrize(
    ("first", "second", "fires"),
    [
        # the second session has 20 values before step 45, and 19 before 44
        (level(0, range(25)), [*level(1, range(25, 45)), (1, StepRecord(45, 45.0, HIGH))], 45),
        (level(0, range(25)), [*level(1, range(25, 44)), (1, StepRecord(44, 44.0, HIGH))], None),
        # what is shown of steps 22 to 24 is no more what was judged, and those were of the first session
        (
            level(0, range(25)),
            [*level(1, range(25, 40)), (1, StepRecord(22, 99.0, AGAIN)), *level(1, range(40, 43)),
             (1, StepRecord(43, 43.0, HIGH))],
            None,
        ),
        # the figure of step 11 is late, and the first of the second session: there are 20 before step 32
        (
            [*level(0, range(10)), *((0, StepRecord(step, float(step), ESS)) for step in (10, 11, 12))],
            [(1, StepRecord(11, 12.5, AGAIN)), *level(1, range(13, 32)), (1, StepRecord(32, 32.0, HIGH))],
            32,
        ),
        # a session beside it brings another figure of the same steps, and nothing is forgotten
        (
            level(0, range(15)),
            [one for step in range(15, 25) for one in ((1, StepRecord(step, float(step), ESS)),
                                                       *level(0, range(step, step + 1)))]
            + [(0, StepRecord(25, 25.0, HIGH))],
            25,
        ),
        # the trainer marks that it is configured otherwise from step 25 on
        ([*level(0, range(25)), CONFIG], [*level(0, range(25, 45)), (0, StepRecord(45, 45.0, HIGH))], 45),
        ([*level(0, range(25)), CONFIG], [*level(0, range(25, 44)), (0, StepRecord(44, 44.0, HIGH))], None),
        (level(0, range(24)), [CONFIG, *level(0, range(24, 44)), (0, StepRecord(44, 44.0, HIGH))], 44),
        # the run goes back, and the new session has a past of its own only
        (level(0, range(30)), [*level(1, range(9, 29)), (1, StepRecord(29, 99.0, HIGH))], 29),
        (level(0, range(30)), [*level(1, range(9, 28)), (1, StepRecord(28, 99.0, HIGH))], None),
    ],
    ids=["long enough", "too short", "again from further back", "late", "beside", "config", "config, too short",
         "config of a step that is not there yet", "back", "back, too short"],
)  # fmt: skip
def test_a_baseline_is_of_one_session_live_and_after_a_restart_and_judged_again(
    tmp_path: Path, first: list[tuple[int, Record]], second: list[tuple[int, Record]], fires: int | None
) -> None:
    stage = Stage(tmp_path / "archive.db")
    stage.store.save_rule_set(document(rule("jump", "jump(kl, 40) > 4", clear="kl < 0")), "api", "somebody")
    stage.bring([(0, RunStart("math", "a", 0.0)), *first])
    stage.bring([(1, RunStart("math", "a", 50.0))])
    for one in second:
        stage.anew()
        stage.bring([one])
    fired = [step for _, change, _, step, *_ in timeline(stage.store, RUN) if change == "firing"]
    assert fired == ([] if fires is None else [fires])
    assert judged_again(stage.store, RUN) == []


Brought = Sequence[tuple[int, int, float, dict[str, float]]]  # session, step, time and figures of records


@pytest.mark.parametrize(
    "brought",
    [
        [(0, 0, 0.0, {"kl": 0.0, "ess": 0.0}), (0, 1, 1.0, {"kl": 0.0}), (0, 2, 2.0, {"kl": 0.0}),
         (0, 3, 3.0, {"kl": 0.0}), (0, 2, 3.5, {"ess": 0.0}), (0, 3, 4.0, {"reward": 0.0}), (0, 4, 5.0, {"kl": 1.0})],
        [(0, 1, 0.5, {"kl": 0.0, "ess": 0.0, "reward": 0.0}), (0, 2, 1.0, {"kl": 0.0}),
         (1, 1, 1.5, {"kl": 0.0}), (1, 2, 2.0, {"kl": 1.0}), (1, 3, 2.5, {"kl": 0.0})],
        [(0, 1, 0.5, {"kl": 0.0, "ess": 0.0}), (0, 2, 1.0, {"kl": 1.0}), (1, 2, 1.5, {"ess": 0.0}),
         (1, 3, 2.0, {"kl": 0.0})],
        [(0, 0, 0.5, {"kl": 0.0, "ess": 0.0}), (1, 0, 1.0, {"ess": 0.0}), (0, 1, 2.0, {"kl": 0.0, "ess": 0.0}),
         (0, 2, 3.0, {"kl": 1.0, "ess": 0.0})],
        [(0, 0, 0.5, {"kl": 0.0, "ess": 0.0}), (1, 1, 1.0, {"kl": 0.0}), (0, 2, 2.0, {"kl": 0.0}),
         (1, 2, 3.0, {"kl": 1.0}), (0, 3, 4.0, {"ess": 0.0})],
    ],
    ids=["late in the midst of a step", "a figure that never comes again", "a session that takes over within a step",
         "a session that takes one figure of two", "a record of which nothing is shown"],
)  # fmt: skip
def test_what_was_judged_is_found_again_whatever_came_in_between(tmp_path: Path, brought: Brought) -> None:
    stage = Stage(tmp_path / "archive.db")
    rules = [rule("high", "kl > 0.5"), rule("gone", "absent(ess, 2)")]
    stage.store.save_rule_set(document(*rules), "api", "somebody")
    heard: set[int] = set()
    for session, number, time, metrics in brought:
        if session not in heard:
            stage.bring([(session, RunStart("math", "a", time))])
            heard.add(session)
        stage.bring([(session, StepRecord(number, time, metrics))])
    assert any(one.rule == "high" for one in stage.store.transitions(RUN))
    assert judged_again(stage.store, RUN) == []


class Rules(NamedTuple):
    """Somebody saves rules."""

    document: str


Happening = tuple[int, Record] | Rules  # the number of a session, and what it brings


class Stage:
    """Archives what happens, in batches, and opens the archive anew in between."""

    def __init__(self, path: Path, reference: Sequence[StepRecord] = ()) -> None:
        self.path = path
        self.now = 1000.0
        self.store = Store(path, lambda: self.now)
        self.numbers: dict[int, int] = {}
        if reference:
            good = [RunStart("math", "good", 0.0), *reference]
            entries = [Entry(Position(number), record) for number, record in enumerate(good, 1)]
            self.store.archive(stream_key("math~good", "s"), entries)
            self.store.label("math~good", tags=["reference"])

    def anew(self) -> None:
        self.store.close()
        self.store = Store(self.path, lambda: self.now)

    def bring(self, batch: Sequence[tuple[int, Record]]) -> None:
        by_stream: list[tuple[str, list[Entry]]] = []
        for session, record in batch:
            stream = stream_key(RUN, f"s{session}")
            number = self.numbers[session] = self.numbers.get(session, 0) + 1
            if not by_stream or by_stream[-1][0] != stream:
                by_stream.append((stream, []))
            by_stream[-1][1].append(Entry(Position(number), record))
        for stream, entries in by_stream:
            self.store.archive(stream, entries)


METRICS = ("kl", "ess", "reward", "other")
BESIDE = 99  # a session that brings a figure of its own, at the steps of others

figures = st.sampled_from([0.0, 0.3, 0.45, 0.6, 0.95, 1.0, math.nan, math.inf])


KINDS = ("step",) * 8 + ("part", "late", "again", "resume", "rules", "end", "back", "lost")


@st.composite
def happenings(draw: st.DrawFn) -> list[Happening]:
    """A run of one or several sessions, with what a run brings: late, again, resumed, ended, and rules that change."""
    session, step, time, has_ended = 0, draw(st.integers(0, 3)), 100.0, False
    found: list[Happening] = [(session, RunStart("math", "a", time))]
    for kind in draw(st.lists(st.sampled_from(KINDS), min_size=5, max_size=30)):
        time += draw(st.sampled_from([0.5, 1.0, 3.0]))
        names = draw(st.lists(st.sampled_from(METRICS), min_size=1, max_size=4, unique=True))
        metrics = {name: draw(figures) for name in names}
        if kind == "rules":
            found.append(Rules(draw(st.sampled_from([FIRST, SECOND]))))
            continue
        if kind == "resume":
            session, step, has_ended = session + 1, max(0, step - draw(st.integers(0, 5))), False
            found.append((session, RunStart("math", "a", time)))
        elif has_ended:
            continue
        if kind == "end":
            has_ended = True
            found.append((session, RunEnd(time)))
            continue
        lost = {"queue_full": step} if kind == "lost" else {}
        if kind in ("step", "lost"):
            step += draw(st.integers(1, 2))
        elif kind == "back":
            step, metrics = max(0, step - draw(st.integers(0, 5))), dict.fromkeys(METRICS, 0.6)
        at = step
        if kind in ("late", "again"):
            at, metrics = max(0, step - draw(st.integers(0, 5))), {names[0]: metrics[names[0]]}
        found.append((session, StepRecord(at, time, metrics, dropped=lost)))
    return found


LONG_KINDS = ("steps",) * 6 + (
    "late",
    "late",
    "again",
    "resume",
    "resume",
    "rules",
    "end",
    "config",
    "config",
)


@st.composite
def long_happenings(draw: st.DrawFn) -> list[Happening]:
    """Sessions that go on from one another, with or without one beside them, each for so long that baselines are known."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    found: list[Happening] = [(0, RunStart("math", "a", 100.0)), (BESIDE, RunStart("math", "a", 100.5))]
    session, step, time = 0, -1, 101.0

    def record(at: int, *names: str) -> StepRecord:
        return StepRecord(at, time, {name: round(random.normal(), 1) for name in names})

    for kind in ("steps", *draw(st.lists(st.sampled_from(LONG_KINDS), min_size=2, max_size=5))):
        time += 1.0
        if kind == "rules":
            found.append(Rules(draw(st.sampled_from([BASELINES, OTHER_BASELINES]))))
        elif kind == "config":
            found.append((session, Mark(max(0, step + draw(st.integers(-2, 3))), time, "config")))
        elif kind in ("resume", "end"):
            found += [(session, RunEnd(time))] if kind == "end" else []
            session, step = session + 1, max(-1, step - draw(st.integers(0, 9)))
            found.append((session, RunStart("math", "a", time + 0.5)))
        elif kind in ("late", "again"):
            at, name = max(0, step - draw(st.integers(0, 9))), draw(st.sampled_from(["kl", "ess", "side"]))
            speaker = draw(st.sampled_from([session, max(0, session - 1), BESIDE]))
            found.append((speaker, record(at, name)))
        else:
            names = draw(st.sampled_from([("kl", "ess"), ("kl",), ("ess",), ("kl", "ess", "side")]))
            has_other = draw(st.booleans())
            for _ in range(draw(st.integers(1, 35))):
                step, time = step + 1, time + 1.0
                found.append((session, record(step, *names)))
                found += [(BESIDE, record(step, "side"))] if has_other else []
    return found


@settings(max_examples=8, deadline=None)
@given(happened=long_happenings(), data=st.data())
def test_baselines_are_the_same_whoever_spoke_when_and_are_found_again(
    happened: list[Happening], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Though what is read again is shown step by step, and of each figure there is only the session that brought it."""
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    figures = random.normal(size=(data.draw(st.sampled_from([0, 30, 90])), 3)).tolist()
    reference = [
        StepRecord(at, 0.0, {"kl": kl, "ess": ess, "side": side})
        for at, (kl, ess, side) in enumerate(figures)
    ]
    assert_the_same_again(BASELINES, happened, data, tmp_path_factory, reference)


@settings(max_examples=25, deadline=None)
@given(happened=happenings(), data=st.data())
def test_batches_and_restarts_change_nothing_and_the_archive_gives_the_same_again(
    happened: list[Happening], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Record by record, or in batches with the server started anew in between; and from what is shown and noted."""
    assert_the_same_again(FIRST, happened, data, tmp_path_factory)


def assert_the_same_again(
    rules: str,
    happened: list[Happening],
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
    reference: Sequence[StepRecord] = (),
) -> None:
    whole, cut = (Stage(tmp_path_factory.mktemp("alerts") / "archive.db", reference) for _ in range(2))
    for stage in (whole, cut):
        stage.store.save_rule_set(rules, "api", "somebody")
    waiting: list[tuple[int, Record]] = []
    for one in happened:
        if isinstance(one, Rules):
            cut.bring(waiting)
            waiting = []
            for stage in (whole, cut):
                stage.store.save_rule_set(one.document, "api", "somebody")
            continue
        whole.bring([one])
        waiting.append(one)
        if data.draw(st.booleans()):
            cut.bring(waiting)
            waiting = []
            if data.draw(st.booleans()):
                cut.anew()
    cut.bring(waiting)
    assert whole.store.broken_alerts == cut.store.broken_alerts == {}
    assert timeline(cut.store, RUN) == timeline(whole.store, RUN)
    assert judged_again(whole.store, RUN) == []
    assert judged_again(cut.store, RUN) == []
    for stage in (whole, cut):
        stage.store.close()
