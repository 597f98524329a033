"""What can be seen in the figures of a run, each a question that is answered with yes, no, or nothing.

Facts know nothing of causes; `hypotheses` says which fact speaks for which.
Limits stand between what faults of examples/tiny_rl.py show, with room to either side.
Between "yes" and "no" there is a band in which a fact says nothing.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from rolloutwatch_contract.diagnosis.evidence import MOVED, Evidence

Answer = bool | None

GAP_NOISE = 5.0  # spreads of its mean that the surprise gap is never off by chance
GAP_STEPS = 16  # of so many steps at most
SETTLED = 6  # steps after which what jumped can be told from what grows
JUMP = 14.0  # spreads that nothing grows by in a step
SEVERAL = 3  # steps, of which not all cancel by chance
SMALLEST_KL = 1e-6  # below which K1 and K3 are rounding
NOISE = 3.0  # standard deviations that a mean over the tokens of a step may be off by


class Fact(NamedTuple):
    """One thing to be seen.

    `holds` answers of some evidence, None where it cannot be told; `yes` and `no` say it in a sentence each.
    """

    holds: Callable[[Evidence], Answer]
    yes: Callable[[Evidence], str]
    no: Callable[[Evidence], str]


def between(value: float, no: float, yes: float) -> Answer:
    """Return yes beyond one limit, no beyond the other, nothing in between or where there is no number."""
    if math.isnan(value):
        return None
    rising = yes > no
    if (value >= yes) if rising else (value <= yes):
        return True
    if (value <= no) if rising else (value >= no):
        return False
    return None


def _either(*, yes: bool, no: bool) -> Answer:
    """Return the answer that holds; a figure that is NaN holds of neither."""
    return True if yes else False if no else None


def differs(e: Evidence) -> Answer:
    """Do the log-probs differ more than before?"""
    if "logprob_abs_diff_mean" not in e:
        return None
    return any(abs(e.moved(metric)) > limit for metric, limit in MOVED.items())


def _unevenness(e: Evidence) -> float:
    """Return how many times the mean |log ratio| is its median, over what that was; over 6, as of a healthy run, if not known."""
    here = e.now("logprob_abs_diff_mean") / max(e.now("logprob_abs_diff_median"), 1e-12)
    median = e.was("logprob_abs_diff_median")
    was = e.was("logprob_abs_diff_mean") / median if median > 0 else math.nan
    return here / (was if 1 < was < math.inf else 6.0)


def few_tokens(e: Evidence) -> Answer:
    """Do a few tokens carry it, while the typical one is as before?"""
    return between(_unevenness(e), no=6.0, yes=9.0)


def evenly(e: Evidence) -> Answer:
    """Is the typical token hit about as much as the mean?"""
    return between(_unevenness(e), no=1.6, yes=0.9)


def _noise(e: Evidence) -> float:
    """Return by how much a mean of log ratios, or of ratios, over a step may be off by chance; NaN without K3."""
    tokens, k3 = e.now("n_tokens"), e.now("mismatch_k3_kl")
    return NOISE * math.sqrt(2 * abs(k3) / tokens) if tokens > 0 else 0.0 * k3


def k1_is_k3(e: Evidence) -> Answer:
    """Are K1 and K3 the same, as two estimates of one divergence are if samples come from what is reported?"""
    k1, k3, noise = e.now("mismatch_kl"), e.now("mismatch_k3_kl"), _noise(e)
    if not k3 >= SMALLEST_KL:
        return None
    apart = abs(k1 - k3)
    return _either(yes=apart <= max(0.6 * k3, noise), no=apart > 2 * max(k3, noise) or k3 > 5 * abs(k1))


def k1_above_k3(e: Evidence) -> Answer:
    """Is K1 far above K3: every ratio a little below 1, and none far above?"""
    k1, k3 = e.now("mismatch_kl"), e.now("mismatch_k3_kl")
    if k1 < _noise(e):
        return False
    return between(k1 / max(k3, 1e-12), no=4.0, yes=8.0)


def k1_cancels(e: Evidence) -> Answer:
    """Do differences cancel in K1 that K3 shows to be large?"""
    k1, k3, size = e.now("mismatch_kl"), e.now("mismatch_k3_kl"), e.now("logprob_abs_diff_mean")
    near = 0.02 if e.lasted < SEVERAL else 0.06  # by chance one step may cancel
    return _either(yes=abs(k1) < near * size and k3 > 0.2 * size, no=abs(k1) > 0.25 * size)


def mass_is_missing(e: Evidence) -> Answer:
    """Is the mean ratio below 1 by as much as K1 is above 0, as where a part of the probability is cut off?"""
    k1, lost = e.now("mismatch_kl"), 1 - e.now("ratio_mean")
    if k1 <= max(1e-3, _noise(e)) and not math.isnan(lost):
        return False
    return between(lost / k1, no=0.5, yes=0.75) if k1 else None


def uncorrelated(e: Evidence) -> Answer:
    """Do the two policies' probabilities have next to nothing to do with each other?"""
    return between(e.now("prob_pearson_corr"), no=0.7, yes=0.35)


def tight(e: Evidence) -> Answer:
    """Do the probabilities still go together closely?"""
    return between(e.now("prob_pearson_corr"), no=0.85, yes=0.96)


def sloped(e: Evidence) -> Answer:
    """Do log-probs differ by a factor?"""
    return between(abs(e.now("logprob_slope") - 1), no=0.04, yes=0.08)


def gap_moved(e: Evidence) -> Answer:
    """Are the samples more, or less, surprising than the training policy's own would be, unlike before?"""
    found = e.figures.get("surprise_gap")
    if found is None or found.was is None:
        return None
    # the more steps it is seen at, the less of it is chance
    return between(
        abs(found.moved) * math.sqrt(min(len(found.values), GAP_STEPS)), no=GAP_NOISE / 2, yes=GAP_NOISE
    )


def gap_with_slope(e: Evidence) -> Answer:
    """Does the surprise gap lie on the side that the slope says: hotter is more surprising?"""
    moved, slope = gap_moved(e), sloped(e)
    if moved is None or slope is None:
        return None
    return moved and slope and (e.moved("surprise_gap") > 0) == (e.now("logprob_slope") > 1)


def one_sequence(e: Evidence) -> Answer:
    """Does one sequence carry much of K3?"""
    return between(e.now("mismatch_k3_seq_share_max"), no=0.3, yes=0.45)


def far_to_both_sides(e: Evidence) -> Answer:
    """Are there tokens that are far too likely and others far too unlikely?"""
    up, down = e.now("ratio_max"), e.now("ratio_min")
    if math.isnan(up) or not down > 0:
        return None
    return between(min(math.log(max(up, 1.0)), -math.log(min(down, 1.0))), no=0.5, yes=1.2)


def as_far_above_as_below(e: Evidence) -> Answer:
    """Do ratios go about as far above 1 as below it, which no truncation makes them do?"""
    up, down = e.now("ratio_max"), e.now("ratio_min")
    if math.isnan(up) or not 0 < down < 1:
        return None
    return between(math.log(max(up, 1.0)) / -math.log(down), no=0.4, yes=0.7)


def zeros(e: Evidence) -> Answer:
    """Are there more rollout log-probs of exactly 0 than before, where the trainer is not certain?"""
    share, was = e.now("zero_logprob_fraction"), e.was("zero_logprob_fraction")
    if math.isnan(share):
        return None
    more = share - (0.0 if math.isnan(was) else was)
    if more < 0.005:
        return False
    return between(e.now("mismatch_kl") / more, no=0.09, yes=0.12)


def grows(e: Evidence) -> Answer:
    """Does it grow since it began?"""
    return between(e.growth, no=0.2, yes=0.5)


def came_at_once(e: Evidence) -> Answer:
    """Was it there from one step to the next?"""
    found = e.most_moved
    if found is None or not found.moved_first:
        return None
    if abs(found.moved_before) > 0.35 * abs(found.moved_first):
        return False
    if e.lasted < SETTLED:  # what grows fast may look like a jump as yet
        return True if abs(found.moved_first) > JUMP and abs(found.moved_before) < 2 else None
    return between(found.moved_first / found.moved, no=0.4, yes=0.6)


def leans(e: Evidence) -> Answer:
    """Are log-probs flattened or sharpened by a little, step after step to the same side?"""
    if sloped(e) or few_tokens(e):
        return None
    answer = between(abs(e.lean), no=1.2, yes=3.5)
    return answer if answer or e.lasted >= SETTLED else None


def weights_are_old(e: Evidence) -> Answer:
    """Are the rollout weights older than they were?"""
    found = e.figures.get("weight_age_steps")
    if found is None or e.oldest_before is None:
        return None
    return bool(e.oldest > 1.5 * e.oldest_before + 0.5)


def follows_age(e: Evidence) -> Answer:
    """Does it grow with the age of the rollout weights, and fall back when they are synced?"""
    return between(e.follows_age, no=0.3, yes=0.6)


def grows_along(e: Evidence) -> Answer:
    """Does the end of responses differ more than their beginning, compared with before?"""
    first, last = e.times("logprob_abs_diff_first_quarter"), e.times("logprob_abs_diff_last_quarter")
    if math.isnan(first) or math.isnan(last) or not first > 0:
        return None
    return between(last / first, no=1.5, yes=3.5)


def _size(e: Evidence) -> str:
    was = e.was("logprob_abs_diff_mean")
    before = "" if math.isnan(was) else f", {was:.2g} before"
    return f"log-probs differ by {e.now('logprob_abs_diff_mean'):.2g} nats a token{before}"


def _said(text: str) -> Callable[[Evidence], str]:
    """Return what fills a sentence with figures: {metric} is how one stands."""

    def fill(e: Evidence) -> str:
        return text.format(**{name: figure.now for name, figure in e.figures.items()})

    return fill


_MEDIAN_AND_MEAN = (
    "the median difference is {logprob_abs_diff_median:.2g} nats, the mean {logprob_abs_diff_mean:.2g}"
)


FACTS: Mapping[str, Fact] = {
    "differs": Fact(differs, _size, lambda e: "the log-probs agree as before: " + _size(e)),
    "few_tokens": Fact(
        few_tokens,
        _said("a few tokens carry it: " + _MEDIAN_AND_MEAN),
        _said("it is not a few tokens: " + _MEDIAN_AND_MEAN),
    ),
    "evenly": Fact(
        evenly,
        _said("nearly every token is hit: " + _MEDIAN_AND_MEAN),
        _said("tokens are hit unevenly: " + _MEDIAN_AND_MEAN),
    ),
    "k1_is_k3": Fact(
        k1_is_k3,
        _said("K1 {mismatch_kl:.2g} and K3 {mismatch_k3_kl:.2g} agree, as if tokens were drawn from what is reported"),
        _said("K1 {mismatch_kl:.2g} and K3 {mismatch_k3_kl:.2g} disagree: tokens were not drawn from what is reported"),
    ),
    "k1_above_k3": Fact(
        k1_above_k3,
        _said("K1 {mismatch_kl:.2g} is far above K3 {mismatch_k3_kl:.2g}: every ratio is a little below 1"),
        _said("K1 {mismatch_kl:.2g} is not far above K3 {mismatch_k3_kl:.2g}"),
    ),
    "k1_cancels": Fact(
        k1_cancels,
        _said("K1 {mismatch_kl:.2g} is near 0 although K3 is {mismatch_k3_kl:.2g}: differences cancel, as if exchanged"),
        _said("K1 {mismatch_kl:.2g} does not cancel"),
    ),
    "mass_is_missing": Fact(
        mass_is_missing,
        _said("the mean ratio is {ratio_mean:.3g}: so much of the probability was kept, and the rest cut off"),
        _said("the mean ratio {ratio_mean:.3g} does not miss what K1 {mismatch_kl:.2g} would have cut off"),
    ),
    "uncorrelated": Fact(
        uncorrelated,
        _said("the two policies' probabilities have little to do with each other: correlation {prob_pearson_corr:.2f}"),
        _said("the two policies' probabilities go together: correlation {prob_pearson_corr:.3f}"),
    ),
    "tight": Fact(
        tight,
        _said("the probabilities still go together: correlation {prob_pearson_corr:.3f}"),
        _said("the probabilities do not go together closely: correlation {prob_pearson_corr:.2f}"),
    ),
    "sloped": Fact(
        sloped,
        _said("training log-probs are {logprob_slope:.2f} times those of the rollout"),
        _said("log-probs do not differ by a factor: slope {logprob_slope:.3f}"),
    ),
    "gap_moved": Fact(
        gap_moved,
        lambda e: f"the surprise gap is {e.now('surprise_gap'):+.2g} nats, {e.was('surprise_gap'):+.2g} before",
        _said("the surprise gap is as before: {surprise_gap:+.2g} nats"),
    ),
    "gap_with_slope": Fact(
        gap_with_slope,
        _said("slope and surprise gap {surprise_gap:+.2g} say the same"),
        _said("slope {logprob_slope:.2f} and surprise gap {surprise_gap:+.2g} do not say the same"),
    ),
    "one_sequence": Fact(
        one_sequence,
        _said("one sequence carries {mismatch_k3_seq_share_max:.0%} of K3"),
        _said("no sequence carries more than {mismatch_k3_seq_share_max:.0%} of K3"),
    ),
    "far_to_both_sides": Fact(
        far_to_both_sides,
        _said("ratios go far to both sides: {ratio_min:.2g} to {ratio_max:.3g}"),
        _said("ratios do not go far to both sides: {ratio_min:.2g} to {ratio_max:.3g}"),
    ),
    "as_far_above_as_below": Fact(
        as_far_above_as_below,
        _said("ratios go as far above 1 as below: {ratio_min:.2g} to {ratio_max:.3g}"),
        _said("ratios go further below 1 than above: {ratio_min:.2g} to {ratio_max:.3g}"),
    ),
    "zeros": Fact(
        zeros,
        _said("{zero_logprob_fraction:.1%} of the rollout log-probs are exactly 0 where the trainer is not certain"),
        _said("no more rollout log-probs than before are exactly 0 where the trainer is not certain"),
    ),
    "grows": Fact(
        grows,
        lambda e: f"it has grown by {e.growth:.0%} over {e.lasted} steps",
        lambda e: f"it has not grown over {e.lasted} steps",
    ),
    "came_at_once": Fact(
        came_at_once,
        lambda e: f"it came from one step to the next, at step {e.onset}",
        lambda e: f"it had begun to come before step {e.onset}",
    ),
    "leans": Fact(
        leans,
        _said("log-probs are flattened or sharpened throughout: slope {logprob_slope:.3f}"),
        _said("log-probs are neither flattened nor sharpened: slope {logprob_slope:.3f}"),
    ),
    "weights_are_old": Fact(
        weights_are_old,
        lambda e: f"the rollout weights are up to {e.oldest:.0f} steps old, {e.oldest_before:.0f} before",
        lambda e: "the rollout weights are synced as often as before",
    ),
    "follows_age": Fact(
        follows_age,
        lambda e: f"it goes with the age of the rollout weights: rank correlation {e.follows_age:.2f}",
        lambda e: f"it does not go with the age of the rollout weights: rank correlation {e.follows_age:.2f}",
    ),
    "grows_along": Fact(
        grows_along,
        lambda e: f"compared with before, the last quarter of responses differs {e.times('logprob_abs_diff_last_quarter'):.3g} "
        f"times as much, the first {e.times('logprob_abs_diff_first_quarter'):.3g} times",
        lambda e: "the end of responses differs no more than their beginning, compared with before",
    ),
}  # fmt: skip
