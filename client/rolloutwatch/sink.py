"""Where numbered records go. Redis is one such place; a list in memory is another, for tests and dry runs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rolloutwatch_contract import Record, decode
from rolloutwatch_contract.alerts import FiringAlerts, encode_firing

Frame = tuple[int, bytes]


class SinkError(Exception):
    """A sink could not be reached, or did not say whether it took what it was given.

    `retry_after_seconds` is how long to wait before the next attempt where a person has to do something first.
    """

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class StreamLost(SinkError):
    """What a sink had taken is lost or mixed with what others wrote; it has begun anew, and holds nothing.

    `archived` is the number up to which the server is known to have archived all records:
    those behind it are to be sent again. `part` numbers what it goes on in.
    """

    def __init__(self, message: str, archived: int, part: int = 0) -> None:
        super().__init__(message)
        self.archived = archived
        self.part = part


class Unheard(Exception):
    """What the server says of alerts cannot be had, or cannot be what it says; records are not concerned."""


class Sink(Protocol):
    """Takes a session's records in the order of their numbers. Used by one thread."""

    def send(self, frames: Sequence[Frame]) -> int:
        """Take frames with ascending numbers, all or none; return the number up to which all are archived.

        No frames at all is a question for that number.
        SinkError means that nobody knows whether they were taken: give the same ones again, some first or others behind them.
        """

    def close(self) -> None:
        """Let go of connections."""


@dataclass
class MemorySink:
    """Keeps records in a list, where a test can look at them.

    >>> sink = MemorySink()
    >>> with Monitor(project="p", run="r", sink=sink) as monitor:
    ...     monitor.log(0, {"reward": 1.0})
    >>> sink.records[1].metrics
    {'reward': 1.0}
    """

    frames: dict[int, bytes] = field(default_factory=dict)
    archived: int = 0
    firing: FiringAlerts | None = (
        None  # what a server would say, for whoever tries what a trainer makes of alerts
    )

    @property
    def records(self) -> list[Record]:
        """Return what has come, in order."""
        return [decode(self.frames[number]) for number in sorted(self.frames)]

    def send(self, frames: Sequence[Frame]) -> int:
        """Keep frames."""
        self.frames.update(frames)
        return self.archived

    def hear(self) -> bytes | None:
        """Return what a server would say of alerts."""
        return None if self.firing is None else encode_firing(self.firing)

    def close(self) -> None:
        """Keep everything; there is nothing to let go of."""
