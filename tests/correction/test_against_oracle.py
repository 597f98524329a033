"""The product and the slow judge agree on every weight, mask and figure, on batches of every kind."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.catalogue import MADE_BY_SERVER, WEIGHT_AGE
from rolloutwatch_contract.tables import HISTOGRAM_EDGES, SEQUENCE_COLUMNS
from rolloutwatch_correction import CorrectionConfig, Groups, histogram_of
from tests.correction.batches import ESTIMATED, Batch, batch, batches, configs, quick
from tests.oracle import Verdict, histogram

FLOAT32 = 5e-6  # weights are float32, and a sum of log ratios near 20 is rounded before the exponential
HALF_A_FLOAT32 = 2.0**-24  # by so much at most a difference is rounded
FLOAT64 = 1e-9
ONE_BIN = 1.25  # the widest bin of the histogram
# by the judge, of what is too near 0
UNTOLD = ("prob_pearson_corr", "logprob_slope", "mismatch_k3_seq_share_max")
WIDEST = 50.0  # what a spread is measured of is held within its thresholds, none of which is further


def agree(name: str, expected: float, actual: float, verdict: Verdict, *, precise: bool) -> bool:
    name = name.partition("@")[0]
    if name in ("logprob_abs_diff_median", "logprob_abs_diff_p99"):
        # read off a histogram: right to a bin, of which the first reaches to 0 and the last has no end
        tiny, huge = min(map(abs, HISTOGRAM_EDGES)), max(HISTOGRAM_EDGES)
        if max(expected, actual) <= tiny or min(expected, actual) >= huge:
            return actual <= verdict.metrics["logprob_abs_diff_max"] * (1 + HALF_A_FLOAT32)
        return expected / ONE_BIN <= actual <= expected * ONE_BIN
    corrected = name.startswith("rollout_")
    relative = FLOAT64 if precise and not corrected else FLOAT32
    absolute = relative
    if name.endswith("_eff_sample_size"):
        absolute = 1e-6  # the mean is held as 1 + d, which tells a ratio of 1e-9 to seven digits
    if name == "prob_pearson_corr":
        absolute = 1e-6 if precise else 1e-4  # of variances down to 1e-9
    if name == "logprob_slope":
        absolute = max(absolute, 1e-7)  # of variances down to a millionth of the squares
    if name.endswith("_std"):
        # the root of what is left of squares
        scale = max(1.0, *(abs(verdict.metrics[name.replace("_std", f"_{end}")]) for end in ("min", "max")))
        held = corrected and not name.endswith("_seq_std")
        absolute = math.sqrt(relative) * 1e-3 * (min(WIDEST, scale) if held else scale)
    return math.isclose(expected, actual, rel_tol=relative, abs_tol=absolute)


def disagreements(
    verdict: Verdict, metrics: dict[str, float], *, precise: bool = False
) -> dict[str, tuple[Any, Any]]:
    expected = dict(verdict.metrics)
    # where the judge cannot tell
    metrics = {name: value for name, value in metrics.items() if name not in UNTOLD or name in expected}
    return {
        name: (expected.get(name), metrics.get(name))
        for name in expected.keys() | metrics.keys()
        if name not in expected
        or name not in metrics
        or not agree(name, expected[name], metrics[name], verdict, precise=precise)
    }


# of large log ratios that cancel, each of which float32 would round
CANCELLED = Batch(
    torch.tensor([[-32.937778472900, 32.062221527100]]),
    torch.tensor([[-0.937777101994, -0.937777101994]]),
    torch.tensor([[True, True]]),
)


@settings(quick, max_examples=300)
@given(batches(), configs())
@example(CANCELLED, CorrectionConfig(rollout_is="sequence"))
def test_the_product_agrees_with_the_judge(batch: Batch, config: CorrectionConfig) -> None:
    verdict = batch.judge(config)
    assume(verdict.margin > 1e-5)
    correction = batch.correct(config)
    assert disagreements(verdict, correction.metrics.as_dict(), precise=batch.precise) == {}
    assert (verdict.weights is None) == (correction.weights is None)
    if correction.weights is not None:
        np.testing.assert_allclose(correction.weights.double().numpy(), verdict.weights, rtol=FLOAT32, atol=0)
    kept = torch.from_numpy(verdict.response_mask)
    assert torch.equal(batch.mask * kept.to(batch.mask.dtype), correction.response_mask)


@quick
@given(batches(), configs(), st.data())
def test_the_table_names_what_each_sequence_did(
    batch: Batch, config: CorrectionConfig, data: st.DataObject
) -> None:
    count = len(batch.mask)
    ids = data.draw(st.none() | st.lists(st.integers(0, 2**31 - 1), min_size=count, max_size=count))
    verdict = batch.judge(config, sample_ids=ids)
    assume(verdict.margin > 1e-5)
    actual = batch.correct(config, sample_ids=None if ids is None else torch.tensor(ids)).sequences
    assert actual.dtype == torch.float64
    assert actual.shape == (count, len(SEQUENCE_COLUMNS))
    for column, name in enumerate(SEQUENCE_COLUMNS):
        expected = [row[name] for row in verdict.sequences]
        precision = FLOAT64 if batch.precise and name != "weight_mean" else FLOAT32
        np.testing.assert_allclose(
            actual[:, column].numpy(), expected, rtol=precision, atol=precision, err_msg=name
        )


def counts_of(batch: Batch) -> list[int]:
    statistics = batch.correct().statistics
    counts: list[int] = histogram_of(statistics.vector.numpy(), statistics.config).tolist()
    return counts


@quick
@given(batches())
def test_the_histogram_counts_every_token_once(batch: Batch) -> None:
    expected = histogram(batch.judge(CorrectionConfig()).log_ratios, HISTOGRAM_EDGES)
    assert expected == counts_of(batch)


def test_a_log_ratio_on_an_edge_is_in_the_bin_further_from_zero() -> None:
    """Every edge and its mirror image, in float32 as in float64, so that both sides are counted alike."""
    edges = torch.tensor(HISTOGRAM_EDGES, dtype=torch.float64)
    for precision in (torch.float64, torch.float32):
        training = edges.to(precision)[None, :]
        b = Batch(training, torch.zeros_like(training), torch.ones(training.shape))
        half = [1] * (len(HISTOGRAM_EDGES) // 2)
        assert [*half, 0, *half] == counts_of(b)


@quick
@given(batches(), st.data())
def test_surprise_is_measured_against_the_entropy_that_is_known(batch: Batch, data: st.DataObject) -> None:
    """Entropies that are no numbers, or stand where no token counts, are left out."""
    entropies = st.sampled_from([0.0, 0.5, 2.0, math.nan, math.inf])
    if data.draw(st.booleans()):
        entropy = torch.tensor(data.draw(entropies))
    else:
        size = batch.mask.numel()
        values = data.draw(st.lists(entropies, min_size=size, max_size=size))
        entropy = torch.tensor(values, dtype=torch.float32).reshape(batch.mask.shape)
    expected = batch.judge(CorrectionConfig(), entropy=entropy.numpy()).metrics
    actual = batch.correct(entropy=entropy).metrics.as_dict()
    gaps = [{n: x for n, x in m.items() if n.startswith("surprise_gap")} for m in (expected, actual)]
    assert gaps[0] == pytest.approx(gaps[1], rel=1e-9, abs=1e-9)


LOG_2 = math.log(2)


def by_hand() -> Batch:
    """Four tokens with ratios 1, 2, 4 and 1/2 in two sequences of two."""
    return batch([[0, LOG_2], [2 * LOG_2, -LOG_2]], rollout=math.log(0.2))


def assert_figures(b: Batch, config: CorrectionConfig, expected: dict[str, float]) -> None:
    metrics = b.correct(config).metrics.as_dict()
    assert expected == pytest.approx({name: metrics.get(name) for name in expected}, abs=1e-7)


def test_a_batch_worked_by_hand() -> None:
    config = CorrectionConfig(rollout_is="token", rollout_is_threshold=3)
    assert_figures(by_hand(), config, {
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
        "mismatch_kl": -LOG_2 / 2,
        "mismatch_k3_kl": 7.5 / 4 - 1 - LOG_2 / 2,
        "mismatch_rollout_ppl": 5,
        "mismatch_training_ppl": 5 / math.sqrt(2),
        "mismatch_ppl_ratio": 1 / math.sqrt(2),
        "fraction_outside_2x": 1 / 4,
        "mismatch_k3_seq_share_max": (4.5 - 2 - LOG_2) / (7.5 - 4 - 2 * LOG_2),
        "logprob_abs_diff_first_quarter": LOG_2,
    })  # fmt: skip


def test_masked_weights_worked_by_hand() -> None:
    """The ratio of 4 is beyond 3 and weighs nothing; what is left is divided by its mean over the tokens."""
    config = CorrectionConfig(
        rollout_is="token", rollout_is_mode="mask", rollout_is_threshold=3, rollout_is_batch_normalize=True
    )
    factor = 3.5 / 4
    expected = [1 / factor, 2 / factor, 0, 0.5 / factor]
    assert expected == pytest.approx(by_hand().weights(config).flatten().tolist())
    assert by_hand().kept(config).all()
    assert_figures(by_hand(), config, {
        "rollout_is_mean": 3.5 / 4,
        "rollout_is_max": 2,
        "rollout_is_min": 0,
        "rollout_is_eff_sample_size": 3.5**2 / 4 / (1 + 4 + 0.25),
        "rollout_is_seq_mean": (1.5 + 0.25) / 2,
        "rollout_is_batch_norm_factor": factor,
        "rollout_is_masked_fraction": 1 / 4,
        "rollout_is_seq_masked_fraction": 1 / 2,
    })  # fmt: skip


def test_the_seeds_rejection_worked_by_hand() -> None:
    """Both sequences have the geometric ratio sqrt(2); of the tokens, the one with ratio 4 is beyond 3."""
    geometric = CorrectionConfig(rollout_rs="geometric", rollout_rs_threshold=1.4)
    assert by_hand().kept(geometric).tolist() == [[False, False], [False, False]]
    assert_figures(by_hand(), geometric, {"rollout_rs_mean": math.sqrt(2), "rollout_rs_std": 0})
    token = CorrectionConfig(rollout_rs="token", rollout_rs_threshold=3)
    assert by_hand().kept(token).tolist() == [[True, True], [False, True]]
    assert_figures(by_hand(), token, {
        "rollout_rs_mean": 7.5 / 4,
        "rollout_rs_max": 4,
        "rollout_rs_eff_sample_size": 6.5**2 / 4 / (1 + 4 + 9 + 0.25),
        "rollout_rs_ratio_fraction_high": 1 / 4,
        "rollout_rs_seq_max_deviation": 1.25,
        "rollout_rs_masked_fraction": 1 / 4,
        "rollout_rs_seq_masked_fraction": 1 / 2,
        "rollout_is_masked_fraction": 1 / 4,
    })  # fmt: skip


def test_options_of_rejection_worked_by_hand() -> None:
    """-ln r is 0, -ln 2, -2 ln 2, ln 2: the third is below -ln 3; half the squares of the second row sum to 5/2 ln^2 2."""
    config = CorrectionConfig(
        rollout_rs=["token_k1", "seq_sum_k2", "seq_max_k3"], rollout_rs_threshold=["0.4_3.0", 2.0, 0.4]
    )
    squares, k3 = [LOG_2**2 / 2, 5 * LOG_2**2 / 2], [1 - LOG_2, 3 - 2 * LOG_2]
    assert by_hand().kept(config).tolist() == [[True, True], [False, False]]
    assert_figures(by_hand(), config, {
        "rollout_rs_token_k1_mean": -LOG_2 / 2,
        "rollout_rs_token_k1_max": LOG_2,
        "rollout_rs_token_k1_min": -2 * LOG_2,
        "rollout_rs_token_k1_fraction_low": 1 / 4,
        "rollout_rs_token_k1_fraction_high": 0,
        "rollout_rs_token_k1_masked_fraction": 1 / 4,
        "rollout_rs_token_k1_seq_masked_fraction": 1 / 2,
        "rollout_rs_seq_sum_k2_mean": sum(squares) / 2,
        "rollout_rs_seq_sum_k2_masked_fraction": 0,
        "rollout_rs_seq_max_k3_max": k3[1],
        "rollout_rs_seq_max_k3_seq_std": (k3[1] - k3[0]) / math.sqrt(2),
        "rollout_rs_seq_max_k3_std": (0.4 - k3[0]) / 2,
        "rollout_rs_seq_max_k3_seq_fraction_high": 1 / 2,
        "rollout_rs_masked_fraction": 1 / 2,
        "rollout_rs_seq_masked_fraction": 1 / 2,
    })  # fmt: skip


def test_quarters_of_responses_worked_by_hand() -> None:
    """A response reaches from its first valid token to its last, over holes and tokens that are no numbers, which count not.

    Of the first one that is from 1 to 8, with 1 and 2 in the first quarter and 7 and 8 in the last;
    of the second from 0 to 4, with 0 and 1 in the first and 4 in the last; the third is too short to have a last one.
    """
    b = batch(
        [
            [9.0, 1.0, 9.0, 0.5, 0.5, 9.0, 0.5, math.nan, 3.0, 9.0],
            [-2.0, 4.0, 0.5, 0.5, -5.0, 9.0, 9.0, 9.0, 9.0, 9.0],
            [9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 6.0, 0.5, 0.5],
        ],
        mask=[[0, 1, 0, 1, 1, 0, 1, 1, 1, 0], [1, 1, 1, 1, 1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 1, 1, 1]],
    )
    assert_figures(b, CorrectionConfig(), {
        "logprob_abs_diff_first_quarter": (1 + 2 + 4 + 6) / 4,
        "logprob_abs_diff_last_quarter": (3 + 5) / 2,
    })  # fmt: skip


def test_the_slope_worked_by_hand() -> None:
    """Rollout log-probs of -1, -2 and -3 and training ones of -1, -3 and -2: a covariance of 1/3 over a variance of 2/3."""
    b = Batch(torch.tensor([[-1.0, -3.0, -2.0]]), torch.tensor([[-1.0, -2.0, -3.0]]), torch.ones(1, 3))
    assert_figures(b, CorrectionConfig(), {"logprob_slope": 0.5})


def test_groups_worked_by_hand() -> None:
    """Each group's figures are those of its sequences alone."""
    grouped = dataclasses.replace(by_hand(), groups=Groups.of(["code", "math"]))
    assert_figures(grouped, CorrectionConfig(), {
        "ratio_mean": 7.5 / 4,
        "ratio_mean@code": 1.5,
        "ratio_mean@math": 2.25,
        "mismatch_kl@code": -LOG_2 / 2,
        "mismatch_kl@math": -LOG_2 / 2,
    })  # fmt: skip


def test_with_everything_on_the_figures_are_those_of_the_catalogue() -> None:
    b = batch([[0.1, -0.2, 0.0, 0.2], [0.3, 0.0, 0.1, 0.0]])  # four have a last quarter
    b.training[0, 0] -= 0.5  # probabilities that vary
    b.rollout[0, 0] -= 0.5
    weights = {
        "rollout_is": "token",
        "rollout_is_batch_normalize": True,
        "rollout_token_veto_threshold": 1e-4,
    }
    seed = CorrectionConfig(**weights, rollout_rs="token", rollout_rs_threshold=2.0)
    options = CorrectionConfig(rollout_rs=list(ESTIMATED), rollout_rs_threshold=[2.0] * len(ESTIMATED))
    figures = [b.correct(config, entropy=torch.tensor(0.9)).metrics.as_dict() for config in (seed, options)]
    assert set(METRICS) - {*MADE_BY_SERVER, WEIGHT_AGE} == set().union(*figures)
