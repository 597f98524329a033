"""What happened to an alert, as those see it who are told."""

import math
import re
from collections.abc import Sequence

import msgspec

from rolloutwatch_contract.alerts import Change
from rolloutwatch_contract.severity import Severity

TEST_RUN = "rolloutwatch~test"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A transition together with what its alert says; `time` is that of the record, in seconds since 1970.

    `since_step` is where the alert fired; `others` counts the alerts that fire on the run besides.
    `silenced`, `acknowledged`: somebody wants to hear of it no more, for now.
    """

    id: str
    run: str
    rule: str
    change: Change
    severity: Severity
    epoch: int
    step: int
    time: float
    since_step: int = -1
    values: dict[str, float] = {}
    condition: str = ""
    summary: str = ""
    cure: str = ""
    guide: str = ""
    reason: str = ""
    late: bool = False
    others: int = 0
    silenced: bool = False
    acknowledged: bool = False
    is_test: bool = False

    @property
    def title(self) -> str:
        """Return the run as people write it, project/name."""
        return self.run.replace("~", "/", 1)

    @property
    def project(self) -> str:
        """Return the project of the run."""
        return self.run.partition("~")[0]

    @property
    def is_muted(self) -> bool:
        """Whether nobody is told: silenced; or acknowledged, unless it is the end, which whoever looks after it waits for."""
        return self.silenced or (self.acknowledged and self.change is not Change.RESOLVED)


class Links(msgspec.Struct, frozen=True):
    """Where pages of the server are found."""

    base: str

    def run(self, run: str, step: int) -> str:
        """Return the page of a run at a step."""
        return f"{self.base}/runs/{run}?step={step}"

    def guide(self, guide: str) -> str:
        """Return the page of a guide, named as a rule names it: by its file, or by an address of its own; '' if by none."""
        if re.match(r"https?://", guide):
            return guide
        name = guide.rpartition("/")[2].removesuffix(".md")
        return f"{self.base}/guides/{name}" if name else ""


def number(value: float) -> str:
    """Return a figure as people read it, four digits of it.

    >>> number(1.42424), number(0.000123456), number(41), number(math.inf), number(1 / 3)
    ('1.424', '0.0001235', '41', 'infinite', '0.3333')
    """
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    return f"{value:.4g}"


def worst_first(events: Sequence[Event]) -> list[Event]:
    """Return events so that whoever reads only the first line reads what matters: firing ones, the most severe, the newest."""

    def rank(event: Event) -> tuple[object, ...]:
        is_over = event.change in (Change.RESOLVED, Change.STABLE)
        return is_over, -event.severity, -event.step, event.rule

    return sorted(events, key=rank)
