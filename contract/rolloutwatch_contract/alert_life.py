"""The life of an alert: what happened to it, what people did, and who was told."""

import enum

import msgspec


class Happening(enum.Enum):
    """One kind of thing in the life of an alert; the first five are its changes, the last three are of messages."""

    FIRING = "firing"
    RESOLVED = "resolved"
    FLAPPING = "flapping"
    STABLE = "stable"
    REPEAT = "repeat"
    ACKNOWLEDGED = "acknowledged"
    TAKEN_BACK = "taken back"
    EXPIRED = "expired"
    SILENCED = "silenced"
    SILENCE_TAKEN_BACK = "silence taken back"
    SILENCE_EXPIRED = "silence expired"
    TOLD = "told"
    WAITING = "waiting"
    GIVEN_UP = "given up"


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """One thing in the life of an alert, when it was by the server's clock, and at which step if the run made it happen.

    `by` is who did it, '' for the clock, and of a message for whom it is.
    `note` is what was said with it, and of a message that did not arrive why; `about` is what a message tells.
    """

    what: Happening
    time: float
    step: int | None = None
    by: str = ""
    until: float | None = None
    note: str = ""
    about: str = ""
    quiet: bool = False
