"""What all windows over a metric have in common."""

import math
from collections.abc import Iterable
from typing import Protocol

UNKNOWN = math.nan


class Window(Protocol):
    """The last values of a metric, and a figure of them."""

    __slots__ = ()

    def push(self, step: int, value: float) -> float:
        """Take one more value, that is not NaN; return the figure, NaN as long as it is unknown."""
        ...

    def learn(self, values: Iterable[float]) -> None:
        """Take values as if they had been before the first one, which most windows do not."""
        return

    def begin_anew(self) -> None:
        """Hear that values are of another session from here on, which most windows do not mind."""
        return

    @property
    def is_full(self) -> bool:
        """Whether no value of before could change anything."""
        ...
