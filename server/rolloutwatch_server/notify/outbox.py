"""What the notifier asks of the archive: events that nobody was told of yet, and the messages made of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.protocol import Series
from rolloutwatch_server.alerts.notes import ReferenceRun
from rolloutwatch_server.store import Delivery, DeliveryTally, Event, NewDelivery


class Outbox(Protocol):
    """The archive's side, which is `Store`. Every call may come from any thread; StoreError: nothing happened."""

    def outbox_events(self) -> list[Event]:
        """Return what somebody is to be told and no message was made of yet, in the order in which it happened."""

    def make_deliveries(self, deliveries: Iterable[NewDelivery], events: Sequence[str]) -> None:
        """Keep messages to be sent, and let go of the events that they are made of, in one transaction."""

    def due_deliveries(
        self, now: float | None = None, *, target: str | None = None, limit: int = 100
    ) -> list[Delivery]:
        """Return messages whose time has come, of one target or of all, the one that was made first being the first.

        Of one run only the first one that waits, whose time has come too when that of a later one has.
        """

    def delivery_done(self, delivery: int) -> None:
        """Note that a message arrived."""

    def delivery_failed(self, delivery: int, error: str, next_at: float) -> None:
        """Note that a message did not arrive, and when it is tried again; later ones of its run wait as long."""

    def delivery_dead(self, delivery: int, error: str) -> None:
        """Note that a message is given up."""

    def give_up_deliveries(self, targets: Sequence[str], before: float, error: str) -> int:
        """Give up what waits for others than these targets and was made before a time; return how many those were."""

    def retry_delivery(self, delivery: int) -> bool:
        """Let a message that was given up wait again, from now on; tell whether there is such a one."""

    def deliveries(
        self, state: str | None = None, *, target: str | None = None, limit: int = 100
    ) -> list[Delivery]:
        """Return messages in a state ("waiting", "done", "dead"), or in any, the newest first."""

    def delivery_tallies(self) -> dict[str, DeliveryTally]:
        """Return how each target is that a message was ever made for, as far back as messages are kept."""

    def alerts(self, *, state: str = "firing", run: str | None = None, limit: int = 100) -> list[AlertView]:
        """Return alerts that fire, the newest first."""

    def alerts_at(self, run: str, step: int) -> list[AlertView]:
        """Return the alerts that stand after a step."""

    def compared_with(self, run: str) -> ReferenceRun:
        """Return what a run is compared with since it began to be judged."""

    def series(
        self,
        run: str,
        metrics: Sequence[str],
        *,
        from_step: int | None = None,
        to_step: int | None = None,
        points: int | None = None,
    ) -> Mapping[str, Series]:
        """Return series of a run, as `Source.series` promises."""
