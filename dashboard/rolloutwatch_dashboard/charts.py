"""Which charts a run's page has, in which groups."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from rolloutwatch_contract import CORE_METRICS, METRICS, Group
from rolloutwatch_contract.protocol import RunDetail
from rolloutwatch_contract.rejection_metrics import OPTIONS
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
LOSSES = ("unmeasured_steps", "dropped_records")
# in good order they are 0 at every step, or never come, and no chart is needed to see it
SHOWN_WHEN_NOT_ZERO = (UNREADABLE, *LOSSES, "saturated_fraction")
# as they are called in words, the likeliest first; what spreads or bounds a reward is not the reward
REWARDS = ("reward", "rewards", "score", "scores", "return", "returns")
NOT_THE_REWARD = {
    "max",
    "min",
    "std",
    "var",
    "median",
    "count",
    "length",
    "model",
    "weight",
    "fraction",
    "seconds",
}
LINES_BY_GROUP = 6  # more groups of sequences get another chart


class ChartGroup(NamedTuple):
    """Charts that belong together, under a heading."""

    name: str
    heading: str
    charts: Sequence[Chart]


class _Row(NamedTuple):
    name: str
    title: str
    metrics: Mapping[str, str]
    floor: float = 0.0
    home: tuple[float, ...] = ()


_IS = "rollout_is"
_SEQ = "rollout_is_seq"
_PPL = "mismatch_log_ppl"

# every figure of the catalogue stands in one of these, in the group that the catalogue says, or in `_rejection`
_ROWS: Mapping[Group, tuple[str, tuple[_Row, ...]]] = {
    Group.HEALTH: ("Health indicators", (
        _Row("ess", "Effective sample size",
             {"ratio_eff_sample_size": "ratios", f"{_IS}_eff_sample_size": "weights"}, home=(0.0, 1.0)),
        _Row("veto", "Veto fraction", {f"{_IS}_veto_fraction": "vetoed"}, home=(0.0, 0.1)),
        _Row("weight-mean", "Weight, mean", {f"{_IS}_mean": "mean"}, 1e-3),
    )),
    Group.DISTRIBUTION: ("Distribution", (
        _Row("weight-extremes", "Weight, extremes", {f"{_IS}_max": "weights", f"{_IS}_min": "weights"}, 1e-6),
        _Row("weight-std", "Weight, standard deviation", {f"{_IS}_std": "weights"}, 1e-4, (1e-3, 1.0)),
        _Row("weight-seq", "Weight of a sequence",
             {f"{_SEQ}_mean": "mean", f"{_SEQ}_max": "extremes", f"{_SEQ}_min": "extremes"}, 1e-6),
        _Row("weight-seq-spread", "Weight of a sequence, spread",
             {f"{_SEQ}_std": "standard deviation", f"{_SEQ}_max_deviation": "largest deviation"}, 1e-4, (1e-3, 1.0)),
    )),
    Group.DIAGNOSTICS: ("Diagnostics", (
        _Row("removed", "Removed from the loss",
             {f"{_IS}_masked_fraction": "tokens", f"{_IS}_seq_masked_fraction": "sequences hit"}, home=(0.0, 0.5)),
        _Row("outside", "Ratios outside the thresholds",
             {f"{_IS}_ratio_fraction_high": "above", f"{_IS}_ratio_fraction_low": "below"}, home=(0.0, 0.1)),
        _Row("outside-seq", "Sequences outside the thresholds",
             {f"{_SEQ}_fraction_high": "above", f"{_SEQ}_fraction_low": "below"}, home=(0.0, 0.1)),
        _Row("catastrophic", "Catastrophic tokens", {f"{_IS}_catastrophic_token_fraction": "tokens"}, home=(0.0, 0.01)),
        _Row("norm", "Normalisation of the weights", {f"{_IS}_batch_norm_factor": "factor"}),
    )),
    Group.PERPLEXITY: ("Perplexity", (
        _Row("ppl", "Perplexity ratio", {"mismatch_ppl_ratio": "training / rollout"}, 1e-3),
        _Row("perplexity", "Perplexity", {"mismatch_training_ppl": "training", "mismatch_rollout_ppl": "rollout"}),
        _Row("log-ppl", "Log perplexity", {"mismatch_training_log_ppl": "training", "mismatch_rollout_log_ppl": "rollout"}),
        _Row("log-ppl-diff", "Log perplexity difference", {f"{_PPL}_diff": "signed", f"{_PPL}_abs_diff": "absolute"}),
        _Row("log-ppl-diff-extremes", "Log perplexity difference, extremes",
             {f"{_PPL}_diff_max": "highest", f"{_PPL}_diff_min": "lowest"}),
    )),
    Group.KL: ("KL", (
        _Row("k3", "KL (K3)", {"mismatch_k3_kl": "K3"}, 1e-7, (1e-5, 0.1)),
        _Row("k1", "KL (K1)", {"mismatch_kl": "K1"}),
        _Row("k3-share", "Share of K3 in one sequence", {"mismatch_k3_seq_share_max": "largest"}, home=(0.0, 1.0)),
        _Row("chi2", "Chi-square, tokens", {"chi2_token": "tokens"}, 1e-3),
        _Row("chi2-seq", "Chi-square, sequences", {"chi2_seq": "sequences"}, 1e-3),
    )),
    Group.RATIO: ("Raw ratios", (
        _Row("mean", "Ratio, mean", {"ratio_mean": "ratios"}, 1e-3),
        _Row("std", "Ratio, standard deviation", {"ratio_std": "ratios"}, 1e-4, (1e-3, 1.0)),
        _Row("extremes", "Ratio, extremes", {"ratio_max": "ratios", "ratio_min": "ratios"}, 1e-6),
        _Row("outside-2x", "Tokens off by more than 2x", {"fraction_outside_2x": "tokens"}, home=(0.0, 0.1)),
        _Row("abs-diff", "|log ratio|", {
            "logprob_abs_diff_mean": "mean", "logprob_abs_diff_median": "median",
            "logprob_abs_diff_p99": "99th percentile",
        }),
        _Row("abs-diff-quarters", "|log ratio| along the response", {
            "logprob_abs_diff_first_quarter": "first quarter", "logprob_abs_diff_last_quarter": "last quarter",
        }),
        _Row("abs-diff-max", "|log ratio|, highest", {"logprob_abs_diff_max": "highest"}),
        _Row("corr", "Correlation of probabilities", {"prob_pearson_corr": "correlation"}, home=(0.9,)),
        _Row("slope", "Slope of the log-probs", {"logprob_slope": "slope"}),
        _Row("surprise", "Surprise gap", {"surprise_gap": "gap"}),
        _Row("seq-ess", "Effective sample size of sequences", {"seq_ratio_eff_sample_size": "ratios"}, home=(0.0, 1.0)),
        _Row("seq-mean", "Ratio of a sequence, mean", {"seq_ratio_mean": "ratios"}, 1e-3),
        _Row("seq-std", "Ratio of a sequence, standard deviation", {"seq_ratio_std": "ratios"}, 1e-4, (1e-3, 1.0)),
        _Row("seq-extremes", "Ratio of a sequence, extremes", {"seq_ratio_max": "ratios", "seq_ratio_min": "ratios"}, 1e-6),
    )),
    Group.REJECTION: ("Rejection", ()),
    Group.DATA: ("Data", (
        _Row(UNREADABLE, METRICS[UNREADABLE].title, {UNREADABLE: "tokens"}, home=(0.0, 0.1)),
        _Row("unmeasured_steps", METRICS["unmeasured_steps"].title, {"unmeasured_steps": "steps"}, home=(0.0, 1.0)),
        _Row("dropped_records", METRICS["dropped_records"].title, {"dropped_records": "records"}, home=(0.0, 1.0)),
        _Row("saturated", METRICS["saturated_fraction"].title, {"saturated_fraction": "tokens"}, home=(0.0, 0.01)),
        _Row("zero-logprobs", METRICS["zero_logprob_fraction"].title, {"zero_logprob_fraction": "tokens"}, home=(0.0, 1.0)),
        _Row("weight-age", METRICS["weight_age_steps"].title, {"weight_age_steps": "steps"}, home=(0.0, 1.0)),
        _Row("tokens", "Valid tokens", {"n_tokens": "tokens"}, home=(0.0,)),
        _Row("sequences", "Sequences", {"n_sequences": "sequences", "n_empty_sequences": "empty"}, home=(0.0,)),
    )),
}  # fmt: skip


def charts_of(run: RunDetail, not_zero: Iterable[str] = ()) -> Sequence[ChartGroup]:
    """Return a run's charts in their groups, of the figures that have come.

    `not_zero` names those of SHOWN_WHEN_NOT_ZERO that have not always been 0.
    """
    shown = {metric for metric in run.metrics if metric not in SHOWN_WHEN_NOT_ZERO} | {*not_zero}
    groups = [
        ChartGroup(group.value, heading, [*_charts(rows, shown)])
        for group, (heading, rows) in catalogued().items()
    ]
    groups += [
        ChartGroup("groups", "By group of sequences", [*_by_group(run.metrics)]),
        ChartGroup("training", "Training", [*_training(run.metrics)]),
    ]
    return [group for group in groups if group.charts]


def catalogued() -> Mapping[Group, tuple[str, Sequence[_Row]]]:
    """Return where each figure of the catalogue is drawn: rows of figures by group."""
    rows = [row for option in ("", *OPTIONS) for row in _rejection(option)]
    known = [
        row._replace(metrics={metric: label for metric, label in row.metrics.items() if metric in METRICS})
        for row in rows  # only k1 can be too low
    ]
    return {**_ROWS, Group.REJECTION: (_ROWS[Group.REJECTION][0], known)}


def _rejection(option: str) -> Iterator[_Row]:
    """Yield the charts of one way to reject; of the k options, divergences are compared, of the others ratios."""
    known = f"rollout_rs_{option}_" if option else "rollout_rs_"
    title = f"Rejection by {option}" if option else "Rejection"
    name = f"rejection-{option}" if option else "rejection"
    floor, of = (0.0, "") if option else (1e-6, "ratio_")
    yield _Row(name, f"{title}: removed", {f"{known}masked_fraction": "tokens", f"{known}seq_masked_fraction": "sequences"},
               home=(0.0, 0.5))  # fmt: skip
    yield _Row(f"{name}-compared", f"{title}: compared",
               {f"{known}mean": "mean", f"{known}max": "extremes", f"{known}min": "extremes"}, floor)  # fmt: skip
    yield _Row(
        f"{name}-std", f"{title}: spread", {f"{known}std": "standard deviation"}, 1e-4 if floor else 0.0
    )
    if not option:
        yield _Row(f"{name}-ess", f"{title}: ESS", {f"{known}eff_sample_size": "ratios"}, home=(0.0, 1.0))
    yield _Row(f"{name}-outside", f"{title}: outside the bounds",
               {f"{known}{of}fraction_high": "above", f"{known}{of}fraction_low": "below"}, home=(0.0, 0.1))  # fmt: skip
    yield _Row(f"{name}-seq", f"{title}: sequences",
               {f"{known}seq_mean": "mean", f"{known}seq_max": "extremes", f"{known}seq_min": "extremes"}, floor)  # fmt: skip
    yield _Row(f"{name}-seq-spread", f"{title}: sequences, spread",
               {f"{known}seq_std": "standard deviation", f"{known}seq_max_deviation": "largest deviation"},
               1e-4 if floor else 0.0)  # fmt: skip
    yield _Row(f"{name}-seq-outside", f"{title}: sequences outside the bounds",
               {f"{known}seq_fraction_high": "above", f"{known}seq_fraction_low": "below"}, home=(0.0, 0.1))  # fmt: skip


def _charts(rows: Iterable[_Row], shown: Collection[str]) -> Iterator[Chart]:
    """Yield the charts of what has come."""
    for row in rows:
        metrics = {metric: label for metric, label in row.metrics.items() if metric in shown}
        if metrics:
            yield _chart(row, metrics)


def _chart(row: _Row, metrics: Mapping[str, str]) -> Chart:
    first = METRICS[next(iter(metrics)).partition("@")[0]]
    return Chart(row.name, row.title, first.unit, metrics, first.ideal, row.floor, row.home)


def _by_group(metrics: Iterable[str]) -> Iterator[Chart]:
    """Yield the core figures of groups of sequences, a line each."""
    rows = {metric: row for _, rows in _ROWS.values() for row in rows for metric in row.metrics}
    groups: dict[str, list[str]] = {}
    for metric in sorted(metrics):
        core, at, group = metric.partition("@")
        if at and core in CORE_METRICS:
            groups.setdefault(core, []).append(group)
    for core in CORE_METRICS:
        known = groups.get(core, [])
        for first in range(0, len(known), LINES_BY_GROUP):
            row = rows[core]._replace(name=f"by-group-{core}-{first}", title=METRICS[core].title)
            yield _chart(row, {f"{core}@{group}": group for group in known[first : first + LINES_BY_GROUP]})


def _training(metrics: Collection[str]) -> Iterator[Chart]:
    """Yield what the trainer logs, the reward first, with how much the policies agree beside it."""
    logged = sorted(metric for metric in metrics if not _is_known(metric))
    charts = {metric: Chart(f"logged-{at}", metric, "", {metric: metric}) for at, metric in enumerate(logged)}
    reward = reward_of(logged)
    if reward is not None:
        yield charts.pop(reward)
        rows = [row._replace(name=f"{row.name}-beside") for row in _rows("ess", "k3")]
        yield from _charts(rows, metrics)
    yield from charts.values()


def _is_known(metric: str) -> bool:
    core, at, _ = metric.partition("@")
    return core in CORE_METRICS if at else metric in METRICS


def _rows(*names: str) -> list[_Row]:
    return [row for _, rows in _ROWS.values() for row in rows if row.name in names]


def reward_of(metrics: Iterable[str]) -> str | None:
    """Return which of the trainer's own figures is the reward, by its name; None if none is called so.

    >>> reward_of(["critic/rewards/max", "critic/rewards/mean", "critic/score/mean", "lr"])
    'critic/rewards/mean'
    >>> reward_of(["actor/loss", "reward_model/seconds"]) is None
    True
    """
    found = []
    for metric in metrics:
        words = re.split(r"[^a-z]+", metric.lower())
        ranks = [REWARDS.index(word) for word in words if word in REWARDS]
        if ranks and not NOT_THE_REWARD & {*words}:
            found.append((min(ranks), len(metric), metric))
    return min(found)[-1] if found else None
