"""What there is to tell of what was sent, judged in memory, in one go, without a server, an archive or a Redis."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from rolloutwatch_contract import RunEnd, StepRecord
from rolloutwatch_contract.alerts import Change, event_id
from rolloutwatch_contract.rules import Rule
from rolloutwatch_contract.written_rules import parse_rules
from rolloutwatch_server.alerts.evaluation import RunAlerts
from rolloutwatch_server.alerts.feed import Fed, Late, Piece, Rewind
from rolloutwatch_server.alerts.plan import Plan
from rolloutwatch_server.alerts.state import Transition
from tests.chaos.curves import RULES, Sent
from tests.server.in_memory import InMemory

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
    alerts, account = RunAlerts(Plan(parse_rules(RULES, "rules").rules)), _Account()
    memory = InMemory(alerts)
    for one in sent:
        match one.record:
            case StepRecord(step, time, metrics):
                account.add(one.run, memory.feed(Piece(step, time, one.attempt, dict(metrics))))
            case RunEnd(time):
                account.add(one.run, alerts.end(time))
    return account.happened


class _Account:
    """What has happened, and which alert has stood from where to where."""

    def __init__(self) -> None:
        self.happened: list[Happened] = []
        # by rule and epoch: at which open step it was found to fire, and to have ended
        self._stood: dict[tuple[str, int], tuple[Rule, int, int | None]] = {}
        self._times: Counter[tuple[str, str, int]] = Counter()

    def add(self, run: str, fed: Fed) -> None:
        late = next((note.during for note in fed.notes if isinstance(note, Late)), None)
        for note in fed.notes:
            if isinstance(note, Rewind):
                self._go_back(run, note)
        for rule, one in fed.transitions:
            self._add(run, rule, one)
            key, during = (rule.name, one.epoch), one.step if late is None else late
            if one.change is Change.FIRING:
                self._stood[key] = rule, during, None
            elif one.change is Change.RESOLVED and key in self._stood:
                self._stood[key] = rule, self._stood[key][1], during

    def _go_back(self, run: str, to: Rewind) -> None:
        """An alert that was found before and whose end was found behind that step ends there; nobody is told once more."""
        for key, (rule, first, last) in list(self._stood.items()):
            if first >= to.step:
                del self._stood[key]
            elif last is not None and last >= to.step:
                reason = f"the run went back to step {to.step}"
                end = Transition(
                    change=Change.RESOLVED,
                    epoch=key[1],
                    step=to.step,
                    time=to.time,
                    reason=reason,
                    quiet=True,
                )
                self._add(run, rule, end)
                self._stood[key] = rule, first, to.step

    def _add(self, run: str, rule: Rule, one: Transition) -> None:
        of = rule.name, one.change.value, one.epoch
        event = event_id(run, rule.name, one.change, one.epoch, self._times[of])
        self._times[of] += 1
        self.happened.append(
            Happened(
                event=event,
                run=run, rule=rule.name, change=one.change.value, epoch=one.epoch, severity=int(rule.severity),
                step=one.step, time=one.time.hex(), values=bits(one.values), reason=one.reason, quiet=one.quiet,
            )
        )  # fmt: skip
