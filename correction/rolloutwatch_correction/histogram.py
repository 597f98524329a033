"""How many tokens have a log ratio in each bin, by the bits of a float32.

The bins of HISTOGRAM_EDGES are quarters of an octave, which are the exponent and the first two bits of the mantissa.
"""

import torch
from torch import Tensor

from rolloutwatch_contract.tables import HISTOGRAM_BINS, SMALLEST_EXPONENT

_MIDDLE = HISTOGRAM_BINS // 2
_BITS_BELOW = 21  # 23 bits of mantissa less the two that count
_FIRST = (
    (127 + SMALLEST_EXPONENT) << 2
) - 1  # what the magnitudes just below the first edge have above those bits
_AT_ONCE = 2**14


def bins_of(log_ratio: Tensor) -> Tensor:
    """Return which bin of HISTOGRAM_EDGES each log ratio is in, uint8; a magnitude on an edge is in the outer one."""
    bits = log_ratio.float().view(torch.int32)
    magnitude = ((bits & 0x7FFFFFFF) >> _BITS_BELOW).sub_(_FIRST).clamp_(0, _MIDDLE)
    sign = bits >> 31  # 0, or -1 which turns a number into its complement
    return (magnitude ^ sign).sub_(sign).add_(_MIDDLE).to(torch.uint8)


def histogram(bins: Tensor, counted: Tensor) -> Tensor:
    """Return float64 [HISTOGRAM_BINS], how many tokens are in each bin.

    Args:
        bins: uint8 of tokens; those that do not count have a log ratio of 0 and are taken out of its bin.
        counted: float64, how many tokens count, in all.
    """
    counts: Tensor = count_bins(bins)[:HISTOGRAM_BINS].double()
    middle = torch.zeros_like(counts)
    middle[_MIDDLE] = 1
    return counts - middle * (bins.numel() - counted)


def count_bins(bins: Tensor) -> Tensor:
    """Return how often each of the numbers from 0 to 255 occurs, int64 [256]."""
    counts: Tensor = torch.ops.rolloutwatch.count_bins(bins)
    return counts


# Its own operator, because a compiler that fuses it counts one token at a time, under a lock.
# Defined by hand, because `custom_op` imports the whole of that compiler at the first step.
torch.library.define("rolloutwatch::count_bins", "(Tensor bins) -> Tensor")


@torch.library.impl("rolloutwatch::count_bins", "CompositeExplicitAutograd")
def _anywhere(bins: Tensor) -> Tensor:
    counts = torch.zeros(256, dtype=torch.int64, device=bins.device)
    one = torch.ones((), dtype=torch.int64, device=bins.device)
    for part in bins.reshape(-1).split(_AT_ONCE):
        counts.scatter_add_(0, part.long(), one.expand(part.shape))
    return counts


@torch.library.impl("rolloutwatch::count_bins", "CUDA")
def _on_a_gpu(bins: Tensor) -> Tensor:
    # counts in shared memory; of whole numbers, so that it is exact and always the same
    return torch.histc(bins.long(), bins=256, min=0, max=256)


@torch.library.register_fake("rolloutwatch::count_bins")  # type: ignore[untyped-decorator]  # torch's own
def _nowhere(bins: Tensor) -> Tensor:
    return torch.empty(256, dtype=torch.int64, device=bins.device)
