"""What must hold for every batch, whatever the numbers are."""

import dataclasses
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from rolloutwatch_correction import Correction, CorrectionConfig, Metrics, correct
from tests.correction.batches import (
    ESTIMATED,
    FOREIGN,
    LAYOUTS,
    Batch,
    batch,
    batches,
    configs,
    quick,
)

TOKEN = CorrectionConfig(rollout_is="token")
SEQUENCE = CorrectionConfig(rollout_is="sequence")
LEVELS = ("token", "sequence", "geometric")
UNBOUNDED = 6e8  # above every ratio, which ends at exp(20)
EXTREMES = ("mean", "max", "min")
RATIOS = (
    "eff_sample_size",
    *(f"{name}_{x}" for name in ("ratio", "is", "rs", "is_seq", "rs_seq") for x in EXTREMES),
)
ESTIMATES = tuple(f"{name}_{x}" for name in ESTIMATED for x in (*EXTREMES, *(f"seq_{y}" for y in EXTREMES)))
REMOVED = ("_high", "_low", "_masked_fraction", "_veto_fraction", "_token_fraction")

few = settings(quick, max_examples=20)  # of each of many


def same_figures(one: Correction, other: Correction) -> bool:
    """Up to the order in which floats are summed, which decides the last digits."""
    a, b = one.metrics.as_dict(), other.metrics.as_dict()
    # a root shows the rounding of what is under it
    scale = 1e-6 * max(1, abs(a.get("ratio_max", 1)))
    near = [math.isclose(a[n], b[n], rel_tol=1e-6, abs_tol=scale) for n in a if n in b]
    return a.keys() == b.keys() and all(near)


def with_rejection(config: CorrectionConfig, name: str | None, threshold: Any) -> CorrectionConfig:
    return dataclasses.replace(
        config, rollout_rs=name, rollout_rs_threshold=threshold, rollout_rs_threshold_lower=None
    )


def without_rejection(config: CorrectionConfig) -> CorrectionConfig:
    return with_rejection(config, None, None)


def one_token_each(b: Batch) -> Batch:
    """Every token as a sequence of its own."""
    return Batch(*(tensor.reshape(-1, 1) for tensor in b.tensors))


def row_sums(values: Tensor) -> Tensor:
    return values.double().sum(dim=1)


# what no correction changes


@quick
@given(batches(strange=()), configs())
def test_equal_policies_need_no_correction(b: Batch, config: CorrectionConfig) -> None:
    """When both policies agree on every token, weights are 1, KL is 0, every sample counts fully and none is removed."""
    equal = dataclasses.replace(b, training=b.rollout)
    assume((b.mask != 0).any())
    correction = equal.correct(config)
    metrics = {name: x for name, x in correction.metrics.as_dict().items() if "@" not in name}
    ones = [n for n in metrics if n.endswith(RATIOS) or n == "rollout_is_batch_norm_factor"]
    zeros = [
        *(n for n in metrics if "kl" in n or "diff" in n or "chi2" in n),
        *(n for n in metrics if n.endswith(("_std", "_max_deviation", *REMOVED, *ESTIMATES))),
    ]
    assert len(ones) >= 8
    assert len(zeros) >= 9
    assert {n: metrics[n] for n in ones} == dict.fromkeys(ones, 1.0)
    assert {n: metrics[n] for n in zeros} == dict.fromkeys(zeros, 0.0)
    assert torch.equal(b.mask, correction.response_mask)
    if correction.weights is not None:
        assert torch.equal((b.mask != 0).to(correction.weights.dtype), correction.weights)


@quick
@given(batches(strange=FOREIGN), configs())
def test_correcting_leaves_what_came_in_as_it_was(b: Batch, config: CorrectionConfig) -> None:
    before = [tensor.clone() for tensor in b.tensors]
    b.correct(config).metrics.as_dict()
    for old, new in zip(before, b.tensors, strict=True):
        assert torch.equal(old.nan_to_num(7), new.nan_to_num(7))


@quick
@given(batches(strange=FOREIGN))
def test_without_a_configuration_nothing_is_changed(b: Batch) -> None:
    """Observing brings figures, but neither weights nor a figure of a feature that is off."""
    correction = b.correct()
    assert correction.weights is None
    assert torch.equal(b.mask, correction.response_mask)
    assert not [name for name in correction.metrics.as_dict() if name.startswith("rollout_")]


# bounds


@quick
@given(batches(), configs(levels=LEVELS))
@example(batch([[-19.0]]), TOKEN)  # 1 + (w - 1) is not w
def test_weights_stay_within_their_bounds(b: Batch, config: CorrectionConfig) -> None:
    config = dataclasses.replace(config, rollout_is_batch_normalize=False)
    weights = b.weights(config)
    lower, upper = (torch.tensor(x, dtype=weights.dtype) for x in (config.bounds.lower, config.bounds.upper))
    assert (weights <= upper).all()
    assert not weights[~b.counted].any()
    if config.rollout_is_mode == "truncate":
        assert ((weights > 0) == b.counted).all()
    else:
        assert ((weights == 0) | (weights >= lower)).all()


@quick
@given(batches(), configs())
@example(batch([[-19.0]]), TOKEN)
def test_a_mean_lies_between_its_extremes(b: Batch, config: CorrectionConfig) -> None:
    """At every level, of ratios, weights and what a rule of rejection looks at, in every group too."""
    metrics = b.correct(config).metrics.as_dict()
    means = 0
    for name, mean in metrics.items():
        figure, at, group = name.partition("@")
        low, high = (figure.removesuffix("_mean") + end + at + group for end in ("_min", "_max"))
        if figure.endswith("_mean") and low in metrics and high in metrics:
            assert metrics[low] <= mean <= metrics[high], name
            means += not group
    if b.counted.any():
        assert metrics["mismatch_k3_kl"] >= 0
        assert 0 <= metrics["ratio_eff_sample_size"] <= 1
        assert means == 2 + 2 * (config.rollout_is is not None) + 2 * len(config.rejections)


@quick
@given(batches(strange=FOREIGN), configs())
@example(batch([[math.inf, 6e38, 1e308, 800.0]], rollout=-3e38), SEQUENCE)
@example(Batch(torch.tensor([[3e38, -1.0]]), torch.tensor([[-3e38, -1.0]]), torch.ones(1, 2)), TOKEN)
def test_every_figure_is_finite_whatever_comes(b: Batch, config: CorrectionConfig) -> None:
    """NaN, infinities, numbers whose difference is infinite: counted as not finite, and left out."""
    correction = b.correct(config)
    assert {n: x for n, x in correction.metrics.as_dict().items() if not math.isfinite(x)} == {}
    assert correction.sequences.isfinite().all()
    assert correction.weights is None or correction.weights.isfinite().all()


# weights at their levels


@quick
@given(batches(strange=(), grouped=False))
def test_the_geometric_ratio_is_the_root_of_the_sequences(b: Batch) -> None:
    """Of as many tokens as it has: ratio^(1/T)."""
    assume((row_sums(b.log_ratio).abs() < 20).all())
    sequence, geometric = (
        b.weights(CorrectionConfig(rollout_is=level, rollout_is_threshold=UNBOUNDED)).double()
        for level in ("sequence", "geometric")
    )
    length = row_sums(b.counted).clamp(min=1)[:, None]
    assert torch.allclose(sequence ** (1 / length) * b.counted, geometric, rtol=1e-5, atol=0)


@quick
@given(batches(grouped=False), configs(levels=LEVELS))
def test_a_sequence_of_one_token_has_one_ratio_at_every_level(b: Batch, config: CorrectionConfig) -> None:
    """Weights, figures and what is rejected are the same at token, sequence and geometric level."""
    single = one_token_each(b)
    token, sequence, geometric = (
        single.correct(dataclasses.replace(with_rejection(config, level, 1.5), rollout_is=level))
        for level in LEVELS
    )
    for other in (sequence, geometric):
        assert torch.equal(token.weights, other.weights)
        assert torch.equal(token.response_mask, other.response_mask)
        assert same_figures(token, other)


@quick
@given(batches(grouped=False), st.sampled_from(["k1", "k2", "k3"]), st.sampled_from([1.1, 2.5]))
def test_the_options_agree_on_sequences_of_one_token(b: Batch, estimator: str, threshold: float) -> None:
    """A sum, a mean and a maximum of one number are that number."""
    single = one_token_each(b)
    masks = [
        single.kept(CorrectionConfig(rollout_rs=name, rollout_rs_threshold=threshold))
        for name in ESTIMATED
        if name.endswith(estimator)
    ]
    assert len(masks) >= 3
    assert all(torch.equal(masks[0], mask) for mask in masks)


@quick
@given(batches(), configs(levels=LEVELS))
def test_masking_and_truncation_agree_within_the_bounds(b: Batch, config: CorrectionConfig) -> None:
    """Outside of them a masked weight is 0, above them a truncated one is the bound; the mask is not touched by either."""
    bounds = config.bounds
    truncated, masked = (
        without_rejection(
            dataclasses.replace(
                config, rollout_is_mode=mode, rollout_is_threshold=bounds.upper,
                rollout_is_threshold_lower=bounds.lower, rollout_is_batch_normalize=False,
                rollout_token_veto_threshold=None,
            )
        )
        for mode in ("truncate", "mask")
    )  # fmt: skip
    weights = b.weights(truncated)
    lower, upper = (torch.tensor(x, dtype=weights.dtype) for x in (bounds.lower, bounds.upper))
    ratios = b.weights(dataclasses.replace(truncated, rollout_is_threshold=UNBOUNDED))
    inside = (ratios >= lower) & (ratios <= upper)
    assert torch.equal(weights, ratios.clamp(max=upper))
    assert torch.equal(b.weights(masked), ratios * inside)
    assert torch.equal(b.correct(masked).response_mask, b.mask)


@quick
@given(batches(), configs(levels=LEVELS))
def test_normalized_weights_have_the_mean_one(b: Batch, config: CorrectionConfig) -> None:
    """Over tokens, or over sequences where each has one weight; weights that all but vanish are left as they are."""
    plain, normalized = (
        b.weights(dataclasses.replace(config, rollout_is_batch_normalize=on)).double() for on in (False, True)
    )
    tokens = row_sums(b.counted)
    filled = tokens > 0
    assume(filled.any())

    def mean(weights: Tensor) -> float:
        if config.rollout_is == "token":
            return (weights.sum() / tokens.sum()).item()
        return (row_sums(weights) / tokens)[filled].mean().item()

    assume(not 0.5e-8 < mean(plain) < 2e-8)
    if mean(plain) > 1e-8:
        assert mean(normalized) == pytest.approx(1, rel=1e-5)
        assert torch.allclose(normalized * mean(plain), plain, rtol=1e-5, atol=0)
    else:
        assert torch.equal(plain, normalized)


# rejection and veto


@quick
@given(batches(), configs())
def test_rejection_and_veto_never_change_a_weight(b: Batch, config: CorrectionConfig) -> None:
    """Weights and mask do not know of each other."""
    lenient = dataclasses.replace(without_rejection(config), rollout_token_veto_threshold=None)
    strict, plain = b.correct(config), b.correct(lenient)
    assert torch.equal(b.mask, plain.response_mask)
    if plain.weights is not None:
        assert torch.equal(plain.weights, strict.weights)


@pytest.mark.parametrize("level", ["token", "sequence", "geometric"])
def test_normalised_weights_do_not_depend_on_what_else_is_measured(level: str) -> None:
    """To the last bit, in batches of all sizes: a sum does not know of the sums beside it."""
    config = CorrectionConfig(rollout_is=level, rollout_is_threshold=1.5, rollout_is_batch_normalize=True)
    more = dataclasses.replace(config, rollout_rs="token", rollout_rs_threshold=1.0011)
    generator = torch.Generator().manual_seed(0)
    for sequences in range(1, 400, 7):
        training = -torch.rand(sequences, 5, generator=generator, dtype=torch.float64)
        rollout = training + 0.3 * torch.randn(sequences, 5, generator=generator, dtype=torch.float64)
        mask = torch.rand(sequences, 5, generator=generator) > 0.4
        plain, strict = (correct(training, rollout, mask, one).weights for one in (config, more))
        assert torch.equal(plain, strict)


@quick
@given(batches(), configs())
def test_veto_only_removes_and_only_whole_sequences(b: Batch, config: CorrectionConfig) -> None:
    lenient = b.correct(dataclasses.replace(config, rollout_token_veto_threshold=None))
    strict = b.correct(dataclasses.replace(config, rollout_token_veto_threshold=0.1))
    gone = (strict.response_mask != lenient.response_mask).any(dim=1)
    assert (strict.response_mask[gone] == 0).all()
    assert torch.equal(lenient.response_mask[~gone], strict.response_mask[~gone])


@pytest.mark.parametrize("name", [*LEVELS, *ESTIMATED])
@given(b=batches(grouped=False), data=st.data())
@few
def test_widening_a_threshold_never_rejects_more(name: str, b: Batch, data: st.DataObject) -> None:
    """Neither of the bounds, for every mode and option."""
    above = sorted(data.draw(st.lists(st.floats(1, 100), min_size=2, max_size=2)))
    below = sorted(data.draw(st.lists(st.floats(0.01, 1), min_size=2, max_size=2)))
    if name.endswith(("k2", "k3")):
        narrow, wide = ({"rollout_rs_threshold": x / 10} for x in above)
    else:
        narrow, wide = (
            {"rollout_rs_threshold": upper, "rollout_rs_threshold_lower": lower}
            for upper, lower in zip(above, reversed(below), strict=True)
        )
    kept, kept_by_more = (b.kept(CorrectionConfig(rollout_rs=name, **bounds)) for bounds in (narrow, wide))
    assert not (kept & ~kept_by_more).any()
    assert not (kept & ~b.counted).any()


@quick
@given(batches(grouped=False), st.lists(st.sampled_from(ESTIMATED), min_size=2, max_size=4, unique=True))
def test_several_options_keep_what_each_of_them_keeps(b: Batch, names: list[str]) -> None:
    both = CorrectionConfig(rollout_rs=names, rollout_rs_threshold=1.3)
    each = [b.kept(CorrectionConfig(rollout_rs=name, rollout_rs_threshold=1.3)) for name in names]
    assert torch.equal(torch.stack(each).all(dim=0), b.kept(both))


@pytest.mark.parametrize(
    ("option", "mode", "ratios"),
    [
        ("token_k1", "token", lambda log_ratio: log_ratio),
        ("seq_sum_k1", "sequence", row_sums),
        ("seq_mean_k1", "geometric", lambda x: row_sums(x) / row_sums(x != 0).clamp(min=1)),
    ],
)
@given(b=batches(strange=(), grouped=False), bounds=st.sampled_from([(0.5, 2.0), (0.3, 1.2), (0.999, 1.003)]))
@few
def test_k1_rejects_what_the_seeds_mode_rejects(
    option: str, mode: str, ratios: Callable[[Tensor], Tensor], b: Batch, bounds: tuple[float, float]
) -> None:
    """Both hold the ratio within the same bounds, as long as no token saturates and nothing stands on a bound."""
    lower, upper = bounds
    assume((b.log_ratio.abs() <= 20).all())
    assume(all(((ratios(b.log_ratio) - math.log(bound)).abs() > 1e-4).all() for bound in bounds))
    by_text = CorrectionConfig(rollout_rs=option, rollout_rs_threshold=f"{lower}_{upper}")
    seed = CorrectionConfig(rollout_rs=mode, rollout_rs_threshold=upper, rollout_rs_threshold_lower=lower)
    assert torch.equal(b.kept(seed), b.kept(by_text))


@quick
@given(batches(strange=(), grouped=False), st.sampled_from([1e-4, 0.1, 0.7]))
def test_the_highest_k2_is_a_veto_to_both_sides(b: Batch, veto: float) -> None:
    """A token whose ratio is below 1e-4, or above 1e4, removes its sequence: half the square of ln 1e-4 is 42.4."""
    assume(((b.log_ratio.abs() + math.log(veto)).abs() > 1e-4).all())
    swapped = Batch(b.rollout, b.training, b.mask)
    config = CorrectionConfig(rollout_token_veto_threshold=veto)
    option = CorrectionConfig(rollout_rs="seq_max_k2", rollout_rs_threshold=math.log(veto) ** 2 / 2)
    assert torch.equal(b.kept(config) & swapped.kept(config), b.kept(option))


# what a batch is made of does not matter


@quick
@given(batches(), configs(), st.data())
def test_order_of_sequences_does_not_matter(b: Batch, config: CorrectionConfig, data: st.DataObject) -> None:
    order = torch.tensor(data.draw(st.permutations(range(len(b.mask)))), dtype=torch.int64)
    straight = b.correct(config, sample_ids=torch.arange(len(b.mask)))
    mixed = b.rows(order).correct(config, sample_ids=order)
    assert same_figures(straight, mixed)
    assert torch.equal(straight.response_mask[order], mixed.response_mask)
    assert torch.allclose(straight.sequences[order], mixed.sequences, rtol=1e-6, atol=1e-9)
    if straight.weights is not None:
        assert torch.allclose(straight.weights[order], mixed.weights, rtol=1e-6, atol=0)


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
    padded = Batch(training, rollout, torch.nn.functional.pad(b.mask, (0, more)), b.groups).correct(config)
    length = b.mask.shape[1]
    assert same_figures(plain, padded)
    assert torch.equal(plain.response_mask, padded.response_mask[:, :length])
    if plain.weights is not None:
        assert torch.allclose(plain.weights, padded.weights[:, :length], rtol=1e-6, atol=0)
        assert not padded.weights[:, length:].any()


@pytest.mark.parametrize("layout", LAYOUTS[1:])
@given(b=batches(), config=configs(), entropy=st.sampled_from([None, 0.7, math.nan]))
@quick
def test_layout_does_not_matter(
    layout: str, b: Batch, config: CorrectionConfig, entropy: float | None
) -> None:
    """A list of responses of different lengths, or all of them in one row, with holes and responses of no token."""
    assume(layout == "packed" or len(b.mask))  # an empty list has neither precision nor device
    entropies = None if entropy is None else torch.full(b.mask.shape, entropy)
    padded = b.correct(config, entropy=entropies)
    other = b.correct(config, entropy=entropies, layout=layout)
    assert same_figures(padded, other)
    assert torch.allclose(padded.sequences, other.sequences, rtol=1e-6, atol=1e-9)
    assert torch.equal(padded.response_mask, b.padded(other.response_mask, layout))
    assert (padded.weights is None) == (other.weights is None)
    if padded.weights is not None:
        assert torch.allclose(padded.weights, b.padded(other.weights, layout), rtol=1e-6, atol=0)


@quick
@given(batches(), configs(), st.lists(st.integers(0, 5), min_size=1, max_size=3).map(sorted))
def test_micro_batches_add_up_to_the_batch(b: Batch, config: CorrectionConfig, cuts: list[int]) -> None:
    """Statistics of two parts or more, empty ones too, merge into those of the whole, in whatever order."""
    edges = [0, *cuts, len(b.mask)]
    parts = [b.rows(slice(*at)).correct(config) for at in pairwise(edges)]
    whole = b.correct(config)
    for order in (parts, parts[::-1]):
        merged = order[0].statistics
        for part in order[1:]:
            merged = merged.merge(part.statistics)
        assert same_figures(whole, dataclasses.replace(whole, statistics=merged))


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


@quick
@given(configs(), st.integers(0, 3), st.integers(0, 4))
def test_a_batch_without_a_valid_token_has_counts_and_nothing_else(
    config: CorrectionConfig, count: int, length: int
) -> None:
    """A rank may get no data: it takes part all the same."""
    foreign = torch.full((count, length), math.nan)
    empty = Batch(foreign, foreign, torch.zeros(count, length)).correct(config)
    assert empty.metrics.as_dict() == {"n_tokens": 0, "n_sequences": count, "n_empty_sequences": count}
    assert not empty.response_mask.any()
    assert empty.weights is None or not empty.weights.any()


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


# what tells one fault from another


def figures(b: Batch) -> dict[str, float]:
    return b.correct().metrics.as_dict()


@quick
@given(batches())
def test_one_sequence_carries_all_of_its_mismatch(b: Batch) -> None:
    """And one of several at least its equal share of theirs; where there is none, nobody carries it."""
    metrics, name = figures(b), "mismatch_k3_seq_share_max"
    alone = [figures(b.rows([row])) for row in range(len(b.mask))]
    assert {one[name] for one in alone if name in one} <= {1.0}
    if metrics.get("mismatch_k3_kl"):
        assert 1 / len(alone) <= metrics[name] * (1 + 1e-12) <= 1 + 1e-12
    else:
        assert name not in metrics


def test_shares_of_equal_sequences_are_equal() -> None:
    assert figures(batch([[0.3, -0.2]] * 5))["mismatch_k3_seq_share_max"] == pytest.approx(1 / 5)
    assert figures(batch([[0.0, 0.0]] * 4 + [[0.3, -0.2]]))["mismatch_k3_seq_share_max"] == 1
    assert "mismatch_k3_seq_share_max" not in figures(batch([[0.0, 0.0]]))


@quick
@given(batches(strange=()), st.sampled_from([0.25, -2.0]))
def test_quarters_of_what_does_not_vary_are_all_of_it(b: Batch, log_ratio: float) -> None:
    """The same |log ratio| along each response; the first token is in the first quarter, and of short ones none in the last."""
    rollout = torch.zeros_like(b.rollout)
    metrics = figures(dataclasses.replace(b, rollout=rollout, training=rollout + log_ratio))
    places = (b.mask != 0) * torch.arange(1, b.mask.shape[1] + 1)
    spans = [row[row > 0] for row in places if row.any()]
    for quarter, longest in (("first", 1), ("last", 4)):
        name = f"logprob_abs_diff_{quarter}_quarter"
        assert (name in metrics) == any(row[-1] - row[0] + 1 >= longest for row in spans)
        assert (
            metrics.get(name, abs(log_ratio))
            == abs(log_ratio)
            == metrics.get("logprob_abs_diff_mean", abs(log_ratio))
        )


def test_a_mismatch_that_grows_along_the_response_is_seen() -> None:
    """Linear in the place, the first quarter has a seventh of the last one's, up to the size of one token."""
    metrics = figures(batch([[0.001 * (t + 0.5) for t in range(400)]] * 2))
    first, last = (metrics[f"logprob_abs_diff_{quarter}_quarter"] for quarter in ("first", "last"))
    assert (first, last) == (pytest.approx(0.05), pytest.approx(0.35))


@quick
@given(batches())
def test_the_median_lies_below_the_percentile_and_that_below_the_highest(b: Batch) -> None:
    if b.counted.any():
        metrics = figures(b)
        ends = [metrics[f"logprob_abs_diff_{name}"] for name in ("median", "p99", "max")]
        assert [0.0, *ends] == sorted([0.0, *ends])


@pytest.mark.parametrize("temperature", [0.5, 0.7, 1.0, 1.3])
def test_the_slope_is_the_temperature(temperature: float) -> None:
    """Of samples of one softmax, whose log-probs at another temperature are these, less a number that all share, over it."""
    random = torch.Generator().manual_seed(7)
    logits = 2 * torch.randn(50, generator=random, dtype=torch.float64)
    sampled, as_it_is = (logits / temperature).log_softmax(0), logits.log_softmax(0)
    ids = torch.multinomial(sampled.exp(), 600, replacement=True, generator=random).reshape(6, 100)
    b = Batch(as_it_is[ids], sampled[ids], torch.ones(6, 100))
    assert figures(b)["logprob_slope"] == pytest.approx(temperature, rel=1e-12)


@pytest.mark.parametrize("excess", [1e-2, 1e-5, 1e-8])
def test_a_slope_near_one_does_not_cancel(excess: float) -> None:
    """What it is off 1 is right to digits of its own."""
    rollout = -torch.linspace(0.1, 3, 200, dtype=torch.float64)[None, :]
    b = Batch(rollout + excess * rollout, rollout, torch.ones(rollout.shape))
    assert figures(b)["logprob_slope"] - 1 == pytest.approx(excess, rel=1e-6)


def test_the_slope_is_one_where_policies_agree() -> None:
    """Also where they differ by the same everywhere."""
    rollout = torch.tensor([[-0.1, -3.0, -0.7]])
    for shift in (0.0, 0.5):
        training = (rollout.double() + shift, rollout.double())
        assert figures(Batch(*training, torch.ones(1, 3)))["logprob_slope"] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rollout", [0.0, -1e-6, -0.7, -30.0, -3e37])
def test_there_is_no_slope_where_nothing_varies(rollout: float, dtype: torch.dtype) -> None:
    """Whatever is left of the variance of equal log-probs, or of those that differ in their last bit."""
    equal = torch.full((7, 101), rollout, dtype=torch.float32)
    last_bit = equal.clone()
    last_bit[::2] = torch.nextafter(equal, torch.ones(()))[::2]
    for one in (equal, last_bit):
        training = one + 0.1 * torch.rand(one.shape, generator=torch.Generator().manual_seed(7))
        assert "logprob_slope" not in figures(Batch(training.to(dtype), one.to(dtype), torch.ones(7, 101)))


def test_precise_log_probs_get_precise_weights() -> None:
    """float64 in, float64 out; anything less is computed in float32."""
    b = batch([[1e-9]])
    assert b.weights(TOKEN).item() == math.exp(1e-9)
    narrow = Batch(b.training.bfloat16(), b.rollout.half(), b.mask)
    assert narrow.weights(TOKEN).dtype == torch.float32


def test_metrics_can_be_made_of_statistics_alone() -> None:
    correction = batch([[0.1, 0.2]]).correct(TOKEN)
    assert Metrics(correction.statistics, TOKEN).as_dict() == correction.metrics.as_dict()


def test_a_token_that_is_not_finite_has_no_weight_that_could_be_out_of_bounds() -> None:
    """Only the first of these is masked by its weight, within bounds that leave out 1."""
    b = batch([[0.0, math.nan, 0.5]])
    config = CorrectionConfig(
        rollout_is="token", rollout_is_mode="mask", rollout_is_threshold=3, rollout_is_threshold_lower=1.5
    )
    metrics = b.correct(config).metrics.as_dict()
    assert (metrics["rollout_is_masked_fraction"], metrics["nonfinite_fraction"]) == (
        pytest.approx(1 / 3),
    ) * 2
