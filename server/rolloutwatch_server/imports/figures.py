"""What of a JSON object is figures: numbers under their names, nested ones under names joined by '/'."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

DEEPEST = 8
MOST_STEP = 2**53 - 1
SPELT = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}  # as strict JSON has to write them
LONGEST_NAME = 1000


class NotAnObject(ValueError):
    """A line is no JSON object; the message says what it is instead."""


def parse(text: bytes) -> dict[str, Any]:
    """Read a JSON object; NaN and Infinity are read as Python writes them, bare."""
    try:
        value = json.loads(text, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise NotAnObject(f"no JSON ({str(error)[:100]})") from error
    if not isinstance(value, dict):
        raise NotAnObject(f"JSON of type {type(value).__name__}")
    return value


def _integer(digits: str) -> int | float:
    return -0.0 if digits == "-0" else int(digits)


def figure(value: object) -> float | None:
    """Return a number as a figure; None for what is none, such as text, a flag, a list, or nothing."""
    if isinstance(value, str):
        return SPELT.get(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def figures(data: Mapping[str, Any], prefix: str = "", depth: int = 1) -> Iterator[tuple[str, float | None]]:
    """Yield each name and its figure, None for what is none."""
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and depth < DEEPEST and len(name) < LONGEST_NAME:
            yield from figures(value, f"{name}/", depth + 1)
        else:
            yield name[:LONGEST_NAME], figure(value)


def whole_number(value: object) -> int | None:
    """Return a step of what may be one: an integer, or a float without a fraction; None for anything else."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_STEP:
        return None
    return value
