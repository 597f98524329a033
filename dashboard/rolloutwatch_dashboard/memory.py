"""A source of data in memory: the fake that ships, for tests and for trying figures and pages without a server."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from rolloutwatch_contract.keys import split_run_id
from rolloutwatch_contract.protocol import MarkView, RunDetail, RunState, RunSummary, Series, SessionView
from rolloutwatch_dashboard.memory_alerts import MemoryAlerts
from rolloutwatch_dashboard.memory_histograms import MemoryHistograms
from rolloutwatch_dashboard.memory_steps import MemorySteps
from rolloutwatch_dashboard.memory_times import MemoryTimes


class MemorySource(MemoryHistograms, MemorySteps, MemoryTimes, MemoryAlerts):
    """Keeps runs in dictionaries.

    >>> source = MemorySource()
    >>> source.add_run("math~a", state=RunState.LIVE, updated_at=10.0)
    >>> source.add_step("math~a", 0, {"mismatch_kl": 0.1})
    """

    def __init__(self) -> None:
        super().__init__()
        self._runs: dict[str, RunSummary] = {}
        self._config: dict[str, dict[str, str | int | float | bool | None]] = {}
        self._values: dict[str, dict[str, dict[int, float]]] = {}
        self._marks: dict[str, list[MarkView]] = {}
        self._sessions: dict[str, tuple[SessionView, ...]] = {}
        self._changes: dict[str, int] = {}

    def add_run(
        self,
        run: str,
        *,
        state: RunState = RunState.LIVE,
        started_at: float = 0.0,
        updated_at: float = 0.0,
        config: Mapping[str, str | int | float | bool | None] | None = None,
        sessions: Sequence[SessionView] = (),
        tags: Sequence[str] = (),
        archived: bool = False,
    ) -> None:
        """Add a run without steps."""
        project, name = split_run_id(run)
        contested = any(session.contested for session in sessions)
        self._runs[run] = RunSummary(
            run, project, name, state, None, None, started_at, updated_at, contested, tuple(tags), archived
        )
        self._count(run)
        self._sessions[run] = tuple(sessions)
        self._marks[run] = []
        self._config[run] = dict(config or {})
        self._values[run] = {}

    def add_step(self, run: str, step: int, metrics: Mapping[str, float]) -> None:
        """Add figures of a step; the last value for a step stays."""
        for metric, value in metrics.items():
            self._values[run].setdefault(metric, {})[step] = value
        one = self._runs[run]
        first = step if one.first_step is None else min(one.first_step, step)
        last = step if one.last_step is None else max(one.last_step, step)
        self._runs[run] = msgspec.structs.replace(one, first_step=first, last_step=last)
        self._count(run)

    def add_mark(self, run: str, mark: MarkView) -> None:
        """Add something that happened at a step."""
        self._marks[run].append(mark)

    def runs(self) -> Sequence[RunSummary]:
        """Return all runs, the most recently updated first."""
        return sorted(self._runs.values(), key=lambda run: -run.updated_at)

    def versions(self) -> Mapping[str, str]:
        """Return a word for each run that stays as long as nothing is added to it."""
        return {run: str(changes) for run, changes in self._changes.items()}

    def run(self, run: str) -> RunDetail | None:
        """Return one run, None if there is none of that id."""
        summary = self._runs.get(run)
        return (
            None
            if summary is None
            else RunDetail(
                summary, tuple(self._values[run]), self._config[run], {}, {}, sessions=self._sessions[run]
            )
        )

    def series(
        self,
        run: str,
        metrics: Sequence[str],
        *,
        from_step: int | None = None,
        to_step: int | None = None,
        points: int | None = None,
        by_time: bool = False,
    ) -> Mapping[str, Series]:
        """Return the series asked for; nothing is thinned, since nothing here is long."""
        found = {}
        for metric in metrics:
            values = self._values.get(run, {}).get(metric, {})
            steps = [
                step
                for step in sorted(values)
                if (from_step or 0) <= step <= (2**62 if to_step is None else to_step)
            ]
            numbers = [values[step] for step in steps]
            one = Series(np.array(steps, dtype=np.int64), np.array(numbers, dtype=np.float64))
            found[metric] = self.by_time(run, one) if by_time else one
        return found

    def marks(
        self,
        run: str,
        *,
        from_step: int | None = None,
        to_step: int | None = None,
        most: int | None = None,
    ) -> Sequence[MarkView]:
        """Return what is marked, by step; all of it, since nothing here is long."""
        first, last = from_step or 0, 2**62 if to_step is None else to_step
        found = [mark for mark in self._marks.get(run, []) if first <= mark.step <= last]
        return sorted(found, key=lambda mark: (mark.step, mark.time))

    def _count(self, run: str) -> None:
        self._changes[run] = self._changes.get(run, 0) + 1
