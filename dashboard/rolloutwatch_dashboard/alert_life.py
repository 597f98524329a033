"""The life of an alert in words."""

from collections.abc import Sequence
from typing import Any

from rolloutwatch_contract.alert_life import Happening, Moment

FOR_EVER = 1e14  # a time, in seconds since 1970, that nobody waits for
SAID = {
    Happening.FIRING: "Fires",
    Happening.RESOLVED: "Resolved",
    Happening.FLAPPING: "Flaps: its next beginnings and ends are recorded, and nobody is told",
    Happening.STABLE: "Flaps no more",
    Happening.REPEAT: "Fires still",
    Happening.ACKNOWLEDGED: "Acknowledged",
    Happening.TAKEN_BACK: "Acknowledgement taken back",
    Happening.EXPIRED: "The time of the acknowledgement is over",
    Happening.SILENCED: "Silenced",
    Happening.SILENCE_TAKEN_BACK: "Silence ended",
    Happening.SILENCE_EXPIRED: "The time of the silence is over",
}
MESSAGES = {
    Happening.TOLD: "{by} was told: {about}",
    Happening.WAITING: "A message waits for {by}: {about}",
    Happening.GIVEN_UP: "A message to {by} was given up: {about}",
}
BAD = (Happening.GIVEN_UP, Happening.FLAPPING)


def told(moments: Sequence[Moment]) -> list[dict[str, Any]]:
    """Return each moment as the browser shows it: when, at which step, what, and what colour that has.

    >>> [one] = told([Moment(what=Happening.ACKNOWLEDGED, time=5.0, by="olga", note="on it")])
    >>> one["text"], one["note"], one["kind"]
    ('Acknowledged by olga', 'on it', 'acknowledged')
    """
    return [
        {
            "time": one.time,
            "step": one.step,
            "text": in_words(one),
            "note": one.note,
            "until": one.until if one.until is not None and one.until < FOR_EVER else None,
            "kind": "bad" if one.what in BAD else one.what.value.replace(" ", "-"),
        }
        for one in moments
    ]


def in_words(one: Moment) -> str:
    """Return what happened, and by whom."""
    if one.what in MESSAGES:
        return MESSAGES[one.what].format(by=one.by, about=one.about)
    by = f" by {one.by}" if one.by else ""
    quiet = ", and nobody is told, for it flaps" if one.quiet else ""
    return f"{SAID[one.what]}{by}{quiet}"
