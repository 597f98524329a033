"""Who runs against whom, and on what.

Everyone takes the same batch and gives weights, a mask, and metrics as numbers: ours, eager and compiled, the literal
version, and verl's own helper where it can be imported.

Axes: B sequences, T response tokens.
"""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.correction import literal
from rolloutwatch_correction import Correction, CorrectionConfig, compiled_correct

CONFIG = {
    "rollout_is": "token",
    "rollout_is_threshold": 2.0,
    "rollout_rs": "token",
    "rollout_rs_threshold": 2.0,
    "rollout_token_veto_threshold": 1e-4,
}
# verl 0.9 has no veto, and token_k1 is its name for rejection by a token's own ratio
VERL_CONFIG = {
    "rollout_is": "token",
    "rollout_is_threshold": 2.0,
    "rollout_rs": "token_k1",
    "rollout_rs_threshold": 2.0,
}
VERL_PATH = "ROLLOUTWATCH_VERL_PATH"
EAGER, COMPILED, LITERAL = "ours, eager", "ours, compiled", "literal"


@dataclass(frozen=True)
class Batch:
    """What a trainer hands over, [B, T] each; the mask is int64, as tokenizers make it."""

    training: Tensor
    rollout: Tensor
    mask: Tensor


Contender = Callable[[Batch], object]


def batch_of(sequences: int, length: int, device: str = "cpu") -> Batch:
    """Return a batch whose sequences fill between half and all of their rows, from policies that differ a little.

    One token in a thousand differs a lot, so that truncation, rejection and veto have something to do.
    """
    random = torch.Generator().manual_seed(0)
    shape = (sequences, length)
    training = -2 * torch.rand(shape, generator=random)
    spread = torch.where(torch.rand(shape, generator=random) < 1e-3, 2.0, 0.05)
    rollout = training + spread * torch.randn(shape, generator=random)
    lengths = torch.randint(length // 2, length + 1, (sequences, 1), generator=random)
    mask = (torch.arange(length) < lengths).long()
    return Batch(training.to(device), rollout.to(device), mask.to(device))


def ours(function: Callable[..., Correction]) -> Contender:
    """Return `correct`, plain or compiled, as a contender: the metrics are read at the end, as the others do."""
    config = CorrectionConfig.from_mapping(CONFIG)

    def run(batch: Batch) -> object:
        correction = function(batch.training, batch.rollout, batch.mask, config)
        return correction, correction.metrics.as_dict()

    return run


def compiled() -> Callable[..., Correction] | None:
    """Return `correct` compiled once for all shapes, None where there is no C++ compiler."""
    return compiled_correct() if compiler() else None


def compiler() -> str | None:
    """Return the C++ compiler that torch.compile would call."""
    return shutil.which(os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++"))


def literally(batch: Batch) -> object:
    """Run the formulas one by one."""
    return literal.correct(batch.training, batch.rollout, batch.mask)


def verl() -> tuple[str, Contender] | str:
    """Return verl's name with its version, and its helper; or why there is none."""
    folder = os.environ.get(VERL_PATH)
    if folder:
        sys.path.append(folder)  # last, so that torch and numpy stay the project's
    try:
        import verl as package
        from verl.trainer.ppo.rollout_corr_helper import compute_rollout_correction_and_rejection_mask
    except ImportError as error:
        return f"verl cannot be imported ({error})"

    def run(batch: Batch) -> object:
        return compute_rollout_correction_and_rejection_mask(
            batch.training, batch.rollout, batch.mask, **VERL_CONFIG
        )

    return f"verl {package.__version__}", run
