"""The archive: everything that arrived, once, in one SQLite file.

What it promises:
- `archive` writes the records of one batch and how far its stream is read in one transaction:
  after a crash at any instant, of the process or of the machine, a batch is there with its cursor, or neither is.
- A record at or before the cursor is ignored, so that a batch may come twice.
- `archived_to` never counts a number whose record, or that of one before it, is missing.
- Of several values for the same run, step and metric the one that arrived last is shown;
  of several sessions the one that started last, from its first step on (`lineage.py`).
- Readers never wait for the writer.

New records are kept as rows (`recent`, one small row each, cheap to commit);
when enough of them have come they are folded into columns (`chunks`: one session, one metric, a range of steps),
which is what makes a long run quick to read and small on disk.
"""

from rolloutwatch_server.store.alert_rows import (
    Delivery,
    DeliveryTally,
    Event,
    NewDelivery,
    RuleSetView,
    TransitionView,
)
from rolloutwatch_server.store.alerting import AlertHasEnded
from rolloutwatch_server.store.attempts import Attempt, StepTables
from rolloutwatch_server.store.continuation import SECONDS_UNTIL_STALLED
from rolloutwatch_server.store.database import ARCHIVE, MEMORY, DamagedArchive, StoreError
from rolloutwatch_server.store.deletion import Removal, RunIsLive
from rolloutwatch_server.store.entries import DeadLetter, Entry, Position
from rolloutwatch_server.store.portions import Portion, Resumed
from rolloutwatch_server.store.retention import Limits
from rolloutwatch_server.store.ruling import RulesChanged
from rolloutwatch_server.store.schema import SCHEMA
from rolloutwatch_server.store.store import Store
from rolloutwatch_server.store.watching import JudgedRun
from rolloutwatch_server.store.writer import DEAD_LETTERS_KEPT, FOLD_AT

__all__ = [
    "ARCHIVE",
    "DEAD_LETTERS_KEPT",
    "FOLD_AT",
    "MEMORY",
    "SCHEMA",
    "SECONDS_UNTIL_STALLED",
    "AlertHasEnded",
    "Attempt",
    "DamagedArchive",
    "DeadLetter",
    "Delivery",
    "DeliveryTally",
    "Entry",
    "Event",
    "JudgedRun",
    "Limits",
    "NewDelivery",
    "Portion",
    "Position",
    "Removal",
    "Resumed",
    "RuleSetView",
    "RulesChanged",
    "RunIsLive",
    "StepTables",
    "Store",
    "StoreError",
    "TransitionView",
]
