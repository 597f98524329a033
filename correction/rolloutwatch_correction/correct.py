"""The conductor: log-probs in, weights, mask and figures out.

Axes: B sequences, T response tokens; N tokens of all sequences, packed. "Of tokens" is [B, T] or [N].
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_correction.completion import completed
from rolloutwatch_correction.distributed import ProcessGroup, summed
from rolloutwatch_correction.groups import Groups, is_of_integers
from rolloutwatch_correction.inputs import Inputs, TokensLike, read_inputs
from rolloutwatch_correction.metrics import SMALLEST_MEAN_WEIGHT, group_metrics_of, metrics_of
from rolloutwatch_correction.portions import Pass, Tokens, corrected, pass_over
from rolloutwatch_correction.sequences import sequence_table
from rolloutwatch_correction.statistics import Statistics, statistics_of, weight_sums


@dataclass(frozen=True)
class Metrics:
    """Figures of a batch, still on its device."""

    statistics: Statistics
    config: CorrectionConfig

    def as_dict(self) -> dict[str, float]:
        """Return metrics by name. This waits for the device; nothing else here does."""
        metrics = metrics_of(self.statistics.vector.cpu().numpy(), self.config)
        if self.statistics.by_group is not None:
            by_group = self.statistics.by_group.cpu().numpy()
            metrics |= group_metrics_of(by_group, self.statistics.groups, self.config)
        return metrics


@dataclass(frozen=True)
class Correction:
    """What `correct` returns. Weights and mask have the layout that came in: [B, T], a list of [T], or packed [N].

    Attributes:
        weights: float32 (float64 if log-probs are), detached, 0 outside the mask and where log-probs are not finite;
            None without `rollout_is`.
        response_mask: Of the dtype that came in, with its values; 0 for tokens that are out of the loss.
            Where nothing can be taken out it is the tensor that came in.
        statistics: What metrics are derived from; adds up over micro-batches and ranks.
        sequences: [B, columns] float64, columns as in `rolloutwatch_contract.tables.SEQUENCE_COLUMNS`.
        vetoed: [B] bool, which sequences have a catastrophic token; none without a veto.
        config: What was asked for.
        sample_ids: [B] the trainer's own numbers of the sequences, as they came.
    """

    weights: Any
    response_mask: Any
    statistics: Statistics
    sequences: Tensor
    vetoed: Tensor
    config: CorrectionConfig
    sample_ids: Tensor | None = None

    @property
    def metrics(self) -> Metrics:
        """Return the figures of the batch."""
        return Metrics(self.statistics, self.config)


@torch.no_grad()
def correct(
    training_logprobs: TokensLike,
    rollout_logprobs: TokensLike,
    response_mask: TokensLike,
    config: CorrectionConfig | None = None,
    *,
    cu_seqlens: Tensor | None = None,
    training_entropy: TokensLike | None = None,
    groups: Groups | None = None,
    sample_ids: Tensor | None = None,
    process_group: ProcessGroup | None = None,
    one_pass: Callable[[Tokens, CorrectionConfig], Pass] | None = None,
) -> Correction:
    """Return importance weights, the mask after rejection and veto, and what metrics are derived from.

    Nothing here waits for the device, looks at a tensor's values, or changes what came in.

    Args:
        training_logprobs: Log-probs of the sampled tokens under the policy that is trained: [B, T],
            or B tensors of one sequence each, or packed [N].
        rollout_logprobs: The same under the policy that generated them, as it reported them.
        response_mask: bool, integer or float; not 0 means a valid response token. Nothing outside it is looked at.
        config: What to correct; None measures only.
        cu_seqlens: [B + 1] where each packed sequence begins, and the last one ends.
        training_entropy: Entropy of the training policy at each token, or a tensor of one number, its mean.
        groups: The group of each sequence, such as its data source; the core figures come for each group too.
        sample_ids: [B] integers, the trainer's own numbers of the sequences, for the table.
        process_group: Ranks that have the other parts of the batch, for `rollout_is_batch_normalize` alone:
            one collective of two numbers. Figures of ranks are added up by `all_reduce_statistics`.
        one_pass: What looks at the tokens, all at once; `compiled_correct` has one. None looks at some after the other.

    Raises:
        ValueError: Shapes or dtypes that cannot be; the message names the tensor, what was expected and what came.
    """
    config = CorrectionConfig() if config is None else config
    _check_kinds(config, groups)
    inputs = read_inputs(training_logprobs, rollout_logprobs, response_mask, cu_seqlens, training_entropy)
    _check_rows(inputs, groups=None if groups is None else groups.ids, sample_ids=sample_ids)
    of_tokens = corrected(inputs.tokens, config, one_pass)
    sums = completed(of_tokens.sums, config, inputs.precision)
    weights = of_tokens.weights
    correction = Correction(
        weights=None if weights is None else inputs.back(weights),
        response_mask=inputs.back(of_tokens.response_mask),
        statistics=statistics_of(sums, of_tokens.histogram, config, groups),
        sequences=sequence_table(sums, config, groups, sample_ids),
        vetoed=sums["vetoed_sequences"] > 0,
        config=config,
        sample_ids=sample_ids,
    )
    if weights is None or not config.rollout_is_batch_normalize:
        return correction
    together = weight_sums(correction.statistics.vector, config)
    return normalized(correction, together if process_group is None else summed(together, process_group))


def normalized(correction: Correction, together: Tensor) -> Correction:
    """Return a correction whose weights are divided by their mean, unless they are all but 0.

    Args:
        correction: With weights that are not divided yet.
        together: The `weight_sums` of all that share the mean.
    """
    mean = together[0] / together[1].clamp(min=1)
    mean = torch.where(mean > SMALLEST_MEAN_WEIGHT, mean, torch.ones_like(mean))
    weights = correction.weights
    divided: Any = (
        weights / mean.to(weights.dtype)
        if isinstance(weights, Tensor)
        else [row / mean.to(row.dtype) for row in weights]
    )
    return dataclasses.replace(correction, weights=divided)


def compiled_correct(backend: str = "inductor", **options: Any) -> Callable[..., Correction]:
    """Return a `correct` whose pass over the tokens torch has compiled: several times faster, after half a minute once.

    One compilation serves all batch sizes and lengths, save 0 and 1, and another configuration needs another;
    64 are kept (before torch 2.13 as many as torch says). What is added up over the same tokens is fused into one loop,
    which torch's own limits on the size of a loop would cut into a dozen; `options` of torch.compile override these,
    and reach no `backend` but "inductor".
    `torch.compile(correct, fullgraph=True)` works too, within those limits.
    """
    fused = {
        "max_fusion_size": 1024,
        "cpp.max_horizontal_fusion_size": 1024,
        "realize_reads_threshold": 2**20,
        "realize_opcount_threshold": 2**20,
    }
    known = inspect.signature(torch.compile).parameters
    kept: dict[str, Any] = {"recompile_limit": 64, "isolate_recompiles": True}
    if not known.keys() >= kept.keys():
        kept = {}
    if backend == "inductor":
        kept["options"] = fused | options
    one_pass: Any = torch.compile(pass_over, fullgraph=True, dynamic=True, backend=backend, **kept)
    return functools.partial(correct, one_pass=one_pass)


def _check_kinds(config: object, groups: object) -> None:
    if not isinstance(config, CorrectionConfig):
        raise ValueError(
            f"config is a {type(config).__name__}: expected a CorrectionConfig. "
            "CorrectionConfig.from_mapping makes one of verl's keys."
        )
    if groups is not None and not isinstance(groups, Groups):
        raise ValueError(
            f"groups is a {type(groups).__name__}: expected Groups. Groups.of(labels) makes them of names."
        )


def _check_rows(inputs: Inputs, **rows: object) -> None:
    device = inputs.tokens.response_mask.device
    for name, tensor in rows.items():
        if tensor is None:
            continue
        if not isinstance(tensor, Tensor):
            came = f"is a {type(tensor).__name__}"
        elif tuple(tensor.shape) != (inputs.sequences,):
            came = f"has shape {tuple(tensor.shape)}"
        elif not is_of_integers(tensor):
            came = f"is of {tensor.dtype}"
        elif tensor.device != device:
            came = f"is on {tensor.device}"
        else:
            continue
        raise ValueError(
            f"{name} {came}: expected ({inputs.sequences},), one for each sequence, integers on {device}."
        )
