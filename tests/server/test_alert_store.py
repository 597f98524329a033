"""Alerts in the archive: in one transaction with the records that made them, told, seen, silenced, and given up."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from rolloutwatch_contract import Heartbeat, RunEnd, StepRecord
from rolloutwatch_contract.alerts import Change
from rolloutwatch_contract.written_rules import RuleError
from rolloutwatch_server.store import MEMORY, AlertHasEnded, NewDelivery, RulesChanged, Store
from rolloutwatch_server.store.transcript import Kept, RunFacts, SessionFacts
from tests.server.judging import document, judged_again, rule, timeline
from tests.server.records import OTHER_SESSION, RUN, STREAM, batch, start, step, values

HIGH = document(
    rule("high", "kl > 0.5", clear_steps=2, severity="critical", summary="It is high.", cure="Lower it.")
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(path: Path, clock: Clock) -> Store:
    store = Store(path, clock)
    store.save_rule_set(HIGH, "api", "ada")
    return store


def kl(*figures: float, first: int = 0) -> list[StepRecord]:
    return [step(number, kl=value) for number, value in enumerate(figures, first)]


def test_an_alert_is_kept_with_what_made_it_and_somebody_is_to_be_told(store: Store) -> None:
    store.archive(STREAM, batch(*kl(0.0, 0.75, 0.25, 0.0)))
    (alert,) = store.alerts(state="all")
    assert (alert.run, alert.rule, alert.epoch, alert.severity.word) == (RUN, "high", 1, "critical")
    assert (alert.firing_step, alert.firing_time, alert.values) == (1, 1.0, {"kl": 0.75})
    assert (alert.resolved_step, alert.resolved_time, alert.reason) == (3, 3.0, "")
    assert (alert.condition, alert.summary, alert.cure) == ("kl > 0.5", "It is high.", "Lower it.")
    events = store.outbox_events()
    assert [(one.change, one.step, one.alert) for one in events] == [
        (Change.FIRING, 1, alert.id),
        (Change.RESOLVED, 3, alert.id),
    ]
    assert events[0].id == alert.id
    assert [one.id for one in store.transitions(alert=alert.id)] == [one.id for one in events]
    assert store.alerts() == store.alerts_at(RUN, 3) == []
    assert store.alerts_at(RUN, 2) == [alert]


def test_a_transaction_that_is_undone_leaves_no_alert_and_tells_nobody(store: Store) -> None:
    """Killed before the commit, the same records come again, and make the same event once."""

    def killed() -> None:
        raise KeyboardInterrupt

    bad = batch(*kl(0.75))
    with pytest.raises(KeyboardInterrupt):
        store.archive_many({STREAM: bad}, before_commit=killed)
    assert store.alerts(state="all") == store.outbox_events() == store.transitions() == []
    assert store.firing(RUN) is None
    for _ in range(2):
        store.archive(STREAM, bad)
        assert [one.change for one in store.outbox_events()] == [Change.FIRING]


def test_the_id_of_an_event_is_the_same_for_ever_and_of_a_run_that_is_there_anew_another(
    tmp_path: Path, clock: Clock
) -> None:
    """Whoever got it twice knows by its id; and an alert of a new run is no old one, although it is called the same."""
    ids = []
    for name in ("a.db", "b.db"):
        store = Store(tmp_path / name, clock)
        store.save_rule_set(HIGH, "api", "ada")
        store.archive(STREAM, batch(*kl(0.75), RunEnd(1.0)))
        ids.append(store.alerts(state="all")[0].id)
    assert ids[0] == ids[1]
    store.delete(RUN, "by hand")
    assert store.alerts(state="all") == store.transitions() == store.outbox_events() == []
    store.archive(OTHER_SESSION, batch(start(time=5.0), *kl(0.75)))
    (anew,) = store.alerts()
    assert (anew.epoch, anew.id == ids[0]) == (1, False)


def test_what_was_kept_of_alerts_and_cannot_be_read_costs_no_record(
    path: Path, clock: Clock, store: Store
) -> None:
    """The run's alerts stand still, which is told; a server that is started anew judges it anew."""
    store.archive(STREAM, batch(*kl(0.75)))
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE alert_runs SET came = x'c1'")
        db.commit()
    store = Store(path, clock)
    store.archive(STREAM, batch(*kl(0.25, 0.75, first=1), first=2))
    store.archive(STREAM, batch(*kl(0.75, first=3), first=4))
    assert values(store, "kl") == {0: 0.75, 1: 0.25, 2: 0.75, 3: 0.75}
    assert list(store.broken_alerts) == [RUN]
    store.archive(OTHER_SESSION.replace("~a", "~b"), batch(*kl(0.75)))
    assert [one.run for one in store.alerts()] == ["math~b", RUN]
    store.close()
    store = Store(path, clock)
    store.archive(STREAM, batch(*kl(0.75, first=4), first=5))
    assert store.broken_alerts == {}
    ended, anew = (store.alerts(state="all", run=RUN))[::-1]
    assert (ended.firing_step, ended.reason) == (0, "the steps that followed were not judged")
    assert (anew.firing_step, anew.is_firing) == (4, True)
    assert judged_again(store, RUN) == []


def test_a_run_that_ends_ends_its_alerts_and_one_that_is_resumed_begins_anew(store: Store) -> None:
    store.archive(STREAM, batch(start(time=0.0), *kl(0.75, 0.75), RunEnd(2.5)))
    store.archive(OTHER_SESSION, batch(start(time=3.0), *kl(0.75, first=1)))
    assert timeline(store, RUN) == [
        ("high", "firing", 1, 0, 0.0, ""),
        ("high", "resolved", 1, 1, 2.5, "the run ended"),
        ("high", "resolved", 1, 1, 1.0, "the run went back to step 1"),
        ("high", "firing", 2, 1, 1.0, ""),
    ]
    assert [one.given_up for one in store.transitions(RUN)] == [False, True, False, False]
    assert [one.change for one in store.outbox_events()] == [Change.FIRING, Change.RESOLVED, Change.FIRING]
    assert [(one.firing_step, one.resolved_step) for one in store.alerts(state="all")] == [(1, None), (0, 1)]


def test_alerts_of_steps_that_are_given_up_are_given_up(store: Store) -> None:
    store.archive(STREAM, batch(start(time=0.0), *kl(0.0, 0.0, 0.75)))
    store.archive(OTHER_SESSION, batch(start(time=5.0), *kl(0.0, 0.0, 0.0, first=1)))
    (alert,) = store.alerts(state="all")
    assert (alert.given_up, alert.reason) == (True, "the run went back to step 1")
    assert store.alerts() == store.alerts_at(RUN, 3) == []
    assert judged_again(store, RUN) == []


def test_rules_that_change_end_their_alerts_at_once_and_one_that_stays_goes_on(store: Store) -> None:
    """Words may change and it is the same rule; whoever saves what somebody else has saved meanwhile is told."""
    version = store.rule_set().version
    store.archive(STREAM, batch(*kl(0.75)))
    other_words = HIGH.replace("It is high.", "Too high.")
    version = store.save_rule_set(other_words, "api", "ada", version)
    assert [one.is_firing for one in store.alerts()] == [True]
    with pytest.raises(RulesChanged) as refused:
        store.save_rule_set(HIGH, "api", "bob", version - 1)
    assert refused.value.version == version
    with pytest.raises(RuleError, match="kll"):
        store.save_rule_set(HIGH.replace("kl >", "kll >"), "api", "bob")
    assert store.rule_set().document == other_words
    changes = store.alert_changes
    store.save_rule_set(HIGH.replace("0.5", "0.9"), "api", "ada", version)
    (alert,) = store.alerts(state="all")
    assert (alert.resolved_step, alert.reason) == (0, "the rule was changed")
    assert store.runs_with_changed_alerts(changes) == {RUN}
    assert judged_again(store, RUN) == []


@pytest.mark.parametrize("change", ["enabled = false", 'runs = ["code~*"]'])
def test_a_rule_that_watches_a_run_no_more_ends_its_alert_as_one_that_is_gone(
    store: Store, change: str
) -> None:
    store.archive(STREAM, batch(*kl(0.75)))
    store.save_rule_set(f"{HIGH}{change}\n", "api", "ada")
    (alert,) = store.alerts(state="all")
    assert (alert.resolved_step, alert.reason) == (0, "the rule was removed")
    assert [one.change for one in store.outbox_events()] == [Change.FIRING, Change.RESOLVED]
    store.archive(STREAM, batch(*kl(0.75, first=1), first=2))
    assert store.alerts() == []
    store.save_rule_set(HIGH, "api", "ada")
    store.archive(STREAM, batch(*kl(0.75, first=2), first=3))
    assert [(one.epoch, one.firing_step) for one in store.alerts()] == [(2, 2)]
    assert judged_again(store, RUN) == []


def test_other_rules_cost_a_run_nothing_until_it_speaks_again_unless_they_end_its_alert(
    path: Path, store: Store
) -> None:
    """Nor do other words, or another severity: such a rule goes on, and it is not even noted."""
    both = HIGH + rule("low", "kl < -0.5", for_steps=3)

    def noted() -> list[tuple[str, int]]:
        with contextlib.closing(sqlite3.connect(path)) as db:
            query = "SELECT run, step FROM feed_notes WHERE kind = 'rules' ORDER BY id"
            return db.execute(query).fetchall()

    streams = {name: STREAM.replace("~a", f"~{name}") for name in "abc"}
    store.save_rule_set(both, "api", "ada")
    store.archive(streams["a"], batch(start(name="a"), *kl(0.75)))
    store.archive(streams["b"], batch(start(name="b"), *kl(0.0)))
    store.archive(streams["c"], batch(start(name="c"), *kl(0.75), RunEnd(1.0)))
    worded = both.replace("It is high.", "Far too high.").replace('"warning"', '"critical"')
    store.save_rule_set(worded, "api", "ada")
    store.archive(streams["a"], batch(*kl(0.75, first=1), first=3))
    assert noted() == []
    changes = store.alert_changes
    store.save_rule_set(worded.replace("-0.5", "-0.4"), "api", "ada")  # no alert is of this one
    assert noted() == []
    store.save_rule_set(worded.replace("> 0.5", "> 0.6"), "api", "ada")
    assert noted() == [("math~a", 1)]
    assert store.runs_with_changed_alerts(changes) == {"math~a"}
    for name, first in (("b", 3), ("c", 4)):
        store.archive(streams[name], batch(*kl(0.55, 0.65, first=1), first=first))
    assert noted() == [("math~a", 1), ("math~b", 0), ("math~c", 0)]
    assert [(one.run, one.firing_step) for one in store.alerts()] == [("math~c", 2), ("math~b", 2)]
    assert [judged_again(store, f"math~{name}") for name in "abc"] == [[], [], []]


def test_what_is_found_long_after_is_late(store: Store, clock: Clock) -> None:
    """Because the server was away; a trainer whose clock goes wrong is not late."""
    clock.now = 5000.0
    store.archive(STREAM, batch(*kl(0.75)))  # by a clock that is 5000 s behind
    clock.now = 5100.0
    store.archive(STREAM, batch(*kl(0.0, 0.0, 0.75, first=1), first=2))
    late = {one.step: one.late for one in store.transitions(RUN)}
    assert late == {0: False, 2: True, 3: True}


def test_a_run_that_begins_while_the_server_is_away_is_late(path: Path, clock: Clock) -> None:
    """What comes first of it and tells of more than a minute has waited, whatever its clock says; what follows has not."""
    clock.now = 5000.0
    store = Store(path, clock)
    store.save_rule_set(document(rule("high", "kl > 0.5")), "api", "ada")
    back = [step(10 * number, kl=float(number % 2)) for number in range(8)]
    store.archive(STREAM, batch(start(), *back[:4]))  # of 30 s, the clock 4970 s behind
    store.archive(STREAM.replace("~a", "~b"), batch(start(name="b"), *back))
    store.archive(STREAM.replace("~a", "~c"), batch(start(name="c", time=1.0), step(70, kl=1.0)))
    late = {run: {one.late for one in store.transitions(run)} for run in (RUN, "math~b", "math~c")}
    assert late == {RUN: {False}, "math~b": {True}, "math~c": {True}}
    for number in range(8, 20):
        clock.now += 10.0
        store.archive(
            STREAM.replace("~a", "~b"), batch(step(10 * number, kl=float(number % 2)), first=number + 2)
        )
    assert not any(one.late for one in store.transitions("math~b") if one.step >= 80)
    assert {one.late for one in store.alerts(state="all", run="math~b")} == {True, False}
    clock.now += 600.0  # away once more, now that its clock is known
    store.archive(STREAM.replace("~a", "~b"), batch(step(201, kl=0.0), step(795, kl=1.0), first=30))
    assert [one.late for one in store.transitions("math~b")][-2:] == [True, False]


def test_records_that_were_lost_are_a_figure_and_raise_an_alert(path: Path, clock: Clock) -> None:
    """From the first loss on, as many as since the step before; one that a heartbeat told of comes with the next step."""
    store = Store(path, clock)
    told = [{}, {}, {"queue_full": 2, "not_decoded": 9}, {"queue_full": 2, "not_measured": 1}]
    records = [StepRecord(n, float(n), {"kl": 0.0}, dropped=one) for n, one in enumerate(told)]
    store.archive(
        STREAM, batch(start(), *records, StepRecord(3, 3.5, {"ess": 1.0}, dropped={"queue_full": 4}))
    )
    store.archive(STREAM, batch(Heartbeat(4.0, {"queue_full": 5}), first=7))
    store.close()
    store = Store(path, clock)
    store.archive(STREAM, batch(StepRecord(4, 4.5, {"kl": 0.0}, dropped={"queue_full": 5}), first=8))
    store.archive(OTHER_SESSION, batch(start(time=5.0), *(step(n, kl=0.0) for n in (5, 6))))
    assert values(store, "dropped_records") == {2: 2.0, 3: 0.0, 4: 3.0, 5: 0.0, 6: 0.0}
    assert values(store, "unmeasured_steps") == {3: 1.0, 4: 0.0, 5: 0.0, 6: 0.0}
    found = store.alerts(state="all", rule="dropped_records")
    assert (found[-1].firing_step, found[-1].values) == (2, {"dropped_records": 2.0})


def test_a_run_from_elsewhere_is_judged_once_and_nobody_is_told(store: Store) -> None:
    """In bites, by whoever keeps the archive; its alerts end with it."""
    with store.restoration() as restoration:
        place = restoration.begin_session()
        for one in kl(*([0.0] * 3000), 0.75, 0.0, 0.0, 0.75):
            restoration.add(place, Kept(one))
        restoration.end_session(place, SessionFacts("s1", 0.0, 10.0, outcome="finished"))
        assert restoration.commit("math~old", RunFacts(0.0, 4000.0))
    while store.keep():
        pass
    found = store.alerts(state="all")
    assert [(one.firing_step, one.resolved_step, one.reason) for one in found] == [
        (3003, 3003, "the run ended"),
        (3000, 3002, ""),
    ]
    assert store.outbox_events() == []
    assert judged_again(store, "math~old") == []


def test_who_has_seen_an_alert_is_told_again_only_when_that_is_over(store: Store, clock: Clock) -> None:
    store.archive(STREAM, batch(*kl(0.75)))
    (alert,) = store.alerts()
    assert [one.id for one in store.alerts_told_before(1001.0)] == [alert.id]
    seen = store.acknowledge(alert.id, "ada", 1100.0, "I look.")
    assert seen is not None
    assert (seen.acknowledged_by, seen.acknowledged_until, seen.note) == ("ada", 1100.0, "I look.")
    assert store.alerts_told_before(1001.0) == store.expired_acknowledgements() == []
    firing = store.firing(RUN)
    assert firing is not None
    assert [(one.rule, one.acknowledged) for one in firing.alerts] == [("high", True)]
    clock.now = 1200.0
    assert [one.id for one in store.expired_acknowledgements()] == [alert.id]
    assert store.tell_again(alert.id)
    assert [one.change for one in store.outbox_events()] == [Change.FIRING, Change.REPEAT]
    assert store.expired_acknowledgements() == store.alerts_told_before(1200.0) == []
    assert store.acknowledge("none", "ada") is None
    assert not store.tell_again("none")


def test_a_silence_covers_what_its_patterns_match_as_long_as_it_lasts(store: Store, clock: Clock) -> None:
    store.archive(STREAM, batch(*kl(0.75)))
    store.silence("*~b", "*", None, "ada")
    silence = store.silence("math~*", "hi*", 1100.0, "ada", "known")
    assert [one.silenced_until for one in store.alerts()] == [1100.0]
    assert store.outbox_events()[0].is_silenced
    assert [one.run for one in store.silences()] == ["math~*", "*~b"]
    assert store.end_silences() == []
    clock.now = 1101.0
    assert [one.rule for one in store.end_silences()] == ["high"]
    assert [one.change for one in store.outbox_events()] == [Change.FIRING, Change.REPEAT]
    assert not store.unsilence(silence)


def done(store: Store, alert: str) -> list[tuple[float, str, str, float | None, str]]:
    """What was done about an alert: when, what, by whom, until when, and the note."""
    found = store.alert(alert)
    assert found is not None
    return [(one.time, one.what.value, one.by, one.until, one.note) for one in store.actions(found)]


def test_what_people_did_about_an_alert_stays_whatever_they_do_next(store: Store, clock: Clock) -> None:
    """An acknowledgement that is over, one that takes the place of another, one that is taken back by somebody else."""
    store.archive(STREAM, batch(*kl(0.75)))
    (alert,) = store.alerts()
    assert store.unacknowledge(alert.id, "eve") is not None
    store.acknowledge(alert.id, "ada", 1100.0, "I look.")
    clock.now = 1110.0
    assert store.tell_again(alert.id)
    store.acknowledge(alert.id, "ada", 1120.0)
    clock.now = 1130.0
    store.acknowledge(alert.id, "bob", None, "Mine.")
    clock.now = 1140.0
    store.acknowledge(alert.id, "eve", 1200.0, "No, mine.")
    store.unacknowledge(alert.id, "ada")
    first = [
        (1000.0, "acknowledged", "ada", 1100.0, "I look."),
        (1100.0, "expired", "", None, ""),
        (1110.0, "acknowledged", "ada", 1120.0, ""),
        (1120.0, "expired", "", None, ""),
        (1130.0, "acknowledged", "bob", None, "Mine."),
        (1140.0, "acknowledged", "eve", 1200.0, "No, mine."),
        (1140.0, "taken back", "ada", None, ""),
    ]
    assert done(store, alert.id) == first
    clock.now = 1150.0
    store.acknowledge(alert.id, "bob")
    clock.now = 1160.0
    store.archive(STREAM, batch(*kl(0.0, 0.0, first=1), first=2))
    for act in (lambda: store.acknowledge(alert.id, "eve"), lambda: store.unacknowledge(alert.id, "eve")):
        with pytest.raises(AlertHasEnded, match="high of math~a ended at step 2"):
            act()
    assert done(store, alert.id) == [*first, (1150.0, "acknowledged", "bob", None, "")]
    ended = store.alert(alert.id)
    assert ended is not None
    assert ended.acknowledged_by == "bob", "who looked after it is told for good"


def test_silences_that_are_over_are_told_with_who_ended_them(store: Store, clock: Clock) -> None:
    """Of an alert those that were of it while it fired."""
    before = store.silence(RUN, "*", 1010.0, "ada", "before it fires")
    clock.now = 1020.0
    assert store.end_silences() == []
    store.archive(STREAM, batch(*kl(0.75)))
    (alert,) = store.alerts()
    expired = store.silence(RUN, "high", 1100.0, "ada", "known")
    ended = store.silence("math~*", "*", 2000.0, "bob")
    store.silence("*", "low", 2000.0, "bob")
    clock.now = 1050.0
    assert store.unsilence(ended, "eve")
    assert not store.unsilence(ended, "ada")
    clock.now = 1120.0
    expected = {before: (1010.0, ""), expired: (1100.0, ""), ended: (1050.0, "eve")}
    for _ in range(2):  # also before anybody has let go of it
        past = {one.id: one for one in store.past_silences()}
        assert {name: (past[name].ended_at, past[name].ended_by) for name in expected} == expected
        store.end_silences()
    assert [(one.author, one.reason, one.until, one.ended_at) for one in store.past_silences(limit=2)] == [
        ("bob", "", 2000.0, None),
        ("bob", "", 2000.0, 1050.0),
    ]
    assert done(store, alert.id) == [
        (1020.0, "silenced", "ada", 1100.0, "known"),
        (1020.0, "silenced", "bob", 2000.0, ""),
        (1050.0, "silence taken back", "eve", None, ""),
        (1100.0, "silence expired", "", None, ""),
    ]
    clock.now = 1200.0
    store.archive(STREAM, batch(*kl(0.0, 0.0, first=1), first=2))
    clock.now = 1210.0
    store.silence("*", "*", 2000.0, "eve", "after it has ended")
    assert len(done(store, alert.id)) == 4


def test_what_was_done_goes_with_the_run(store: Store, clock: Clock) -> None:
    """What patterns of several runs silence stays."""
    store.archive(STREAM, batch(start(), *kl(0.75)))
    (alert,) = store.alerts()
    store.acknowledge(alert.id, "ada")
    store.silence(RUN, "high", None, "ada")
    every = store.silence("math~*", "high", None, "ada")
    clock.now = 1e6
    store.delete(RUN, "old")
    assert [one.id for one in store.past_silences()] == [one.id for one in store.silences()] == [every]
    with contextlib.closing(sqlite3.connect(store.path)) as db:
        assert db.execute("SELECT what, run FROM actions").fetchall() == [("silenced", "math~*")]


def test_messages_wait_until_they_arrive_or_are_given_up(clock: Clock) -> None:
    """The same message is not made twice; one that was given up can be sent again."""
    store = Store(MEMORY, clock)
    store.save_rule_set(HIGH, "api", "ada")
    store.archive(STREAM, batch(*kl(0.75)))
    (event,) = store.outbox_events()
    message = NewDelivery("key", "chat", RUN, "[]", 1010.0)
    store.make_deliveries([message, message], [event.id])
    assert (store.outbox_events(), store.due_deliveries(), store.due_deliveries(1009.0)) == ([], [], [])
    (one,) = store.due_deliveries(1010.0, target="chat")
    store.delivery_failed(one.id, "no", 1020.0)
    assert store.due_deliveries(1019.0) == []
    tally = store.delivery_tallies()["chat"]
    assert (tally.waiting, tally.dead, tally.failing_since, tally.error) == (1, 0, 1000.0, "no")
    store.delivery_dead(one.id, "never")
    assert [(dead.attempts, dead.error) for dead in store.deliveries("dead")] == [(2, "never")]
    assert store.retry_delivery(one.id)
    assert not store.retry_delivery(one.id)
    store.delivery_done(one.id)
    assert [(done.state, done.done_at) for done in store.deliveries()] == [("done", 1000.0)]
    assert store.delivery_tallies()["chat"].last_success == 1000.0
