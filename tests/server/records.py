"""Records, and batches of them as the ingest hands them to the store."""

import math

from rolloutwatch_contract import Record, RunStart, StepRecord, stream_key
from rolloutwatch_server.store import Entry, Position, Store

RUN = "math~a"
STREAM = stream_key(RUN, "s1")
OTHER_SESSION = stream_key(RUN, "s2")

# one of each kind that a careless encoding would lose
DELICATE = (math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308, 0.1)


def start(project: str = "math", name: str = "a", time: float = 0.0, **config: str) -> RunStart:
    return RunStart(project, name, time, dict(config))


def step(number: int, /, **metrics: float) -> StepRecord:
    return StepRecord(step=number, time=float(number), metrics=metrics)


def batch(*records: Record, first: int = 1) -> list[Entry]:
    """Number records from `first` on, as a session does."""
    return [Entry(Position(number), record) for number, record in enumerate(records, first)]


def values(store: Store, metric: str, run: str = RUN) -> dict[int, float]:
    """What the archive shows of a metric, by step."""
    series = store.series(run, [metric])[metric]
    return dict(zip(series.step.tolist(), series.value.tolist(), strict=True))
