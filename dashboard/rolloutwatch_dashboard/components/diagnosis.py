"""What is probably wrong: the likeliest cause with what speaks for it, what to look at next and what to do, and the others."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from dash import dcc, html

from rolloutwatch_contract.diagnosis import Cause, Diagnosis
from rolloutwatch_dashboard.components import alert

MOST_FOR, MOST_AGAINST = 3, 2  # sentences that are seen
MOST_FOR_EACH, MOST_AGAINST_EACH = 2, 1  # of causes that stand beside one another
MOST_BESIDE = 3  # causes that stand beside one another while none is likely enough to be named
# how likely a cause is in a word, from a confidence on
WORDS = ((0.7, "Likely"), (0.3, "Possible"), (0.0, "Unlikely"))
ALMOST_SURE = 0.99  # beyond it no per cent says more: nothing here is certain
LOOK, DO = "Look at next", "What to do"


def panel(found: Diagnosis, run: str, *, as_of: bool = False) -> list[html.Article]:
    """Return what a diagnosis says, nothing if it knows of no cause; `as_of` tells of which step it is, too."""
    if not found.causes:
        return []
    count = 1 if found.is_sure else MOST_BESIDE
    first, others = found.causes[:count], found.causes[count:]
    is_one = len(first) == 1
    known = [likelihood(first[0])] if is_one else []
    way = alert.guide_link(first[0].guide) if is_one else []
    head = html.Header(
        [
            html.H3(found.headline if is_one else _unsure(found)),
            *known,
            html.Div([_since(found, run, as_of), *way], className="more"),
        ]
    )
    said = (
        _advised(first[0]) if is_one else html.Ul([_candidate(one) for one in first], className="candidates")
    )
    return [html.Article([head, said, *_others(others)], className="diagnosis")]


def _unsure(found: Diagnosis) -> str:
    if found.over is None:
        return "Not sure; these are the likeliest causes."
    return f"Over since step {found.over}: not sure; these are the likeliest causes."


def likelihood(cause: Cause) -> html.Span:
    """Return how likely a cause is, in a word and in per cent."""
    word = next(word for least, word in WORDS if cause.confidence >= least)
    over = "over " if cause.confidence > ALMOST_SURE else ""
    return html.Span(
        f"{word} ({over}{100 * min(cause.confidence, ALMOST_SURE):.0f} %)", className="likelihood"
    )


def _since(found: Diagnosis, run: str, as_of: bool) -> html.Span:
    href = f"/runs/{quote(run)}/steps/{found.onset}"
    way = dcc.Link(f"step {found.onset}", href=href, title=f"All of step {found.onset}")
    known = [f", as of step {found.step}"] if as_of else []
    return html.Span(["since ", way, *known], className="since")


def _advised(cause: Cause) -> html.Div:
    """Return what is said of a cause: what speaks for it and against it, beside what to look at and what to do."""
    advice = [*_told(LOOK, [cause.check]), *_told(DO, [cause.cure])]
    return html.Div([*_evidence(cause, MOST_FOR, MOST_AGAINST), html.Dl(advice)], className="cause")


def _evidence(cause: Cause, most_for: int, most_against: int) -> list[html.Dl]:
    told = [
        *_told("Because", cause.evidence_for[:most_for]),
        *_told("Against it", cause.evidence_against[:most_against]),
    ]
    return [html.Dl(told)] if told else []


def _told(name: str, sentences: Sequence[str]) -> list[html.Div]:
    items = [html.Li(_begun(one)) for one in sentences if one]
    return [html.Div([html.Dt(name), html.Dd(html.Ul(items))])] if items else []


def _begun(sentence: str) -> str:
    """Return a sentence with a capital letter."""
    return sentence[:1].upper() + sentence[1:]


def _candidate(cause: Cause) -> html.Li:
    """Return a cause beside others: as long as none is sure one looks first, and what to do is folded away."""
    evidence = _evidence(cause, MOST_FOR_EACH, MOST_AGAINST_EACH)
    cure = [html.P([cause.cure, " ", *alert.guide_link(cause.guide)])]
    return html.Li(
        [*_title(cause), *evidence, html.Dl(_told(LOOK, [cause.check])), _folded(DO, cure, cause.name)]
    )


def _title(cause: Cause) -> list[Any]:
    return [html.Strong(_begun(cause.title)), " ", likelihood(cause)]


def _others(causes: Sequence[Cause]) -> list[html.Details]:
    if not causes:
        return []
    items = [html.Li([*_title(one), " ", *alert.guide_link(one.guide), _advised(one)]) for one in causes]
    return [_folded(f"Less likely causes ({len(causes)})", [html.Ul(items)], "others")]


def _folded(summary: str, shown: list[Any], name: str) -> html.Details:
    """Return what can be opened; run_diagnosis.js knows it by its name and keeps it open."""
    return html.Details([html.Summary(summary), *shown], **{"data-name": name})
