"""What the figures of a run say around a step: how they stood before something changed, and how they stand now."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Steps = npt.NDArray[np.int64]
Series = tuple[Steps, Vector]

LEAN = 8  # values that there have to be for a slope to lean to one side
TREND = 4  # steps that a change has to have lasted before one can tell whether it grows

# spreads: further away than a figure is by chance; those that a few tokens carry waver more
MOVED = {"logprob_abs_diff_mean": 3.0, "mismatch_k3_kl": 5.0, "mismatch_kl": 5.0, "prob_pearson_corr": 5.0}
# figures that tell how large the mismatch is
SIZES = ("logprob_abs_diff_mean", "mismatch_k3_kl", "mismatch_kl")
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
    steps: Steps
    values: Vector
    lately: Vector


@dataclass(frozen=True)
class Evidence:
    """All that a diagnosis knows.

    Attributes:
        step: The step that is asked about.
        onset: The first step of what is asked about: since then something is otherwise than before.
        figures: By metric, those that have a finite value since the onset: as they stood when log-probs last did not agree.
        over: The step from which on log-probs agree as before again, for longer than at any time since the onset, else None.
    """

    step: int
    onset: int
    figures: Mapping[str, Figure]
    over: int | None = None

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
    def measured_at(self) -> list[int]:
        """Return the steps since the onset at which the mismatch was measured."""
        found = self.figures.get("logprob_abs_diff_mean")
        return [] if found is None else found.steps.tolist()

    @property
    def lasted(self) -> int:
        """Return at how many steps the mismatch was measured since the onset."""
        return len(self.measured_at)

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


def _ranks(values: Vector) -> Vector:
    """Return the rank of each value, equal ones sharing theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse].astype(np.float64)
