"""What another configuration would have given, judged by the correction itself on the same tokens."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rolloutwatch_contract import Array
from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.tables import SEQUENCE_COLUMNS
from rolloutwatch_correction import histogram_of, worst_rows
from rolloutwatch_server.store import StepTables
from rolloutwatch_server.whatif.answer import figures_of
from rolloutwatch_server.whatif.recorded import FIGURES, recorded
from tests.correction.batches import Batch, batch, batches, configs

RELATIVE = 1e-12
OF_SINGLE = 1e-5

KEPT = {
    "kept_fraction": "rollout_is_masked_fraction",
    "seq_kept_fraction": "rollout_is_seq_masked_fraction",
}
FIGURES_OF_WEIGHTS = ("rollout_is_mean", "rollout_is_eff_sample_size")


def tables_of(
    b: Batch, *, rows: int | None = None, histogram: bool = True, dtype: Any = np.float64
) -> tuple[StepTables, dict[str, float]]:
    """What a trainer that only measures would have recorded of a batch."""
    correction = b.correct(CorrectionConfig())
    sequences: Tensor = correction.sequences
    if rows is not None and rows < len(sequences):
        sequences = sequences.index_select(0, worst_rows(sequences, correction.vetoed, rows))
    counts = histogram_of(correction.statistics.vector.numpy(), correction.config)
    limit = float(np.finfo(np.float32).max)
    return StepTables(
        histogram=Array.of(counts) if histogram else None,
        sequences=Array.of(sequences.numpy().clip(-limit, limit).astype(dtype)),
    ), correction.metrics.as_dict()


def asked(config: CorrectionConfig, *steps: tuple[StepTables, dict[str, float]]) -> list[dict[str, Any]]:
    """The answer for each step: (low, high) by figure, those that are omitted left out."""
    figures = {name: np.array([metrics.get(name, math.nan) for _, metrics in steps]) for name in FIGURES}
    side_by_side = recorded(range(len(steps)), [tables for tables, _ in steps], figures)
    found = figures_of(side_by_side, config)
    return [
        {
            name: (float(span.low[at]), float(span.high[at]))
            for name, span in found.bounds.items()
            if not found.why[name][at]
        }
        for at in range(len(steps))
    ]


def truth(b: Batch, config: CorrectionConfig) -> dict[str, float]:
    """What the correction gives, with what is kept as 1 less what is taken out."""
    metrics = b.correct(config).metrics.as_dict()
    if metrics.get("n_tokens"):
        metrics |= {kept: 1 - metrics.get(taken, 0.0) for kept, taken in KEPT.items()}
    return metrics


def check(b: Batch, config: CorrectionConfig, answer: dict[str, tuple[float, float]], exact: float) -> None:
    expected = truth(b, config)
    for name, (low, high) in answer.items():
        assert low <= high, name
        assert name in expected, name
        value = expected[name]
        if low == high:
            absolute = 1e-13 if exact == RELATIVE else 2.0**-23  # of a distance from 1 in float32
            assert low == pytest.approx(value, rel=exact, abs=absolute), name
        else:
            assert low <= value <= high, (name, low, value, high)


@settings(max_examples=120, deadline=None)
@given(b=batches(grouped=False), config=configs())
def test_every_answer_holds_what_the_correction_gives(b: Batch, config: CorrectionConfig) -> None:
    """Whatever the batch and the configuration: exact figures are equal, and bounds have the figure between them.

    Log-probs that are no numbers, sequences without tokens and ratios beyond exp(20) are among them.
    """
    (answer,) = asked(config, tables_of(b))
    check(b, config, answer, RELATIVE if b.precise else OF_SINGLE)


@settings(max_examples=60, deadline=None)
@given(b=batches(grouped=False), config=configs(), histogram=st.booleans())
def test_a_table_of_float32_as_it_travels_tells_the_same(
    b: Batch, config: CorrectionConfig, histogram: bool
) -> None:
    """Up to what float32 has lost; what that could change is not called exact. Without a histogram too."""
    (answer,) = asked(config, tables_of(b, histogram=histogram, dtype=np.float32))
    check(b, config, answer, OF_SINGLE)


@settings(max_examples=60, deadline=None)
@given(b=batches(grouped=False), config=configs(), rows=st.integers(0, 4))
def test_sequences_without_a_row_widen_the_bounds(b: Batch, config: CorrectionConfig, rows: int) -> None:
    """The worst alone were sent: whatever the others are, the figure is within."""
    (answer,) = asked(config, tables_of(b, rows=rows))
    check(b, config, answer, RELATIVE if b.precise else OF_SINGLE)


def random_batch(seed: int, spread: float, *, sequences: int = 64, tokens: int = 80) -> Batch:
    """Log ratios of a normal distribution, a few far off, sequences of every length."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    rollout = -normal(sequences, tokens).abs() * 2
    training = rollout + spread * normal(sequences, tokens)
    far = torch.rand(sequences, tokens, generator=generator) < 0.002
    training = torch.where(far, training - 8, training)
    lengths = torch.randint(0, tokens + 1, (sequences,), generator=generator)
    return Batch(training, rollout, torch.arange(tokens) < lengths[:, None])


EXACT = [
    {"rollout_is": "sequence"},
    {"rollout_is": "sequence", "rollout_is_threshold": "0.5_5.0"},
    {"rollout_is": "geometric", "rollout_is_threshold": 1.01},
    {"rollout_is": "geometric", "rollout_is_threshold": "0.99_1.01", "rollout_token_veto_threshold": 1e-4},
    {"rollout_rs": "sequence", "rollout_rs_threshold": 3.0},
    {"rollout_rs": "geometric", "rollout_rs_threshold": 1.001, "rollout_token_veto_threshold": 1e-4},
    {"rollout_rs": "seq_sum_k1,seq_mean_k3", "rollout_rs_threshold": "0.2_5.0,0.01"},
    {"rollout_rs": "seq_sum_k3", "rollout_rs_threshold": 0.4},
    {"rollout_rs": "seq_max_k2,seq_max_k3,seq_mean_k1", "rollout_rs_threshold": "3.0,2.0,0.98_1.02"},
    {
        "rollout_is": "sequence",
        "rollout_is_mode": "mask",
        "rollout_rs": "geometric",
        "rollout_rs_threshold": 1.01,
    },
    {"rollout_token_veto_threshold": 1e-3},
    {},
]


@pytest.mark.parametrize("keys", EXACT, ids=str)
@pytest.mark.parametrize("spread", [0.01, 0.1, 1.0])
def test_figures_of_sequences_are_exact(keys: dict[str, Any], spread: float) -> None:
    """All that the correction gives of those that are asked for, to twelve digits, save tokens that veto."""
    b, config = random_batch(7, spread), CorrectionConfig(**keys)
    (answer,) = asked(config, tables_of(b))
    assert set(answer) == expected_names(config)
    answer.pop("rollout_is_catastrophic_token_fraction", None)
    assert [name for name, (low, high) in answer.items() if low != high] == []
    check(b, config, answer, RELATIVE)


def _masks(config: CorrectionConfig) -> bool:
    return config.rollout_is is not None and config.rollout_is_mode == "mask"


def expected_names(config: CorrectionConfig) -> set[str]:
    names = set(KEPT)
    if config.rollout_is is not None:
        names |= set(FIGURES_OF_WEIGHTS)
    if config.rejections:
        names |= {"rollout_rs_masked_fraction", "rollout_rs_seq_masked_fraction"}
    if config.rollout_token_veto_threshold is not None:
        names |= {"rollout_is_veto_fraction", "rollout_is_catastrophic_token_fraction"}
    if config.rejections or config.rollout_token_veto_threshold or _masks(config):
        names |= set(KEPT.values())
    return names


TOKENS = [
    {"rollout_is": "token"},
    {"rollout_is": "token", "rollout_is_threshold": "0.5_5.0"},
    {"rollout_rs": "token", "rollout_rs_threshold": 1.5},
    {"rollout_is": "token", "rollout_rs": "token_k1,seq_mean_k3", "rollout_rs_threshold": "0.5_2.0,0.02"},
    {"rollout_rs": "token_k3", "rollout_rs_threshold": 0.05},
    {"rollout_rs": "seq_mean_k2", "rollout_rs_threshold": 0.01, "rollout_token_veto_threshold": 1e-3},
]


@pytest.mark.parametrize("keys", TOKENS, ids=str)
@pytest.mark.parametrize("spread", [0.01, 0.1, 1.0])
def test_figures_of_tokens_are_bounded(keys: dict[str, Any], spread: float) -> None:
    """And narrowly enough to be of use: shares of tokens within a tenth."""
    b, config = random_batch(11, spread), CorrectionConfig(**keys)
    (answer,) = asked(config, tables_of(b))
    assert set(answer) == expected_names(config)
    check(b, config, answer, RELATIVE)
    assert max(high - low for low, high in answer.values()) < 0.3, answer
    assert answer["kept_fraction"][1] - answer["kept_fraction"][0] < 0.1


def test_weights_of_tokens_are_exact_where_no_token_is_out_of_bounds() -> None:
    """As on every healthy step: nothing is cut off, and the figures of untouched ratios are those of the weights."""
    b, config = batch([[0.1, -0.2, 0.05], [0.0, 0.3, -0.1]]), CorrectionConfig(rollout_is="token")
    (answer,) = asked(config, tables_of(b))
    assert all(answer[name][0] == answer[name][1] for name in FIGURES_OF_WEIGHTS)
    check(b, config, answer, RELATIVE)


def test_a_worked_example_of_each_kind() -> None:
    """Two sequences of two tokens: ratios of 2 and 1/2 as a whole, and one token of exp(-10)."""
    half = math.log(2) / 2
    b = batch([[half, half], [-half, -half], [-10.0, 10.5]])
    recorded_step = tables_of(b)
    (weights,) = asked(CorrectionConfig(rollout_is="sequence", rollout_is_threshold=1.5), recorded_step)
    mean = (1.5 + 0.5 + 1.5) / 3
    assert weights["rollout_is_mean"] == pytest.approx((mean, mean), rel=1e-12)
    squares = (1.5**2 + (2 / 3) ** 2 + 1.5**2) / 3
    ess = ((1.5 + 2 / 3 + 1.5) / 3) ** 2 / squares
    assert weights["rollout_is_eff_sample_size"] == pytest.approx((ess, ess), rel=1e-12)
    (veto,) = asked(CorrectionConfig(rollout_token_veto_threshold=1e-4), recorded_step)
    assert veto["rollout_is_veto_fraction"] == (1 / 3, 1 / 3)
    assert veto["kept_fraction"] == (1 - 1 / 3, 1 - 1 / 3)
    (rejected,) = asked(CorrectionConfig(rollout_rs="sequence", rollout_rs_threshold=1.5), recorded_step)
    assert rejected["rollout_rs_masked_fraction"] == (1.0, 1.0)


def test_what_hangs_on_the_precision_of_a_bound_is_not_called_exact() -> None:
    """A ratio that float32 cannot tell from its bound is in or out."""
    b = batch([[math.log(2.0) * (1 + 1e-9)], [0.0]])
    (answer,) = asked(CorrectionConfig(rollout_rs="sequence", rollout_rs_threshold=2.0), tables_of(b))
    assert answer["rollout_rs_masked_fraction"] == (0.0, 0.5)
    (at_one,) = asked(
        CorrectionConfig(rollout_rs="sequence", rollout_rs_threshold=1.0), tables_of(batch([[0.0]]))
    )
    assert at_one["rollout_rs_masked_fraction"] == (0.0, 0.0)


@pytest.mark.parametrize("far", [30.0, -30.0])
@pytest.mark.parametrize(
    "keys",
    [
        {"rollout_rs": "seq_sum_k1", "rollout_rs_threshold": math.exp(15)},
        {"rollout_rs": "seq_sum_k2", "rollout_rs_threshold": 300.0},
        {"rollout_rs": "seq_sum_k3", "rollout_rs_threshold": 40.0},
        {"rollout_rs": "seq_mean_k3", "rollout_rs_threshold": 1e9},
    ],
    ids=str,
)
def test_tokens_beyond_what_a_ratio_is_held_to_do_not_make_a_sum_certain(
    keys: dict[str, Any], far: float
) -> None:
    """The correction holds each of them, and the table has their sum without that: the one is in, the other may be out."""
    b, config = batch([[far, -far / 3, 0.0], [0.1, 0.0, 0.0]]), CorrectionConfig(**keys)
    (answer,) = asked(config, tables_of(b))
    check(b, config, answer, RELATIVE)


def test_the_columns_that_are_read_are_those_of_the_table() -> None:
    """They are read by place: the first eleven, in this order."""
    assert SEQUENCE_COLUMNS[:11] == (
        "length", "log_ratio_sum", "log_ratio_mean", "log_ratio_min", "log_ratio_max", "log_ratio_min_position",
        "log_ratio_max_position", "k3_sum", "log_ratio_abs_sum", "training_logprob_sum", "rollout_logprob_sum",
    )  # fmt: skip
