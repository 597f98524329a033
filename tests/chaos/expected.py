"""What there is to tell of what was sent, judged in memory, without a server, an archive or a Redis."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rolloutwatch_contract import RunEnd, StepRecord
from rolloutwatch_contract.alerts import event_id
from rolloutwatch_contract.written_rules import parse_rules
from rolloutwatch_server.alerts.evaluation import RunAlerts
from rolloutwatch_server.alerts.feed import Fed, Piece
from rolloutwatch_server.alerts.plan import Plan
from tests.chaos.curves import RULES, Sent

Bits = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Happened:
    """One transition, whole, in the order in which it happened on its run; floats by their bits."""

    event: str
    run: str
    rule: str
    change: str
    epoch: int
    severity: int
    step: int
    time: str
    values: Bits
    reason: str
    quiet: bool


def bits(values: dict[str, float]) -> Bits:
    """Return figures so that equal ones are equal, NaN too."""
    return tuple(
        sorted((name, "nan" if math.isnan(value) else float(value).hex()) for name, value in values.items())
    )


def expected(sent: Iterable[Sent]) -> list[Happened]:
    """Return what happens to the alerts of the one run that records are of."""
    plan = Plan(parse_rules(RULES, "rules").rules)
    alerts, found = RunAlerts(plan), list[Happened]()
    for one in sent:
        match one.record:
            case StepRecord(step, time, metrics):
                found += _of(one.run, alerts.feed(Piece(step, time, one.attempt, dict(metrics))))
            case RunEnd(time):
                found += _of(one.run, alerts.end(time))
    return found


def _of(run: str, fed: Fed) -> Sequence[Happened]:
    return [
        Happened(
            event=event_id(run, rule.name, one.change, one.epoch),
            run=run, rule=rule.name, change=one.change.value, epoch=one.epoch, severity=int(rule.severity),
            step=one.step, time=one.time.hex(), values=bits(one.values), reason=one.reason, quiet=one.quiet,
        )
        for rule, one in fed.transitions
    ]  # fmt: skip
