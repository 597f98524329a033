"""Compiled, `correct` is one graph that serves every size, and its outcome is that of every line by itself."""

import inspect
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from rolloutwatch_correction import (
    Correction,
    CorrectionConfig,
    Groups,
    compiled_correct,
    correct,
    histogram_of,
)
from tests.correction.batches import Batch
from tests.correction.families import FAMILIES, entropy_of, sample

# one for each level of weights
NAMES = ["token, rejects token, veto", "sequence, rejects by mean and maximum", "geometric masked"]
COMPILER = os.environ.get("CXX") or next((x for x in ("g++", "clang++", "c++") if shutil.which(x)), None)
needs_a_compiler = pytest.mark.skipif(
    not COMPILER or not shutil.which(COMPILER), reason="torch.compile needs a C++ compiler on a CPU"
)
# torch uses what it has deprecated itself
quietly = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch", "ignore::FutureWarning:torch")


@pytest.fixture(autouse=True)
def nothing_compiled_before() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


class Counting:
    """A backend that runs a graph as it was traced and counts how often it was asked to compile one."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: Any, inputs: list[Any]) -> Callable[..., Any]:
        self.graphs += 1
        forward: Callable[..., Any] = graph.forward
        return forward


def compiled_by(backend: Any) -> Callable[..., Correction]:
    compiled: Callable[..., Correction] = torch.compile(
        correct, fullgraph=True, dynamic=True, backend=backend
    )
    return compiled


def assert_same(expected: Correction, actual: Correction, *, rel: float = 1e-6) -> None:
    """Weights and figures to a millionth; the mask and the counts exactly."""
    assert expected.metrics.as_dict() == pytest.approx(actual.metrics.as_dict(), rel=rel, abs=rel)
    counts = [histogram_of(c.statistics.vector.numpy(), c.config).tolist() for c in (expected, actual)]
    assert counts[0] == counts[1]
    assert sum(counts[0]) > 0
    assert expected.config == actual.config
    torch.testing.assert_close(actual.sequences, expected.sequences, rtol=rel, atol=rel)
    assert torch.equal(expected.response_mask, actual.response_mask)
    assert (expected.weights is None) == (actual.weights is None)
    if expected.weights is not None:
        assert expected.weights.dtype == actual.weights.dtype
        torch.testing.assert_close(actual.weights, expected.weights, rtol=rel, atol=0)


def sizes() -> Iterator[tuple[int, int]]:
    """A hundred, the first of them square, which a compiler could take for a rule."""
    for turn in range(100):
        yield 4 + turn % 13, 4 + 7 * turn % 50


def packed(b: Batch) -> tuple[list[Tensor], dict[str, Any]]:
    lengths = torch.tensor([len(row) for row in b.arranged(b.mask, "ragged")])
    cu_seqlens = torch.nn.functional.pad(lengths.cumsum(0), (1, 0)).int()
    return [b.arranged(tensor, "packed") for tensor in b.tensors], {"cu_seqlens": cu_seqlens}


@pytest.mark.parametrize("name", NAMES)
def test_a_hundred_sizes_take_two_compilations_at_most(name: str) -> None:
    """And what comes of each is what comes without a compiler."""
    backend = Counting()
    compiled, config = compiled_by(backend), FAMILIES[name]
    for turn, size in enumerate(sizes()):
        b = sample(*size, torch.float32)
        correction = compiled(*b.tensors, config)
        if turn % 10 == 0:
            assert_same(correct(*b.tensors, config), correction)
    assert 1 <= backend.graphs <= 2


@pytest.mark.parametrize("name", ["everything", "sequence, rejects by mean and maximum"])
def test_packed_tokens_of_a_hundred_sizes_take_two_compilations_at_most(name: str) -> None:
    backend = Counting()
    compiled, config = compiled_by(backend), FAMILIES[name]
    for turn, size in enumerate(sizes()):
        tensors, more = packed(sample(*size, torch.float32))
        correction = compiled(*tensors, config, **more)
        if turn % 10 == 0:
            assert_same(correct(*tensors, config, **more), correction)
    assert 1 <= backend.graphs <= 2


def test_groups_entropies_and_numbers_are_in_the_graph_too() -> None:
    """And steps that differ in their labels alone share it."""
    backend = Counting()
    compiled, config = compiled_by(backend), FAMILIES["everything"]
    for turn, size in enumerate([(6, 9), (9, 30), (17, 12), (5, 44)]):
        b = sample(*size, torch.float32)
        assert b.groups is not None
        groups = Groups((b.groups.ids + turn) % 3, b.groups.names)
        more = {
            "groups": groups,
            "training_entropy": entropy_of(b),
            "sample_ids": torch.arange(size[0]) + 7,
        }
        expected, actual = (function(*b.tensors, config, **more) for function in (correct, compiled))
        assert_same(expected, actual)
        assert expected.statistics.by_group is not None
        torch.testing.assert_close(
            actual.statistics.by_group, expected.statistics.by_group, rtol=1e-6, atol=1e-6
        )
    assert backend.graphs <= 2


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_compile_too(dtype: torch.dtype) -> None:
    b, config = sample(8, 30, dtype), FAMILIES["token, rejects token, veto"]
    assert_same(correct(*b.tensors, config), compiled_by("eager")(*b.tensors, config))


@pytest.mark.parametrize("size", [(1, 9), (9, 1), (0, 9)])
def test_sizes_that_compilers_treat_apart_compile_too(size: tuple[int, int]) -> None:
    """Of one, and of none."""
    b = Batch(*(torch.full(size, x) for x in (-1.0, -1.1, 1.0)))
    expected, actual = (
        function(*b.tensors, CorrectionConfig(rollout_is="sequence"))
        for function in (correct, compiled_by("eager"))
    )
    assert expected.metrics.as_dict() == pytest.approx(actual.metrics.as_dict(), rel=1e-6)
    torch.testing.assert_close(actual.weights, expected.weights, rtol=1e-6, atol=0)


@pytest.mark.skipif(
    "isolate_recompiles" not in inspect.signature(torch.compile).parameters, reason="older torch keeps eight"
)
@quietly
def test_more_configurations_than_torch_keeps_by_itself_go_on_compiled() -> None:
    """Someone who tries nine thresholds in one process is not stopped at the ninth, nor by an empty rank after that."""
    compiled = compiled_correct(backend="eager")
    b = sample(4, 9, torch.float32)
    for number in range(9):
        config = CorrectionConfig(rollout_token_veto_threshold=10.0 ** -(number + 1))
        assert_same(correct(*b.tensors, config), compiled(*b.tensors, config), rel=1e-6)
    nothing = torch.zeros(0, 9)
    assert compiled(nothing, nothing, nothing, CorrectionConfig()).metrics.as_dict()["n_sequences"] == 0


@pytest.mark.compile
@pytest.mark.timeout(300)
@quietly
@needs_a_compiler
def test_machine_code_gives_the_same() -> None:
    """Of two sizes with groups, compiled once: what `compiled_correct` returns is what a trainer calls."""
    compiled, config = compiled_correct(), FAMILIES["token, rejects token, veto"]
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    for size in ((8, 300), (19, 77)):
        b = sample(*size, torch.float32)
        more = {"groups": b.groups}
        assert_same(correct(*b.tensors, config, **more), compiled(*b.tensors, config, **more), rel=2e-6)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == before + 1


@pytest.mark.compile
@pytest.mark.timeout(300)
@quietly
@needs_a_compiler
def test_machine_code_for_packed_tokens_gives_the_same() -> None:
    compiled, config = compiled_correct(), FAMILIES["sequence, rejects by mean and maximum"]
    tensors, more = packed(sample(20, 100, torch.float32))
    assert_same(correct(*tensors, config, **more), compiled(*tensors, config, **more), rel=2e-6)
