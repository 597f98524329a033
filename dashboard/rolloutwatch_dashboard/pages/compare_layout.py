"""What stands on the page of runs that are compared, above their tables."""

from collections.abc import Sequence
from typing import Any

from dash import dcc, html

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import RunDetail, Source
from rolloutwatch_dashboard import ids
from rolloutwatch_dashboard.compared import Compared, kinds_of, mark_words
from rolloutwatch_dashboard.comparison import Align, Asked
from rolloutwatch_dashboard.components.chart_menu import chart_menu
from rolloutwatch_dashboard.components.compare_tables import run_link, swatch
from rolloutwatch_dashboard.figures.compare import EMPTY, Axis, Run, figure_of, line_of
from rolloutwatch_dashboard.figures.timeseries import Chart
from rolloutwatch_dashboard.text import where
from rolloutwatch_dashboard.words import names

CHART_HEIGHT = "240px"
MOST_NAMED = 3
WAYS = {Align.STEP: "step", Align.RELATIVE: "time since each run began", Align.TIME: "wall time"}


def choose(text: str, what: str, kind: str = "") -> html.Button:
    """Return the button that opens a dialog in which `runs` or `metrics` are chosen."""
    return html.Button(text, type="button", className=f"act {kind}".strip(), **{"data-choose": what})


def head(source: Source, asked: Asked, details: Sequence[RunDetail]) -> html.Div:
    """Return the heading, with the ways to see something else."""
    back = html.Button("Show all", type="button", className="act back", hidden=asked.ends is None)
    return html.Div(
        [
            html.H1("Compare"),
            html.Div(
                [
                    choose("Choose runs", "runs"),
                    choose("Choose figures", "metrics"),
                    *_alignment(source, asked, details),
                    back,
                ],
                className="tools",
            ),
        ],
        className="page-head",
    )


def _alignment(source: Source, asked: Asked, details: Sequence[RunDetail]) -> list[Any]:
    kinds = kinds_of(source, details)
    marks = [*kinds, *([asked.mark] if asked.mark and asked.mark not in kinds else [])]
    ways = [
        *(html.Option(f"Aligned by {text}", value=way.value, selected=_if(way is asked.align)) for way, text in WAYS.items()),
        *(
            html.Option(f"Aligned at mark: {kind.replace('_', ' ')}", value=f"mark:{kind}", selected=_if(kind == asked.mark))
            for kind in marks
        ),
    ]  # fmt: skip
    select = html.Select(ways, name="align", **{"aria-label": "What runs are aligned by"})
    if asked.align is Align.TIME:
        return [select, html.Span("in your zone", id=ids.COMPARED_ZONE, className="quiet")]
    if asked.align is not Align.MARK:
        return [select]
    before, after = (asked.aligned_by(Align.MARK, asked.mark, asked.number + way).address for way in (-1, 1))
    ways = [
        *([_way("‹", "The mark before it", before)] if asked.number > 1 else []),
        html.Span(f"no. {asked.number}"),
        _way("›", "The mark after it", after),
    ]
    return [select, html.Span(ways, className="which")]


def _way(sign: str, words: str, address: str) -> dcc.Link:
    said = [html.Span(sign, **{"aria-hidden": "true"}), html.Span(words, className="hidden")]
    return dcc.Link(said, href=address, title=words, className="act")


def _if(is_so: bool) -> str | None:
    return "selected" if is_so else None


def notes(said: Sequence[str]) -> list[html.Div]:
    """Return what is said above the charts."""
    items = html.Ul([html.Li(one) for one in said])
    return [html.Div(items, className="notes", role="status")] if said else []


def not_drawn(asked: Asked, compared: Sequence[Compared]) -> list[str]:
    """Return why some of the runs are not drawn."""
    found = []
    for one in compared:
        name = one.detail.summary.name
        if one.origin is None:
            found.append(f"{name} has no {mark_words(asked)}, and is not drawn.")
        elif one.detail.summary.last_step is None:
            found.append(f"{name} has no step yet.")
        elif asked.align.is_timed and one.is_untimed:
            found.append(f"Nobody knows when the steps of {name} were made: it is not drawn.")
    if len(compared) == 1:
        found.append("This is one run alone: choose another one to compare it with.")
    return found


def legend(details: Sequence[RunDetail]) -> html.Ul:
    """Return the runs, each with the line that it has on all charts."""
    items = []
    for at, one in enumerate(details):
        words = f"Take {one.summary.name} out"
        about = {"title": words, "aria-label": words, "data-away": one.summary.id}
        away = html.Button("×", type="button", className="away", **about)
        items.append(html.Li([swatch(at), run_link(one), away], **{"data-run": str(at)}))
    return html.Ul(items, className="legend", **{"aria-label": "Runs and their lines"})


def cards(
    charts: Sequence[Chart],
    compared: Sequence[Compared],
    axis: Axis,
    limits: Sequence[Limit],
    asked: Asked,
    drawing: str,
) -> html.Div:
    """Return the charts, one for each figure."""
    return html.Div(
        [_card(chart, compared, axis, limits, asked, drawing) for chart in charts], className="charts"
    )


def _card(
    chart: Chart,
    compared: Sequence[Compared],
    axis: Axis,
    limits: Sequence[Limit],
    asked: Asked,
    drawing: str,
) -> html.Div:
    metric = next(iter(chart.metrics))
    ends = (asked.ends[0] / axis.unit, asked.ends[1] / axis.unit) if asked.ends else None
    figure = figure_of(chart, [_drawn(one, metric, axis) for one in compared], axis, limits, ends)
    figure["layout"]["meta"] = drawing
    graph = dcc.Graph(
        id=chart.name,
        figure=figure,
        style={"height": CHART_HEIGHT},
        # by a double click all charts show all, for which there is a button too
        config={"displayModeBar": False, "responsive": True, "doubleClick": False, "showTips": False},
    )
    own = sorted((limit for limit in limits if limit.metric == metric), key=lambda limit: limit.severity)
    words = dict.fromkeys((limit.severity.word, where(limit)) for limit in own)
    without = [one.detail.summary.name for one in compared if metric not in one.detail.metrics]
    beside = [html.Span(f"not in {names(without, MOST_NAMED)}", className="without")] if without else []
    head = html.Div(
        [
            html.H3(chart.title, title=METRICS[metric].meaning if metric in METRICS else metric),
            html.Div(
                [
                    *beside,
                    *(html.Span(f"{severity} {place}", className=severity) for severity, place in words),
                ],
                className="limits",
            ),
            chart_menu(metric, chart.title),
        ],
        className="card-head",
    )
    return html.Div([head, graph], className="card")


def _drawn(one: Compared, metric: str, axis: Axis) -> Run:
    name = one.detail.summary.name
    if one.origin is None or metric not in one.whole:
        return Run(name, one.number)
    return Run(name, one.number, line_of(one.whole[metric], one.origin, axis, one.close.get(metric, EMPTY)))
