"""Which steps of a run there are beside one."""

import numpy as np
import numpy.typing as npt

from rolloutwatch_contract.protocol import RunDetail
from rolloutwatch_server.store import Store

FIRST_LOOK = 1_000  # steps to either side, and each further look this many times as far
FURTHER = 16
PROBED = 5  # metrics by which steps are found of which an old archive does not know when they were made


def neighbours(store: Store, detail: RunDetail, step: int) -> tuple[int | None, int | None]:
    """Return the recorded steps before and after a step, None where there is none."""
    begin, end = detail.summary.first_step, detail.summary.last_step
    if begin is None or end is None:
        return None, None
    before = after = None
    width = FIRST_LOOK
    while before is None and begin < step:
        first = max(begin, step - width)
        found = _steps(store, detail, first, step - 1)
        before, width = (int(found[-1]) if len(found) else None), width * FURTHER
        if first == begin:
            break
    width = FIRST_LOOK
    while after is None and step < end:
        last = min(end, step + width)
        found = _steps(store, detail, step + 1, last)
        after, width = (int(found[0]) if len(found) else None), width * FURTHER
        if last == end:
            break
    return before, after


def _steps(store: Store, detail: RunDetail, first: int, last: int) -> npt.NDArray[np.int64]:
    run = detail.summary.id
    series = store.series(run, detail.metrics[:PROBED], from_step=first, to_step=last)
    times = store.times(run, first, last).step
    return np.unique(np.concatenate([times, *(one.step for one in series.values())]))
