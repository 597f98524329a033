"""What happens to alerts by the clock and not by a step: runs fall silent, people are told again, silences end.

It also tells trainers, through Redis, which alerts of their run fire, and reads a file of rules again when it changes.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from rolloutwatch_contract.alerts import FiringAlerts
from rolloutwatch_contract.conditions.nodes import Silent
from rolloutwatch_contract.rules import Rule
from rolloutwatch_server.alerts.publishing import SECONDS_KEPT, Publisher
from rolloutwatch_server.alerts.rulebook import Rulebook
from rolloutwatch_server.alerts.silence import is_silent, usual_seconds
from rolloutwatch_server.alerts.standing import tell_what_cannot_fire
from rolloutwatch_server.ingest import Health
from rolloutwatch_server.store import JudgedRun, Store, StoreError

log = logging.getLogger(__name__)

SECONDS_BETWEEN_TICKS = 0.5
SECONDS_BETWEEN_REPEATS = 4 * 3600.0
SECONDS_OF_INTEREST = 24 * 3600.0  # after which nobody is told of a run that is silent
SECONDS_OF_A_PAUSE = 30.0  # between two ticks: this program itself did not run
MOST_LAG = 5.0  # seconds that anything may have waited in Redis for a silence to be one
SECONDS_AFTER_THE_END = 60.0  # of a run, in which Redis may be away, its last word is said
MOST_STARTS = 1000  # that wait to be looked at
SECONDS_TO_END = 5.0


class Reading(Protocol):
    """Whether everything that comes is read: the ingest."""

    @property
    def health(self) -> Health:
        """What troubles it, if anything."""

    def lag(self) -> float:
        """For how many seconds, at most, anything has waited."""

    def behind(self) -> int:
        """How many streams have more waiting."""


class Ticker:
    """Everything that is due, when `tick` is called, by one thread. `tell` is called once viewers have something to be told.

    Silence counts only from when this server began to read, without trouble and all that there was.
    """

    def __init__(
        self,
        store: Store,
        rulebook: Rulebook,
        ingest: Reading,
        publisher: Publisher,
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._ingest = ingest
        self._publisher = publisher
        self._tell = tell
        self._reading_since: float | None = None
        self._last: float | None = None
        self._starts: deque[str] = deque(maxlen=MOST_STARTS)
        self._usual: dict[str, tuple[int, float]] = {}
        self._changes: int | None = None
        self._firing: dict[str, FiringAlerts] = {}
        self._ended: dict[str, float] = {}  # and until when it is told that they have
        self.counts: Mapping[str, int] | None = None  # of alerts that fire, by the word of their severity

    def started(self, run: str) -> None:
        """Let a run that has started be held against the rules; any thread may call it."""
        self._starts.append(run)

    def tick(self, now: float) -> None:
        """Do what is due at a time, in seconds since 1970; StoreError where the archive does not permit it."""
        self._note_reading(now)
        self._rulebook.look()
        rules = self._rulebook.rules()
        while self._starts:
            tell_what_cannot_fire(self._store, rules, self._starts.popleft())
        runs = self._store.judged_runs()
        self._judge_silence(rules, runs, now)
        self._tell_again(runs, now)
        self._tell()
        self._publish(runs, now)

    # -- silence ------------------------------------------------------------------------------------------------

    def _note_reading(self, now: float) -> None:
        """Note since when everything that comes is read at once; a program that stood still did not read."""
        stood_still = self._last is not None and not 0 <= now - self._last < SECONDS_OF_A_PAUSE
        self._last = now
        reads = (
            self._ingest.health.trouble is None
            and self._ingest.behind() == 0
            and self._ingest.lag() < MOST_LAG
        )
        if not reads:
            self._reading_since = None
        elif self._reading_since is None or stood_still:
            self._reading_since = now

    def _judge_silence(self, rules: tuple[Rule, ...], runs: list[JudgedRun], now: float) -> None:
        by_clock = [(rule, rule.when.node) for rule in rules if isinstance(rule.when.node, Silent)]
        self._usual = {run.run: self._usual[run.run] for run in runs if run.run in self._usual}
        if self._reading_since is None:
            return
        for run in runs:
            if now - run.heard_at >= SECONDS_OF_INTEREST:
                continue  # or else a rule that is edited would tell of every run that was ever killed
            seconds = now - max(run.heard_at, self._reading_since)
            waiting = [
                node
                for rule, node in by_clock
                if seconds >= node.seconds
                and rule.applies_to(run.run)
                and not self._fires(run.run, rule.name)
            ]
            if any(is_silent(node, seconds, self._usual_seconds(run)) for node in waiting):
                self._store.judge_by_clock(run.run, seconds, self._usual_seconds(run))

    def _fires(self, run: str, rule: str) -> bool:
        firing = self._firing.get(run)
        return firing is not None and any(alert.rule == rule for alert in firing.alerts)

    def _usual_seconds(self, run: JudgedRun) -> float:
        """Return how long a run usually takes for a step, read once for each silence."""
        known = self._usual.get(run.run)
        if known is None or known[0] != run.open_step:
            detail = self._store.run(run.run)
            started_at = detail.summary.started_at if detail is not None else 0.0
            known = (run.open_step, usual_seconds(self._store, run.run, run.open_step, started_at))
            self._usual[run.run] = known
        return known[1]

    # -- what people are told again -----------------------------------------------------------------------------

    def _tell_again(self, runs: list[JudgedRun], now: float) -> None:
        self._store.end_silences()
        for alert in self._store.expired_acknowledgements():
            self._store.tell_again(alert.id)
        of_interest = {run.run for run in runs if now - run.heard_at < SECONDS_OF_INTEREST}
        for alert in self._store.alerts_told_before(now - SECONDS_BETWEEN_REPEATS):
            if alert.run in of_interest:
                self._store.tell_again(alert.id)

    # -- what trainers are told ---------------------------------------------------------------------------------

    def _publish(self, runs: list[JudgedRun], now: float) -> None:
        changes = self._store.alert_changes
        changed = None if self._changes is None else self._store.runs_with_changed_alerts(self._changes)
        there = {run.run for run in runs}
        # once more of a run that has ended: that nothing of it fires any more
        self._ended = {run: until for run, until in self._ended.items() if until > now and run not in there}
        is_first = self._changes is None  # what a former server has said still stands in Redis
        ended = set(self._store.ended_runs(now - SECONDS_KEPT)) if is_first else self._firing.keys() - there
        self._ended |= dict.fromkeys(ended - self._ended.keys(), now + SECONDS_AFTER_THE_END)
        self._firing = dict(self._told(runs, changed))
        self._changes = changes
        self.counts = Counter(alert.severity for one in self._firing.values() for alert in one.alerts)
        self._publisher.publish(self._firing, now)

    def _told(self, runs: list[JudgedRun], changed: set[str] | None) -> Iterator[tuple[str, FiringAlerts]]:
        for run in runs:
            known = self._firing.get(run.run)
            if known is not None and changed is not None and run.run not in changed:
                yield run.run, FiringAlerts(step=run.open_step, time=run.heard_at, alerts=known.alerts)
            elif (found := self._store.firing(run.run)) is not None:
                yield run.run, found
        for ended in self._ended:
            if (found := self._store.firing(ended)) is not None:
                yield ended, found


class TickerThread:
    """A thread that does nothing but let a ticker tick; what goes wrong is said once, and does not end it."""

    def __init__(
        self, ticker: Ticker, clock: Callable[[], float] = time.time, seconds: float = SECONDS_BETWEEN_TICKS
    ) -> None:
        self._ticker = ticker
        self._clock = clock
        self._seconds = seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rolloutwatch-ticker", daemon=True)
        self.trouble = ""

    @property
    def counts(self) -> Mapping[str, int] | None:
        """How many alerts fire, by the word of their severity, as of the last tick; None before there was one."""
        return self._ticker.counts

    def __enter__(self) -> "TickerThread":
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End after the tick at hand."""
        self._stopping.set()
        self._thread.join(SECONDS_TO_END)

    def _run(self) -> None:
        while not self._stopping.wait(self._seconds):
            try:
                self._ticker.tick(self._clock())
            except StoreError as error:
                self._troubled(str(error))
            except Exception as error:
                why = f"{type(error).__name__}: {error}"
                if why != self.trouble:
                    log.exception("What is due by the clock met an error of its own; please report it.")
                self._troubled(why)
            else:
                self.trouble = ""

    def _troubled(self, why: str) -> None:
        if why != self.trouble:
            log.warning(
                "Nobody is told again of alerts, and silence is not noticed, which is tried again: %s", why
            )
        self.trouble = why


def why_alerts_do_not_work(store: Store, clockwork: TickerThread | None) -> str:
    """Return what is wrong with what judges alerts; empty if nothing is."""
    broken = store.broken_alerts
    of_runs = [f"alerts of run {run} are not judged: {why}" for run, why in list(broken.items())[:3]]
    more = [f"and those of {len(broken) - 3} others"] * (len(broken) > 3)
    by_clock = [clockwork.trouble] if clockwork is not None and clockwork.trouble else []
    return "; ".join([*by_clock, *of_runs, *more])
