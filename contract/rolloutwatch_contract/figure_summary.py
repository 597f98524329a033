"""One figure of a whole run in a few numbers, as one compares it with that of another run."""

import msgspec
import numpy as np
import numpy.typing as npt


class FigureSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A figure over all steps of a run.

    `finite`, `infinite` and `nan` count the values of each kind; `mean` is that of the finite ones, None if there is none.
    `last`, which may be NaN, is the value of the latest step that has one; of `lowest` and `highest`, which may be infinite,
    the first step stands beside them. All of them are None where no value came, the latter two also where all are NaN.
    """

    finite: int = 0
    infinite: int = 0
    nan: int = 0
    mean: float | None = None
    last: float | None = None
    last_step: int | None = None
    lowest: float | None = None
    lowest_step: int | None = None
    highest: float | None = None
    highest_step: int | None = None

    @property
    def count(self) -> int:
        """Return how many values came, whatever they are."""
        return self.finite + self.infinite + self.nan


def summarise(steps: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> FigureSummary:
    """Return the values of all steps, not thinned ones, in a few numbers.

    >>> one = summarise(np.arange(4), np.array([1.0, 3.0, np.nan, np.inf]))
    >>> (one.mean, one.last, one.lowest, one.highest, one.highest_step), (one.finite, one.infinite, one.nan)
    ((2.0, inf, 1.0, inf, 3), (2, 1, 1))
    """
    if not len(values):
        return FigureSummary()
    is_finite, is_nan = np.isfinite(values), np.isnan(values)
    finite, nan = int(is_finite.sum()), int(is_nan.sum())
    step, known = steps[~is_nan], values[~is_nan]
    low, high = (int(known.argmin()), int(known.argmax())) if len(known) else (None, None)
    return FigureSummary(
        finite=finite,
        infinite=len(values) - finite - nan,
        nan=nan,
        mean=_mean(values[is_finite]) if finite else None,
        last=float(values[-1]),
        last_step=int(steps[-1]),
        lowest=None if low is None else float(known[low]),
        lowest_step=None if low is None else int(step[low]),
        highest=None if high is None else float(known[high]),
        highest_step=None if high is None else int(step[high]),
    )


def _mean(values: npt.NDArray[np.float64]) -> float:
    with np.errstate(over="ignore"):
        mean = float(values.mean())
    # the sum of what is finite may not be
    return mean if np.isfinite(mean) else float((values / len(values)).sum())
