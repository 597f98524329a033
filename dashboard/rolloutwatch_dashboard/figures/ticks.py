"""Places and labels of a log axis."""

import itertools
import math

MOST_LABELS = 7  # at a log axis
LEAST_LABELS = 3
PLAIN_FROM, PLAIN_TO = -3, 6  # the powers of ten between which a label is written without an exponent
CLOSE = 1e-9  # what is as near as this to an end of the axis is on it


def ticks_of(low: float, high: float) -> dict[str, object]:
    """Return places and labels of a log axis between two powers of ten; figures.js does the same.

    1, 2 and 5 of every decade where these are few; decades, or every so many of them, where there are many;
    and even steps where there is less than a decade.
    """
    ticks = _round_ticks(low, high)
    return {
        "tickmode": "array",
        "tickvals": [float(f"{digits}e{power}") for digits, power in ticks],
        "ticktext": [_tick_text(digits, power) for digits, power in ticks],
    }


def _round_ticks(low: float, high: float) -> list[tuple[int, int]]:
    """Return digits and power of ten of each, as integers: these are exact, and the same in every language."""
    decades = range(math.floor(low), math.ceil(high) + 1)
    found = [
        (digit, power)
        for power in decades
        for digit in (1, 2, 5)
        if low - CLOSE <= power + math.log10(digit) <= high + CLOSE
    ]
    if len(found) < LEAST_LABELS:
        return _even_ticks(10**low, 10**high)
    every = 1
    while len(found) > MOST_LABELS:
        found = [
            (1, power) for power in decades if power % every == 0 and low - CLOSE <= power <= high + CLOSE
        ]
        every += 1
    return found


def _even_ticks(low: float, high: float) -> list[tuple[int, int]]:
    power = math.floor(math.log10((high - low) / MOST_LABELS))
    for at in itertools.count():
        digit, raised = (1, 2, 5)[at % 3], power + at // 3
        step = float(f"{digit}e{raised}")
        first, last = math.ceil(low / step - CLOSE), math.floor(high / step + CLOSE)
        if last - first < MOST_LABELS:
            return [(digit * count, raised) for count in range(first, last + 1)]
    raise AssertionError("steps grow until few fit")


def _tick_text(digits: int, power: int) -> str:
    text = str(digits)
    size = power + len(text) - 1
    if not PLAIN_FROM <= size < PLAIN_TO:
        rest = text[1:].rstrip("0")
        return f"{text[0]}{'.' if rest else ''}{rest}e{size}"
    if power >= 0:
        return text + "0" * power
    text = text.zfill(1 - power)
    return f"{text[:power]}.{text[power:]}"
