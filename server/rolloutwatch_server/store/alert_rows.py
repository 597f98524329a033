"""Rows of alerts, silences, rule sets and deliveries, as others see them."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from rolloutwatch_contract.alerts import AlertView, Change, FiringAlert
from rolloutwatch_contract.protocol import SilenceView
from rolloutwatch_contract.severity import Severity

COLUMNS = (
    "id, run, rule, epoch, severity, condition, firing_step, firing_time, vals, resolved_step, resolved_time, reason, "
    "summary, cure, guide, acknowledged_by, acknowledged_until, note, flapping, late, given_up"
)
FIRING = "resolved_step IS NULL AND given_up = 0"

pack_values = msgspec.msgpack.Encoder().encode
unpack_values = msgspec.msgpack.Decoder(dict[str, float]).decode


class RuleSetView(msgspec.Struct, frozen=True):
    """The rules in force as written; `origin` is "default", "api" or "file", `version` 0 if nobody has saved any."""

    version: int
    origin: str
    author: str
    time: float
    document: str


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody is to be told: one transition of an alert, with what its rule said. Times are seconds since 1970.

    `alert` is the id of the alert that it happened to, `firing_step` the step at which that one began;
    `is_acknowledged` and `is_silenced` are as of now.
    """

    id: str
    alert: str
    run: str
    rule: str
    change: Change
    severity: Severity
    epoch: int
    step: int
    time: float
    values: dict[str, float]
    reason: str
    late: bool
    created_at: float
    condition: str
    summary: str
    cure: str
    guide: str
    firing_step: int
    is_acknowledged: bool = False
    is_silenced: bool = False


class TransitionView(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to an alert; `seen_at` is when the server found it, by its own clock."""

    id: str
    run: str
    rule: str
    change: Change
    severity: Severity
    epoch: int
    step: int
    time: float
    seen_at: float
    values: dict[str, float]
    reason: str
    quiet: bool
    late: bool
    given_up: bool


class Delivery(msgspec.Struct, frozen=True):
    """A message to one target; `events` is JSON, `key` the same for ever for the same events.

    `done_at` is when it was tried last, None if it was not yet.
    """

    id: int
    key: str
    target: str
    run: str
    events: str
    created_at: float
    attempts: int
    next_at: float
    done_at: float | None
    state: str
    error: str


class NewDelivery(msgspec.Struct, frozen=True):
    """A message that is to be sent, from `next_at` on."""

    key: str
    target: str
    run: str
    events: str
    next_at: float


class DeliveryTally(msgspec.Struct, frozen=True):
    """How a target is: messages that wait, that were given up, when the last one arrived, and since when none does."""

    waiting: int = 0
    dead: int = 0
    last_success: float | None = None
    failing_since: float | None = None
    error: str = ""


def read_silences(db: sqlite3.Connection, now: float) -> list[SilenceView]:
    """Return the silences that are not over, the newest first."""
    rows = db.execute(
        "SELECT id, run, rule, until, author, reason, created_at FROM silences WHERE until > ? ORDER BY id DESC",
        (now,),
    )
    return [SilenceView(*row) for row in rows]


Values = Sequence[Any] | Mapping[str, Any]


def read_alerts(db: sqlite3.Connection, now: float, tail: str, values: Values = ()) -> list[AlertView]:
    """Return the alerts of a query's `tail`, each with until when it is silenced."""
    silences = read_silences(db, now)
    return [_view(row, silences, now) for row in db.execute(f"SELECT {COLUMNS} FROM alerts {tail}", values)]


def _view(row: Sequence[Any], silences: Sequence[SilenceView], now: float) -> AlertView:
    (identity, run, rule, epoch, severity, condition, step, time, packed, resolved_step, resolved_time, reason,
     summary, cure, guide, by, until, note, flapping, late, given_up) = row  # fmt: skip
    is_over = until is not None and until <= now
    return AlertView(
        id=identity, run=run, rule=rule, epoch=epoch, severity=Severity(severity), condition=condition,
        firing_step=step, firing_time=time, values=unpack_values(packed), resolved_step=resolved_step,
        resolved_time=resolved_time, reason=reason, summary=summary, cure=cure, guide=guide,
        acknowledged_by="" if is_over else by, acknowledged_until=None if is_over else until,
        note="" if is_over else note,
        silenced_until=max((one.until for one in silences if one.covers(run, rule)), default=None),
        flapping=bool(flapping), late=bool(late), given_up=bool(given_up),
    )  # fmt: skip


def firing_alert(view: AlertView) -> FiringAlert:
    """Return what a trainer is told of an alert."""
    return FiringAlert(
        id=view.id,
        rule=view.rule,
        severity=view.severity.word,
        since_step=view.firing_step,
        since_time=view.firing_time,
        values=dict(view.values),
        summary=view.summary,
        cure=view.cure,
        guide=view.guide,
        acknowledged=bool(view.acknowledged_by),
    )


def read_transitions(db: sqlite3.Connection, tail: str, values: Values = ()) -> Iterator[TransitionView]:
    """Yield the transitions of a query's `tail`."""
    rows = db.execute(
        "SELECT event, run, rule, change, severity, epoch, step, time, seen_at, vals, reason, quiet, late, given_up "
        f"FROM transitions {tail}",
        values,
    )
    for event, run, rule, change, severity, epoch, step, time, seen_at, packed, reason, *flags in rows:
        quiet, late, given_up = map(bool, flags)
        yield TransitionView(
            id=event, run=run, rule=rule, change=Change(change), severity=Severity(severity), epoch=epoch, step=step,
            time=time, seen_at=seen_at, values=unpack_values(packed), reason=reason, quiet=quiet, late=late,
            given_up=given_up,
        )  # fmt: skip


def read_events(db: sqlite3.Connection, now: float) -> list[Event]:
    """Return what the outbox holds, in the order in which it happened."""
    silences = read_silences(db, now)
    rows = db.execute(
        "SELECT outbox.event, alerts.id, outbox.run, transitions.rule, transitions.change, outbox.severity, "
        "transitions.epoch, transitions.step, transitions.time, transitions.vals, transitions.reason, outbox.late, "
        "outbox.created_at, alerts.condition, alerts.summary, alerts.cure, alerts.guide, alerts.firing_step, "
        "alerts.acknowledged_by != '' AND (alerts.acknowledged_until IS NULL OR alerts.acknowledged_until > ?) "
        "FROM outbox JOIN transitions ON transitions.event = outbox.event "
        "JOIN alerts ON alerts.run = outbox.run AND alerts.rule = transitions.rule AND alerts.epoch = transitions.epoch "
        "ORDER BY transitions.id",
        (now,),
    )
    return [
        Event(
            id=event, alert=alert, run=run, rule=rule, change=Change(change), severity=Severity(severity), epoch=epoch,
            step=step, time=time, values=unpack_values(packed), reason=reason, late=bool(late), created_at=created_at,
            condition=condition, summary=summary, cure=cure, guide=guide, firing_step=firing_step,
            is_acknowledged=bool(acknowledged), is_silenced=any(one.covers(run, rule) for one in silences),
        )
        for event, alert, run, rule, change, severity, epoch, step, time, packed, reason, late, created_at,
            condition, summary, cure, guide, firing_step, acknowledged in rows
    ]  # fmt: skip
