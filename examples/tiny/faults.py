"""Real defects of a training setup, to be switched on for a while. Each is something that has happened to somebody."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from tiny.model import Policy
from tiny.rollout import RolloutEngine, Rollouts, Sampling

Damage = Callable[[Rollouts, torch.Generator], Rollouts]
Sync = Callable[[RolloutEngine, Policy], None]

LAYER = "blocks.0.up.weight"
SCALED = "blocks.1.down.weight"
PLAIN = Sampling()


def sync_all(engine: RolloutEngine, policy: Policy) -> None:
    """Bring every weight to the rollout engine, as it should be."""
    engine.sync(policy)


def sync_nothing(engine: RolloutEngine, policy: Policy) -> None:
    """Forget the weight sync."""


def sync_all_but_one(engine: RolloutEngine, policy: Policy) -> None:
    """Miss one tensor, as a renamed parameter makes it happen."""
    engine.sync(policy, but=LAYER)


def sync_with_wrong_scales(engine: RolloutEngine, policy: Policy) -> None:
    """Use the wrong quantisation scale for one matrix."""
    engine.sync(policy)
    engine.policy.state_dict()[SCALED].mul_(1.5)


def shift_by_one(rollouts: Rollouts, _: torch.Generator) -> Rollouts:
    """Report the log-prob of the token before."""
    return replace(rollouts, logprobs=rollouts.logprobs.roll(1, dims=1))


def retokenise(rollouts: Rollouts, generator: torch.Generator) -> Rollouts:
    """Change 2 % of the ids on the way to the trainer, as decoding and encoding again does."""
    changed = torch.rand(rollouts.responses.shape, generator=generator) < 0.02
    others = torch.randint(0, 10, rollouts.responses.shape, generator=generator)
    return replace(rollouts, responses=torch.where(changed, others, rollouts.responses))


def swap_a_pair(rollouts: Rollouts, _: torch.Generator) -> Rollouts:
    """Give the first and the last sequence each other's log-probs."""
    logprobs = rollouts.logprobs.clone()
    logprobs[[0, -1]] = rollouts.logprobs[[-1, 0]]
    return replace(rollouts, logprobs=logprobs)


def lose_some(rollouts: Rollouts, generator: torch.Generator) -> Rollouts:
    """Pad missing log-probs with 0.0, silently."""
    lost = torch.rand(rollouts.logprobs.shape, generator=generator) < 0.05
    return replace(rollouts, logprobs=rollouts.logprobs.masked_fill(lost, 0.0))


def keep(rollouts: Rollouts, _: torch.Generator) -> Rollouts:
    """Damage nothing."""
    return rollouts


@dataclass(frozen=True)
class Fault:
    """What is done wrong, in words and in deeds, and which figures tell of it."""

    what: str
    look_for: str
    sync: Sync = sync_all
    sampling: Sampling = PLAIN
    damage: Damage = keep


HEALTHY = Fault("nothing", "ESS near 1, KL near 0, perplexity ratio near 1")

FAULTS: dict[str, Fault] = {
    "stale": Fault("rollout weights are not synced", "everything gets worse step by step", sync=sync_nothing),
    "layer": Fault(
        "one tensor is never synced", "KL grows slowly and never falls back", sync=sync_all_but_one
    ),
    "scales": Fault(
        "one matrix has the wrong int8 scale", "KL and perplexity ratio jump", sync=sync_with_wrong_scales
    ),
    "temperature": Fault(
        "samples at temperature 1.3",
        "surprise gap above 0, correlation stays high",
        sampling=Sampling(temperature=1.3),
    ),
    "cold": Fault(
        "samples at temperature 0.7",
        "surprise gap below 0, a long tail of ratios",
        sampling=Sampling(temperature=0.7),
    ),
    "coldraw": Fault(
        "samples at temperature 0.7, reports log-probs of 1.0",
        "surprise gap below 0, all else clean",
        sampling=Sampling(temperature=0.7, report_raw=True),
    ),
    "topk": Fault(
        "samples from the 3 likeliest tokens", "K1 above 0, K3 far below K1", sampling=Sampling(top_k=3)
    ),
    "offbyone": Fault(
        "log-probs are shifted by one token", "K1 near 0, K3 huge, correlation near 0", damage=shift_by_one
    ),
    "retokenised": Fault(
        "2 % of the ids differ in the trainer", "a few tokens are far off", damage=retokenise
    ),
    "wrongseq": Fault(
        "two sequences have each other's log-probs", "two sequences carry all of K3", damage=swap_a_pair
    ),
    "zeros": Fault(
        "5 % of the log-probs are missing and read 0.0", "share of exact zeros rises", damage=lose_some
    ),
}
