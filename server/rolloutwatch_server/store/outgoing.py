"""What others are to be told of alerts: events that wait, and the messages that were made of them."""

import sqlite3
from collections.abc import Iterable, Sequence

from rolloutwatch_server.store.alert_rows import Delivery, DeliveryTally, Event, NewDelivery, read_events
from rolloutwatch_server.store.keeping import Keeping

DONE_KEPT = 1000  # messages that were sent or given up, the newest

_COLUMNS = "id, key, target, run, events, created_at, attempts, next_at, done_at, state, error"


class Outgoing(Keeping):
    """The part of the store that holds what is to be sent. A message is `waiting`, then `done` or `dead`.

    Those of one run reach a target in the order in which they were made: one that waits keeps the later ones waiting.
    """

    def outbox_events(self) -> list[Event]:
        """Return what somebody is to be told and no message was made of yet, in the order in which it happened."""
        with self._database.read() as db:
            return read_events(db, self._clock())

    def make_deliveries(self, deliveries: Iterable[NewDelivery], events: Sequence[str]) -> None:
        """Keep messages to be sent, and let go of the events that they are made of, in one transaction.

        A message that was made before is not made again. Events that nobody is to be told of are named alone.
        """
        now = self._clock()
        with self._database.write() as db:
            db.executemany(
                "INSERT OR IGNORE INTO deliveries (key, target, run, events, created_at, next_at) VALUES (?, ?, ?, ?, ?, ?)",
                [(one.key, one.target, one.run, one.events, now, one.next_at) for one in deliveries],
            )
            db.executemany("DELETE FROM outbox WHERE event = ?", [(event,) for event in events])
            _let_go(db)

    def due_deliveries(
        self, now: float | None = None, *, target: str | None = None, limit: int = 100
    ) -> list[Delivery]:
        """Return messages whose time has come, of one target or of all, the one that was made first being the first.

        Of one run only the first one that waits, whose time has come too when that of a later one has.
        """
        at = self._clock() if now is None else now
        with self._database.read() as db:
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM deliveries WHERE id IN ("
                "SELECT min(id) FROM deliveries WHERE state = 'waiting' AND (?2 IS NULL OR target = ?2) "
                "GROUP BY target, run HAVING min(next_at) <= ?1) ORDER BY id LIMIT ?3",
                (at, target, limit),
            )
            return [Delivery(*row) for row in rows]

    def delivery_done(self, delivery: int) -> None:
        """Note that a message arrived."""
        self._settle(delivery, "state = 'done', done_at = :now, attempts = attempts + 1, error = ''")

    def delivery_failed(self, delivery: int, error: str, next_at: float) -> None:
        """Note that a message did not arrive, and when it is tried again; later ones of its run wait as long."""
        values = {"id": delivery, "now": self._clock(), "error": error, "next": next_at}
        with self._database.write() as db:
            db.execute(
                "UPDATE deliveries SET attempts = attempts + 1, error = :error, next_at = :next, done_at = :now WHERE id = :id",
                values,
            )
            db.execute(
                "UPDATE deliveries SET next_at = max(next_at, :next) WHERE state = 'waiting' AND id > :id "
                "AND (target, run) = (SELECT target, run FROM deliveries WHERE id = :id)",
                values,
            )

    def delivery_dead(self, delivery: int, error: str) -> None:
        """Note that a message is given up."""
        self._settle(
            delivery, "state = 'dead', done_at = :now, attempts = attempts + 1, error = :error", error
        )

    def give_up_deliveries(self, targets: Sequence[str], before: float, error: str) -> int:
        """Give up what waits for others than these targets and was made before a time; return how many those were."""
        with self._database.write() as db:
            of_others = f"target NOT IN ({', '.join('?' * len(targets))})"  # there are at most a hundred
            return db.execute(
                "UPDATE deliveries SET state = 'dead', done_at = ?, error = ? "
                f"WHERE state = 'waiting' AND created_at <= ? AND {of_others}",
                (self._clock(), error, before, *targets),
            ).rowcount

    def retry_delivery(self, delivery: int) -> bool:
        """Let a message that was given up wait again, from now on; tell whether there is such a one."""
        return self._settle(
            delivery,
            "state = 'waiting', done_at = NULL, attempts = 0, next_at = :now",
            only="AND state = 'dead'",
        )

    def deliveries(
        self, state: str | None = None, *, target: str | None = None, limit: int = 100
    ) -> list[Delivery]:
        """Return messages in a state ("waiting", "done", "dead"), or in any, the newest first."""
        with self._database.read() as db:
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM deliveries WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR target = ?2) "
                "ORDER BY id DESC LIMIT ?3",
                (state, target, limit),
            )
            return [Delivery(*row) for row in rows]

    def deliveries_naming(self, run: str, text: str, *, limit: int = 200) -> list[Delivery]:
        """Return messages of a run whose events have a text somewhere, the id of an alert say, the first one first."""
        with self._database.read() as db:
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM deliveries WHERE run = ? AND instr(events, ?) ORDER BY id LIMIT ?",
                (run, text, limit),
            )
            return [Delivery(*row) for row in rows]

    def delivery_tallies(self) -> dict[str, DeliveryTally]:
        """Return how each target is that a message was ever made for, as far back as messages are kept."""
        with self._database.read() as db:
            rows = db.execute(
                "SELECT target, sum(state = 'waiting'), sum(state = 'dead'), max(iif(state = 'done', done_at, NULL)) "
                "FROM deliveries GROUP BY target ORDER BY target"
            ).fetchall()
            return {
                target: DeliveryTally(waiting, dead, last, *_failing(db, target, last))
                for target, waiting, dead, last in rows
            }

    def _settle(self, delivery: int, change: str, error: str = "", only: str = "") -> bool:
        with self._database.write() as db:
            query = f"UPDATE deliveries SET {change} WHERE id = :id {only}"
            values = {"id": delivery, "now": self._clock(), "error": error}
            return db.execute(query, values).rowcount > 0


def _failing(db: sqlite3.Connection, target: str, last: float | None) -> tuple[float | None, str]:
    """Return since when messages to a target fail, and what was said of the newest attempt; None if that one did not."""
    row = db.execute(
        "SELECT state != 'done', error FROM deliveries WHERE target = ? AND done_at IS NOT NULL "
        "ORDER BY done_at DESC, id DESC LIMIT 1",
        (target,),
    ).fetchone()
    if row is None or not row[0]:
        return None, ""
    (since,) = db.execute(
        "SELECT min(created_at) FROM deliveries WHERE target = ?1 AND state != 'done' AND done_at >= coalesce(?2, done_at)",
        (target, last),
    ).fetchone()
    return max(since, last or since), row[1]


def _let_go(db: sqlite3.Connection) -> None:
    """Let go of what was sent long ago."""
    db.execute(
        "DELETE FROM deliveries WHERE state != 'waiting' AND id <= "
        "(SELECT id FROM deliveries WHERE state != 'waiting' ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (DONE_KEPT,),
    )
