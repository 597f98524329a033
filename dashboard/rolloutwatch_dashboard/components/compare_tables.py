"""Runs side by side: their figures in a few numbers, and where their configurations differ."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from dash import dcc, html

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.figure_summary import FigureSummary
from rolloutwatch_contract.limits import Limit, worst
from rolloutwatch_contract.metric import Better
from rolloutwatch_contract.protocol import RunDetail, Value
from rolloutwatch_dashboard.components import alert, badge
from rolloutwatch_dashboard.text import age, moment, number
from rolloutwatch_dashboard.words import title

ABSENT = object()
MOST_ALERTS = 1000


class Column(NamedTuple):
    """A run as one column: what is known of it, its figures in a few numbers, its alerts, and its limits."""

    detail: RunDetail
    figures: Mapping[str, FigureSummary]
    alerts: Sequence[AlertView]
    limits: Sequence[Limit]


def swatch(number: int) -> html.Span:
    """Return the line that a run has on all charts."""
    return html.Span(className=f"swatch run-{number}", **{"aria-hidden": "true"})


def summary(columns: Sequence[Column], metrics: Sequence[str], now: float) -> html.Div:
    """Return the table of figures, last, mean and worst of each."""
    about: dict[str, Sequence[Any]] = {
        "State": [_state(one.detail) for one in columns],
        "Steps": [_steps(one.detail) for one in columns],
        "Updated": [_updated(one.detail, now) for one in columns],
        "Alerts": [_alerts(one) for one in columns],
    }
    bodies = [html.Tbody([_row(name, cells) for name, cells in about.items()])]
    bodies += [_figure(metric, columns) for metric in metrics]
    return _table("Summary", columns, bodies)


def differences(details: Sequence[RunDetail]) -> html.Div:
    """Return the table of configuration and environment; rows in which nothing differs have the class `same`.

    Of one run alone nothing can differ, and all of it is shown.
    """
    bodies = []
    for heading, facts in (
        ("Configuration", [one.config for one in details]),
        ("Environment", [one.environment for one in details]),
    ):
        rows = _beside(facts)
        if not rows:
            rows = [_said("Nothing was told of it.", len(details))]
        elif all(row.className == "same" for row in rows):
            rows = [_said("Nothing differs.", len(details), "no-difference"), *rows]
        bodies.append(_group(heading, len(details), rows))
    return _table("Configuration and environment", [Column(one, {}, (), ()) for one in details], bodies)


def _table(caption: str, columns: Sequence[Column], bodies: Sequence[html.Tbody]) -> html.Div:
    heads = [html.Th([swatch(at), *_name(one.detail)], scope="col") for at, one in enumerate(columns)]
    head = html.Thead(html.Tr([html.Td(), *heads]))
    table = html.Table([html.Caption(caption, className="hidden"), head, *bodies], className="beside")
    # what is too wide scrolls by itself, also by keys
    return html.Div(table, className="side-by-side", tabIndex="0", role="region", **{"aria-label": caption})


def _name(detail: RunDetail) -> list[Any]:
    return [
        html.Span(f"{detail.summary.project} / ", className="project"),
        html.Span(detail.summary.name, className="run-name"),
    ]


def _row(name: Any, cells: Sequence[Any], class_name: str = "") -> html.Tr:
    made = [cell if isinstance(cell, html.Td) else html.Td(cell) for cell in cells]
    return html.Tr([html.Th(name, scope="row"), *made], className=class_name)


def _group(heading: Any, runs: int, rows: Sequence[html.Tr]) -> html.Tbody:
    head = html.Tr(html.Th(heading, colSpan=str(runs + 1), scope="rowgroup"), className="about")
    return html.Tbody([head, *rows])


def _said(text: str, runs: int, class_name: str = "") -> html.Tr:
    return html.Tr(html.Td(text, colSpan=str(runs + 1), className="quiet"), className=class_name)


def _state(detail: RunDetail) -> list[html.Span]:
    return [badge.state(detail.summary.state), *([badge.contested()] if detail.summary.contested else [])]


def _steps(detail: RunDetail) -> str:
    first, last = detail.summary.first_step, detail.summary.last_step
    return "no step yet" if first is None else f"{first} to {last}"


def _updated(detail: RunDetail, now: float) -> html.Span:
    at = detail.summary.updated_at
    return html.Span(age(now - at), title=moment(at))


def _alerts(column: Column) -> Any:
    firing = [one for one in column.alerts if one.is_firing]
    if not column.alerts:
        return "none"
    many = f"{MOST_ALERTS} or more" if len(column.alerts) >= MOST_ALERTS else str(len(column.alerts))
    text = f"{len(firing)} firing, {many} in all" if firing else f"{many}, none firing"
    kind = max(one.severity for one in firing).word if firing else ""
    return html.Span(alert.alerts_link(text, run=column.detail.summary.id), className=f"fires {kind}".strip())


def _figure(metric: str, columns: Sequence[Column]) -> html.Tbody:
    known = [one.figures.get(metric, FigureSummary()) for one in columns]
    limits = [one.limits for one in columns]
    about = METRICS.get(metric)
    unit = [" ", html.Span(about.unit, className="quiet unit")] if about and about.unit else []
    heading = html.Span([title(metric), *unit], title=about.meaning if about else metric)
    pairs = list(zip(known, limits, strict=True))
    rows = [
        _row("last", [_last(metric, one, of_it) for one, of_it in pairs]),
        _row("mean", [_mean(one) for one in known]),
        *(
            _row(word, [_extreme(metric, at, of_it) for at, (_, of_it) in zip(extremes, pairs, strict=True)])
            for word, extremes in _extremes(metric, known).items()
        ),
    ]
    return _group(heading, len(columns), rows)


_At = tuple[float | None, int | None]


def _extremes(metric: str, known: Sequence[FigureSummary]) -> dict[str, list[_At]]:
    """Return the worst value of each run; of a figure that nobody can say it of, the lowest and the highest."""
    about = METRICS.get(metric)
    if about is None or (about.better is Better.NEITHER):
        return {
            "lowest": [(one.lowest, one.lowest_step) for one in known],
            "highest": [(one.highest, one.highest_step) for one in known],
        }
    return {"worst": [worst_of(about.better, about.ideal, one) for one in known]}


def worst_of(better: Better, ideal: float | None, one: FigureSummary) -> _At:
    """Return the worst value of a figure and its step; of one that has an ideal value, what is farthest from it.

    From an ideal above 0 that is meant by a factor: 0.5 is as far from 1 as 2 is.
    """
    low, high = (one.lowest, one.lowest_step), (one.highest, one.highest_step)
    if one.lowest is None or one.highest is None or better is Better.LOWER:
        return high
    if better is Better.HIGHER:
        return low
    return max(low, high, key=lambda at: _distance(at[0] or 0.0, ideal or 0.0))


def _distance(value: float, ideal: float) -> float:
    if ideal <= 0 or math.isinf(value):
        return abs(value - ideal)
    return abs(math.log(value / ideal)) if value > 0 else math.inf


def _last(metric: str, one: FigureSummary, limits: Sequence[Limit]) -> html.Td:
    return _extreme(metric, (one.last, one.last_step), limits)


def _extreme(metric: str, at: _At, limits: Sequence[Limit]) -> html.Td:
    value, step = at
    if value is None or step is None:
        return html.Td("–", className="figure none")
    broken = worst(limits, metric, value)
    kind = "unknown" if math.isnan(value) else "" if broken is None else broken.severity.word
    said = "" if broken is None else broken.summary
    return html.Td(
        [html.Span(number(value), className="value-of"), " ", html.Span(f"at {step}", className="quiet")],
        className=f"figure {kind}".strip(),
        title=said,
    )


def _mean(one: FigureSummary) -> html.Td:
    odd = [f"{one.nan} NaN"] if one.nan else []
    odd += [f"{one.infinite} infinite"] if one.infinite else []
    beside = [" ", html.Span(f"without {' and '.join(odd)}", className="quiet")] if odd else []
    return html.Td([html.Span(number(one.mean), className="value-of"), *beside], className="figure")


def _beside(facts: Sequence[Mapping[str, Value]]) -> list[html.Tr]:
    names = sorted({name for one in facts for name in one})
    found = []
    for name in names:
        values = [one.get(name, ABSENT) for one in facts]
        differs = len(facts) == 1 or any(not _equal(values[0], other) for other in values[1:])
        texts = _texts(values)
        cells = [
            html.Td("–", className="quiet", title="not told") if value is ABSENT else html.Td(text)
            for value, text in zip(values, texts, strict=True)
        ]
        found.append(_row(name, cells, "" if differs else "same"))
    return found


def _equal(one: object, other: object) -> bool:
    """Tell whether two values are the same; True is not 1, and NaN is NaN."""
    if isinstance(one, bool) is not isinstance(other, bool):
        return False
    return one == other or (one != one and other != other)


def _texts(values: Sequence[object]) -> list[str]:
    """Return values as text; numbers shortly, but in full where two that differ would look the same."""
    short = [number(value) if isinstance(value, float) else _text(value) for value in values]
    first = dict(zip(reversed(short), reversed(values), strict=True))
    is_told_apart = all(_equal(first[text], value) for value, text in zip(values, short, strict=True))
    return short if is_told_apart else [_text(value) for value in values]


def _text(value: object) -> str:
    return "not set" if value is None else str(value)


def run_link(detail: RunDetail) -> dcc.Link:
    """Return the link to a run's page."""
    return dcc.Link(_name(detail), href=f"/runs/{quote(detail.summary.id)}", className="run")
