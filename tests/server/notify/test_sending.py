"""One message after the other, again until it has arrived, by a clock that the test turns."""

import logging
import os
from pathlib import Path

import pytest

from rolloutwatch_contract.alerts import Change
from rolloutwatch_server.notify.children import Painter, surroundings
from rolloutwatch_server.notify.events import Content, Links, encode, key_of
from rolloutwatch_server.notify.memory import MemoryOutbox
from rolloutwatch_server.notify.posts import Pictures, Post, World
from rolloutwatch_server.notify.sending import Sender
from rolloutwatch_server.store import NewDelivery
from tests.server.notify.events import SECRET, event, webhook
from tests.server.receiver import Mode, Plan, Receiver, always, in_turn

DAY = 24 * 3600.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """A sender, its outbox and its receiver, and the clock of all of them."""

    def __init__(self, receiver: Receiver, folder: Path) -> None:
        self.clock, self.receiver = Clock(), receiver
        self.outbox = MemoryOutbox(self.clock)
        environment = surroundings(folder, os.environ)
        world = World(Links("https://watch.example"), environment, clock=self.clock)
        target = webhook(receiver.url, more="allow_internal = true\npicture = false")
        pictures = Pictures(Painter(environment), self.outbox)
        self.sender = Sender(self.outbox, Post(target, world), pictures, self.clock, jitter=lambda: 0.0)

    def add(self, rule: str, **about: object) -> str:
        events = (event(rule, **about),)
        made = NewDelivery(key_of(events), "ops", events[0].run, encode(Content(events)), self.clock())
        self.outbox.make_deliveries([made], [])
        return made.key

    def next_wait(self) -> float:
        """Try once; return for how long the message then waits."""
        assert self.sender.round()
        (waiting,) = self.outbox.deliveries("waiting")
        wait = waiting.next_at - self.clock()
        self.clock.now = waiting.next_at
        return wait


def desk(plan: Plan, receiver: Receiver, folder: Path) -> Desk:
    receiver.plan = plan
    return Desk(receiver, folder)


def test_attempts_grow_apart_up_to_five_minutes(tmp_path: Path) -> None:
    with Receiver() as receiver:
        one = desk(always(Mode.ERROR), receiver, tmp_path)
        one.add("a")
        waits = [one.next_wait() for _ in range(15)]
    assert waits == pytest.approx([min(0.05 * 2**n, 300.0) for n in range(1, 16)])


def test_a_message_is_sent_again_as_it_was_until_it_is_taken(tmp_path: Path) -> None:
    with Receiver() as receiver:
        one = desk(in_turn(Mode.ERROR, Mode.DROP, Mode.OK), receiver, tmp_path)
        key = one.add("a")
        one.next_wait()
        one.next_wait()
        assert one.sender.round()
        assert not one.sender.round()
        assert [request.key for request in receiver.requests] == [key] * 3
        bodies = [request.content | {"sent_at": 0} for request in receiver.requests]
        assert bodies[0] == bodies[1] == bodies[2]
    (done,) = one.outbox.deliveries("done")
    assert (done.attempts, done.error) == (3, "")


def test_a_message_that_waits_for_its_turn_holds_up_no_other_run(tmp_path: Path) -> None:
    with Receiver() as receiver:
        one = desk(in_turn(Mode.ERROR, Mode.OK), receiver, tmp_path)
        first, second = one.add("a"), one.add("b", run="p~r")
        assert one.sender.round()
        assert one.sender.round()
        assert [request.key for request in receiver.requests] == [first, second]


def test_once_one_has_arrived_those_that_wait_follow_at_once(tmp_path: Path) -> None:
    """A target that was away for an hour is told of everything when it is back, not within five minutes."""
    with Receiver() as receiver:
        one = desk(always(Mode.ERROR), receiver, tmp_path)
        keys = [one.add(rule, run=f"p~{rule}") for rule in "abc"]
        for _ in range(10):
            for _ in keys:
                assert one.sender.round()
            one.clock.now += 300.0
        one.clock.now -= 299.0
        assert not one.sender.round()
        receiver.plan = always(Mode.OK)
        keys.append(one.add("d", run="p~d"))
        for _ in keys:
            assert one.sender.round()
        assert [request.key for request in receiver.requests[-4:]] == [keys[3], *keys[:3]]
        assert not one.sender.round()


def test_the_end_of_an_alert_is_not_told_before_its_beginning(tmp_path: Path) -> None:
    """It ends while the beginning waits for its next attempt, and the receiver is back by then."""
    with Receiver() as receiver:
        one = desk(always(Mode.ERROR), receiver, tmp_path)
        begin = one.add("a")
        for _ in range(9):
            one.next_wait()
        assert one.sender.round()
        one.clock.now += 13.0
        receiver.plan = always(Mode.OK)
        end = one.add("a", change=Change.RESOLVED)
        assert one.sender.round()
        assert one.sender.round()
        assert not one.sender.round()
        assert [request.key for request in receiver.requests[-2:]] == [begin, end]
        assert [done.attempts for done in one.outbox.deliveries("done")] == [1, 11]


def test_what_waits_behind_a_message_of_its_run_waits_as_long_as_that_one(tmp_path: Path) -> None:
    with Receiver() as receiver:
        one = desk(always(Mode.ERROR), receiver, tmp_path)
        begin = one.add("a")
        for _ in range(9):
            one.next_wait()
        end = one.add("a", change=Change.RESOLVED)
        assert one.sender.round()
        assert not one.sender.round()
        assert [one.key for one in one.outbox.deliveries("waiting")] == [end, begin]
        waits = [waiting.next_at - one.clock() for waiting in one.outbox.deliveries("waiting")]
        assert waits == pytest.approx([51.2, 51.2])
        assert {request.key for request in receiver.requests} == {begin}


def test_what_is_given_up_keeps_nothing_back(tmp_path: Path) -> None:
    with Receiver() as receiver:
        one = desk(in_turn(Mode.ERROR, Mode.GONE, Mode.OK), receiver, tmp_path)
        begin, end = one.add("a"), one.add("a", change=Change.RESOLVED)
        one.clock.now = one.outbox.deliveries("waiting")[0].next_at
        assert one.sender.round()
        one.clock.now += 0.1
        assert one.sender.round()
        assert one.sender.round()
        assert [request.key for request in receiver.requests] == [begin, begin, end]


def test_what_waited_behind_a_message_for_a_day_is_given_up_with_it(tmp_path: Path) -> None:
    """Else a run that goes on telling would fill its queue faster than it is given up."""
    with Receiver() as receiver:
        one = desk(always(Mode.ERROR), receiver, tmp_path)
        for number in range(5):
            one.add("a", epoch=number)
        while one.outbox.deliveries("waiting"):
            one.clock.now = max(one.clock.now, min(each.next_at for each in one.outbox.deliveries("waiting")))
            assert one.sender.round()
        assert one.clock.now - 1000.0 <= DAY + 300.0
        assert len(receiver.requests) == 304


def test_a_target_that_asks_to_be_left_alone_is_by_all_messages(tmp_path: Path) -> None:
    with Receiver() as receiver:
        one = desk(in_turn(Mode.BUSY, Mode.OK), receiver, tmp_path)
        one.add("a")
        one.add("b")
        assert one.sender.round()
        assert not one.sender.round()
        one.clock.now += 2.0
        assert one.sender.round()
        assert one.sender.round()


@pytest.mark.parametrize("mode", [Mode.TIMEOUT, Mode.BUSY])
def test_408_and_429_are_tried_again(tmp_path: Path, mode: Mode) -> None:
    with Receiver() as receiver:
        one = desk(always(mode), receiver, tmp_path)
        one.add("a")
        assert one.next_wait() == pytest.approx(2.0 if mode is Mode.BUSY else 0.1)


def test_another_400_is_given_up_at_once_and_can_be_tried_anew_with_its_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Receiver() as receiver, caplog.at_level(logging.DEBUG):
        one = desk(in_turn(Mode.GONE, Mode.OK), receiver, tmp_path)
        key = one.add("a")
        assert one.sender.round()
        (dead,) = one.outbox.deliveries("dead")
        assert "answered 410" in dead.error
        assert not one.sender.round()
        assert one.outbox.retry_delivery(dead.id)
        assert one.sender.round()
        assert [request.key for request in receiver.requests] == [key, key]
    assert "a message for target ops is given up: 127.0.0.1 answered 410" in caplog.text
    assert SECRET not in caplog.text
    assert "/hook" not in caplog.text


def test_a_message_is_given_up_after_a_day_and_no_sooner(tmp_path: Path) -> None:
    with Receiver() as receiver:
        one = desk(always(Mode.ERROR), receiver, tmp_path)
        one.add("a")
        attempts = 0
        while one.outbox.deliveries("waiting"):
            (waiting,) = one.outbox.deliveries("waiting")
            one.clock.now = max(one.clock.now, waiting.next_at)
            assert one.sender.round()
            attempts += 1
        assert DAY <= one.clock.now - 1000.0 <= DAY + 300.0
        assert attempts == len(receiver.requests) == 300


def test_a_message_that_is_old_when_its_turn_comes_is_still_tried_twenty_times(tmp_path: Path) -> None:
    with Receiver() as receiver:
        one = desk(always(Mode.ERROR), receiver, tmp_path)
        one.add("a")
        one.clock.now += 3 * DAY
        for _ in range(19):
            one.next_wait()
        assert one.sender.round()
        assert [dead.attempts for dead in one.outbox.deliveries("dead")] == [20]


def test_a_target_that_fails_is_logged_once_and_once_when_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Receiver() as receiver, caplog.at_level(logging.INFO):
        one = desk(in_turn(*[Mode.ERROR] * 6, Mode.OK), receiver, tmp_path)
        one.add("a")
        for _ in range(6):
            one.next_wait()
        one.sender.round()
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "target ops does not take messages: 127.0.0.1 answered 500.",
        "target ops takes messages again",
    ]
