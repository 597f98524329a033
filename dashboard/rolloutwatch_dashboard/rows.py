"""A run in the table of all runs: what stands in its row, in words, and its figures as they are judged."""

import math
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import numpy as np

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import RunDetail, RunState, RunSummary, Series, Source
from rolloutwatch_contract.severity import Severity
from rolloutwatch_dashboard.charts import TILES, UNREADABLE, charts_of
from rolloutwatch_dashboard.components.alert import SYMBOLS
from rolloutwatch_dashboard.figures.sparkline import sparkline
from rolloutwatch_dashboard.figures.timeseries import Chart
from rolloutwatch_dashboard.judgement import WORDS, health, is_past, verdict, with_voids
from rolloutwatch_dashboard.text import number

STEPS_BACK = (
    300  # in which a figure is looked for, and drawn; one that comes less often is shown on the run's page
)
BEYOND = 1e308  # stands for infinity where what is not finite has no name

Row = dict[str, Any]


class Lately:
    """What a run has come to: itself, and the last steps of the figures by which it is judged."""

    def __init__(self, source: Source, run: RunSummary, limits: Sequence[Limit]) -> None:
        self.detail = source.run(run.id) or RunDetail(run, (), {}, {}, {})
        last = self.detail.summary.last_step or 0
        self.steps = max(self.detail.summary.first_step or 0, last - STEPS_BACK), last
        read = source.series(run.id, _judged(self.detail, limits), from_step=self.steps[0])
        has_voids = bool((read[UNREADABLE].value >= 1.0).any())
        self.series = {
            name: with_voids(one, read[UNREADABLE]) if has_voids and name in METRICS else one
            for name, one in read.items()
        }


def _judged(run: RunDetail, limits: Sequence[Limit]) -> list[str]:
    """Return what a run's health depends on; what it does not have is not asked for."""
    return sorted({rule.metric for rule in limits} & set(run.metrics) | {*TILES, UNREADABLE})


def row(run: RunSummary, lately: Lately, limits: Sequence[Limit], firing: Sequence[AlertView]) -> Row:
    """Return what runs.js makes a row of. A run that has stalled is of the past, whatever it was."""
    word, kind = health(msgspec.structs.replace(lately.detail, summary=run), lately.series, TILES, limits)
    # the head of a run's page is the worst of what is judged and of what alerts say, and so is its row
    grave = max((one.severity for one in firing), default=Severity.OK)
    if grave > max((one for one in Severity if WORDS[one] == word), default=Severity.OK):
        word, kind = WORDS[grave], grave.word
    if run.state is RunState.STALLED:
        word, kind = word if kind == "unknown" else f"was {word}", "unknown"
    return {
        "id": run.id,
        "project": run.project,
        "name": run.name,
        "href": f"/runs/{quote(run.id)}",
        "state": run.state.value,
        "contested": run.contested,
        "first": run.first_step,
        "step": run.last_step,
        "started": run.started_at,
        "updated": run.updated_at,
        "tags": list(run.tags),
        "archived": run.archived,
        "health": {"word": word, "kind": kind},
        "fires": _worst(firing),
        "figures": _figures(run, lately, limits),
    }


def _worst(firing: Sequence[AlertView]) -> dict[str, str] | None:
    """Return the worst alert that fires on a run, and how many others do."""
    if not firing:
        return None
    worst = max(firing, key=lambda one: (one.severity, one.firing_time))
    return {
        "symbol": SYMBOLS.get(worst.severity, ""),
        "rule": worst.rule,
        "others": f" and {len(firing) - 1} more" if len(firing) > 1 else "",
        "href": f"/alerts?{urlencode({'run': worst.run})}",
        "kind": worst.severity.word,
        "title": worst.summary,
    }


def _figures(run: RunSummary, lately: Lately, limits: Sequence[Limit]) -> list[Row]:
    charts = [chart for group in charts_of(lately.detail) for chart in group.charts]
    found = []
    for metric in TILES:
        chart = next((one for one in charts if metric in one.metrics), None)
        found.append(_figure(metric, lately.series[metric], run.last_step or 0, limits, chart, lately.steps))
    return found


def _figure(
    metric: str,
    series: Series,
    now: int,
    limits: Sequence[Limit],
    chart: Chart | None,
    steps: tuple[int, int],
) -> Row:
    """Return the newest value, judged as on the run's page, what it is sorted by, and how it came there."""
    if is_past(series.step.tolist(), now):
        return {"text": "–", "kind": "none", "title": "", "rank": None, "spark": None}
    value = float(series.value[-1])
    found = verdict(limits, metric, series.value.tolist())
    kind, title = "unknown" if math.isnan(value) else Severity.OK.word, ""
    if found is not None:
        kind = found.rule.severity.word
        title = f"{number(found.value)} at step {int(series.step[found.at])}: {found.rule.summary}"
    return {
        "text": number(value),
        "kind": kind,
        "title": title,
        "rank": None if math.isnan(value) else float(np.clip(value, -BEYOND, BEYOND)),
        "spark": None if chart is None else sparkline(series, chart.alone(metric), limits, *steps),
    }
