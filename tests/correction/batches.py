"""Batches of every kind, and what the product and the judge each make of one.

Axes: B sequences, T response tokens.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from rolloutwatch_correction import Correction, CorrectionConfig, correct
from tests.oracle import Verdict, judge

PRECISIONS = (torch.float32, torch.float64, torch.bfloat16)
MASKS = (torch.bool, torch.uint8, torch.int64, torch.float32, torch.bfloat16)


@dataclass(frozen=True)
class Batch:
    """What `correct` is called with, [B, T] each."""

    training: Tensor
    rollout: Tensor
    mask: Tensor

    def correct(self, config: CorrectionConfig | None = None, **more: Any) -> Correction:
        return correct(self.training, self.rollout, self.mask, config, **more)

    def weights(self, config: CorrectionConfig) -> Tensor:
        weights = self.correct(config).weights
        assert weights is not None
        return weights

    def judge(self, config: CorrectionConfig, **more: Any) -> Verdict:
        precision = torch.promote_types(self.training.dtype, torch.float32)
        training, rollout = (x.to(precision).numpy() for x in (self.training, self.rollout))
        return judge(
            training, rollout, self.mask.double().numpy(), rollout_is=config.rollout_is,
            upper=config.rollout_is_threshold, lower=config.rollout_is_threshold_lower,
            veto=config.rollout_token_veto_threshold, **more,
        )  # fmt: skip


def batch(log_ratios: list[list[float]], *, rollout: float = -1.0, mask: Any = None) -> Batch:
    """Return a batch in float64 with these log ratios; the rollout policy is equally sure of every token."""
    log_ratio = torch.tensor(log_ratios, dtype=torch.float64)
    rollout_BT = torch.full_like(log_ratio, rollout)
    ones = torch.ones(log_ratio.shape, dtype=torch.int64)
    return Batch(rollout_BT + log_ratio, rollout_BT, ones if mask is None else torch.as_tensor(mask))


SHAPES = st.tuples(st.integers(0, 5), st.integers(0, 9))
LOG_RATIOS = st.one_of(
    st.just(0.0),
    st.floats(-0.01, 0.01),
    st.floats(-3, 3),
    st.floats(-60, 60),
)
LOGPROBS = st.one_of(st.just(0.0), st.floats(-3, 0), st.floats(-40, 0))
STRANGE = (math.nan, math.inf, -math.inf)
FOREIGN = (*STRANGE, 3e38, -3e38, -1.0, 151643.0)

quick = settings(max_examples=50, deadline=None)  # a busy machine is no bug


@st.composite
def batches(draw: st.DrawFn, *, strange: tuple[float, ...] = STRANGE) -> Batch:
    """Lengths from 0, holes in the mask, any precision and kind of mask, log-probs that are no numbers."""
    shape = draw(SHAPES)
    rollout = draw(hnp.arrays(np.float64, shape, elements=LOGPROBS))
    training = rollout + draw(hnp.arrays(np.float64, shape, elements=LOG_RATIOS))
    if strange and math.prod(shape):
        for logprobs in (training, rollout):
            for at in draw(st.lists(st.integers(0, logprobs.size - 1), max_size=3)):
                logprobs.flat[at] = draw(st.sampled_from(strange))
    mask = draw(hnp.arrays(np.bool_, shape))
    precision = draw(st.sampled_from(PRECISIONS))
    tensors = [torch.from_numpy(x).to(precision) for x in (training, rollout)]
    return Batch(*tensors, torch.from_numpy(mask).to(draw(st.sampled_from(MASKS))))


@st.composite
def configs(draw: st.DrawFn) -> CorrectionConfig:
    """Every mode and the thresholds people use."""
    return CorrectionConfig(
        rollout_is=draw(st.sampled_from([None, "token", "sequence"])),
        rollout_is_threshold=draw(st.sampled_from([1.5, 2.0, 5.0, 10.0])),
        rollout_is_threshold_lower=draw(st.sampled_from([None, 0.1, 0.5, 0.9])),
        rollout_token_veto_threshold=draw(st.sampled_from([None, 1e-4, 0.1])),
    )
