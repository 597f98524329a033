"""A condition's words, each with its place."""

import difflib
import math
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from rolloutwatch_contract.conditions.errors import ConditionError
from rolloutwatch_contract.names import MAX_NAME_LENGTH, is_metric_name

Kind = Literal["number", "name", "quoted", "sign", "end"]

_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:@[A-Za-z0-9_.-]+)?")
_PATTERN = re.compile(
    r"(?P<blank>[ \t\r\n]+)"
    r"|(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    rf"|(?P<name>{_BARE.pattern})"
    r"|`(?P<quoted>[^`]*)`"
    r"|(?P<sign><=|>=|==|!=|[<>+\-*/(),])"
)
# Words that mean something, so that a metric of that name stands in backquotes.
JOINS = frozenset({"and", "or", "not"})
FUNCTION_NAMES = frozenset(
    {
        "mean", "min", "max", "change", "rate", "off", "trend", "saw", "jump", "drift",
        "share", "abs", "absent", "silent",
    }
)  # fmt: skip
VALUES = frozenset({"true", "false", "none", "null", "nan", "inf", "infinity"})
# What people write who know another language, and what it is here. The longest that fits is named.
_ELSEWHERE = {
    "&&": '"and"', "&": '"and"', "||": '"or"', "|": '"or"', "!": '"not"', "=>": '">="', "=<": '"<="', "<>": '"!="',
    "=": '"=="', "≥": '">="', "≤": '"<="', "≠": '"!="', "−": '"-"', "×": '"*"', "·": '"*"', "÷": '"/"',
    "**": "a product", "^": "a product", "//": '"/"', "%": 'a fraction such as 0.05', "'": "a name without quotes",
    '"': "a name without quotes", "[": '"("', "]": '")"', "{": '"("', "}": '")"', ";": '"and" or "or"',
}  # fmt: skip


class Token(NamedTuple):
    """One word; `position` is the column of its first letter, from 1, `text` the word as written, quotes and all."""

    kind: Kind
    text: str
    position: int

    @property
    def name(self) -> str:
        """Return the name that a quoted one or a bare one is."""
        return self.text.strip("`")

    @property
    def told(self) -> str:
        """Return the word as messages show it."""
        return "the end" if self.kind == "end" else f'"{self.text[:60]}"'


def tokens_of(text: str) -> Iterator[Token]:
    """Yield the words of a condition and an end; ConditionError at the first letter that is none of its own."""
    at = 0
    while at < len(text):
        found = _PATTERN.match(text, at)
        for foreign in ("=>", "=<", "<>", "**", "//"):
            if text.startswith(foreign, at):
                found = None
        if found is None:
            raise _foreign(text, at)
        kind = found.lastgroup
        if kind != "blank":
            token = Token(kind, found[0], at + 1)  # type: ignore[arg-type]  # one of the groups of the pattern
            _check(token, text[found.end() : found.end() + 1])
            yield token
        at = found.end()
    yield Token("end", "", len(text) + 1)


def is_bare(name: str) -> bool:
    """Tell whether a metric's name stands without backquotes."""
    is_word = name in JOINS or name in FUNCTION_NAMES or name.lower() in VALUES
    return not is_word and _BARE.fullmatch(name) is not None


def nearest(word: str, known: "list[str]") -> str:
    """Return ' Did you mean "x"?' or nothing, to end a message with."""
    near = difflib.get_close_matches(word, known, n=1)
    return f' Did you mean "{near[0]}"?' if near else ""


def wrong(token: Token, expected: str, hint: str = "") -> ConditionError:
    """Return the error of a word that is not what was expected."""
    came = token.told
    return ConditionError(
        f"expected {expected}, got {came}.{hint}",
        position=token.position,
        length=max(1, len(token.text)),
        expected=expected,
        came=came,
    )


def _check(token: Token, following: str) -> None:
    if token.kind == "number":
        if following and (following.isalnum() or following in "_."):
            raise wrong(
                Token("number", token.text + following, token.position),
                "a number such as 0.05 or 1e-4, and a space or an operator behind it",
                " A metric whose name begins with a digit stands in backquotes.",
            )
        if not math.isfinite(float(token.text)):
            raise wrong(token, "a number that is finite")
    if token.kind == "name" and following == "@":
        raise wrong(
            Token("name", token.text + "@", token.position),
            "metric@group, with letters, digits, '_', '.' or '-' in the group",
        )
    if token.kind == "name" and not is_metric_name(token.text):
        raise wrong(token, f"a name of at most {MAX_NAME_LENGTH} letters")
    if token.kind == "quoted" and not is_metric_name(token.name):
        raise wrong(token, "1 to 128 letters, digits, '_', '.', '/', '@' or '-' between the backquotes")


def _foreign(text: str, at: int) -> ConditionError:
    longest = max((one for one in _ELSEWHERE if text.startswith(one, at)), key=len, default=None)
    if text[at] == "`":
        return wrong(Token("quoted", text[at:], at + 1), "a second backquote where the name ends")
    if longest is not None:
        return wrong(Token("sign", longest, at + 1), _ELSEWHERE[longest])
    came = text[at] if text[at].isprintable() else ascii(text[at])[1:-1]
    error = wrong(
        Token("sign", came, at + 1),
        "a number, a name, an operator or a parenthesis",
        " A name with other letters stands in backquotes." if text[at] in ".@" else "",
    )
    error.length = 1
    return error
