"""Columns of steps: no token is lost, and none is counted twice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolloutwatch_contract.histograms import Histograms, width_of
from rolloutwatch_contract.tables import HISTOGRAM_BINS

STEPS = st.lists(st.integers(0, 200), max_size=40, unique=True).map(sorted)
POWERS = st.integers(0, 6).map(lambda power: 2**power)


def counts(steps: list[int]) -> np.ndarray:
    """A histogram that tells which step it is of: as many tokens as the step has, in its own bin."""
    found = np.zeros((len(steps), HISTOGRAM_BINS), dtype=np.int64)
    for at, step in enumerate(steps):
        found[at, step % HISTOGRAM_BINS] = step + 1
    return found


def by_column(steps: list[int], width: int) -> dict[int, np.ndarray]:
    """The same sums, step by step."""
    found: dict[int, np.ndarray] = {}
    for step, one in zip(steps, counts(steps), strict=True):
        found[step // width] = found.get(step // width, 0) + one
    return found


@given(steps=STEPS, width=POWERS)
def test_a_column_is_the_sum_of_its_steps(steps: list[int], width: int) -> None:
    found = Histograms.of(steps, counts(steps)).wider(width)
    expected = by_column(steps, width)
    assert (found.first // width).tolist() == list(expected)
    assert found.counts.tolist() == [one.tolist() for one in expected.values()]
    assert found.steps.tolist() == [sum(s // width == at for s in steps) for at in expected]
    assert found.first.tolist() == [min(s for s in steps if s // width == at) for at in expected]
    assert found.last.tolist() == [max(s for s in steps if s // width == at) for at in expected]


@given(steps=STEPS, cut=st.integers(0, 200), first=POWERS, then=POWERS)
def test_parts_in_columns_are_one_whole_in_wider_ones(
    steps: list[int], cut: int, first: int, then: int
) -> None:
    """Wherever it is cut: a column that is in two parts is one again."""
    width = max(first, then)
    parts = [[s for s in steps if s < cut], [s for s in steps if s >= cut]]
    narrow = [Histograms.of(part, counts(part)).wider(first) for part in parts]
    whole = Histograms.of(steps, counts(steps)).wider(width)
    found = Histograms.joined(narrow, width)
    for name in ("first", "last", "steps", "counts"):
        assert getattr(found, name).tolist() == getattr(whole, name).tolist()
    assert found.width == width


def test_what_lies_between_are_whole_columns() -> None:
    found = Histograms.of(range(32), counts(list(range(32)))).wider(8).between(8, 23)
    assert (found.first.tolist(), found.last.tolist(), found.width) == ([8, 16], [15, 23], 8)


@given(first=st.integers(0, 2**53), more=st.integers(0, 2**53), columns=st.integers(1, 2000))
def test_the_width_is_the_least_that_fits(first: int, more: int, columns: int) -> None:
    last = first + more
    width = width_of(first, last, columns)
    assert last // width - first // width < columns
    assert width == 1 or last // (width // 2) - first // (width // 2) >= columns


def test_counts_of_other_bins_are_refused() -> None:
    with pytest.raises(ValueError, match="reshape"):
        Histograms.of([1], np.zeros((1, 7), dtype=np.int64))
