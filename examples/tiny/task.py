"""The task: a prompt of eight digits, to be answered with the same digits in order. Anyone can check an answer."""

import torch
from torch import Tensor

DIGITS = 8
SEPARATOR, END = 10, 11
VOCABULARY = 32
PROMPT_LENGTH = DIGITS + 1  # the digits and a separator
RESPONSE_LENGTH = DIGITS + 1  # the sorted digits and an end


def make_prompts(count: int, generator: torch.Generator) -> Tensor:
    """Return prompts [count, PROMPT_LENGTH]."""
    digits = torch.randint(0, 10, (count, DIGITS), generator=generator)
    return torch.cat([digits, torch.full((count, 1), SEPARATOR)], dim=1)


def answers_to(prompts: Tensor) -> Tensor:
    """Return the right responses [count, RESPONSE_LENGTH]."""
    digits = prompts[:, :DIGITS].sort(dim=1).values
    return torch.cat([digits, torch.full((len(prompts), 1), END)], dim=1)


def mask_of(responses: Tensor) -> Tensor:
    """Return 1 for tokens up to the first END, 0 for what stands behind it, [count, RESPONSE_LENGTH]."""
    ended_before = (responses == END).cumsum(dim=1) - (responses == END).long()
    return (ended_before == 0).long()


def rewards_of(prompts: Tensor, responses: Tensor) -> Tensor:
    """Return the share of right positions, 0 to 1, [count]."""
    right = (responses == answers_to(prompts)) & (mask_of(responses) == 1)
    return right.float().mean(dim=1)
