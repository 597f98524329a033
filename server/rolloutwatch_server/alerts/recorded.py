"""An archived run as it was judged live: shown figures and feed notes, in the order in which they were judged."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, takewhile
from typing import NamedTuple

import msgspec

from rolloutwatch_contract.rules import Rule
from rolloutwatch_server.alerts.evaluation import RunAlerts
from rolloutwatch_server.alerts.feed import Fed, Memory, Piece, Rewind
from rolloutwatch_server.alerts.notes import (
    TIME,
    Began,
    FeedNote,
    LateFigures,
    OtherConfig,
    OtherRules,
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
    note: FeedNote


def place(notes: Sequence[FeedNote]) -> list[Placed]:
    """Return the notes that have a place among the figures, in order.

    What was noted at a step that the run went back behind was given up with it; but other rules stay in force.
    """
    placed: list[Placed] = []
    limit, back = (
        2**62,
        0,
    )  # how far the run went back after the note at hand, and where that stands in `placed`
    for note in reversed(notes):
        match note:
            case WentBack() if note.step < limit:  # else it went back further, or as far again, after that
                limit, back = note.step, len(placed)
                placed.append(Placed(limit, within=False, note=note))
            case LateFigures() if note.during < limit:
                placed.append(Placed(note.during, within=True, note=note))
            case RunEnded() if note.step < limit:
                placed.append(Placed(note.step + 1, within=False, note=note))
            case Began():
                placed.append(Placed(min(note.judged_to + 1, limit), within=False, note=note))
            case OtherConfig() if note.step < limit:
                placed.append(Placed(note.step, within=False, note=note))
            case OtherRules() if note.step < limit:
                placed.append(Placed(note.step, within=True, note=note))
            case OtherRules():
                placed.insert(back, Placed(limit, within=False, note=note))
                back += 1
            case _:
                pass
    return placed[::-1]


def as_judged(pieces: Iterable[Piece], notes: Iterable[FeedNote]) -> Iterator[Piece]:
    """Yield shown pieces, one for each step, with the figures and times that were judged in place of those shown."""
    was: dict[int, Was] = {}
    for note in notes:
        match note:
            case Was():
                known = was.get(note.step, Was(note.step, {}))
                was[note.step] = Was(
                    note.step, {**known.figures, **note.figures}, {**known.speakers, **note.speakers}
                )
            case LateFigures():
                known = was.get(note.step, Was(note.step, {}))
                was[note.step] = Was(
                    note.step, {**dict.fromkeys(note.figures), **known.figures}, known.speakers
                )
            case _:
                pass
    return _overruled(pieces, was)


def _overruled(pieces: Iterable[Piece], was: Mapping[int, Was]) -> Iterator[Piece]:
    lost = iter(sorted(was))  # steps of which nothing is shown any more may have been judged all the same
    missing = next(lost, None)
    for piece in pieces:
        while missing is not None and missing < piece.step:
            yield from _corrected(Piece(missing, 0.0, 0, {}), was[missing])
            missing = next(lost, None)
        if missing == piece.step:
            yield from _corrected(piece, was[missing])
            missing = next(lost, None)
        else:
            yield piece
    while missing is not None:
        yield from _corrected(Piece(missing, 0.0, 0, {}), was[missing])
        missing = next(lost, None)


def _corrected(piece: Piece, was: Was) -> Iterator[Piece]:
    judged = {**piece.metrics, **was.figures}
    time = judged.pop(TIME, None)
    metrics = {metric: value for metric, value in judged.items() if value is not None}
    if metrics:
        speakers = {**piece.speakers, **was.speakers}
        yield Piece(piece.step, piece.time if time is None else time, piece.session, metrics, speakers)


def in_order(pieces: Iterable[Piece], notes: Sequence[FeedNote]) -> Iterator[Piece | Placed]:
    """Yield pieces as they were judged, and each note in its turn; a step that notes stand within comes in parts."""
    judged = as_judged(pieces, notes)
    waiting = next(judged, None)
    placed = place(notes)
    for number, one in enumerate(placed):
        while waiting is not None and waiting.step < one.at:
            yield waiting
            waiting = next(judged, None)
        if one.within and waiting is not None and waiting.step == one.at:
            first, rest = _parted(waiting, _came_before(waiting.metrics, placed[number:], one))
            if first is not None:
                yield first
            waiting = rest if rest is not None else next(judged, None)
        yield one
    if waiting is not None:
        yield from chain([waiting], judged)


def _came_before(metrics: Collection[str], placed: Sequence[Placed], one: Placed) -> set[str]:
    """Return which figures of a step came before a note that stands within it."""
    if isinstance(one.note, OtherRules):
        came = set(one.note.came)
        # those that no rule looks at stand for themselves
        return {metric for metric in metrics if metric in came} | ({ANY} if came else set())
    # figures that came late had not come at the step yet that was open
    same = takewhile(lambda other: other.within and other.at == one.at, placed)
    held = {metric for other in same if isinstance(other.note, LateFigures) for metric in other.note.figures}
    return {ANY} | {metric for metric in metrics if metric not in held}


def _parted(piece: Piece, came: Collection[str]) -> tuple[Piece | None, Piece | None]:
    """Return the part of a piece that came, and the rest; one is there also if no rule looks at what came."""
    first = {metric: piece.metrics.get(metric, 0.0) for metric in came}
    rest = {metric: value for metric, value in piece.metrics.items() if metric not in came}
    return (
        msgspec.structs.replace(piece, metrics=first) if first else None,
        msgspec.structs.replace(piece, metrics=rest) if rest else None,
    )


def pieces_alone(pieces: Iterable[Piece], notes: Sequence[FeedNote]) -> Iterator[Piece]:
    """Yield pieces in the order in which they were judged, those that came late among them."""
    for one in in_order(pieces, notes):
        if isinstance(one, Piece):
            yield one
        elif isinstance(one.note, LateFigures):
            yield late_piece(one.note)


def late_piece(note: LateFigures) -> Piece:
    """Return the piece that came late."""
    return Piece(note.step, note.time, 0, note.figures, dict.fromkeys(note.figures, note.session))


def replay(
    pieces: Iterable[Piece],
    notes: Sequence[FeedNote],
    plan_of: Callable[[int], Plan],
    *,
    is_recorded: bool = True,
) -> Iterator[tuple[int, list[Happened]]]:
    """Judge a run again as it was judged; yield each step with what happened to alerts, given up things left out.

    `plan_of` returns the rules of a version; unless `is_recorded`, others than those by which the run was judged.
    What came before the run began to be judged is left out.
    """
    alerts: RunAlerts | None = None
    for one in in_order(pieces, notes):
        if isinstance(one, Piece):
            if alerts is not None:
                yield one.step, alerts.feed(one).transitions
        elif isinstance(one.note, Began):
            happened, alerts = _begin(alerts, one.note, plan_of)
            yield one.at, happened
        elif alerts is not None:
            yield one.at, _apply(alerts, one.note, plan_of, is_recorded).transitions


def _begin(
    former: RunAlerts | None, note: Began, plan_of: Callable[[int], Plan]
) -> tuple[list[Happened], RunAlerts]:
    happened = [] if former is None else unjudged(former, note.time)
    states = {} if former is None else former.states
    memory = Memory(step=note.step, begun=note.step, floors=(note.step,))
    return happened, RunAlerts(plan_of(note.rule_set), states, memory, note.reference.values)


def unjudged(alerts: RunAlerts, time: float) -> list[Happened]:
    """End all alerts because nobody has judged what came after them; return what that did."""
    return [
        (rule, msgspec.structs.replace(one, reason=UNJUDGED)) for rule, one in alerts.end(time).transitions
    ]


def _apply(alerts: RunAlerts, note: FeedNote, plan_of: Callable[[int], Plan], is_recorded: bool) -> Fed:
    match note:
        case LateFigures():
            return alerts.feed(late_piece(note))
        case WentBack():
            back = Rewind(note.step, note.time, note.epochs, note.going_on, note.came)
            return alerts.go_back(back, is_recorded=is_recorded)
        case OtherRules():
            return alerts.replace(plan_of(note.rule_set), note.time)
        case RunEnded():
            return alerts.end(note.time)
        case OtherConfig():
            return alerts.configure(note.step, note.time)
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
        else:
            yield one.at, _apply(alerts, one.note, lambda _: plan, is_recorded=False).transitions
