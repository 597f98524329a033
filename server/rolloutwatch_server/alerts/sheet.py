"""The figures of one step of a run, what the windows of its rules hold, and what all conditions come to."""

import bisect
import math
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from rolloutwatch_contract.conditions import Truth
from rolloutwatch_server.alerts.feed import Piece
from rolloutwatch_server.alerts.layout import ShareOf
from rolloutwatch_server.alerts.plan import Plan, Stage, Truths
from rolloutwatch_server.alerts.window import Window
from rolloutwatch_server.alerts.windows import Shares, empty_window

NOBODY = (0, 0)
_UNKNOWN = int(Truth.UNKNOWN)  # an enumeration's own is slow to come by


class Before(NamedTuple):
    """Values by metric, in order, that are taken to have been up to a step."""

    step: int
    values: Mapping[str, Sequence[float]]


Missed = Callable[[str], int | None]  # for how many steps a metric has not come, None if it never did


class Sheet:
    """What is known of a run at its open step.

    `begun` is, for each rule, the step up to which its windows take nothing. `before` are values by metric which windows
    take to have been before the first ones, those of rules that were in force from there on. `configured` are the steps
    from which on the trainer is configured otherwise, ascending.
    While it `is_warming` it finds out whether windows have all that they need.
    """

    def __init__(
        self, plan: Plan, begun: Sequence[int], before: Before | None = None, configured: Sequence[int] = ()
    ) -> None:
        self.plan = plan
        self.begun = begun
        self.configured = configured
        self.is_warming = False
        self._values = list(plan.blank)
        self._speakers = [0] * len(plan.names)  # the sessions that brought the figures of the step
        self._configuration = 0  # how often the trainer was configured otherwise up to the step
        self._truths = np.concatenate([plan.truths, 2 - plan.truths])
        self._windows: list[Window] = []
        self._pushed: list[int] = []
        # session and configuration of the last value in each window, 0 of a session before there is one
        self._heard: list[tuple[int, int]] = []
        self._shares: list[Shares] = []
        self.empty(before)

    def empty(self, before: Before | None = None) -> None:
        """Forget all figures, those in windows too; these begin with a past if there is one."""
        self.clear()
        names = self.plan.names
        self._windows = [
            empty_window(one.function, one.samples, names[one.metric]) for one in self.plan.windows
        ]
        self._pushed = [-1] * len(self._windows)
        self._heard = [NOBODY] * len(self._windows)
        self._shares = [Shares(share.steps) for share in self.plan.shares]
        if before is not None:
            for window, about in zip(self._windows, self.plan.windows, strict=True):
                if self.begun[about.rule] <= before.step:
                    window.learn(before.values.get(names[about.metric], ()))

    def clear(self) -> None:
        """Begin another step, of which nothing is known yet."""
        self._values[:] = self.plan.blank

    def keep(self, old: "Sheet", rules: Mapping[int, int]) -> None:
        """Take over what another plan's sheet knew: the figures, and the windows of rules that go on, new to old."""
        figures = dict(zip(old.plan.names, zip(old._values, old._speakers, strict=False), strict=True))
        for place, name in enumerate(self.plan.names):
            self._values[place], self._speakers[place] = figures.get(name, (math.nan, 0))
        windows = {
            (w.rule, w.function, old.plan.names[w.metric], w.samples): at
            for at, w in enumerate(old.plan.windows)
        }
        for at, window in enumerate(self.plan.windows):
            if window.rule in rules:
                key = (rules[window.rule], window.function, self.plan.names[window.metric], window.samples)
                was = windows[key]
                self._windows[at], self._pushed[at] = old._windows[was], old._pushed[was]
                self._heard[at] = old._heard[was]
                self._values[window.place] = old._values[old.plan.windows[was].place]
        shares = _by_rule(old.plan)
        for rule, new in _by_rule(self.plan).items():
            if rule in rules:
                for at, was in zip(new, shares[rules[rule]], strict=True):
                    self._shares[at] = old._shares[was]
                    self._values[self.plan.shares[at].place] = old._values[old.plan.shares[was].place]

    def put(self, piece: Piece, metrics: Mapping[str, float]) -> None:
        """Add figures of the step, which are some of a piece."""
        values, speakers, get = self._values, self._speakers, metrics.get
        self._configuration = bisect.bisect_right(self.configured, piece.step)
        for place, name in enumerate(self.plan.names):
            value = get(name)
            if value is not None:
                values[place] = value
                speakers[place] = piece.speaker(name)

    @contextmanager
    def of_another_step(self, piece: Piece, metrics: Mapping[str, float]) -> Iterator[None]:
        """Be for a while about another step, of which there are these figures of a piece."""
        open_ones = self._values, self._speakers, self._configuration
        self._values, self._speakers = list(self.plan.blank), [0] * len(self._speakers)
        self.put(piece, metrics)
        try:
            yield
        finally:
            self._values, self._speakers, self._configuration = open_ones

    def known(self, rule: int) -> dict[str, float]:
        """Return the figures of a rule that are known, NaN being none."""
        found = ((name, self._values[place]) for name, place in self.plan.places_of[rule])
        return {name: value for name, value in found if value == value}

    def is_warm(self, came: Container[str]) -> bool:
        """Tell whether nothing of before could change what windows hold, if only these metrics have ever come."""
        windows = zip(self._windows, self.plan.windows, strict=True)
        shares = zip(self._shares, self.plan.shares, strict=True)
        return all(
            window.is_full or self.plan.names[about.metric] not in came for window, about in windows
        ) and all(share.is_full or _never_counts(share, about, came) for share, about in shares)

    def judge(
        self, step: int, missed: Missed, *, closed: bool = False, only: Collection[str] | None = None
    ) -> Truths:
        """Return what all conditions come to, and behind them what the opposites of all come to.

        Args:
            step: The step that the figures are of; windows take each figure once.
            missed: Tells how long metrics have not come.
            closed: Whether nothing more will come of the step.
            only: The metrics that have come, if those of other metrics may count elsewhere already.
        """
        truths, plan = self._truths, self.plan
        for absence in plan.absences:
            truth = _absent(missed(absence.metric), absence.steps, closed)
            truths[absence.condition] = 2 - truth if absence.negated else truth
        self._push(step)
        for stage in plan.stages:
            if stage.shares:
                self._share(stage, step, only)
            self._compute(stage)
        half = len(plan.truths)
        np.subtract(2, truths[:half], out=truths[half:])
        return truths

    def _push(self, step: int) -> None:
        values, windows, pushed = self._values, self._windows, self._pushed
        for at, (place, rule, _, metric, _) in enumerate(self.plan.windows):
            value = values[metric]
            if value == value and pushed[at] < step and self.begun[rule] < step:
                heard = self._heard[at]
                if heard[0] != self._speakers[metric] or heard[1] != self._configuration:
                    self._hear(at, self._speakers[metric])
                pushed[at] = step
                values[place] = windows[at].push(step, value)

    def _hear(self, at: int, speaker: int) -> None:
        """Let a window know that the next value is of another session, or of a trainer that is configured otherwise."""
        session, configuration = self._heard[at]
        is_another = bool(session and speaker) and session != speaker  # else nobody knows whether it is
        if is_another or (self._pushed[at] >= 0 and configuration != self._configuration):
            self._windows[at].begin_anew()
        self._heard[at] = speaker or session, self._configuration

    def _share(self, stage: Stage, step: int, only: Collection[str] | None) -> None:
        found = self._truths[stage.conditions].tolist()
        for at, truth in zip(stage.shares, found, strict=True):
            share, window = self.plan.shares[at], self._shares[at]
            if truth == _UNKNOWN or window.step >= step or self.begun[share.rule] >= step:
                continue
            if only is None or share.metrics.issubset(only):
                self._values[share.place] = window.push(step, truth > _UNKNOWN)
                if self.is_warming:
                    window.sure += self._is_sure(share)

    def _is_sure(self, share: ShareOf) -> bool:
        """Tell whether nothing of before could make a condition known."""
        return all(self._windows[at].is_full for at in share.windows)

    def _compute(self, stage: Stage) -> None:
        values, truths = self._values, self._truths
        for place, _, calculate, left, right in stage.calculations:
            values[place] = calculate(values[left], values[right])
        if stage.comparisons:
            numbers = np.array(values)
            left_numbers, right_numbers = numbers[stage.left], numbers[stage.right]
            found = truths[stage.into]
            for compare, part in stage.comparisons:
                compare(left_numbers[part], right_numbers[part], out=found[part].view(np.bool_))
            found += found  # true is 2
            missing = numbers != numbers
            if missing.any():
                found[missing[stage.left] | missing[stage.right]] = _UNKNOWN
        for join, parts, begins, into in stage.joins:
            join.reduceat(truths[parts], begins, out=truths[into])


def _never_counts(share: Shares, about: ShareOf, came: Container[str]) -> bool:
    """Tell whether a share has counted no step: its condition asks for figures that never came, and needs them to be known."""
    return share.step < 0 and not any(name in came for name in about.metrics)


def _by_rule(plan: Plan) -> dict[int, list[int]]:
    """Return the shares of each rule, in order."""
    found: dict[int, list[int]] = {}
    for at, share in enumerate(plan.shares):
        found.setdefault(share.rule, []).append(at)
    return found


def _absent(missed: int | None, steps: int, closed: bool) -> Truth:
    if missed is None:
        return Truth.UNKNOWN
    if missed < steps:
        return Truth.FALSE
    return Truth.TRUE if closed else Truth.UNKNOWN
