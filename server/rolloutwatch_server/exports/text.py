"""A run as text: comma-separated values, or lines of JSON.

Floats are written so that they are read back to the last bit; what is not finite is spelt NaN, Infinity, -Infinity;
what is not there is left out.
"""

import json
import math
from collections.abc import Iterable, Iterator, Sequence

from rolloutwatch_server.spelling import spelt
from rolloutwatch_server.store import Portion

_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def as_csv(portions: Iterable[Portion], metrics: Sequence[str]) -> Iterator[bytes]:
    """Yield a header of step, time and metrics, then a line for each step; times are seconds since 1970."""
    yield _header(metrics)
    for portion in portions:
        times = map(_time, portion.time.tolist())
        columns = [_cells(portion, metric) for metric in metrics]
        rows = zip(map(str, portion.step.tolist()), times, *columns, strict=True)
        yield "".join(f"{','.join(row)}\n" for row in rows).encode()


def as_jsonl(portions: Iterable[Portion], metrics: Sequence[str]) -> Iterator[bytes]:
    """Yield a line for each step: `{"step": 1, "time": 2.0, "data": {"name": 3.0}}`, strict JSON.

    A time that is not known is null; a figure that is not finite is its name as text.
    """
    for portion in portions:
        columns = [
            (metric, portion.present[metric].tolist(), portion.values[metric].tolist()) for metric in metrics
        ]
        lines = []
        for at, (step, time) in enumerate(zip(portion.step.tolist(), portion.time.tolist(), strict=True)):
            data = {metric: spelt(values[at]) for metric, present, values in columns if present[at]}
            line = {"step": step, "time": time if math.isfinite(time) else None, "data": data}
            lines.append(json.dumps(line, allow_nan=False))
        yield "".join(f"{line}\n" for line in lines).encode()


def cell(name: str) -> str:
    """Return a name as a cell that no spreadsheet takes for a formula."""
    return f"'{name}" if name.startswith(_FORMULAS) else name


def _header(metrics: Sequence[str]) -> bytes:
    return (",".join(["step", "time", *(_quoted(cell(metric)) for metric in metrics)]) + "\n").encode()


def _quoted(text: str) -> str:
    escaped = text.replace('"', '""')
    return f'"{escaped}"' if any(letter in text for letter in ',"\r\n') else text


def _cells(portion: Portion, metric: str) -> list[str]:
    values = zip(portion.present[metric].tolist(), portion.values[metric].tolist(), strict=True)
    return [_in_csv(value) if present else "" for present, value in values]


def _time(time: float) -> str:
    return repr(time) if math.isfinite(time) else ""


def _in_csv(value: float) -> str:
    return repr(value) if math.isfinite(value) else str(spelt(value))
