"""A small dose of what `make soak` does."""

from pathlib import Path

import pytest

from tests.chaos.soak import Sample, growth, is_flat, soak

pytestmark = [pytest.mark.redis, pytest.mark.end_to_end]


def test_steps_without_end_need_no_more_memory_threads_or_files(tmp_path: Path) -> None:
    """With forty scalars and a table of 256 sequences at each of them, and a server that archives."""
    told: list[Sample] = []
    samples = soak(tmp_path, 8000, 8, told.append)
    assert len(samples) == 8
    grown = growth(samples, warm=4000)
    assert is_flat(grown), (grown, told)
