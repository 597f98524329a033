"""The usual range of a figure: what it did before, as a band behind its line. lines.js does the same, which a test compares."""

import bisect
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rolloutwatch_contract.scales import Scale, scale_of
from rolloutwatch_dashboard import theme
from rolloutwatch_dashboard.figures.lost import LARGEST
from rolloutwatch_dashboard.usual import BEFORE, most_of, usual_of_placed

MOST_PLACES = 64  # at which the range is looked at anew; between them the band is straight
BAND = "usual range"
FARTHEST_DRAWN = 1e30  # on an axis that is not logarithmic; pixels are counted in single precision

Range = tuple[int, float, float]


def usual_ranges(
    steps: Sequence[int],
    values: Sequence[float | None],
    metric: str = "",
    begins: Sequence[int] = (),
    first: int = 0,
) -> list[list[Range]]:
    """Return step, low and high of the usual range of the values before, at some of the steps from `first` on.

    The value at the step itself is not among them, so that a spike stands out of the range that it is seen against.
    At the steps `begins` another session goes on: there a part ends, and the next one knows nothing of before.
    Where a series was thinned, its values are the lowest and the highest of many steps, and the range is that of these.
    """
    scale, most = scale_of(metric), most_of(metric)
    came = np.array(values, dtype=np.float64)  # None is NaN there
    known = ~np.isnan(came)
    places = list(itertools.compress(steps, known.tolist()))
    placed = _on_scale(came[known], scale)
    start = bisect.bisect_left(places, first)
    every = 1
    while every * MOST_PLACES < len(places) - start:
        every *= 2
    parts = []
    for begin, end in _sessions(places, begins):
        ranges = []
        for at in _looked_at(max(begin, start), end, every):
            usual = usual_of_placed(placed[max(begin, at - BEFORE) : at], scale, most)
            if usual is not None:
                ranges.append((places[at], usual.low, usual.high))
        if ranges:
            parts.append(ranges)
    return parts


def _on_scale(values: npt.NDArray[np.float64], scale: Scale | None) -> list[float]:
    if scale is None:
        return values.tolist()
    with np.errstate(over="ignore"):  # as far from the ideal as doubles are
        return scale.of_all(values).tolist()


def _looked_at(begin: int, end: int, every: int) -> list[int]:
    """Return the places from one to another at which the range is looked at, the last one among them."""
    if begin >= end:
        return []
    found = range(-(-begin // every) * every, end, every)
    return [*found] if (end - 1) % every == 0 else [*found, end - 1]


def _sessions(steps: Sequence[int], begins: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield from where to where the steps of each session are."""
    return itertools.pairwise([0, *(bisect.bisect_left(steps, one) for one in begins), len(steps)])


def band(parts: Sequence[Sequence[Range]], floor: float) -> list[dict[str, Any]]:
    """Return the band as plotly has it; on a log axis nothing of it is below the floor."""
    most = LARGEST if floor > 0 else FARTHEST_DRAWN
    lowest = floor if floor > 0 else -most
    path = "".join(_path(part, lowest, most) for part in parts if len(part) > 1)
    return [{**theme.BAND, "name": BAND, "path": path}] if path else []


def _path(ranges: Sequence[Range], lowest: float, most: float) -> str:
    there = [f"{step},{min(max(high, lowest), most)}" for step, _, high in ranges]
    back = [f"{step},{min(max(low, lowest), most)}" for step, low, _ in reversed(ranges)]
    return f"M{'L'.join([*there, *back])}Z"
