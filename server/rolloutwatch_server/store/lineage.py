"""Which of several sessions of a run speaks for a step, which of them go on from another, and which claim it at once.

A run that is resumed goes back to its last checkpoint and does some steps again, in a new session.
What the former session brought from there on belongs to a past that was given up:
it stays in the archive, and is not shown.
A session gives up only the metrics that it has itself,
so that two processes that log different things to one run do not hide each other's.
A former session that goes on with what was taken from it, after the later one has started, and that one are rivals.
"""

import math
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

_JUST_BEHIND = 1e-5  # seconds; what a double of today's seconds still tells apart


class Latest(NamedTuple):
    """The newest figures of a session: when they were made, and of which step."""

    time: float = -math.inf
    step: int = -1


class Lineage:
    """The sessions of a run in the order in which they started, when that was, and the step each began a metric with.

    `declared` is when a session started by its own clock, where it has said so.
    """

    def __init__(
        self,
        started: Mapping[int, float],
        declared: Mapping[int, float],
        beginnings: Iterable[tuple[int, str, int]],
        latest: Mapping[int, Latest],
        contests: Iterable[tuple[int, int]],
    ) -> None:
        self._started = dict(started)
        self._order = list(started)
        self._slow = {session: started[session] - time for session, time in declared.items()}
        self._firsts: defaultdict[int, dict[str, int]] = defaultdict(dict)
        for session, metric, step in beginnings:
            self._firsts[session][metric] = step
        self._latest = dict(latest)
        self.contests = set(contests)
        self._ends: dict[tuple[int, str], float] = {}

    @classmethod
    def read(cls, db: sqlite3.Connection, run: str) -> "Lineage":
        """Read what the archive knows of a run."""
        query = (
            "SELECT id, started_at, declared_at, latest_time, latest_step FROM sessions WHERE run = ? "
            "ORDER BY started_at, stream"
        )
        sessions = db.execute(query, (run,)).fetchall()
        latest = {session: Latest(time, step) for session, _, _, time, step in sessions if time is not None}
        beginnings = db.execute("SELECT session, metric, first_step FROM beginnings WHERE run = ?", (run,))
        contests = db.execute("SELECT session, rival FROM contests WHERE run = ?", (run,))
        started = {session: started for session, started, *_ in sessions}
        declared = {session: time for session, _, time, *_ in sessions if time is not None}
        return cls(started, declared, beginnings, latest, contests)

    @property
    def order(self) -> list[int]:
        """Return the sessions, the one that started last being the last."""
        return self._order

    def time_of(self, session: int, time: float) -> float:
        """Return when that was which a session's clock calls `time`, as far as its start has told how wrong it goes."""
        return time + self._slow.get(session, 0.0)

    def follows_all(self, session: int, time: float) -> float:
        """Return `time`, or what is just behind the start of every session and behind the figures of this one."""
        figures = self._latest.get(session, Latest()).time
        return max(time, figures, max(self._started.values()) + _JUST_BEHIND)

    def is_within(self, session: int, time: float) -> bool:
        """Tell whether a session started, or brought figures, at that time or later."""
        return time <= max(self._started[session], self.latest_time(session))

    def count_of_metrics(self, session: int) -> int:
        """Return how many metrics a session has."""
        return len(self._firsts[session])

    def latest_time(self, session: int) -> float:
        """Return when the newest figures of a session were made."""
        return self._latest.get(session, Latest()).time

    def speakers(self, session: int, metrics: Collection[str], step: int) -> list[int]:
        """Return the later sessions that each speak for at least half of these metrics at a step."""
        if not metrics or session == self._order[-1]:
            return []
        taken = {
            later: sum(self._firsts[later].get(metric, math.inf) <= step for metric in metrics)
            for later in self._later(session)
        }
        return [later for later, count in taken.items() if 2 * count >= len(metrics)]

    def first_step(self, session: int, metric: str) -> int | None:
        """Return the step a session began a metric with, None if it has not."""
        return self._firsts[session].get(metric)

    def with_metric(self, metric: str) -> list[int]:
        """Return the sessions that have a metric."""
        return [session for session, firsts in self._firsts.items() if metric in firsts]

    def takeovers(self) -> list[tuple[int, str, float]]:
        """Return which session gives up which metric from which step on; while this stays, no shown step is withdrawn."""
        had = sorted((session, metric) for session, firsts in self._firsts.items() for metric in firsts)
        ends = ((session, metric, self.end(session, metric)) for session, metric in had)
        return [takeover for takeover in ends if takeover[-1] < math.inf]

    def hidden(self, session: int, metrics: Iterable[str], step: int) -> frozenset[str]:
        """Return for which of these metrics another session speaks at a step."""
        if session == self._order[-1]:
            return frozenset()
        return frozenset(metric for metric in metrics if step >= self.end(session, metric))

    def begin(self, session: int, metric: str, step: int) -> None:
        """Note that a session has a metric from this step on."""
        self._firsts[session][metric] = step
        self._ends.clear()

    def note(self, session: int, latest: Latest) -> None:
        """Note that a session has brought figures."""
        self._latest[session] = max(latest, self._latest.get(session, latest))

    def end(self, session: int, metric: str) -> float:
        """Return the first step from which on another session speaks for a metric; infinity if none does."""
        if (session, metric) not in self._ends:
            firsts = (self._firsts[later].get(metric, math.inf) for later in self._later(session))
            self._ends[session, metric] = min(firsts, default=math.inf)
        return self._ends[session, metric]

    def ends(self, session: int) -> dict[str, float]:
        """Return of each metric of a session the first step from which on another speaks for it; infinity if none does."""
        return {metric: self.end(session, metric) for metric in self._firsts[session]}

    def end_of_marks(self, session: int) -> float:
        """Return the step from which on a session's marks are given up: with half of its metrics."""
        ends = sorted(self.ends(session).values())
        return ends[(len(ends) - 1) // 2] if ends else math.inf

    def restarts(self) -> dict[int, int]:
        """Return the sessions that go on from former ones, with their first step.

        A session that has half of what the run had before goes on with it; an evaluation that logs to the trainer's
        run has less. One that took the run from a trainer that did not end is its rival, and no restart.
        """
        rivals = {rival for _, rival in self.contests}
        before: set[str] = set()
        found = {}
        for session in self._order:
            firsts = self._firsts[session]
            if session not in rivals and before and 2 * len(before & firsts.keys()) >= len(before):
                found[session] = min(firsts.values())
            before |= firsts.keys()
        return found

    def predecessor(self, session: int) -> int | None:
        """Return the last session before one that had half of the run's figures that this one goes on with.

        An evaluation that logs to the trainer's run has less; None if no session has so many.
        """
        former = self._order[: self._order.index(session)]
        before = {metric for one in former for metric in self._firsts[one]}
        shared = before & self._firsts[session].keys()
        had = (one for one in reversed(former) if 2 * len(self._firsts[one].keys() & shared) >= len(shared))
        return next(had, None)

    def new_contests(self, session: int) -> list[tuple[int, int]]:
        """Return each former session and its rival, as far as `session` is one of them and it is not known."""
        pairs = [(session, later) for later in self._later(session)]
        pairs += [(former, session) for former in self._order[: self._order.index(session)]]
        return [pair for pair in pairs if pair not in self.contests and self._is_contest(*pair)]

    def _is_contest(self, former: int, later: int) -> bool:
        """Whether a session went on after a later one had started, and had done steps of most that this one took over.

        Most, because a trainer and an evaluation may have a figure in common.
        """
        latest = self._latest.get(former, Latest())
        if latest.time <= self._started[later]:
            return False
        had, has = self._firsts[former], self._firsts[later]
        taken = [metric for metric in had.keys() & has.keys() if has[metric] <= latest.step]
        return bool(taken) and 2 * len(taken) >= len(had)

    def _later(self, session: int) -> list[int]:
        return self._order[self._order.index(session) + 1 :]
