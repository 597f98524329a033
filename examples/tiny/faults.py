"""Real defects of a training setup, to be switched on for a while. Each is something that has happened to somebody.

Most have a strength, such as a temperature or a share of tokens; `Fault.strengths` are sensible ones, the usual one first.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from tiny.model import Policy
from tiny.rollout import RolloutEngine, Rollouts, Sampling, rounded
from tiny.task import END, PROMPT_LENGTH, RESPONSE_LENGTH, VOCABULARY

LAYER = "blocks.0.up.weight"
SCALED = "blocks.1.down.weight"
POSITIONS = "positions.weight"
HEAD = "head.weight"
PLACEHOLDER = VOCABULARY - 1
PLAIN = Sampling()


@dataclass(frozen=True)
class Moment:
    """How strong a fault is, and for how many steps it has gone on: 0 at its first."""

    strength: float = 0.0
    since: int = 0


Damage = Callable[[Rollouts, torch.Generator, Moment], Rollouts]
Sync = Callable[[RolloutEngine, Policy, Moment], None]
Draw = Callable[[Moment], Sampling]


def sync_all(engine: RolloutEngine, policy: Policy, _: Moment) -> None:
    """Bring every weight to the rollout engine, as it should be."""
    engine.sync(policy)


def sync_nothing(engine: RolloutEngine, policy: Policy, _: Moment) -> None:
    """Forget the weight sync."""


def sync_seldom(engine: RolloutEngine, policy: Policy, now: Moment) -> None:
    """Bring the weights every so many steps only."""
    if now.since % int(now.strength) == int(now.strength) - 1:
        engine.sync(policy)


def sync_all_but_one(engine: RolloutEngine, policy: Policy, _: Moment) -> None:
    """Miss one tensor, as a renamed parameter makes it happen."""
    engine.sync(policy, but=LAYER)


def sync_with_wrong_scales(engine: RolloutEngine, policy: Policy, now: Moment) -> None:
    """Use the wrong quantisation scale for one matrix."""
    engine.sync(policy)
    engine.policy.state_dict()[SCALED].mul_(now.strength)


def sync_with_drifting_scales(engine: RolloutEngine, policy: Policy, now: Moment) -> None:
    """Let the quantisation scale of one matrix be more wrong at each step."""
    engine.sync(policy)
    engine.policy.state_dict()[SCALED].mul_(1 + now.strength * (now.since + 1))


def sync_with_shifted_positions(engine: RolloutEngine, policy: Policy, _: Moment) -> None:
    """Count positions from one where the trainer counts from zero."""
    engine.sync(policy)
    positions = engine.policy.state_dict()[POSITIONS]
    positions.copy_(positions.roll(-1, dims=0))


def sync_with_stretched_positions(engine: RolloutEngine, policy: Policy, now: Moment) -> None:
    """Stretch positions, so that the further a token stands the more its own is off: another base of the encoding."""
    engine.sync(policy)
    positions = engine.policy.state_dict()[POSITIONS]
    off = now.strength * torch.arange(len(positions), dtype=positions.dtype)[:, None] / len(positions)
    off[:PROMPT_LENGTH] = 0
    positions.copy_((1 - off) * positions + off * positions.roll(-1, dims=0))


def sync_with_a_coarse_head(engine: RolloutEngine, policy: Policy, now: Moment) -> None:
    """Round the last matrix, which makes the logits, to a few bits."""
    engine.sync(policy)
    head = engine.policy.state_dict()[HEAD]
    head.copy_(rounded(head, int(now.strength)))


def shift(rollouts: Rollouts, _: torch.Generator, now: Moment) -> Rollouts:
    """Report the log-prob of another token: the one before, or with a negative strength one behind."""
    return replace(rollouts, logprobs=rollouts.logprobs.roll(int(now.strength), dims=1))


def retokenise(rollouts: Rollouts, generator: torch.Generator, now: Moment) -> Rollouts:
    """Change some of the ids on the way to the trainer, as decoding and encoding again does."""
    changed = torch.rand(rollouts.responses.shape, generator=generator) < now.strength
    others = torch.randint(0, 10, rollouts.responses.shape, generator=generator)
    return replace(rollouts, responses=torch.where(changed, others, rollouts.responses))


def insert_placeholders(rollouts: Rollouts, generator: torch.Generator, now: Moment) -> Rollouts:
    """Let the mask hold tokens that no policy wrote, as those of a tool or an image, in some of the sequences."""
    sequences = len(rollouts.responses)
    hit = torch.rand((sequences, 1), generator=generator) < now.strength
    place = torch.randint(0, RESPONSE_LENGTH - 1, (sequences, 1), generator=generator)
    here = hit & (torch.arange(RESPONSE_LENGTH) == place) & (rollouts.responses != END)
    return replace(rollouts, responses=rollouts.responses.masked_fill(here, PLACEHOLDER))


def swap_some(rollouts: Rollouts, _: torch.Generator, now: Moment) -> Rollouts:
    """Give some of the first and some of the last sequences each other's log-probs."""
    pairs = int(now.strength)
    there = torch.arange(len(rollouts.logprobs))
    there[:pairs], there[-pairs:] = there[-pairs:].clone(), there[:pairs].clone()
    return replace(rollouts, logprobs=rollouts.logprobs[there])


def lose_some(rollouts: Rollouts, generator: torch.Generator, now: Moment) -> Rollouts:
    """Pad missing log-probs with 0.0, silently."""
    lost = torch.rand(rollouts.logprobs.shape, generator=generator) < now.strength
    return replace(rollouts, logprobs=rollouts.logprobs.masked_fill(lost, 0.0))


def report_roughly(rollouts: Rollouts, _: torch.Generator, now: Moment) -> Rollouts:
    """Send log-probs as text with a few digits behind the point."""
    return replace(rollouts, logprobs=rollouts.logprobs.round(decimals=int(now.strength)))


def keep(rollouts: Rollouts, _: torch.Generator, __: Moment) -> Rollouts:
    """Damage nothing."""
    return rollouts


@dataclass(frozen=True)
class Fault:
    """What is done wrong, in words and in deeds, which figures tell of it, and what a diagnosis calls it."""

    what: str
    look_for: str
    cause: str
    strengths: tuple[float, ...] = (0.0,)
    sync: Sync = sync_all
    sampling: Draw = lambda _: PLAIN
    damage: Damage = keep

    @property
    def usual(self) -> float:
        """Return how strong it is unless one asks for another strength."""
        return self.strengths[0]


HEALTHY = Fault("nothing", "ESS near 1, KL near 0, perplexity ratio near 1", "")

FAULTS: dict[str, Fault] = {
    "stale": Fault(
        "rollout weights are not synced",
        "everything gets worse step by step",
        "stale_weights",
        sync=sync_nothing,
    ),
    "late": Fault(
        "rollout weights are synced every 12th step only",
        "KL grows and falls back like a saw",
        "stale_weights",
        (12, 8, 24),
        sync=sync_seldom,
    ),
    "layer": Fault(
        "one tensor is never synced",
        "KL grows slowly and never falls back",
        "unsynced_tensor",
        sync=sync_all_but_one,
    ),
    "scales": Fault(
        "one matrix has the wrong int8 scale",
        "KL and perplexity ratio jump",
        "precision",
        (1.5, 1.25, 2.0),
        sync=sync_with_wrong_scales,
    ),
    "drift": Fault(
        "the int8 scale of one matrix gets worse step by step",
        "KL grows slowly, and no sync helps",
        "precision",
        (0.01, 0.005, 0.02),
        sync=sync_with_drifting_scales,
    ),
    "cache": Fault(
        "keys and values are cached in 3 bits",
        "KL and perplexity ratio jump",
        "precision",
        (3, 4, 2),
        sampling=lambda now: Sampling(cache_bits=int(now.strength)),
    ),
    "positions": Fault(
        "the rollout engine counts positions from one",
        "the log-probs differ more towards the end of a response",
        "grows_with_position",
        sync=sync_with_shifted_positions,
    ),
    "stretched": Fault(
        "the rollout engine stretches positions",
        "the log-probs differ more towards the end of a response",
        "grows_with_position",
        (0.5, 0.3, 1.0),
        sync=sync_with_stretched_positions,
    ),
    "head": Fault(
        "the rollout engine has the last matrix in 4 bits",
        "KL and perplexity ratio jump",
        "precision",
        (4, 5, 3),
        sync=sync_with_a_coarse_head,
    ),
    "temperature": Fault(
        "samples at temperature 1.3",
        "surprise gap above 0, correlation stays high",
        "temperature",
        (1.3, 1.15, 1.6),
        sampling=lambda now: Sampling(temperature=now.strength),
    ),
    "cold": Fault(
        "samples at temperature 0.7",
        "surprise gap below 0, a long tail of ratios",
        "temperature",
        (0.7, 0.85, 0.5),
        sampling=lambda now: Sampling(temperature=now.strength),
    ),
    "coldraw": Fault(
        "samples at temperature 0.7, reports log-probs of 1.0",
        "surprise gap below 0, all else clean",
        "raw_logprobs",
        (0.7, 0.8, 0.5),
        sampling=lambda now: Sampling(temperature=now.strength, report_raw=True),
    ),
    "topk": Fault(
        "samples from the 3 likeliest tokens",
        "K1 above 0, K3 far below K1",
        "truncated_sampling",
        (3, 4, 2),
        sampling=lambda now: Sampling(top_k=int(now.strength)),
    ),
    "topp": Fault(
        "samples from the likeliest tokens that make up 90 %",
        "K1 above 0, K3 far below K1",
        "truncated_sampling",
        (0.9, 0.95, 0.8),
        sampling=lambda now: Sampling(top_p=now.strength),
    ),
    "minp": Fault(
        "samples from tokens at least 0.1 times as likely as the likeliest",
        "K1 above 0, K3 far below K1",
        "truncated_sampling",
        (0.1, 0.05, 0.3),
        sampling=lambda now: Sampling(min_p=now.strength),
    ),
    "offbyone": Fault(
        "log-probs are shifted by one token",
        "K1 near 0, K3 huge, correlation near 0",
        "misaligned_logprobs",
        (1, -1),
        damage=shift,
    ),
    "retokenised": Fault(
        "2 % of the ids differ in the trainer",
        "a few tokens are far off",
        "other_tokens",
        (0.02, 0.01, 0.05),
        damage=retokenise,
    ),
    "placeholders": Fault(
        "one sequence in ten has a token in its mask that no policy wrote",
        "a few tokens are all but impossible",
        "other_tokens",
        (0.1, 0.05, 0.3),
        damage=insert_placeholders,
    ),
    "wrongseq": Fault(
        "two sequences have each other's log-probs",
        "two sequences carry all of K3",
        "mixed_sequences",
        (1, 2, 4),
        damage=swap_some,
    ),
    "rough": Fault(
        "log-probs are sent with one digit behind the point",
        "the log-probs differ evenly and K1 stays near 0",
        "precision",
        (1,),
        damage=report_roughly,
    ),
    "zeros": Fault(
        "5 % of the log-probs are missing and read 0.0",
        "share of exact zeros rises",
        "missing_logprobs",
        (0.05, 0.03, 0.2),
        damage=lose_some,
    ),
}
