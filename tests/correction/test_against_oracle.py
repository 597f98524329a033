"""The product and the slow judge agree on every weight, mask and figure, on batches of every kind."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.tables import HISTOGRAM_EDGES, SEQUENCE_COLUMNS
from rolloutwatch_correction import CorrectionConfig, histogram_of
from tests.correction.batches import Batch, batch, batches, configs, quick
from tests.oracle import Verdict

FLOAT32 = 5e-6  # weights are float32, and a sum of log ratios near 20 is rounded before the exponential
FLOAT64 = 1e-9
ONE_BIN = 10 ** (1 / 8)  # the width of a bin of the histogram


def agree(name: str, expected: float, actual: float, verdict: Verdict) -> bool:
    if name == "logprob_abs_diff_p99":
        # read off a histogram: right to a bin, whose first reaches to 1e-5 and whose last has no end
        tiny, huge = min(map(abs, HISTOGRAM_EDGES)), max(HISTOGRAM_EDGES)
        if max(expected, actual) <= tiny or min(expected, actual) >= huge:
            return actual <= verdict.metrics["logprob_abs_diff_max"]
        return expected / ONE_BIN <= actual <= expected * ONE_BIN
    relative = FLOAT32 if name.startswith("rollout_is") else FLOAT64
    absolute = relative
    if name.endswith("_eff_sample_size"):
        absolute = 1e-6  # the mean is held as 1 + d, which tells a ratio of 1e-9 to seven digits
    if name == "prob_pearson_corr":
        absolute = 1e-6  # of variances down to 1e-9
    if name.endswith("_std"):
        # the root of what is left of squares
        absolute = math.sqrt(relative) * 1e-3 * max(1.0, verdict.metrics[name.replace("_std", "_max")])
    return math.isclose(expected, actual, rel_tol=relative, abs_tol=absolute)


def disagreements(verdict: Verdict, metrics: dict[str, float]) -> dict[str, tuple[Any, Any]]:
    expected = dict(verdict.metrics)
    if "prob_pearson_corr" not in expected:  # the judge cannot tell
        metrics = {name: value for name, value in metrics.items() if name != "prob_pearson_corr"}
    return {
        name: (expected.get(name), metrics.get(name))
        for name in expected.keys() | metrics.keys()
        if name not in expected
        or name not in metrics
        or not agree(name, expected[name], metrics[name], verdict)
    }


@settings(quick, max_examples=300)
@given(batches(), configs())
def test_the_product_agrees_with_the_judge(batch: Batch, config: CorrectionConfig) -> None:
    verdict = batch.judge(config)
    assume(verdict.margin > 1e-5)
    correction = batch.correct(config)
    assert disagreements(verdict, correction.metrics.as_dict()) == {}
    assert (verdict.weights is None) == (correction.weights is None)
    if correction.weights is not None:
        np.testing.assert_allclose(correction.weights.double().numpy(), verdict.weights, rtol=FLOAT32, atol=0)
    assert torch.equal(torch.from_numpy(verdict.response_mask).to(batch.mask.dtype), correction.response_mask)


@quick
@given(batches(), configs())
def test_the_table_names_what_each_sequence_did(batch: Batch, config: CorrectionConfig) -> None:
    verdict = batch.judge(config)
    assume(verdict.margin > 1e-5)
    expected = [[row[column] for column in SEQUENCE_COLUMNS] for row in verdict.sequences]
    actual = batch.correct(config).sequences
    assert actual.dtype == torch.float32
    np.testing.assert_allclose(
        actual.numpy(), np.array(expected).reshape(actual.shape), rtol=FLOAT32, atol=1e-9
    )


@quick
@given(batches())
def test_the_histogram_counts_every_token_once(batch: Batch) -> None:
    log_ratios = batch.judge(CorrectionConfig()).log_ratios
    expected = [0] * (len(HISTOGRAM_EDGES) + 1)
    for log_ratio in log_ratios:
        expected[sum(edge < log_ratio for edge in HISTOGRAM_EDGES)] += 1
    assert expected == histogram_of(batch.correct().statistics.vector.numpy()).tolist()


@quick
@given(batches(), st.data())
def test_surprise_is_measured_against_the_entropy_that_is_known(batch: Batch, data: st.DataObject) -> None:
    """Entropies that are no numbers, or stand where no token counts, are left out."""
    entropies = st.sampled_from([0.0, 0.5, 2.0, math.nan, math.inf])
    size = batch.mask.numel()
    values = data.draw(st.lists(entropies, min_size=size, max_size=size))
    entropy = torch.tensor(values, dtype=torch.float32).reshape(batch.mask.shape)
    expected = batch.judge(CorrectionConfig(), entropy=entropy.numpy()).metrics.get("surprise_gap")
    actual = batch.correct(training_entropy=entropy).metrics.as_dict().get("surprise_gap")
    assert expected == (None if actual is None else pytest.approx(actual, rel=1e-9, abs=1e-9))


def test_a_batch_worked_by_hand() -> None:
    """Four tokens with ratios 1, 2, 4 and 1/2 in two sequences of two, at threshold 3."""
    log_2 = math.log(2)
    b = batch([[0, log_2], [2 * log_2, -log_2]], rollout=math.log(0.2))
    metrics = b.correct(CorrectionConfig(rollout_is="token", rollout_is_threshold=3)).metrics.as_dict()
    expected = {
        "ratio_mean": 7.5 / 4,
        "ratio_eff_sample_size": 7.5**2 / 4 / (1 + 4 + 16 + 0.25),
        "rollout_is_mean": (1 + 2 + 3 + 0.5) / 4,
        "rollout_is_max": 3,
        "rollout_is_min": 0.5,
        "rollout_is_ratio_fraction_high": 1 / 4,
        "rollout_is_ratio_fraction_low": 0,
        "rollout_is_seq_mean": 1.625,
        "rollout_is_seq_max_deviation": 0.75,
        "seq_ratio_mean": 2,
        "seq_ratio_std": 0,
        "chi2_seq": 3,
        "mismatch_kl": -log_2 / 2,
        "mismatch_k3_kl": 7.5 / 4 - 1 - log_2 / 2,
        "mismatch_rollout_ppl": 5,
        "mismatch_training_ppl": 5 / math.sqrt(2),
        "mismatch_ppl_ratio": 1 / math.sqrt(2),
        "fraction_outside_2x": 1 / 4,
    }
    assert expected == pytest.approx({name: metrics[name] for name in expected}, abs=1e-7)


def test_with_everything_on_the_figures_are_those_of_the_catalogue() -> None:
    b = batch([[0.1, -0.2], [0.3, 0.0]])
    b.training[0, 0] -= 0.5  # probabilities that vary
    b.rollout[0, 0] -= 0.5
    config = CorrectionConfig(rollout_is="token", rollout_token_veto_threshold=1e-4)
    assert set(METRICS) == set(b.correct(config, training_entropy=torch.tensor(0.9)).metrics.as_dict())
