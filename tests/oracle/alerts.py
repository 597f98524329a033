"""What happens to the alerts of a whole run, computed rule by rule from all its steps: slow, and plain."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rolloutwatch_contract.conditions import Truth
from rolloutwatch_contract.rules import Rule
from tests.oracle.conditions import Conditions, Step


class Happened(NamedTuple):
    rule: str
    change: str
    epoch: int
    step: int
    time: float
    quiet: bool = False
    reason: str = ""


def happenings(
    rules: Sequence[Rule],
    steps: Sequence[tuple[int, float, Mapping[str, float]]],
    sessions: Sequence[Mapping[str, int]] = (),
) -> list[Happened]:
    """What happens at whole steps, given as number, time and figures; by rule, then by step. The last one is still open.

    `sessions` are those of each step's figures, if they are not all of one.
    """
    of = sessions or [{}] * len(steps)
    conditions = Conditions(
        [Step(number, figures, one) for (number, _, figures), one in zip(steps, of, strict=True)]
    )
    return [one for rule in rules for one in _life(rule, conditions, [time for _, time, _ in steps])]


def _life(rule: Rule, conditions: Conditions, times: Sequence[float]) -> list[Happened]:
    found: list[Happened] = []
    bad_since: float | None = None
    bad = good = epoch = 0
    is_firing = is_flapping = False
    turns: list[int] = []
    for at, time in enumerate(times):
        is_closed = at < len(times) - 1
        when = conditions.truth(rule.when.node, at, closed=is_closed)
        clear = conditions.truth(rule.clear.node, at, closed=is_closed) if rule.clear else Truth(2 - when)
        if (clear if is_firing else when) is Truth.UNKNOWN:
            continue
        change = ""
        if is_firing:
            good = good + 1 if clear is Truth.TRUE else 0
            if good == rule.clear_steps:
                is_firing, change = False, "resolved"
        else:
            bad = bad + 1 if when is Truth.TRUE else 0
            bad_since = None if bad == 0 else time if bad == 1 else bad_since
            if bad_since is not None and bad >= rule.for_steps and time - bad_since >= rule.for_seconds:
                is_firing, change, epoch = True, "firing", epoch + 1
        if change:
            bad = good = 0
            turns.append(at)
        recent = sum(1 for turn in turns if turn > at - 50)
        number = conditions.steps[at].number
        if change:
            found.append(Happened(rule.name, change, epoch, number, time, is_flapping))
        if not is_flapping and change and recent >= 6:
            is_flapping = True
            found.append(Happened(rule.name, "flapping", epoch, number, time))
        elif is_flapping and recent < 3:
            is_flapping = False
            found.append(
                Happened(
                    rule.name, "stable", epoch, number, time, False, "firing" if is_firing else _phase(bad)
                )
            )
    return found


def _phase(bad: int) -> str:
    return "pending" if bad else "ok"
