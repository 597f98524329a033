"""Which steps of a run there are: beside one, and from one to another."""

import msgspec
import numpy as np
import numpy.typing as npt

from rolloutwatch_contract.protocol import RunDetail
from rolloutwatch_server.store import Store

FIRST_LOOK = 1_000  # steps to either side, and each further look this many times as far
FURTHER = 16
PROBED = 5  # metrics by which steps are found of which an old archive does not know when they were made


class RecordedSteps(msgspec.Struct, frozen=True):
    """Steps int64 [n], ascending, and when each was made, float64 [n], seconds since 1970, NaN where that is not known.

    `previous` and `next` are the recorded steps before the first and after the last of them, None where there is none.
    """

    step: npt.NDArray[np.int64]
    time: npt.NDArray[np.float64]
    previous: int | None
    next: int | None


def recorded_steps(store: Store, detail: RunDetail, first: int, last: int, most: int) -> RecordedSteps:
    """Return the recorded steps from `first` to `last`, the lowest `most` of them; Resumed: the run went back meanwhile."""
    run, probed = detail.summary.id, detail.metrics[:PROBED]
    steps: list[npt.NDArray[np.int64]] = []
    times: list[npt.NDArray[np.float64]] = []
    count = 0
    for portion in store.portions(run, probed, first, last, most, bare=True):
        steps.append(portion.step)
        times.append(portion.time)
        count += len(portion.step)
        if count >= most:
            break
    step = np.concatenate(steps)[:most] if steps else np.empty(0, np.int64)
    time = np.concatenate(times)[:most] if times else np.empty(0)
    begin, end = (int(step[0]), int(step[-1])) if len(step) else (first, last)
    before, _ = neighbours(store, detail, begin)
    _, after = neighbours(store, detail, end)
    return RecordedSteps(step, time, before, after)


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
