"""The part of a run that an address asks for, which is drawn in all detail: steps from one to another, or those around one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rolloutwatch_contract.protocol import MarkView, RunDetail, RunState, Series, Source
from rolloutwatch_contract.record import MAX_STEP
from rolloutwatch_dashboard.text import LINKED
from rolloutwatch_dashboard.usual import BEFORE
from rolloutwatch_dashboard.view import asked, step_of, view_of

STEPS_AROUND = 60  # on either side
LEAST_SEEN = 10  # where figures come less often than at every step, so many of them are to be seen
WIDER = 10
LETTERS_SHOWN = 40
POINTS = 1500  # of a series in view
BESIDE = 4  # a part of what is in view is there on either side of it too, for lines go on
# and of what came before as much as tells what is usual; board.js does the same


@dataclass(frozen=True)
class Around:
    """What charts show from `first` to `last`, with the figures there and before; around a step, if one was asked for."""

    step: int | None
    first: int
    last: int
    series: Mapping[str, Series]
    came: bool  # whether any figure came at that very step

    @property
    def ends(self) -> tuple[int, int]:
        """Return the first and the last step that charts show."""
        return self.first, self.last

    @property
    def marks(self) -> list[MarkView]:
        """Return the line that marks the step."""
        return [] if self.step is None else [MarkView(self.step, 0.0, LINKED, found=True)]

    @property
    def said(self) -> str:
        """Return what is said of it above the charts."""
        rest = "" if self.came else ": no figure came at that step itself"
        return f"Around step {self.step}{rest}."


def around(
    query: str, run: RunDetail, source: Source, metrics: Sequence[str], wanted: Sequence[str] | None = None
) -> Around | str | None:
    """Return what an address asks to be shown; why there is nothing, in words; None if it asks for all of the run.

    What is around a step depends on all `metrics`; of steps from one to another those that are `wanted` are read.
    """
    named = asked(query, "step")
    first, last = run.summary.first_step, run.summary.last_step
    if first is None or last is None:
        return None if named is None else "The run has no step yet, so that none can be shown."
    ends = view_of(query).ends(first, last)
    step = step_of(named)
    if named is not None and (step is None or not first <= step <= last):
        shown = named if len(named) <= LETTERS_SHOWN else f"{named[:LETTERS_SHOWN]}…"
        return f"There is no step “{shown}” in this run: it has steps {first} to {last}. All of it is shown."
    found = None if step is None else _around(step, first, last, run, source, metrics)
    if ends is None:
        return found
    part = _part(ends, run, source, metrics if wanted is None else wanted)
    return part if found is None else replace(part, step=found.step, came=found.came)


def _part(ends: tuple[int, int], run: RunDetail, source: Source, metrics: Sequence[str]) -> Around:
    first, last = ends
    beside = (last - first) // BESIDE + 1
    series = source.series(
        run.summary.id,
        metrics,
        from_step=max(0, first - max(beside, BEFORE)),
        to_step=min(last + beside, MAX_STEP),
        points=POINTS,
    )
    return Around(None, first, last, series, came=True)


def _around(
    step: int, first: int, last: int, run: RunDetail, source: Source, metrics: Sequence[str]
) -> Around:
    width = STEPS_AROUND
    while True:
        begin, end = max(first, step - width), step + width
        series = source.series(run.summary.id, metrics, from_step=max(0, begin - BEFORE), to_step=end)
        seen = {at for one in series.values() for at in one.step.tolist() if at >= begin}
        if len(seen) >= LEAST_SEEN or (begin == first and end >= last):
            # of a run that goes on the rest is still to come
            is_over = run.summary.state is not RunState.LIVE
            return Around(step, begin, min(last, end) if is_over else end, series, step in seen)
        width *= WIDER


def united(whole: Series, part: Series) -> Series:
    """Return a thinned series with all of a part of it."""
    step, places = np.unique(np.concatenate([part.step, whole.step]), return_index=True)
    return Series(step, np.concatenate([part.value, whole.value])[places])
