"""What the address of a page says of how one looks at its charts; assets/view.js reads the same."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qs

from rolloutwatch_contract.record import MAX_STEP

LONGEST_QUERY = 8000
AXES = ("step", "time", "relative")
MOST_SMOOTH = 0.99
MOST_NAMES = 100
_STEP = re.compile(r"[0-9]{1,16}")
_SMOOTH = re.compile(r"[01]|0?\.[0-9]{1,4}")
_NAME = re.compile(r"-?[A-Za-z0-9_./@-]{1,128}")


@dataclass(frozen=True)
class View:
    """Steps in view, None where there is no end to that side; the axis; how much lines are smoothed.

    `switched` names the charts whose value axis is logarithmic although it is usually not,
    and with a "-" before them those of which the contrary is so.
    """

    first: int | None = None
    last: int | None = None
    axis: str = AXES[0]
    smooth: float = 0.0
    switched: tuple[str, ...] = ()

    def ends(self, first: int, last: int) -> tuple[int, int] | None:
        """Return which of the steps of a run are in view, None for all of them."""
        if self.first is None and self.last is None:
            return None
        begin = first if self.first is None else self.first
        end = last if self.last is None else self.last
        return (begin, max(begin, end))

    def is_log(self, name: str, usually: bool) -> bool:
        """Tell whether the value axis of a chart is logarithmic."""
        return f"-{name}" not in self.switched if usually else name in self.switched


USUAL = View()


def asked(query: str, name: str) -> str | None:
    """Return what an address says of a name, which may be anything; None if it says nothing of it.

    >>> asked("?step=12", "step"), asked("?step=12&step=13", "step"), asked("?steps=1", "step"), asked("", "step")
    ('12', '12', None, None)
    """
    text = query.removeprefix("?")[:LONGEST_QUERY].encode("utf-8", "replace").decode()
    return parse_qs(text, keep_blank_values=True).get(name, [None])[0]


def view_of(query: str) -> View:
    """Return what an address asks for; nonsense asks for nothing.

    >>> view_of("?from=3&to=9&smooth=0.5&log=ess,-k3").switched
    ('ess', '-k3')
    >>> view_of("?from=9&to=3&smooth=much&x=y") == View()
    True
    """
    first, last = step_of(asked(query, "from")), step_of(asked(query, "to"))
    if first is not None and last is not None and first > last:
        first = last = None
    axis, smooth = asked(query, "x"), asked(query, "smooth") or ""
    names = [name for name in (asked(query, "log") or "").split(",") if _NAME.fullmatch(name)]
    return View(
        first,
        last,
        axis if axis in AXES else AXES[0],
        min(float(smooth), MOST_SMOOTH) if _SMOOTH.fullmatch(smooth) else 0.0,
        tuple(dict.fromkeys(names))[:MOST_NAMES],
    )


def step_of(text: str | None) -> int | None:
    """Return the step that a text names, None if it names none."""
    if text is None or not _STEP.fullmatch(text):
        return None
    return int(text) if int(text) <= MAX_STEP else None
