"""Whether a run is silent: the one condition that is judged by the clock, not by a step."""

import numpy as np

from rolloutwatch_contract.conditions.nodes import Silent
from rolloutwatch_server.store import Store

STEPS_LOOKED_AT = 1000
LEAST_KNOWN = 3  # of steps there, else all of them are looked at


def is_silent(node: Silent, seconds: float, usual: float) -> bool:
    """Tell whether so many seconds without a step are more than a rule allows a run that usually takes `usual` for one.

    >>> is_silent(Silent(60.0, 10.0), 61.0, 5.0), is_silent(Silent(60.0, 10.0), 61.0, 30.0)
    (True, False)
    """
    return seconds >= node.seconds and seconds >= node.steps * usual


def usual_seconds(store: Store, run: str, open_step: int, started_at: float) -> float:
    """Return how long a run usually takes for a step: the median of its newest ones.

    Of a first step it is not known; its start belongs to it, so that a run whose steps are long is not silent after one.
    """
    series = store.times(run, open_step - STEPS_LOOKED_AT, open_step)
    if len(series.step) < LEAST_KNOWN:  # a run may count by tokens
        series = store.times(run)
    times = series.value[np.isfinite(series.value)][-STEPS_LOOKED_AT:]
    if not len(times):
        return 0.0
    gaps = np.diff(times) if len(times) > 1 else np.array([times[0] - started_at])
    return float(np.median(np.abs(gaps)))
