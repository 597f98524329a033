"""Which charts a run's page has."""

from collections.abc import Iterable, Mapping, Sequence

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
UNREADABLE = "nonfinite_fraction"
# in good order they are 0 at every step, or never come, and no chart is needed to see it; each with its label and its home
LOSSES = {"unmeasured_steps": ("steps", (0.0, 1.0)), "dropped_records": ("records", (0.0, 1.0))}
SHOWN_WHEN_NOT_ZERO = {UNREADABLE: ("tokens", (0.0, 0.1)), **LOSSES}


def charts_of(run: RunDetail, not_zero: Iterable[str] = ()) -> Mapping[str, Sequence[Chart]]:
    """Return a run's charts by heading; `not_zero` names those of SHOWN_WHEN_NOT_ZERO that have not always been 0."""
    weighted = bool(run.config.get("rollout_is"))
    health = [
        _chart("ess", "Effective sample size", _both("eff_sample_size", weighted), home=(0.0, 1.0)),
        *([_veto()] if _has(run, "rollout_is_veto_fraction", "rollout_token_veto_threshold") else []),
        _chart("ppl", "Perplexity ratio", {"mismatch_ppl_ratio": "training / rollout"}, floor=1e-3),
        _chart("k3", "KL (K3)", {"mismatch_k3_kl": "K3"}, floor=1e-7, home=(1e-5, 0.1)),
        _chart("k1", "KL (K1)", {"mismatch_kl": "K1"}),
        _chart("mean", _title("mean", weighted), _both("mean", weighted), floor=1e-3),
        _chart("std", _title("standard deviation", weighted), _both("std", weighted), floor=1e-4, home=(1e-3, 1.0)),
        _chart("extremes", _title("extremes", weighted), _both("max", weighted) | _both("min", weighted), floor=1e-6),
        *([_removed()] if _has(run, "rollout_is_masked_fraction", "rollout_token_veto_threshold") else []),
        *(_when_not_zero(name) for name in not_zero),
    ]  # fmt: skip
    logged = sorted(metric for metric in run.metrics if metric not in METRICS)
    training = [Chart(f"logged-{index}", metric, "", {metric: metric}) for index, metric in enumerate(logged)]
    return {"Mismatch by step": health, "Training by step": training}


def _has(run: RunDetail, metric: str, needs: str) -> bool:
    return metric in run.metrics or bool(run.config.get(needs))


def _veto() -> Chart:
    return _chart("veto", "Veto fraction", {"rollout_is_veto_fraction": "vetoed"}, home=(0.0, 0.1))


def _removed() -> Chart:
    return _chart("removed", "Tokens removed", {"rollout_is_masked_fraction": "removed"}, home=(0.0, 0.5))


def _when_not_zero(name: str) -> Chart:
    label, home = SHOWN_WHEN_NOT_ZERO[name]
    return _chart(name, METRICS[name].title, {name: label}, home=home)


def _title(what: str, weighted: bool) -> str:
    return f"{'Ratio and weight' if weighted else 'Ratio'}, {what}"


def _both(what: str, weighted: bool) -> dict[str, str]:
    """Return a figure of the untouched ratios, which is judged, and of the weights, if there are any."""
    return {f"ratio_{what}": "ratios"} | ({f"rollout_is_{what}": "weights"} if weighted else {})


def _chart(
    name: str, title: str, metrics: Mapping[str, str], *, floor: float = 0.0, home: tuple[float, ...] = ()
) -> Chart:
    first = METRICS[next(iter(metrics))]
    return Chart(name, title, first.unit, metrics, first.ideal, floor, home)
