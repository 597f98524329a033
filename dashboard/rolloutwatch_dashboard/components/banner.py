"""What stands above every page when alerts cannot be trusted, and the count of those that fire."""

import json
from collections.abc import Sequence
from itertools import islice
from typing import Any

from dash import dcc, html

from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.protocol import Source
from rolloutwatch_contract.severity import Severity
from rolloutwatch_dashboard.components import alert
from rolloutwatch_dashboard.text import cut
from rolloutwatch_dashboard.words import lasting, names

MOST_COUNTED = 1000
MOST_NAMED = 3
MOST_TOLD = 20
MOST_RUNS = 200
LETTERS_OF_A_SUMMARY = 200


def count(firing: Sequence[AlertView], now: float) -> html.Span | None:
    """Return how many alerts fire, in the colour of the worst that nobody has seen; None if none does."""
    if not firing:
        return None
    calling = [one for one in firing if alert.calls(one, now)]
    kind = max(one.severity for one in calling).word if calling else "unknown"
    return html.Span(
        str(len(calling) or len(firing)), className=f"count {kind}", title=_title(firing, calling)
    )


def told(firing: Sequence[AlertView], now: float) -> str:
    """Return what a browser is to know of alerts that fire, the newest first: see assets/firing.js."""
    calling = [one for one in firing if alert.calls(one, now)]
    worst = max((one.severity for one in calling), default=None)
    runs: dict[str, Severity] = {}
    for one in calling:
        runs[one.run] = max(runs.get(one.run, one.severity), one.severity)
    return json.dumps(
        {
            "at": now,
            "worst": worst and worst.word,
            "count": sum(one.severity == worst for one in calling),
            "runs": {run: severity.word for run, severity in islice(runs.items(), MOST_RUNS)},
            "newest": [_brief(one, now) for one in firing[:MOST_TOLD]],
        }
    )


def _brief(one: AlertView, now: float) -> dict[str, Any]:
    return {
        "id": one.id,
        "run": one.run,
        "rule": one.rule,
        "severity": one.severity.word,
        "step": one.firing_step,
        "calls": alert.calls(one, now),
        "summary": cut(one.summary, LETTERS_OF_A_SUMMARY),
    }


def _title(firing: Sequence[AlertView], calling: Sequence[AlertView]) -> str:
    fire = "1 alert fires" if len(firing) == 1 else f"{len(firing)} alerts fire"
    seen = len(firing) - len(calling)
    return f"{fire}, {seen} of them acknowledged or silenced" if seen else fire


def banners(source: Source, now: float) -> list[Any]:
    """Return why alerts cannot be trusted at present; nothing if they can."""
    found: list[Any] = []
    problem = source.rules().problem
    if problem:
        text = f"The rules file is refused, and the rules that were in force before stay so. {problem}"
        found.append(_banner("critical", [text, " ", dcc.Link("Rules", href="/rules")]))
    broken = source.broken_alerts()
    if broken:
        first = next(iter(broken.values()))
        text = (
            f"Alerts of {names(list(broken), MOST_NAMED)} are not judged, by a fault of this server: {first}"
        )
        found.append(_banner("critical", [text]))
    failing = [one for one in source.notifications() if one.failing_since is not None]
    if failing:
        told = [f"{one.name} (for {lasting(now - (one.failing_since or now))})" for one in failing]
        waiting = sum(one.waiting for one in failing)
        rest = f" {waiting} {'message waits' if waiting == 1 else 'messages wait'}." if waiting else ""
        text = f"Messages do not reach {names(told, MOST_NAMED)}.{rest}"
        why = [html.Li(f"{one.name}: {one.error}") for one in failing[:MOST_NAMED] if one.error]
        detail = [html.Ul(why, className="why")] if why else []
        found.append(_banner("warning", [text, " ", dcc.Link("Who is told", href="/alerts"), *detail]))
    return found


def _banner(kind: str, body: list[Any]) -> html.Div:
    return html.Div(body, className=f"banner {kind}")
