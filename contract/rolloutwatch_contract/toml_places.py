"""Where in a TOML text the keys of its rules stand, which tomllib does not tell.

The text has been read before, so it is known to be TOML: this only skips strings, arrays and comments.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_SKIPPED = re.compile(rf"(?:{_STRING.pattern})|#[^\n]*|[\[\]{{}}]|\n|[^\n\[\]{{}}\"'#]+", re.DOTALL)
_RULE = re.compile(r"[ \t]*\[\[[ \t]*(?:rule|\"rule\"|'rule')[ \t]*\]\]")
_TABLE = re.compile(r"[ \t]*\[")
_KEY = re.compile(r"[ \t]*(?P<key>[A-Za-z0-9_-]+|\"[^\"\n]*\"|'[^'\n]*')[ \t]*(?:\.[^=\n]*)?=[ \t]*")
_ESCAPE = re.compile(r"\\(?:u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[ \t]*\n[ \t\n]*|.)", re.DOTALL)


class Place(NamedTuple):
    """A line and a column, both from 1."""

    line: int
    column: int


class Places:
    """The places of one text. Rules are counted from 1 and 0 is the head of the document; None where a place is unknown."""

    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")
        self._keys: dict[tuple[int, str], tuple[int, int]] = {}
        self._rules: dict[int, int] = {}
        self._read()

    def of(self, rule: int, key: str = "") -> "Place | None":
        """Return where a key stands, or else where its rule begins."""
        found = self._keys.get((rule, key))
        begin = self._rules.get(rule) if found is None else found[0]
        return None if begin is None else self._place(begin)

    def of_letter(self, rule: int, key: str, letter: int) -> "Place | None":
        """Return where a letter of a text stands that is the value of a key; letters are counted from 0."""
        found = self._keys.get((rule, key))
        value = None if found is None else _STRING.match(self._text, found[1])
        if found is None or value is None:
            return self.of(rule, key)
        offsets = [*_offsets(value[0])]
        return self._place(found[1] + (offsets[letter] if letter < len(offsets) else len(value[0]) - 1))

    def _place(self, at: int) -> Place:
        return Place(self._text.count("\n", 0, at) + 1, at - self._text.rfind("\n", 0, at))

    def _read(self) -> None:
        at, rule, counts = 0, 0, True
        while at < len(self._text):
            if found := _RULE.match(self._text, at):
                rule, counts = len(self._rules) + 1, True
                self._rules[rule] = at + len(found[0]) - len(found[0].lstrip())
                at = found.end()
            elif found := _TABLE.match(self._text, at):
                counts = False  # another table: its keys are no rule's
            elif (found := _KEY.match(self._text, at)) and counts:
                self._keys.setdefault((rule, found["key"].strip("\"'")), (found.start("key"), found.end()))
                at = found.end()
            at = self._end_of_line(at)

    def _end_of_line(self, at: int) -> int:
        """Return where the next line begins that is not within a string, an array or a table."""
        depth = 0
        while at < len(self._text):
            found = _SKIPPED.match(self._text, at)
            at = at + 1 if found is None else found.end()
            if found is not None:
                depth += (found[0] in ("[", "{")) - (found[0] in ("]", "}"))
                if found[0] == "\n" and depth <= 0:
                    break
        return at


def _offsets(written: str) -> Iterator[int]:
    """Yield for each letter of a string where it stands in what is written, quotes included."""
    quotes = 3 if written[:3] in ('"""', "'''") else 1
    at, end = quotes, len(written) - quotes
    at += quotes == 3 and written.startswith("\n", at)
    while at < end:
        escape = _ESCAPE.match(written, at) if written[0] == '"' else None
        if escape is None or not escape[0].endswith(("\n", " ", "\t")) or len(escape[0]) == 1:
            yield at
        at = at + 1 if escape is None else escape.end()
