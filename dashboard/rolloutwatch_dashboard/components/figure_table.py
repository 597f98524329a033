"""The figures of a step beside what is usual for them: those that stand out, and all of them by the groups of the catalogue."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

from dash import html

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.baselines import LEAST, SAMPLES
from rolloutwatch_contract.limits import Limit
from rolloutwatch_dashboard.text import number, where
from rolloutwatch_dashboard.usual import BEFORE, SPREADS, Compared, Usual
from rolloutwatch_dashboard.words import title

OUTSTANDING = 5.0  # spreads
MOST_OUTSTANDING = 12
WIDEST = 12.0  # spreads that a strip has room for, to either side
OF_OTHERS = "Logged by the trainer"
OF_GROUPS = "By group of sequences"
HEADS = ("Figure", "Value", "Usual", "Off", "Limit")


def outstanding(found: Sequence[Compared]) -> list[Compared]:
    """Return what breaks a limit, the worst first, then what is no finite number, then what is farthest from usual."""
    some = [one for one in found if is_outstanding(one)]
    some.sort(key=lambda one: (-(one.broken.severity if one.broken else 0), -_far(one)))
    return some


def is_outstanding(one: Compared) -> bool:
    """Tell whether a figure breaks a limit, is no finite number, or is far from where it was before."""
    return one.broken is not None or not math.isfinite(one.value) or abs(one.off) >= OUTSTANDING


def _far(one: Compared) -> float:
    return math.inf if math.isnan(one.off) else abs(one.off)


def table(found: Sequence[Compared], limits: Sequence[Limit]) -> html.Table:
    """Return figures with value, usual range, distance, and limit."""
    head = html.Thead(html.Tr([html.Th(text, scope="col") for text in HEADS]))
    return html.Table([head, html.Tbody([_row(one, limits) for one in found])], className="rows step-figures")


def grouped(found: Sequence[Compared], limits: Sequence[Limit]) -> list[Any]:
    """Return all figures, in the order of the catalogue, under the names of its groups."""
    places = {name: at for at, name in enumerate(METRICS)}
    order = sorted(
        found,
        key=lambda one: (_group(one.metric)[0], places.get(one.metric.partition("@")[0], 0), one.metric),
    )
    return [
        part
        for (_, heading), some in itertools.groupby(order, key=lambda one: _group(one.metric))
        for part in (html.H3(heading), table(list(some), limits))
    ]


def _group(metric: str) -> tuple[int, str]:
    name, at, _ = metric.partition("@")
    if name not in METRICS:
        return 98, OF_OTHERS
    if at:
        return 99, OF_GROUPS
    group = METRICS[name].group
    return list(type(group)).index(group), HEADINGS[group.value]


HEADINGS = {
    "health": "Health",
    "distribution": "Distribution of the weights",
    "diagnostics": "Diagnostics",
    "perplexity": "Perplexity",
    "kl": "KL",
    "ratio": "Raw ratios",
    "rejection": "Rejection",
    "data": "Data",
}


def _row(one: Compared, limits: Sequence[Limit]) -> html.Tr:
    name = one.metric.partition("@")[0]
    about = f"{METRICS[name].meaning} {METRICS[name].formula}" if name in METRICS else one.metric
    severity = one.broken.severity.word if one.broken else ""
    own = [limit for limit in limits if limit.metric == one.metric]
    return html.Tr(
        [
            html.Td(title(one.metric), title=about),
            html.Td(number(one.value), className=f"figure {severity}".strip(), **{"data-label": HEADS[1]}),
            html.Td(_usual(one.usual), className="figure", **{"data-label": HEADS[2]}),
            html.Td(_off(one), className="figure off", **{"data-label": HEADS[3]}),
            html.Td(_limits(own), className="" if own else "none", **{"data-label": HEADS[4]}),
        ]
    )


def _usual(usual: Usual | None) -> Any:
    if usual is None:
        return html.Span(f"fewer than {LEAST} values before", className="quiet")
    if usual.low == usual.high:
        return f"always {number(usual.center)}"
    return [
        number(usual.center) if usual.is_spread else f"mostly {number(usual.center)}",
        html.Span(f" ({number(usual.low)} to {number(usual.high)})", className="quiet"),
    ]


def _off(one: Compared) -> Any:
    if math.isnan(one.off):
        return "–"
    return [_strip(one.off), html.Span(told_off(one.off))]


def told_off(off: float) -> str:
    """Return how far a figure is from its median, in spreads.

    >>> [told_off(one) for one in (0.0, 2.345, -12.0, 123456.0, math.inf)]
    ['0', '+2.3', '-12', '> +999', 'changed']
    """
    if math.isinf(off):
        return "changed"
    if abs(off) > 999:
        return f"{'> +' if off > 0 else '< -'}999"
    return f"{off:+.1f}".removesuffix(".0") if round(off, 1) else "0"


def _strip(off: float) -> html.Span:
    """Return a picture of it: the usual range in the middle, and where this value is."""
    place = 50 + 50 * max(-WIDEST, min(WIDEST, off)) / WIDEST
    is_far = abs(off) >= OUTSTANDING
    return html.Span(
        html.I(style={"left": f"{place:.1f}%"}, className="far" if is_far else ""),
        className="strip",
        **{"aria-hidden": "true"},
    )


def _limits(limits: Sequence[Limit]) -> Any:
    words = dict.fromkeys((limit.severity.word, where(limit)) for limit in limits)
    return html.Span(
        [html.Span(f"{severity} {place}", className=severity) for severity, place in words],
        className="limits",
    )


def explanation() -> str:
    """Return what the columns mean."""
    return (
        f"Usual is the median of the older half of up to {BEFORE} values before this step, since the session began, "
        f"with the range of {number(SPREADS)} spreads to either side, or with all that came where most are equal; "
        f"off is how many spreads this value is away, which rules call jump(metric, {SAMPLES}). "
        "A spread is 1.4826 times the median distance from the median: a standard deviation that wild values do not move. "
        "It is counted on the scale of the figure, on which it is at least an eighth, where it has one."
    )
