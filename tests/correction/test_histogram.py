"""Every token that counts is in exactly one bin of HISTOGRAM_EDGES, as a plain loop would put it."""

import math
import subprocess
import sys
from bisect import bisect_left, bisect_right

import numpy as np
import pytest
import torch
from torch import Tensor

from rolloutwatch_contract.tables import HISTOGRAM_BINS, HISTOGRAM_EDGES
from rolloutwatch_correction import CorrectionConfig, histogram_of
from rolloutwatch_correction.histogram import count_bins
from tests.correction.batches import LAYOUTS, Batch
from tests.correction.families import sample

HALF = len(HISTOGRAM_EDGES) // 2


def looped(values: Tensor) -> list[int]:
    """Return the counts by a search for each value; a magnitude on an edge is in the bin further from zero."""
    counts = [0] * HISTOGRAM_BINS
    for value in values.double().flatten().tolist():
        counts[(bisect_left if value < 0 else bisect_right)(HISTOGRAM_EDGES, value)] += 1
    return counts


def counted(values: Tensor) -> list[int]:
    """Return the counts of log ratios, the rollout policy being sure of every token."""
    statistics = (
        Batch(values[None], torch.zeros_like(values)[None], torch.ones(1, len(values))).correct().statistics
    )
    counts: list[int] = histogram_of(statistics.vector.numpy(), statistics.config).tolist()
    return counts


@pytest.mark.parametrize("place", range(len(HISTOGRAM_EDGES)))
def test_each_edge_parts_two_bins(place: int) -> None:
    """The edge and its neighbours in float32: the one nearer to zero is in another bin than the edge and the one beyond."""
    edge = np.float32(HISTOGRAM_EDGES[place])
    assert float(edge) == HISTOGRAM_EDGES[place]
    inner, outer = np.nextafter(edge, np.float32(0)), np.nextafter(edge, np.float32(np.sign(edge) * 99))
    further = place if edge < 0 else place + 1
    nearer = place + 1 if edge < 0 else place
    for value, expected in ((inner, nearer), (edge, further), (outer, further)):
        counts = counted(torch.tensor([value]))
        assert counts.index(1) == expected
        assert sum(counts) == 1
        assert counts == looped(torch.tensor([value]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_counts_are_those_of_a_loop(dtype: torch.dtype) -> None:
    """Of every magnitude, more than are counted at once."""
    random = torch.Generator().manual_seed(7)
    size = torch.logspace(-7, 2, 66_000, dtype=torch.float64)
    sign = torch.randint(0, 2, size.shape, generator=random) * 2 - 1
    values = (size * sign).to(dtype)
    assert looped(values.float()) == counted(values)
    assert min(counted(values)) > 0


@pytest.mark.parametrize("value", [0.0, -0.0, 1e-45, -1e-45, 1e-7, -1e-7])
def test_what_is_nearly_equal_is_in_the_middle(value: float) -> None:
    assert counted(torch.tensor([value])).index(1) == HALF


@pytest.mark.parametrize("value", [32.0, 33.0, 1e10, 3.4e38])
def test_the_outer_bins_have_no_end(value: float) -> None:
    assert counted(torch.tensor([value, value, -value])) == [1, *[0] * (HISTOGRAM_BINS - 2), 2]


@pytest.mark.parametrize("distance", [1e-6, 1e-3])
def test_float64_is_told_apart_where_float32_can(distance: float) -> None:
    for edge in HISTOGRAM_EDGES:
        values = torch.tensor([edge * (1 - distance), edge, edge * (1 + distance)], dtype=torch.float64)
        assert looped(values) == counted(values)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tokens_that_do_not_count_are_in_no_bin(layout: str) -> None:
    """Neither padding, nor holes, nor log-probs that are no numbers: none of them is in the middle either."""
    b = sample()
    statistics = b.correct(layout=layout).statistics
    counts = histogram_of(statistics.vector.numpy(), statistics.config)
    assert looped(b.log_ratio[b.counted].float()) == counts.tolist()
    assert counts.sum() == b.counted.sum() < b.mask.sum()
    assert counts.dtype == np.int64


def test_a_batch_of_nothing_but_padding_has_empty_bins() -> None:
    b = Batch(torch.full((2, 3), math.nan), torch.zeros(2, 3), torch.zeros(2, 3))
    assert not histogram_of(b.correct().statistics.vector.numpy(), CorrectionConfig()).any()


def test_a_batch_in_several_portions_is_counted_whole() -> None:
    b = sample(75, 900, torch.float32)
    counts = histogram_of(b.correct().statistics.vector.numpy(), CorrectionConfig())
    magnitudes = b.log_ratio[b.counted].float().abs().numpy()
    half, _ = np.histogram(magnitudes, bins=[0, *HISTOGRAM_EDGES[HALF:], np.inf])
    assert half.tolist() == [counts[HALF], *(counts[:HALF][::-1] + counts[HALF + 1 :]).tolist()]
    assert counts.sum() == b.counted.sum()


@pytest.mark.parametrize("shape", [(0,), (7,), (3, 5), (2**16 + 3,)])
def test_the_operator_is_one_that_compilers_can_trust(shape: tuple[int, ...]) -> None:
    """Its fake tells shape and dtype as they are, and it changes nothing that came."""
    bins = torch.randint(0, 256, shape, dtype=torch.uint8)
    torch.library.opcheck(torch.ops.rolloutwatch.count_bins.default, (bins,))
    assert torch.equal(torch.bincount(bins.flatten(), minlength=256), count_bins(bins))


def test_the_first_step_does_not_wait_for_a_compiler_to_be_imported() -> None:
    """Which takes most of a second, of a trainer that may never compile anything."""
    program = (
        "import sys, torch; from rolloutwatch_correction import correct; x = -torch.ones(2, 3); "
        "correct(x, x, x.abs()).metrics.as_dict(); sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
