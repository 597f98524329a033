"""The bins of the histogram are in order and treat both policies alike, and no column is named twice."""

import itertools

from rolloutwatch_contract.tables import HISTOGRAM_BINS, HISTOGRAM_EDGES, SEQUENCE_COLUMNS


def test_edges_ascend() -> None:
    assert all(low < high for low, high in itertools.pairwise(HISTOGRAM_EDGES))


def test_edges_are_symmetric() -> None:
    """Swapping the policies mirrors the histogram."""
    assert tuple(-edge for edge in reversed(HISTOGRAM_EDGES)) == HISTOGRAM_EDGES


def test_the_first_and_the_last_bin_are_open() -> None:
    assert len(HISTOGRAM_EDGES) + 1 == HISTOGRAM_BINS
    assert HISTOGRAM_EDGES[-1] > 20, "a ratio at the clamp is told from one beyond"


def test_columns_are_unique() -> None:
    assert len(set(SEQUENCE_COLUMNS)) == len(SEQUENCE_COLUMNS)
