"""When a figure is a reason to worry: the limits that tiles and charts show.

These are alert thresholds (when to call a person);
what happens to the loss is the correction's configuration, and shares no name with them.
"""

import math
from collections.abc import Iterable

import msgspec

from rolloutwatch_contract.severity import Severity


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """A metric must not stand above `above` or below `below`; exactly at the limit is still good.

    An alert begins once that is so at `for_steps` steps one after the other, and ends after `clear_steps` good ones.
    """

    name: str
    metric: str
    severity: Severity
    above: float = math.inf
    below: float = -math.inf
    for_steps: int = 1
    clear_steps: int = 1
    summary: str
    cure: str

    def broken_by(self, value: float) -> bool:
        """Tell whether `value` breaks the rule; NaN breaks none."""
        return value > self.above or value < self.below


def worst(rules: Iterable[Limit], metric: str, value: float) -> Limit | None:
    """Return the most severe rule that `value` of `metric` breaks, None if it breaks none."""
    broken = [rule for rule in rules if rule.metric == metric and rule.broken_by(value)]
    return max(broken, key=lambda rule: rule.severity, default=None)


# Where the limits come from: most are the symptoms that verl documents; k3 and kl follow Tinker's guidance
# (stable below 0.01); the rest is what healthy bf16 and int8 samplers of docs/architecture.md stay far inside of.
_CHECK_LOGPROBS = (
    "Check that the rollout engine returns log-probs of the sampled tokens, that both sides look at the same tokens, "
    "and that the rollout weights were synced."
)
_LOOSEN = "Widen the thresholds, or use the geometric level; then look for the cause of the mismatch."

DEFAULT_LIMITS: tuple[Limit, ...] = (
    Limit(
        name="few_samples_count",
        metric="ratio_eff_sample_size",
        severity=Severity.WARNING,
        below=0.8,
        summary="Some samples count for much more than others.",
        cure="Watch KL and perplexity ratio; tighten the thresholds if it goes on.",
    ),
    Limit(
        name="very_few_samples_count",
        metric="ratio_eff_sample_size",
        severity=Severity.CRITICAL,
        below=0.3,
        summary="A few samples carry the whole gradient.",
        cure="Switch from sequence to geometric level, tighten the thresholds. " + _CHECK_LOGPROBS,
    ),
    Limit(
        name="few_weighted_samples_count",
        metric="rollout_is_eff_sample_size",
        severity=Severity.CRITICAL,
        below=0.3,
        summary="Even after truncation a few samples carry the whole gradient.",
        cure="Switch from sequence to geometric level, tighten the thresholds. " + _CHECK_LOGPROBS,
    ),
    Limit(
        name="sequences_vetoed",
        metric="rollout_is_veto_fraction",
        severity=Severity.WARNING,
        above=0.02,
        summary="Sequences are vetoed for a token the trainer finds all but impossible.",
        cure="Look at those sequences: truncated sampling, re-tokenised ids and stale weights do this.",
    ),
    Limit(
        name="too_many_vetoed",
        metric="rollout_is_veto_fraction",
        severity=Severity.CRITICAL,
        above=0.1,
        summary="More than one sequence in ten is vetoed.",
        cure="Lower rollout_token_veto_threshold (1e-5), and check the log-prob computation. "
        + _CHECK_LOGPROBS,
    ),
    Limit(
        name="perplexities_differ",
        metric="mismatch_ppl_ratio",
        severity=Severity.WARNING,
        above=1.05,
        below=0.95,
        summary="The training policy finds the samples more (or less) surprising than the rollout policy did.",
        cure="Compare temperature, top-k and top-p of the sampler with what its log-probs assume.",
    ),
    Limit(
        name="perplexities_far_apart",
        metric="mismatch_ppl_ratio",
        severity=Severity.CRITICAL,
        above=1.5,
        below=1 / 1.5,
        summary="The two policies are no longer the same model.",
        cure=_CHECK_LOGPROBS,
    ),
    Limit(
        name="kl_high",
        metric="mismatch_k3_kl",
        severity=Severity.WARNING,
        above=0.01,
        summary="The policies drift apart.",
        cure=_CHECK_LOGPROBS,
    ),
    Limit(
        name="kl_very_high",
        metric="mismatch_k3_kl",
        severity=Severity.CRITICAL,
        above=0.1,
        summary="The policies are far apart; uncorrected gradients are biased.",
        cure=_CHECK_LOGPROBS,
    ),
    Limit(
        name="kl_k1_off_zero",
        metric="mismatch_kl",
        severity=Severity.WARNING,
        above=0.01,
        below=-0.01,
        summary="The log-probs of the two policies differ on average.",
        cure=_CHECK_LOGPROBS,
    ),
    Limit(
        name="kl_k1_far_off_zero",
        metric="mismatch_kl",
        severity=Severity.CRITICAL,
        above=0.1,
        below=-0.1,
        summary="The log-probs of the two policies differ a lot on average.",
        cure=_CHECK_LOGPROBS,
    ),
    *(
        Limit(
            name=f"{metric}_far_from_one",
            metric=metric,
            severity=Severity.CRITICAL,
            above=2.0,
            below=0.5,
            summary="The mean weight is far from 1: the log-probs differ systematically.",
            cure="Check that calculate_log_probs is on and rollout log-probs are passed on. "
            + _CHECK_LOGPROBS,
        )
        for metric in ("ratio_mean", "rollout_is_mean")
    ),
    *(
        Limit(
            name=f"{metric}_high",
            metric=metric,
            severity=Severity.WARNING,
            above=1.0,
            summary="The weights spread widely.",
            cure="Switch from sequence to geometric level, tighten the thresholds.",
        )
        for metric in ("ratio_std", "rollout_is_std")
    ),
    Limit(
        name="token_far_too_likely",
        metric="ratio_max",
        severity=Severity.WARNING,
        above=100.0,
        summary="The trainer finds a sampled token a hundred times likelier than the sampler did.",
        cure="Look at that token: re-tokenised ids, another temperature and stale weights do this.",
    ),
    Limit(
        name="token_all_but_impossible",
        metric="ratio_min",
        severity=Severity.WARNING,
        below=1e-4,
        summary="The trainer finds a sampled token all but impossible.",
        cure="Set rollout_token_veto_threshold (1e-4); truncated sampling, re-tokenised ids and stale weights do this.",
    ),
    Limit(
        name="too_much_discarded",
        metric="rollout_is_masked_fraction",
        severity=Severity.CRITICAL,
        above=0.5,
        summary="More than half of the tokens are thrown away.",
        cure=_LOOSEN,
    ),
    Limit(
        name="nonfinite_logprobs",
        metric="nonfinite_fraction",
        severity=Severity.CRITICAL,
        above=0.0,
        summary="Log-probs are NaN or infinite.",
        cure="Look for overflow in the forward pass, and for tokens the sampler masks out with -inf.",
    ),
)
