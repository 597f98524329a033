"""The page of one step: what was unusual, which sequences carried it, and which of their tokens."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from dash import dcc, html

from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import RunDetail
from rolloutwatch_contract.protocol_steps import NoStep, StepView
from rolloutwatch_dashboard.components import diagnosis, figure_table, frame, step_head
from rolloutwatch_dashboard.judgement import WORDS
from rolloutwatch_dashboard.pages.step_sequences import looked_at, sequences, step_of
from rolloutwatch_dashboard.sequences import Asked
from rolloutwatch_dashboard.usual import Compared, before, compared
from rolloutwatch_dashboard.visit import Shown, Visit
from rolloutwatch_dashboard.words import title

MOST_ABSENT = 12


def show(visit: Visit, name: str, number_of_step: str) -> Shown | None:
    """Return the page, and what step.js needs."""
    run = visit.source.run(name)
    step = step_of(number_of_step)
    if run is None or step is None:
        return None
    asked = Asked.of(visit.query)
    view = visit.source.step(name, step, asked.attempt)
    if isinstance(view, NoStep):
        return _missing(run, view, asked.attempt), {"title": f"step {step} · {run.summary.name}"}
    looked = looked_at(run, view, asked)
    limits = visit.limits(name)
    figures = compared(view.metrics, former := before(visit.source, name, step, list(run.metrics)), limits)
    health = _health(view, figures, limits)
    absent = [
        metric
        for metric, one in former.items()
        if metric not in view.metrics and len(one.step) and step - int(one.step[-1]) <= 1
    ]
    page = html.Div(
        [
            step_head.head(run, view, health),
            frame.run_tabs(name, ""),
            step_head.ways(run, view),
            *step_head.attempts(view),
            *_probably(visit, view),
            *step_head.stood(view.alerts),
            *step_head.marks(visit.source.marks(name, from_step=step, to_step=step, most=step_head.MOST_MARKS)),
            *_figures(figures, limits, absent),
            *sequences(run, looked),
        ]
    )  # fmt: skip
    told = {
        "kind": "step",
        "title": f"step {step} · {run.summary.name}",
        "state": health[1],
        "word": health[0],
    }
    return page, told


def _health(view: StepView, figures: Sequence[Compared], limits: Sequence[Limit]) -> tuple[str, str]:
    """Return how the step was, in a word, with the class of its colour."""
    found = [one.broken.severity for one in figures if one.broken is not None]
    found += [one.severity for one in view.alerts or ()]
    if found:
        severity = max(found)
        return WORDS[severity], severity.word
    judged = {limit.metric for limit in limits} & {*view.metrics}
    return ("within all limits", "ok") if judged else ("not measured", "unknown")


def _probably(visit: Visit, view: StepView) -> list[Any]:
    """Return what was probably wrong by what was known then, nothing where no alert stood, or the step was given up."""
    if not view.alerts or not view.shown:
        return []
    found = diagnosis.panel(visit.source.diagnosis(view.run, view.step), view.run)
    return [html.H2("What was probably wrong"), *found] if found else []


def _missing(run: RunDetail, missing: NoStep, attempt: str | None) -> html.Section:
    """Return what stands in the place of a step that is not there."""
    name, step = run.summary.id, missing.step
    if missing.attempts and attempt is not None:
        said = f"No session “{attempt[:100]}” did step {step} of this run. These did:"
    elif missing.attempts:
        said = (
            f"Step {step} was given up when the run was resumed from an earlier step. These sessions did it:"
        )
    elif missing.previous is None and missing.next is None:
        said = "This run has no step yet."
    else:
        said = f"Nothing was recorded at step {step} of this run."
    sessions = [
        html.Li(dcc.Link(one, href=step_head.address(name, step, attempt=one)))
        for one in missing.attempts[:20]
    ]
    beside = [
        html.Li(dcc.Link(f"step {one}", href=step_head.address(name, one)))
        for one in (missing.previous, missing.next)
        if one is not None
    ]
    return frame.message(
        "No such step",
        html.P(said),
        *([html.Ul(sessions)] if sessions else []),
        *([html.P("Recorded beside it:"), html.Ul(beside)] if beside else []),
        html.P(dcc.Link("See the run", href=f"/runs/{quote(name)}")),
    )  # fmt: skip


def _calm(found: Sequence[Compared]) -> str:
    """Return what is said where no figure stands out, and of how many nothing can be said."""
    count = f"{len(found)} {'figure' if len(found) == 1 else 'figures'}"
    new = sum(one.usual is None for one in found)
    if new == len(found):
        return f"No limit is broken by the {count}; too few steps came before to say what is usual."
    rest = f", and {new} came too seldom before to say so" if new else ""
    return f"Nothing: of {count} each is within its limits and about where it was before{rest}."


def _figures(found: Sequence[Compared], limits: Sequence[Limit], absent: Sequence[str]) -> list[html.Section]:
    if not found:
        return [html.Section([html.H2("Figures"), html.P("No figure came at this step.", className="quiet")])]
    some = figure_table.outstanding(found)
    shown = some[: figure_table.MOST_OUTSTANDING]
    calm = html.P(_calm(found), className="quiet")
    left = [html.P(f"{len(some) - len(shown)} more, among all figures below.", className="quiet")]
    gone = ", ".join(title(one) for one in absent[:MOST_ABSENT])
    rest = f" and {len(absent) - MOST_ABSENT} more" if len(absent) > MOST_ABSENT else ""
    lost = [html.P(f"Came just before and not at this step: {gone}{rest}.", className="quiet")]
    return [
        html.Section(
            [
                html.H2("What stands out"),
                figure_table.table(shown, limits) if shown else calm,
                *(left if len(some) > len(shown) else []),
                *(lost if absent else []),
                html.Details(
                    [
                        html.Summary(f"All {len(found)} figures of the step"),
                        html.P(figure_table.explanation(), className="quiet"),
                        *figure_table.grouped(found, limits),
                    ],
                    className="all-figures",
                ),
            ]
        )
    ]  # fmt: skip
