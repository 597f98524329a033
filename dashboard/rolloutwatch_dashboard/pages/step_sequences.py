"""What the page of a step shows of its tokens and sequences, and what changes there when somebody chooses."""

import asyncio
import math
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import unquote

from dash import ClientsideFunction, Dash, Input, Output, dcc, html, no_update
from dash.development.base_component import Component

from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.protocol import RunDetail, Source
from rolloutwatch_contract.protocol_steps import NoStep, StepView, TokensView
from rolloutwatch_contract.record import MAX_STEP
from rolloutwatch_contract.tables import HISTOGRAM_BINS
from rolloutwatch_dashboard import ids
from rolloutwatch_dashboard.components import sequence_table
from rolloutwatch_dashboard.components.chart_menu import chart_menu
from rolloutwatch_dashboard.figures.step_histogram import histogram_of
from rolloutwatch_dashboard.figures.step_sequences import groups_of, positions_of, scatter_of
from rolloutwatch_dashboard.figures.step_tokens import LEVELS, along_of, told_tokens
from rolloutwatch_dashboard.sequences import Asked, Row, named, rows_of, said_of_table, told_share
from rolloutwatch_dashboard.text import number
from rolloutwatch_dashboard.thresholds import Threshold, correction_of, token_thresholds
from rolloutwatch_dashboard.visit import Visit

CHART_HEIGHT = "260px"
# titles of charts, and what stands below each
RATIOS = (
    "Log ratio of the tokens",
    "How many tokens have which log ratio. Left of 0 training finds them less likely than the rollout did.",
)
WHICH = ("Which sequences carry it", "One point a sequence; the larger, the more of the step's mismatch.")
WHERE = (
    "Where in the response",
    "The tokens where each sequence has its lowest and its highest log ratio.",
)
GROUPS = (
    "Which groups carry it",
    "Mismatch by the sum of K3, beside how many of the tokens the group has.",
)
ALONG = "Along the response"


class Looked(NamedTuple):
    """A step that somebody looks at, with all that its parts are made of."""

    view: StepView
    asked: Asked
    rows: list[Row]
    thresholds: list[Threshold]
    trouble: str  # why the configuration of the correction cannot be read

    @property
    def chosen(self) -> int | None:
        """Return the row whose tokens are shown: the one that is asked for, else the worst one that has some."""
        if self.asked.row is not None and self.asked.row < len(self.rows):
            return self.asked.row
        with_tokens = {one.row for one in self.view.tokens}
        ones = [one for one in self.rows if one.row in with_tokens]
        return (
            None if not ones else max(ones, key=lambda one: -1.0 if math.isnan(one.share) else one.share).row
        )


def step_of(text: str) -> int | None:
    """Return the step that a part of an address names, which may be anything; None if it names none."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_STEP))
    return int(text) if is_number and int(text) <= MAX_STEP else None


def looked_at(run: RunDetail, view: StepView, asked: Asked) -> Looked:
    """Return a step with its sequences and the thresholds of the session that did it."""
    own = next((one.config for one in run.sessions if one.id == view.session), run.config)
    config = correction_of(own)
    known = config if isinstance(config, CorrectionConfig) else None
    trouble = "" if isinstance(config, CorrectionConfig) else config
    return Looked(view, asked, rows_of(view, known), token_thresholds(known) if known else [], trouble)


def sequences(run: RunDetail, looked: Looked) -> list[html.Section]:
    """Return the charts of tokens and sequences, and the table; words where there are none."""
    view, rows = looked.view, looked.rows
    histogram = _histogram(looked)
    if view.sequences is None or not rows:
        return [
            html.Section(
                [
                    html.H2("Tokens and sequences"),
                    *([html.Div(histogram, className="charts")] if histogram else []),
                    html.P(_why_no_table(run, view), className="step-note"),
                ]
            )
        ]
    thresholds = looked.thresholds
    cards = [
        *histogram,
        _card(WHICH, scatter_of(rows, looked.chosen), ids.STEP_SCATTER, *sequence_table.fates(rows)),
        _card(WHERE, positions_of(rows, thresholds), ids.STEP_POSITIONS),
    ]
    if any(one.group is not None for one in rows):
        cards.append(_card(GROUPS, groups_of(rows), "step-groups"))
    return [
        html.Section([html.H2("Tokens and sequences"), html.Div(cards, className="charts")]),
        html.Div(_chosen_parts(looked), id=ids.STEP_CHOICE),
        dcc.Store(id=ids.STEP_ASKED),
        dcc.Store(id=ids.STEP_WRITTEN),
    ]


def _chosen_parts(looked: Looked) -> list[html.Section]:
    """Return what depends on the order and the sequence that somebody chooses."""
    table = looked.view.sequences
    said = "" if table is None else said_of_table(table)
    return [
        html.Section([html.H2("Sequences"), html.P(said, className="quiet"), _table(looked)]),
        _tokens_section(looked),
    ]


def _table(looked: Looked) -> html.Div:
    with_tokens = {one.row for one in looked.view.tokens}
    return sequence_table.table(looked.rows, looked.asked, looked.chosen, with_tokens)


def _histogram(looked: Looked) -> list[html.Div]:
    counts = looked.view.histogram
    if counts is None:
        return []
    if counts.shape != (HISTOGRAM_BINS,):
        said = f"The histogram has {len(counts)} bins and not the {HISTOGRAM_BINS} that are known here."
        return [html.Div([html.H3(RATIOS[0]), html.P(said, className="quiet")], className="card")]
    figure = histogram_of(counts.tolist(), looked.thresholds)
    return [_card(RATIOS, figure, "step-histogram", *_lines(looked))]


def _lines(looked: Looked) -> list[html.Span]:
    if looked.trouble:
        return [html.Span("thresholds not known", title=looked.trouble)]
    return [html.Span(one.words, className="threshold") for one in looked.thresholds]


def _card(words: tuple[str, str], figure: dict[str, Any], name: str, *beside: html.Span) -> html.Div:
    title, about = words
    menu = chart_menu(name, title, has_log=False, has_link=False)
    head = html.Div([html.H3(title), html.Div(list(beside), className="limits"), menu], className="card-head")
    config = {"displayModeBar": False, "responsive": True, "doubleClick": "reset", "scrollZoom": False}
    graph = dcc.Graph(id=name, figure=figure, style={"height": CHART_HEIGHT}, config=config)
    return html.Div([head, html.P(about, className="about"), graph], className="card")


def _why_no_table(run: RunDetail, view: StepView) -> str:
    since = run.tables_from
    if since is not None and view.step < since:
        return f"Tables of steps before {since} were let go of, to keep the archive small; figures stay."
    if view.sequences is not None:
        return "The table of sequences that came with this step has no row."
    return (
        "No table of sequences came with this step. Monitor.correct of a trainer sends one; "
        "runs that were imported have none."
    )


def _tokens_section(looked: Looked) -> html.Section:
    heading = html.H2("Tokens of the worst sequences")
    if not looked.view.tokens:
        how = [
            "No tokens came with this step. ",
            html.Code("Monitor(tokens=TokenCapture(decode))"),
            " and ",
            html.Code("correct(token_ids=...)"),
            " send those of the worst sequences.",
        ]
        return html.Section([heading, html.P(how, className="quiet")])
    by_row = {one.row: one for one in looked.view.tokens}
    choices = html.Div(
        [_choice(looked.rows[at], at == looked.chosen) for at in by_row if at < len(looked.rows)],
        className="step-choices",
        role="group",
        **{"aria-label": "Sequences with tokens"},
    )
    tokens = None if looked.chosen is None else by_row.get(looked.chosen)
    if tokens is None:
        return html.Section(
            [heading, choices, html.P("Of this sequence no tokens were sent.", className="quiet")]
        )
    return html.Section([heading, choices, *_reading(looked, tokens)])


def _choice(row: Row, is_chosen: bool) -> html.Button:
    return html.Button(
        [named(row), html.Span(f" {told_share(row.share)}", className="quiet")],
        type="button",
        className="act",
        **{"data-step-row": str(row.row), "aria-pressed": str(is_chosen).lower()},
    )


def _reading(looked: Looked, tokens: TokensView) -> list[Any]:
    """Return the tokens of a sequence to read, which step.js writes, with their chart."""
    row = looked.rows[tokens.row]
    about = (
        f"{len(tokens.texts)} tokens came of {named(row)}, which has {told_share(row.share)} of the mismatch."
    )
    how = "Tokens; the arrow keys go from one to the next"
    text = html.Div(id=ids.STEP_TEXT, tabIndex=0, role="group", **{"aria-label": how})
    return [
        html.Div(
            [
                _legend(),
                html.P("Point at a token, or go through them with the arrow keys.", id=ids.STEP_TOKEN, role="status"),
                text,
            ],
            className="card step-reading",
        ),
        _card((ALONG, about), along_of(tokens, looked.thresholds), "step-along"),
        dcc.Store(id=ids.STEP_WORDS, data=told_tokens(tokens)),
    ]  # fmt: skip


def _legend() -> html.Div:
    """Return what the colours of tokens mean."""
    bounds = [number(one) for one in LEVELS]
    steps = [*(f"-{one}" for one in reversed(bounds)), "0", *bounds]
    names = [
        *(f"n{size}" for size in range(len(LEVELS), 0, -1)),
        "z0",
        *(f"p{size}" for size in range(1, len(LEVELS) + 1)),
    ]
    swatches = [html.Span(text, className=name) for name, text in zip(names, steps, strict=True)]
    less, more = (html.Span(f"{how} likely in training", className="side") for how in ("less", "more"))
    out = html.Span("outside the mask", className="out")
    return html.Div([less, *swatches, more, out], className="token-legend")


def parts() -> list[Component]:
    """Return what the callbacks name."""
    return [
        dcc.Store(id=ids.STEP_ASKED),
        dcc.Store(id=ids.STEP_WORDS),
        dcc.Store(id=ids.STEP_WRITTEN),
        html.Div(id=ids.STEP_CHOICE),
        dcc.Graph(id=ids.STEP_SCATTER),
        dcc.Graph(id=ids.STEP_POSITIONS),
    ]


def register(app: Dash, visit: Callable[[object], Visit]) -> None:
    """Let table and tokens be those that step.js asks for, and the tokens be written by it."""

    @app.callback(
        Output(ids.STEP_CHOICE, "children"),
        Output(ids.STEP_SCATTER, "figure"),
        Input(ids.STEP_ASKED, "data"),
        prevent_initial_call=True,
    )
    async def ask(asked: object) -> Any:
        found = await asyncio.to_thread(chosen, str(asked or ""), visit("").source)
        return (no_update, no_update) if found is None else found

    app.clientside_callback(
        ClientsideFunction("rolloutwatch", "chooseSequence"),
        Output(ids.STEP_ASKED, "data"),
        Input(ids.STEP_SCATTER, "clickData"),
        Input(ids.STEP_POSITIONS, "clickData"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("rolloutwatch", "writeTokens"),
        Output(ids.STEP_WRITTEN, "data"),
        Input(ids.STEP_WORDS, "data"),
    )


def chosen(address: str, source: Source) -> tuple[list[html.Section], dict[str, Any]] | None:
    """Return what depends on what somebody chose, and the chart with a ring around it; None if the step is gone."""
    path, _, query = address.partition("?")
    names = [unquote(part) for part in path.strip("/").split("/")]
    step = step_of(names[-1])
    run = source.run(names[1]) if len(names) == len(("runs", "run", "steps", "step")) else None
    if run is None or step is None:
        return None
    asked = Asked.of(query)
    view = source.step(run.summary.id, step, asked.attempt)
    if isinstance(view, NoStep):
        return None
    looked = looked_at(run, view, asked)
    return _chosen_parts(looked), scatter_of(looked.rows, looked.chosen)
