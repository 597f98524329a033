"""What becomes of alerts, and of how far a run is judged, where the run goes back to an earlier step."""

import msgspec

from rolloutwatch_contract.rules import Rule
from rolloutwatch_server.alerts.feed import Memory, Rewind
from rolloutwatch_server.alerts.standings import Standings
from rolloutwatch_server.alerts.state import AlertState, Phase, Transition, end, go_on


def missed_before(memory: Memory, step: int) -> dict[str, int]:
    """Return for how many steps metrics had not come at the step before one; 0 of what came at it or behind.

    It is 0 too where steps are not numbered one by one: how many there were between two of them is not kept.
    """
    found = {}
    for name, (at, _, number) in memory.last.items():
        has_each_step = memory.step - at == memory.number - number
        found[name] = max(0, step - 1 - at) if has_each_step else 0
    return found


def go_behind(memory: Memory, to: Rewind, session: int) -> None:
    """Let a run be judged up to the step before the one it goes back to, as a session does."""
    before = to.step - 1
    memory.step = memory.begun = before
    memory.floors = (min(memory.floors[0], before), *(one for one in memory.floors[1:] if one < to.step))
    memory.configured = tuple(one for one in memory.configured if one < to.step)
    for name, missed in to.came.items():
        of = memory.last[name][1] if missed and name in memory.last else session
        memory.last[name] = (before - missed, of, memory.number - missed)


def turn_back(
    standings: Standings, to: Rewind, *, is_recorded: bool
) -> tuple[dict[str, bool], list[tuple[Rule, Transition]]]:
    """Let alerts that fired before a step go on there, and end others.

    Which go on is what was noted of it, if it `is_recorded`. Return them, with whether they flapped, and what happened.
    """
    going_on: dict[str, bool] = {}
    happened: list[tuple[Rule, Transition]] = []
    for rule, state in enumerate(standings.states):
        if state == AlertState():
            continue
        name, goes_on = standings.plan.rules[rule].name, state.phase is Phase.FIRING
        # a rule that came into force behind that step is in force from there on
        turned = msgspec.structs.replace(state, begun=min(state.begun, to.step - 1))
        if is_recorded:
            goes_on = goes_on and name in to.going_on
            turned = msgspec.structs.replace(turned, flapping=to.going_on.get(name, state.flapping))
        elif state.fired >= to.step:
            goes_on = False
        if goes_on:
            going_on[name] = turned.flapping
            happened += standings.take(rule, go_on(turned, to.step, to.time))
        else:
            reason = f"the run went back to step {to.step}"
            happened += standings.take(rule, end(turned, to.step, to.time, reason))
    return going_on, happened
