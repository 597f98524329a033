"""Who takes events out of the outbox, makes messages of them, and has them sent; and how that goes."""

import logging
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from rolloutwatch_contract.diagnosis import Diagnosis
from rolloutwatch_contract.protocol import TargetView
from rolloutwatch_server.diagnosing import diagnosis_of
from rolloutwatch_server.notify.children import Painter
from rolloutwatch_server.notify.events import Content, encode, ends, is_muted, is_over, key_of, says_it_fires
from rolloutwatch_server.notify.example import invented_example
from rolloutwatch_server.notify.gathering import Gatherer
from rolloutwatch_server.notify.outbox import Outbox
from rolloutwatch_server.notify.posts import Pictures, Post, World
from rolloutwatch_server.notify.sending import (
    ATTEMPTS_UNTIL_FAILING,
    SECONDS_AFTER_TROUBLE,
    SECONDS_UNTIL_GIVEN_UP,
    Sender,
)
from rolloutwatch_server.notify.targets import Target
from rolloutwatch_server.store import DeliveryTally, Event, NewDelivery, StoreError

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 0.1
SECONDS_BETWEEN_LOOKS_FOR_NOBODY = 5.0
SECONDS_BETWEEN_COUNTS = 5.0
SECONDS_TO_END = 2.0
MOST_ALERTS_COUNTED = 1000
MOST_DEAD = 1000  # the archive keeps no more
NOT_IN_THE_FILE = "there is no such target in the file any more, for a day by now."


class Departed(NamedTuple):
    """Somebody who is not in the file any more: messages that wait for them, a day at most, and that were given up."""

    name: str
    waiting: int
    dead: int


class Standing(NamedTuple):
    """How everybody was when that was looked at last."""

    targets: Sequence[TargetView] = ()
    departed: Sequence[Departed] = ()


def departed(tallies: Mapping[str, DeliveryTally], names: Collection[str]) -> list[Departed]:
    """Return those that are not among the names, and for whom messages wait or were given up."""
    return [
        Departed(name, tally.waiting, tally.dead)
        for name, tally in tallies.items()
        if name not in names and (tally.waiting or tally.dead)
    ]


class UnderWay(RuntimeError):
    """Another test is being sent; one at a time is enough."""


class Notifier:
    """Threads that tell people what the outbox has: one that makes messages, and one for each target that sends them.

    It may be killed at any time: what was not sent stands in the archive. Without targets it lets go of events.
    """

    def __init__(self, outbox: Outbox, targets: Sequence[Target], world: World) -> None:
        self._outbox, self._targets, self._world = outbox, tuple(targets), world
        self._painter = Painter(world.environment)
        self._pictures = Pictures(self._painter, outbox)
        self._senders = [
            Sender(outbox, Post(target, world), self._pictures, world.clock) for target in self._targets
        ]
        self._tests = {target.name: Post(target, world) for target in self._targets}
        self._names = [target.name for target in self._targets]
        self._testing = threading.Lock()
        self._looked_at: float | None = None
        self.standing = Standing()  # from a few seconds ago, for whoever must not ask the archive
        self._gatherer = Gatherer()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rolloutwatch-notify", daemon=True)

    def __enter__(self) -> "Notifier":
        """Begin."""
        for sender in self._senders:
            sender.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End within a few seconds, also while a receiver hangs."""
        self._stopping.set()
        for sender in self._senders:
            sender.stop()
        for post in self._tests.values():
            post.stop()
        self._painter.stop()
        for sender in self._senders:
            sender.join(SECONDS_TO_END / max(1, len(self._senders)))
        self._thread.join(SECONDS_TO_END)

    def target(self, name: str) -> Target | None:
        """Return a target by its name."""
        return next((one for one in self._targets if one.name == name), None)

    def views(self) -> list[TargetView]:
        """Return how each target is."""
        tallies = self._outbox.delivery_tallies()
        return [self._view(one, tallies.get(one.name, DeliveryTally())) for one in self._targets]

    def departed(self) -> list[Departed]:
        """Return those for whom messages wait or were given up, and who are not in the file any more."""
        return departed(self._outbox.delivery_tallies(), self._names)

    def failing(self) -> list[TargetView]:
        """Return the targets that fail, of which pages have a banner."""
        return [one for one in self.views() if one.failing_since is not None]

    def test(self, target: Target) -> str:
        """Send a test to a target, now; return why it did not arrive, '' if it did. UnderWay: another one is being sent."""
        if not self._testing.acquire(blocking=False):
            raise UnderWay("another test is being sent: wait until that has arrived, and try again.")
        try:
            content, drawing = invented_example(self._world.clock())
            picture = self._pictures.drawn(drawing) if target.picture else None
            return self._tests[target.name].send(key_of(content.events), content, picture).error
        finally:
            self._testing.release()

    def retry(self, delivery: int) -> bool:
        """Let a message that was given up be sent anew; tell whether there is such a one, for a target that there is."""
        dead = self._outbox.deliveries("dead", limit=MOST_DEAD)
        message = next((one for one in dead if one.id == delivery), None)
        sender = None if message is None else self._sender(message.target)
        if message is None or sender is None or not self._outbox.retry_delivery(delivery):
            return False
        sender.begin_anew(message.run)
        sender.wake()
        return True

    def retry_all(self) -> int:
        """Let all messages be sent anew that were given up, for targets that there are; return how many."""
        return sum(self.retry(one.id) for one in self._outbox.deliveries("dead", limit=MOST_DEAD))

    def round(self) -> int:
        """Make messages of the events whose time has come; return how many events still wait."""
        events = self._outbox.outbox_events()
        if events and any(target.picture for target in self._targets):
            self._painter.warm()
        now, taken = self._world.clock(), 0
        for group in self._gatherer.ready(events, now):
            self._make(group, now)
            taken += len(group)
        return len(events) - taken

    def look_after(self) -> None:
        """Give up what has waited for a day for somebody who is not in the file any more; note how everybody is."""
        before = self._world.clock() - SECONDS_UNTIL_GIVEN_UP
        count = self._outbox.give_up_deliveries(self._names, before, NOT_IN_THE_FILE)
        if count:
            log.error("%d messages are given up for targets that are not in the file any more", count)
        self.standing = Standing(self.views(), self.departed())

    def _make(self, group: Sequence[Event], now: float) -> None:
        """Put messages for all targets that want them in the place of events."""
        run, deliveries = group[0].run, []
        others, diagnosis = self._others(run, group), self._diagnosis(run, group)
        loud = [one for one in group if not is_muted(one)]
        for target in self._targets:
            wanted = tuple(one for one in loud if target.wants(one))
            if wanted:
                over = tuple(sorted(ends(group) - ends(wanted)))
                text = encode(Content(wanted, others, over=over, diagnosis=diagnosis))
                deliveries.append(NewDelivery(key_of(wanted), target.name, run, text, now))
        self._outbox.make_deliveries(deliveries, [one.id for one in group])
        if deliveries and not group[0].late:
            self._gatherer.told(run, now)
        self._wake()

    def _others(self, run: str, group: Sequence[Event]) -> int:
        """Return how many alerts fire on a run besides those of a message."""
        told = {one.alert for one in group if not is_over(one)}
        firing = self._outbox.alerts(state="firing", run=run, limit=MOST_ALERTS_COUNTED)
        return sum(one.id not in told for one in firing)

    def _diagnosis(self, run: str, group: Sequence[Event]) -> Diagnosis | None:
        """Return what is probably wrong at the last step at which something fires, if anything is known to be."""
        steps = [one.step for one in group if says_it_fires(one) and not one.late]
        found = diagnosis_of(self._outbox, run, max(steps)) if steps else None
        return found if found is not None and found.causes else None

    def _sender(self, target: str) -> Sender | None:
        return next((one for one in self._senders if one.target == target), None)

    def _wake(self) -> None:
        for sender in self._senders:
            sender.wake()

    def _view(self, target: Target, tally: DeliveryTally) -> TargetView:
        is_failing = False
        if tally.failing_since is not None:
            waiting = self._outbox.deliveries("waiting", target=target.name)
            is_failing = tally.dead > 0 or any(one.attempts >= ATTEMPTS_UNTIL_FAILING for one in waiting)
        return TargetView(
            name=target.name,
            kind=target.kind,
            host=target.host,
            severity=target.severity.word,
            runs=target.runs,
            waiting=tally.waiting,
            dead=tally.dead,
            last_success=tally.last_success,
            failing_since=tally.failing_since if is_failing else None,
            error=tally.error if is_failing else "",
        )

    def _run(self) -> None:
        usual = SECONDS_BETWEEN_LOOKS if self._targets else SECONDS_BETWEEN_LOOKS_FOR_NOBODY
        is_in_trouble = False
        if any(target.picture for target in self._targets):
            self._painter.warm()
        while not self._stopping.wait(SECONDS_AFTER_TROUBLE if is_in_trouble else usual):
            is_in_trouble = not self._try_round(is_in_trouble)
            self._painter.rest()

    def _try_round(self, is_known: bool) -> bool:
        try:
            self.round()
            now = time.monotonic()
            if self._looked_at is None or now - self._looked_at >= SECONDS_BETWEEN_COUNTS:
                self.look_after()
                self._looked_at = now
        except StoreError as error:
            if not is_known and not self._stopping.is_set():
                log.warning("Nobody is told of alerts, which is tried again: %s", error)
            return False
        except Exception:
            # a thread that has ended would keep events back without a word
            if not is_known:
                log.exception("Notifications met an error of their own; please report it.")
            return False
        return True
