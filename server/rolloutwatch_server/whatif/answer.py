"""What a configuration would have given at some steps: the conductor.

Axes: S steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np

from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_server.whatif.bounds import (
    Interval,
    Span,
    Verdict,
    ratio_interval,
    ratio_verdict,
    sequence_verdict,
    token_interval,
)
from rolloutwatch_server.whatif.recorded import Flags, Recorded, Vector
from rolloutwatch_server.whatif.removal import (
    Removal,
    removed_sequences,
    removed_tokens,
    tokens_of_rows,
    tokens_outside,
    vetoed,
)
from rolloutwatch_server.whatif.token_weights import token_weights
from rolloutwatch_server.whatif.weights import (
    ROUNDING,
    eff_sample_size_of,
    mean_of,
    weights_of_sequences,
)

OF_ONE = 2.0**-23  # how exact float32 has a weight's distance from 1, which means are made of

NO_TOKEN = "no valid token"
NO_FINITE_TOKEN = "no token with finite log-probs"
NO_WEIGHTS_KNOWN = "of tokens there is no histogram, and not every sequence has a row"


@dataclass(frozen=True)
class Figures:
    """Figures of some steps, each between two bounds, [S]; they are equal where it is exact, NaN where it is omitted.

    `why` has for each figure what it is omitted for, step by step, empty where it is not.
    """

    bounds: Mapping[str, Span]
    why: Mapping[str, list[str]]


def figures_of(recorded: Recorded, config: CorrectionConfig) -> Figures:
    """Return the figures of steps under a configuration; those that it does not bring are not there at all."""
    trouble = np.array([text != "" for text in recorded.trouble])
    no_token, no_finite = recorded.valid == 0, recorded.counted == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        weights, unknown = _weights(recorded, config)
        found = weights | _removed(recorded, config)
    reasons = {
        name: _reasons(recorded, {NO_TOKEN: no_token, NO_FINITE_TOKEN: no_finite, NO_WEIGHTS_KNOWN: unknown})
        if name in weights
        else _reasons(recorded, {NO_TOKEN: no_token, NO_FINITE_TOKEN: no_finite & _is_of_veto(name)})
        for name in found
    }
    for name, span in found.items():
        omitted = trouble | np.array([text != "" for text in reasons[name]])
        found[name] = Span(*(np.where(omitted, np.nan, end) for end in span))
    return Figures(found, reasons)


def _is_of_veto(name: str) -> bool:
    return name in ("rollout_is_veto_fraction", "rollout_is_catastrophic_token_fraction")


def _reasons(recorded: Recorded, conditions: Mapping[str, Flags]) -> list[str]:
    reasons = list(recorded.trouble)
    for reason, where in conditions.items():
        for at in np.flatnonzero(where).tolist():
            reasons[at] = reasons[at] or reason
    return reasons


def _weights(recorded: Recorded, config: CorrectionConfig) -> tuple[dict[str, Span], Flags]:
    """Return mean and effective sample size of the weights, and where nothing is known of them."""
    nowhere = np.zeros(len(recorded.step), dtype=bool)
    if config.rollout_is is None:
        return {}, nowhere
    if config.rollout_is == "token":
        mean, spread, known = token_weights(recorded, config)
    else:
        groups = weights_of_sequences(recorded, config)
        mean, spread = mean_of(groups, recorded.counted), eff_sample_size_of(groups, recorded.counted)
        known = ~nowhere
    return {"rollout_is_mean": _safe(mean), "rollout_is_eff_sample_size": _safe(spread)}, ~known


def _safe(span: Span) -> Span:
    """Return bounds with room for the rounding of what they bound, none where they are exact."""
    inexact = span.low != span.high
    low, high = span.low * (1 - ROUNDING) - OF_ONE, span.high * (1 + ROUNDING) + OF_ONE
    return Span(np.where(inexact, np.maximum(low, 0), span.low), np.where(inexact, high, span.high))


def _removed(recorded: Recorded, config: CorrectionConfig) -> dict[str, Span]:
    """Return the shares of tokens and of sequences that are rejected, vetoed, taken out, and kept."""
    valid, sequences, rows = recorded.valid, recorded.valid_sequences, recorded.rows
    rejects, vetoes = bool(config.rejections), config.rollout_token_veto_threshold is not None
    of_sequences = [sequence_verdict(each, rows) for each in config.rejections if each.level != "token"]
    rejected = reduce(Verdict.__or__, of_sequences, Verdict.none(rows))
    stay = reduce(
        Interval.__and__,
        [token_interval(each) for each in config.rejections if each.level == "token"],
        Interval(),
    )
    found: dict[str, Span] = {}
    if rejects:
        rejection = Removal(rejected, stay, rejects, bool(of_sequences), by_veto=False)
        found["rollout_rs_masked_fraction"] = _share(removed_tokens(recorded, rejection), valid)
        found["rollout_rs_seq_masked_fraction"] = _share(removed_sequences(recorded, rejection), sequences)
    out, takes_rows = rejected, bool(of_sequences)
    if config.rollout_token_veto_threshold is not None:
        veto = vetoed(rows, config.rollout_token_veto_threshold)
        found |= _vetoed(recorded, veto, config.rollout_token_veto_threshold)
        out, takes_rows = out | veto, True
    masks = config.rollout_is is not None and config.rollout_is_mode == "mask"
    if masks and config.rollout_is == "token":
        stay = stay & ratio_interval(config.bounds)
    elif masks:
        log_ratio = rows.mean if config.rollout_is == "geometric" else rows.total
        out, takes_rows = out | ratio_verdict(log_ratio, rows.filled, config.bounds), True
    removal = Removal(out, stay, rejects, takes_rows, by_veto=vetoes)
    tokens = _share(removed_tokens(recorded, removal), valid)
    from_sequences = _share(removed_sequences(recorded, removal), sequences)
    if rejects or vetoes or masks:
        found["rollout_is_masked_fraction"] = tokens
        found["rollout_is_seq_masked_fraction"] = from_sequences
    found["kept_fraction"] = Span(1 - tokens.high, 1 - tokens.low)
    found["seq_kept_fraction"] = Span(1 - from_sequences.high, 1 - from_sequences.low)
    return found


def _vetoed(recorded: Recorded, veto: Verdict, threshold: float) -> dict[str, Span]:
    """Return the shares of sequences that have a catastrophic token, and of such tokens."""
    low = veto.out.sum(axis=1).astype(np.float64)
    high = low + veto.doubt.sum(axis=1) + np.minimum(recorded.missing_rows, recorded.missing_tokens)
    sequences = Span(low, np.minimum(high + recorded.nonfinite, recorded.valid_sequences))
    stay = Interval(lower=float(np.log(threshold)))
    some, by_bins = tokens_of_rows(recorded.rows, stay), tokens_outside(recorded, stay)
    of_rows = Span(
        np.where(veto.out, np.maximum(some.low, 1), 0),
        np.where(veto.out | veto.doubt, np.maximum(some.high, 1), 0),
    )
    most = of_rows.high.sum(axis=1) + recorded.missing_tokens
    fewest = np.maximum(of_rows.low.sum(axis=1), by_bins.low)
    most = np.maximum(np.minimum(most, by_bins.high), fewest)
    tokens = Span(fewest, np.minimum(most + recorded.nonfinite, recorded.valid))
    return {
        "rollout_is_veto_fraction": _share(sequences, recorded.valid_sequences),
        "rollout_is_catastrophic_token_fraction": _share(tokens, recorded.valid),
    }


def _share(span: Span, of: Vector) -> Span:
    return Span(span.low / of, span.high / of)
