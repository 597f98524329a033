"""Rules as people write them: TOML that somebody has parsed, checked entry by entry.

[[rule]]
name = "kl_high"                # letters, digits, '_', '.', '/', '@' or '-'
metric = "mismatch_k3_kl"
severity = "warning"            # or "critical"
above = 0.01                    # one of the two at least
below = -0.01
for_steps = 3                   # so many bad steps one after the other before the alert begins; 1 unless given
clear_steps = 5                 # so many good ones before it ends; 1 unless given
summary = "The policies drift apart."
cure = "Sync the rollout weights."
"""

import difflib
import json
import math
from collections.abc import Collection, Mapping

from rolloutwatch_contract.catalogue import METRICS
from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.names import is_metric_name
from rolloutwatch_contract.severity import Severity

MOST_RULES = 1000
MOST_STEPS = 1_000_000
MOST_LETTERS = 1000

_SEVERITIES = {"warning": Severity.WARNING, "critical": Severity.CRITICAL}
_NEEDED = ("name", "metric", "severity")
_KEYS = (*_NEEDED, "above", "below", "for_steps", "clear_steps", "summary", "cure")


class RuleError(ValueError):
    """A rule cannot be what is written; the message names file, rule and key, what was expected and what came."""


def read_rules(document: Mapping[str, object], file: str) -> tuple[Limit, ...]:
    """Return the rules of a parsed document; RuleError if one of them, or anything else there, is wrong."""
    for key in document:
        if key != "rule":
            raise RuleError(f"{file}: unknown key {_told(key)}: expected tables [[rule]] and nothing else.")
    written = document.get("rule")
    if not isinstance(written, list) or not written or not all(isinstance(one, dict) for one in written):
        raise RuleError(f"{file} has no rules: expected one or several tables [[rule]].")
    if len(written) > MOST_RULES:
        raise RuleError(f"{file} has {len(written)} rules: expected at most {MOST_RULES}.")
    rules = tuple(_Reader(file, place, one).rule() for place, one in enumerate(written, 1))
    names: set[str] = set()
    for rule in rules:
        if rule.name in names:
            raise RuleError(
                f"{file}, rule {_told(rule.name)}: expected each name once. Rename one of the two."
            )
        names.add(rule.name)
    return rules


def near_metrics(name: str, known: Collection[str] = ()) -> list[str]:
    """Return up to three names like `name`, of the catalogue and of what else is known, the nearest first."""
    return difflib.get_close_matches(name, [*METRICS, *known], n=3)


class _Reader:
    """One table of the document."""

    def __init__(self, file: str, place: int, written: Mapping[str, object]) -> None:
        self._written = written
        name = written.get("name")
        self._where = f"{file}, rule {_told(name) if isinstance(name, str) and name else place}"

    def rule(self) -> Limit:
        """Return what is written."""
        for key in self._written:
            if key not in _KEYS:
                near = difflib.get_close_matches(key, _KEYS, n=1)
                hint = f"Did you mean {_told(near[0])}?" if near else f"Known are {', '.join(_KEYS)}."
                raise RuleError(f"{self._where}: unknown key {_told(key)}. {hint}")
        for key in _NEEDED:
            if key not in self._written:
                raise RuleError(f"{self._where}: {key} is missing. Give one, such as {_EXAMPLES[key]}.")
        above, below = self._limit("above", math.inf), self._limit("below", -math.inf)
        if not math.isfinite(above) and not math.isfinite(below):
            raise RuleError(f"{self._where}: expected above or below, or both; neither is there.")
        if below > above:
            raise RuleError(
                f"{self._where}: below is {below} and above is {above}: no value would be good. "
                "Expected below <= above; swap them."
            )
        return Limit(
            name=self._name("name"),
            metric=self._name("metric"),
            severity=self._severity(),
            above=above,
            below=below,
            for_steps=self._steps("for_steps"),
            clear_steps=self._steps("clear_steps"),
            summary=self._text("summary"),
            cure=self._text("cure"),
        )

    def _name(self, key: str) -> str:
        said = self._written[key]
        if not isinstance(said, str) or not is_metric_name(said):
            raise self._wrong(key, "1 to 128 letters, digits, '_', '.', '/', '@' or '-'")
        return said

    def _severity(self) -> Severity:
        said = self._written["severity"]
        if not isinstance(said, str) or said not in _SEVERITIES:
            raise self._wrong("severity", " or ".join(map(_told, _SEVERITIES)))
        return _SEVERITIES[said]

    def _limit(self, key: str, otherwise: float) -> float:
        said = self._written.get(key, otherwise)
        sound = isinstance(said, int | float) and not isinstance(said, bool)
        if not sound or (key in self._written and not _is_finite(said)):
            raise self._wrong(key, "a finite number such as 0.5")
        return float(said)  # type: ignore[arg-type]  # a number, as has just been seen

    def _steps(self, key: str) -> int:
        said = self._written.get(key, 1)
        if type(said) is not int or not 1 <= said <= MOST_STEPS:
            raise self._wrong(key, f"an integer from 1 to {MOST_STEPS}")
        return said

    def _text(self, key: str) -> str:
        said = self._written.get(key, "")
        if not isinstance(said, str) or len(said) > MOST_LETTERS:
            raise self._wrong(key, f"a text of at most {MOST_LETTERS} letters")
        return said

    def _wrong(self, key: str, expected: str) -> RuleError:
        return RuleError(f"{self._where}: {key} is {_told(self._written[key])}: expected {expected}.")


_EXAMPLES = {"name": '"kl_high"', "metric": '"mismatch_k3_kl"', "severity": '"warning"'}


def _is_finite(said: object) -> bool:
    try:
        return math.isfinite(said)  # type: ignore[arg-type]  # whatever it is
    except (TypeError, OverflowError):  # an integer beyond any float
        return False


def _told(said: object) -> str:
    """Return a value as TOML would show it, short."""
    return json.dumps(said[:100]) if isinstance(said, str) else repr(said)[:100]
