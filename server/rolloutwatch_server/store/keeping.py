"""What is done to the archive as a file, and to runs as a whole: deleted, kept within limits, checked, taken out and in."""

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rolloutwatch_contract.protocol import RunState
from rolloutwatch_contract.tags import check_tags
from rolloutwatch_server.alerts.engine import Engine
from rolloutwatch_server.alerts.plan import Plan, to_be_compared
from rolloutwatch_server.store.alert_book import AlertBook, Documents
from rolloutwatch_server.store.continuation import SECONDS_UNTIL_STALLED
from rolloutwatch_server.store.database import MEMORY, Database, StoreError
from rolloutwatch_server.store.deletion import Removal, RunIsLive, delete, removals, sweep
from rolloutwatch_server.store.histograms import HistogramSums
from rolloutwatch_server.store.integrity import in_quarantine
from rolloutwatch_server.store.labels import read_versions, write_labels
from rolloutwatch_server.store.marks import configured
from rolloutwatch_server.store.news import AlertNews, News
from rolloutwatch_server.store.past import Past, unjudged_run
from rolloutwatch_server.store.portions import read_history
from rolloutwatch_server.store.restoration import Restoration
from rolloutwatch_server.store.retention import Limits, has_ended, let_go_of_tables, reason_to_delete
from rolloutwatch_server.store.transcript import Transcript
from rolloutwatch_server.store.writer import Writer

log = logging.getLogger(__name__)

UNLIMITED = Limits()
SECONDS_OF_A_BITE = 0.01  # for which the writer is held when space is given back


class Keeping:
    """The part of the store that keeps the archive in order; `limits` say how much is kept."""

    def __init__(
        self,
        path: Path | str,
        clock: Callable[[], float] = time.time,
        *,
        limits: Limits = UNLIMITED,
        reading: bool = False,
    ) -> None:
        self.path = str(path)
        self.limits = limits
        self._clock = clock
        self._database = Database(path, reading=reading)
        self._writer = Writer()
        self._news = News()
        self._histograms = HistogramSums(self._news)
        self._alert_news = AlertNews(clock())
        self._engine = Engine()
        self._documents = Documents()
        self._past: Past | None = None
        self._restoring = threading.Lock()

    def close(self) -> None:
        """Let go of the file; what was archived is on disk."""
        self._database.close()

    def delete(self, run: str, reason: str) -> bool:
        """Delete a run, which is gone from here on; tell whether there was one of that id.

        RunIsLive if its trainer is at work. Its space is given back by `sweep`.
        """
        with self._database.write() as db:
            state = self._states(db, run).get(run)
            if state is RunState.LIVE:
                raise RunIsLive(f"run {run!r} is live: end its trainer, or wait until it has stalled.")
            if state is not None:
                self._delete(db, run, reason)
        return state is not None

    def label(self, run: str, *, tags: Iterable[object] | None = None, archived: bool | None = None) -> bool:
        """Give a run these tags instead of those it has, put it away or take it out; tell whether there is one of that id.

        ValueError: these are no tags.
        """
        checked = None if tags is None else check_tags(tags)
        with self._database.write() as db:
            return write_labels(db, run, checked, archived)

    def versions(self) -> dict[str, str]:
        """Return a word for each run that stays as long as what was archived for it, and what its trainers have lost."""
        with self._database.read() as db:
            return read_versions(db)

    @contextlib.contextmanager
    def transcript(self, run: str) -> Iterator[Transcript]:
        """Hold one moment of the archive, in which a run can be read whole; for a run that there is."""
        with self._database.read() as db:
            yield Transcript(db, run)

    @contextlib.contextmanager
    def restoration(self) -> Iterator[Restoration]:
        """Hold a run that comes from elsewhere; nothing of it stays unless it is committed. One at a time, others wait."""
        with self._restoring, Restoration(self._database, self._forget, self._clock()) as restoration:
            yield restoration

    def sweep(self, seconds: float = SECONDS_OF_A_BITE) -> bool:
        """Give back space of deleted runs for about so many seconds; tell whether there is more to give back."""
        with self._database.write() as db:
            is_more = sweep(db, seconds)
        return is_more or self._database.shrink()

    def keep(self, seconds: float = SECONDS_OF_A_BITE) -> bool:
        """Do a bite of what keeps the archive within its limits, and its file small; tell whether there is more.

        A run that goes is logged and stands in `removals`; of one whose tables go, `RunDetail.tables_from` tells.
        """
        if self.sweep(seconds):
            return True
        with self._database.write() as db:
            run = let_go_of_tables(db, self.limits, self._clock(), seconds)
            if run is not None or self._retire(db):
                return True
        return self._judge_the_past()

    def _judge_the_past(self) -> bool:
        """Judge a bite of a run that was never judged; tell whether there is more to judge."""
        if self._past is None:
            self._past = self._begin_the_past()
        past = self._past
        if past is None:
            return False
        try:
            more = self._bite_of(past)
        except (StoreError, OSError):
            raise
        except (
            Exception
        ) as error:  # a mistake of ours would else keep all that the keeper does from being done
            self._past = None
            log.exception("Alerts of the past run %s met an error of their own; please report it.", past.run)
            with self._database.write() as db:
                self._book(db).mark_broken(past.run, f"{type(error).__name__}: {error}")
            return True
        if not more:
            self._past = None
        return True

    def _bite_of(self, past: Past) -> bool:
        """Judge some steps of a past run; tell whether there are more, or whether it has to be begun anew."""
        with self._database.read() as db:
            more = past.bite(db)
        if more is False:
            with self._database.write() as db:
                past.write(db, self._book(db))
            self._alert_news.note(past.run)
        return bool(more)

    def _begin_the_past(self) -> Past | None:
        with self._database.read() as db:
            run = unjudged_run(db, self._states(db))
        if run is None:
            return None
        with self._database.write() as db:  # because the default rules may have to become a version
            book = self._book(db)
            version = book.version_in_force()
            plan = Plan(rule for rule in book.rules_of(version) if rule.applies_to(run))
            reference = book.reference(run, -1, to_be_compared(plan))
            return Past(run, version, plan, read_history(db, run), reference, configured(db, run))

    def _retire(self, db: sqlite3.Connection) -> bool:
        """Delete the run that was longest without a record, if it is beyond the limits; tell whether it was."""
        if self.limits.days is None and self.limits.bytes is None:
            return False
        now, states, size = self._clock(), self._states(db), self._database.size(db)[0]
        # changes are counted from the microsecond in which a run came here: one that was imported is not old at once
        query = "SELECT id, max(updated_at, changes / 1e6) AS since FROM runs ORDER BY since, id"
        for run, updated_at in db.execute(query):
            if has_ended(states.get(run, RunState.STALLED), updated_at, now):
                reason = reason_to_delete(self.limits, updated_at, now, size)
                if reason is not None:
                    self._delete(db, run, reason)
                return reason is not None
        return False

    def _delete(self, db: sqlite3.Connection, run: str, reason: str) -> None:
        delete(db, run, reason, self._clock())
        self._forget()
        self._alert_news.note(run)
        log.info("Run %s is deleted: %s.", run, reason)

    def _forget(self) -> None:
        """Remember nothing of what is written, as after a transaction that was undone."""
        self._writer.forget()
        self._engine.forget()

    def _book(self, db: sqlite3.Connection) -> AlertBook:
        return AlertBook(db, self._clock(), self._documents)

    def size(self) -> tuple[int, int]:
        """Return how many bytes of the file hold something, and how many are free for what comes."""
        with self._database.read() as db:
            return self._database.size(db)

    @property
    def damage(self) -> str:
        """Return what is wrong with the archive's file and what to do; empty as long as nothing is known to be."""
        return self._database.damage

    def quarantined(self) -> list[Path]:
        """Return the damaged archives that were put aside, the oldest first; what they held is not in this one."""
        return [] if self.path == MEMORY else in_quarantine(Path(self.path))

    def check(self) -> None:
        """Read the whole file if that was not done when it was opened, because it is large; DamagedArchive if it is not sound."""
        if not self._database.is_read:
            self._database.read_as_a_whole()

    def removals(self, run: str | None = None) -> list[Removal]:
        """Return which runs were deleted, or when and why one run was, the newest first."""
        with self._database.read() as db:
            return removals(db, run)

    def _states(self, db: sqlite3.Connection, run: str | None = None) -> dict[str, RunState]:
        where, values = ("WHERE run = ?", (run,)) if run else ("", ())
        query = f"SELECT run, outcome, heard_at FROM sessions {where} ORDER BY started_at"
        states: dict[str, RunState] = {}
        for one, outcome, heard_at in db.execute(query, values):
            state = self._state(outcome, heard_at)
            # the newest session speaks for the run, unless an older one is still at work
            if state is RunState.LIVE or states.get(one) is not RunState.LIVE:
                states[one] = state
        return states

    def _state(self, outcome: str | None, heard_at: float) -> RunState:
        if outcome is not None:
            return RunState(outcome)
        return RunState.LIVE if self._clock() - heard_at < SECONDS_UNTIL_STALLED else RunState.STALLED
