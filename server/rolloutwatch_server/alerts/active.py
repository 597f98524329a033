"""Which alerts stand at one step of a run, without reading all that was before."""

from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec
import numpy as np

from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import Series
from rolloutwatch_server.alerts.episodes import broken_by, decisive, known

FIRST_LOOK = 2_000  # steps back, and each further look this many times as far
FURTHER = 20
FARTHEST = 40_000  # samples, after which it is enough to know that an alert stands, and has stood since then

Read = Callable[[Collection[str], int, int], Mapping[str, Series]]  # metrics, first and last step


class Alert(msgspec.Struct, frozen=True):
    """A rule that fires: since which step, for how many samples (that one included), and the value there is now.

    `value` is None where the step has none. It `is_older` if it has stood for longer than anybody has looked back.
    """

    rule: Limit
    since_step: int
    samples: int
    value: float | None
    is_older: bool = False


def alerts_at(
    rules: Sequence[Limit],
    read: Read,
    begin: int,
    step: int,
    *,
    first_look: int = FIRST_LOOK,
    further: int = FURTHER,
    farthest: int = FARTHEST,
) -> list[Alert]:
    """Return the alerts that stand after a step, in the order of the rules.

    A long row of bad or of good samples decides, whatever was before; so it is enough to look back until there is one.

    Args:
        rules: What is asked.
        read: Returns the series of metrics over a range of steps.
        begin: A step before which there is nothing.
        step: The step that is asked about.
        first_look: How many steps the first look goes back.
        further: How many times as far each further look goes.
        farthest: How many samples back it is of interest when an alert began, however far apart their steps are.
    """
    found: dict[str, Alert] = {}
    asked, width = list(rules), first_look
    while asked:
        first = max(begin, step - width + 1)
        series = read({rule.metric for rule in asked}, first, step)
        undecided = []
        for rule in asked:
            is_decided, alert = _look(rule, series[rule.metric], step, first == begin, farthest)
            if not is_decided:
                undecided.append(rule)
            elif alert is not None:
                found[rule.name] = alert
        asked, width = undecided, width * further
    return [found[rule.name] for rule in rules if rule.name in found]


def _look(rule: Limit, series: Series, step: int, is_whole: bool, farthest: int) -> tuple[bool, Alert | None]:
    """Return whether a stretch of a series tells how the rule stands at its end, and since when, and the alert."""
    steps, values = known(series)
    places, bad = decisive(rule, broken_by(rule, values))
    if len(places) and not bad[-1]:
        return True, None
    good = np.flatnonzero(~bad)
    if not len(places):
        return is_whole, None
    is_older = not is_whole and not len(good)
    if is_older and len(series.step) < farthest:
        return False, None
    since = int(places[good[-1] + 1 if len(good) else 0])
    value = float(values[-1]) if steps[-1] == step else None
    return True, Alert(rule, int(steps[since]), len(steps) - since, value, is_older)
