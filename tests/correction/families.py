"""One configuration of every family, a batch that each of them has something to do with, and what comes of it.

Axes: B sequences, T response tokens.
"""

import math
from typing import Any

import torch
from torch import Tensor

from rolloutwatch_correction import Correction, CorrectionConfig, Groups
from tests.correction.batches import ESTIMATED, Batch

_K1 = ("token_k1", "seq_sum_k1", "seq_mean_k1")

FAMILIES = {
    "observe": CorrectionConfig(),
    "token": CorrectionConfig(rollout_is="token"),
    "token masked": CorrectionConfig(rollout_is="token", rollout_is_threshold="0.5_5.0"),
    "token normalized": CorrectionConfig(rollout_is="token", rollout_is_batch_normalize=True),
    "sequence": CorrectionConfig(rollout_is="sequence", rollout_is_threshold=5.0),
    "sequence masked, normalized": CorrectionConfig(
        rollout_is="sequence", rollout_is_threshold="0.1_5.0", rollout_is_batch_normalize=True
    ),
    "geometric": CorrectionConfig(
        rollout_is="geometric", rollout_is_threshold=1.2, rollout_is_batch_normalize=True
    ),
    "geometric masked": CorrectionConfig(rollout_is="geometric", rollout_is_threshold="0.8_1.1"),
    "veto": CorrectionConfig(rollout_token_veto_threshold=0.2),
    **{f"rejects {level}": CorrectionConfig(rollout_rs=level, rollout_rs_threshold=threshold)
       for level, threshold in (("token", 1.5), ("sequence", 3.0), ("geometric", 1.1))},
    **{f"rejects {option}": CorrectionConfig(
        rollout_rs=option, rollout_rs_threshold="0.6_2.0" if option in _K1 else 0.5
    ) for option in ESTIMATED},
    "token, rejects token, veto": CorrectionConfig(
        rollout_is="token", rollout_rs="token", rollout_rs_threshold=2.0, rollout_token_veto_threshold=0.1
    ),
    "sequence, rejects by mean and maximum": CorrectionConfig(
        rollout_is="sequence", rollout_rs="seq_mean_k1,seq_max_k2", rollout_rs_threshold="1.2,0.5"
    ),
    "everything": CorrectionConfig(
        rollout_is="token", rollout_is_threshold="0.3_3.0", rollout_is_batch_normalize=True,
        rollout_rs=["token_k1", "seq_sum_k3", "seq_max_k2"], rollout_rs_threshold=["0.4_3.0", 0.9, 2.0],
        rollout_token_veto_threshold=0.05,
    ),
}  # fmt: skip


def sample(
    sequences: int = 9, length: int = 12, dtype: torch.dtype = torch.float64, device: str = "cpu"
) -> Batch:
    """Responses of different lengths with holes, three groups, some log-probs that are no numbers.

    The last two responses are empty; the group of the first but one has no name. The same numbers on every device.
    """
    random = torch.Generator().manual_seed(7 + sequences * 1000 + length)
    rollout_BT = -3 * torch.rand((sequences, length), generator=random, dtype=torch.float64) - 0.01
    noise_BT = 0.3 * torch.randn((sequences, length), generator=random, dtype=torch.float64)
    training_BT = rollout_BT + noise_BT + 0.1
    lengths_B = torch.randint(1, max(1, length) + 1, (sequences,), generator=random)
    mask_BT = torch.arange(length)[None, :] < lengths_B[:, None]
    mask_BT &= torch.rand((sequences, length), generator=random) > 0.1
    ids_B = torch.randint(0, 3, (sequences,), generator=random)
    if sequences > 3 and length > 3:
        training_BT[0, 1], training_BT[0, 2], rollout_BT[1, 0] = math.nan, -math.inf, -math.inf
        mask_BT[-2:], mask_BT[:3, :3], ids_B[1] = False, True, -1
    tensors = (training_BT.to(dtype), rollout_BT.to(dtype), mask_BT)
    groups = Groups(ids_B.to(device), ("math", "code", "chat"))
    return Batch(*(tensor.to(device) for tensor in tensors), groups)


def entropy_of(b: Batch) -> Tensor:
    """Return an entropy for each token, which is not known of some."""
    entropy_BT = -0.7 * torch.nan_to_num(b.rollout.float(), 0.0, 0.0, 0.0)
    return entropy_BT.masked_fill(entropy_BT > 1.8, math.nan)


def outcome(correction: Correction) -> dict[str, Any]:
    """Return all that a correction consists of, by name, on the host."""
    figures = correction.statistics
    tensors = {
        "weights": correction.weights,
        "response_mask": correction.response_mask,
        "vector": figures.vector,
        "by_group": figures.by_group,
        "sequences": correction.sequences,
    }
    return {name: tensor.cpu() for name, tensor in tensors.items() if tensor is not None}
