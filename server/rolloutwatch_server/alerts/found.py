"""Alerts from when they fired to when they were resolved, put together from transitions."""

from collections.abc import Iterable

import msgspec

from rolloutwatch_contract.alerts import Change
from rolloutwatch_contract.rules import Rule
from rolloutwatch_server.alerts.state import Transition


class FoundAlert(msgspec.Struct):
    """One alert; `resolved` is None as long as it stands. `is_flapping` if it began while its rule was flapping."""

    rule: Rule
    firing: Transition
    resolved: Transition | None = None

    @property
    def is_flapping(self) -> bool:
        """Whether nobody would have been told, because it came and went so often."""
        return self.firing.quiet

    def stands_within(self, first: int, last: int) -> bool:
        """Tell whether it fires at a step from one to another."""
        return self.firing.step <= last and (self.resolved is None or self.resolved.step > first)


def put_together(happened: Iterable[tuple[Rule, Transition]]) -> list[FoundAlert]:
    """Return the alerts in the order in which they began."""
    found: list[FoundAlert] = []
    standing: dict[str, FoundAlert] = {}
    for rule, transition in happened:
        if transition.change is Change.FIRING:
            standing[rule.name] = FoundAlert(rule, transition)
            found.append(standing[rule.name])
        elif transition.change is Change.RESOLVED and rule.name in standing:
            standing.pop(rule.name).resolved = transition
    return found
