"""What may be wrong, and how much each fact speaks for it or against it: the whole of what a diagnosis believes.

Points are log-odds: 2 makes a hypothesis seven times as likely against the others, -2 a seventh.
A fact that says nothing, or whose figures a run does not have, counts for nothing.
"""

from collections.abc import Mapping
from typing import NamedTuple

Points = tuple[float, float]  # where a fact holds, and where it does not


class Hypothesis(NamedTuple):
    """One cause.

    `points` by fact; `check` is what to look at next, `cure` what mends it.
    """

    name: str
    title: str
    check: str
    cure: str
    points: Mapping[str, Points]

    @property
    def guide(self) -> str:
        """Return the page that tells of it."""
        return f"docs/guides/diagnosis/{self.name}.md"


HYPOTHESES: tuple[Hypothesis, ...] = (
    Hypothesis(
        name="stale_weights",
        title="the rollout weights are stale",
        check="Compare the version of the weights that the rollout engine serves with the trainer's, at this step.",
        cure="Sync the rollout weights at each step, or shorten the lag.",
        points={
            "differs": (0.5, -3), "weights_are_old": (3.5, -4), "follows_age": (2, -2), "grows": (1.5, -1),
            "k1_is_k3": (1, -2.5), "few_tokens": (-4, 0.3), "sloped": (-3, 0.3), "gap_with_slope": (-3, 0),
            "zeros": (-3, 0), "one_sequence": (-4, 0.3), "k1_above_k3": (-4, 0.5), "mass_is_missing": (-3, 0.3),
            "k1_cancels": (-4, 0), "evenly": (-1, 0), "grows_along": (-2, 0),
        },
    ),
    Hypothesis(
        name="precision",
        title="the rollout computes in another precision, or with a wrong scale",
        check="Compare the logits of both engines layer by layer; look at quantisation scales, the KV cache and kernels.",
        cure="Recompute the quantisation scales at each sync, or raise the precision of what differs.",
        points={
            "differs": (0.5, -3), "weights_are_old": (-3, 1), "follows_age": (-2, 0), "grows": (0, 1.5),
            "came_at_once": (1.5, 0), "leans": (1.5, -0.5), "k1_is_k3": (1, -2.5), "few_tokens": (-4, 0.3),
            "sloped": (-3, 0.3), "gap_with_slope": (-3, 0), "zeros": (-3, 0), "one_sequence": (-4, 0.3),
            "k1_above_k3": (-4, 0.5), "mass_is_missing": (-3, 0.3), "k1_cancels": (-4, 0), "uncorrelated": (-2, 0),
            "grows_along": (-2.5, 0),
        },
    ),
    Hypothesis(
        name="unsynced_tensor",
        title="a part of the weights is never synced",
        check="Compare a checksum of each tensor in the rollout engine with the trainer's; look for renamed or fused parameters.",
        cure="Map every parameter's name to the rollout engine's, and fail where one is left over.",
        points={
            "differs": (0.5, -3), "weights_are_old": (-3, 1), "follows_age": (-2, 0), "grows": (0.6, -2),
            "came_at_once": (-3, 0.2), "leans": (-3, 0.6), "k1_is_k3": (1, -2.5), "few_tokens": (-4, 0.3),
            "sloped": (-3, 0.3), "gap_with_slope": (-3, 0), "zeros": (-3, 0), "one_sequence": (-4, 0.3),
            "k1_above_k3": (-4, 0.5), "mass_is_missing": (-3, 0.3), "k1_cancels": (-4, 0), "evenly": (-1, 0),
            "uncorrelated": (-2, 0), "grows_along": (-2, 0),
        },
    ),
    Hypothesis(
        name="grows_with_position",
        title="an error adds up along the response",
        check="Compare log-probs token by token of one long response; look at KV cache, position encoding and context length.",
        cure="Use the same position encoding and cache precision on both sides.",
        points={
            "differs": (0.5, -3), "grows_along": (4, -4), "weights_are_old": (-3, 1), "k1_is_k3": (1, -2),
            "zeros": (-3, 0), "few_tokens": (-2, 0), "one_sequence": (-4, 0), "k1_above_k3": (-3, 0),
            "k1_cancels": (-4, 0), "mass_is_missing": (-3, 0),
        },
    ),
    Hypothesis(
        name="temperature",
        title="the rollout samples at another temperature",
        check="Compare the temperature of the sampler with the one that training log-probs are divided by.",
        cure="Give the trainer the sampler's temperature, or sample at 1.",
        points={
            "differs": (0.5, -4), "sloped": (2.5, -4), "gap_with_slope": (3, -3), "tight": (1, -3),
            "evenly": (1, -2), "few_tokens": (-3, 0.3), "zeros": (-3, 0), "k1_above_k3": (-3, 0),
            "k1_cancels": (-3, 0), "one_sequence": (-1, 0.3), "uncorrelated": (-3, 0), "mass_is_missing": (-1, 0),
        },
    ),
    Hypothesis(
        name="raw_logprobs",
        title="the rollout reports raw log-probs of another temperature than it samples at",
        check="Look at which log-probs the engine returns: before or after temperature and truncation (logprobs_mode of vLLM).",
        cure="Ask the engine for processed log-probs, or sample at temperature 1 without truncation.",
        points={
            "differs": (-4, 3), "gap_moved": (3.5, -4), "sloped": (-3, 0.5), "tight": (0.5, -2),
            "few_tokens": (-1, 0),
        },
    ),
    Hypothesis(
        name="truncated_sampling",
        title="sampling is truncated (top-k, top-p, min-p)",
        check="Look at top_k, top_p and min_p of the sampler, and whether its log-probs are renormalised.",
        cure="Sample without truncation, or mask the trainer's logits in the same way.",
        points={
            "differs": (0.5, -3), "k1_above_k3": (3, -3), "mass_is_missing": (2, -3), "gap_moved": (1, -0.5),
            "evenly": (1, -1), "few_tokens": (-2, 0.3), "sloped": (-2, 0.3), "uncorrelated": (-3, 0),
            "one_sequence": (-1.5, 0.3), "far_to_both_sides": (-3, 0), "as_far_above_as_below": (-6, 0.5),
        },
    ),
    Hypothesis(
        name="misaligned_logprobs",
        title="tokens and log-probs are misaligned (off by one)",
        check="Print tokens with both log-probs side by side for one response, and shift one of them.",
        cure="Drop the prompt token shift, or shift the rollout log-probs to the tokens they belong to.",
        points={
            "differs": (0.5, -4), "uncorrelated": (3, -4), "k1_cancels": (2.5, -2), "one_sequence": (-1, 0.3),
            "far_to_both_sides": (1, -2), "few_tokens": (-2, 0.5), "k1_is_k3": (-2, 1), "zeros": (-1, 0),
            "grows_along": (-1, 0),
        },
    ),
    Hypothesis(
        name="mixed_sequences",
        title="sequences are mixed up: some have the log-probs of others",
        check="Open the table of sequences: the worst ones are those with foreign log-probs; compare their ids.",
        cure="Carry prompts, responses and log-probs under one index through sorting, packing and balancing.",
        points={
            "differs": (0.5, -4), "one_sequence": (3, -2), "k1_cancels": (2.5, -2.5), "far_to_both_sides": (1, -2),
            "few_tokens": (1, -1), "uncorrelated": (-3, 0.3), "k1_is_k3": (-2, 1), "zeros": (-2, 0),
            "sloped": (0, 0),
        },
    ),
    Hypothesis(
        name="other_tokens",
        title="some tokens are others than were sampled: re-tokenised, or placeholders inside the mask",
        check="Open the worst sequences: the tokens that stand out are those that no policy wrote.",
        cure="Train on the ids that were sampled instead of on decoded text, and mask tokens of tools, templates and images.",
        points={
            "differs": (0.5, -4), "few_tokens": (3, -4), "k1_cancels": (-2.5, 1), "zeros": (-3, 0.3),
            "mass_is_missing": (-1, 0.5), "k1_above_k3": (-2, 0.3), "uncorrelated": (-2, 0.3), "grows": (-0.5, 0.3),
            "gap_moved": (-0.5, 0.3),
        },
    ),
    Hypothesis(
        name="missing_logprobs",
        title="rollout log-probs are missing and padded with 0",
        check="Check that calculate_log_probs is true, and that the lengths of responses and log-probs agree.",
        cure="Ask the engine for log-probs of every sampled token, and mask what has none.",
        points={
            "differs": (0.5, -4), "zeros": (5, -6), "few_tokens": (1, 0), "k1_cancels": (-2, 0.5),
        },
    ),
)  # fmt: skip
