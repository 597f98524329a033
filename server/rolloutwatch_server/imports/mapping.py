"""Which names of other trainers mean a figure of the catalogue, and which only look as if they did.

A name is here if sign, aggregation, and whether it is before or after truncation are those of the catalogue.
Definitions and measurements: trainers' own code on one batch of eight sequences, where K1 is 0.0999 and K3 0.0705;
verl's as in `docs/verl-differences.md`. Whatever is in neither table keeps its name.
"""

from dataclasses import dataclass

from rolloutwatch_contract import METRICS


@dataclass(frozen=True)
class Same:
    """A name that a trainer logs, the figure of the catalogue that it is, and why they are the same."""

    trainer: str
    name: str
    metric: str
    why: str


@dataclass(frozen=True)
class Alike:
    """A name that a trainer logs, the figure that it could be taken for, and what is different."""

    trainer: str
    name: str
    not_metric: str
    why: str


_OFF_POLICY = (
    "training_ppl", "training_log_ppl", "rollout_ppl", "rollout_log_ppl", "ppl_ratio", "log_ppl_diff",
    "log_ppl_abs_diff", "log_ppl_diff_max", "log_ppl_diff_min", "kl", "k3_kl",
)  # fmt: skip
_E7CDCE1, _V09 = "verl e7cdce1", "verl v0.9"
_WEIGHTS = "of weights after truncation, as here"
_OF_BOTH = (
    "rollout_is_mean", "rollout_is_seq_mean", "rollout_is_seq_std", "rollout_is_seq_max", "rollout_is_seq_min",
    "rollout_is_seq_max_deviation",
)  # fmt: skip

SAME: tuple[Same, ...] = (
    *(
        Same(_E7CDCE1, f"mismatch/mismatch_{name}", f"mismatch_{name}", "the same formula; names are verl's")
        for name in _OFF_POLICY
    ),
    *(Same(_V09, f"rollout_corr/{name}", f"mismatch_{name}", "the same formula") for name in _OFF_POLICY),
    Same(_V09, "rollout_corr/chi2_token", "chi2_token", "mean_t(r^2) - 1"),
    Same(_V09, "rollout_corr/chi2_seq", "chi2_seq", "product of ratios: mean_s(exp(2 S)) - 1"),
    *(Same(_E7CDCE1, f"mismatch/{name}", name, _WEIGHTS) for name in _OF_BOTH),
    *(Same(_V09, f"rollout_corr/{name}", name, _WEIGHTS) for name in _OF_BOTH),
    Same(_E7CDCE1, "mismatch/rollout_is_std", "rollout_is_std", "of weights within [1/C, C], as here"),
    Same(
        _E7CDCE1, "mismatch/rollout_is_eff_sample_size", "rollout_is_eff_sample_size",
        "of weights within [1/C, C], as here",
    ),
    Same(_V09, "rollout_corr/rollout_is_batch_norm_factor", "rollout_is_batch_norm_factor", "the same formula"),
    Same(
        _E7CDCE1, "mismatch/rollout_is_veto_fraction", "rollout_is_veto_fraction",
        "share of sequences with a catastrophic token",
    ),
    Same(
        _E7CDCE1, "mismatch/rollout_is_catastrophic_token_fraction", "rollout_is_catastrophic_token_fraction",
        "share of tokens below the veto's threshold",
    ),
    Same(
        "verl", "training/rollout_actor_probs_pearson_corr", "prob_pearson_corr",
        "correlation of the two policies' token probabilities",
    ),
    Same("OpenRLHF", "train/vllm_kl", "mismatch_kl", "mean_t(rollout - training); 0.0999 on the common batch"),
    Same("Tinker", "optim/kl_sample_train_v1", "mismatch_kl", "mean_t(rollout - training); 0.0999 on the common batch"),
    Same("ms-swift", "rollout_correction/kl", "mismatch_kl", "mean_t(rollout - training); 0.0999 on the common batch"),
    Same(
        "ms-swift", "rollout_correction/ppl_ratio", "mismatch_ppl_ratio",
        "mean over sequences; 1.0733 on the common batch, as here",
    ),
    Same("prime-rl", "mismatch_kl/all/mean", "mismatch_k3_kl", "K3, whatever its name; 0.0705 on the common batch"),
    Same("NeMo-RL", "train/gen_kl_error", "mismatch_k3_kl", "K3 of rollout || training; 0.0705 on the common batch"),
    Same(
        "TRL", "sampling/sampling_logp_difference/mean", "logprob_abs_diff_mean",
        "mean |training - rollout| over tokens; equal to six digits where TRL itself was run",
    ),
    Same(
        "TRL", "sampling/sampling_logp_difference/max", "logprob_abs_diff_max", "largest |training - rollout| of a token",
    ),
)  # fmt: skip

ALIKE: tuple[Alike, ...] = (
    Alike("AReaL", "ppo_actor/update/behave_approx_kl/avg", "mismatch_kl", "mean_t(training - rollout): the opposite sign"),
    Alike("slime", "train/mis_kl", "mismatch_kl", "mean of sequences' means: 0.0617 where the mean over tokens is 0.0999"),
    Alike("slime", "train/mis_k3_kl", "mismatch_k3_kl", "mean of sequences' means: 0.0427 where tokens have 0.0705"),
    Alike(
        "slime", "train/train_rollout_logprob_abs_diff", "logprob_abs_diff_mean",
        "mean of sequences' means unless calculate_per_token_loss is set, which the name does not tell",
    ),
    Alike(
        "slime", "train/mis_chi2_seq", "chi2_seq",
        "over tokens if calculate_per_token_loss is set, which the name does not tell",
    ),
    Alike("Miles", "train/train_rollout_kl", "mismatch_k3_kl", "clamped to within 10"),
    Alike("Miles", "train/ess_ratio", "ratio_eff_sample_size", "of the new policy over the old one, not training over rollout"),
    Alike("prime-rl", "mismatch_kl/all/max", "mismatch_kl", "the largest K3 of a token, and no mean"),
    Alike("NeMo-RL", "train/policy_kl_error", "mismatch_k3_kl", "K3 of training || rollout: 3.44 where ours is 0.0705"),
    Alike("NeMo-RL", "train/sampling_importance_ratio", "ratio_mean", "after truncation"),
    Alike("Tinker", "optim/kl_sample_train_v2", "mismatch_k3_kl", "K2, half the mean of squares"),
    Alike("ms-swift", "rollout_correction/chi2_seq", "chi2_seq", "of geometric means: -0.088 where products have 1.316"),
    Alike(
        "ms-swift", "rollout_correction/ess", "rollout_is_eff_sample_size",
        "weights clamped to within [1/C, C] first, masked ones too",
    ),
    Alike("TRL", "sampling/importance_sampling_ratio/mean", "ratio_mean", "after truncation or masking"),
    Alike("TRL", "sampling/importance_sampling_ratio/min", "ratio_min", "after truncation or masking"),
    Alike("TRL", "sampling/importance_sampling_ratio/max", "ratio_max", "after truncation or masking"),
    Alike("ROLL", "actor/train_infer_ratio_token_mean", "ratio_mean", "0.9810 where the mean over tokens is 0.9705"),
    Alike("SkyRL", "policy/is_ratio_std", "ratio_std", "padding counts as 0: 0.552 where it is 0.358"),
    Alike("SkyRL", "policy/is_ratio_min", "ratio_min", "padding counts as 0: always 0 where there is any"),
    *(
        Alike(_E7CDCE1, f"mismatch/rollout_is_{name}", f"rollout_is_{name}", why)
        for name, why in (
            ("max", "at sequence level the ratio before truncation"),
            ("min", "at sequence level the ratio before truncation"),
            ("ratio_fraction_high", "counted after truncation at token level, where it is always 0"),
            ("seq_fraction_high", "counted after truncation, where it is always 0"),
            ("seq_fraction_low", "of truncated weights"),
        )
    ),
    *(
        Alike(_V09, f"rollout_corr/rollout_is_{name}", f"rollout_is_{name}", why)
        for name, why in (
            ("max", "at sequence level the ratio before truncation"),
            ("min", "at sequence level the ratio before truncation"),
            ("std", "of weights within [0, C]"),
            ("eff_sample_size", "of weights within [0, C]"),
        )
    ),
    Alike(
        _V09, "rollout_corr/rollout_is_oob_ratio", "rollout_is_masked_fraction",
        "without what rejection and veto take out",
    ),
)  # fmt: skip

BY_NAME = {one.name: one for one in SAME}
NOT_BY_NAME = {one.name: one for one in ALIKE}


def metric_of(name: str) -> str | None:
    """Return the figure of the catalogue that a name means, None if it keeps its own."""
    if name in METRICS:
        return name
    return BY_NAME[name].metric if name in BY_NAME else None
