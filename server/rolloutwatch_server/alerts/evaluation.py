"""The rules of a run against its figures, as these come: in pieces of a step, late, again, or from further back.

Nothing here reads or writes, and time comes as an argument; so the same pieces always give the same transitions.
The highest step so far is open. A rule is stepped once at each step, as soon as what it asks for is known:
figures that come after that cannot change it.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np

from rolloutwatch_contract.conditions import Truth
from rolloutwatch_contract.rules import Rule
from rolloutwatch_server.alerts.feed import (
    Ended,
    Fed,
    Ignored,
    Late,
    Memory,
    Note,
    Piece,
    Reconfigured,
    Rewind,
    RulesChanged,
)
from rolloutwatch_server.alerts.plan import Plan
from rolloutwatch_server.alerts.sheet import Before, Sheet
from rolloutwatch_server.alerts.standings import Standings
from rolloutwatch_server.alerts.state import AlertState, Sample, Transition, end, step
from rolloutwatch_server.alerts.turning_back import go_behind, missed_before, turn_back

MOST_CONFIGURED = 1000  # of a trainer that marks every step those that windows reach back to, and more
RUN_ENDED = "the run ended"
RULE_CHANGED = "the rule was changed"
RULE_REMOVED = "the rule was removed"


class RunAlerts:
    """All rules of one run.

    Args:
        plan: The rules; after a restart those that were in force when `states` and `memory` were kept.
        states: How rules stand, by name; those of rules that are not in the plan are kept for what they count.
        memory: How far the run is judged; nothing for a run of which nothing is. Call `warm` after that.
        reference: Values by metric, in order, that count as what was before the first step that is judged.
    """

    def __init__(
        self,
        plan: Plan,
        states: Mapping[str, AlertState] | None = None,
        memory: Memory | None = None,
        reference: Mapping[str, Sequence[float]] = {},
    ) -> None:
        self._plan = plan
        self._gone = {name: state for name, state in (states or {}).items() if name not in plan.index}
        self._standings = Standings(plan, states or {})
        self._reference = reference
        self._memory = msgspec.structs.replace(memory or Memory())
        self._sheet = Sheet(plan, self._standings.begun, self._before(self._memory), self._memory.configured)
        self._last = self._memory.last = dict(self._memory.last)
        self._judging = True
        self._happened: list[tuple[Rule, Transition]] = []
        self._notes: list[Note] = []
        self._restore_open()

    @property
    def plan(self) -> Plan:
        """The rules in force."""
        return self._plan

    @property
    def open_step(self) -> int:
        """The highest step so far, -1 before there is one."""
        return self._memory.step

    @property
    def progress(self) -> Memory:
        """How far the run is judged, as that goes on; only to look at. `memory` returns what is to be kept."""
        return self._memory

    @property
    def states(self) -> dict[str, AlertState]:
        """How all rules stand that are not as at the beginning, those not in force any more too."""
        names = (rule.name for rule in self._plan.rules)
        all_ = {**self._gone, **dict(zip(names, self._standings.states, strict=True))}
        return {name: state for name, state in all_.items() if state != AlertState()}

    def state(self, rule: str) -> AlertState:
        """Return how one rule stands, which costs less than to ask for all."""
        number = self._plan.index.get(rule)
        return self._gone.get(rule, AlertState()) if number is None else self._standings.states[number]

    def memory(self) -> Memory:
        """Return what has to be kept besides states."""
        undecided = tuple(
            self._plan.rules[rule].name
            for rule in self._standings.open.nonzero()[0].tolist()
            if not self._last.keys().isdisjoint(self._plan.metrics_of[rule])
        )
        return msgspec.structs.replace(self._memory, last=dict(self._last), undecided=undecided)

    def goes_back(self, piece: Piece) -> bool:
        """Tell whether a piece is of a run that goes back to its step: `rewind`, then `warm`, before it is fed."""
        last = self._last
        came = (last[name] for name in piece.metrics if name in last)
        return any(piece.session != session and piece.step <= at for at, session, _ in came)

    def rewind(self, piece: Piece) -> Fed:
        """Go back to the step of a piece. Windows are empty then, until `warm` fills them with what was before."""
        self._rewind(piece)
        return self._fed()

    def feed(self, piece: Piece) -> Fed:
        """Judge figures that have come. Where the run goes back with them, windows begin empty."""
        if piece.metrics:
            self._take(piece)
        return self._fed()

    def warm(self, pieces: Iterable[Piece]) -> bool:
        """Fill windows, and the open step, with pieces that were judged before, in the order in which they came.

        Only metrics of the plan matter. Return whether pieces from before those could change nothing;
        if not, call it again with more, down to the step behind that up to which none count.
        """
        kept, open_ = self._memory, self._standings.open.copy()
        has_open = kept.step > kept.begun
        self._memory, self._last, self._judging = Memory(begun=kept.floors[-1]), {}, False
        self._sheet.empty(self._before(kept))
        self._sheet.is_warming = True
        for piece in pieces:
            if piece.metrics:
                self._take(piece)
        came = self._came() if has_open and self._memory.step == kept.step else ()
        if not came:
            self._sheet.clear()
        self._memory, self._last, self._judging = kept, kept.last, True
        self._sheet.is_warming = False
        self._standings.open[:] = open_
        self._fed()
        missing = set(self._came() if has_open else ()).intersection(self._plan.names).difference(came)
        return not missing and self._sheet.is_warm(self._last)

    def end(self, time: float) -> Fed:
        """End all alerts because the run has ended; steps after the open one begin anew."""
        memory, standings = self._memory, self._standings
        self._sheet.empty()
        standings.open[:] = False
        for rule, state in enumerate(standings.states):
            if state != AlertState():
                self._happened += standings.take(rule, end(state, memory.step, time, RUN_ENDED))
        memory.begun = memory.step
        memory.floors = (*memory.floors, memory.step)
        self._notes.append(Ended(memory.step, time))
        return self._fed()

    def configure(self, step: int, time: float) -> Fed:
        """Let baselines begin anew from a step on, or from behind the open one: the trainer is configured otherwise."""
        memory = self._memory
        first = max(step, memory.step + 1)
        if first not in memory.configured:
            memory.configured = tuple(sorted({*memory.configured, first}))[-MOST_CONFIGURED:]
            self._sheet.configured = memory.configured
            self._notes.append(Reconfigured(first, time))
        return self._fed()

    def go_back(self, to: Rewind, *, is_recorded: bool = True) -> Fed:
        """Go back to a step behind all that was fed, as was noted of the run when it went back there.

        Unless `is_recorded` the rules are others than those of then, and which alerts go on is not asked of the note.
        """
        if to.step > self._memory.step:
            self._close()  # what was given up is not there to do it
        self._go_back(to, is_recorded=is_recorded)
        return self._fed()

    def replace(self, plan: Plan, time: float) -> Fed:
        """Put other rules in force: what they have in common goes on, others end, new ones begin after the open step."""
        old, memory = self._standings, self._memory
        stays = {
            number: old.plan.index[rule.name]
            for number, rule in enumerate(plan.rules)
            if rule.name in old.plan.index
            and old.plan.fingerprints[old.plan.index[rule.name]] == plan.fingerprints[number]
        }
        going = set(range(len(old.plan.rules))) - set(stays.values())
        for number in sorted(going):
            reason = RULE_CHANGED if old.plan.rules[number].name in plan.index else RULE_REMOVED
            self._happened += old.take(number, end(old.states[number], memory.step, time, reason))
        states = {**self._gone, **dict(zip(old.plan.index, old.states, strict=True))}
        begins = {}
        for number, rule in enumerate(plan.rules):
            if number not in stays:
                state = states.get(rule.name, AlertState())
                begins[rule.name] = msgspec.structs.replace(state, begun=memory.step)
        states |= begins
        self._adopt(plan, states, stays)
        self._standings.moved = {**old.moved, **{n: s for n, s in begins.items() if s != AlertState()}}
        self._notes.append(RulesChanged(memory.step, time, self._came()))
        return self._fed()

    def by_clock(self, rule: str, truth: Truth, time: float) -> Fed:
        """Let a rule that is judged by the clock be so judged, at the open step: true once it is silent for too long."""
        number = self._plan.index[rule]
        if not self._plan.by_clock[number]:
            raise ValueError(f"{rule} is judged by figures: expected a rule of silent(...).")
        opposite = Truth(2 - truth)
        sample = Sample(
            number=self._memory.number, step=self._memory.step, time=time, when=truth, clear=opposite
        )
        self._happened += self._standings.take(
            number, step(self._plan.rules[number], self._standings.states[number], sample)
        )
        return self._fed()

    def _take(self, piece: Piece) -> None:
        memory, last = self._memory, self._last
        if piece.step > max(memory.step, memory.begun):
            self._close()
            self._open(piece)
            return
        if self.goes_back(piece):
            self._rewind(piece)
            self._open(piece)
            return
        came = {name: last[name] for name in piece.metrics if name in last}
        again = tuple(name for name, (at, _, _) in came.items() if piece.step <= at)
        if piece.step <= memory.begun:
            again = tuple(piece.metrics)
        fresh = {name: value for name, value in piece.metrics.items() if name not in again}
        if again:
            self._notes.append(Ignored(piece.step, piece.session, again))
        if fresh:
            self._add(piece, fresh)

    def _open(self, piece: Piece) -> None:
        memory = self._memory
        memory.step, memory.time, memory.number = piece.step, piece.time, memory.number + 1
        self._came_at(piece, piece.metrics, memory.number)
        self._sheet.clear()
        self._sheet.put(piece, piece.metrics)
        self._standings.open[:] = self._standings.counts_at(piece.step)
        self._judge()

    def _add(self, piece: Piece, fresh: dict[str, float]) -> None:
        memory = self._memory
        if piece.step == memory.step:
            self._came_at(piece, fresh, memory.number)
            self._sheet.put(piece, fresh)
            self._judge()
            return
        self._came_at(piece, fresh, memory.number - 1)
        self._notes.append(Late(piece.step, tuple(fresh), memory.step))
        self._judge_late(piece, fresh)
        self._judge()  # what has come late is not absent any more, which the open step may have waited for

    def _came_at(self, piece: Piece, metrics: Iterable[str], number: int) -> None:
        self._last.update(dict.fromkeys(metrics, (piece.step, piece.session, number)))

    def _judge(self, *, closed: bool = False) -> None:
        memory, standings = self._memory, self._standings
        truths = self._sheet.judge(memory.step, self._missed, closed=closed)
        if self._judging:
            self._happened += standings.judge(
                truths,
                standings.open,
                memory.number,
                memory.step,
                memory.time,
                self._sheet.known,
                memory.step,
            )

    def _judge_late(self, piece: Piece, fresh: dict[str, float]) -> None:
        """Judge figures of a step that others have gone past, without those of the open one."""
        memory, standings = self._memory, self._standings
        alone = np.zeros_like(standings.open)
        alone[self._plan.rules_of(fresh)] = True
        alone &= standings.counts_at(piece.step)
        with self._sheet.of_another_step(piece, fresh):
            truths = self._sheet.judge(piece.step, self._missed, only=fresh)
            if self._judging:
                self._happened += standings.judge(
                    truths, alone, memory.number, piece.step, piece.time, self._sheet.known, memory.step
                )

    def _close(self) -> None:
        """Judge what has been waiting for figures that did not come; only the lack of them may decide anything."""
        for absence in self._plan.absences:
            missed = self._missed(absence.metric)
            if missed is not None and missed >= absence.steps:
                self._judge(closed=True)
                return

    def _missed(self, metric: str) -> int | None:
        came = self._last.get(metric)
        return None if came is None else self._memory.number - came[2]

    def _rewind(self, piece: Piece) -> None:
        self._give_up(piece)
        to = Rewind(piece.step, piece.time, came=missed_before(self._memory, piece.step))
        self._go_back(to, piece.session)

    def _give_up(self, piece: Piece) -> None:
        """Note what of the session that goes back has come before it was seen to do so."""
        given_up: dict[int, list[str]] = {}
        for name, (at, session, _) in self._last.items():
            if session == piece.session and at >= piece.step:
                given_up.setdefault(at, []).append(name)
        self._notes += [Ignored(at, piece.session, tuple(names)) for at, names in sorted(given_up.items())]

    def _go_back(self, to: Rewind, session: int = 0, *, is_recorded: bool = False) -> None:
        """Go back to a step; windows keep what they hold if that is all of steps before."""
        going_on: dict[str, bool] = {}
        if self._judging:
            going_on, happened = turn_back(self._standings, to, is_recorded=is_recorded)
            self._happened += happened
            if is_recorded:
                self._count_on(to.epochs)
        is_ahead = to.step > self._memory.step
        self._standings.open[:] = False
        go_behind(self._memory, to, session)
        self._sheet.configured = self._memory.configured
        if is_ahead:
            self._sheet.clear()
        else:
            self._sheet.empty(self._before(self._memory))
        epochs = {name: one.epoch for name, one in self.states.items() if one.epoch}
        self._notes.append(Rewind(to.step, to.time, epochs, going_on, to.came))

    def _before(self, memory: Memory) -> Before | None:
        """Return what counts as what was before; after an end windows begin empty."""
        return (
            Before(memory.floors[0], self._reference) if self._reference and len(memory.floors) == 1 else None
        )

    def _count_on(self, epochs: Mapping[str, int]) -> None:
        standings = self._standings
        for name, epoch in epochs.items():
            rule = self._plan.index.get(name)
            if rule is None:
                standings.moved[name] = self._gone[name] = AlertState(epoch=epoch)
            else:
                standings.take(rule, (msgspec.structs.replace(standings.states[rule], epoch=epoch), ()))

    def _adopt(self, plan: Plan, states: Mapping[str, AlertState], stays: Mapping[int, int]) -> None:
        """Go on with another plan; rules that stay, new to old, keep what they know."""
        old, sheet = self._standings, self._sheet
        self._plan = plan
        self._gone = {name: state for name, state in states.items() if name not in plan.index}
        self._standings = Standings(plan, states)
        self._sheet = Sheet(plan, self._standings.begun, self._before(self._memory), self._memory.configured)
        self._sheet.keep(sheet, stays)
        for new, was in stays.items():
            self._standings.open[new] = old.open[was]

    def _restore_open(self) -> None:
        """Find which rules the open step may still decide."""
        memory, plan = self._memory, self._plan
        if memory.step <= memory.begun:
            return
        undecided = set(memory.undecided)
        self._standings.open[:] = [
            bool(metrics) and (rule.name in undecided or self._last.keys().isdisjoint(metrics))
            for rule, metrics in zip(plan.rules, plan.metrics_of, strict=True)
        ]
        self._standings.open &= self._standings.counts_at(memory.step)

    def _came(self) -> tuple[str, ...]:
        return tuple(name for name, (at, _, _) in self._last.items() if at == self._memory.step)

    def _fed(self) -> Fed:
        fed = Fed(self._happened, self._standings.moved, self._notes)
        self._happened, self._standings.moved, self._notes = [], {}, []
        return fed
