"""What rules would have done on a run that is in the archive, in as much time as somebody waits for an answer."""

import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from rolloutwatch_contract.rules import Rule
from rolloutwatch_server.alerts.notes import Began
from rolloutwatch_server.alerts.plan import Plan
from rolloutwatch_server.alerts.recorded import Happened, replay, trial
from rolloutwatch_server.alerts.state import Transition
from rolloutwatch_server.alerts.steps import Steps
from rolloutwatch_server.store import Store

MOST_STEPS = 100_000  # of a run, the first ones
MOST_TRANSITIONS = 1000
MOST_SECONDS = 10.0

_turn = threading.Lock()  # one after the other: who judges keeps the ingest waiting a little


class Busy(RuntimeError):
    """Others try rules on runs; there was no turn within the time that an answer may take."""


class Trial(msgspec.Struct, frozen=True):
    """What rules would have done on a run from its first step that is judged to `to_step`; `steps` were looked at.

    It is not `complete` if there are steps before or after, or more transitions than an answer has room for.
    """

    run: str
    from_step: int | None
    to_step: int | None
    steps: int
    complete: bool
    transitions: list[tuple[Rule, Transition]]


def try_rules(
    store: Store,
    run: str,
    rules: Sequence[Rule],
    *,
    seconds: float = MOST_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Trial:
    """Judge a run by rules that are not in force, as it would have been judged; Busy if others are at it.

    Rules that go by the clock do nothing here: when nothing came is not recorded.
    """
    deadline = clock() + seconds
    if not _turn.acquire(timeout=seconds):
        raise Busy(f"others try rules on runs, and no turn came within {seconds:g} s: try again.")
    try:
        return _try(store, run, rules, lambda: clock() > deadline)
    finally:
        _turn.release()


def _try(store: Store, run: str, rules: Sequence[Rule], is_over: Callable[[], bool]) -> Trial:
    plan = Plan(rule for rule in rules if rule.applies_to(run))
    steps, complete = Steps(), True
    transitions: list[Happened] = []
    with store.judged(run) as judged:
        was_judged = any(isinstance(note, Began) for note in judged.notes)
        pieces = steps.of(judged.pieces(_metrics(plan)))
        # what the rules of then were shown, when they were: late figures late, and ends where they were
        happening = (
            replay(pieces, judged.notes, lambda version: plan, is_recorded=False)
            if was_judged
            else trial(pieces, judged.notes, plan)
        )
        for step, happened in happening:
            if is_over() or steps.count >= MOST_STEPS or len(transitions) >= MOST_TRANSITIONS:
                complete = False
                break
            transitions += happened
            steps.judged(step)
    return Trial(run, steps.first, steps.last, steps.count, complete, transitions[:MOST_TRANSITIONS])


def _metrics(plan: Plan) -> list[str]:
    return sorted(frozenset().union(*plan.metrics_of))
