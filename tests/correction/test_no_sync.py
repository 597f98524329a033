"""`correct` never waits for the device: no value of a tensor is asked for on the host."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from rolloutwatch_correction import CorrectionConfig, correct

CONFIGS = [
    CorrectionConfig(),
    CorrectionConfig(rollout_is="token", rollout_token_veto_threshold=1e-4),
    CorrectionConfig(rollout_is="sequence", rollout_token_veto_threshold=1e-4),
]


class NoReadback(TorchDispatchMode):
    """Fails on every operation whose result or shape depends on values: those make the host wait."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & set(func.tags):
            raise AssertionError(f"{func} reads a value back to the host")
        return func(*args, **(kwargs or {}))


def call(device: str, config: CorrectionConfig) -> list[Tensor | None]:
    tensors = (torch.full((3, 5), x, device=device) for x in (-1.0, -1.5, 1.0))
    entropy = torch.ones((3, 5), device=device)
    correction = correct(*tensors, config, training_entropy=entropy)
    return [
        correction.weights,
        correction.response_mask,
        correction.statistics.merge(correction.statistics).vector,
        correction.sequences,
    ]


@pytest.mark.parametrize("config", CONFIGS)
def test_nothing_is_read_back(config: CorrectionConfig) -> None:
    with NoReadback():
        call("cpu", config)


@pytest.mark.parametrize("config", CONFIGS)
def test_it_runs_where_tensors_have_no_values(config: CorrectionConfig) -> None:
    """A tensor on the meta device has a shape and nothing to read or to branch on."""
    outcome = [tensor for tensor in call("meta", config) if tensor is not None]
    assert {tensor.device.type for tensor in outcome} == {"meta"}
    assert len(outcome) == 3 + (config.rollout_is is not None)


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x.max().item(),
        lambda x: bool((x > 0).any()),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: torch.equal(x, x),
    ],
)
def test_the_guard_notices_a_readback(read: Callable[[Tensor], object]) -> None:
    """A guard that lets everything pass proves nothing."""
    x = torch.ones(3)
    with NoReadback(), pytest.raises(AssertionError, match="reads a value back"):
        read(x)
