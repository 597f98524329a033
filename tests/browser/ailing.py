"""Figures of runs whose cause is told: rollout weights that are never synced again, and the same where nobody knows their age."""

from tests.browser.site import HEALTHY, STALE

AGE = "weight_age_steps"


def stale(step: int, onset: int) -> dict[str, float]:
    """Figures of a run whose rollout weights are as they were before `onset`."""
    since = step - onset
    chance = 1 + 0.03 * ((7 * step) % 11 - 5) / 5  # else there is no spread that something could be off by
    fine = {
        "n_tokens": 4096.0,
        "logprob_abs_diff_mean": 0.012 * chance,
        "logprob_abs_diff_median": 0.002 * chance,
        "mismatch_kl": 2e-4 * chance,
        "mismatch_k3_kl": 2e-4 * chance,
        "prob_pearson_corr": 0.9995,
        "logprob_slope": 1 + 0.002 * (chance - 1),
        "mismatch_k3_seq_share_max": 0.12,
        AGE: 1.0,
    }
    if since < 0:
        return HEALTHY | fine
    grown = (0.2 + 0.02 * since) * chance
    ill = {
        "logprob_abs_diff_mean": 0.05 + 0.006 * since,
        "logprob_abs_diff_median": 0.012 + 0.0015 * since,
        "mismatch_kl": grown,
        "mismatch_k3_kl": 0.98 * grown,
        "prob_pearson_corr": 0.97,
        AGE: 1.0 + since,
    }
    return STALE | fine | ill


def unclear(step: int, onset: int) -> dict[str, float]:
    """The same of a run that does not say how old its rollout weights are."""
    return {name: value for name, value in stale(step, onset).items() if name != AGE}
