"""Whether a run that is judged again gives what was recorded of it live."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from rolloutwatch_contract.alerts import Change
from rolloutwatch_contract.rules import Rule
from rolloutwatch_server.alerts.recorded import BACK
from rolloutwatch_server.alerts.state import Transition


class Told(NamedTuple):
    """A transition, as far as it has to be the same; `epoch` is None where the clock has counted too."""

    rule: str
    change: Change
    epoch: int | None
    step: int
    time: float
    reason: str
    quiet: bool


class Difference(NamedTuple):
    """A transition that was recorded or is found again, and not both."""

    told: Told
    is_recorded: bool

    @property
    def in_words(self) -> str:
        """The difference as a line."""
        one = self.told
        reason = f" ({one.reason})" if one.reason else ""
        found = "recorded, and not found again" if self.is_recorded else "found again, and not recorded"
        often = "" if one.epoch is None else f", the {one.epoch}. time"
        return f"step {one.step}: {one.rule} {one.change.value}{often}{reason}: {found}"


def told(rule: str, one: Transition, *, is_counted: bool = True) -> Told | None:
    """Return a transition as it has to be the same; None for one that depends on what was given up.

    Of an alert that ended because the run went back, whoever was told of it, it counts that it did.
    """
    if one.change is Change.REPEAT or (one.change is not Change.RESOLVED and one.reason.startswith(BACK)):
        return None
    quiet = one.quiet and not one.reason.startswith(BACK)
    epoch = one.epoch if is_counted else None
    return Told(rule, one.change, epoch, one.step, one.time, one.reason, quiet)


def differences(
    recorded: Iterable[tuple[str, Transition]],
    again: Iterable[tuple[Rule, Transition]],
    clock: Collection[tuple[str, int]] = (),
) -> list[Difference]:
    """Return what is different, in order of steps. Alerts that the `clock` judged are left out, each by rule and epoch.

    The figures of a recorded transition are those that were known when it was found; when it is found again there may be more.
    """
    # of a rule that the clock judged once, and figures now, only part of the alerts is found again
    mixed = {rule for rule, _ in clock}
    before = _counted(((rule, one) for rule, one in recorded if (rule, one.epoch) not in clock), mixed)
    after = _counted(((rule.name, one) for rule, one in again), mixed)
    found = [Difference(key, is_recorded=True) for key in _lacking(before, after)]
    found += [Difference(key, is_recorded=False) for key in _lacking(after, before)]
    return sorted(found, key=lambda one: (one.told.step, one.told.rule, one.told.change.value))


Counted = Mapping[Told, list[Mapping[str, float]]]


def _counted(
    happened: Iterable[tuple[str, Transition]], mixed: Collection[str]
) -> dict[Told, list[Mapping[str, float]]]:
    found: dict[Told, list[Mapping[str, float]]] = {}
    for rule, one in happened:
        if (key := told(rule, one, is_counted=rule not in mixed)) is not None:
            found.setdefault(key, []).append(one.values)
    return found


def _lacking(these: Counted, those: Counted) -> Iterator[Told]:
    for key, values in these.items():
        others = those.get(key, [])
        for at, one in enumerate(values):
            other = others[at] if at < len(others) else None
            if other is None or any(other[name] != value for name, value in one.items() if name in other):
                yield key
