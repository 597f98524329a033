"""The archive as everyone else sees it."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rolloutwatch_contract import Mark, MarkKind, RunEnd, StepRecord
from rolloutwatch_contract.histograms import Histograms
from rolloutwatch_contract.keys import split_stream_key
from rolloutwatch_contract.protocol import MarkView, RunDetail, RunState, RunSummary, Series, SessionView
from rolloutwatch_server.downsample import thin, thin_by_time
from rolloutwatch_server.store.alert_book import AlertBook
from rolloutwatch_server.store.attempts import Attempt, StepTables, read_attempts
from rolloutwatch_server.store.checksum import check
from rolloutwatch_server.store.columns import Shown
from rolloutwatch_server.store.continuation import SECONDS_UNTIL_STALLED
from rolloutwatch_server.store.database import DamagedArchive
from rolloutwatch_server.store.entries import DeadLetter, Entry
from rolloutwatch_server.store.judged import read_compared_with
from rolloutwatch_server.store.lineage import Lineage
from rolloutwatch_server.store.marks import contests, read_marks, restarts, views
from rolloutwatch_server.store.portions import Portion, read_all_tables, read_history, read_portions
from rolloutwatch_server.store.watching import Watching

_SUMMARY = "id, project, name, first_step, last_step, started_at, updated_at, tags, archived"
_KINDS_OF_SUMMARY = (str, str, str, int | None, int | None, float, float, str, int)


class Store(Watching):
    """The archive in a file of `path`, or in memory for `Store(MEMORY)`. Safe to use from any thread."""

    @classmethod
    def reading(cls, path: Path | str) -> "Store":
        """Open an archive to read alone, also while a server is at work on it; StoreError if there is none."""
        return cls(path, reading=True)

    def archive(self, stream: str, entries: Sequence[Entry]) -> list[Entry]:
        """Archive a batch of one stream with its cursor; return what was new in it, and what of that is hidden.

        StoreError: nothing happened.
        """
        return self.archive_many({stream: entries})[stream]

    def archive_many(
        self, batches: Mapping[str, Sequence[Entry]], before_commit: Callable[[], None] = lambda: None
    ) -> dict[str, list[Entry]]:
        """Archive a batch of each of several streams, as `archive` does one, all of them or none.

        `before_commit` is called when all of it is written.
        """
        try:
            with self._database.write() as db:
                book = self._book(db)
                fresh = {stream: self._archive(db, book, stream, one) for stream, one in batches.items()}
                runs = list(dict.fromkeys(split_stream_key(stream)[0] for stream in batches))
                changed = self._engine.settle(book, runs)
                before_commit()
        except BaseException:
            self._forget()
            raise
        self._alert_news.note(*changed)
        return fresh

    def _archive(
        self, db: sqlite3.Connection, book: AlertBook, stream: str, entries: Sequence[Entry]
    ) -> list[Entry]:
        run, _ = split_stream_key(stream)
        self._engine.before(
            book, run, [one.content for one in entries if isinstance(one.content, StepRecord)]
        )
        fresh = self._writer.write(db, stream, entries, book.now)
        self._news.note(run, _changes(db, run) or 0, fresh)
        judged = [
            (one.content, one.session, one.hidden)
            for one in fresh
            if isinstance(one.content, StepRecord | RunEnd)
            or (isinstance(one.content, Mark) and one.content.kind == MarkKind.CONFIG.value)
        ]
        times = [one.content.time for one in fresh if not isinstance(one.content, DeadLetter)]
        self._engine.after(book, run, judged, min(times, default=book.now))
        return fresh

    def archived_to(self, stream: str) -> int:
        """Return the number up to which all of a stream's records are archived, without one missing."""
        with self._database.read() as db:
            query = "SELECT cursor, archived_to, dead_letters, crc FROM streams WHERE stream = ?"
            row = db.execute(query, (stream,)).fetchone()
            if row is None:
                return 0
            check("how far a stream is read", row[-1], stream, *row[:-1])
        return int(row[1])

    def runs(self) -> list[RunSummary]:
        """Return all runs, the most recently updated first."""
        with self._database.read() as db:
            states, contested = self._states(db), {run for run, _, _ in self._contested(db)}
            rows = db.execute(f"SELECT {_SUMMARY} FROM runs ORDER BY updated_at DESC, id").fetchall()
            return [_summary(row, states, row[0] in contested) for row in rows]

    def run(self, run: str) -> RunDetail | None:
        """Return one run, None if there is none of that id."""
        with self._database.read() as db:
            row = db.execute(
                f"SELECT {_SUMMARY}, config, environment, changes, tables_from FROM runs WHERE id = ?", (run,)
            ).fetchone()
            if row is None:
                return None
            states, sessions = self._states(db, run), self._sessions(db, run)
            query = "SELECT metric FROM beginnings WHERE run = ? GROUP BY metric ORDER BY min(id)"
            names = tuple(metric for (metric,) in db.execute(query, (run,)))
            dropped = db.execute("SELECT dropped FROM sessions WHERE run = ?", (run,)).fetchall()
            summary = _summary(row[:-4], states, any(one.contested for one in sessions.values()))
            generation = _generation(Lineage.read(db, run))
            reference = read_compared_with(db, run).run
        counts: dict[str, int] = {}
        for (text,) in dropped:
            for reason, count in json.loads(text).items():
                counts[reason] = counts.get(reason, 0) + count
        config, environment, changes = json.loads(row[-4]), json.loads(row[-3]), int(row[-2])
        return RunDetail(
            summary,
            names,
            config,
            environment,
            counts,
            generation,
            tuple(sessions.values()),
            changes,
            row[-1],
            reference,
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
        """Return series as `Source.series` promises, or thinned `by_time`: in its order, each value with its time.

        DamagedArchive: a column is not what was written.
        """
        thinned = thin_by_time if by_time else thin
        with self._database.read() as db:
            shown = Shown(db, run, *_range(from_step, to_step))
            # one after the other: memory for one long series is had quickly, for all of them it is not
            return {metric: thinned(shown.series(metric, timed=by_time), points) for metric in metrics}

    def histograms(
        self,
        run: str,
        *,
        from_step: int | None = None,
        to_step: int | None = None,
        columns: int = 500,
        width: int = 1,
    ) -> Histograms:
        """Return histograms as `Source.histograms` promises."""
        with self._database.read() as db:
            return self._histograms.read(db, run, *_range(from_step, to_step), columns, width)

    def times(self, run: str, from_step: int | None = None, to_step: int | None = None) -> Series:
        """Return when the shown figures of each step were made, in seconds since 1970, NaN where that is not known."""
        with self._database.read() as db:
            return Shown(db, run, *_range(from_step, to_step)).times()

    def portions(
        self,
        run: str,
        metrics: Sequence[str] | None = None,
        from_step: int | None = None,
        to_step: int | None = None,
        steps: int = 50_000,
        bare: bool = False,
    ) -> Iterator[Portion]:
        """Yield the shown figures in order of steps, all metrics or those named, in portions of at most so many steps.

        With `bare` also the steps of which nothing but tables, or the time, is known.
        Resumed: the run went back meanwhile, so that what was yielded is not shown any more.
        """
        if metrics is None:
            detail = self.run(run)
            metrics = () if detail is None else detail.metrics
        return read_portions(self._database, run, metrics, *_range(from_step, to_step), steps, bare)

    def tables(
        self, run: str, from_step: int | None = None, to_step: int | None = None
    ) -> Iterator[tuple[int, StepTables]]:
        """Yield what goes along with each step that has something, as shown, in order of steps.

        Resumed: the run went back meanwhile, so that what was yielded is not shown any more.
        """
        return read_all_tables(self._database, run, *_range(from_step, to_step))

    def history(self, run: str) -> object:
        """Return what stays equal until a run goes back, or is deleted, also if another one of its id has begun."""
        with self._database.read() as db:
            return read_history(db, run)

    def last_marked(self, run: str) -> int:
        """Return the last step of a run at which anything was marked, given up or not; -1 if nothing was."""
        query = (
            "SELECT max(coalesce((SELECT max(step) FROM marks JOIN sessions ON sessions.id = session "
            "WHERE marks.run = ?1), -1), coalesce((SELECT max(step) FROM contests WHERE run = ?1), -1))"
        )
        with self._database.read() as db:
            return int(db.execute(query, (run,)).fetchone()[0])

    def marked(self, run: str, from_step: int | None = None, to_step: int | None = None) -> int:
        """Return how many marks there are of the kind that there are most of, given up or not."""
        query = (
            "SELECT count(*) FROM marks WHERE run = ? AND step BETWEEN ? AND ? GROUP BY kind ORDER BY 1 DESC"
        )
        with self._database.read() as db:
            row = db.execute(query, (run, *_range(from_step, to_step))).fetchone()
        return 0 if row is None else int(row[0])

    def changes(self, run: str) -> int | None:
        """Return a number that grows with all that is archived for a run, None if there is none of that id."""
        with self._database.read() as db:
            return _changes(db, run)

    def changed_from(self, run: str, changes: int) -> int:
        """Return the lowest step that figures came for after so many changes of a run; 0 if that is not known any more."""
        return self._news.since(run, changes)

    def dead_letters(self, limit: int) -> list[DeadLetter]:
        """Return what could not be read, the newest first; of each run only the newest ones are kept."""
        with self._database.read() as db:
            rows = db.execute(
                "SELECT stream, entry, reason, head, time FROM dead_letters ORDER BY id DESC LIMIT ?",
                (limit,),
            ).fetchall()
        return [DeadLetter(*row) for row in rows]

    def dead_letter_count(self) -> int:
        """Return how many entries could ever not be read, whether they are kept or not."""
        with self._database.read() as db:
            return int(db.execute("SELECT coalesce(sum(dead_letters), 0) FROM streams").fetchone()[0])

    def dropped(self) -> dict[str, dict[str, int]]:
        """Return what processes could not deliver, by their first stream and by reason, of those that lost anything."""
        with self._database.read() as db:
            rows = db.execute("SELECT stream, dropped FROM sessions WHERE dropped != '{}' ORDER BY id")
            counts = [(stream, json.loads(text)) for stream, text in rows]
        found: dict[str, dict[str, int]] = {}
        for stream, count in counts:  # a process that goes on in another session goes on to count
            found.setdefault(stream.partition("+")[0], {}).update(count)
        return found

    def marks(
        self,
        run: str,
        *,
        from_step: int | None = None,
        to_step: int | None = None,
        most: int | None = None,
    ) -> list[MarkView]:
        """Return marks as `Source.marks` promises."""
        first, last = _range(from_step, to_step)
        with self._database.read() as db:
            lineage, sessions = Lineage.read(db, run), self._sessions(db, run)
            sent = views(read_marks(db, lineage, run, first, last, most), sessions)
            found = [*restarts(db, run, lineage, sessions), *contests(db, run, sessions)]
            marks = [*sent, *(mark for mark in found if first <= mark.step <= last)]
        return sorted(marks, key=lambda mark: (mark.step, mark.time))

    def attempts(self, run: str, step: int) -> list[Attempt]:
        """Return what each session brought of a step, also what is given up; the one that started last is the last."""
        with self._database.read() as db:
            sessions = self._sessions(db, run)
            found = read_attempts(db, run, step)
        return [Attempt(sessions[session].id, *brought) for session, brought in found.items()]

    def step_tables(self, run: str, step: int) -> StepTables:
        """Return what goes along with a step, as the last session that has something brought it."""
        found = [one.tables for one in self.attempts(run, step) if one.tables != StepTables()]
        return found[-1] if found else StepTables()

    def _sessions(self, db: sqlite3.Connection, run: str) -> dict[int, SessionView]:
        """Return a run's sessions in the order in which they started."""
        contested = {session for _, *pair in self._contested(db, run) for session in pair}
        rows = db.execute(
            "SELECT id, stream, outcome, heard_at, started_at, config, environment FROM sessions "
            "WHERE run = ? ORDER BY started_at, stream",
            (run,),
        )
        return {
            session: SessionView(
                stream.rpartition(":")[2], self._state(outcome, heard_at), started_at,
                json.loads(config), json.loads(environment), session in contested,
            )
            for session, stream, outcome, heard_at, started_at, config, environment in rows
        }  # fmt: skip

    def _contested(self, db: sqlite3.Connection, run: str | None = None) -> list[tuple[str, int, int]]:
        """Return each run and the two sessions of it that claim it at once, while both are at work."""
        where, values = ("AND contests.run = ?", [run]) if run else ("", [])
        query = (
            "SELECT contests.run, session, rival FROM contests "
            "JOIN sessions AS one ON one.id = session JOIN sessions AS other ON other.id = rival "
            "WHERE one.outcome IS NULL AND other.outcome IS NULL AND min(one.heard_at, other.heard_at) > ? "
        )
        return db.execute(query + where, [self._clock() - SECONDS_UNTIL_STALLED, *values]).fetchall()


def _range(from_step: int | None, to_step: int | None) -> tuple[int, int]:
    return 0 if from_step is None else from_step, 2**62 if to_step is None else to_step


def _changes(db: sqlite3.Connection, run: str) -> int | None:
    row = db.execute("SELECT changes FROM runs WHERE id = ?", (run,)).fetchone()
    return None if row is None else int(row[0])


def _summary(row: Sequence[Any], states: Mapping[str, RunState], contested: bool) -> RunSummary:
    if not all(isinstance(value, kind) for value, kind in zip(row, _KINDS_OF_SUMMARY, strict=True)):
        raise DamagedArchive("what is known of a run is not what was written")
    run, project, name, first_step, last_step, started_at, updated_at, tags, archived = row
    state = states.get(run, RunState.STALLED)
    return RunSummary(
        run, project, name, state, first_step, last_step, started_at, updated_at, contested,
        tuple(json.loads(tags)), bool(archived),
    )  # fmt: skip


def _generation(lineage: Lineage) -> str:
    """Return a name for the history that is shown: which run of that id, and which sessions speak for which steps.

    A session's number is given to no other one, so that a run that is there anew is known by its first one.
    """
    history = repr((min(lineage.order, default=0), lineage.takeovers())).encode()
    return hashlib.blake2b(history, digest_size=8).hexdigest()
