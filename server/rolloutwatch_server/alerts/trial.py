"""What rules would have done on a run that is in the archive, in as much time as somebody waits for an answer."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec

from rolloutwatch_contract.rules import Rule
from rolloutwatch_server.alerts.evaluation import RunAlerts
from rolloutwatch_server.alerts.feed import Piece
from rolloutwatch_server.alerts.plan import Plan
from rolloutwatch_server.alerts.state import Transition
from rolloutwatch_server.store import Store
from rolloutwatch_server.store.portions import Portion

MOST_STEPS = 100_000  # of a run, the newest ones
MOST_TRANSITIONS = 1000
MOST_SECONDS = 10.0
STEPS_AT_ONCE = 5000

_turn = threading.Lock()  # one after the other: who judges keeps the ingest waiting a little


class Busy(RuntimeError):
    """Others try rules on runs; there was no turn within the time that an answer may take."""


class Trial(msgspec.Struct, frozen=True):
    """What rules would have done on what is shown of a run, step by step; `steps` were looked at.

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
    """Judge the newest steps of a run by rules that are not in force; Busy if others are at it.

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
    judged = RunAlerts(plan)
    known = store.times(run).step
    there = known[-MOST_STEPS:].tolist()
    complete, steps, transitions = len(there) == len(known), 0, []
    last = None
    for piece in _pieces(store, run, plan, there):
        if is_over() or len(transitions) >= MOST_TRANSITIONS:
            complete = False
            break
        transitions += judged.feed(piece).transitions
        last = piece.step
        steps += 1
    first = int(there[0]) if there else None
    return Trial(run, first, last, steps, complete, transitions[:MOST_TRANSITIONS])


def _pieces(store: Store, run: str, plan: Plan, there: Sequence[int]) -> Iterator[Piece]:
    if not there:
        return
    names = sorted(frozenset().union(*plan.metrics_of))
    for portion in store.portions(run, names, there[0], there[-1], steps=STEPS_AT_ONCE, bare=True):
        yield from _of(portion)


def _of(portion: Portion) -> Iterator[Piece]:
    """Yield the steps of a portion, those without any of the figures too, which an absence is made of."""
    columns = [
        (name, portion.values[name].tolist(), portion.present[name].tolist()) for name in portion.values
    ]
    time_before = 0.0
    for row, (step, at) in enumerate(zip(portion.step.tolist(), portion.time.tolist(), strict=True)):
        metrics = {name: values[row] for name, values, present in columns if present[row]}
        time_before = at if math.isfinite(at) else time_before
        # a step without any of the figures is one all the same
        yield Piece(step, time_before, 0, metrics or {"": math.nan})
