"""Figures that the server makes of a session's tally: what was lost, and what was not measured, since the step before.

They come with the first record of a step, from the first loss on, and then with every step: 0 where nothing was lost.
A session that goes on with the figures of one that has them goes on with these too.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping

from rolloutwatch_contract import StepRecord
from rolloutwatch_contract.catalogue import MADE_BY_SERVER
from rolloutwatch_contract.drops import lost_records, unmeasured_steps
from rolloutwatch_server.store.lineage import Lineage

DROPPED_RECORDS, UNMEASURED_STEPS = MADE_BY_SERVER

_COUNTS: Mapping[str, Callable[[Mapping[str, int]], int]] = {
    DROPPED_RECORDS: lost_records,
    UNMEASURED_STEPS: unmeasured_steps,
}


class Losses:
    """Remembers what figures have told of each session's tally already; what it does not know the archive says."""

    def __init__(self) -> None:
        self._told: dict[int, dict[str, int]] = {}

    def forget(self) -> None:
        """Remember nothing, as after a transaction that was undone."""
        self._told.clear()

    def figures(
        self, db: sqlite3.Connection, lineage: Lineage, session: int, record: StepRecord
    ) -> dict[str, float]:
        """Return the figures that the first record of a step brings, and note that they have told of them."""
        told = self._of(db, session)
        tally = {**told, **record.dropped} if record.dropped else told
        if not tally and len(lineage.order) == 1:
            return {}  # as almost always
        figures: dict[str, float] = {}
        for metric, count in _COUNTS.items():
            lost = count(tally)
            if lost > 0 or _goes_on(lineage, session, metric, record):
                # a tally that fell is one that began anew
                figures[metric] = float(max(lost - count(told), 0))
        if tally != told:
            self._told[session] = tally
            db.execute("UPDATE sessions SET told = ? WHERE id = ?", (json.dumps(tally), session))
        return figures

    def _of(self, db: sqlite3.Connection, session: int) -> dict[str, int]:
        if session not in self._told:
            row = db.execute("SELECT told FROM sessions WHERE id = ?", (session,)).fetchone()
            self._told[session] = json.loads(row[0])
        return self._told[session]


def _goes_on(lineage: Lineage, session: int, metric: str, record: StepRecord) -> bool:
    """Tell whether a session had this figure, or takes over most of these figures from one that had it."""
    if lineage.first_step(session, metric) is not None:
        return True
    formers = lineage.with_metric(metric)
    return any(
        2 * sum(lineage.first_step(former, name) is not None for name in record.metrics) > len(record.metrics)
        for former in formers
        if former != session
    )
