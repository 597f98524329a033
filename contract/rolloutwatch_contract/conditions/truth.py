"""What a condition comes to: true, false, or unknown where a figure is missing or NaN (Kleene's logic)."""

import enum


class Truth(enum.IntEnum):
    """In an order in which `and` is the lowest, `or` the highest, and `not x` is `2 - x`."""

    FALSE = 0
    UNKNOWN = 1
    TRUE = 2
