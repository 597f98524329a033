"""Where numbered records go. Redis is one such place; a list in memory is another, for tests and dry runs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rolloutwatch_contract import Record, decode


class SinkError(Exception):
    """A sink could not be reached, or did not say whether it took what it was given."""


@dataclass(frozen=True)
class Reached:
    """How far a session's records have come: the last number the sink holds, and the last one that is archived."""

    top: int
    archived: int


class Sink(Protocol):
    """Takes a session's records in the order of their numbers. Used by one thread."""

    def reached(self) -> Reached:
        """Ask how far the records have come; SinkError if there is no answer."""

    def send(self, frames: Sequence[tuple[int, bytes]]) -> int:
        """Take frames with ascending numbers, all or none; return the last number that is archived.

        SinkError means that nobody knows whether they were taken: ask `reached` before sending again.
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

    @property
    def records(self) -> list[Record]:
        """Return what has come, in order."""
        return [decode(self.frames[number]) for number in sorted(self.frames)]

    def reached(self) -> Reached:
        """Return the highest number that has come."""
        return Reached(max(self.frames, default=0), self.archived)

    def send(self, frames: Sequence[tuple[int, bytes]]) -> int:
        """Keep frames."""
        self.frames.update(frames)
        return self.archived

    def close(self) -> None:
        """Keep everything; there is nothing to let go of."""
