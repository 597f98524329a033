"""What the figures of a run say around a step: how they stood before something changed, and how they stand now."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rolloutwatch_contract.conditions.nodes import OF_A_NORMAL
from rolloutwatch_contract.scales import LEAST_SPREAD, scale_of

Vector = npt.NDArray[np.float64]
Series = tuple[npt.NDArray[np.int64], Vector]

NOW = 5  # values, the last of which is that of the step: their median is how a figure stands now
FEW = 12  # values that have to be before something can be said to have moved
LOOK_BACK = {"surprise_gap": 16}  # the same for a figure that is noisy
LATELY = 16  # values, whether before the onset or since, that a slope is looked at in
LEAN = 8  # of them there have to be
TREND = 4  # steps that a change has to have lasted before one can tell whether it grows

# figures that tell how large the mismatch is
SIZES = ("logprob_abs_diff_mean", "mismatch_k3_kl", "mismatch_kl")
# what is off by more spreads just before an alert belongs to it; the surprise gap is noisy, and is told of late
BEGUN = {"logprob_abs_diff_mean": 3.0, "mismatch_k3_kl": 4.0, "mismatch_kl": 4.0, "surprise_gap": 1.0}
_NOTHING: Series = (np.empty(0, np.int64), np.empty(0))

# what a diagnosis looks at; a run need not have all of them
METRICS = (
    "n_tokens",
    "mismatch_kl",
    "mismatch_k3_kl",
    "mismatch_k3_seq_share_max",
    "logprob_abs_diff_mean",
    "logprob_abs_diff_median",
    "logprob_abs_diff_first_quarter",
    "logprob_abs_diff_last_quarter",
    "logprob_slope",
    "prob_pearson_corr",
    "ratio_max",
    "ratio_mean",
    "ratio_min",
    "surprise_gap",
    "zero_logprob_fraction",
    "weight_age_steps",
)


@dataclass(frozen=True)
class Figure:
    """One figure around a step.

    Attributes:
        now: How it stands: the median of its last values since the onset.
        was: How it stood before the onset, None if that is not known.
        moved: How far `now` is from `was`, in spreads on the metric's scale, 0 if `was` is not known.
        moved_before: The same of the last value before the onset.
        moved_first: The same of the first value since the onset.
        highest_before: The highest value before the onset, NaN if there is none.
        steps: The steps since the onset at which it has a value.
        values: What it was at these.
        lately: Its last values, whether before the onset or since.
    """

    now: float
    was: float | None
    moved: float
    moved_before: float
    moved_first: float
    highest_before: float
    steps: npt.NDArray[np.int64]
    values: Vector
    lately: Vector


@dataclass(frozen=True)
class Evidence:
    """All that a diagnosis knows.

    Attributes:
        step: The step that is asked about.
        onset: The first step of what is asked about: since then something is otherwise than before.
        figures: By metric; only those that have a finite value between onset and step.
    """

    step: int
    onset: int
    figures: Mapping[str, Figure]

    def __contains__(self, metric: str) -> bool:
        """Tell whether a figure is known."""
        return metric in self.figures

    def now(self, metric: str) -> float:
        """Return how a figure stands, NaN if it is not known."""
        return self.figures[metric].now if metric in self.figures else math.nan

    def was(self, metric: str) -> float:
        """Return how a figure stood, NaN if that is not known."""
        found = self.figures.get(metric)
        return math.nan if found is None or found.was is None else found.was

    def moved(self, metric: str) -> float:
        """Return how far a figure has moved, in spreads; 0 if that is not known."""
        return self.figures[metric].moved if metric in self.figures else 0.0

    def times(self, metric: str) -> float:
        """Return how many times what it was a figure is; NaN if that is not known."""
        was = self.was(metric)
        return self.now(metric) / was if was > 0 else math.nan

    @cached_property
    def lasted(self) -> int:
        """Return at how many steps the mismatch was measured since the onset."""
        found = self.figures.get("logprob_abs_diff_mean")
        return 0 if found is None else len(found.steps)

    @cached_property
    def growth(self) -> float:
        """Return how much the mismatch grows since the onset: its end over its beginning, less 1; NaN if it is too early."""
        found = self.figures.get("logprob_abs_diff_mean")
        if found is None or len(found.values) < TREND:
            return math.nan
        size = max(1, len(found.values) // 3)
        begin, end = float(np.median(found.values[:size])), float(np.median(found.values[-size:]))
        return end / begin - 1 if begin > 0 else math.nan

    @property
    def most_moved(self) -> Figure | None:
        """Return the figure of the mismatch that has moved furthest."""
        found = [self.figures[name] for name in SIZES if name in self.figures]
        return max(found, key=lambda figure: abs(figure.moved), default=None)

    @property
    def oldest(self) -> float:
        """Return the highest age of the rollout weights since the onset, NaN if it is not known."""
        found = self.figures.get("weight_age_steps")
        return math.nan if found is None else float(found.values.max())

    @property
    def oldest_before(self) -> float | None:
        """Return the highest age of the rollout weights before the onset, None if it is not known."""
        found = self.figures.get("weight_age_steps")
        return None if found is None or found.was is None else found.highest_before

    @cached_property
    def lean(self) -> float:
        """Return how surely the slope has moved to one side: its mean over its standard error; NaN if it is too early.

        It is of the last values, those just before the onset too: what comes slowly was there before it was noticed.
        """
        found = self.figures.get("logprob_slope")
        if found is None or found.was is None or len(found.lately) < LEAN:
            return math.nan
        off = found.lately - found.was
        error = float(off.std(ddof=1)) / math.sqrt(len(off))
        return float(off.mean()) / error if error > 0 else math.nan

    @cached_property
    def follows_age(self) -> float:
        """Return how well the mismatch goes with the age of the rollout weights, a rank correlation; NaN if that is not known."""
        age, size = self.figures.get("weight_age_steps"), self.figures.get("logprob_abs_diff_mean")
        if age is None or size is None:
            return math.nan
        _, left, right = np.intersect1d(age.steps, size.steps, return_indices=True)
        x, y = _ranks(age.values[left]), _ranks(size.values[right])
        if len(x) < TREND or not x.std() or not y.std():
            return math.nan
        return float(np.corrcoef(x, y)[0, 1])


def evidence_of(series: Mapping[str, Series], step: int, onset: int) -> Evidence:
    """Return what the figures of a run say at a step, of something that began at `onset`.

    Args:
        series: Steps, ascending, and values of metrics; those behind `step` are not looked at.
        step: The step that is asked about.
        onset: At most `step`; what had begun to move before it is taken to have begun then.
    """
    onset = _began(series, onset)
    figures = {}
    for metric in METRICS:
        if metric in series:
            found = _figure(metric, *series[metric], step, onset)
            if found is not None:
                figures[metric] = found
    return Evidence(step, onset, figures)


def _began(series: Mapping[str, Series], onset: int) -> int:
    """Return the first step from which on to the onset one of the figures was further off than by chance."""
    found = [since for metric in SIZES if (since := _off_since(series, metric, onset)) is not None]
    if not found:  # the surprise gap is noisy, and asked only about what shows in nothing else
        found = [since for since in [_off_since(series, "surprise_gap", onset)] if since is not None]
    return min(found, default=onset)


def _off_since(series: Mapping[str, Series], metric: str, onset: int) -> int | None:
    """Return the step from which on a figure was off up to the onset; None if it is not, or not known to be."""
    steps, values = series.get(metric, _NOTHING)
    known = np.isfinite(values) & (steps <= onset)
    steps, values = steps[known], values[known]
    if len(values) < 2 * FEW:
        return None
    inside = np.flatnonzero(
        np.abs(_distances(metric, values, values[: len(values) * 2 // 3])) <= BEGUN[metric]
    )
    if not len(inside) or inside[-1] == len(steps) - 1:
        return None
    return int(steps[inside[-1] + 1])


def _figure(
    metric: str, steps: npt.NDArray[np.int64], values: Vector, step: int, onset: int
) -> Figure | None:
    known = np.isfinite(values)
    steps, values = steps[known], values[known]
    since = (steps >= onset) & (steps <= step)
    if not since.any():
        return None
    recent, before = values[since], values[steps < onset]
    now = float(np.median(recent[-LOOK_BACK.get(metric, NOW) :]))
    if len(before) < FEW:
        return Figure(now, None, 0.0, 0.0, 0.0, math.nan, steps[since], recent, recent[-LATELY:])
    moved, moved_before, moved_first = _distances(
        metric, np.array([now, before[-1], recent[0]]), before
    ).tolist()
    was, highest = float(np.median(before)), float(before.max())
    return Figure(
        now,
        was,
        moved,
        moved_before,
        moved_first,
        highest,
        steps[since],
        recent,
        values[steps <= step][-LATELY:],
    )


def _distances(metric: str, values: Vector, before: Vector) -> Vector:
    """Return how far values are from those of before, in spreads."""
    on_scale, usual = _on_scale(metric, values), _on_scale(metric, before)
    center = float(np.median(usual))
    spread = OF_A_NORMAL * float(np.median(np.abs(usual - center)))
    spread = max(spread, LEAST_SPREAD if scale_of(metric) is not None else 0.0)
    return (on_scale - center) / spread if spread else np.zeros_like(on_scale)


def _on_scale(metric: str, values: Vector) -> Vector:
    scale = scale_of(metric)
    return values if scale is None else np.array([scale.of(one) for one in values.tolist()])


def _ranks(values: Vector) -> Vector:
    """Return the rank of each value, equal ones sharing theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse].astype(np.float64)
