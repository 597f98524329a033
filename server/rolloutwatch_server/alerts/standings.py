"""How every rule of a plan stands on one run, and which of them a step can move."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from rolloutwatch_contract.conditions import Truth
from rolloutwatch_contract.rules import Rule
from rolloutwatch_server.alerts.plan import Plan, Truths
from rolloutwatch_server.alerts.state import AlertState, Phase, Sample, Stepped, Transition, step

Flags = npt.NDArray[np.bool_]
Known = Callable[[int], dict[str, float]]

# Whether a rule has to be stepped: first as truth is false, unknown, true for one that only what is true can move,
# then the same for one that is moved, or made stable, by whatever is known.
_MOVES = np.array([False, False, True, True, False, True])
_EAGER = 3
_TRUTHS = tuple(Truth)
_UNKNOWN = int(Truth.UNKNOWN)  # an enumeration's own is slow to come by


class Standings:
    """The states of rules. Only those that may change are stepped; the others are as they were.

    `open` are the rules that the open step may still decide, `moved` are states that changed since `moved` was emptied.
    """

    def __init__(self, plan: Plan, states: Mapping[str, AlertState]) -> None:
        self.plan = plan
        self.states = [states.get(rule.name, AlertState()) for rule in plan.rules]
        self.begun = [state.begun for state in self.states]
        self.open: Flags = np.zeros(len(plan.rules), dtype=np.bool_)
        self.moved: dict[str, AlertState] = {}
        self._all: Flags = np.ones(len(plan.rules), dtype=np.bool_)
        self._latest_begun = max(self.begun, default=-1)
        self._asked = plan.whens.copy()
        self._eager = np.zeros(len(plan.rules), dtype=np.int8)
        for rule, state in enumerate(self.states):
            self._look_at(rule, state)

    def counts_at(self, step: int) -> Flags:
        """Return which rules are in force at a step."""
        if step > self._latest_begun:
            return self._all
        return np.array([begun < step for begun in self.begun], dtype=np.bool_)

    def judge(
        self, truths: Truths, open_: Flags, number: int, at_step: int, time: float, known: Known, during: int
    ) -> list[tuple[Rule, Transition]]:
        """Step the rules that are open, those of them that are decided; they are not open after that.

        `during` is the step that is open, `at_step` or a later one.
        """
        asked = truths[self._asked]
        moving = _MOVES[self._eager + asked]
        moving &= open_
        open_ &= asked == _UNKNOWN
        happened: list[tuple[Rule, Transition]] = []
        for rule in moving.nonzero()[0].tolist():
            when, clear = truths[self.plan.whens[rule]], truths[self.plan.clears[rule]]
            sample = Sample(
                number=number,
                step=at_step,
                time=time,
                when=_TRUTHS[when],
                clear=_TRUTHS[clear],
                values=known(rule),
                during=during,
            )
            happened += self.take(rule, step(self.plan.rules[rule], self.states[rule], sample))
        return happened

    def take(self, rule: int, stepped: Stepped) -> list[tuple[Rule, Transition]]:
        """Let a rule stand as it does after a step; return what happened to its alert."""
        state, transitions = stepped
        if state != self.states[rule]:
            self.states[rule] = state
            self.begun[rule] = state.begun
            self._latest_begun = max(self._latest_begun, state.begun)
            self.moved[self.plan.rules[rule].name] = state
            self._look_at(rule, state)
        return [(self.plan.rules[rule], transition) for transition in transitions]

    def _look_at(self, rule: int, state: AlertState) -> None:
        is_firing = state.phase is Phase.FIRING
        self._asked[rule] = (self.plan.clears if is_firing else self.plan.whens)[rule]
        is_eager = state.phase is Phase.PENDING or state.count > 0 or state.flapping
        self._eager[rule] = _EAGER if is_eager else 0
