"""An outbox in memory, for tests and for whoever wants to see the notifier at work without an archive."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
import numpy as np

from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.protocol import Series
from rolloutwatch_server.alerts.notes import ReferenceRun
from rolloutwatch_server.store import Delivery, DeliveryTally, Event, NewDelivery

_EMPTY = Series(np.zeros(0, np.int64), np.zeros(0))


class MemoryOutbox:
    """What `Store` has of `Outbox`; `put` is what the engine does there."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._events: dict[str, Event] = {}
        self._deliveries: dict[int, Delivery] = {}
        self.firing: list[AlertView] = []
        self.figures: dict[str, Series] = {}

    def put(self, *events: Event) -> None:
        """Put events into the outbox."""
        with self._lock:
            self._events |= {one.id: one for one in events}

    def outbox_events(self) -> list[Event]:
        """Return what no message was made of yet."""
        with self._lock:
            return list(self._events.values())

    def make_deliveries(self, deliveries: Iterable[NewDelivery], events: Sequence[str]) -> None:
        """Put messages in the place of events; one that was made before is not made again."""
        with self._lock:
            known = {(one.key, one.target) for one in self._deliveries.values()}
            for one in deliveries:
                if (one.key, one.target) not in known:
                    number, now = len(self._deliveries) + 1, self._clock()
                    self._deliveries[number] = Delivery(
                        number,
                        one.key,
                        one.target,
                        one.run,
                        one.events,
                        now,
                        0,
                        one.next_at,
                        None,
                        "waiting",
                        "",
                    )
            for event in events:
                self._events.pop(event, None)

    def due_deliveries(
        self, now: float | None = None, *, target: str | None = None, limit: int = 100
    ) -> list[Delivery]:
        """Return messages whose time has come, of each run only the first one that waits."""
        at = self._clock() if now is None else now
        firsts: dict[tuple[str, str], Delivery] = {}
        due = set()
        for one in reversed(self._of("waiting", target)):
            firsts.setdefault((one.target, one.run), one)
            if one.next_at <= at:
                due.add((one.target, one.run))
        return [one for of, one in firsts.items() if of in due][:limit]

    def delivery_done(self, delivery: int) -> None:
        """Note that a message arrived."""
        self._settle(delivery, state="done", done_at=self._clock(), error="")

    def delivery_failed(self, delivery: int, error: str, next_at: float) -> None:
        """Note that a message did not arrive, and when it is tried again; later ones of its run wait as long."""
        self._settle(delivery, error=error, next_at=next_at, done_at=self._clock())
        with self._lock:
            failed = self._deliveries[delivery]
            for one in self._of("waiting", failed.target):
                if one.run == failed.run and one.id > delivery:
                    later = max(one.next_at, next_at)
                    self._deliveries[one.id] = msgspec.structs.replace(one, next_at=later)

    def delivery_dead(self, delivery: int, error: str) -> None:
        """Note that a message is given up."""
        self._settle(delivery, state="dead", done_at=self._clock(), error=error)

    def give_up_deliveries(self, targets: Sequence[str], before: float, error: str) -> int:
        """Give up what waits for others than these targets and was made before a time; return how many those were."""
        with self._lock:
            old = [
                one
                for one in self._of("waiting", None)
                if one.target not in targets and one.created_at <= before
            ]
            for one in old:
                self._deliveries[one.id] = msgspec.structs.replace(
                    one, state="dead", done_at=self._clock(), error=error
                )
        return len(old)

    def retry_delivery(self, delivery: int) -> bool:
        """Let a message that was given up wait again; tell whether there is such a one."""
        with self._lock:
            one = self._deliveries.get(delivery)
            if one is None or one.state != "dead":
                return False
            self._deliveries[delivery] = msgspec.structs.replace(
                one, state="waiting", done_at=None, attempts=0, next_at=self._clock()
            )
        return True

    def deliveries(
        self, state: str | None = None, *, target: str | None = None, limit: int = 100
    ) -> list[Delivery]:
        """Return messages in a state, or in any, the newest first."""
        return self._of(state, target)[:limit]

    def delivery_tallies(self) -> dict[str, DeliveryTally]:
        """Return how each target is that a message was ever made for."""
        return {target: self._tally(target) for target in {one.target for one in self._of(None, None)}}

    def alerts(self, *, state: str = "firing", run: str | None = None, limit: int = 100) -> list[AlertView]:
        """Return alerts that fire."""
        return [one for one in self.firing if run in (None, one.run)][:limit]

    def alerts_at(self, run: str, step: int) -> list[AlertView]:
        """Return the alerts that stand after a step: those that fire and had begun by then."""
        return [one for one in self.firing if one.run == run and one.firing_step <= step]

    def compared_with(self, run: str) -> ReferenceRun:
        """Return what a run is compared with: nothing."""
        return ReferenceRun()

    def series(
        self,
        run: str,
        metrics: Sequence[str],
        *,
        from_step: int | None = None,
        to_step: int | None = None,
        points: int | None = None,
    ) -> Mapping[str, Series]:
        """Return figures, the same ones for every run."""
        return {name: self.figures.get(name, _EMPTY) for name in metrics}

    def _of(self, state: str | None, target: str | None) -> list[Delivery]:
        with self._lock:
            found = [
                one
                for one in self._deliveries.values()
                if state in (None, one.state) and target in (None, one.target)
            ]
        return found[::-1]

    def _tally(self, target: str) -> DeliveryTally:
        all_of_it = self._of(None, target)
        arrived = [one.done_at for one in all_of_it if one.state == "done" and one.done_at is not None]
        last = max(arrived, default=None)
        tried = sorted((one.done_at, one.id) for one in all_of_it if one.done_at is not None)
        latest = self._deliveries[tried[-1][1]] if tried else None
        if latest is None or latest.state == "done":
            return DeliveryTally(
                len(self._of("waiting", target)), len(self._of("dead", target)), last_success=last
            )
        since = min(
            one.created_at
            for one in all_of_it
            if one.state != "done" and one.done_at is not None and (last is None or one.done_at >= last)
        )
        return DeliveryTally(
            waiting=len(self._of("waiting", target)),
            dead=len(self._of("dead", target)),
            last_success=last,
            failing_since=max(since, last or since),
            error=latest.error,
        )

    def _settle(self, delivery: int, **changes: object) -> None:
        with self._lock:
            one = self._deliveries[delivery]
            self._deliveries[delivery] = msgspec.structs.replace(one, attempts=one.attempts + 1, **changes)
