"""Recorded runs as archive files: the figures of each step that detection looks at, to four digits or so, and the marks."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from rolloutwatch_contract import Mark, StepRecord
from rolloutwatch_contract.default_rules import DEFAULT_RULES
from rolloutwatch_contract.diagnosis import METRICS
from rolloutwatch_server.alerts.layout import metrics_of_rule
from rolloutwatch_server.exports.archive_file import Blocks
from rolloutwatch_server.imports.archive_file import ArchiveFile
from rolloutwatch_server.imports.files import Input
from rolloutwatch_server.store.transcript import Kept, RunFacts, SessionFacts

FOLDER = Path(__file__).parent / "recordings"
PROJECT = "detection"
BITS = 14  # of a figure's mantissa that are kept, so that a repository has room for all


def looked_at() -> frozenset[str]:
    """Return the metrics that a recording has: those that rules or a diagnosis look at."""
    of_rules = {metric for rule in DEFAULT_RULES for metric in metrics_of_rule(rule)}
    return frozenset(of_rules.union(METRICS)) - {"dropped_records", "unmeasured_steps"}


def rounded(value: float) -> float:
    """Return a figure with fewer digits.

    >>> rounded(0.123456789), rounded(0.0), rounded(3e-5)
    (0.12345123291015625, 0.0, 3.0000228434801102e-05)
    """
    mantissa, exponent = np.frexp(value)
    return float(np.ldexp(np.round(mantissa * 2**BITS) / 2**BITS, exponent))


def write(name: str, records: Iterable[StepRecord | Mark]) -> None:
    """Write a recording."""
    blocks = Blocks()
    pieces = [blocks.begin(f"{PROJECT}~{name}")]
    for record in records:
        pieces += blocks.add(Kept(record))
    pieces += blocks.end_session(SessionFacts(name="recorded", started_at=0.0, heard_at=0.0))
    pieces += blocks.end(RunFacts(started_at=0.0, updated_at=0.0))
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.rwz").write_bytes(b"".join(pieces))


class _Collected:
    """Takes what an archive file holds, and keeps its steps."""

    def __init__(self) -> None:
        self.steps: list[StepRecord] = []

    def begin_session(self) -> int:
        """Begin the only one there is."""
        return 0

    def add(self, session: int, kept: Kept) -> None:
        """Keep a step."""
        if isinstance(kept.record, StepRecord):
            self.steps.append(kept.record)

    def end_session(self, session: int, facts: SessionFacts) -> None:
        """Nothing else is asked of it."""


def read(name: str) -> Sequence[StepRecord]:
    """Return the steps of a recording."""
    collected = _Collected()
    with Input(FOLDER / f"{name}.rwz") as file:
        ArchiveFile(file).restore(collected)  # type: ignore[arg-type] - it takes what that does
    return collected.steps
