"""The memory bound: what moving the same bytes costs when nothing is computed from them.

Whoever corrects a batch must read both log-probs and the mask, 4 + 4 + 8 = 16 bytes a token, and must write weights and
a mask, 4 + 8 = 12 bytes a token. The bound does that and no more, with PyTorch's own kernels, on the same tensors and
in the same rounds: it copies a float32 tensor and the mask, and sums the other float32 tensor.

It writes into tensors that stand ready, which is stricter than anyone who returns new ones can be: those also pay for
the pages that the operating system hands out. `fresh` pays too, and is shown for comparison; it can take five times as
long or just as long, as the memory allocator happens to have kept pages or not, so no ratio that matters is given to it.
A batch that fits a processor's cache makes the bound lower than memory would: look at the largest shape.
"""

import torch
from torch import Tensor

from benchmarks.correction.contenders import Batch, Contender

MEMORY, FRESH = "memory bound", "the same, new outputs"


def memory(batch: Batch) -> Contender:
    """Return what reads the bytes that a correction reads, and writes those it writes, into outputs that stand ready."""
    weights, mask = torch.zeros_like(batch.training), torch.zeros_like(batch.mask)

    def run(batch: Batch) -> object:
        return weights.copy_(batch.training), mask.copy_(batch.mask), batch.rollout.sum()

    return run


def fresh(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Do the same with new outputs."""
    return batch.training.clone(), batch.mask.clone(), batch.rollout.sum()
