"""Which alerts an address asks for, and where one chooses among them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple, TypedDict
from urllib.parse import parse_qs, urlencode

from dash import html

from rolloutwatch_contract.protocol import Source
from rolloutwatch_contract.severity import Severity

AMONG = 300  # alerts, the newest: their runs and rules are offered
EVERY = "every"
LONGEST_QUERY = 2000
SEVERITIES = {one.word: one for one in reversed(Severity) if one}


class Choice(TypedDict):
    """What of alerts a source is asked for."""

    run: str | None
    rule: str | None
    severity: Severity | None
    from_time: float | None
    to_time: float | None


class Wanted(NamedTuple):
    """Which alerts are wanted; where nothing is said, all. Times are moments in UTC, as the address has them."""

    run: str | None = None
    rule: str | None = None
    severity: str | None = None
    begun: str | None = None  # from then on
    until: str | None = None  # and before then
    before: str | None = None  # of past ones those before this one

    @property
    def is_choice(self) -> bool:
        """Tell whether some are wanted and not all."""
        return any((self.run, self.rule, self.severity, self.begun, self.until))

    @property
    def choice(self) -> Choice:
        """Return what a source is asked for. What is no time is not heeded."""
        return {
            "run": self.run,
            "rule": self.rule,
            "severity": None if self.severity is None else SEVERITIES[self.severity],
            "from_time": seconds_of(self.begun),
            "to_time": seconds_of(self.until),
        }

    def link(self, before: str | None) -> str:
        """Return the address of past ones before one, or of the page as it begins."""
        query = {name: value for name, value in self._replace(before=before)._asdict().items() if value}
        return "/alerts" + (f"?{urlencode(query)}" if query else "")

    @classmethod
    def of(cls, query: str) -> "Wanted":
        """Read it from an address; what is no severity is as if none was asked for."""
        text = query.removeprefix("?")[:LONGEST_QUERY].encode("utf-8", "replace").decode()
        given = parse_qs(text)
        asked = cls(*(given.get(name, [None])[0] for name in cls._fields))
        return asked if asked.severity in SEVERITIES else asked._replace(severity=None)


def seconds_of(moment: str | None) -> float | None:
    """Return a moment as seconds since 1970, None for what is none.

    >>> seconds_of("2026-11-30T16:00Z"), seconds_of("2026-11-30"), seconds_of("yesterday")
    (1796054400.0, 1795996800.0, None)
    """
    try:
        at = datetime.fromisoformat(moment or "")
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def filters(source: Source, wanted: Wanted) -> html.Form | None:
    """Return what the choice is among: all that fires or has lately fired."""
    known = source.alerts(state="all", limit=AMONG)
    if not known and not wanted.is_choice:
        return None
    choices = {
        "severity": [*SEVERITIES],
        "run": sorted({one.run for one in known}),
        "rule": sorted({one.rule for one in known}),
    }
    return html.Form(
        [
            *(_choice(name, getattr(wanted, name), values) for name, values in choices.items()),
            _time("begun", "Begun from", wanted.begun),
            _time("until", "to", wanted.until),
        ],
        className="filters",
        action="/alerts",
        method="get",
    )


def _choice(name: str, wanted: str | None, values: Sequence[str]) -> html.Label:
    there = [wanted] if wanted and wanted not in values else []
    options = [
        html.Option(f"{EVERY} {name}", value=""),
        *(
            html.Option(one, value=one, selected="selected" if one == wanted else None)
            for one in [*there, *values]
        ),
    ]
    return html.Label([html.Span(name.capitalize()), html.Select(options, name=name)])


def _time(name: str, label: str, wanted: str | None) -> html.Div:
    """Return where a time is chosen: alerts_page.js puts a field there, in the zone of whoever looks."""
    known = "" if seconds_of(wanted) is None else wanted
    return html.Div(className="moment", **{"data-name": name, "data-label": label, "data-moment": known})
