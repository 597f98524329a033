"""Which of several sessions of a run speaks for a step.

A run that is resumed goes back to its last checkpoint and does some steps again, in a new session.
What the former session brought from there on belongs to a past that was given up:
it stays in the archive, and is not shown.
A session gives up only the metrics that it has itself,
so that two processes that log different things to one run do not hide each other's.
"""

import math
import sqlite3
from collections.abc import Iterable, Mapping


class Lineage:
    """The sessions of a run in the order in which they started, when that was, and the step each began a metric with."""

    def __init__(self, started: Mapping[int, float], beginnings: Mapping[tuple[int, str], int]) -> None:
        self._started = dict(started)
        self._order = list(started)
        self._beginnings = dict(beginnings)
        self._ends: dict[tuple[int, str], float] = {}

    @classmethod
    def read(cls, db: sqlite3.Connection, run: str) -> "Lineage":
        """Read what the archive knows of a run."""
        order = db.execute(
            "SELECT id, started_at FROM sessions WHERE run = ? ORDER BY started_at, stream", (run,)
        )
        rows = db.execute("SELECT session, metric, first_step FROM beginnings WHERE run = ?", (run,))
        return cls(dict(order.fetchall()), {(s, metric): first for s, metric, first in rows})

    @property
    def order(self) -> list[int]:
        """Return the sessions, the one that started last being the last."""
        return self._order

    def first_step(self, session: int, metric: str) -> int | None:
        """Return the step a session began a metric with, None if it has not."""
        return self._beginnings.get((session, metric))

    def takeovers(self) -> list[tuple[int, str, float]]:
        """Return which session gives up which metric from which step on; while this stays, no shown step is withdrawn."""
        ends = ((session, metric, self.end(session, metric)) for session, metric in sorted(self._beginnings))
        return [takeover for takeover in ends if takeover[-1] < math.inf]

    def hidden(self, session: int, metrics: Iterable[str], step: int) -> frozenset[str]:
        """Return for which of these metrics another session speaks at a step."""
        if session == self._order[-1]:
            return frozenset()
        return frozenset(metric for metric in metrics if step >= self.end(session, metric))

    def is_beside(self, session: int, metrics: Iterable[str], step: int, time: float) -> bool:
        """Whether a step was done after a session that speaks for one of these metrics of it had started."""
        later = [other for other in self._later(session) if self._started[other] < time]
        return any(self._beginnings.get((other, m), math.inf) <= step for other in later for m in metrics)

    def begin(self, session: int, metric: str, step: int) -> None:
        """Note that a session has a metric from this step on."""
        self._beginnings[session, metric] = step
        self._ends.clear()

    def end(self, session: int, metric: str) -> float:
        """Return the first step from which on another session speaks for a metric; infinity if none does."""
        if (session, metric) not in self._ends:
            firsts = (self._beginnings.get((other, metric), math.inf) for other in self._later(session))
            self._ends[session, metric] = min(firsts, default=math.inf)
        return self._ends[session, metric]

    def _later(self, session: int) -> list[int]:
        return self._order[self._order.index(session) + 1 :]
