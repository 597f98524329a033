"""Policies that nearly agree, and those that hardly overlap, are measured right where the plain formula reads 0."""

import math

import pytest
import torch

from rolloutwatch_correction import CorrectionConfig
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
