"""A figure over steps in a few numbers, and what was recorded of the same figure at the same steps.

Axes: n steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rolloutwatch_contract.protocol import Series
from rolloutwatch_server.whatif.recorded import Vector

WEIGHED = ("rollout_is_mean", "rollout_is_eff_sample_size")
TAKEN_OUT = (
    "rollout_rs_masked_fraction", "rollout_rs_seq_masked_fraction", "rollout_is_veto_fraction",
    "rollout_is_catastrophic_token_fraction", "rollout_is_masked_fraction", "rollout_is_seq_masked_fraction",
)  # fmt: skip
KEPT = {
    "kept_fraction": "rollout_is_masked_fraction",
    "seq_kept_fraction": "rollout_is_seq_masked_fraction",
}
MEASURED = "n_tokens"  # comes with every step that was measured
OF_THE_RUN = (*WEIGHED, *TAKEN_OUT)


@dataclass(frozen=True)
class OverSteps:
    """A figure over steps: `step` int64 [n], between `low` and `high`, float64 [n], which are equal where it is exact."""

    step: npt.NDArray[np.int64]
    low: Vector
    high: Vector


@dataclass(frozen=True)
class Extreme:
    """A figure at the step where it was lowest, or highest."""

    step: int
    low: float
    high: float


@dataclass(frozen=True)
class Summary:
    """A figure over `steps` steps, at `exact_steps` of which it is exact.

    The mean over the steps lies between two bounds. `lowest` is the step of the least lower bound,
    `highest` that of the greatest upper one; all are None where there is no step.
    """

    steps: int
    exact_steps: int
    mean_low: float | None = None
    mean_high: float | None = None
    lowest: Extreme | None = None
    highest: Extreme | None = None


def summary_of(figure: OverSteps) -> Summary:
    """Return a figure in a few numbers; what is not finite is left out."""
    finite = np.isfinite(figure.low) & np.isfinite(figure.high)
    step, low, high = figure.step[finite], figure.low[finite], figure.high[finite]
    if not len(step):
        return Summary(0, 0)

    def at(place: np.intp) -> Extreme:
        return Extreme(int(step[place]), float(low[place]), float(high[place]))

    exact = int((low == high).sum())
    means = float(low.mean()), float(high.mean())
    return Summary(len(step), exact, *means, at(low.argmin()), at(high.argmax()))


def as_it_was(series: Mapping[str, Series], steps: npt.NDArray[np.int64]) -> dict[str, OverSteps]:
    """Return what was recorded at some of these steps, by the names of the answer; a figure that never came is not there.

    What takes nothing out sends no share of what it takes out: of a step that was measured all is kept then.
    """
    found = {name: _at(series[name], steps) for name in OF_THE_RUN}
    measured = np.intersect1d(steps, _positive(series[MEASURED]))
    for kept, taken in KEPT.items():
        silent = np.setdiff1d(measured, series[taken].step)
        step = np.concatenate([found[taken].step, silent])
        value = np.concatenate([1 - found[taken].low, np.ones(len(silent))])
        order = np.argsort(step)
        found[kept] = OverSteps(step[order], value[order], value[order])
    return {name: one for name, one in found.items() if len(one.step)}


def _at(series: Series, steps: npt.NDArray[np.int64]) -> OverSteps:
    there = np.isin(series.step, steps)
    return OverSteps(series.step[there], series.value[there], series.value[there])


def _positive(series: Series) -> npt.NDArray[np.int64]:
    return series.step[series.value > 0]
