"""When alerts began and ended over a whole series: what `state.step` gives sample by sample, by arithmetic on all of it."""

import msgspec
import numpy as np
import numpy.typing as npt

from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import Series

Places = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]


class Episode(msgspec.Struct, frozen=True):
    """One alert, from the step at which it fired to the one at which it was resolved, None if it still stands.

    `samples` counts values from the one to the other, that of the resolved step excluded; of these `bad` break the rule.
    `worst` is the value furthest beyond its limit, `value` the one that made it fire.
    """

    firing_step: int
    resolved_step: int | None
    samples: int
    bad: int
    value: float
    worst: float


def episodes(rule: Limit, series: Series) -> list[Episode]:
    """Return every alert of a series, in order."""
    step, value = known(series)
    broken = broken_by(rule, value)
    begins, ends = _turns(rule, broken)
    return [
        _episode(rule, step, value, broken, begin, end)
        for begin, end in zip(begins, [*ends, None][: len(begins)], strict=True)
    ]


def known(series: Series) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return steps and values without those that are NaN."""
    there = ~np.isnan(series.value)
    return series.step[there], series.value[there]


def broken_by(rule: Limit, value: npt.NDArray[np.float64]) -> Flags:
    """Return which of known values break a rule."""
    return (value > rule.above) | (value < rule.below)


def decisive(rule: Limit, broken: Flags) -> tuple[Places, Flags]:
    """Return the places at which a row of bad or of good samples gets long enough, and whether it is one of bad ones.

    Whatever was before, an alert stands after the former and none after the latter.
    """
    if not len(broken):
        return np.empty(0, dtype=np.intp), broken
    starts = np.flatnonzero(np.append(True, broken[1:] != broken[:-1]))
    lengths = np.diff(starts, append=len(broken))
    bad = broken[starts]
    needed = np.where(bad, rule.for_steps, rule.clear_steps)
    enough = lengths >= needed
    return (starts + needed - 1)[enough], bad[enough]


def _turns(rule: Limit, broken: Flags) -> tuple[list[int], list[int]]:
    """Return the places at which an alert begins, and those at which one ends."""
    places, bad = decisive(rule, broken)
    if not len(places):
        return [], []
    turns = bad != np.append(False, bad[:-1])  # none stands before the first sample
    return places[turns & bad].tolist(), places[turns & ~bad].tolist()


def _episode(
    rule: Limit,
    step: npt.NDArray[np.int64],
    value: npt.NDArray[np.float64],
    broken: Flags,
    begin: int,
    end: int | None,
) -> Episode:
    # the bad ones that led to it belong to it
    first = begin - rule.for_steps + 1
    values = value[first:end]
    with np.errstate(invalid="ignore"):  # of two infinities, the value and a limit that is none
        beyond = np.fmax(values - rule.above, rule.below - values)
    return Episode(
        firing_step=int(step[begin]),
        resolved_step=None if end is None else int(step[end]),
        samples=len(value[begin:end]),
        bad=int(broken[begin:end].sum()),
        value=float(value[begin]),
        worst=float(values[np.argmax(beyond)]),
    )
