"""Which events of the outbox go out now, and which together: of one run at most one message in ten seconds."""

from collections.abc import Mapping, Sequence

from rolloutwatch_server.store import Event

SECONDS_FOR_WHAT_FIRES_TOGETHER = 0.2
SECONDS_BETWEEN_MESSAGES = 10.0  # of one run
SECONDS_WITHOUT_A_LATE_ONE = 2.0  # after which a digest is complete
MOST_SECONDS_OF_A_DIGEST = 60.0
MOST_EVENTS_OF_A_MESSAGE = 200


class Gatherer:
    """Groups of events whose time has come. Times are seconds since 1970, and are arguments.

    The first event of a run goes at once, with those that fire within the same instant;
    what follows within ten seconds is gathered into the next message.
    What was found late waits until no more of it is found: one digest for each run, not one message for each event.
    What happens to an alert of a digest goes with it, so that no end is told before its beginning.
    """

    def __init__(self, told: Mapping[str, float] | None = None) -> None:
        self._told = dict(told or {})

    def ready(self, events: Sequence[Event], now: float) -> list[list[Event]]:
        """Return groups to be told now, each of one run, in the order in which their first events happened."""
        groups: dict[tuple[str, bool], list[Event]] = {}
        of_digests: set[str] = set()
        for event in events:
            if event.late:
                of_digests.add(event.alert)
            groups.setdefault((event.run, event.alert in of_digests), []).append(event)
        ready = [
            group
            for (run, late), group in groups.items()
            if (self._is_complete(group, now) if late else self._is_due(run, group, now))
        ]
        return [
            group[begin : begin + MOST_EVENTS_OF_A_MESSAGE]
            for group in ready
            for begin in range(0, len(group), MOST_EVENTS_OF_A_MESSAGE)
        ]

    def told(self, run: str, now: float) -> None:
        """Note that people were told of events of a run, and forget when they were long ago."""
        self._told[run] = now
        for old in [one for one, when in self._told.items() if now - when > SECONDS_BETWEEN_MESSAGES]:
            del self._told[old]

    def _is_due(self, run: str, group: Sequence[Event], now: float) -> bool:
        told = self._told.get(run)
        if told is not None and 0 <= now - told < SECONDS_BETWEEN_MESSAGES:
            return False
        return _age(group[0], now) >= SECONDS_FOR_WHAT_FIRES_TOGETHER

    def _is_complete(self, group: Sequence[Event], now: float) -> bool:
        is_quiet = _age(group[-1], now) >= SECONDS_WITHOUT_A_LATE_ONE
        return is_quiet or _age(group[0], now) >= MOST_SECONDS_OF_A_DIGEST


def _age(event: Event, now: float) -> float:
    """Return for how long an event has waited; one from the future, of before the clock was set back, has waited long."""
    return now - event.created_at if event.created_at <= now else MOST_SECONDS_OF_A_DIGEST
