"""What the scripts of a run's page need: where figures go, how they are judged, and the most recent ones."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.drops import DROPS
from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import RunDetail, Series, SessionView
from rolloutwatch_contract.tags import LETTERS_OF_A_TAG, MOST_TAGS
from rolloutwatch_dashboard import ids, theme
from rolloutwatch_dashboard.charts import SHOWN_WHEN_NOT_ZERO, SMALL_PRINT, TILES, UNREADABLE, ChartGroup
from rolloutwatch_dashboard.components import heatmap
from rolloutwatch_dashboard.components.tile import off
from rolloutwatch_dashboard.figures.baseline import BAND
from rolloutwatch_dashboard.figures.bounds import bounds_of
from rolloutwatch_dashboard.figures.timeseries import Chart, sides_of
from rolloutwatch_dashboard.judgement import is_off
from rolloutwatch_dashboard.pages.run_alerts import followed_marks
from rolloutwatch_dashboard.pages.run_charts import MARKS, POINTS, Drawing, first_of, parts_of, read
from rolloutwatch_dashboard.usual import followed_usual

STEPS_OF_TREND = 60
LEAST_OF_TREND = 20  # a figure that has come less often in the last steps is taken from its whole series


def followed(groups: Sequence[ChartGroup], drawing: Drawing, now: float) -> dict[str, Any]:
    """Return what the scripts need of a run's page; a chart is not `drawn` before somebody looks at it."""
    run, limits = drawing.run, drawing.limits
    summary = run.summary
    parts = parts_of(groups)
    first = first_of(parts)
    marks, _ = drawing.marks
    return {
        "kind": "run",
        "page": drawing.name,
        "marks": followed_marks(marks),
        "ends": drawing.ends,
        "run": summary.id,
        "project": summary.project,
        "name": summary.name,
        "tags": list(summary.tags),
        "tags_may_be": {"most": MOST_TAGS, "letters": LETTERS_OF_A_TAG},
        "state": summary.state.value,
        "generation": run.generation,
        "first": summary.first_step,
        "step": summary.last_step,
        "metrics": list(run.metrics),
        "measured": [metric for metric in run.metrics if metric in METRICS],
        "unreadable": UNREADABLE,
        "shown_when_not_zero": list(SHOWN_WHEN_NOT_ZERO),
        "dropped": run.dropped,
        "losses": DROPS,
        "rivals": [_rival(session) for session in run.rivals],
        "mark_styles": {**theme.MARKS, BAND: theme.BAND},
        "most_marks": MARKS,
        "started_at": summary.started_at,
        "updated_at": summary.updated_at,
        "seconds_since_update": now - summary.updated_at,
        "points": POINTS,
        "heatmap": heatmap.followed(run) if heatmap.has_heatmap(run) else None,
        "charts": [
            {
                **_followed_chart(chart, limits),
                "group": ids.group(part.group),
                "part": part.name,
                "drawn": part.name in first,
            }
            for part in parts
            for chart in part.charts
        ],
        "tiles": [_followed_tile(run, metric, title) for metric, title in TILES.items()],
        "rules": [followed_limit(limit) for limit in limits],
        "recent": {metric: _recent(one) for metric, one in _lately(drawing).items() if len(one.step)},
    }


def _lately(drawing: Drawing) -> Mapping[str, Series]:
    """Return the newest values of what is judged, and of what stands beside it on a tile."""
    run, source = drawing.run, drawing.source
    judged = ({rule.metric for rule in drawing.limits} & {*run.metrics}) | {*TILES, UNREADABLE}
    wanted = sorted(judged | {metric for metric, _ in SMALL_PRINT.values()})
    tail = read(source, run, wanted, from_step=max(0, (run.summary.last_step or 0) - 2 * STEPS_OF_TREND))
    seldom = [name for name, one in tail.items() if len(one.step) < LEAST_OF_TREND]
    return {**tail, **read(source, run, sorted({*seldom, UNREADABLE}), points=POINTS)} if seldom else tail


def _rival(session: SessionView) -> dict[str, str]:
    return {"session": session.id, **{name: session.environment.get(name, "") for name in ("host", "pid")}}


def _followed_tile(run: RunDetail, metric: str, title: str) -> dict[str, Any]:
    return {
        "id": ids.tile(metric),
        "metric": metric,
        "title": title,
        "beside": SMALL_PRINT.get(metric),
        "off": off(METRICS[metric]) if is_off(run, metric) else None,
    }


def _followed_chart(chart: Chart, limits: Sequence[Limit]) -> dict[str, Any]:
    own = [limit for limit in limits if limit.metric in chart.metrics]
    return {
        "id": ids.chart(chart.name),
        "name": chart.name,
        "title": chart.title,
        "metrics": list(chart.metrics),
        "labels": list(chart.metrics.values()),
        "limits": sides_of(own),
        "bounds": {axis: bounds_of(own, chart.ideal, log=axis == "log") for axis in ("log", "linear")},
        "ideal": chart.ideal,
        "floor": chart.floor,
        "usual": followed_usual(next(iter(chart.metrics))),
        "home": list(chart.home),
    }


def followed_limit(limit: Limit) -> dict[str, Any]:
    """Return a limit as figures.js judges by it."""
    title = METRICS[limit.metric].title if limit.metric in METRICS else limit.metric
    sides = {
        name: side if math.isfinite(side) else None
        for name, side in (("above", limit.above), ("below", limit.below))
    }
    about = {"title": title, "summary": limit.summary, "cure": limit.cure}
    return {"name": limit.name, "metric": limit.metric, "severity": int(limit.severity), **sides, **about}


def _recent(series: Series) -> dict[str, list[Any]]:
    values = series.value[-STEPS_OF_TREND:].tolist()
    return {"step": series.step[-STEPS_OF_TREND:].tolist(), "value": [_spelt(value) for value in values]}


def _spelt(value: float) -> float | str | None:
    """Return a value as JSON can have it: NaN is None, and an infinity is spelt."""
    if math.isfinite(value):
        return value
    return None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
