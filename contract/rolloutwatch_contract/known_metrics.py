"""Which names of metrics a rule may speak of."""

import difflib
from collections.abc import Collection

from rolloutwatch_contract.catalogue import METRICS

_CURE = 'A metric of your own is declared at the top of the file: own_metrics = ["{name}"].'


class KnownMetrics:
    """The catalogue, the same of groups (`metric@group`), and what else is known to come."""

    def __init__(self, *others: Collection[str]) -> None:
        self._names = {*METRICS, *(name for names in others for name in names)}

    def __contains__(self, name: str) -> bool:
        """Tell whether a rule may speak of a metric."""
        return name in self._names or name.partition("@")[0] in self._names

    def refuse(self, name: str) -> "tuple[str, str] | None":
        """Return what was expected instead of a name, and a hint; None if the name is known."""
        if name in self:
            return None
        near = self.near(name)
        hint = f' Did you mean "{near[0]}"?' if near else ""
        return "a metric that is known", f"{hint} {_CURE.format(name=name)}"

    def near(self, name: str) -> list[str]:
        """Return up to three known names like this one, the nearest first."""
        base, at, group = name.partition("@")
        near = difflib.get_close_matches(base if at else name, self._names, n=3)
        return [one + at + group if "@" not in one else one for one in near]


def near_metrics(name: str, known: Collection[str] = ()) -> list[str]:
    """Return up to three names like `name`, of the catalogue and of what else is known, the nearest first."""
    return KnownMetrics(known).near(name)
