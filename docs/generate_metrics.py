"""Print docs/metrics.md from the metric catalogue and the default rules; with --check only tell whether it is fresh."""

import math
import sys
from collections.abc import Iterable
from pathlib import Path

from generating import write_or_check

from rolloutwatch_contract import METRICS, Metric
from rolloutwatch_contract.limits import DEFAULT_LIMITS, Limit
from rolloutwatch_contract.metric import Group
from rolloutwatch_contract.rejection_metrics import OPTIONS, RATIO_METRICS, option_metrics

BAR = r"\|"  # a bar inside a cell
PAGE = Path(__file__).with_name("metrics.md")

HEADINGS = {
    Group.HEALTH: "Health",
    Group.DISTRIBUTION: "Distribution of the weights",
    Group.DIAGNOSTICS: "Diagnostics",
    Group.PERPLEXITY: "Perplexity",
    Group.KL: "KL and other divergences",
    Group.RATIO: "Ratios as they came, before any correction",
    Group.REJECTION: "Rejection",
    Group.DATA: "The data",
}

INTRODUCTION = """# Metrics

Printed by `make docs` from `catalogue.py` and `default_rules.toml` in `contract/rolloutwatch_contract`; edit those.

A metric whose *needs* names a key of the configuration comes only when that key is set: what is off is absent, never 0.
Loggers that want a prefix put `mismatch/` in front of a name.

| symbol | what it is |
|---|---|
| `l` | training_logprobs - rollout_logprobs of one valid response token, the log ratio |
| `r` | exp(l), the ratio |
| `w` | the weight: r at its level, within the thresholds |
| `u` | what spread and ESS are of: w held within [c, C], or w itself in mode mask |
| `mean_t` | mean over all valid tokens of the batch |
| `mean_s` | mean over all sequences that have a valid token |
| `S`, `M` | sum and mean of l over one sequence |
| `C`, `c` | upper and lower threshold |
| `q`, `lo`, `hi` | the ratio that `rollout_rs` token, sequence or geometric compares, and its bounds |
| `x` | what a k option compares: k1 = -l, k2 = l^2 / 2 or k3 = exp(l) - 1 - l, of a token or a sequence, l held within +-20 |

With groups, the figures of `CORE_METRICS` come for each group too, as `metric@group`.
"""

RULES = """## When a figure is a reason to worry

These limits colour the tiles and are drawn into the charts; a value exactly at a limit is still good.
They are those of the default [rules](rules.md) that are about one value; `rule` is the name of the rule, and of its guide.

"""


def main() -> int:
    """Write the page, or compare it; returns the exit code."""
    return write_or_check(PAGE, page(), "the catalogue says")


def page() -> str:
    """Return the whole page."""
    groups = {group: [m for m in METRICS.values() if m.group is group] for group in Group}
    groups[Group.REJECTION] = list(RATIO_METRICS)
    sections = [f"## {HEADINGS[group]}\n\n{metrics_table(metrics)}" for group, metrics in groups.items()]
    sections.insert(list(Group).index(Group.REJECTION) + 1, options_section())
    return "\n".join([INTRODUCTION, *sections, RULES + rules_table(DEFAULT_LIMITS)])


def options_section() -> str:
    """Return the figures of the k options once for all of them."""
    options = ", ".join(f"`{option}`" for option in OPTIONS)
    metrics = option_metrics("token_k1")
    rows = metrics_table(metrics).replace("rollout_rs_token_k1", "rollout_rs_{option}")
    rows = rows.replace("`rollout_rs: token_k1`", "`rollout_rs: {option}`")
    return (
        f"### Of each k option\n\n`{{option}}` is one of {options}. "
        f"The two about what is too low come for k1 alone.\n\n{rows}"
    )


def metrics_table(metrics: Iterable[Metric]) -> str:
    """Return a table of metrics."""
    head = ["metric", "meaning", "formula", "unit, of a", "ideal", "needs"]
    return table(
        head,
        (
            [
                f"`{one.name}`",
                one.meaning,
                f"`{one.formula}`",
                f"{one.unit}, {one.level.value}",
                "" if one.ideal is None else f"{one.ideal:g}",
                f"`{one.needs}`" if one.needs else "",
            ]
            for one in metrics
        ),
    )


def rules_table(rules: Iterable[Limit]) -> str:
    """Return a table of rules."""
    head = ["rule", "metric", "severity", "bad if", "what it means", "cure"]
    return table(
        head,
        (
            [f"`{r.name}`", f"`{r.metric}`", r.severity.name.lower(), limits(r), r.summary, r.cure]
            for r in rules
        ),
    )


def limits(rule: Limit) -> str:
    """Return the bad side of a rule in words."""
    sides = [(rule.above, "above"), (rule.below, "below")]
    return " or ".join(f"{word} {limit:.4g}" for limit, word in sides if math.isfinite(limit))


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', BAR) for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
