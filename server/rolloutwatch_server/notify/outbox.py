"""What the notifier asks of the archive: events that nobody was told of yet, and the messages made of them."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from rolloutwatch_server.notify.events import Event

WAITING, DONE, DEAD = "waiting", "done", "dead"


class Waiting(msgspec.Struct, frozen=True):
    """An event in the outbox: whose it is, whether it was found late, and since when it is there."""

    event: str
    run: str
    late: bool
    created_at: float


class NewDelivery(msgspec.Struct, frozen=True):
    """A message for one target; the same events for the same target have the same key for ever."""

    key: str
    target: str
    run: str
    events: tuple[str, ...]


class Delivery(msgspec.Struct, frozen=True):
    """A message and how it went so far; `error` says why not, and has nothing of a target or of its answer."""

    id: int
    key: str
    target: str
    run: str
    events: tuple[str, ...]
    created_at: float
    attempts: int = 0
    next_at: float = 0.0
    done_at: float | None = None
    state: str = WAITING
    error: str = ""


class Tally(msgspec.Struct, frozen=True):
    """How it stands with a target: how many messages wait, how many are dead, when one last arrived.

    `attempts` is the largest number of attempts of one that waits, `since` when the oldest one of these was made,
    `error` why it did not go.
    """

    waiting: int = 0
    dead: int = 0
    last_done: float | None = None
    attempts: int = 0
    since: float | None = None
    error: str = ""


class Outbox(Protocol):
    """The archive's side. Every call may come from any thread; StoreError: it cannot be had now, and nothing happened."""

    def waiting_events(self, limit: int) -> Sequence[Waiting]:
        """Return events of the outbox, the oldest first."""

    def events(self, ids: Sequence[str]) -> Sequence[Event]:
        """Return what happened, in the order asked for; what is there no more, of a deleted run say, is left out."""

    def make_deliveries(self, taken: Sequence[str], made: Sequence[NewDelivery], now: float) -> None:
        """Take events out of the outbox and put messages in their place, all or nothing."""

    def next_delivery(self, target: str) -> Delivery | None:
        """Return the message for a target that is due first, be it only in future."""

    def delivered(self, delivery: int, now: float) -> None:
        """Note that a message has arrived."""

    def failed(self, delivery: int, next_at: float | None, error: str) -> None:
        """Note an attempt that failed, and when the next one is due; None: there is none, the message is dead."""

    def dead_deliveries(self, limit: int) -> Sequence[Delivery]:
        """Return messages that were given up, the newest first."""

    def revive(self, delivery: int, now: float) -> bool:
        """Let a dead message be tried once more as if it had been made now; tell whether it was there."""

    def tally(self, target: str) -> Tally:
        """Return how it stands with a target."""

    def last_told(self, since: float) -> dict[str, float]:
        """Return when the last message on each run was made, of those made since then that were not of late events."""

    def forget_deliveries(self, before: float) -> int:
        """Delete messages that arrived or were given up before then; return how many."""
