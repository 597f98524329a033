"""The step that an address asks for: what is drawn around it, and what is said of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

import numpy as np

from rolloutwatch_contract.protocol import MarkView, RunDetail, RunState, Series, Source
from rolloutwatch_contract.record import MAX_STEP
from rolloutwatch_dashboard.text import LINKED

STEPS_AROUND = 60  # on either side
LEAST_SEEN = 10  # where figures come less often than at every step, so many of them are to be seen
WIDER = 10
LONGEST_QUERY = 2000
LETTERS_SHOWN = 40


@dataclass(frozen=True)
class Around:
    """A step that charts are drawn around, from `first` to `last`, with all figures that came there."""

    step: int
    first: int
    last: int
    series: Mapping[str, Series]
    came: bool  # whether any figure came at that very step

    @property
    def ends(self) -> tuple[int, int]:
        """Return the first and the last step that charts show."""
        return self.first, self.last

    @property
    def mark(self) -> MarkView:
        """Return the line that marks the step."""
        return MarkView(self.step, 0.0, LINKED, found=True)

    @property
    def said(self) -> str:
        """Return what is said of it above the charts."""
        rest = "" if self.came else ": no figure came at that step itself"
        return f"Around step {self.step}{rest}."


def asked_step(query: str) -> str | None:
    """Return what an address names as its step, which may be anything; None if it names none.

    >>> asked_step("?step=12"), asked_step("?step=12&step=13"), asked_step("?steps=1"), asked_step("")
    ('12', '12', None, None)
    """
    text = query.removeprefix("?")[:LONGEST_QUERY].encode("utf-8", "replace").decode()
    return parse_qs(text, keep_blank_values=True).get("step", [None])[0]


def around(query: str, run: RunDetail, source: Source, metrics: list[str]) -> Around | str | None:
    """Return what is around the step that an address asks for; why there is nothing, in words; None if it asks for none."""
    asked = asked_step(query)
    if asked is None:
        return None
    first, last = run.summary.first_step, run.summary.last_step
    if first is None or last is None:
        return "The run has no step yet, so that none can be shown."
    step = _step(asked)
    if step is None or not first <= step <= last:
        shown = asked if len(asked) <= LETTERS_SHOWN else f"{asked[:LETTERS_SHOWN]}…"
        return f"There is no step “{shown}” in this run: it has steps {first} to {last}. All of it is shown."
    return _around(step, first, last, run, source, metrics)


def _step(text: str) -> int | None:
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_STEP))
    return int(text) if is_number else None


def _around(step: int, first: int, last: int, run: RunDetail, source: Source, metrics: list[str]) -> Around:
    width = STEPS_AROUND
    while True:
        begin, end = max(first, step - width), step + width
        series = source.series(run.summary.id, metrics, from_step=begin, to_step=end)
        seen = {at for one in series.values() for at in one.step.tolist()}
        if len(seen) >= LEAST_SEEN or (begin == first and end >= last):
            # of a run that goes on the rest is still to come
            is_over = run.summary.state is not RunState.LIVE
            return Around(step, begin, min(last, end) if is_over else end, series, step in seen)
        width *= WIDER


def united(whole: Series, part: Series) -> Series:
    """Return a thinned series with all of a part of it."""
    step, places = np.unique(np.concatenate([part.step, whole.step]), return_index=True)
    return Series(step, np.concatenate([part.value, whole.value])[places])
