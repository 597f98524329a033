"""Rules as people write them: TOML, checked entry by entry. `docs/rules.md` is the reference.

own_metrics = ["reward_mean"]   # names that are not in the catalogue

[[rule]]
name = "kl_high"                # letters, digits, '_', '.', '/', '@' or '-'
severity = "warning"            # or "critical"
when = "mismatch_k3_kl > 0.01 and ratio_std > 1"
clear = "mismatch_k3_kl < 0.008"
for_steps = 3                   # so many steps one after the other before it fires
clear_steps = 5                 # so many before it ends
summary = "The policies drift apart."
cure = "Sync the rollout weights."

[[rule]]
name = "reward_low"
severity = "critical"
metric = "reward_mean"          # the short form of when = "reward_mean < 0.1"
below = 0.1
"""

import difflib
import re
import sys
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from rolloutwatch_contract.known_metrics import KnownMetrics, near_metrics
from rolloutwatch_contract.names import is_metric_name
from rolloutwatch_contract.rule_errors import RuleError, told
from rolloutwatch_contract.rule_tables import KEYS, RuleTable, is_table
from rolloutwatch_contract.rules import Rule
from rolloutwatch_contract.toml_places import Places

if sys.version_info >= (3, 11):
    from tomllib import loads as _loads
else:  # of a trainer, which reads no rules

    def _loads(text: str) -> dict[str, Any]:
        raise RuntimeError("rules are read by Python 3.11 or newer, on the server's side.")


__all__ = ["RuleError", "RuleSet", "near_metrics", "parse_rules", "read_rules"]

MOST_RULES = 1000
MOST_OWN_METRICS = 1000

_AT = re.compile(r" \(at line (\d+), column (\d+)\)$")
_DIGITS = re.compile(r"[0-9_]{4301,}")


class RuleSet(msgspec.Struct, frozen=True):
    """Rules, and the names of metrics that they declare."""

    rules: tuple[Rule, ...]
    own_metrics: tuple[str, ...] = ()


def parse_rules(text: str, file: str, known: "Collection[str] | None" = ()) -> RuleSet:
    """Return the rules of a TOML text; RuleError with line and column if it is none, or a rule in it cannot be.

    Args:
        text: The document.
        file: What to call it in errors.
        known: Names of metrics that may be used beside the catalogue's and those that the document declares.
            None for a document that was checked when it was saved: metrics and guides that it names may have gone since.
    """
    text = text.removeprefix("\ufeff")  # a byte order mark, which some editors put there
    try:
        document = _loads(text)
    except ValueError as error:  # TOMLDecodeError, or a number of more digits than Python reads
        raise _no_toml(str(error), text, file) from error
    except RecursionError:
        raise RuleError("not TOML that can be read: arrays within arrays, too deep.", file=file) from None
    return read_rules(document, file, known, Places(text))


def read_rules(
    document: Mapping[str, object],
    file: str,
    known: "Collection[str] | None" = (),
    places: "Places | None" = None,
) -> RuleSet:
    """Return the rules of a document that has been parsed, as `parse_rules` does; RuleError if anything in it is wrong."""
    places = places or Places("")
    own = _own_metrics(document, file, places)
    metrics = None if known is None else KnownMetrics(known, own)
    rules: dict[str, Rule] = {}
    for number, table in enumerate(_tables(document, file, places), 1):
        one = RuleTable(file, number, table, places, metrics)
        rule = one.rule()
        if rule.name in rules:
            raise one.wrong(
                "name", "a name that no other rule of the file has", hint=" Rename one of the two."
            )
        rules[rule.name] = rule
    return RuleSet(tuple(rules.values()), own)


def _tables(document: Mapping[str, object], file: str, places: Places) -> "list[Mapping[str, object]]":
    expected = "own_metrics and tables [[rule]], and nothing else"
    for key in document:
        if key not in ("rule", "own_metrics"):
            line, column = places.of(0, key) or (None, None)
            raise RuleError(
                f"unknown key {told(key)}: expected {expected}.{_hint(key, document[key])}",
                file=file, key=key, line=line, column=column, expected=expected, came=told(key),
            )  # fmt: skip
    written = document.get("rule")
    if not isinstance(written, list) or not written or not all(map(is_table, written)):
        line, column = places.of(0, "rule") or (None, None)
        came = told(written) if "rule" in document else "none"
        raise RuleError(
            f"no rules: expected one or several tables [[rule]].{_hint('rule', written)}",
            file=file, key="rule", line=line, column=column, expected="tables [[rule]]", came=came,
        )  # fmt: skip
    if len(written) > MOST_RULES:
        raise RuleError(f"{len(written)} rules: expected at most {MOST_RULES}.", file=file, key="rule")
    return written


def _hint(key: str, value: object) -> str:
    """Return what somebody may have meant who wrote this at the head of a document."""
    tables = value if isinstance(value, list) else [value]
    if tables and all(map(is_table, tables)):
        return " Write [[rule]], with two brackets." if key == "rule" else " Did you mean [[rule]]?"
    if key in KEYS:
        return f" A rule's {key} stands below its [[rule]]."
    return " Did you mean own_metrics?" if difflib.get_close_matches(key, ["own_metrics"]) else ""


def _own_metrics(document: Mapping[str, object], file: str, places: Places) -> tuple[str, ...]:
    own = document.get("own_metrics", [])
    names = own if isinstance(own, list) and len(own) <= MOST_OWN_METRICS else [own]
    wrong = next((at for at, name in enumerate(names) if not is_metric_name(name)), None)
    if own is names and wrong is None:
        return tuple(names)
    came = told(own if wrong is None else names[wrong])
    line, column = places.of_value(0, "own_metrics", wrong) or (None, None)
    expected = f'at most {MOST_OWN_METRICS} names of metrics such as ["reward_mean"]'
    raise RuleError(
        f"own_metrics {'has' if own is names else 'is'} {came}: expected {expected}.",
        file=file, key="own_metrics", line=line, column=column, expected=expected, came=came,
    )  # fmt: skip


def _no_toml(problem: str, text: str, file: str) -> RuleError:
    found = _AT.search(problem)
    digits = _DIGITS.search(text)  # which Python tells no place of
    end = digits.start() if digits and "digits" in problem else len(text)
    line, column = (int(found[1]), int(found[2])) if found else (text.count("\n", 0, end) + 1, None)
    problem = _AT.sub("", problem).removesuffix(" (at end of document)")[:200]
    return RuleError(
        f"not TOML: {problem}.", file=file, line=line, column=column, expected="TOML", came=problem
    )
