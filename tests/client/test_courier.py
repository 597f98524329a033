"""The thread that delivers: what it does for other sessions, and what it leaves alone."""

import random
import threading
from collections.abc import Sequence

from rolloutwatch.courier import Courier, Delivery
from rolloutwatch.drops import Ledger
from rolloutwatch.outbox import Outbox
from rolloutwatch.sink import Frame, SinkError
from rolloutwatch_contract import Heartbeat, encode
from tests.processes import wait_for


class ClosedSink:
    """Takes nothing."""

    def send(self, frames: Sequence[Frame]) -> int:
        raise SinkError("Redis is away")

    def close(self) -> None:
        pass


class OtherSessions:
    """What others left: one is at hand from the first step on, until it is let go of."""

    def __init__(self) -> None:
        self.at_hand = False

    def step(self) -> bool:
        self.at_hand = True
        return True

    def close(self) -> None:
        self.at_hand = False


def test_what_others_left_is_let_go_of_while_nothing_can_be_delivered() -> None:
    """Else it would be kept when room is made on disk, and what is newer would go."""
    outbox, others = Outbox(Ledger()), OtherSessions()
    courier = Courier(Delivery(outbox, ClosedSink, Ledger()), Ledger(), others)
    thread = threading.Thread(target=courier.run, daemon=True)
    thread.start()
    wait_for("a session of somebody else", lambda: others.at_hand)
    state = random.getstate()
    outbox.add(encode(Heartbeat(0.0)))
    wait_for("trouble", lambda: courier.state == "retrying")
    assert not others.at_hand
    courier.finish(0.0)
    thread.join(20)
    assert not thread.is_alive()
    assert random.getstate() == state, (
        "a training script's own random numbers are as they would be without us"
    )
