"""One table [[rule]], read entry by entry."""

import difflib
import math
import re
from collections.abc import Mapping

from rolloutwatch_contract import guides
from rolloutwatch_contract.conditions import Condition, ConditionError, by_clock, parse, text_of
from rolloutwatch_contract.conditions.nodes import Comparison, Metric, Node, Number, Or
from rolloutwatch_contract.known_metrics import KnownMetrics
from rolloutwatch_contract.names import is_metric_name
from rolloutwatch_contract.rule_errors import RuleError, told
from rolloutwatch_contract.rules import Rule
from rolloutwatch_contract.severity import Severity
from rolloutwatch_contract.toml_places import Places

MOST_STEPS = 1_000_000
MOST_SECONDS = 1e9
MOST_LETTERS = 1000
MOST_PATTERNS = 100

_SEVERITIES = {"warning": Severity.WARNING, "critical": Severity.CRITICAL}
_SHORT = ("metric", "above", "below")
_BY_STEPS = ("clear", "for_steps", "for_seconds", "clear_steps")
KEYS = ("name", "severity", "when", *_SHORT, *_BY_STEPS, "runs", "enabled", "summary", "cure", "guide")
_EXAMPLES = {"name": '"kl_high"', "when": '"mismatch_k3_kl > 0.01"', "severity": '"warning"'}
_PATTERN = re.compile(r"[A-Za-z0-9_.~*?\[\]!-]{1,300}")


def is_table(written: object) -> bool:
    """Tell whether this is a table of TOML."""
    return isinstance(written, dict)


class RuleTable:
    """What is written of one rule, the `number`th of its file; without `metrics` what it names is taken as it stands."""

    def __init__(
        self,
        file: str,
        number: int,
        written: Mapping[str, object],
        places: Places,
        metrics: "KnownMetrics | None",
    ) -> None:
        self._file = file
        self._number = number
        self._written = written
        self._places = places
        self._metrics = metrics

    def rule(self) -> Rule:
        """Return the rule; RuleError if there can be none."""
        self._check_keys()
        name, severity = self._name("name"), self._severity()
        when = self._short() if self._is_short else self._condition("when")
        if by_clock(when.node):
            self._check_by_clock()
        return Rule(
            name=name,
            severity=severity,
            when=when,
            clear=self._clear(),
            for_steps=self._steps("for_steps"),
            for_seconds=self._seconds("for_seconds"),
            clear_steps=self._steps("clear_steps"),
            runs=self._runs(),
            enabled=self._switch("enabled"),
            summary=self._text("summary"),
            cure=self._text("cure"),
            guide=self._guide(),
        )

    def wrong(self, key: str, expected: str, hint: str = "") -> RuleError:
        """Return the error of a key that has another value than is expected, at that value."""
        came, place = told(self._written[key]), self._places.of_value(self._number, key)
        return self._error(f"{key} is {came}: expected {expected}.{hint}", key, expected, came, place)

    @property
    def _is_short(self) -> bool:
        return any(key in self._written for key in _SHORT)

    def _check_keys(self) -> None:
        for key in self._written:
            if key not in KEYS:
                raise self._error(f"unknown key {told(key)}. {_hint(key)}", key, "a key of rules", told(key))
        if self._is_short and "when" in self._written:
            raise self._error(
                "both when and metric are there: expected one of them.", "when", "when or metric", "both"
            )
        for key in ("name", "severity", "metric" if self._is_short else "when"):
            if key not in self._written:
                example = _EXAMPLES.get(key, '"mismatch_k3_kl"')
                raise self._error(f"{key} is missing. Give one, such as {example}.", "", key, "nothing")

    def _check_by_clock(self) -> None:
        for key in _BY_STEPS:
            if key in self._written:
                expected = f"no {key} beside silent(...), which fires at once and ends with the next step"
                came = told(self._written[key])
                raise self._error(f"{key} is {came}: expected {expected}.", key, expected, came)

    def _condition(self, key: str) -> Condition:
        said = self._written[key]
        if not isinstance(said, str):
            raise self.wrong(key, f"a condition such as {_EXAMPLES['when']}")
        try:
            return parse(said, None if self._metrics is None else self._metrics.refuse)
        except ConditionError as error:
            raise self._no_condition(key, error) from error

    def _no_condition(self, key: str, error: ConditionError) -> RuleError:
        place = self._places.of_letter(self._number, key, error.position - 1)
        # where the place in the file is known, that within the condition says nothing more
        problem = f"{key}: {error.problem}" if place else f"{key}, {error}"
        return self._error(problem, key, error.expected, error.came, place)

    def _clear(self) -> "Condition | None":
        if "clear" not in self._written:
            return None
        clear = self._condition("clear")
        if by_clock(clear.node):
            raise self.wrong("clear", "a condition over figures; silent(...) stands in when alone")
        return clear

    def _short(self) -> Condition:
        metric = self._name("metric")
        if self._metrics is not None and (refused := self._metrics.refuse(metric)):
            raise self.wrong("metric", *refused)
        above, below = self._limit("above", math.inf), self._limit("below", -math.inf)
        if not math.isfinite(above) and not math.isfinite(below):
            raise self._error(
                "expected above or below, or both; neither is there.", "", "above or below", "neither"
            )
        if below > above:
            told_below, told_above = told(self._written["below"]), told(self._written["above"])
            raise self._error(
                f"below is {told_below} and above is {told_above}: no value would be good. "
                "Expected below <= above; swap them.",
                "below", "below <= above", told_below,
            )  # fmt: skip
        beyond: list[Node] = []
        if math.isfinite(above):
            beyond.append(Comparison(">", Metric(metric), Number(above)))
        if math.isfinite(below):
            beyond.append(Comparison("<", Metric(metric), Number(below)))
        node = beyond[0] if len(beyond) == 1 else Or(tuple(beyond))
        return Condition(text=text_of(node), node=node)

    def _name(self, key: str) -> str:
        said = self._written[key]
        if not isinstance(said, str) or not is_metric_name(said):
            raise self.wrong(key, "1 to 128 letters, digits, '_', '.', '/', '@' or '-'")
        return said

    def _severity(self) -> Severity:
        said = self._written["severity"]
        if not isinstance(said, str) or said not in _SEVERITIES:
            raise self.wrong("severity", " or ".join(map(told, _SEVERITIES)))
        return _SEVERITIES[said]

    def _limit(self, key: str, otherwise: float) -> float:
        return self._number_of(key, "a finite number such as 0.5") if key in self._written else otherwise

    def _seconds(self, key: str) -> float:
        expected = f"a number of seconds from 0 to {MOST_SECONDS:g}"
        seconds = self._number_of(key, expected) if key in self._written else 0.0
        if not 0 <= seconds <= MOST_SECONDS:
            raise self.wrong(key, expected)
        return seconds

    def _number_of(self, key: str, expected: str) -> float:
        said = self._written[key]
        if isinstance(said, bool) or not isinstance(said, int | float) or not _is_finite(said):
            raise self.wrong(key, expected)
        return float(said)

    def _steps(self, key: str) -> int:
        said = self._written.get(key, 1)
        if type(said) is not int or not 1 <= said <= MOST_STEPS:
            raise self.wrong(key, f"an integer from 1 to {MOST_STEPS}")
        return said

    def _switch(self, key: str) -> bool:
        said = self._written.get(key, True)
        if not isinstance(said, bool):
            raise self.wrong(key, "true or false")
        return said

    def _runs(self) -> tuple[str, ...]:
        said = self._written.get("runs", "*")
        patterns = said if isinstance(said, list) else [said]
        expected = f'patterns of run ids, which are project~name, such as "math~*", at most {MOST_PATTERNS}'
        if not 1 <= len(patterns) <= MOST_PATTERNS:
            raise self.wrong("runs", expected)
        for item, pattern in enumerate(patterns):
            if not _is_pattern(pattern):
                place = self._places.of_value(self._number, "runs", item)
                problem = f"runs {'has' if patterns is said else 'is'} {told(pattern)}: expected {expected}."
                raise self._error(problem, "runs", expected, told(pattern), place)
        return tuple(patterns)

    def _text(self, key: str) -> str:
        said = self._written.get(key, "")
        if not isinstance(said, str) or len(said) > MOST_LETTERS:
            raise self.wrong(key, f"a text of at most {MOST_LETTERS} letters")
        return said

    def _guide(self) -> str:
        guide = self._text("guide")
        if self._metrics is not None and not guides.is_there(guide):
            near = guides.nearest(guide)
            raise self.wrong(
                "guide",
                "docs/guides/<name>.md of a guide that is there, or an address that begins with https:// or http://",
                hint=f" Did you mean {told(near)}?" if near else "",
            )
        return guide

    def _error(
        self, problem: str, key: str, expected: str, came: str, place: "tuple[int, int] | None" = None
    ) -> RuleError:
        name = self._written.get("name")
        line, column = place or self._places.of(self._number, key) or (None, None)
        return RuleError(
            problem,
            file=self._file,
            rule=name if isinstance(name, str) and name else self._number,
            key=key or None,
            line=line,
            column=column,
            expected=expected,
            came=came,
        )


def _hint(key: str) -> str:
    if key == "own_metrics":
        return "It stands at the head of the file, before the first [[rule]]."
    near = difflib.get_close_matches(key, KEYS, n=1)
    return f"Did you mean {told(near[0])}?" if near else f"Known are {', '.join(KEYS)}."


def _is_pattern(said: object) -> bool:
    # without a wildcard it is the id of one run, which has a tilde
    return (
        isinstance(said, str)
        and bool(_PATTERN.fullmatch(said))
        and ("~" in said or any(one in said for one in "*?["))
    )


def _is_finite(said: float) -> bool:
    try:
        return math.isfinite(said)
    except OverflowError:  # an integer beyond any float
        return False
