"""An archived run as it was judged live: shown figures and feed notes, in the order in which they were judged."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import msgspec

from rolloutwatch_contract.alerts import Change
from rolloutwatch_contract.rules import Rule
from rolloutwatch_server.alerts.evaluation import RunAlerts
from rolloutwatch_server.alerts.feed import Fed, Memory, Piece
from rolloutwatch_server.alerts.notes import (
    Began,
    FeedNote,
    LateFigures,
    OtherRules,
    OtherTime,
    RunEnded,
    Was,
    WentBack,
)
from rolloutwatch_server.alerts.plan import Plan
from rolloutwatch_server.alerts.state import Transition

BACK = "the run went back to step "
UNJUDGED = "the steps that followed were not judged"
ANY = ""  # stands for figures that no rule looks at, since they too make a step

Happened = tuple[Rule, Transition]


class Placed(NamedTuple):
    """A note, and the step at which its turn comes: before what came of that step, or `within` it."""

    at: int
    within: bool
    is_given_up: bool
    note: FeedNote


def place(notes: Sequence[FeedNote]) -> list[Placed]:
    """Return the notes that have a place among the figures, in order.

    What was noted ahead of a step that the run went back to comes before it does.
    """
    placed: list[Placed] = []
    limit = 2**62
    for note in reversed(notes):
        match note:
            case WentBack():
                limit = min(limit, note.step)
                placed.append(Placed(limit, within=False, is_given_up=False, note=note))
            case LateFigures():
                placed.append(_placed(note.during + 1, False, limit, note))
            case Began() | RunEnded():
                placed.append(_placed(note.step + 1, False, limit, note))
            case OtherRules():
                placed.append(_placed(note.step, True, limit, note))
            case Was() | OtherTime():
                pass
    return placed[::-1]


def _placed(at: int, within: bool, limit: int, note: FeedNote) -> Placed:
    if at > limit or (within and at >= limit):
        return Placed(limit, within=False, is_given_up=True, note=note)
    return Placed(at, within, is_given_up=False, note=note)


def as_judged(pieces: Iterable[Piece], notes: Iterable[FeedNote]) -> Iterator[Piece]:
    """Yield shown pieces, one for each step, with the figures and times that were judged in place of those shown."""
    was: dict[int, dict[str, float | None]] = {}
    times: dict[int, float] = {}
    for note in notes:
        match note:
            case Was():
                was.setdefault(note.step, {}).update(note.figures)
            case LateFigures():
                known = was.setdefault(note.step, {})
                for metric in note.figures:
                    known.setdefault(metric, None)
            case OtherTime():
                times[note.step] = note.time
            case _:
                pass
    return _overruled(pieces, was, times)


def _overruled(
    pieces: Iterable[Piece], was: Mapping[int, Mapping[str, float | None]], times: Mapping[int, float]
) -> Iterator[Piece]:
    lost = iter(sorted(was))  # steps of which nothing is shown any more may have been judged all the same
    missing = next(lost, None)
    for piece in pieces:
        while missing is not None and missing < piece.step:
            yield from _corrected(Piece(missing, times.get(missing, 0.0), 0, {}), was, times)
            missing = next(lost, None)
        if missing == piece.step:
            missing = next(lost, None)
        if piece.step in was or piece.step in times:
            yield from _corrected(piece, was, times)
        else:
            yield piece
    while missing is not None:
        yield from _corrected(Piece(missing, times.get(missing, 0.0), 0, {}), was, times)
        missing = next(lost, None)


def _corrected(
    piece: Piece, was: Mapping[int, Mapping[str, float | None]], times: Mapping[int, float]
) -> Iterator[Piece]:
    judged = {**piece.metrics, **was.get(piece.step, {})}
    metrics = {metric: value for metric, value in judged.items() if value is not None}
    if metrics:
        yield Piece(piece.step, times.get(piece.step, piece.time), piece.session, metrics)


def in_order(pieces: Iterable[Piece], notes: Sequence[FeedNote]) -> Iterator[Piece | Placed]:
    """Yield pieces as they were judged, and each note in its turn; a step that a note stands within comes in two parts."""
    judged = as_judged(pieces, notes)
    waiting = next(judged, None)
    for placed in place(notes):
        while waiting is not None and waiting.step < placed.at:
            yield waiting
            waiting = next(judged, None)
        if placed.within and waiting is not None and waiting.step == placed.at:
            assert isinstance(placed.note, OtherRules)
            came = set(placed.note.came)
            first = {metric: value for metric, value in waiting.metrics.items() if metric in came}
            rest = {metric: value for metric, value in waiting.metrics.items() if metric not in came}
            if first:
                yield Piece(waiting.step, waiting.time, waiting.session, first)
            waiting = Piece(waiting.step, waiting.time, waiting.session, rest) if rest else next(judged, None)
        yield placed
    if waiting is not None:
        yield from chain([waiting], judged)


def pieces_alone(pieces: Iterable[Piece], notes: Sequence[FeedNote]) -> Iterator[Piece]:
    """Yield pieces in the order in which they were judged, those that came late among them."""
    for one in in_order(pieces, notes):
        if isinstance(one, Piece):
            yield one
        elif isinstance(one.note, LateFigures) and not one.is_given_up:
            yield late_piece(one.note)


def late_piece(note: LateFigures) -> Piece:
    """Return the piece that came late."""
    return Piece(note.step, note.time, 0, note.figures)


def replay(
    pieces: Iterable[Piece], notes: Sequence[FeedNote], plan_of: Callable[[int], Plan]
) -> Iterator[tuple[int, list[Happened]]]:
    """Judge a run again as it was judged; yield each step with what happened to alerts, given up things left out.

    `plan_of` returns the rules of a version. What came before the run began to be judged is left out.
    """
    alerts: RunAlerts | None = None
    for one in in_order(pieces, notes):
        if isinstance(one, Piece):
            if alerts is not None:
                yield one.step, alerts.feed(one).transitions
            continue
        if isinstance(one.note, Began):
            happened, alerts = _begin(alerts, one.note, plan_of)
        elif alerts is None:
            continue
        else:
            happened = _apply(alerts, one.note, plan_of).transitions
        yield one.at, [given_up(pair, one.at) for pair in happened] if one.is_given_up else happened


def _begin(
    former: RunAlerts | None, note: Began, plan_of: Callable[[int], Plan]
) -> tuple[list[Happened], RunAlerts]:
    happened = [] if former is None else unjudged(former, note.time)
    states = {} if former is None else former.states
    return happened, RunAlerts(plan_of(note.rule_set), states, Memory(begun=note.step))


def unjudged(alerts: RunAlerts, time: float) -> list[Happened]:
    """End all alerts because nobody has judged what came after them; return what that did."""
    return [
        (rule, msgspec.structs.replace(one, reason=UNJUDGED)) for rule, one in alerts.end(time).transitions
    ]


def _apply(alerts: RunAlerts, note: FeedNote, plan_of: Callable[[int], Plan]) -> Fed:
    match note:
        case LateFigures():
            return alerts.feed(late_piece(note))
        case WentBack():
            return alerts.go_back(note.step, note.time, note.epochs)
        case OtherRules():
            return alerts.replace(plan_of(note.rule_set), note.time)
        case RunEnded():
            return alerts.end(note.time)
    raise AssertionError(f"{note} has no place among figures")


def trial(
    pieces: Iterable[Piece], notes: Sequence[FeedNote], plan: Plan
) -> Iterator[tuple[int, list[Happened]]]:
    """Judge a run by other rules than it was judged by, from its first step on; yield as `replay` does."""
    kept = [note for note in notes if not isinstance(note, Began | OtherRules)]
    alerts = RunAlerts(plan)
    for one in in_order(pieces, kept):
        if isinstance(one, Piece):
            yield one.step, alerts.feed(one).transitions
        elif isinstance(one.note, WentBack):
            yield one.at, alerts.go_back(one.note.step, one.note.time).transitions
        elif not one.is_given_up:
            yield one.at, _apply(alerts, one.note, lambda _: plan).transitions


def given_up(pair: Happened, to_step: int) -> Happened:
    """Return an end that was given up as that which the run's going back made of it."""
    rule, one = pair
    reason = f"the run went back to step {to_step}"
    return rule, Transition(
        change=one.change, epoch=one.epoch, step=to_step, time=one.time, reason=reason, quiet=True
    )


def is_end_by_going_back(transition: Transition) -> bool:
    """Tell whether an alert ended because the run went back behind it."""
    return transition.change is Change.RESOLVED and transition.reason.startswith(BACK)
