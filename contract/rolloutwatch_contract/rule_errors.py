"""What is wrong with a rule that somebody wrote, and where."""

import datetime
import json
import re

MOST_LETTERS = 100
DEEPEST = 3

_BARE = re.compile(r"[A-Za-z0-9_-]+")


class RuleError(ValueError):
    """Rules cannot be what is written; the message names file, place, rule and key, what was expected and what came.

    `line` and `column` count from 1 and are None where they are not known, `rule` is the name or else the number of the rule.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: str = "",
        rule: "str | int | None" = None,
        key: "str | None" = None,
        line: "int | None" = None,
        column: "int | None" = None,
        expected: str = "",
        came: str = "",
    ) -> None:
        place = [f"line {line}" * (line is not None), f"column {column}" * (column is not None)]
        which = "" if rule is None else f"rule {told(rule) if isinstance(rule, str) else rule}"
        where = ", ".join(part for part in (file, *place, which) if part)
        super().__init__(f"{where}: {problem}" if where else problem)
        self.problem = problem
        self.file = file
        self.rule = None if rule is None else str(rule)
        self.key = key
        self.line = line
        self.column = column
        self.expected = expected
        self.came = came


def told(said: object) -> str:
    """Return a value as TOML would show it, short: what is left out of a long or deep one is three dots."""
    if isinstance(said, str):
        short = said if len(said) <= MOST_LETTERS else f"{said[: MOST_LETTERS - 3]}..."
        return json.dumps(short, ensure_ascii=False)
    text = _told(said, DEEPEST)
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 3]}..."


def _told(said: object, depth: int) -> str:
    match said:
        case str():
            return told(said)
        case bool():
            return "true" if said else "false"
        case datetime.date() | datetime.time():
            return said.isoformat()
        case list():
            return f"[{', '.join(_told(one, depth - 1) for one in said)}]" if depth else "[...]"
        case dict() if not said:
            return "{}"
        case dict():
            entries = (f"{_key(name)} = {_told(one, depth - 1)}" for name, one in said.items())
            return f"{{ {', '.join(entries)} }}" if depth else "{...}"
    return repr(said)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else told(name)
