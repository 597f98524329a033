"""What an address asks to compare: which runs, by what they are aligned, which figures, and which part."""

import enum
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, urlencode

from rolloutwatch_contract.names import is_metric_name
from rolloutwatch_contract.record import MAX_STEP

PATH = "/compare"
MOST_RUNS = 12
MOST_METRICS = 12
LONGEST_QUERY = 8000  # so long are the names of twelve runs and twelve metrics
LETTERS_SHOWN = 60
LARGEST_PLACE = 1e15  # of a step, or of a time in seconds: what is beyond it is nonsense


class Align(enum.Enum):
    """What stands one below the other on all charts."""

    STEP = "step"
    RELATIVE = "relative"
    TIME = "time"
    MARK = "mark"

    @property
    def is_timed(self) -> bool:
        """Whether the axis is one of time."""
        return self in (Align.RELATIVE, Align.TIME)


_MARK = re.compile(r"mark:([^:]+)(?::([1-9][0-9]{0,8}))?", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,16}(?:\.[0-9]{1,9})?", re.ASCII)


@dataclass(frozen=True)
class Asked:
    """What is asked for; `refused` says in words what of it cannot be.

    Aligned by a mark, each run's `number`th mark of kind `mark` is at 0.
    `ends` are the first and the last place in view, in steps or in seconds, None for all there is.
    No `metrics` are those that one looks at first. With `same` also what does not differ between the runs is shown.
    """

    runs: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    align: Align = Align.STEP
    mark: str = ""
    number: int = 1
    ends: tuple[float, float] | None = None
    same: bool = False
    refused: tuple[str, ...] = ()

    @classmethod
    def of(cls, query: str) -> "Asked":
        """Read it from an address, which may be anything.

        >>> asked = Asked.of("?run=math~a&run=math~b&align=mark:weight_sync:3&from=-5&to=20")
        >>> (asked.runs, asked.align, asked.mark, asked.number, asked.ends)
        (('math~a', 'math~b'), <Align.MARK: 'mark'>, 'weight_sync', 3, (-5.0, 20.0))
        """
        text = query.removeprefix("?")[:LONGEST_QUERY].encode("utf-8", "replace").decode()
        given = parse_qs(text)
        refused: list[str] = []
        runs = _most(given.get("run", []), MOST_RUNS, "runs are compared", refused)
        names = [one for one in given.get("metric", []) if _is_metric(one, refused)]
        metrics = _most(names, MOST_METRICS, "figures are drawn", refused)
        align, mark, number = _alignment(given.get("align", ["step"])[0], refused)
        ends = _ends(given, refused)
        same = given.get("same", [""])[0] == "1"
        return cls(runs, metrics, align, mark, number, ends, same, tuple(refused))

    @property
    def aligned(self) -> str:
        """Return how the address says by what runs are aligned."""
        if self.align is not Align.MARK:
            return self.align.value
        return f"mark:{self.mark}" if self.number == 1 else f"mark:{self.mark}:{self.number}"

    @property
    def address(self) -> str:
        """Return the address that asks for the same.

        >>> Asked(("math~a",), align=Align.TIME).address, Asked().address
        ('/compare?run=math~a&align=time', '/compare')
        """
        query = [("run", run) for run in self.runs]
        query += [("align", self.aligned)] if self.align is not Align.STEP else []
        query += [("metric", metric) for metric in self.metrics]
        query += list(zip(("from", "to"), map(_place, self.ends), strict=True)) if self.ends else []
        query += [("same", "1")] if self.same else []
        return PATH + (f"?{urlencode(query, safe='~/:@')}" if query else "")

    def aligned_by(self, align: Align, mark: str = "", number: int = 1) -> "Asked":
        """Return the same aligned by something else, of which all is in view."""
        return replace(self, align=align, mark=mark, number=number, ends=None)


def shown(text: str) -> str:
    """Return what somebody wrote, cut where it is too long."""
    return text if len(text) <= LETTERS_SHOWN else f"{text[:LETTERS_SHOWN]}…"


def _most(given: Sequence[str], most: int, are: str, refused: list[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(given))
    if len(found) > most:
        refused.append(f"No more than {most} {are} at once; the first {most} of {len(found)} are.")
    return found[:most]


def _is_metric(name: str, refused: list[str]) -> bool:
    if is_metric_name(name):
        return True
    refused.append(f"No figure can be called “{shown(name)}”.")
    return False


def _alignment(text: str, refused: list[str]) -> tuple[Align, str, int]:
    plain = {one.value: one for one in Align if one is not Align.MARK}
    if text in plain:
        return plain[text], "", 1
    found = _MARK.fullmatch(text)
    if found and is_metric_name(found[1]):
        return Align.MARK, found[1], int(found[2] or 1)
    refused.append(
        f"Runs cannot be aligned by “{shown(text)}”, but by step, relative, time, or mark: and the kind of a mark. "
        "They are aligned by step."
    )
    return Align.STEP, "", 1


def _ends(given: dict[str, list[str]], refused: list[str]) -> tuple[float, float] | None:
    texts = [given.get(name, [""])[0] for name in ("from", "to")]
    if texts == ["", ""]:
        return None
    first, last = (float(text) if _NUMBER.fullmatch(text) else math.nan for text in texts)
    if -LARGEST_PLACE < first < last < LARGEST_PLACE:
        return first, last
    refused.append(
        f"There is nothing from “{shown(texts[0])}” to “{shown(texts[1])}”: expected two numbers, the first one smaller. "
        "All of it is shown."
    )
    return None


def _place(value: float) -> str:
    """Return a place as an address has it, whole where it is."""
    return str(int(value)) if value.is_integer() and abs(value) <= MAX_STEP else repr(round(value, 3))
