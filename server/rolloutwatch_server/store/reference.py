"""What is usual in a project: the run that is tagged as its reference, and the figures that others are compared with."""

import json
import sqlite3
from collections.abc import Collection

import numpy as np

from rolloutwatch_contract.keys import split_run_id
from rolloutwatch_contract.tags import REFERENCE
from rolloutwatch_server.store.columns import Shown

MOST = 200  # values of a metric, half the longest window of the default rules


def reference_of(db: sqlite3.Connection, run: str) -> str:
    """Return the run of its project that is tagged as reference, of several the one that started last; "" without one."""
    query = "SELECT id, tags FROM runs WHERE project = ? AND id != ? ORDER BY started_at DESC, id"
    rows = db.execute(query, (split_run_id(run)[0], run))
    return next((str(name) for name, tags in rows if REFERENCE in json.loads(tags)), "")


def read_reference(
    db: sqlite3.Connection, reference: str, behind: int, metrics: Collection[str]
) -> dict[str, tuple[float, ...]]:
    """Return figures of a reference run: its first ones behind a step, since a policy is like another that is as old.

    Where it has too few there, they are its last ones.
    """
    shown = Shown(db, reference, 0, 2**62)
    found = {}
    for metric in sorted(metrics):
        series = shown.series(metric)
        known = np.isfinite(series.value)
        steps, values = series.step[known], series.value[known]
        first = max(0, min(int(steps.searchsorted(behind, side="right")), len(steps) - MOST))
        if len(values):
            found[metric] = tuple(values[first : first + MOST].tolist())
    return found
