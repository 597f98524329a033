"""How amounts are written where it is set how much is kept: sizes, days, steps."""

import re
from dataclasses import dataclass

LEAST_SIZE = 10 * 10**6  # bytes of an archive; less would hold no run
UNITS = {"B": 1} | {
    f"{letter}{i}B": (1024 if i else 1000) ** power
    for power, letter in enumerate("KMGT", 1)
    for i in ("", "I")
}


@dataclass(frozen=True)
class Kept:
    """For how many steps, or for how many days, tables are kept; None is for ever."""

    steps: int | None = None
    days: float | None = None


def days(text: str) -> float:
    """Read a number of days; ValueError says what was expected."""
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text) or float(text) == 0:
        raise ValueError("a number of days greater than 0, such as 90")
    return float(text)


def size(text: str) -> int:
    """Read a number of bytes; ValueError says what was expected."""
    parts = re.fullmatch(r"([0-9]{1,18})(\.[0-9]{1,3})? ?([kKMGT]i?B)?", text)
    amount = 0.0 if parts is None else float(f"{parts[1]}{parts[2] or ''}") * UNITS[(parts[3] or "B").upper()]
    if amount < LEAST_SIZE:
        raise ValueError(f"a size of at least {LEAST_SIZE // 10**6} MB, such as 500MB, 20GB or 1.5TiB")
    return int(amount)


def kept(text: str) -> Kept:
    """Read for how long tables are kept; ValueError says what was expected."""
    if text.endswith("d") and re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text[:-1]) and float(text[:-1]) > 0:
        return Kept(days=float(text[:-1]))
    if not re.fullmatch(r"[0-9]{1,15}", text) or int(text) == 0:
        raise ValueError("a number of steps such as 10000, or of days such as 30d")
    return Kept(steps=int(text))
