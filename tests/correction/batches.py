"""Batches of every kind and layout, and what the product and the judge each make of one.

Axes: B sequences, T response tokens.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from rolloutwatch_contract.catalogue import CORE_METRICS
from rolloutwatch_correction import Correction, CorrectionConfig, Groups, correct
from tests.oracle import Verdict, judge

PRECISIONS = (torch.float32, torch.float64, torch.bfloat16)
MASKS = (torch.bool, torch.uint8, torch.int64, torch.float32, torch.bfloat16)
LAYOUTS = ("padded", "ragged", "packed")
ESTIMATED = (
    "token_k1", "token_k2", "token_k3", "seq_sum_k1", "seq_sum_k2", "seq_sum_k3",
    "seq_mean_k1", "seq_mean_k2", "seq_mean_k3", "seq_max_k2", "seq_max_k3",
)  # fmt: skip


@dataclass(frozen=True)
class Batch:
    """What `correct` is called with: three tensors, [B, T] each, and the group of each sequence."""

    training: Tensor
    rollout: Tensor
    mask: Tensor
    groups: Groups | None = None

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.training, self.rollout, self.mask

    @property
    def counted(self) -> Tensor:
        return (self.mask != 0) & (self.training.float() - self.rollout.float()).isfinite()

    @property
    def precise(self) -> bool:
        return torch.float64 in (self.training.dtype, self.rollout.dtype)

    @property
    def log_ratio(self) -> Tensor:
        """0 where no token counts, float64 of the difference as it is taken."""
        precise = torch.promote_types(self.training.dtype, torch.float32)
        difference = self.training.to(precise) - self.rollout.to(precise)
        return difference.double().masked_fill(~self.counted, 0)

    def rows(self, at: Any) -> "Batch":
        """Return some of the sequences, or all in another order."""
        groups = self.groups and dataclasses.replace(self.groups, ids=self.groups.ids[at])
        return Batch(*(tensor[at] for tensor in self.tensors), groups)

    def arranged(self, tensor: Tensor, layout: str) -> Any:
        """Return [B, T] numbers in a layout, where a response ends with its last valid token."""
        if layout == "padded":
            return tensor
        rows = [row[:length] for row, length in zip(tensor, self._lengths(), strict=True)]
        return rows if layout == "ragged" else torch.cat([tensor.new_empty(0), *rows])

    def padded(self, values: Any, layout: str) -> Tensor:
        """Return what `correct` gave in a layout as [B, T], 0 where the layout has no place."""
        if layout == "padded":
            assert isinstance(values, Tensor)
            return values
        rows = values if layout == "ragged" else values.split(self._lengths())
        whole = torch.zeros(self.mask.shape, dtype=(values[0] if layout == "ragged" else values).dtype)
        for row, values_of_row in zip(whole, rows, strict=True):
            row[: len(values_of_row)] = values_of_row
        return whole

    def correct(
        self,
        config: CorrectionConfig | None = None,
        *,
        layout: str = "padded",
        entropy: Tensor | None = None,
        **more: Any,
    ) -> Correction:
        if layout == "packed":
            more["cu_seqlens"] = torch.tensor([0, *np.cumsum(self._lengths(), dtype=int).tolist()])
        if entropy is not None:
            more["training_entropy"] = self.arranged(entropy, layout) if entropy.ndim else entropy
        tensors = (self.arranged(tensor, layout) for tensor in self.tensors)
        return correct(*tensors, config, groups=self.groups, **more)

    def weights(self, config: CorrectionConfig) -> Tensor:
        weights = self.correct(config).weights
        assert isinstance(weights, Tensor)
        return weights

    def kept(self, config: CorrectionConfig) -> Tensor:
        mask = self.correct(config).response_mask
        assert isinstance(mask, Tensor)
        return mask != 0

    def judge(self, config: CorrectionConfig, **more: Any) -> Verdict:
        training, rollout = (x.double().numpy() for x in (self.training, self.rollout))
        if self.groups is not None:
            more |= {"group_ids": self.groups.ids.tolist(), "group_names": self.groups.names}
        mask = self.mask.double().numpy()
        return judge(training, rollout, mask, **asked(config), core=CORE_METRICS, **more)

    def _lengths(self) -> list[int]:
        places = torch.arange(1, self.mask.shape[1] + 1).expand(self.mask.shape)
        return torch.nn.functional.pad(places * (self.mask != 0), (1, 0)).amax(dim=1).tolist()


def asked(config: CorrectionConfig) -> dict[str, Any]:
    """Return what a configuration asks for, in the words of the judge."""
    return {
        "rollout_is": config.rollout_is,
        "mode": config.rollout_is_mode,
        "lower": config.bounds.lower,
        "upper": config.bounds.upper,
        "normalize": config.rollout_is_batch_normalize,
        "rejections": [(rule.name, rule.bounds.lower, rule.bounds.upper) for rule in config.rejections],
        "veto": config.rollout_token_veto_threshold,
    }


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
def batches(draw: st.DrawFn, *, strange: tuple[float, ...] = STRANGE, grouped: bool = True) -> Batch:
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
    groups = draw(st.none() | groupings(shape[0])) if grouped else None
    return Batch(*tensors, torch.from_numpy(mask).to(draw(st.sampled_from(MASKS))), groups)


def groupings(count: int) -> st.SearchStrategy[Groups]:
    """A group for each sequence; a group may have none, as on a rank that got none of its samples."""
    ids = st.lists(st.integers(0, 2), min_size=count, max_size=count)
    return ids.map(lambda ids: Groups(torch.tensor(ids, dtype=torch.int64), ("math", "code", "chat")))


def thresholds(name: str) -> st.SearchStrategy[float | str]:
    """Bounds for a rule of rejection, about what healthy and sick batches have."""
    if name.endswith(("k2", "k3")):
        return st.sampled_from([0.001, 0.011, 0.3, 2.1, 42.4])
    return st.sampled_from([1.0011, 1.5, 3.0, "0.999_1.0015", "0.5_2.0", "0.3_5.0"])


@st.composite
def rejections(draw: st.DrawFn) -> dict[str, Any]:
    """None, one of the seed's modes, or one or several of the options, as text or as a list."""
    kind = draw(st.sampled_from(["none", "seed", "one", "text", "list"]))
    if kind == "none":
        return {}
    if kind == "seed":
        return {
            "rollout_rs": draw(st.sampled_from(["token", "sequence", "geometric"])),
            "rollout_rs_threshold": draw(st.sampled_from([1.0011, 1.5, 3.0])),
            "rollout_rs_threshold_lower": draw(st.sampled_from([None, 0.3, 0.9995])),
        }
    if kind == "one":
        name = draw(st.sampled_from(ESTIMATED))
        return {"rollout_rs": name, "rollout_rs_threshold": draw(thresholds(name))}
    names = draw(st.lists(st.sampled_from(ESTIMATED), min_size=1, max_size=4, unique=True))
    bounds = [draw(thresholds(name)) for name in names]
    if kind == "list":
        return {"rollout_rs": names, "rollout_rs_threshold": bounds}
    return {"rollout_rs": ",".join(names), "rollout_rs_threshold": ",".join(map(str, bounds))}


@st.composite
def weightings(draw: st.DrawFn, levels: tuple[str | None, ...]) -> dict[str, Any]:
    """Every level and mode with the thresholds people use."""
    level = draw(st.sampled_from(levels))
    if level is None:
        return {}
    kind = draw(st.sampled_from(["truncate", "mask", "text"]))
    normalize = {"rollout_is": level, "rollout_is_batch_normalize": draw(st.booleans())}
    if kind == "text":
        return normalize | {"rollout_is_threshold": draw(st.sampled_from(["0.5_5.0", "0.9_1.1"]))}
    return normalize | {
        "rollout_is_mode": kind,
        "rollout_is_threshold": draw(st.sampled_from([1.5, 2.0, 5.0, 10.0])),
        "rollout_is_threshold_lower": draw(st.sampled_from([None, 0.1, 0.5, 0.9])),
    }


@st.composite
def configs(
    draw: st.DrawFn, *, levels: tuple[str | None, ...] = (None, "token", "sequence", "geometric")
) -> CorrectionConfig:
    """Every level, mode and option, alone and together."""
    return CorrectionConfig(
        **draw(weightings(levels)),
        **draw(rejections()),
        rollout_token_veto_threshold=draw(st.sampled_from([None, 1e-4, 0.1])),
    )
