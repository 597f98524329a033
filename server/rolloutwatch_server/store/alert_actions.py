"""What people have said of alerts: whatever becomes of it later, that they said it stays.

`alerts` and `silences` have what holds now, `actions` all that ever did: rows come to it, and go only with their run.
"""

import enum
import sqlite3
from collections.abc import Mapping, Sequence

import msgspec

from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.protocol import SilenceView

MOST_ACTIONS = 1000  # on one alert, the newest


class What(enum.Enum):
    """What was done."""

    ACKNOWLEDGED = "acknowledged"
    TAKEN_BACK = "taken back"
    EXPIRED = "expired"
    SILENCED = "silenced"
    SILENCE_TAKEN_BACK = "silence taken back"
    SILENCE_EXPIRED = "silence expired"


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was done: when, by whom, '' for the clock, until when, None for until the alert ends.

    Of a silence `run` and `rule` are its patterns, and `silence` is its id.
    """

    time: float
    what: What
    by: str = ""
    until: float | None = None
    note: str = ""
    run: str
    rule: str
    silence: int | None = None


class PastSilence(msgspec.Struct, frozen=True):
    """A silence as it was made, and when it ended, None if it has not; `ended_by` is '' if its time was over."""

    id: int
    run: str
    rule: str
    until: float
    author: str
    reason: str
    created_at: float
    ended_at: float | None = None
    ended_by: str = ""


def as_it_was(alert: AlertView, actions: Sequence[Action], time: float) -> AlertView:
    """Return an alert with what people had said of it until `time`: who looked after it then, until when nobody was told."""
    said = [one for one in actions if one.time <= time]
    seen = [one for one in said if one.what in (What.ACKNOWLEDGED, What.TAKEN_BACK, What.EXPIRED)]
    last = seen[-1] if seen and seen[-1].what is What.ACKNOWLEDGED else None
    if last is not None and last.until is not None and last.until <= time:
        last = None
    ended = {one.silence for one in said if one.what is not What.SILENCED}
    silences = [one for one in said if one.what is What.SILENCED and one.silence not in ended]
    return msgspec.structs.replace(
        alert,
        acknowledged_by="" if last is None else last.by,
        acknowledged_until=None if last is None else last.until,
        note="" if last is None else last.note,
        silenced_until=max((one.until or 0.0 for one in silences if (one.until or 0.0) > time), default=None),
    )


def note_action(db: sqlite3.Connection, action: Action, alert: str | None = None) -> None:
    """Keep what was done to an alert, or without one to all that patterns match."""
    db.execute(
        "INSERT INTO actions (time, what, author, until, note, run, rule, alert, silence) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            action.time, action.what.value, action.by, action.until, action.note, action.run, action.rule, alert,
            action.silence,
        ),
    )  # fmt: skip


def expire(db: sqlite3.Connection, alert: str, now: float) -> None:
    """Let nobody look after an alert any more, if that was for a time that is over; and keep that it was."""
    query = "SELECT run, rule, acknowledged_until FROM alerts WHERE id = ? AND acknowledged_by != '' AND acknowledged_until <= ?"
    row = db.execute(query, (alert, now)).fetchone()
    if row is not None:
        run, rule, until = row
        note_action(db, Action(time=until, what=What.EXPIRED, run=run, rule=rule), alert)
        acknowledged(db, alert, "", None, "")


def acknowledged(db: sqlite3.Connection, alert: str, by: str, until: float | None, note: str) -> None:
    """Write who looks after an alert, '' for nobody."""
    db.execute(
        "UPDATE alerts SET acknowledged_by = ?, acknowledged_until = ?, note = ? WHERE id = ?",
        (by, until, note, alert),
    )


def silences_over(db: sqlite3.Connection, now: float) -> list[SilenceView]:
    """Let go of the silences that are over, and return them; those whose time was over are kept as such."""
    query = "DELETE FROM silences WHERE until <= ? RETURNING id, run, rule, until, author, reason, created_at"
    over = [SilenceView(*row) for row in db.execute(query, (now,)).fetchall()]
    for one in over:
        query = "SELECT 1 FROM actions WHERE silence = ? AND what = ?"
        if db.execute(query, (one.id, What.SILENCE_TAKEN_BACK.value)).fetchone() is None:
            what = What.SILENCE_EXPIRED
            note_action(db, Action(time=one.until, what=what, run=one.run, rule=one.rule, silence=one.id))
    return over


def read_past_silences(
    db: sqlite3.Connection, now: float, limit: int, before: int | None = None
) -> list[PastSilence]:
    """Return all silences there ever were, the newest first; `before` is the id of the last one seen so far."""
    tail = "AND (:before IS NULL OR made.silence < :before) ORDER BY made.silence DESC LIMIT :limit"
    return _silences(db, tail, {"now": now, "before": before, "limit": limit})


def _silences(db: sqlite3.Connection, tail: str, values: Mapping[str, object]) -> list[PastSilence]:
    rows = db.execute(
        "SELECT made.silence, made.run, made.rule, made.until, made.author, made.note, made.time, "
        # of one whose time is over nobody may have noted it yet
        "coalesce(ended.time, iif(made.until <= :now, made.until, NULL)), coalesce(ended.author, '') "
        "FROM actions AS made LEFT JOIN actions AS ended ON ended.silence = made.silence AND ended.id != made.id "
        f"WHERE made.what = '{What.SILENCED.value}' {tail}",
        values,
    )
    return [PastSilence(*row) for row in rows]


def read_actions(db: sqlite3.Connection, alert: AlertView, now: float) -> list[Action]:
    """Return what was done to an alert, in order: by its id, and by patterns of silences while it stood."""
    first, last = _stood(db, alert)
    silences = [
        one.id
        for one in _silences(db, "AND made.time <= :last", {"now": now, "last": last})
        if (one.ended_at is None or one.ended_at >= first)
        and SilenceView(one.id, one.run, one.rule, one.until, one.author, one.reason, one.created_at).covers(
            alert.run, alert.rule
        )
    ]
    found = _actions(db, "alert = ?", (alert.id,))
    found += _actions(db, f"silence IN ({', '.join('?' * len(silences))})", silences)
    return sorted(found, key=lambda one: one.time)[-MOST_ACTIONS:]


def _actions(db: sqlite3.Connection, where: str, values: Sequence[object]) -> list[Action]:
    rows = db.execute(
        f"SELECT time, what, author, until, note, run, rule, silence FROM actions WHERE {where} ORDER BY id DESC LIMIT ?",
        (*values, MOST_ACTIONS),
    ).fetchall()
    return [
        Action(time=time, what=What(what), by=by, until=until, note=note, run=run, rule=rule, silence=silence)
        for time, what, by, until, note, run, rule, silence in rows[::-1]
    ]


def _stood(db: sqlite3.Connection, alert: AlertView) -> tuple[float, float]:
    """Return from when to when an alert stood, by the server's clock, by which people act."""
    query = "SELECT change, max(seen_at) FROM transitions WHERE run = ? AND rule = ? AND epoch = ? GROUP BY change"
    seen = dict(db.execute(query, (alert.run, alert.rule, alert.epoch)).fetchall())
    return seen.get("firing", 0.0), seen.get("resolved", float("inf"))
