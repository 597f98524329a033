"""The newest figures of every run that is live."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rolloutwatch_contract import CORE_METRICS, RunEnd, StepRecord
from rolloutwatch_contract.keys import first_stream_key, split_stream_key
from rolloutwatch_server.store import SECONDS_UNTIL_STALLED, DeadLetter, Entry

MOST_RUNS = 200  # of which figures are told: those heard of last
KEPT = frozenset(CORE_METRICS)


@dataclass(frozen=True)
class LiveRun:
    """A run at this moment: when it was last heard of, its newest step (None before the first) and figures."""

    heard_at: float
    step: int | None = None
    figures: dict[str, float] = field(default_factory=dict)


class LatestFigures:
    """Live runs by id. A run that has ended, or of which nothing is heard, is none; any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[str, LiveRun] = {}
        self._sessions: dict[str, set[str]] = {}

    def archived(self, stream: str, entries: Sequence[Entry], now: float) -> None:
        """Take what was new in a batch."""
        contents = [
            (entry.content, entry.hidden) for entry in entries if not isinstance(entry.content, DeadLetter)
        ]
        if not contents:
            return
        run, session = split_stream_key(stream)[0], first_stream_key(stream)
        with self._lock:
            if isinstance(contents[-1][0], RunEnd):
                self._end(run, session)
                return
            live = self._runs.get(run, LiveRun(now))
            step, figures = live.step, dict(live.figures)
            for content, hidden in contents:
                if isinstance(content, StepRecord) and (
                    shown := content.metrics.keys() - hidden if hidden else content.metrics.keys()
                ):
                    step = content.step
                    figures |= {metric: content.metrics[metric] for metric in shown & KEPT}
            self._runs[run] = replace(live, heard_at=now, step=step, figures=figures)
            self._sessions.setdefault(run, set()).add(session)
            if len(self._runs) > MOST_RUNS:
                self._forget_the_silent(now)

    def runs(self, now: float) -> dict[str, LiveRun]:
        """Return the runs that are live, at most MOST_RUNS of them."""
        with self._lock:
            self._forget_the_silent(now)
            newest = sorted(self._runs, key=lambda run: self._runs[run].heard_at, reverse=True)[:MOST_RUNS]
            return {run: self._runs[run] for run in newest}

    def _end(self, run: str, session: str) -> None:
        sessions = self._sessions.get(run, set())
        sessions.discard(session)
        if not sessions:
            self._sessions.pop(run, None)
            self._runs.pop(run, None)

    def _forget_the_silent(self, now: float) -> None:
        for run in [run for run, live in self._runs.items() if now - live.heard_at >= SECONDS_UNTIL_STALLED]:
            del self._runs[run]
            self._sessions.pop(run, None)
