"""What must hold for every batch, whatever the numbers are."""

import dataclasses
import math

import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st

from rolloutwatch_correction import Correction, CorrectionConfig, Metrics
from tests.correction.batches import FOREIGN, Batch, batch, batches, configs, quick

TOKEN = CorrectionConfig(rollout_is="token")
SEQUENCE = CorrectionConfig(rollout_is="sequence")


def same_figures(one: Correction, other: Correction) -> bool:
    """Up to the order in which floats are summed, which decides the last digits."""
    a, b = one.metrics.as_dict(), other.metrics.as_dict()
    # a root shows the rounding of what is under it
    near = [
        math.isclose(a[n], b[n], rel_tol=1e-6, abs_tol=1e-6 * max(1, abs(a.get("ratio_max", 1))))
        for n in a
        if n in b
    ]
    return a.keys() == b.keys() and all(near)


@quick
@given(batches(strange=()), configs())
def test_equal_policies_need_no_correction(b: Batch, config: CorrectionConfig) -> None:
    """When both policies agree on every token, weights are 1, KL is 0 and every sample counts fully."""
    equal = Batch(b.rollout, b.rollout, b.mask)
    assume((b.mask != 0).any())
    correction = equal.correct(config)
    metrics = correction.metrics.as_dict()
    ones = [
        n
        for n in metrics
        if n.endswith(("ratio_mean", "ratio_max", "ratio_min", "eff_sample_size", "_is_mean"))
    ]
    zeros = [
        n for n in metrics if "kl" in n or "diff" in n or "chi2" in n or n.endswith(("_std", "_high", "_low"))
    ]
    assert len(ones) >= 8
    assert len(zeros) >= 13
    assert {n: metrics[n] for n in ones} == dict.fromkeys(ones, 1.0)
    assert {n: metrics[n] for n in zeros} == dict.fromkeys(zeros, 0.0)
    assert torch.equal(b.mask, correction.response_mask)
    if correction.weights is not None:
        assert torch.equal((b.mask != 0).to(correction.weights.dtype), correction.weights)


@quick
@given(batches(), configs())
@example(batch([[-19.0]]), TOKEN)  # 1 + (w - 1) is not w
def test_weights_stay_within_their_bounds_and_the_mean_between_the_extremes(
    b: Batch, config: CorrectionConfig
) -> None:
    correction = b.correct(dataclasses.replace(config, rollout_is=config.rollout_is or "token"))
    weights, metrics = correction.weights, correction.metrics.as_dict()
    assert weights is not None
    counted = (b.mask != 0) & b.training.isfinite() & b.rollout.isfinite()
    upper = torch.tensor(config.rollout_is_threshold, dtype=weights.dtype)
    assert ((weights > 0) == counted).all()
    assert (weights <= upper).all()
    if counted.any():
        for level in ("rollout_is", "rollout_is_seq", "ratio", "seq_ratio"):
            low, middle, high = (metrics[f"{level}_{name}"] for name in ("min", "mean", "max"))
            assert low <= middle <= high
        assert metrics["mismatch_k3_kl"] >= 0
        assert 0 <= metrics["ratio_eff_sample_size"] <= 1


@quick
@given(batches(strange=FOREIGN), configs())
@example(batch([[math.inf, 6e38, 1e308, 800.0]], rollout=-3e38), SEQUENCE)
@example(Batch(torch.tensor([[3e38, -1.0]]), torch.tensor([[-3e38, -1.0]]), torch.ones(1, 2)), TOKEN)
def test_every_figure_is_finite_whatever_comes(b: Batch, config: CorrectionConfig) -> None:
    """NaN, infinities, numbers whose difference is infinite: counted as not finite, and left out."""
    correction = b.correct(config)
    assert {n: x for n, x in correction.metrics.as_dict().items() if not math.isfinite(x)} == {}
    assert correction.weights is None or correction.weights.isfinite().all()


@quick
@given(batches(), configs())
def test_veto_only_removes_and_only_whole_sequences(b: Batch, config: CorrectionConfig) -> None:
    lenient = b.correct(dataclasses.replace(config, rollout_token_veto_threshold=None))
    strict = b.correct(dataclasses.replace(config, rollout_token_veto_threshold=0.1))
    gone = (strict.response_mask != lenient.response_mask).any(dim=1)
    assert torch.equal(b.mask, lenient.response_mask)
    assert (strict.response_mask[gone] == 0).all()
    assert torch.equal(lenient.response_mask[~gone], strict.response_mask[~gone])
    if strict.weights is not None and lenient.weights is not None:
        assert torch.equal(lenient.weights, strict.weights)


@quick
@given(batches(strange=FOREIGN), configs())
def test_correcting_leaves_what_came_in_as_it_was(b: Batch, config: CorrectionConfig) -> None:
    before = [tensor.clone() for tensor in dataclasses.astuple(b)]
    b.correct(config).metrics.as_dict()
    for old, new in zip(before, dataclasses.astuple(b), strict=True):
        assert torch.equal(old.nan_to_num(7), new.nan_to_num(7))


@quick
@given(batches(strange=FOREIGN))
def test_without_a_configuration_nothing_is_changed(b: Batch) -> None:
    """Observing brings figures, but neither weights nor a figure of a feature that is off."""
    correction = b.correct()
    assert correction.weights is None
    assert torch.equal(b.mask, correction.response_mask)
    assert not [name for name in correction.metrics.as_dict() if name.startswith("rollout_is")]


@quick
@given(batches(), configs(), st.data())
def test_order_of_sequences_does_not_matter(b: Batch, config: CorrectionConfig, data: st.DataObject) -> None:
    order = torch.tensor(data.draw(st.permutations(range(len(b.mask)))), dtype=torch.int64)
    straight = b.correct(config)
    mixed = Batch(*(tensor[order] for tensor in dataclasses.astuple(b))).correct(config)
    assert same_figures(straight, mixed)
    assert torch.equal(straight.response_mask[order], mixed.response_mask)
    assert torch.equal(straight.sequences[order], mixed.sequences)


@quick
@given(batches(), configs(), st.integers(0, 4), st.sampled_from(FOREIGN))
def test_padding_does_not_matter(b: Batch, config: CorrectionConfig, more: int, foreign: float) -> None:
    """Neither how much there is of it, nor what stands in it: -1, token ids, NaN or infinity."""
    plain = b.correct(config)
    outside = b.mask == 0
    training, rollout = (
        torch.nn.functional.pad(x.masked_fill(outside, foreign), (0, more), value=foreign)
        for x in (b.training, b.rollout)
    )
    padded = Batch(training, rollout, torch.nn.functional.pad(b.mask, (0, more))).correct(config)
    length = b.mask.shape[1]
    assert same_figures(plain, padded)
    assert torch.equal(plain.response_mask, padded.response_mask[:, :length])
    if plain.weights is not None and padded.weights is not None:
        assert torch.allclose(plain.weights, padded.weights[:, :length], rtol=1e-6, atol=0)
        assert not padded.weights[:, length:].any()


@quick
@given(batches(), configs(), st.integers(0, 5))
def test_micro_batches_add_up_to_the_batch(b: Batch, config: CorrectionConfig, cut: int) -> None:
    """Statistics of parts, empty ones too, merge into those of the whole."""
    parts = [
        Batch(*(t[at] for t in dataclasses.astuple(b))).correct(config)
        for at in (slice(cut), slice(cut, None))
    ]
    whole = b.correct(config)
    merged = dataclasses.replace(whole, statistics=parts[0].statistics.merge(parts[1].statistics))
    assert same_figures(whole, merged)


@quick
@given(st.floats(-2, 2), st.integers(1, 6))
def test_scaling_the_training_policy_scales_the_ratios(shift: float, length: int) -> None:
    """A policy that is k times as sure of every token has ratios k times as high, and sequences' k^length times."""
    before = batch([[0.01 * t for t in range(length)]])
    after = Batch(before.training + shift, before.rollout, before.mask)
    a, b = before.correct().metrics.as_dict(), after.correct().metrics.as_dict()
    assert b["mismatch_kl"] == pytest.approx(a["mismatch_kl"] - shift)
    assert b["ratio_mean"] == pytest.approx(a["ratio_mean"] * math.exp(shift))
    assert b["ratio_eff_sample_size"] == pytest.approx(a["ratio_eff_sample_size"])
    assert b["seq_ratio_mean"] == pytest.approx(a["seq_ratio_mean"] * math.exp(shift * length))
    assert b["mismatch_ppl_ratio"] == pytest.approx(a["mismatch_ppl_ratio"] * math.exp(-shift))


@pytest.mark.parametrize("dtype", [torch.bool, torch.int32, torch.int64, torch.float16, torch.float64])
def test_every_kind_of_mask_means_the_same(dtype: torch.dtype) -> None:
    mask = torch.tensor([[1, 0, 1], [1, 1, 0]])
    plain = batch([[0.1, 9.0, -9.5], [0.2, 0.3, 0.4]], mask=mask)
    config = CorrectionConfig(rollout_is="sequence", rollout_token_veto_threshold=1e-4)
    ours = Batch(plain.training, plain.rollout, mask.to(dtype)).correct(config)
    assert plain.correct(config).metrics.as_dict() == ours.metrics.as_dict()
    assert torch.equal(torch.tensor([[0, 0, 0], [1, 1, 0]]).to(dtype), ours.response_mask)


def test_whatever_is_not_zero_is_valid() -> None:
    """And what stays in the loss keeps the value it came with."""
    b = batch([[0.1, 9.0], [-20.0, 0.2]], mask=torch.tensor([[0.5, 0.0], [2.0, 2.0]]))
    correction = b.correct(CorrectionConfig(rollout_token_veto_threshold=1e-4))
    assert correction.metrics.as_dict()["n_tokens"] == 3
    assert correction.response_mask.tolist() == [[0.5, 0.0], [0.0, 0.0]]


def test_opposite_extremes_cancel_within_a_sequence() -> None:
    """The clamp acts on the sum: +45, -25 and -20 make a ratio of 1, not of exp(-20)."""
    assert batch([[45.0, -25.0, -20.0]]).weights(SEQUENCE).tolist() == [[1.0, 1.0, 1.0]]


@pytest.mark.parametrize("config", [TOKEN, SEQUENCE])
def test_no_gradient_flows_through_the_correction(config: CorrectionConfig) -> None:
    b = batch([[0.1, 0.2]])
    b.training.requires_grad_()
    correction = b.correct(config)
    tensors = [
        correction.weights,
        correction.response_mask,
        correction.statistics.vector,
        correction.sequences,
    ]
    assert [tensor.requires_grad for tensor in tensors if tensor is not None] == [False] * 4


def test_a_batch_without_a_valid_token_has_counts_and_nothing_else() -> None:
    """A rank may get no data: it takes part all the same."""
    empty = batch([[0.1], [0.2]], mask=[[0], [0]]).correct(TOKEN)
    assert empty.metrics.as_dict() == {"n_tokens": 0.0, "n_sequences": 2.0, "n_empty_sequences": 2.0}
    nothing = Batch(torch.zeros(0, 4), torch.zeros(0, 4), torch.zeros(0, 4)).correct(TOKEN)
    assert nothing.metrics.as_dict() == {"n_tokens": 0.0, "n_sequences": 0.0, "n_empty_sequences": 0.0}


def test_a_sequence_that_the_training_policy_finds_impossible_is_vetoed() -> None:
    """Its log-probs are -inf, so no figure counts them, but it is not empty and must not train."""
    b = batch([[-math.inf, -math.inf], [0.0, 0.0], [0.0, 0.0]])
    correction = b.correct(CorrectionConfig(rollout_token_veto_threshold=1e-4))
    metrics = correction.metrics.as_dict()
    assert correction.response_mask.tolist() == [[0, 0], [1, 1], [1, 1]]
    assert (metrics["rollout_is_veto_fraction"], metrics["nonfinite_fraction"]) == (pytest.approx(1 / 3),) * 2
    assert metrics["n_empty_sequences"] == 0


def test_correlation_is_absent_where_nothing_varies() -> None:
    b = batch([[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]], rollout=-0.7)
    assert "prob_pearson_corr" not in b.correct().metrics.as_dict()
    varied = Batch(b.training, b.training, b.mask)
    assert varied.correct().metrics.as_dict()["prob_pearson_corr"] == pytest.approx(1)


def test_precise_log_probs_get_precise_weights() -> None:
    """float64 in, float64 out; anything less is computed in float32."""
    b = batch([[1e-9]])
    assert b.weights(TOKEN).item() == math.exp(1e-9)
    narrow = Batch(b.training.bfloat16(), b.rollout.half(), b.mask)
    assert narrow.weights(TOKEN).dtype == torch.float32


def test_metrics_can_be_made_of_statistics_alone() -> None:
    correction = batch([[0.1, 0.2]]).correct(TOKEN)
    assert Metrics(correction.statistics, TOKEN).as_dict() == correction.metrics.as_dict()
