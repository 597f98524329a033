"""What is promised of messages that wait: of the archive, and of the outbox in memory that stands for it in other tests."""

from collections.abc import Iterator

import pytest

from rolloutwatch_server.notify.memory import MemoryOutbox
from rolloutwatch_server.store import MEMORY, NewDelivery, Store


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 1.0  # so that nothing happens at the same time as something else
        return self.now


@pytest.fixture(params=["archive", "memory"])
def outbox(request: pytest.FixtureRequest) -> Iterator[Store | MemoryOutbox]:
    clock = Clock()
    if request.param == "memory":
        yield MemoryOutbox(clock)
        return
    store = Store(MEMORY, clock)
    yield store
    store.close()


def made(outbox: Store | MemoryOutbox, *messages: str) -> None:
    """Make messages, each written as target, run and key."""
    for message in messages:
        target, run, key = message.split()
        outbox.make_deliveries([NewDelivery(key, target, run, "[]", 1000.0)], [])


def due(outbox: Store | MemoryOutbox, at: float = 2000.0, target: str | None = None) -> list[str]:
    return [one.key for one in outbox.due_deliveries(at, target=target)]


def test_of_a_run_only_the_first_message_that_waits_is_due(outbox: Store | MemoryOutbox) -> None:
    made(outbox, "ops a 1", "ops a 2", "ops b 3", "chat a 4", "chat a 5")
    assert due(outbox) == ["1", "3", "4"]
    assert due(outbox, target="ops") == ["1", "3"]
    outbox.delivery_done(1)
    outbox.delivery_dead(4, "no")
    assert due(outbox) == ["2", "3", "5"]


def test_later_messages_of_a_run_are_put_off_with_the_first_one(outbox: Store | MemoryOutbox) -> None:
    made(outbox, "ops a 1", "ops a 2", "ops b 3", "chat a 4")
    outbox.delivery_failed(1, "no", 1500.0)
    assert due(outbox, 1499.0) == ["3", "4"]
    assert due(outbox, 1500.0) == ["1", "3", "4"]


def test_a_new_message_of_a_run_brings_the_first_one_that_waits_forward(outbox: Store | MemoryOutbox) -> None:
    """A receiver that is back is found so, as it is by the first message of another run."""
    made(outbox, "ops a 1")
    outbox.delivery_failed(1, "no", 1500.0)
    assert due(outbox, 1100.0) == []
    made(outbox, "ops a 2")
    assert due(outbox, 1100.0) == ["1"]


def test_a_target_fails_if_the_newest_attempt_did(outbox: Store | MemoryOutbox) -> None:
    made(outbox, "ops a 1", "ops b 2", "ops c 3")
    outbox.delivery_failed(1, "first", 1500.0)
    outbox.delivery_failed(2, "second", 1500.0)
    tally = outbox.delivery_tallies()["ops"]
    assert (tally.error, tally.last_success) == ("second", None)
    assert tally.failing_since is not None
    outbox.delivery_done(3)
    tally = outbox.delivery_tallies()["ops"]
    assert (tally.failing_since, tally.error, tally.waiting) == (None, "", 2)
    outbox.delivery_failed(2, "third", 1600.0)
    tally = outbox.delivery_tallies()["ops"]
    assert (tally.error, tally.failing_since) == ("third", tally.last_success)


def test_a_message_that_was_given_up_and_waits_anew_does_not_fail(outbox: Store | MemoryOutbox) -> None:
    made(outbox, "ops a 1")
    outbox.delivery_dead(1, "no")
    assert outbox.delivery_tallies()["ops"].error == "no"
    assert outbox.retry_delivery(1)
    assert outbox.delivery_tallies()["ops"].failing_since is None


def test_what_is_old_and_for_others_than_those_named_is_given_up(outbox: Store | MemoryOutbox) -> None:
    made(outbox, "ops a 1", "chat a 2", "gone a 3", "gone a 4")
    before = [one.created_at for one in reversed(outbox.deliveries())]
    assert outbox.give_up_deliveries(["ops", "chat"], before[2], "gone") == 1
    assert [(one.key, one.error, one.attempts) for one in outbox.deliveries("dead")] == [("3", "gone", 0)]
    assert outbox.give_up_deliveries([], before[3], "nobody") == 3
    assert outbox.deliveries("waiting") == []
