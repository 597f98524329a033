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
_TOKEN = re.compile(rf"(?:{_STRING.pattern})|#[^\n]*|[\[\]{{}},\n]|[^\n,\[\]{{}}\"'#]+", re.DOTALL)
_NAME = r"[A-Za-z0-9_-]+|\"[^\"\n]*\"|'[^'\n]*'"
_TABLE = re.compile(rf"[ \t]*(?P<begin>\[\[?)[ \t]*(?P<name>{_NAME})(?:[ \t]*\.[ \t]*(?P<below>{_NAME}))?")
_KEY = re.compile(rf"[ \t]*(?P<key>{_NAME})[ \t]*(?:\.[^=\n]*)?=[ \t]*")
_BETWEEN = re.compile(r"(?:\s|#[^\n]*)*")
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

    def of_value(self, rule: int, key: str, item: "int | None" = None) -> "Place | None":
        """Return where the value of a key begins, or an item of it if that is a list; items are counted from 0."""
        found = self._keys.get((rule, key))
        if found is None:
            return self.of(rule, key)
        items = [] if item is None else [*self._items(found[1])]
        return self._place(items[item] if item is not None and item < len(items) else found[1])

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
        at, rule = 0, 0
        counts = True  # not within another table, whose keys are no rule's
        while at < len(self._text):
            if found := _TABLE.match(self._text, at):
                name, below = found["name"].strip("\"'"), found["below"]
                counts = name == "rule" and below is None and found["begin"] == "[["
                rule += counts
                if counts:
                    self._rules[rule] = found.start("begin")
                elif name == "rule" and below is not None:  # a table within a rule is a key of it
                    self._add(rule, below, found.start("begin"))
                else:
                    self._add(0, name, found.start("begin"))
                at = found.end()
            elif (found := _KEY.match(self._text, at)) and counts:
                self._add(rule, found["key"], found.start("key"), found.end())
                at = found.end()
                if (rule, found["key"].strip("\"'")) == (0, "rule"):
                    self._read_inline(at)
            at = self._end_of_line(at)

    def _add(self, rule: int, key: str, begin: int, value: "int | None" = None) -> None:
        self._keys.setdefault((rule, key.strip("\"'")), (begin, begin if value is None else value))

    def _read_inline(self, at: int) -> None:
        """Note what stands in rule = [{name = ...}, ...]."""
        for rule, begin in enumerate(self._items(at), 1):
            self._rules[rule] = begin
            for entry in self._items(begin):
                if found := _KEY.match(self._text, entry):
                    self._add(rule, found["key"], found.start("key"), found.end())

    def _items(self, at: int) -> Iterator[int]:
        """Yield where each item of the array or table begins that stands here, if one does."""
        depth = 0
        while found := _TOKEN.match(self._text, at):
            at = found.end()
            depth += (found[0] in ("[", "{")) - (found[0] in ("]", "}"))
            if depth <= 0:
                return
            if depth == 1 and found[0] in ("[", "{", ","):
                between = _BETWEEN.match(self._text, at)
                at = at if between is None else between.end()
                if self._text[at : at + 1] not in ("]", "}"):
                    yield at

    def _end_of_line(self, at: int) -> int:
        """Return where the next line begins that is not within a string, an array or a table."""
        depth = 0
        while at < len(self._text):
            found = _TOKEN.match(self._text, at)
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
