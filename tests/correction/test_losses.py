"""Losses against plain loops over tokens, numeric gradients, and the identities that their docstrings state.

Axes: B sequences, T response tokens.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_correction.correct import correct
from rolloutwatch_correction.losses import (
    AGGREGATIONS,
    aggregate,
    bypass_loss,
    decoupled_loss,
    ppo_clip_loss,
    reinforce_loss,
)
from tests.correction.test_no_sync import NoReadback

LOSS_TYPES = ("ppo_clip", "reinforce")
STRANGE = (math.nan, math.inf, -math.inf, 3e38, -3e38, 151643.0)

# away from the kinks at ln 0.8, ln 1.2, ln 3
LOG_RATIOS = (-1.5, -0.6, -0.1, 0.0, 0.08, 0.5, 1.5)


@dataclass(frozen=True)
class Case:
    """What a loss is called with, [B, T] each, float64; the last sequence is rejected as a whole."""

    now: Tensor
    old: Tensor
    advantages: Tensor
    mask: Tensor
    weights: Tensor

    def __getitem__(self, rows: slice) -> "Case":
        return Case(*(getattr(self, field.name)[rows] for field in dataclasses.fields(self)))

    def ppo(self, now: Tensor | None = None, **more: Any) -> Tensor:
        now = self.now if now is None else now
        return ppo_clip_loss(now, self.old, self.advantages, self.mask, **{"weights": self.weights, **more})

    def reinforce(self, now: Tensor | None = None, **more: Any) -> Tensor:
        now = self.now if now is None else now
        return reinforce_loss(now, self.advantages, self.mask, **{"weights": self.weights, **more})


def case(seed: int = 0, shape: tuple[int, int] = (5, 6)) -> Case:
    """Return a batch with every clip at work, holes in the mask, a weight of 0, and a sequence that is rejected."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)

    picked = torch.randint(len(LOG_RATIOS), shape, generator=generator)
    log_ratio = torch.tensor(LOG_RATIOS, dtype=torch.float64)[picked] + uniform(-0.01, 0.01)
    old = uniform(-3, -0.1)
    mask = (uniform(0, 1) < 0.8).long()
    mask[:, 0], mask[-1] = 1, 0
    weights = uniform(0.1, 2)
    weights[0, 0] = 0
    return Case(old + log_ratio, old, uniform(0.5, 1.5) * uniform(-1, 1).sign(), mask, weights)


def ppo_of_token(
    now: float, old: float, advantage: float, low: float = 0.2, high: float = 0.2, dual: float | None = None
) -> float:
    ratio = math.exp(max(-20.0, min(20.0, now - old)))
    gain = min(ratio * advantage, max(1 - low, min(1 + high, ratio)) * advantage)
    if dual is not None and advantage < 0:
        gain = max(gain, dual * advantage)
    return -gain


def reinforce_of_token(now: float, old: float, advantage: float) -> float:
    return -advantage * now


def judge(c: Case, of_token: Callable[..., float], aggregation: str, **clip: Any) -> float:
    """Return the loss by a loop over tokens; only a kept token is looked at."""
    kept: list[list[float]] = []
    for i in range(c.mask.shape[0]):
        losses = []
        for t in range(c.mask.shape[1]):
            if c.mask[i, t]:
                now, old, advantage = (x[i, t].item() for x in (c.now, c.old, c.advantages))
                losses.append(c.weights[i, t].item() * of_token(now, old, advantage, **clip))
        if losses:
            kept.append(losses)
    if not kept:
        return 0.0
    if aggregation == "token-mean":
        return sum(map(sum, kept)) / sum(map(len, kept))
    length = {"seq-mean-token-mean": len, "seq-mean-token-sum": lambda _: 1}
    divisor = length.get(aggregation, lambda _: c.mask.shape[1])
    return sum(sum(losses) / divisor(losses) for losses in kept) / len(kept)


def gradient(loss: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    at = at.detach().clone().requires_grad_()
    return torch.autograd.grad(loss(at), at)[0]


def close(one: Tensor, other: Tensor | float, tolerance: float = 1e-12) -> bool:
    return torch.allclose(one, torch.as_tensor(other, dtype=one.dtype), rtol=tolerance, atol=tolerance)


CLIPS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"clip_low": 0.3, "clip_high": 0.28}, {"low": 0.3, "high": 0.28}),
    ({"dual_clip": 3.0}, {"dual": 3.0}),
]


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("seed", range(5))
def test_losses_are_those_of_a_loop_over_tokens(seed: int, aggregation: str) -> None:
    c = case(seed)
    for ours, theirs in CLIPS:
        loss = c.ppo(aggregation=aggregation, **ours)
        assert loss.item() == pytest.approx(judge(c, ppo_of_token, aggregation, **theirs), rel=1e-12)
    loss = c.reinforce(aggregation=aggregation)
    assert loss.item() == pytest.approx(judge(c, reinforce_of_token, aggregation), rel=1e-12)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_gradients_are_those_of_a_loop_over_tokens(aggregation: str) -> None:
    """By central differences of the loop, which knows nothing of autograd."""
    c, step = case(3), 1e-6
    losses: list[tuple[Callable[..., Tensor], Callable[..., float], dict[str, Any], dict[str, Any]]] = [
        (c.ppo, ppo_of_token, *clip) for clip in CLIPS
    ] + [(c.reinforce, reinforce_of_token, {}, {})]
    for loss, of_token, ours, theirs in losses:
        ours_BT = gradient(lambda x, loss=loss, ours=ours: loss(x, aggregation=aggregation, **ours), c.now)
        theirs_BT = torch.zeros_like(ours_BT)
        for i, t in torch.cartesian_prod(*map(torch.arange, c.now.shape)).tolist():
            moved = []
            for sign in (1, -1):
                now = c.now.clone()
                now[i, t] += sign * step
                moved.append(judge(dataclasses.replace(c, now=now), of_token, aggregation, **theirs))
            theirs_BT[i, t] = (moved[0] - moved[1]) / (2 * step)
        assert close(ours_BT, theirs_BT, 1e-7)
        assert ours_BT.any()


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_gradients_are_those_that_numeric_differences_give(aggregation: str) -> None:
    c = case(1, (4, 3))
    now = c.now.clone().requires_grad_()
    for clip, _ in CLIPS:
        assert torch.autograd.gradcheck(
            lambda x, clip=clip: c.ppo(x, aggregation=aggregation, **clip), (now,)
        )
    assert torch.autograd.gradcheck(lambda x: c.reinforce(x, aggregation=aggregation), (now,))
    assert torch.autograd.gradcheck(lambda x: aggregate(x, c.mask, aggregation), (now,))


def test_a_batch_worked_out_by_hand() -> None:
    """Three kept tokens: one clipped above, one clipped below, one stopped by the dual clip."""
    now = torch.tensor([[2.0, 0.5, math.nan], [10.0, 1.0, 1.0]]).log()
    old = torch.zeros(2, 3)
    advantages = torch.tensor([[1.0, -1.0, 1.0], [-2.0, 1.0, 1.0]])
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    losses = {}
    for how in AGGREGATIONS:
        losses[how] = ppo_clip_loss(now, old, advantages, mask, dual_clip=3.0, aggregation=how).item()
    # -1.2, +0.8 and +6
    assert losses == {
        "token-mean": pytest.approx(5.6 / 3),
        "seq-mean-token-sum": pytest.approx((-0.4 + 6) / 2),
        "seq-mean-token-mean": pytest.approx((-0.2 + 6) / 2),
        "seq-mean-token-sum-norm": pytest.approx((-0.4 + 6) / 2 / 3),
    }


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_weights_of_one_change_nothing(aggregation: str) -> None:
    c = case()
    ones = torch.ones_like(c.weights)
    for loss in (c.ppo, c.reinforce):
        with_ones = gradient(lambda x, loss=loss: loss(x, weights=ones, aggregation=aggregation), c.now)
        without = gradient(lambda x, loss=loss: loss(x, weights=None, aggregation=aggregation), c.now)
        assert torch.equal(without, with_ones)
        assert torch.equal(
            loss(weights=None, aggregation=aggregation), loss(weights=ones, aggregation=aggregation)
        )


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("dual_clip", [None, 1.01])
def test_before_the_first_update_ppo_is_reinforce(aggregation: str, dual_clip: float | None) -> None:
    """On policy the ratio is 1: no clip is at work, and its gradient is that of the log-prob."""
    c = case()
    on_policy = dataclasses.replace(c, old=c.now)
    ppo = gradient(lambda x: on_policy.ppo(x, aggregation=aggregation, dual_clip=dual_clip), c.now)
    assert close(ppo, gradient(lambda x: c.reinforce(x, aggregation=aggregation), c.now))
    assert ppo.any()


def test_reinforce_weighted_by_the_ratio_is_ppo_without_a_clip() -> None:
    c = case()
    ratio = (c.now - c.old).exp()
    unclipped = gradient(lambda x: c.ppo(x, weights=None, clip_low=1.0, clip_high=1e9), c.now)
    assert close(unclipped, gradient(lambda x: c.reinforce(x, weights=ratio), c.now))


def test_twice_the_weight_or_the_advantage_is_twice_the_loss() -> None:
    c = case()
    for loss in ("ppo", "reinforce"):
        once = getattr(c, loss)()
        assert close(getattr(dataclasses.replace(c, weights=2 * c.weights), loss)(), 2 * once)
        assert close(getattr(dataclasses.replace(c, advantages=2 * c.advantages), loss)(), 2 * once)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("foreign", STRANGE)
def test_what_stands_outside_the_mask_does_not_matter(foreign: float, aggregation: str) -> None:
    """Neither to value nor to gradient, in none of the tensors, and the gradient there is 0 and nothing else."""
    c = case()
    outside = c.mask == 0
    names = ("now", "old", "advantages", "weights")
    dirty = Case(**{n: getattr(c, n).masked_fill(outside, foreign) for n in names}, mask=c.mask)
    for loss in ("ppo", "reinforce"):
        for clip in [{}, {"dual_clip": 3.0}] if loss == "ppo" else [{}]:
            more = {"aggregation": aggregation, **clip}
            assert torch.equal(getattr(c, loss)(**more), getattr(dirty, loss)(**more))
            clean_BT = gradient(lambda x, loss=loss, more=more: getattr(c, loss)(x, **more), c.now)
            with torch.autograd.set_detect_anomaly(True):  # raises on a NaN half way back, be it masked later
                dirty_BT = gradient(
                    lambda x, loss=loss, more=more: getattr(dirty, loss)(x, **more), dirty.now
                )
            assert torch.equal(clean_BT, dirty_BT)
            assert not dirty_BT[outside].any()
    per_token = gradient(lambda x: aggregate(x, c.mask, aggregation), dirty.now)
    assert torch.equal(per_token == 0, outside)


@pytest.mark.parametrize("strange", [math.nan, math.inf, -math.inf])
def test_a_token_of_no_weight_adds_nothing_be_it_no_number(strange: float) -> None:
    """`correct` gives a weight of 0 where log-probs are not finite; it stays in the denominator, as any other weight does."""
    c = case()
    now, old, advantages = c.now.clone(), c.old.clone(), c.advantages.clone()
    now[0, 0] = old[0, 0] = advantages[0, 0] = strange
    odd = dataclasses.replace(c, now=now, old=old, advantages=advantages)
    for loss in ("ppo", "reinforce"):
        assert torch.equal(getattr(c, loss)(), getattr(odd, loss)())
        gradient_BT = gradient(getattr(odd, loss), now)
        assert torch.equal(gradient(getattr(c, loss), c.now), gradient_BT)
        assert gradient_BT[0, 0] == 0


def test_a_valid_token_that_is_no_number_is_not_hidden() -> None:
    """A model that gives NaN is broken, and whoever watches the loss should see it."""
    c = case()
    now = c.now.clone()
    now[1, 0] = math.nan
    assert c.ppo(now).isnan()
    assert c.reinforce(now).isnan()


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("shape", [(5, 6), (0, 6), (5, 0), (0, 0)])
def test_a_batch_that_is_rejected_as_a_whole_has_no_loss_and_no_gradient(
    shape: tuple[int, int], aggregation: str
) -> None:
    """0, never NaN, and the optimiser's step is a step of 0."""
    nothing = torch.full(shape, math.nan)
    c = Case(nothing, nothing, nothing, torch.zeros(shape), nothing)
    counts: list[dict[str, Any]] = [
        {},
        {"tokens": 0, "sequences": 0},
        {"tokens": torch.tensor(0), "sequences": torch.tensor(0.0)},
        {"tokens": 7, "sequences": 3},
    ]
    for count in counts:
        for loss in (c.ppo, c.reinforce):
            more = {"aggregation": aggregation, **count}
            assert loss(**more).item() == 0
            gradient_BT = gradient(lambda x, loss=loss, more=more: loss(x, **more), nothing)
            assert torch.equal(gradient_BT, torch.zeros(shape))


@pytest.mark.parametrize("how", ["numbers", "tensors"])
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_micro_batches_add_up_to_the_batch(aggregation: str, how: str) -> None:
    """Losses and gradients; parts of different size, and one of which nothing is kept."""
    c = case(shape=(7, 6))
    tokens, sequences = (c.mask != 0).sum(), (c.mask != 0).any(dim=1).sum()
    counts: dict[str, Any] = {"tokens": tokens, "sequences": sequences}
    if how == "numbers":
        counts = {name: int(count) for name, count in counts.items()}
    parts = [c[0:1], c[1:4], c[4:6], c[6:7]]
    assert not parts[-1].mask.any()
    for loss in ("ppo", "reinforce"):
        whole = getattr(c, loss)(aggregation=aggregation)
        split = [getattr(part, loss)(aggregation=aggregation, **counts) for part in parts]
        assert close(torch.stack(split).sum(), whole)
        split_BT = [
            gradient(lambda x, p=p, loss=loss: getattr(p, loss)(x, aggregation=aggregation, **counts), p.now)
            for p in parts
        ]
        whole_BT = gradient(lambda x, loss=loss: getattr(c, loss)(x, aggregation=aggregation), c.now)
        assert close(torch.cat(split_BT), whole_BT)


def test_what_is_rejected_leaves_the_denominator_too() -> None:
    """Half of the sequences rejected is not half of the loss: verl divides by the count from before rejection."""
    mask = torch.tensor([[1, 1], [1, 1], [0, 0], [0, 0]])
    for aggregation in ("token-mean", "seq-mean-token-mean"):
        assert aggregate(torch.ones(4, 2), mask, aggregation).item() == 1


def test_padding_counts_in_one_aggregation_alone() -> None:
    c = case()
    padded = Case(
        *(
            torch.nn.functional.pad(getattr(c, f.name), (0, 3), value=0 if f.name == "mask" else -1)
            for f in dataclasses.fields(c)
        )
    )
    for aggregation in AGGREGATIONS:
        share = 6 / 9 if aggregation == "seq-mean-token-sum-norm" else 1
        assert close(padded.ppo(aggregation=aggregation), share * c.ppo(aggregation=aggregation))


@pytest.mark.parametrize("loss", ["ppo", "reinforce"])
def test_an_advantage_of_a_sequence_is_that_of_each_of_its_tokens(loss: str) -> None:
    c = case(shape=(4, 4))  # square, so that a mistaken axis would not be noticed by its length
    each = torch.tensor([1.0, -2.0, 0.5, math.nan], dtype=torch.float64)
    expected = getattr(dataclasses.replace(c, advantages=each[:, None].repeat(1, 4)), loss)()
    assert expected.isfinite()
    for advantages in (each, each[:, None]):
        assert torch.equal(expected, getattr(dataclasses.replace(c, advantages=advantages), loss)())


def test_nothing_but_the_policy_as_it_is_now_gets_a_gradient() -> None:
    c = case()
    old, advantages, weights = (x.clone().requires_grad_() for x in (c.old, c.advantages, c.weights))
    now = c.now.clone().requires_grad_()
    dressed = Case(now, old, advantages, c.mask, weights)
    (dressed.ppo() + dressed.reinforce()).backward()
    assert now.grad is not None
    assert (old.grad, advantages.grad, weights.grad) == (None, None, None)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float32, torch.bfloat16])
def test_every_kind_of_mask_means_the_same(dtype: torch.dtype) -> None:
    c = case()
    assert torch.equal(c.ppo(), dataclasses.replace(c, mask=c.mask.to(dtype)).ppo())
    assert torch.equal(c.reinforce(), dataclasses.replace(c, mask=3 * c.mask.to(dtype)).reinforce())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_narrow_log_probs_are_widened_before_they_are_subtracted(dtype: torch.dtype) -> None:
    c = case()
    narrow = dataclasses.replace(c, now=c.now.to(dtype), old=c.old.to(dtype))
    wide = dataclasses.replace(narrow, now=narrow.now.float(), old=narrow.old.float())
    loss, gradient_BT = narrow.ppo(), gradient(narrow.ppo, narrow.now)
    assert (loss.dtype, gradient_BT.dtype) == (torch.float32, dtype)
    assert torch.equal(loss, wide.ppo())
    assert c.ppo().dtype == torch.float64
    assert c.ppo(weights=c.weights.float()).dtype == torch.float64
    assert narrow.ppo(tokens=torch.tensor(7.0, dtype=torch.float64)).dtype == torch.float32


def test_extreme_ratios_leave_the_loss_finite() -> None:
    """The log ratio is held within +-20, as verl does; where it is held, no gradient flows."""
    now, old = torch.tensor([[-1.0, -500.0, -0.5]]), torch.tensor([[-500.0, -1.0, -0.5]])
    gradient_BT = gradient(lambda x: ppo_clip_loss(x, old, -torch.ones(1), torch.ones(1, 3)), now)
    assert ppo_clip_loss(now, old, -torch.ones(1), torch.ones(1, 3)).isfinite()
    assert (gradient_BT != 0).tolist() == [[False, False, True]]


# --- by configuration -------------------------------------------------------------------------------------------------


def config(loss_type: str, *, bypass: bool, **more: Any) -> CorrectionConfig:
    return CorrectionConfig(**{"rollout_is": "token", "bypass_mode": bypass, "loss_type": loss_type, **more})


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_decoupled_is_the_loss_against_the_training_policy_times_the_weights(
    loss_type: str, aggregation: str
) -> None:
    c = case()
    rollout = c.old + 0.3 * torch.sin(torch.arange(30.0, dtype=torch.float64)).reshape(5, 6)
    asked = config(loss_type, bypass=False, rollout_token_veto_threshold=1e-4)
    correction = correct(c.old, rollout, c.mask, asked)
    assert correction.weights is not None
    loss = decoupled_loss(
        c.now, c.old, c.advantages, correction.response_mask, asked,
        weights=correction.weights, aggregation=aggregation, dual_clip=3.0,
    )  # fmt: skip
    weighted = dataclasses.replace(c, weights=correction.weights, mask=correction.response_mask)
    if loss_type == "ppo_clip":
        expected = judge(weighted, ppo_of_token, aggregation, dual=3.0)
    else:
        expected = judge(weighted, reinforce_of_token, aggregation)
    assert loss.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_bypass_ppo_takes_the_mask_alone_and_bypass_reinforce_the_weights_too(aggregation: str) -> None:
    """The ratio of PPO is already now / rollout: weights would count it twice."""
    c = case()
    rollout = c.old.clone()
    rollout[1, 0] = c.now[1, 0] + 12  # vetoed
    for loss_type in LOSS_TYPES:
        asked = config(loss_type, bypass=True, rollout_token_veto_threshold=1e-4)
        loss, correction = bypass_loss(c.now, rollout, c.advantages, c.mask, asked, aggregation=aggregation)
        assert not correction.response_mask[1].any()
        assert correction.response_mask.any()
        assert correction.weights is not None
        kept = dataclasses.replace(c, old=rollout, mask=correction.response_mask)
        if loss_type == "ppo_clip":
            plain = dataclasses.replace(kept, weights=torch.ones_like(c.weights))
            expected = judge(plain, ppo_of_token, aggregation)
        else:
            weighted = dataclasses.replace(kept, weights=correction.weights)
            expected = judge(weighted, reinforce_of_token, aggregation)
        assert loss.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_clips_and_counts_reach_the_loss_that_is_chosen(aggregation: str) -> None:
    c = case()
    counts: dict[str, Any] = {"aggregation": aggregation, "tokens": 70, "sequences": 30}
    clip: dict[str, Any] = {"clip_low": 0.05, "clip_high": 0.6, "dual_clip": 1.1}
    losses = {"ppo_clip": c.ppo(**counts, **clip), "reinforce": c.reinforce(**counts)}
    ones = dataclasses.replace(c, weights=torch.ones_like(c.weights))
    plain = {"ppo_clip": ones.ppo(**counts, **clip), "reinforce": ones.reinforce(**counts)}
    for loss_type in LOSS_TYPES:
        four = (c.now, c.old, c.advantages, c.mask)
        asked = config(loss_type, bypass=False)
        assert torch.equal(
            losses[loss_type], decoupled_loss(*four, asked, weights=c.weights, **counts, **clip)
        )
        asked = config(loss_type, bypass=True, rollout_is=None)
        assert torch.equal(plain[loss_type], bypass_loss(*four, asked, **counts, **clip)[0])


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_bypass_is_decoupled_while_the_policy_is_still_the_training_policy(level: str) -> None:
    """For REINFORCE always; for PPO as long as neither clip nor truncation is at work."""
    c = case()
    rollout = c.now + 0.02 * torch.sin(torch.arange(30.0, dtype=torch.float64)).reshape(5, 6)
    for loss_type in LOSS_TYPES if level == "token" else ("reinforce",):
        bypassing = config(loss_type, bypass=True, rollout_is=level)
        decoupled = dataclasses.replace(bypassing, bypass_mode=False)
        correction = correct(c.now, rollout, c.mask, decoupled)
        mask, weights = correction.response_mask, correction.weights
        one = gradient(lambda x, k=bypassing: bypass_loss(x, rollout, c.advantages, c.mask, k)[0], c.now)
        other = gradient(
            lambda x, k=decoupled, m=mask, w=weights: decoupled_loss(x, c.now, c.advantages, m, k, weights=w),
            c.now,
        )
        assert one.any()
        assert close(one, other)


def test_bypass_returns_the_correction_that_it_made() -> None:
    c = case()
    asked = config("reinforce", bypass=True)
    entropy = torch.tensor(0.5, dtype=torch.float64)
    now = c.now.clone().requires_grad_()
    _, ours = bypass_loss(now, c.old, c.advantages, c.mask, asked, training_entropy=entropy)
    theirs = correct(c.now, c.old, c.mask, asked, training_entropy=entropy)
    assert ours.metrics.as_dict() == theirs.metrics.as_dict()
    assert "surprise_gap" in ours.metrics.as_dict()
    assert ours.weights is not None
    assert theirs.weights is not None
    assert torch.equal(ours.weights, theirs.weights)
    assert not ours.weights.requires_grad


@pytest.mark.parametrize("rollout_is", [None, "token"])
@pytest.mark.parametrize("loss_type", LOSS_TYPES)
@pytest.mark.parametrize("strange", [math.nan, math.inf, -math.inf])
def test_a_sampler_that_reports_no_number_does_not_spoil_the_batch(
    strange: float, loss_type: str, rollout_is: str | None
) -> None:
    """Where the ratio is unknown nothing is learnt, and the other tokens are learnt from as ever."""
    c = case()
    rollout = c.old.clone()
    rollout[1, 0] = strange
    asked = config(loss_type, bypass=True, rollout_is=rollout_is)
    gradient_BT = gradient(lambda x: bypass_loss(x, rollout, c.advantages, c.mask, asked)[0], c.now)
    clean_BT = gradient(lambda x: bypass_loss(x, c.old, c.advantages, c.mask, asked)[0], c.now)
    clean_BT[1, 0] = 0
    assert torch.equal(clean_BT, gradient_BT)


@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_micro_batches_in_bypass_mode_are_divided_at_the_end(loss_type: str) -> None:
    """What is kept is known only after the last of them."""
    c = case(shape=(7, 6))
    rollout = c.old.clone()
    rollout[1, 0] = c.now[1, 0] + 12  # vetoed
    asked = config(loss_type, bypass=True, rollout_token_veto_threshold=1e-4)
    whole = gradient(lambda x: bypass_loss(x, rollout, c.advantages, c.mask, asked)[0], c.now)
    gradients, kept = [], 0
    for rows in (slice(0, 3), slice(3, 4), slice(4, 7)):
        now = c.now[rows].clone().requires_grad_()
        loss, correction = bypass_loss(now, rollout[rows], c.advantages[rows], c.mask[rows], asked, tokens=1)
        gradients.append(torch.autograd.grad(loss, now)[0])
        kept += int((correction.response_mask != 0).sum())
    assert kept < int(c.mask.sum())
    assert close(torch.cat(gradients) / kept, whole)


# --- where it runs ----------------------------------------------------------------------------------------------------


def on(device: str) -> Case:
    return Case(*(getattr(case(), field.name).to(device) for field in dataclasses.fields(Case)))


def forward_and_backward(c: Case) -> Tensor:
    """Return the gradient of every loss together."""
    now = c.now.float().requires_grad_()
    tokens, sequences = (c.mask != 0).sum(), (c.mask != 0).any(dim=1).sum()
    losses = [
        loss(now, aggregation=aggregation, tokens=tokens, sequences=sequences, **clip)
        for aggregation in AGGREGATIONS
        for loss, clip in ((c.ppo, {"dual_clip": 3.0}), (c.reinforce, {}))
    ]
    for loss_type in LOSS_TYPES:
        losses.append(bypass_loss(now, c.old, c.advantages[:, 0], c.mask, config(loss_type, bypass=True))[0])
        asked = config(loss_type, bypass=False)
        losses.append(decoupled_loss(now, c.old, c.advantages, c.mask, asked, weights=c.weights))
    return torch.autograd.grad(torch.stack(losses).sum(), now)[0]


def test_nothing_is_read_back() -> None:
    """Neither by the loss nor by its gradient does the host wait for the device."""
    c = on("cpu")
    with NoReadback():
        gradient_BT = forward_and_backward(c)
    assert gradient_BT.isfinite().all()


def test_it_runs_where_tensors_have_no_values() -> None:
    assert forward_and_backward(on("meta")).device.type == "meta"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_not_waited_for() -> None:
    c = on("cuda")
    forward_and_backward(c)  # what is set up once may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        gradient_BT = forward_and_backward(c)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert close(gradient_BT.cpu(), forward_and_backward(on("cpu")), 1e-6)


def compiles(function: Callable[..., Tensor], at: Tensor, *others: list[Any]) -> None:
    """Fail unless value and gradient come out of one graph as they come without a compiler."""
    torch.compiler.reset()
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    for other in others:
        assert close(compiled(at, *other), function(at, *other))
        eager_BT = gradient(lambda x, other=other: function(x, *other), at)
        assert close(gradient(lambda x, other=other: compiled(x, *other), at), eager_BT)


def test_losses_compile_as_one_graph() -> None:
    """Clips and counts that change from step to step included."""
    c = case()

    def losses(now: Tensor, clip_high: float, tokens: Any, sequences: int) -> Tensor:
        ppo = c.ppo(now, clip_high=clip_high, dual_clip=3.0, tokens=tokens)
        return ppo + c.reinforce(now, aggregation="seq-mean-token-mean", sequences=sequences)

    compiles(losses, c.now, [0.2, torch.tensor(20), 4], [0.28, torch.tensor(0), 5], [0.3, 7, 6])


@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_bypass_compiles_as_one_graph_with_its_correction(loss_type: str) -> None:
    c, asked = case(), config(loss_type, bypass=True)
    compiles(lambda now: bypass_loss(now, c.old, c.advantages, c.mask, asked)[0], c.now, [])


# --- what is refused --------------------------------------------------------------------------------------------------

LOGPROBS = torch.zeros(8, 512)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logprobs": torch.zeros(512)}, r"logprobs has shape \(512,\): expected two dimensions.*Pad"),
        ({"logprobs": [torch.zeros(3)]}, r"logprobs is a list: expected a torch.Tensor of shape \[batch.*Pad"),
        ({"logprobs": LOGPROBS.long()}, r"logprobs is of torch.int64: expected a floating-point type"),
        (
            {"old_logprobs": torch.zeros(8, 513)},
            r"old_logprobs has shape \(8, 513\) but logprobs has \(8, 512\): expected the same.*drop",
        ),
        ({"old_logprobs": None}, r"old_logprobs is a NoneType: expected a torch.Tensor"),
        ({"response_mask": torch.ones(8, 1)}, r"response_mask has shape \(8, 1\) but logprobs has"),
        ({"response_mask": LOGPROBS.cfloat()}, r"response_mask is of torch.complex64: expected bool, integers"),
        ({"response_mask": LOGPROBS.to("meta")}, r"response_mask is on meta but logprobs is on cpu.*move it"),
        ({"weights": torch.ones(8)}, r"weights has shape \(8,\): expected two dimensions"),
        ({"weights": 1.0}, r"weights is a float: expected a torch.Tensor"),
        (
            {"advantages": torch.ones(512)},
            r"advantages has shape \(512,\) but logprobs has \(8, 512\): expected the same, or \(8,\) or \(8, 1\)",
        ),
        ({"advantages": 1.0}, r"advantages is a float: expected a torch.Tensor, \[B, T\], or \[B\]"),
        ({"advantages": LOGPROBS.cfloat()}, r"advantages is of torch.complex64: expected floats or integers"),
        ({"advantages": LOGPROBS.to("meta")}, r"advantages is on meta but logprobs is on cpu"),
        ({"aggregation": "token_mean"}, r"aggregation is 'token_mean': expected one of.*Did you mean 'token-mean'"),
        ({"aggregation": "mean-of-means!"}, r"expected one of token-mean, seq-mean-token-sum, "),
        ({"aggregation": None}, r"aggregation is None: expected one of token-mean"),
        ({"tokens": -1}, r"tokens is -1: expected what the whole batch keeps, a number from 0"),
        ({"tokens": math.nan}, r"tokens is nan: expected what the whole batch keeps"),
        ({"tokens": True}, r"tokens is True: expected what the whole batch keeps"),
        ({"tokens": "7"}, r"tokens is '7': expected what the whole batch keeps"),
        ({"tokens": torch.ones(8)}, r"tokens has shape \(8,\): expected a number, or a tensor of one. Give the sum"),
        (
            {"aggregation": "seq-mean-token-sum", "tokens": 7},
            r"tokens came but 'seq-mean-token-sum' divides by sequences: expected sequences of the whole batch. Give",
        ),
        ({"sequences": 7}, r"sequences came but 'token-mean' divides by tokens.*Give tokens, or leave out sequences"),
        ({"clip_low": 1.2}, r"clip_low is 1.2: expected 0 to 1; the ratio"),
        ({"clip_low": -0.1}, r"clip_low is -0.1: expected 0 to 1"),
        ({"clip_high": math.nan}, r"clip_high is nan: expected 0 or more"),
        ({"clip_high": math.inf}, r"clip_high is inf: expected 0 or more"),
        ({"clip_high": "0.2"}, r"clip_high is '0.2': expected 0 or more"),
        ({"dual_clip": 1.0}, r"dual_clip is 1.0: expected more than 1 such as 3.0, or None"),
        ({"dual_clip": True}, r"dual_clip is True: expected more than 1"),
    ],
)  # fmt: skip
def test_calls_that_cannot_be(change: dict[str, Any], message: str) -> None:
    names = ("logprobs", "old_logprobs", "advantages", "response_mask")
    good: dict[str, Any] = dict.fromkeys(names, LOGPROBS)
    with pytest.raises(ValueError, match=message):
        ppo_clip_loss(**(good | change))


def test_a_mode_that_was_not_asked_for_is_refused() -> None:
    """verl reads the configuration, and takes the other loss without a word."""
    four = (LOGPROBS,) * 4
    with pytest.raises(
        ValueError, match=r"bypass_mode is true: expected false for decoupled_loss. Call bypass_"
    ):
        decoupled_loss(*four, config("ppo_clip", bypass=True), weights=LOGPROBS)
    with pytest.raises(
        ValueError, match=r"bypass_mode is false: expected true for bypass_loss. Call decoupled_"
    ):
        bypass_loss(*four, config("ppo_clip", bypass=False))
    with pytest.raises(
        ValueError, match=r"weights is None but rollout_is is 'token': expected the weights of"
    ):
        decoupled_loss(*four, config("ppo_clip", bypass=False))
    with pytest.raises(ValueError, match=r"training_logprobs has shape \(8, 3\) but logprobs has \(8, 512\)"):
        decoupled_loss(
            LOGPROBS, torch.ones(8, 3), LOGPROBS, LOGPROBS,
            config("reinforce", bypass=False), weights=LOGPROBS,
        )  # fmt: skip
