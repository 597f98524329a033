"""What the engine reads of alerts and writes, in the transaction of the records that make it."""

import sqlite3

from rolloutwatch_contract.alerts import Change, event_id
from rolloutwatch_server.store.alert_rows import FIRING, RuleSetView

DEFAULT_DOCUMENT = ""  # until the default rules are a document


def read_rule_set(db: sqlite3.Connection) -> RuleSetView:
    """Return the rules in force as written, the default ones if none were ever saved."""
    row = db.execute(
        "SELECT id, origin, author, time, document FROM rule_sets ORDER BY id DESC LIMIT 1"
    ).fetchone()
    return RuleSetView(0, "default", "", 0.0, DEFAULT_DOCUMENT) if row is None else RuleSetView(*row)


def tell_again(db: sqlite3.Connection, alert: str, now: float) -> str | None:
    """Note that an alert still fires, for people to be told; return its run, None if it does not."""
    row = db.execute(
        f"SELECT run, rule, epoch, severity, firing_step, vals, repeats + 1 FROM alerts WHERE id = ? AND {FIRING}",
        (alert,),
    ).fetchone()
    if row is None:
        return None
    run, rule, epoch, severity, firing_step, values, count = row
    event = event_id(run, rule, Change.REPEAT, epoch, count)
    step = db.execute("SELECT max(open_step, ?) FROM alert_runs WHERE run = ?", (firing_step, run)).fetchone()
    db.execute(
        "INSERT INTO transitions (event, run, rule, change, epoch, severity, step, time, seen_at, vals) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (event, run, rule, Change.REPEAT.value, epoch, severity, step[0] if step else firing_step, now, now, values),
    )  # fmt: skip
    db.execute(
        "INSERT INTO outbox (event, run, severity, late, created_at) VALUES (?, ?, ?, 0, ?)",
        (event, run, severity, now),
    )
    db.execute(
        "UPDATE alerts SET told_at = ?1, repeats = ?2, "
        "acknowledged_by = iif(acknowledged_until <= ?1, '', acknowledged_by), "
        "note = iif(acknowledged_until <= ?1, '', note), "
        "acknowledged_until = iif(acknowledged_until <= ?1, NULL, acknowledged_until) WHERE id = ?3",
        (now, count, alert),
    )
    return str(run)
