"""What is wrong with a rule that somebody wrote, and where."""

import json


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
    """Return a value as TOML would show it, short."""
    return json.dumps(said[:100], ensure_ascii=False) if isinstance(said, str) else repr(said)[:100]
