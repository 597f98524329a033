"""The page of rules: which are in force, and where they are changed."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from dash import dcc, html

from rolloutwatch_contract.protocol import Origin, RulesView, RunSummary, Source
from rolloutwatch_contract.rules import Rule
from rolloutwatch_dashboard import ids
from rolloutwatch_dashboard.components import alert
from rolloutwatch_dashboard.text import age, at
from rolloutwatch_dashboard.visit import Shown, Visit
from rolloutwatch_dashboard.words import beginning, ending, limits_in_words

MOST_FIRING = 1000
MOST_RUNS = 50


def show(visit: Visit) -> Shown:
    """Return the page. It stays as it is while somebody writes on it."""
    return _layout(visit.source, visit.now), {"title": "Rules"}


def _layout(source: Source, now: float) -> html.Div:
    rules = source.rules()
    firing = Counter(one.rule for one in source.alerts(limit=MOST_FIRING))
    return html.Div(
        [
            html.Div(
                [html.H1("Rules"), html.P(_whose(rules, now), className="quiet")], className="page-head"
            ),
            html.P(
                [
                    "A step at which a figure is missing, or no number, neither counts nor begins anew. ",
                    html.A("See the rules as they are written", href=f"#{ids.RULES_EDITOR}"),
                ],
                className="quiet",
            ),
            _table(rules, firing),
            html.H2("As they are written"),
            _editor(rules, source.runs()[:MOST_RUNS]),
        ]
    )


def _whose(rules: RulesView, now: float) -> list[Any]:
    """Return where the rules come from."""
    if rules.file:
        return ["They are those of the file ", html.Code(rules.file), ", and change when it changes."]
    if rules.origin is Origin.FILE:
        return [f"They are those of a file that this server was given before: {rules.author}."]
    if rules.origin is Origin.API:
        when = "" if rules.time is None else f", {age(now - rules.time)}"
        since = {} if rules.time is None else at(rules.time)
        return [html.Span(f"Saved by {rules.author or 'somebody without a name'}{when}.", **since)]
    return ["These are the default rules."]


def _table(view: RulesView, firing: Mapping[str, int]) -> html.Table:
    names = ("Rule", "Now", "Begins", "Ends", "Runs")
    head = html.Thead(html.Tr([html.Th(name) for name in names]))
    rows = [_row(rule, firing.get(rule.name, 0), names, is_owned=bool(view.file)) for rule in view.rules]
    if not rows:
        rows = [html.Tr(html.Td("There is no rule: nobody is called.", colSpan=len(names)))]
    return html.Table([head, html.Tbody(rows)], className="rows rules")


def _row(rule: Rule, firing: int, names: Sequence[str], *, is_owned: bool) -> html.Tr:
    about = [html.P(rule.summary, className="quiet")] if rule.summary else []
    cells: tuple[Any, ...] = (
        [
            html.Div(
                [
                    alert.severity(rule.severity),
                    html.Strong(rule.name),
                    *alert.guide_link(rule.guide),
                    *([] if is_owned else [_edit(rule)]),
                ],
                className="named",
            ),
            *about,
        ],
        _state(rule, firing),
        html.Span(beginning(rule), title=rule.when.text),
        html.Span(ending(rule), title="" if rule.clear is None else rule.clear.text),
        "every" if rule.runs == ("*",) else ", ".join(rule.runs),
    )
    return html.Tr(
        [html.Td(cell, **{"data-label": name}) for name, cell in zip(names, cells, strict=True)],
        className="" if rule.enabled else "off",
    )


def _edit(rule: Rule) -> html.Button:
    """Return the button of the form for a rule, with what its limits are of."""
    when, clear = (
        limits_in_words(rule.when.node),
        [] if rule.clear is None else limits_in_words(rule.clear.node),
    )
    one = alert.button(
        "Edit", "edit-rule", "small", rule=rule.name, when=json.dumps(when), clear=json.dumps(clear)
    )
    setattr(one, "aria-label", f"Edit {rule.name}")
    return one


def _state(rule: Rule, firing: int) -> Any:
    if not rule.enabled:
        return html.Span("off", className="quiet")
    if not firing:
        return html.Span("quiet", className="quiet")
    on = f"fires on {firing} {'run' if firing == 1 else 'runs'}"
    return html.Span(alert.alerts_link(on, rule=rule.name), className=f"fires {rule.severity.word}")


def _editor(rules: RulesView, runs: Sequence[RunSummary]) -> html.Section:
    """Return the document with its line numbers, and what can be done with it."""
    is_owned = bool(rules.file)
    document = dcc.Textarea(
        id=ids.RULES_DOCUMENT,
        value=rules.document,
        readOnly=is_owned,
        spellCheck=False,
        wrap="off",
        className="document",
    )
    lines = html.Pre(id=ids.RULES_LINES, **{"aria-hidden": "true"})
    return html.Section(
        [
            html.Label("Rules, in TOML", htmlFor=ids.RULES_DOCUMENT, className="hidden"),
            html.Div([lines, document], className="written"),
            _acts(is_owned, rules),
            _trial(runs),
            html.Div(id=ids.RULES_ANSWER, role="status", className="answer"),
        ],
        id=ids.RULES_EDITOR,
        **{"data-version": str(rules.version), "data-owned": rules.file},
    )


def _acts(is_owned: bool, rules: RulesView) -> html.Div:
    if is_owned:
        how = html.Span(
            ["Change them in ", html.Code(rules.file), "; here they can be tried."], className="quiet"
        )
        return html.Div([alert.button("Check", "check-rules"), how], className="acts")
    back = (
        [] if rules.origin is Origin.DEFAULT else [alert.button("Back to the default rules", "default-rules")]
    )
    return html.Div(
        [
            alert.button("Check", "check-rules"),
            alert.button("Save", "save-rules", "first"),
            *back,
            html.Span(
                "To save takes an admin. What is in force stays until the text is right as a whole.",
                className="quiet",
            ),
        ],
        className="acts",
    )


def _trial(runs: Sequence[RunSummary]) -> html.Div | None:
    if not runs:
        return None
    choices = [html.Option(f"{run.project} / {run.name}", value=run.id) for run in runs]
    return html.Div(
        [
            html.Label(["Try them on ", html.Select(choices, id=ids.RULES_RUN, name="run")]),
            alert.button("Preview", "preview-rules"),
            alert.button("Try", "try-rules"),
            html.Span(
                "Preview: what they would have done there beside those in force. Try: each thing they would have done. "
                "Nothing is saved.",
                className="quiet",
            ),
        ],
        className="acts",
    )
