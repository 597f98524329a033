"""A run before and since something began: what was usual, how far from that it has gone, and whether it is over."""

import math
import statistics
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rolloutwatch_contract.baselines import baseline_of, least_spread
from rolloutwatch_contract.diagnosis.evidence import (
    METRICS,
    MOVED,
    SIZES,
    Evidence,
    Figure,
    Series,
    Steps,
    Vector,
)
from rolloutwatch_contract.scales import scale_of

NOW = 5  # values, the last of which is that of the step: their median is how a figure stands now
LOOK_BACK = {"surprise_gap": 16}  # the same for a figure that is noisy
FEW = 12  # values that have to be before something can be said to have moved
LATELY = 16  # values, whether before the onset or since, that a slope is looked at in
REST = 0.25  # of how far a figure is off while something is wrong: nearer it is not wrong any more
# what is off by more spreads just before an alert belongs to it; the surprise gap is noisy, and is told of late
BEGUN = {"logprob_abs_diff_mean": 3.0, "mismatch_k3_kl": 4.0, "mismatch_kl": 4.0, "surprise_gap": 1.0}


class _Former:
    """How a figure was: the median of its values, the highest, and where they were on its scale.

    Args:
        metric: Whose values they are.
        values: At least one, all finite.
    """

    def __init__(self, metric: str, values: Vector) -> None:
        self.median = float(np.median(values))
        self.highest = float(values.max())
        self._scale = scale_of(metric)
        ordered = np.sort(self._on_scale(values)).tolist()
        self._center, self._spread, *_ = baseline_of(ordered, least_spread(self._scale))

    def distances(self, values: Vector) -> Vector:
        """Return how far values are from what was usual, in spreads; 0 where that never varied and the metric has no scale."""
        on_scale = self._on_scale(values)
        return (on_scale - self._center) / self._spread if self._spread else np.zeros_like(on_scale)

    def distance(self, value: float) -> float:
        """Return how far one value is."""
        on_scale = value if self._scale is None else self._scale.of(value)
        return (on_scale - self._center) / self._spread if self._spread else 0.0

    def _on_scale(self, values: Vector) -> Vector:
        return values if self._scale is None else self._scale.of_all(values)


class _Parted(NamedTuple):
    """The values of a metric, those before the onset apart from those since; what was usual is None where too few are known."""

    metric: str
    before: Series
    since: Series
    usual: _Former | None

    def at(self, step: int) -> Figure | None:
        """Return the figure as it stood at a step; None if it has no value between the onset and that."""
        steps, values = _until(step, *self.since)
        if not len(values):
            return None
        now = statistics.median(values[-LOOK_BACK.get(self.metric, NOW) :].tolist())
        if self.usual is None:
            return Figure(now, None, 0.0, 0.0, 0.0, math.nan, steps, values, values[-LATELY:])
        before, distance = self.before[1], self.usual.distance
        return Figure(
            now,
            self.usual.median,
            distance(now),
            distance(float(before[-1])),
            distance(float(values[0])),
            self.usual.highest,
            steps,
            values,
            np.concatenate([before[-LATELY:], values[-LATELY:]])[-LATELY:],
        )


class _Calm(NamedTuple):
    """A mismatch is not there: `since` which step; it is `usual` if it was away for as long before, as between two syncs."""

    since: int
    is_usual: bool


class Comparison:
    """The figures of a run since something began, beside those of before.

    Args:
        series: Steps, ascending, and values of metrics.
        onset: What had begun to move before it is taken to have begun then.
    """

    def __init__(self, series: Mapping[str, Series], onset: int) -> None:
        with np.errstate(over="ignore", invalid="ignore"):  # figures may be as large as doubles are
            self._compare(series, onset)

    def _compare(self, series: Mapping[str, Series], onset: int) -> None:
        known = {metric: _finite(*series[metric]) for metric in METRICS if metric in series}
        self.onset = _began(known, onset)
        self._parted = {metric: _part(metric, *one, self.onset) for metric, one in known.items()}

    def at(self, step: int) -> Evidence:
        """Return what the figures say at a step, from the onset on; those behind it are not looked at."""
        calm = self._calm_at(step)
        last = step if calm is None else calm.since - 1
        stood = ((metric, one.at(last)) for metric, one in self._parted.items())
        figures = {metric: figure for metric, figure in stood if figure is not None}
        return Evidence(step, self.onset, figures, None if calm is None or calm.is_usual else calm.since)

    def _calm_at(self, step: int) -> _Calm | None:
        """Return since when the figure that tells most of a mismatch is as before again; None if it is not.

        Nor is anything over that was not there at most of the steps since the onset.
        """
        told, found = 1.0, None
        for metric, limit in MOVED.items():
            one = self._parted.get(metric)
            if one is None or one.usual is None:
                continue
            steps, values = _until(step, *one.since)
            off = np.abs(one.usual.distances(values))
            typical = float(np.median(off)) if len(off) else 0.0
            if typical > told * limit:
                told, found = typical / limit, _calm(steps, off > max(limit, REST * typical))
        return found


def _calm(steps: Steps, is_off: npt.NDArray[np.bool_]) -> _Calm | None:
    """Return since when a figure is not off, None if it is; it is at some step."""
    at = np.flatnonzero(is_off)
    lasts = len(steps) - 1 - int(at[-1])
    return _Calm(int(steps[at[-1] + 1]), lasts < int(np.diff(at, prepend=-1).max())) if lasts else None


def _until(step: int, steps: Steps, values: Vector) -> Series:
    end = int(steps.searchsorted(step, side="right"))
    return steps[:end], values[:end]


def _finite(steps: Steps, values: Vector) -> Series:
    known = np.isfinite(values)
    return steps[known], values[known]


def _part(metric: str, steps: Steps, values: Vector, onset: int) -> _Parted:
    at = int(steps.searchsorted(onset))
    usual = _Former(metric, values[:at]) if at >= FEW else None
    return _Parted(metric, (steps[:at], values[:at]), (steps[at:], values[at:]), usual)


def _began(series: Mapping[str, Series], onset: int) -> int:
    """Return the first step from which on to the onset one of the figures was further off than by chance."""
    found = [since for metric in SIZES if (since := _off_since(series, metric, onset)) is not None]
    if not found:  # the surprise gap is noisy, and asked only about what shows in nothing else
        found = [since for since in [_off_since(series, "surprise_gap", onset)] if since is not None]
    return min(found, default=onset)


def _off_since(series: Mapping[str, Series], metric: str, onset: int) -> int | None:
    """Return the step from which on a figure was off up to the onset; None if it is not, or not known to be."""
    if metric not in series:
        return None
    steps, values = series[metric]
    steps, values = _until(onset, steps, values)
    if len(values) < 2 * FEW:
        return None
    usual = _Former(metric, values[: len(values) * 2 // 3])
    inside = np.flatnonzero(np.abs(usual.distances(values)) <= BEGUN[metric])
    if not len(inside) or inside[-1] == len(values) - 1:
        return None
    return int(steps[inside[-1] + 1])
