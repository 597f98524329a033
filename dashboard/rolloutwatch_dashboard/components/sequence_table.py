"""The table of the sequences of a step. Headings say by `data-step-sort`, rows by `data-step-row`, what step.js is to ask for."""

import math
from collections.abc import Collection, Sequence
from typing import Any

from dash import html

from rolloutwatch_dashboard.sequences import (
    COLUMNS,
    DEFAULT,
    FATES,
    LETTERS_OF_A_GROUP,
    PARTLY,
    Asked,
    Row,
    named,
    ordered,
    told_share,
)
from rolloutwatch_dashboard.text import cut, number

MOST_ROWS = 60
HIDDEN = "hidden"


def table(rows: Sequence[Row], asked: Asked, chosen: int | None, with_tokens: Collection[int]) -> html.Div:
    """Return the first rows in the order that is asked for; whichever is chosen is there too."""
    order = ordered(rows, asked)
    shown = order[:MOST_ROWS]
    shown += [one for one in order[MOST_ROWS:] if one.row == chosen]
    columns = [name for name in COLUMNS if _is_known(rows, name)]
    head = html.Tr(
        [_heading(name, asked) for name in columns] + [html.Th(html.Span("Tokens sent", className=HIDDEN))]
    )
    body = [_row(one, columns, one.row == chosen, one.row in with_tokens) for one in shown]
    left = len(rows) - len(shown)
    more = [
        html.P(f"{left} more are on the charts; another order brings others to the top.", className="quiet")
    ]
    table = html.Table([html.Thead(head), html.Tbody(body)], className="step-rows")
    return html.Div(
        [
            html.Div(table, className="wide", tabIndex=0, role="region", **{"aria-label": "Sequences"}),
            *(more if left > 0 else []),
        ]
    )


def _is_known(rows: Sequence[Row], name: str) -> bool:
    if name == "sample":
        return True
    values = [getattr(one, name) for one in rows]
    return any(value is not None and value == value for value in values)


def _heading(name: str, asked: Asked) -> html.Th:
    column = COLUMNS[name]
    is_here = name == asked.sort
    turned = is_here and not asked.turned
    sort = {"aria-sort": "descending" if asked.falls else "ascending"} if is_here else {}
    arrow = (" ↓" if asked.falls else " ↑") if is_here else ""
    said = f"{'-' if turned else ''}{name}"
    button = html.Button(
        f"{column.title}{arrow}",
        type="button",
        title=column.meaning,
        **{"data-step-sort": "" if said == DEFAULT else said},
    )
    return html.Th(button, scope="col", **sort)


def _row(one: Row, columns: Sequence[str], is_chosen: bool, has_tokens: bool) -> html.Tr:
    cells = [CELLS[name](one) for name in columns]
    return html.Tr([*cells, _tokens(one, is_chosen, has_tokens)], className="chosen" if is_chosen else "")


def _tokens(one: Row, is_chosen: bool, has_tokens: bool) -> html.Td:
    if not has_tokens:
        return html.Td()
    return html.Td(
        html.Button(
            "Read",
            type="button",
            className="act",
            **{
                "aria-label": f"Read the tokens of {named(one)}",
                "data-step-row": str(one.row),
                "aria-pressed": str(is_chosen).lower(),
            },
        )
    )


def _share(one: Row) -> html.Td:
    width = 0.0 if math.isnan(one.share) else 100 * max(0.0, min(1.0, one.share))
    return html.Td(
        [html.Span(html.I(style={"width": f"{width:.2f}%"}), className="bar"), told_share(one.share)],
        className="figure share",
    )


def _sample(one: Row) -> html.Td:
    return html.Td(
        str(one.sample) if one.sample >= 0 else html.Span(named(one), className="quiet"), className="figure"
    )


def _group(one: Row) -> html.Td:
    return html.Td("–" if one.group is None else cut(one.group, LETTERS_OF_A_GROUP), title=one.group or "")


def _extreme(value: float, at: float) -> html.Td:
    place = [html.Span(f" at {number(at)}", className="quiet")] if at >= 0 else []
    return html.Td([_figure(value), *place], className="figure")


def fates(rows: Sequence[Row]) -> list[html.Span]:
    """Return what became of sequences, each with its symbol, where it is not the same with all of them."""
    found = [fate for fate in FATES if any(one.fate == fate for one in rows)]
    return [_fate(fate) for fate in found] if len(found) > 1 else []


def _fate(fate: str, share: str = "") -> html.Span:
    return html.Span(f"{fate or '–'}{share}", className=f"fate {fate.replace(' ', '-')}".strip())


def _kept(one: Row) -> html.Td:
    share = f" {told_share(one.kept)}" if one.fate == PARTLY else ""
    return html.Td(_fate(one.fate, share))


def _figure(value: float) -> str:
    return "–" if math.isnan(value) else number(value)


CELLS: dict[str, Any] = {
    "share": _share,
    "sample": _sample,
    "group": _group,
    "length": lambda one: html.Td(_figure(one.length), className="figure"),
    "mean": lambda one: html.Td(_figure(one.mean), className="figure"),
    "lowest": lambda one: _extreme(one.lowest, one.lowest_at),
    "highest": lambda one: _extreme(one.highest, one.highest_at),
    "weight": lambda one: html.Td(_figure(one.weight), className="figure"),
    "kept": _kept,
}
