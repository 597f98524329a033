"""Histograms of the log ratio over steps, summed over columns of steps where there are many.

A column is a stretch of `width` steps, a power of two, that begins at a multiple of its width:
columns of one width are halves of those of the next, so that two of them are summed and nothing has to be read again.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from rolloutwatch_contract.tables import HISTOGRAM_BINS

Whole = npt.NDArray[np.int64]


class Histograms(msgspec.Struct, frozen=True):
    """How many tokens are in each bin of `HISTOGRAM_EDGES`, by column, ascending; columns without a histogram are left out.

    `first` and `last` int64 [n] are the first and the last step of each column that has a histogram, `steps` int64 [n]
    how many have one; `counts` int64 [n, bins] is their sum.
    """

    first: Whole
    last: Whole
    steps: Whole
    counts: Whole
    width: int = 1

    @classmethod
    def of(cls, step: npt.ArrayLike, counts: npt.ArrayLike) -> "Histograms":
        """Return the histograms of single steps, ascending.

        >>> Histograms.of([4, 5, 8], np.ones((3, HISTOGRAM_BINS), dtype=np.int64)).wider(4).steps.tolist()
        [2, 1]
        """
        at = np.asarray(step, dtype=np.int64)
        whole = np.asarray(counts, dtype=np.int64).reshape(len(at), HISTOGRAM_BINS)
        return cls(at, at, np.ones(len(at), dtype=np.int64), whole)

    @classmethod
    def joined(cls, parts: Sequence["Histograms"], width: int) -> "Histograms":
        """Return parts that follow each other as one, in columns of this width; none may be wider."""
        if not parts:
            return cls.of([], []).wider(width)
        first, last, steps, counts = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("first", "last", "steps", "counts")
        )
        return cls(first, last, steps, counts).wider(width)

    def wider(self, width: int) -> "Histograms":
        """Return the same in columns of this width, which may not be less than it is."""
        if not len(self.first):
            return Histograms(self.first, self.last, self.steps, self.counts, width)
        column = self.first // width
        starts = np.flatnonzero(np.append(True, np.diff(column) > 0))
        ends = np.append(starts[1:], len(column)) - 1
        return Histograms(
            self.first[starts],
            self.last[ends],
            np.add.reduceat(self.steps, starts),
            np.add.reduceat(self.counts, starts, axis=0),
            width,
        )

    def between(self, begin: int, end: int) -> "Histograms":
        """Return the columns that lie within steps `begin` to `end`, inclusive."""
        there = slice(
            int(np.searchsorted(self.first, begin)), int(np.searchsorted(self.last, end, side="right"))
        )
        return Histograms(
            self.first[there], self.last[there], self.steps[there], self.counts[there], self.width
        )


def width_of(first: int, last: int, columns: int) -> int:
    """Return the least width of which no more than so many columns have the steps from `first` to `last`.

    >>> width_of(0, 999, 1000), width_of(0, 1000, 1000), width_of(7, 8, 1)
    (1, 2, 16)
    """
    width = 1
    while last // width - first // width >= columns:
        width *= 2
    return width
