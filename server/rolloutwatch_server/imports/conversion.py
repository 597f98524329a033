"""Makes an archive file of what an importer finds: sessions, records, names that the archive can have."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO

from rolloutwatch_contract import Outcome, RecordError, StepRecord
from rolloutwatch_contract.keys import run_id
from rolloutwatch_contract.record import MAX_METRICS, MAX_STEP, check
from rolloutwatch_server.exports.archive_file import Blocks
from rolloutwatch_server.imports.names import Names, TooManyNames, valid_run_name
from rolloutwatch_server.imports.past import About, Begin, Caution, End, Item, Row, Skipped
from rolloutwatch_server.imports.refusal import CannotImport
from rolloutwatch_server.store.transcript import Kept, RunFacts, SessionFacts

DEFAULT_PROJECT = "imported"
MOST_CONTINUATIONS = 100  # of one file, after which it is taken as it comes
MOST_WARNINGS = 100
_APART = 1e-5  # seconds by which sessions start one after the other


@dataclass(frozen=True)
class Target:
    """Where an imported run goes: project and name that were asked for, what to call it else, when its file was written."""

    project: str | None
    run: str | None
    fallback: str
    written_at: float


@dataclass
class Summary:
    """What became of a file."""

    run: str = ""
    records: int = 0
    values: int = 0
    sessions: int = 0
    names: Names = field(default_factory=Names)
    skipped: Counter[str] = field(default_factory=Counter)
    warnings: list[str] = field(default_factory=list)


def convert(items: Iterable[Item], target: Target, out: IO[bytes]) -> Summary:
    """Write the archive file of what an importer yields; CannotImport if there is nothing in it."""
    conversion = _Conversion(target, out)
    for item in items:
        conversion.take(item)
    return conversion.end()


@dataclass
class _Session:
    """The session that is under way."""

    name: str
    place: str
    started_at: float | None
    mark: str = "restart"
    outcome: Outcome = Outcome.FINISHED
    heard_at: float | None = None
    latest: tuple[float, int] | None = None
    firsts: dict[str, int] = field(default_factory=dict)
    tops: dict[str, int] = field(default_factory=dict)

    def goes_back(self, row: Row) -> bool:
        """Tell whether half of a row's figures have been had at its step, and beyond."""
        again = sum(
            self.firsts.get(name, math.inf) <= row.step < self.tops.get(name, -1) for name in row.figures
        )
        return 2 * again >= len(row.figures) > 0

    def note(self, row: Row) -> None:
        for name in row.figures:
            self.firsts[name] = min(row.step, self.firsts.get(name, row.step))
            self.tops[name] = max(row.step, self.tops.get(name, row.step))
        if row.time is not None:
            self.started_at = row.time if self.started_at is None or self.latest is None else self.started_at
            self.heard_at = max(row.time, self.heard_at or row.time)
            self.latest = max((row.time, row.step), self.latest or (row.time, row.step))


class _Conversion:
    def __init__(self, target: Target, out: IO[bytes]) -> None:
        self._target = target
        self._out = out
        self._blocks = Blocks()
        self._summary = Summary()
        self._about = About()
        self._session: _Session | None = None
        self._files = self._continuations = 0
        self._pending: Row | None = None
        self._last_start = -math.inf
        self._first_start = math.inf
        self._last_heard = -math.inf

    def take(self, item: Item) -> None:
        """Take one thing that the importer found."""
        match item:
            case Row():
                self._take_row(item)
            case Begin():
                self._end_session()
                self._files += 1
                self._continuations = 0
                self._session = _Session(f"import{self._files}", item.where, item.time)
            case About():
                self._about = About(
                    self._about.project or item.project,
                    self._about.name or item.name,
                    self._about.config | item.config,
                    self._about.environment | item.environment,
                )
            case End():
                if self._session is not None:
                    self._session.outcome = item.outcome
            case Skipped():
                self._summary.skipped[item.what] += item.count
            case Caution():
                if len(self._summary.warnings) < MOST_WARNINGS:
                    self._summary.warnings.append(item.text)

    def end(self) -> Summary:
        """End the file; return what became of it."""
        self._end_session()
        summary = self._summary
        if not summary.records:
            raise CannotImport(f"{self._target.fallback!a}: expected figures of steps; came none.")
        facts = RunFacts(
            self._first_start,
            self._last_heard,
            config=self._about.config,
            environment=self._about.environment,
        )
        self._write(self._blocks.end(facts))
        return summary

    def _take_row(self, row: Row) -> None:
        session = self._session
        assert session is not None, "an importer begins before it brings rows"
        if not 0 <= row.step <= MAX_STEP:
            self._summary.skipped["figures of a negative step"] += len(row.figures)
            return
        if not row.figures:
            self._summary.skipped["steps without a figure"] += 1
            return
        if session.goes_back(row) and self._continuations < MOST_CONTINUATIONS:
            session = self._go_back(session, row)
        session.note(row)
        before = self._pending
        if before is not None and before.step == row.step:
            row = Row(
                row.step,
                row.time if row.time is not None else before.time,
                before.figures | row.figures,
                row.place,
            )
        elif before is not None:
            self._write_row(before)
        self._pending = row

    def _go_back(self, session: _Session, row: Row) -> _Session:
        self._end_session()
        self._continuations += 1
        self._session = _Session(
            f"import{self._files}+{self._continuations}", session.place, row.time, mark="rollback"
        )
        return self._session

    def _write_row(self, row: Row) -> None:
        if not self._summary.run:
            self._begin()
        metrics: dict[str, float] = {}
        for name, value in row.figures.items():
            try:
                metrics[self._summary.names(name)] = value
            except TooManyNames as error:
                raise CannotImport(f"{row.place}: {error}.") from error
        pairs = list(metrics.items())
        for at in range(0, len(pairs), MAX_METRICS):
            record = StepRecord(
                row.step, 0.0 if row.time is None else row.time, dict(pairs[at : at + MAX_METRICS])
            )
            try:
                check(record)
            except RecordError as error:
                raise CannotImport(f"{row.place}: {error}") from error
            self._write(self._blocks.add(Kept(record, timed=row.time is not None)))
            self._summary.records += 1
        self._summary.values += len(metrics)

    def _begin(self) -> None:
        target, about = self._target, self._about
        project = target.project or valid_run_name(about.project or DEFAULT_PROJECT)
        name = target.run or valid_run_name(about.name or target.fallback)
        self._summary.run = run_id(project, name)
        self._out.write(self._blocks.begin(self._summary.run))

    def _end_session(self) -> None:
        session, self._session = self._session, None
        if self._pending is not None:
            self._write_row(self._pending)
            self._pending = None
        if session is None or not session.firsts:
            return
        started = session.started_at if session.started_at is not None else self._target.written_at
        started = max(started, self._last_start + _APART)
        heard = session.heard_at if session.heard_at is not None else self._target.written_at
        self._last_start = started
        self._first_start = min(self._first_start, started)
        self._last_heard = max(self._last_heard, heard)
        time, step = session.latest if session.latest is not None else (None, None)
        facts = SessionFacts(
            session.name, started, heard, started, session.outcome.value, session.mark,
            config=self._about.config, environment=self._about.environment | {"file": session.place[:200]},
            latest_time=time, latest_step=step,
        )  # fmt: skip
        self._write(self._blocks.end_session(facts))
        self._summary.sessions += 1

    def _write(self, blocks: Iterator[bytes]) -> None:
        for block in blocks:
            self._out.write(block)
