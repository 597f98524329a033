"""The page of all runs: what stands around the table, and the rows, which runs.js draws, sorts and filters."""

import asyncio
from collections.abc import Callable
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.tags import LETTERS_OF_A_TAG, MOST_TAGS
from rolloutwatch_dashboard import ids
from rolloutwatch_dashboard.charts import TILES
from rolloutwatch_dashboard.comparison import MOST_RUNS
from rolloutwatch_dashboard.components import frame, trainer
from rolloutwatch_dashboard.figures.sparkline import HEIGHT, WIDTH
from rolloutwatch_dashboard.visit import Shown, Visit

SECONDS_BETWEEN_LOOKS = 3.0
# what one may sort by, as it stands in addresses, with what it is called, column by column
SORTS = (
    {"name": "Run"},
    {"health": "Health"},
    {"state": "State"},
    {"step": "Step", "speed": "Speed"},
    {"updated": "Updated", "age": "Age"},
)


def show(visit: Visit) -> Shown:
    """Return the page, which looks anew while it is open, and all rows."""
    told = news(visit, None)
    parts = [
        dcc.Interval(id=ids.TICK, interval=1000 * SECONDS_BETWEEN_LOOKS),
        dcc.Store(id=ids.RUNS_ASK),
        dcc.Store(id=ids.RUNS_NEWS),
        dcc.Store(id=ids.RUNS_SEEN, data=told["seen"]),
    ]
    body = html.Div(_table() if told["rows"] else _empty(), id=ids.RUNS, **{"data-now": str(visit.now)})
    return html.Div([*parts, body]), {
        "kind": "runs",
        "figures": _figures(),
        "tags": _tags(),
        "compared": MOST_RUNS,
        **told,
    }


def news(visit: Visit, seen: object) -> dict[str, Any]:
    """Return what has changed in the rows since what a browser says it has seen, as `Board.look` does, and the time."""
    return {"now": visit.now, **visit.board.look(visit.source, visit.limits, seen)}


def parts() -> list[Component]:
    """Return what the callbacks name."""
    return [dcc.Interval(id=ids.TICK), *map(dcc.Store, (ids.RUNS_ASK, ids.RUNS_NEWS, ids.RUNS_SEEN))]


def register(app: Dash, visit: Callable[[], Visit]) -> None:
    """Let what has changed be told while the page is looked at."""

    @app.callback(
        Output(ids.RUNS_NEWS, "data"),
        Input(ids.TICK, "n_intervals"),
        Input(ids.RUNS_ASK, "data"),
        State(ids.RUNS_SEEN, "data"),
        prevent_initial_call=True,
    )
    async def look(_ticks: object, _asked: object, seen: object) -> dict[str, Any]:
        return await asyncio.to_thread(lambda: news(visit(), seen))

    app.clientside_callback(
        ClientsideFunction("rolloutwatch", "runsNews"),
        Output(ids.RUNS_SEEN, "data"),
        Input(ids.RUNS_NEWS, "data"),
        prevent_initial_call=True,
    )


def key(title: str) -> str:
    """Return what a core figure is called in addresses.

    >>> [key(title) for title in TILES.values()]
    ['ess', 'veto', 'ppl', 'kl']
    """
    return title.split()[0].lower()


def _figures() -> list[dict[str, Any]]:
    """Return the core figures, each with which values are good: the higher, the lower, those near the ideal."""
    return [
        {"key": key(title), "title": title, "better": METRICS[metric].better.value, "ideal": METRICS[metric].ideal,
         "box": [WIDTH, HEIGHT]}
        for metric, title in TILES.items()
    ]  # fmt: skip


def _tags() -> dict[str, int]:
    return {"most": MOST_TAGS, "letters": LETTERS_OF_A_TAG}


def _table() -> html.Section:
    columns = [*SORTS, *({key(title): title} for title in TILES.values())]
    heads = [
        html.Th(
            [html.Button(title, type="button", **{"data-sort": name}) for name, title in column.items()],
            scope="col",
        )
        for column in columns
    ]
    acts = html.Th(html.Span("Actions", className="hidden"), scope="col", **{"data-needs": "operator"})
    return html.Section(
        [
            html.Div(
                [html.H1("Runs"), html.P(id=ids.RUNS_COUNT, className="quiet", role="status")],
                className="page-head",
            ),
            html.Div(id=ids.RUNS_TOOLS, role="search"),
            html.Table([html.Thead(html.Tr([*heads, acts])), html.Tbody(id=ids.RUNS_ROWS)]),
            html.Div(id=ids.RUNS_CHOSEN, role="group", hidden=True, **{"aria-label": "Chosen runs"}),
            html.Div(id=ids.RUNS_REST),
        ]
    )


def _empty() -> html.Section:
    return frame.message(
        "No run yet",
        html.P("A run appears here with its first record. Put these lines into a trainer:"),
        trainer.lines(),
        html.P(["Or watch a small real one: ", html.Code("make demo")]),
    )
