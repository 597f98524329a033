"""On a GPU the outcome is that of the CPU, and the host never waits for it."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from rolloutwatch_correction import Correction, CorrectionConfig, Groups, compiled_correct, correct
from tests.correction.batches import LAYOUTS
from tests.correction.families import FAMILIES, outcome, sample
from tests.correction.test_no_sync import call

DEVICE = "cuda"

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@contextmanager
def no_waiting() -> Iterator[None]:
    """Fail on whatever makes the host wait for the GPU."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def assert_same(expected: Correction, actual: Correction, *, rel: float = 1e-9) -> None:
    """Figures, table, weights and mask, though a GPU adds up in another order."""
    assert expected.metrics.as_dict() == pytest.approx(actual.metrics.as_dict(), rel=rel, abs=rel)
    on_host, on_gpu = (listed(correction) for correction in (expected, actual))
    for one, other in zip(on_host, on_gpu, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(other, one, rtol=max(rel, 1e-6), atol=rel)


def listed(correction: Correction) -> list[torch.Tensor]:
    """Return what is per token or per sequence, on the host."""
    found = [correction.sequences]
    for values in (correction.weights, correction.response_mask):
        found += values if isinstance(values, list) else [] if values is None else [values]
    return [tensor.cpu() for tensor in found]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", FAMILIES)
def test_a_gpu_is_not_waited_for_and_gives_the_same(name: str, layout: str) -> None:
    """Of every family and layout, with groups, entropies, numbers of samples, and merged statistics."""
    run = call(FAMILIES[name], layout, DEVICE)
    run()  # what is set up once may wait
    with no_waiting():
        correction = run()
    assert correction.statistics.vector.device.type == DEVICE
    assert_same(call(FAMILIES[name], layout)(), correction)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(64, 1024), (1, 1), (3, 0), (0, 5)])
def test_every_size_gives_the_same(shape: tuple[int, int], dtype: torch.dtype) -> None:
    """Batches of nothing too: no kernel is started for no tokens. Nothing stands on a bound here."""
    config = CorrectionConfig(rollout_is="sequence", rollout_rs="seq_max_k2", rollout_rs_threshold=9.0)
    b = sample(*shape, dtype)
    assert b.groups is not None
    there = dataclasses.replace(
        b, training=b.training.to(DEVICE), rollout=b.rollout.to(DEVICE), mask=b.mask.to(DEVICE),
        groups=Groups(b.groups.ids.to(DEVICE), b.groups.names),
    )  # fmt: skip
    there.correct(config)
    with no_waiting():
        correction = there.correct(config)
    assert_same(b.correct(config), correction, rel=1e-5)


def test_counts_are_exact_and_the_same_every_time() -> None:
    """The histogram is one of whole numbers, which no order of addition changes."""
    tensors = [tensor.to(DEVICE) for tensor in sample(64, 1024, torch.float32).tensors]
    vectors = [outcome(correct(*tensors))["vector"] for _ in range(5)]
    assert all(torch.equal(vectors[0], vector) for vector in vectors)


def test_labels_of_groups_go_there_without_waiting() -> None:
    with no_waiting():
        groups = Groups.of(["math", "code", "math"], device=DEVICE)
    assert groups.ids.device.type == DEVICE
    assert groups.ids.tolist() == [1, 0, 1]


@pytest.mark.compile
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch", "ignore::FutureWarning:torch")
@pytest.mark.parametrize("name", ["token, rejects token, veto", "sequence, rejects by mean and maximum"])
def test_compiled_for_a_gpu_it_does_not_wait_either(name: str) -> None:
    compiled: Callable[..., Any] = compiled_correct()
    b = sample(16, 256, torch.float32)
    tensors = [tensor.to(DEVICE) for tensor in b.tensors]
    compiled(*tensors, FAMILIES[name])
    with no_waiting():
        correction = compiled(*tensors, FAMILIES[name])
    assert_same(correct(*b.tensors, FAMILIES[name]), correction, rel=1e-5)
