"""Policies that nearly agree, and those that hardly overlap, are measured right where the plain formula reads 0."""

import math

import pytest
import torch

from rolloutwatch_correction import CorrectionConfig, correct
from tests.correction.batches import Batch, batch

CANCELLING = (
    "mismatch_k3_kl",
    "chi2_token",
    "chi2_seq",
    "ratio_std",
    "seq_ratio_std",
    "logprob_abs_diff_mean",
)


def noisy(sigma: float, shape: tuple[int, int] = (16, 64)) -> Batch:
    """float32, as confident as a trained policy is, so that the log ratio is not drowned in its own rounding."""
    random = torch.Generator().manual_seed(7)
    rollout = -torch.rand(shape, generator=random) / 16
    training = rollout + sigma * torch.randn(shape, generator=random)
    return Batch(training, rollout, torch.ones(shape, dtype=torch.bool))


@pytest.mark.parametrize("delta", [1e-2, 1e-4, 1e-6, 1e-8])
def test_small_mismatch_has_a_closed_form(delta: float) -> None:
    """Log ratios of plus and minus delta, to leading order."""
    metrics = batch([[delta, -delta]], rollout=0.0).correct().metrics.as_dict()
    expected = {
        "mismatch_k3_kl": delta**2 / 2,
        "chi2_token": 2 * delta**2,
        "ratio_std": delta,
        "logprob_abs_diff_mean": delta,
    }
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, rel=1e-3, abs=0)


@pytest.mark.parametrize("sigma", [1e-2, 1e-4, 1e-5, 1e-6])
def test_small_mismatch_is_right_to_three_digits(sigma: float) -> None:
    b = noisy(sigma)
    actual, expected = b.correct().metrics.as_dict(), b.judge(CorrectionConfig()).metrics
    for name in CANCELLING:
        assert actual[name] == pytest.approx(expected[name], rel=1e-3, abs=0), name
    assert 1 - actual["ratio_eff_sample_size"] == pytest.approx(actual["ratio_std"] ** 2, rel=0.05, abs=0)


@pytest.mark.parametrize("sigma", [1e-4, 1e-5, 1e-6])
def test_the_plain_formula_would_have_read_nothing(sigma: float) -> None:
    """Otherwise the test above proves nothing."""
    b = noisy(sigma)
    log_ratio = b.training - b.rollout
    plain = (log_ratio.exp() - 1 - log_ratio).mean().item()
    assert plain != pytest.approx(b.correct().metrics.as_dict()["mismatch_k3_kl"], rel=0.01, abs=0)


def test_weights_that_nearly_agree_keep_their_spread() -> None:
    b, config = noisy(1e-4), CorrectionConfig(rollout_is="token")
    actual, expected = b.correct(config).metrics.as_dict(), b.judge(config).metrics
    assert actual["rollout_is_std"] == pytest.approx(expected["rollout_is_std"], rel=1e-3, abs=0)
    assert actual["rollout_is_seq_std"] == pytest.approx(expected["rollout_is_seq_std"], rel=1e-3, abs=0)


def test_sequences_that_nearly_vanish_do_not_look_healthy() -> None:
    """Long responses that drifted have ratios of 1e-9 to 1e-7; their ESS must not read 1, nor their spread 0."""
    total = torch.linspace(-19.5, -17, 16)
    training = torch.full((16, 50), -1.0) + total[:, None] / 50
    b = Batch(training, torch.full((16, 50), -1.0), torch.ones(16, 50))
    actual, expected = b.correct().metrics.as_dict(), b.judge(CorrectionConfig()).metrics
    assert actual["seq_ratio_eff_sample_size"] == pytest.approx(
        expected["seq_ratio_eff_sample_size"], rel=1e-6
    )
    assert actual["seq_ratio_std"] == pytest.approx(expected["seq_ratio_std"], rel=1e-6, abs=0)
    assert expected["seq_ratio_eff_sample_size"] < 0.7


def test_a_long_sequence_is_summed_precisely() -> None:
    """Large log ratios that cancel but for a little: float32 would lose that little in their sum."""
    noise = 10 * torch.randn((1, 4000), generator=torch.Generator().manual_seed(7))
    log_ratio = torch.cat([noise, -noise, torch.full((1, 100), -0.005)], dim=1)
    b = Batch(log_ratio, torch.zeros_like(log_ratio), torch.ones_like(log_ratio))
    weights = b.weights(CorrectionConfig(rollout_is="sequence"))
    assert weights[0, 0].item() == pytest.approx(math.exp(-0.5), rel=1e-7)


def every(size: float, count: int = 4001) -> Batch:
    """Sequences of one token each, in float32, whose log ratios are exactly what they are meant to be."""
    log_ratio = torch.linspace(-size, size, count)[:, None]
    return Batch(log_ratio, torch.zeros_like(log_ratio), torch.ones_like(log_ratio))


@pytest.mark.parametrize("level", ["token", "sequence", "geometric"])
def test_weights_are_right_to_the_last_digit_but_one(level: str) -> None:
    """Over all that a ratio can be, within 2e-6 of the exponential in float64."""
    b = every(19.9)
    weights = b.weights(CorrectionConfig(rollout_is=level, rollout_is_threshold=6e8))
    torch.testing.assert_close(weights.double(), b.training.double().exp(), rtol=2e-7, atol=0)


@pytest.mark.parametrize("level", ["sequence", "geometric"])
def test_weights_of_long_sequences_round_their_sum_once(level: str) -> None:
    """Of 100 000 tokens the sum is taken in float64: what is left is float32's rounding of a number below 20."""
    random = torch.Generator().manual_seed(7)
    log_ratio = 0.05 * torch.randn((2, 100_000), generator=random)
    b = Batch(log_ratio, torch.zeros_like(log_ratio), torch.ones_like(log_ratio))
    total = b.training.double().sum(dim=1)
    total = (total if level == "sequence" else total / 100_000).clamp(-20, 20)
    weights = b.weights(CorrectionConfig(rollout_is=level, rollout_is_threshold=6e8))[:, 0]
    torch.testing.assert_close(weights.double(), total.exp(), rtol=2e-6, atol=0)


@pytest.mark.parametrize("value", [50.0, -50.0, math.inf, -math.inf, math.nan, 3e38, -3e38])
@pytest.mark.parametrize("at", ["training", "rollout", "both"])
@pytest.mark.parametrize("mode", ["truncate", "mask"])
@pytest.mark.parametrize("level", ["token", "sequence", "geometric"])
def test_extreme_log_probs_are_survived_and_counted(level: str, mode: str, at: str, value: float) -> None:
    """Every figure is finite; what is no number weighs nothing and is counted, also where its neighbours are sound."""
    b = noisy(0.1, (4, 8))
    if at != "rollout":
        b.training[1, 3] = value
    if at != "training":
        b.rollout[1, 3] = value
    b.training[2, 5:], b.rollout[2, 5:], b.mask[2, 5:] = math.nan, math.inf, False
    config = CorrectionConfig(
        rollout_is=level, rollout_is_mode=mode, rollout_is_batch_normalize=True, rollout_rs="seq_mean_k3",
        rollout_rs_threshold=1e-3, rollout_token_veto_threshold=1e-4,
    )  # fmt: skip
    correction = b.correct(config)
    metrics = correction.metrics.as_dict()
    assert {name: x for name, x in metrics.items() if not math.isfinite(x)} == {}
    assert correction.sequences.isfinite().all()
    assert correction.weights.isfinite().all()
    if not math.isfinite(value):
        assert correction.weights[1, 3] == 0
        assert metrics["nonfinite_fraction"] == pytest.approx(1 / 29)
        assert not correction.response_mask[1].any()
    else:
        assert metrics["nonfinite_fraction"] == 0
        saturated = 0 if at == "both" else 1 / 29
        assert metrics["saturated_fraction"] == pytest.approx(saturated)
    assert not correction.weights[2, 5:].any()
    assert not correction.response_mask[2, 5:].any()


@pytest.mark.parametrize("narrow", [torch.bfloat16, torch.float16])
def test_half_precision_is_read_and_not_computed_in(narrow: torch.dtype) -> None:
    """The same numbers in float32 give the same outcome, to the bit."""
    b = noisy(0.3, (5, 40))
    half = Batch(b.training.to(narrow), b.rollout.to(narrow), b.mask)
    single = Batch(half.training.float(), half.rollout.float(), b.mask)
    for config in (
        CorrectionConfig(),
        CorrectionConfig(rollout_is="sequence", rollout_rs="token_k3", rollout_rs_threshold=0.1),
    ):
        one, other = half.correct(config), single.correct(config)
        assert one.metrics.as_dict() == other.metrics.as_dict()
        assert torch.equal(one.sequences, other.sequences)
        if one.weights is not None:
            assert torch.equal(one.weights, other.weights)


@pytest.mark.parametrize("which", ["training", "rollout"])
def test_one_precise_side_is_enough(which: str) -> None:
    """The other is what it is; the difference is taken in float64."""
    b = noisy(0.1, (3, 7))
    precise = [
        x.double() + (1e-12 if which == name else 0)
        for name, x in (("training", b.training), ("rollout", b.rollout))
    ]
    mixed = [
        x if which == name else x.float() for name, x in zip(("training", "rollout"), precise, strict=True)
    ]
    config = CorrectionConfig(rollout_is="token")
    assert torch.equal(Batch(*precise, b.mask).weights(config), Batch(*mixed, b.mask).weights(config))
    assert Batch(*mixed, b.mask).weights(config).dtype == torch.float64


@pytest.mark.parametrize("log_ratio", [0.0, 0.1, -0.3, 2.5, -15.0])
def test_what_does_not_vary_has_no_spread(log_ratio: float) -> None:
    """Not even rounding, over 30 000 tokens: std is 0 and every sample counts fully."""
    ratio = torch.full((3, 10_000), log_ratio)
    b = Batch(ratio, torch.zeros_like(ratio), torch.ones_like(ratio))
    config = CorrectionConfig(rollout_is="token", rollout_is_threshold="1e-8_20")
    metrics = b.correct(config).metrics.as_dict()
    for name in ("ratio", "rollout_is"):  # what is held within bounds here is the ratio itself
        assert metrics[f"{name}_eff_sample_size"] == pytest.approx(1, abs=1e-12)
        assert metrics[f"{name}_std"] <= 1e-6 * math.exp(log_ratio)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_correlation_of_two_tokens_is_one_however_little_they_vary(dtype: torch.dtype) -> None:
    """Also where the policies are far apart, and what one is beyond the other cancels to next to nothing."""
    for rollout, training in (
        ([0.0, -0.0625], [-2.0, -2.0625]),
        ([-0.00029, -0.00013], [-1.8726, -1.8701]),
        ([-1.0, -1.5], [-1.0001, -1.5]),
    ):
        batch = (torch.tensor([one], dtype=dtype) for one in (training, rollout))
        metrics = correct(*batch, torch.ones(1, 2)).metrics.as_dict()
        assert metrics["prob_pearson_corr"] == pytest.approx(1, abs=1e-7)


def test_quarters_are_told_apart_by_the_token_in_responses_of_millions() -> None:
    """Where four times the place is no longer a number of float32; the tokens on either side of each border stand out."""
    length, first = 2**22 + 7, 3
    log_ratio = torch.zeros(1, first + length)
    inside, outside = [-(-length // 4) - 1, -(-3 * length // 4)], [-(-length // 4), -(-3 * length // 4) - 1]
    log_ratio[0, [first + place for place in inside]] = torch.tensor([0.5, 0.25])
    log_ratio[0, [first + place for place in outside]] = 8.0
    mask = torch.arange(first + length)[None, :] >= first
    metrics = correct(log_ratio, torch.zeros_like(log_ratio), mask).metrics.as_dict()
    assert metrics["logprob_abs_diff_first_quarter"] * -(-length // 4) == pytest.approx(0.5)
    assert metrics["logprob_abs_diff_last_quarter"] * (length // 4) == pytest.approx(0.25)
