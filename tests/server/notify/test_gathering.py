"""Which events go out when, and which together."""

from rolloutwatch_contract.alerts import Change
from rolloutwatch_server.notify.gathering import MOST_EVENTS_OF_A_MESSAGE, Gatherer
from rolloutwatch_server.store import Event
from tests.server.notify.events import event


def at(time: float, rule: str = "a", run: str = "p~r", late: bool = False) -> Event:
    return event(rule, run=run, created_at=time, late=late)


def rules(groups: list[list[Event]]) -> list[list[str]]:
    return [[one.rule for one in group] for group in groups]


def test_the_first_event_goes_at_once_with_those_of_the_same_instant() -> None:
    gatherer = Gatherer()
    events = [at(100.0, "a"), at(100.1, "b")]
    assert gatherer.ready(events, 100.15) == []
    assert rules(gatherer.ready(events, 100.2)) == [["a", "b"]]


def test_what_follows_within_ten_seconds_is_gathered_into_one_message() -> None:
    gatherer = Gatherer()
    gatherer.told("p~r", 100.2)
    events = [at(101.0, "a"), at(105.0, "b"), at(110.1, "c")]
    assert gatherer.ready(events, 110.1) == []
    assert rules(gatherer.ready(events, 110.2)) == [["a", "b", "c"]]


def test_after_ten_quiet_seconds_an_event_is_a_first_one_again() -> None:
    gatherer = Gatherer()
    gatherer.told("p~r", 100.0)
    assert gatherer.ready([at(200.0)], 200.1) == []
    assert rules(gatherer.ready([at(200.0)], 200.25)) == [["a"]]


def test_runs_do_not_wait_for_each_other() -> None:
    gatherer = Gatherer()
    gatherer.told("p~r", 100.0)
    assert rules(gatherer.ready([at(101.0, "a"), at(101.0, "b", run="p~s")], 102.0)) == [["b"]]


def test_late_events_are_one_digest_once_no_more_are_found() -> None:
    gatherer = Gatherer()
    first = [at(100.0, "a", late=True), at(101.5, "b", late=True)]
    assert gatherer.ready(first, 102.5) == []
    more = [*first, at(102.9, "c", late=True)]
    assert gatherer.ready(more, 104.0) == []
    assert rules(gatherer.ready(more, 104.9)) == [["a", "b", "c"]]


def test_a_digest_waits_a_minute_at_most() -> None:
    events = [at(100.0 + second, "a", late=True) for second in range(60)]
    assert Gatherer().ready(events, 159.0) == []
    assert [len(group) for group in Gatherer().ready(events, 160.0)] == [60]


def test_what_is_new_does_not_wait_for_what_was_found_late() -> None:
    events = [at(100.0, "old", late=True), at(101.0, "new")]
    assert rules(Gatherer().ready(events, 101.5)) == [["new"]]


def test_the_end_of_what_was_found_late_is_not_told_before_it() -> None:
    events = [at(100.0, "a", late=True), event("a", run="p~r", created_at=100.5, change=Change.RESOLVED)]
    assert Gatherer().ready(events, 101.0) == []
    assert rules(Gatherer().ready(events, 102.6)) == [["a", "a"]]


def test_a_clock_that_was_set_back_keeps_nothing_back() -> None:
    gatherer = Gatherer()
    gatherer.told("p~r", 5000.0)
    assert rules(gatherer.ready([at(5001.0, "a"), at(5001.0, "b", late=True)], 100.0)) == [["a"], ["b"]]


def test_more_events_than_fit_one_message_are_several() -> None:
    events = [at(100.0) for _ in range(2 * MOST_EVENTS_OF_A_MESSAGE + 1)]
    assert [len(group) for group in Gatherer().ready(events, 101.0)] == [200, 200, 1]
