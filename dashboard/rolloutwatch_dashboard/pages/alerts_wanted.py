"""Which alerts an address asks for, and where one chooses among them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import parse_qs, urlencode

from dash import html

from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.protocol import Source
from rolloutwatch_contract.severity import Severity

AMONG = 300  # alerts, the newest: their runs and rules are offered
EVERY = "every"
LONGEST_QUERY = 2000


class Wanted(NamedTuple):
    """Which alerts are wanted; where nothing is said, all."""

    run: str | None = None
    rule: str | None = None
    severity: str | None = None
    before: str | None = None  # of past ones those before this one

    @property
    def is_choice(self) -> bool:
        """Tell whether some are wanted and not all."""
        return any((self.run, self.rule, self.severity))

    def link(self, before: str | None) -> str:
        """Return the address of past ones before one, or of the page as it begins."""
        query = {name: value for name, value in self._replace(before=before)._asdict().items() if value}
        return "/alerts" + (f"?{urlencode(query)}" if query else "")

    @classmethod
    def of(cls, query: str) -> "Wanted":
        """Read it from an address."""
        text = query.removeprefix("?")[:LONGEST_QUERY].encode("utf-8", "replace").decode()
        given = parse_qs(text)
        return cls(*(given.get(name, [None])[0] for name in cls._fields))

    def those(self, found: Iterable[AlertView]) -> list[AlertView]:
        """Return the alerts of the wanted severity."""
        return [one for one in found if self.severity in (None, one.severity.word)]


def filters(source: Source, wanted: Wanted) -> html.Form | None:
    """Return what the choice is among: all that fires or has lately fired."""
    known = source.alerts(state="all", limit=AMONG)
    if not known and not wanted.is_choice:
        return None
    choices = {
        "severity": [one.word for one in reversed(Severity) if one],
        "run": sorted({one.run for one in known}),
        "rule": sorted({one.rule for one in known}),
    }
    return html.Form(
        [_choice(name, getattr(wanted, name), values) for name, values in choices.items()],
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
