"""An alert: what fires where since when, what that means, what to do, and who has seen it.

Buttons say by `data-act` what alerts.js is to do with what their other data name; the server decides who may.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

from dash import dcc, html

from rolloutwatch_contract import guides
from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.keys import split_run_id
from rolloutwatch_contract.severity import Severity
from rolloutwatch_dashboard.components import badge
from rolloutwatch_dashboard.components.clock import Clock
from rolloutwatch_dashboard.text import at
from rolloutwatch_dashboard.words import Figure, condition_of, figures_of, is_of_losses, metrics_of

# which role a button's act takes, as security/roles.py of the server has it; pages hide what one may not do
NEEDS = {
    **dict.fromkeys(("acknowledge", "take-back", "silence", "end-silence"), "operator"),
    **dict.fromkeys(("test-target", "retry-message", "save-rules", "default-rules"), "admin"),
}
SYMBOLS = {Severity.WARNING: "▲", Severity.CRITICAL: "◆"}


def severity(of: Severity) -> html.Strong:
    """Return a severity: its word, in its colour."""
    return badge.health(of.word, of.word)


def run_link(run: str, step: int | None = None) -> dcc.Link:
    """Return the link to the page of a run, at a step."""
    where = f"/runs/{quote(run)}" + ("" if step is None else f"?step={step}")
    return dcc.Link(run_name(run), href=where, className="run")


def run_name(run: str) -> list[Any]:
    """Return a run as people write it; one whose id cannot be, as it is."""
    try:
        project, name = split_run_id(run)
    except ValueError:
        return [run]
    return [html.Span(f"{project} / ", className="project"), name]


def alerts_link(text: Any, **which: str) -> dcc.Link:
    """Return the link to the alerts of a run, of a rule, or of a severity."""
    return dcc.Link(text, href=f"/alerts?{urlencode(which)}")


def guide_link(guide: str) -> list[html.A]:
    """Return the link to a guide, if what a rule calls so leads anywhere."""
    link = guides.link(guide)
    return [html.A("Guide", href=link, className="guide", rel="noreferrer")] if link else []


def card(alert: AlertView, now: float) -> html.Article:
    """Return an alert that fires, with all that is known of it."""
    head = html.Header(
        [
            severity(alert.severity),
            html.H3(alert.rule),
            run_link(alert.run),
            *notes(alert),
            since(alert, now),
        ]
    )
    cure = [html.P([html.Strong("What to do: "), alert.cure], className="cure")] if alert.cure else []
    return html.Article(
        [
            head,
            *([html.P(alert.summary, className="summary")] if alert.summary else []),
            figures(figures_of(alert)),
            history(alert, grows=True),
            html.P(["Fires when ", condition(alert.condition), "."], className="condition"),
            *cure,
            seen(alert, now),
            actions(alert, now),
            life(alert),
        ],
        className=classes(alert, now),
    )


def history(alert: AlertView, *, grows: bool) -> html.Div:
    """Return the place of an alert's chart, which alerts_page.js draws once somebody comes near it; one grows with its run."""
    seen = f"{alert.resolved_step} {alert.acknowledged_by} {alert.silenced_until}"
    where = f"/runs/{quote(alert.run)}?step="
    return html.Div(
        className="history",
        **{
            **({"data-run": alert.run} if grows else {}),
            "data-history": alert.id,
            "data-version": seen,
            "data-href": where,
            "data-step": str(alert.firing_step),
        },
    )


def life(alert: AlertView) -> html.Div:
    """Return the place where alerts_page.js writes what happened to an alert, if that is asked for."""
    return html.Div(className="life", **{"data-life": alert.id})


def life_button(alert: AlertView) -> html.Button:
    """Return the button that shows it."""
    return button("What happened", "life", of=alert.id)


def step_link(alert: AlertView, step: int, text: str) -> dcc.Link:
    """Return the link to all of one step of the run."""
    return dcc.Link(text, href=f"/runs/{quote(alert.run)}/steps/{step}")


def told(alert: AlertView, now: float) -> dict[str, Any]:
    """Return what run_why.js says of an alert on the page of its run."""
    acknowledged, silenced = _acknowledged(alert, now), _silenced(alert, now)
    # what was lost is said in words, with why, beside which its count says nothing
    is_loss = is_of_losses(alert)
    known = [] if is_loss else figures_of(alert)
    return {
        "id": alert.id,
        "run": alert.run,
        "rule": alert.rule,
        "severity": int(alert.severity),
        "summary": alert.summary,
        "condition": condition_of(alert.condition) or alert.condition,
        "step": alert.firing_step,
        "time": alert.firing_time,
        "known": [one._asdict() for one in known],
        "metrics": sorted(metrics_of(alert)),
        "is_loss": is_loss,
        "cure": alert.cure,
        "guide": guides.link(alert.guide),
        "notes": [[one.children, one.title] for one in notes(alert)],
        "calls": calls(alert, now),
        "acknowledged": _text(acknowledged, now),
        "note": alert.note if acknowledged else "",
        "silenced": _text(silenced, now),
    }


def classes(alert: AlertView, now: float) -> str:
    """Return the classes of an alert; one that somebody has seen is quieter."""
    return f"alert {alert.severity.word}{' seen' if not calls(alert, now) else ''}"


def is_acknowledged(alert: AlertView, now: float) -> bool:
    """Tell whether somebody has seen an alert, and that still counts."""
    until = alert.acknowledged_until
    return bool(alert.acknowledged_by) and (until is None or until > now)


def calls(alert: AlertView, now: float) -> bool:
    """Tell whether an alert still calls for somebody: nobody has acknowledged or silenced it."""
    is_silenced = alert.silenced_until is not None and alert.silenced_until > now
    return not is_acknowledged(alert, now) and not is_silenced


def notes(alert: AlertView) -> list[html.Span]:
    """Return what is unusual about an alert."""
    said = {
        "flapping": (alert.flapping, "It fires and ends so often that only this is told."),
        "found late": (alert.late, "The server had been away; it was found long after."),
        "given up": (alert.given_up, "The run went back behind it, and its steps were done anew."),
    }
    return [html.Span(word, className="note", title=why) for word, (is_so, why) in said.items() if is_so]


def since(alert: AlertView, now: float) -> html.Span:
    """Return since when an alert fires."""
    said = Clock("ago", alert.firing_time, f"since step {alert.firing_step}, ")
    return said.span(now, className="since", **at(alert.firing_time))


def figures(found: Sequence[Figure]) -> html.Ul:
    """Return the figures of an alert beside their limits."""
    return html.Ul(
        [
            html.Li(
                [
                    html.Span(one.title, className="name"),
                    html.Strong(one.value),
                    *([html.Span(f"fires {one.limit}", className="limit")] if one.limit else []),
                ]
            )
            for one in found
        ],
        className="figures",
    )


def condition(text: str) -> Any:
    """Return a condition in words, and as it was written when one points at it."""
    words = condition_of(text)
    return html.Code(text) if words is None else html.Span(words, title=text)


def seen(alert: AlertView, now: float) -> html.Div:
    """Return who has acknowledged an alert, and until when nobody is told of it."""
    said: list[Any] = []
    if acknowledged := _acknowledged(alert, now):
        note = [html.Q(alert.note)] if alert.note else []
        said.append(html.P([_shown(acknowledged, now, " "), *note, take_back(alert)]))
    if silenced := _silenced(alert, now):
        said.append(html.P(_shown(silenced, now)))
    return html.Div(said, className="seen-by")


def _acknowledged(alert: AlertView, now: float) -> Clock | str:
    if not is_acknowledged(alert, now):
        return ""
    by = f"Acknowledged by {alert.acknowledged_by}, "
    until = alert.acknowledged_until
    return f"{by}until it ends." if until is None else Clock("remaining", until, by, ".")


def _silenced(alert: AlertView, now: float) -> Clock | str:
    until = alert.silenced_until
    if until is None or until <= now:
        return ""
    return Clock("remaining", until, "Silenced ", ": nobody is told.")


def _text(said: Clock | str, now: float) -> str:
    return said if isinstance(said, str) else said.text(now)


def _shown(said: Clock | str, now: float, then: str = "") -> html.Span:
    return (
        html.Span(said + then) if isinstance(said, str) else said._replace(after=said.after + then).span(now)
    )


def actions(alert: AlertView, now: float) -> html.Footer:
    """Return what can be done about an alert."""
    return html.Footer(
        [
            *([] if is_acknowledged(alert, now) else [acknowledge(alert)]),
            button("Silence", "silence", run=alert.run, rule=alert.rule),
            life_button(alert),
            dcc.Link(
                f"Run at step {alert.firing_step}", href=f"/runs/{quote(alert.run)}?step={alert.firing_step}"
            ),
            step_link(alert, alert.firing_step, f"Step {alert.firing_step}"),
            *guide_link(alert.guide),
            alerts_link("Others of this rule", rule=alert.rule),
        ]
    )


def acknowledge(alert: AlertView) -> html.Button:
    """Return the button by which somebody says that they have seen an alert."""
    return button("Acknowledge", "acknowledge", alert=alert.id, run=alert.run, rule=alert.rule)


def take_back(alert: AlertView) -> html.Button:
    """Return the button by which that is taken back."""
    return button("Take back", "take-back", alert=alert.id, run=alert.run, rule=alert.rule)


def button(text: str, act: str, kind: str = "", **data: str) -> html.Button:
    """Return a button for alerts.js."""
    needs = {"needs": NEEDS[act]} if act in NEEDS else {}
    known = {f"data-{name}": value for name, value in {"act": act, **needs, **data}.items()}
    return html.Button(text, type="button", className=f"act {kind}".strip(), **known)
