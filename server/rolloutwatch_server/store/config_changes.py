"""What one configuration changes of another, in as few words as a mark has room for."""

import itertools
from collections.abc import Mapping

from rolloutwatch_contract.protocol import Value

MOST_CHANGES = 5  # that are named; of more the number is told
OTHERS = "others_changed"
LETTERS_OF_A_VALUE = 26  # "before → after" is then no longer than what a chart tells of a field
LETTERS_BEFORE_A_DIFFERENCE = 8
ABSENT = "absent"  # said by one session, and not by the other
_EXACT = 1e15  # up to here a whole number is written as one


def changes(before: Mapping[str, Value], after: Mapping[str, Value]) -> dict[str, Value]:
    """Return what each setting was and is, of those that are not as before; nothing where one of both is not known.

    >>> changes({"lr": 1e-6, "rollout_is": "token"}, {"lr": 2e-6, "rollout_is": "token"})
    {'lr': '1e-06 → 2e-06'}
    """
    if not before or not after:
        return {}
    said = {name: (_words(before, name), _words(after, name)) for name in dict.fromkeys([*before, *after])}
    changed = [(name, *words) for name, words in said.items() if words[0] != words[1]]
    named: dict[str, Value] = {name: _arrow(was, now) for name, was, now in changed[:MOST_CHANGES]}
    left = len(changed) - len(named)
    return named | {OTHERS: left} if left else named


def _words(config: Mapping[str, Value], name: str) -> str:
    if name not in config:
        return ABSENT
    value = config[name]
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return str(int(value))
    return str(value)


def _arrow(was: str, now: str) -> str:
    """Return both, without how two long texts begin alike, as paths do."""
    common = 0
    if max(len(was), len(now)) > LETTERS_OF_A_VALUE:
        alike = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(was, now, strict=False))
        common = max(0, sum(1 for _ in alike) - LETTERS_BEFORE_A_DIFFERENCE)
    return " → ".join(_cut(f"…{text[common:]}" if common else text) for text in (was, now))


def _cut(text: str) -> str:
    return text if len(text) <= LETTERS_OF_A_VALUE else f"{text[: LETTERS_OF_A_VALUE - 1]}…"
