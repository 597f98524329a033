"""When to call a person: what an alert rule is."""

import fnmatch
import hashlib

import msgspec

from rolloutwatch_contract.conditions.nodes import Condition
from rolloutwatch_contract.severity import Severity


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """An alert begins once `when` has been true at `for_steps` steps and for `for_seconds`, and ends once `clear` was true
    at `clear_steps` steps, one after the other; a step at which that is unknown neither counts nor begins anew.

    Without `clear` an alert ends when `when` is false. `runs` are patterns of run ids such as `math~*`, and `*` is all of them.
    `summary` says what it means, `cure` what to do, `guide` where more is to be read.
    """

    name: str
    severity: Severity
    when: Condition
    clear: Condition | None = None
    for_steps: int = 1
    for_seconds: float = 0.0
    clear_steps: int = 1
    runs: tuple[str, ...] = ("*",)
    enabled: bool = True
    summary: str = ""
    cure: str = ""
    guide: str = ""

    def applies_to(self, run: str) -> bool:
        """Tell whether a run, by its id, is watched by this rule."""
        return self.enabled and any(fnmatch.fnmatchcase(run, pattern) for pattern in self.runs)

    @property
    def fingerprint(self) -> str:
        """Return a name for all that decides when the rule fires: words and severity may change, and it stays."""
        decides = (
            self.when.node,
            self.clear and self.clear.node,
            self.for_steps,
            self.for_seconds,
            self.clear_steps,
        )
        return hashlib.sha256(repr(decides).encode()).hexdigest()[:16]
