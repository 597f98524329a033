"""Which charts a run's page has."""

from collections.abc import Mapping, Sequence

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.protocol import RunDetail
from rolloutwatch_dashboard.figures.timeseries import Chart

TILES = {
    "ratio_eff_sample_size": "ESS",
    "rollout_is_veto_fraction": "Veto fraction",
    "mismatch_ppl_ratio": "PPL ratio",
    "mismatch_k3_kl": "KL",
}
SMALL_PRINT = {
    "ratio_eff_sample_size": ("rollout_is_eff_sample_size", "of weights"),
    "rollout_is_veto_fraction": ("rollout_is_masked_fraction", "tokens removed"),
    "mismatch_ppl_ratio": ("mismatch_training_ppl", "training PPL"),
    "mismatch_k3_kl": ("mismatch_kl", "K1"),
}


def charts_of(run: RunDetail) -> Mapping[str, Sequence[Chart]]:
    """Return a run's charts by heading."""
    weighted = bool(run.config.get("rollout_is"))
    spread = "rollout_is" if weighted else "ratio"
    what = "Weight" if weighted else "Ratio"
    health = [
        _chart(
            "ess",
            "Effective sample size",
            {"ratio_eff_sample_size": "ratios"}
            | ({"rollout_is_eff_sample_size": "weights"} if weighted else {}),
        ),
        _chart("ppl", "Perplexity ratio", {"mismatch_ppl_ratio": "training / rollout"}),
        _chart("k3", "KL (K3)", {"mismatch_k3_kl": "K3"}, log=True),
        _chart("k1", "KL (K1)", {"mismatch_kl": "K1"}),
        _chart("mean", f"{what}, mean", {f"{spread}_mean": "mean"}),
        _chart("std", f"{what}, standard deviation", {f"{spread}_std": "std"}),
        _chart(
            "extremes", f"{what}, extremes", {f"{spread}_max": "highest", f"{spread}_min": "lowest"}, log=True
        ),
    ]
    if "rollout_is_veto_fraction" in run.metrics or run.config.get("rollout_token_veto_threshold"):
        health.insert(1, _chart("veto", "Veto fraction", {"rollout_is_veto_fraction": "vetoed"}))
    logged = sorted(metric for metric in run.metrics if metric not in METRICS)
    training = [
        Chart(f"logged-{index}", metric, "value", {metric: metric}) for index, metric in enumerate(logged)
    ]
    return {"Mismatch by step": health, "Training by step": training}


def _chart(name: str, title: str, metrics: Mapping[str, str], *, log: bool = False) -> Chart:
    first = METRICS[next(iter(metrics))]
    return Chart(name, title, first.unit, metrics, first.ideal, log)
