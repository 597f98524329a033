"""The rows of all runs, kept between looks: what has not changed is not made anew, whoever looks and however often."""

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import RunSummary, Source
from rolloutwatch_dashboard.rows import Lately, Row, row

MOST_ALERTS = 1000
SECONDS_OF_A_LOOK = 0.3  # of computing, for which rows are made anew; what is left is for the next look

Limits = Callable[[str], Sequence[Limit]]  # of a run


class _Of(NamedTuple):
    """What a row is made of beside the run itself: versions of what it has come to and of the rules in force, and alerts."""

    version: str
    rules: int
    firing: Sequence[AlertView]


class _Kept(NamedTuple):
    """A row, the look at which it became what it is, and what it was made of."""

    row: Row
    since: int
    summary: RunSummary
    of: _Of
    lately: Lately


class Board:
    """All rows as they are at the last look. Safe to use from any thread; one looks at a time, and the next one has it easy."""

    def __init__(self, seconds: float = SECONDS_OF_A_LOOK) -> None:
        self._seconds = seconds
        self._left = 0
        self._name = secrets.token_hex(4)  # another server, or this one started anew, counts looks of its own
        self._lock = threading.Lock()
        self._look = 0
        self._kept: dict[str, _Kept] = {}
        self._gone: dict[str, int] = {}

    def look(self, source: Source, limits: Limits, seen: object = None) -> dict[str, Any]:
        """Return the rows that have changed since the look that was `seen`, all of them if that is none of this board's.

        `gone` are the ids of runs that are there no more, `seen` is what to ask with next time;
        with `whole` the rows are all there are, but for so many as are `left`: not read yet, so that it is well to ask again.
        """
        with self._lock:
            self._update(source, limits)
            since = self._since(seen)
            return {
                "seen": f"{self._name}.{self._look}",
                "whole": since < 0,
                "left": self._left,
                "rows": [one.row for one in self._kept.values() if one.since > since],
                "gone": [run for run, look in self._gone.items() if look > since >= 0],
            }

    def _since(self, seen: object) -> int:
        name, _, look = seen.partition(".") if isinstance(seen, str) else ("", "", "")
        is_ours = name == self._name and look.isascii() and look.isdecimal() and len(look) < 16
        return int(look) if is_ours else -1

    def _update(self, source: Source, limits: Limits) -> None:
        runs, versions, rules = source.runs(), source.versions(), source.rules().version
        firing: dict[str, list[AlertView]] = {}
        for one in source.alerts(limit=MOST_ALERTS):
            firing.setdefault(one.run, []).append(one)
        self._look += 1
        former, self._kept = self._kept, {}
        changed: list[tuple[_Kept | None, RunSummary, _Of]] = []
        for run in runs:
            kept, of = former.get(run.id), _Of(versions.get(run.id, ""), rules, firing.get(run.id, []))
            if kept is not None:
                self._kept[run.id] = kept
            if kept is None or (kept.summary, kept.of) != (run, of):
                changed.append((kept, run, of))
        # those that nobody has seen come first, then those that are longest as they are
        changed.sort(key=lambda one: -1 if one[0] is None else one[0].since)
        end = time.thread_time() + self._seconds
        for at, (kept, run, of) in enumerate(changed):
            if at and time.thread_time() > end:
                break
            self._kept[run.id] = self._made(kept, source, limits, run, of)
        self._left = len(runs) - len(self._kept)
        for gone in former.keys() - self._kept.keys():
            self._gone[gone] = self._look
        for back in self._gone.keys() & self._kept.keys():
            del self._gone[back]

    def _made(self, kept: _Kept | None, source: Source, limits: Limits, run: RunSummary, of: _Of) -> _Kept:
        judged = limits(run.id)
        is_known = kept is not None and (kept.of.version, kept.of.rules) == (of.version, of.rules)
        lately = kept.lately if kept is not None and is_known else Lately(source, run, judged)
        made = row(run, lately, judged, of.firing)
        since = kept.since if kept is not None and made == kept.row else self._look
        return _Kept(made, since, run, of, lately)
