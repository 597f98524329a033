"""A transformer of two layers, with a cache of keys and values for sampling."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tiny.task import PROMPT_LENGTH, RESPONSE_LENGTH, VOCABULARY

WIDTH, HEADS, LAYERS = 64, 4, 2

Cache = list[tuple[Tensor, Tensor]]


class Block(nn.Module):
    """Attention and a feed-forward net."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor, past: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the new activations [B, T, WIDTH], and keys and values for the next call."""
        batch, length, _ = x.shape
        q, k, v = (
            p.view(batch, length, HEADS, -1).transpose(1, 2) for p in self.qkv(self.norm1(x)).chunk(3, dim=-1)
        )
        if past is not None:
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=past is None)
        x = x + self.out(attended.transpose(1, 2).reshape(batch, length, WIDTH))
        return x + self.down(F.gelu(self.up(self.norm2(x)))), (k, v)


class Policy(nn.Module):
    """Next-token logits."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.positions = nn.Embedding(PROMPT_LENGTH + RESPONSE_LENGTH, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, tokens: Tensor, cache: Cache | None = None) -> tuple[Tensor, Cache]:
        """Return logits [B, T, VOCABULARY] of tokens that follow those in the cache, and the cache with them."""
        start = cache[0][0].shape[2] if cache else 0
        x = self.tokens(tokens) + self.positions(torch.arange(start, start + tokens.shape[1]))
        filled: Cache = []
        for index, block in enumerate(self.blocks):
            x, keys_and_values = block(x, cache[index] if cache else None)
            filled.append(keys_and_values)
        return self.head(self.norm(x)), filled


def response_logprobs(policy: Policy, prompts: Tensor, responses: Tensor) -> tuple[Tensor, Tensor]:
    """Return log-probs of response tokens and the entropy at each, both [B, RESPONSE_LENGTH]."""
    logits, _ = policy(torch.cat([prompts, responses[:, :-1]], dim=1))
    logprobs = logits[:, PROMPT_LENGTH - 1 :].float().log_softmax(dim=-1)
    entropy = -(logprobs.exp() * logprobs).sum(dim=-1)
    return logprobs.gather(-1, responses[..., None]).squeeze(-1), entropy
