"""The rollout engine: a copy of the policy in another precision, with a sampler and log-probs of its own.

As in a real setup (vLLM in bf16 or int8 beside a trainer in fp32) the copy computes almost, but not quite, what the trainer does.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from tiny.model import Cache, Policy
from tiny.task import RESPONSE_LENGTH, mask_of

PRECISIONS = {"bf16": torch.bfloat16, "int8": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn, and whether reported log-probs are those of the distribution drawn from."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    report_raw: bool = False
    cache_bits: int = 0  # of keys and values, 0 for those of the engine's own precision


@dataclass(frozen=True)
class Rollouts:
    """Responses of one step: [B, RESPONSE_LENGTH] each."""

    prompts: Tensor
    responses: Tensor
    logprobs: Tensor
    mask: Tensor


class RolloutEngine:
    """Generates with its own copy of the weights, which is as new as the last `sync`; `version` counts these."""

    def __init__(self, policy: Policy, precision: str) -> None:
        self.version = -1
        self.precision = precision
        self.policy = copy.deepcopy(policy).to(PRECISIONS[precision]).requires_grad_(False)
        self.sync(policy)

    @torch.no_grad()
    def sync(self, policy: Policy, *, but: str = "") -> None:
        """Take over the weights of a policy, all `but` the one of a name."""
        self.version += 1
        own = self.policy.state_dict()
        for name, weight in policy.state_dict().items():
            if name != but:
                quantised = self.precision == "int8" and weight.ndim == 2
                own[name].copy_(quantise(weight) if quantised else weight)

    @torch.no_grad()
    def generate(self, prompts: Tensor, sampling: Sampling, generator: torch.Generator) -> Rollouts:
        """Draw a response for each prompt, one token at a time."""
        tokens: list[Tensor] = []
        reported: list[Tensor] = []
        cache: Cache | None = None
        feed = prompts
        for _ in range(RESPONSE_LENGTH):
            logits, cache = self.policy(feed, cache)
            raw = logits[:, -1].float().log_softmax(dim=-1)
            drawn_from = process(raw, sampling)
            if sampling.cache_bits:
                cache = [(rounded(k, sampling.cache_bits), rounded(v, sampling.cache_bits)) for k, v in cache]
            token = torch.multinomial(drawn_from.exp(), 1, generator=generator)
            tokens.append(token)
            reported.append((raw if sampling.report_raw else drawn_from).gather(1, token))
            feed = token
        responses = torch.cat(tokens, dim=1)
        return Rollouts(prompts, responses, torch.cat(reported, dim=1), mask_of(responses))


def process(logprobs: Tensor, sampling: Sampling) -> Tensor:
    """Return the log-probs of the distribution that tokens are drawn from."""
    logits = logprobs / sampling.temperature
    if sampling.top_k:
        lowest_kept = logits.topk(sampling.top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < lowest_kept, -torch.inf)
    if sampling.top_p < 1:
        ordered, places = logits.log_softmax(dim=-1).sort(dim=-1, descending=True)
        mass_before = ordered.exp().cumsum(dim=-1) - ordered.exp()
        dropped = torch.zeros_like(logits, dtype=torch.bool).scatter(
            -1, places, mass_before >= sampling.top_p
        )
        logits = logits.masked_fill(dropped, -torch.inf)
    if sampling.min_p:
        probs = logits.softmax(dim=-1)
        logits = logits.masked_fill(probs < sampling.min_p * probs.amax(dim=-1, keepdim=True), -torch.inf)
    return logits.log_softmax(dim=-1)


def quantise(weight: Tensor) -> Tensor:
    """Round a matrix to 8 bits, with one scale for each output channel."""
    scale = weight.abs().amax(dim=1, keepdim=True).clamp(min=1e-8) / 127
    return (weight / scale).round() * scale


def rounded(values: Tensor, bits: int) -> Tensor:
    """Round keys or values [B, HEADS, T, size] to so many bits, with one scale for each vector."""
    scale = values.abs().amax(dim=-1, keepdim=True).clamp(min=1e-8) / (2 ** (bits - 1) - 1)
    nearest: Tensor = (values / scale).round() * scale
    return nearest
