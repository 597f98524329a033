"""A set of numbers that come in long rows."""

import bisect


class Ranges:
    """Integers, kept as disjoint ranges in order.

    >>> lost = Ranges()
    >>> lost.add(3, 5), lost.add(4, 9), 6 in lost, 10 in lost
    (3, 4, True, False)
    """

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []  # first and last, both inclusive

    def add(self, first: int, last: int) -> int:
        """Add all numbers from `first` to `last`; return how many of them were not there before."""
        if last < first:
            return 0
        begin = bisect.bisect_left(self._ranges, first - 1, key=lambda pair: pair[1])
        end = bisect.bisect_right(self._ranges, last + 1, key=lambda pair: pair[0])
        touched = self._ranges[begin:end]
        there = sum(max(0, min(b, last) - max(a, first) + 1) for a, b in touched)
        whole = (min([first, *(a for a, _ in touched)]), max([last, *(b for _, b in touched)]))
        self._ranges[begin:end] = [whole]
        return last - first + 1 - there

    def __contains__(self, number: int) -> bool:
        """Tell whether a number was added."""
        at = bisect.bisect_left(self._ranges, number, key=lambda pair: pair[1])
        return at < len(self._ranges) and self._ranges[at][0] <= number
