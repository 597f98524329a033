"""`correct` never waits for the device: no value of a tensor is asked for on the host."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from rolloutwatch_correction import Correction, CorrectionConfig, Groups, correct
from tests.correction.batches import LAYOUTS
from tests.correction.families import FAMILIES, entropy_of, outcome, sample

# what a tensor is asked for its values by
READING = (
    "item", "tolist", "numpy", "cpu", "nonzero", "equal", "allclose", "is_nonzero", "__array__",
    "__bool__", "__int__", "__float__", "__index__", "__complex__", "__contains__", "__iter__",
)  # fmt: skip


class NoReadback(TorchDispatchMode):
    """Fails on every operation whose result or shape depends on values: those make the host wait."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        reads = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & set(func.tags)
        # by whole numbers a look-up has a shape that is known beforehand
        if func is torch.ops.aten.index.Tensor:
            reads = {at.dtype for at in args[1] if at is not None} & {torch.bool, torch.uint8}
        if reads:
            raise AssertionError(f"{func} reads a value back to the host")
        return func(*args, **(kwargs or {}))


def call(config: CorrectionConfig, layout: str = "padded", device: str = "cpu") -> Callable[[], Correction]:
    """Return a call with everything that can come, whose arguments are made beforehand."""
    b = sample()
    entropy = b.arranged(entropy_of(b), layout)
    cu_seqlens = None
    if layout == "packed":
        ends = torch.tensor([len(row) for row in b.arranged(b.mask, "ragged")]).cumsum(0)
        cu_seqlens = torch.nn.functional.pad(ends, (1, 0)).to(device)
    arguments = [moved(b.arranged(tensor, layout), device) for tensor in b.tensors]
    assert b.groups is not None
    more = {
        "training_entropy": moved(entropy, device),
        "groups": Groups(b.groups.ids.to(device), b.groups.names),
        "sample_ids": torch.arange(len(b.mask), device=device) + 100,
        "cu_seqlens": cu_seqlens,
    }
    return lambda: merged(correct(*arguments, config, **more))


def moved(tokens: Any, device: str) -> Any:
    return [row.to(device) for row in tokens] if isinstance(tokens, list) else tokens.to(device)


def merged(correction: Correction) -> Correction:
    """Add up statistics as over micro-batches."""
    return dataclasses.replace(correction, statistics=correction.statistics.merge(correction.statistics))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", FAMILIES)
def test_nothing_is_read_back(name: str, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every way to read a tensor forbidden around it, `correct` gives what it gives without."""
    run = call(FAMILIES[name], layout)
    expected = run()
    with NoReadback(), monkeypatch.context() as patch:
        for method in READING:
            patch.setattr(Tensor, method, forbidden(method))
        correction = run()
    assert torch.equal(expected.statistics.vector, correction.statistics.vector)
    assert torch.equal(expected.sequences, correction.sequences)


@pytest.mark.parametrize("layout", ["padded", "packed"])
@pytest.mark.parametrize("name", FAMILIES)
def test_it_runs_where_tensors_have_no_values(name: str, layout: str) -> None:
    """A tensor on the meta device has a shape and nothing to read or to branch on; the shapes are those of others."""
    config = FAMILIES[name]
    correction, expected = call(config, layout, "meta")(), outcome(call(config, layout)())
    tensors = [correction.weights, correction.response_mask, correction.sequences]
    tensors += [correction.statistics.vector, correction.statistics.by_group]
    there = [tensor for tensor in tensors if tensor is not None]
    assert {tensor.device.type for tensor in there} == {"meta"}
    assert len(there) == 4 + (config.rollout_is is not None)
    assert correction.statistics.vector.shape == expected["vector"].shape
    assert correction.sequences.shape == expected["sequences"].shape


@pytest.mark.parametrize("config", [CorrectionConfig(), FAMILIES["everything"]])
def test_a_batch_in_several_portions_is_not_read_either(config: CorrectionConfig) -> None:
    b = sample(75, 900, torch.float32)
    with NoReadback():
        b.correct(config)


def forbidden(method: str) -> Callable[..., Any]:
    def read(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError(f"Tensor.{method} reads a value back to the host")

    return read


READINGS: list[Callable[[Tensor], object]] = [
    lambda x: x.max().item(),
    lambda x: bool((x > 0).any()),
    lambda x: x[x > 0],
    lambda x: x[(x > 0).byte()],
    lambda x: x.nonzero(),
    lambda x: torch.equal(x, x),
]


@pytest.mark.parametrize("read", READINGS)
def test_the_guard_notices_a_readback(read: Callable[[Tensor], object]) -> None:
    """A guard that lets everything pass proves nothing."""
    x = torch.ones(3)
    with NoReadback(), pytest.raises(AssertionError, match="reads a value back"):
        read(x)


@pytest.mark.parametrize("method", READING)
def test_what_is_forbidden_can_be_noticed(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name in the list is one by which tensors are read."""
    assert callable(getattr(Tensor, method))
    monkeypatch.setattr(Tensor, method, forbidden(method))
    with pytest.raises(AssertionError, match=f"Tensor.{method} reads a value back"):
        getattr(torch.ones(1), method)()
