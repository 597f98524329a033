"""The charts of a run's page, in groups that can be folded.

The first ones come with the page; of the others it has the rooms, and the browser asks for a part of them
when somebody is about to look at it (assets/run_groups.js).
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import unquote

from dash import MATCH, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import RunDetail, Series, Source
from rolloutwatch_dashboard import ids
from rolloutwatch_dashboard.around import Around, around, united
from rolloutwatch_dashboard.charts import SHOWN_WHEN_NOT_ZERO, UNREADABLE, ChartGroup, charts_of
from rolloutwatch_dashboard.components import heatmap
from rolloutwatch_dashboard.components.card import card
from rolloutwatch_dashboard.components.chart_menu import chart_tools
from rolloutwatch_dashboard.figures.timeseries import Chart, figure_of, with_axis
from rolloutwatch_dashboard.judgement import with_voids
from rolloutwatch_dashboard.pages.run_alerts import Marks, alert_marks, marks_of
from rolloutwatch_dashboard.view import View, view_of
from rolloutwatch_dashboard.visit import Visit

POINTS = 1500  # of a series on the page; more than twice as many are fetched anew, thinned
MARKS = 500  # of each kind; what is marked at every step of a long run is a row of ticks
AT_ONCE = 4  # so many charts at least come with the page, those that are seen first
CHARTS_OF_A_PART = 12
MOST_LETTERS = 5000  # of what a browser asks for


class Part(NamedTuple):
    """Charts of a group that are drawn together."""

    name: str
    group: str
    charts: Sequence[Chart]


def parts_of(groups: Sequence[ChartGroup]) -> list[Part]:
    """Return all parts, in order."""
    return [
        Part(f"{group.name}-{at // CHARTS_OF_A_PART}", group.name, group.charts[at : at + CHARTS_OF_A_PART])
        for group in groups
        for at in range(0, len(group.charts), CHARTS_OF_A_PART)
    ]


def first_of(parts: Sequence[Part]) -> set[str]:
    """Return the names of the parts that come with the page."""
    found: set[str] = set()
    count = 0
    for part in parts:
        if count >= AT_ONCE:
            break
        found.add(part.name)
        count += len(part.charts)
    return found


@dataclass(frozen=True)
class Drawing:
    """What every chart of a run is drawn with.

    All figures carry its name, by which run.js tells them from those of a page that is about to be replaced.
    """

    name: str
    run: RunDetail
    source: Source
    limits: Sequence[Limit]
    marks: Marks
    looked_at: Around | str | None
    view: View

    @property
    def found(self) -> Around | None:
        """The step that the address asks for, if there is one."""
        return self.looked_at if isinstance(self.looked_at, Around) else None

    @property
    def ends(self) -> tuple[int, int] | None:
        """The first and the last step that are in view, None for all."""
        return None if self.found is None else self.found.ends

    def cards(self, charts: Sequence[Chart]) -> list[Component]:
        """Return charts with their figures."""
        metrics = {metric for chart in charts for metric in chart.metrics}
        series = read(self.source, self.run, sorted(metrics | {UNREADABLE}), points=POINTS)
        if self.found is not None:
            detailed = voided(self.found.series)
            series = {
                name: united(one, detailed[name]) if name in detailed else one for name, one in series.items()
            }
        return [card(chart, self.limits, self._figure(chart, series)) for chart in charts]

    def _figure(self, chart: Chart, series: Mapping[str, Series]) -> dict[str, Any]:
        seen = with_axis(chart, series, log=self.view.is_log(chart.name, chart.log))
        marks = marks_of(chart, self.marks)
        figure = figure_of(seen, series, self.limits, marks, self.ends, self.view.smooth)
        figure["layout"]["meta"] = self.name
        return figure

    def rooms(self, charts: Sequence[Chart]) -> list[Component]:
        """Return the room for charts that nobody looks at yet."""
        return [card(chart, self.limits, None) for chart in charts]


def drawing_of(
    name: str, run: RunDetail, visit: Visit, query: str, wanted: Sequence[Chart] | None = None
) -> Drawing:
    """Return what the charts of a run are drawn with, or those that are wanted; the part that a query asks for, if it does."""
    most = charts_of(run, SHOWN_WHEN_NOT_ZERO)
    drawn = sorted({metric for group in most for chart in group.charts for metric in chart.metrics})
    own = None if wanted is None else sorted({UNREADABLE, *(name for one in wanted for name in one.metrics)})
    looked_at = around(query, run, visit.source, drawn, own)
    marked = looked_at.marks if isinstance(looked_at, Around) else []
    marks = [*visit.source.marks(run.summary.id, most=MARKS), *marked]
    marks.sort(key=lambda mark: (mark.step, mark.time))
    alerts = alert_marks(visit.source, run.summary.id)
    limits = visit.limits(run.summary.id)
    return Drawing(name, run, visit.source, limits, (marks, alerts), looked_at, view_of(query))


def read(source: Source, run: RunDetail, metrics: Sequence[str], **which: Any) -> Mapping[str, Series]:
    """Read series, with NaN where a figure did not come because no log-prob was finite; UNREADABLE has to be among them."""
    return voided(source.series(run.summary.id, metrics, **which))


def voided(series: Mapping[str, Series]) -> Mapping[str, Series]:
    """Return series with NaN where a figure did not come because no log-prob was finite."""
    return {
        name: with_voids(one, series[UNREADABLE]) if name in METRICS and UNREADABLE in series else one
        for name, one in series.items()
    }


def groups_layout(groups: Sequence[ChartGroup], drawing: Drawing) -> list[Component]:
    """Return the ways to the groups, and the groups, the first ones drawn."""
    parts = parts_of(groups)
    first = first_of(parts)
    found = {
        group.name: (
            group.heading,
            [*_part_layouts([part for part in parts if part.group == group.name], first, drawing)],
        )
        for group in groups
    }
    if heatmap.has_heatmap(drawing.run):
        # where tokens lie explains what the first group says
        beginning, rest = [*found.items()][:1], [*found.items()][1:]
        card_of_it: list[Component] = [html.Div([heatmap.card(drawing.run)], className="charts")]
        found = dict([*beginning, (heatmap.GROUP, (heatmap.HEADING, card_of_it)), *rest])
    return [
        html.Div([_jumps(found), chart_tools()], className="chart-bar"),
        *(
            html.Details(
                [html.Summary(html.H2(heading)), *inside], id=ids.group(name), className="group", open=True
            )
            for name, (heading, inside) in found.items()
        ),
    ]


def _jumps(groups: Mapping[str, tuple[str, Any]]) -> html.Nav:
    """Return the ways to the groups, by name with their headings."""
    links = [html.A(heading, href=f"#{ids.group(name)}") for name, (heading, _) in groups.items()]
    return html.Nav(links, className="jumps", **{"aria-label": "Groups of charts"})


def _part_layouts(parts: Sequence[Part], first: set[str], drawing: Drawing) -> Iterator[Component]:
    for part in parts:
        cards = drawing.cards(part.charts) if part.name in first else drawing.rooms(part.charts)
        yield html.Div(cards, id=ids.charts(part.name), className="charts", **{"data-part": part.name})
        yield dcc.Store(id=ids.wanted(part.name))


def parts() -> list[Component]:
    """Return what the callbacks name: patterns only, which Dash does not look for."""
    return []


def register(app: Dash, visit: Callable[..., Visit]) -> None:
    """Let the parts that run_groups.js asks for be drawn."""

    @app.callback(
        Output(ids.charts(MATCH), "children"),
        Input(ids.wanted(MATCH), "data"),
        State(ids.LOCATION, "pathname"),
        prevent_initial_call=True,
    )
    async def draw(wanted: object, path: object) -> Any:
        # the address may be another one by now, and both are the browser's to choose
        run = unquote(str(path).partition("/runs/")[2])
        return await asyncio.to_thread(lambda: drawn(wanted, run, visit()))


def drawn(wanted: object, run: str, visit: Visit) -> Any:
    """Return the charts that a browser names as a part, for the page that it has; nothing new if it makes no sense."""
    known = visit.source.run(run)
    if known is None or not isinstance(wanted, dict):
        return no_update
    page, query, names = (wanted.get(name) for name in ("page", "query", "charts"))
    if not isinstance(page, str) or not isinstance(query, str) or not isinstance(names, list):
        return no_update
    most = charts_of(known, SHOWN_WHEN_NOT_ZERO)
    charts = [chart for group in most for chart in group.charts if ids.chart(chart.name) in names]
    return drawing_of(page[:MOST_LETTERS], known, visit, query, charts).cards(charts)
