"""What a stream brings: entries, each with a record in it or the reason why there is none."""

from dataclasses import dataclass, field

import msgspec

from rolloutwatch_contract import Record

LARGEST_PART = 2**64 - 1


class Position(msgspec.Struct, frozen=True, order=True):
    """How far a stream is read: the two parts of the id of its last entry."""

    major: int = 0
    minor: int = 0

    @classmethod
    def of(cls, entry: bytes | str) -> "Position":
        """Read a stream id."""
        text = entry.decode("ascii") if isinstance(entry, bytes) else entry
        major, _, minor = text.partition("-")
        return cls(int(major), int(minor or 0))

    def __str__(self) -> str:
        return f"{self.major}-{self.minor}"

    @property
    def following(self) -> "Position | None":
        """Return the smallest id behind this one; None behind the last one there is."""
        if self.minor < LARGEST_PART:
            return Position(self.major, self.minor + 1)
        return Position(self.major + 1) if self.major < LARGEST_PART else None


class DeadLetter(msgspec.Struct, frozen=True):
    """An entry that is not a record of ours: where it stood, why it was refused, how it began."""

    stream: str
    entry: str
    reason: str
    head: bytes
    time: float


@dataclass(frozen=True)
class Entry:
    """One entry of a stream: where it stands, and the record in it or why there is none.

    Once archived it also has what of it is `hidden`, because a later session speaks for it:
    metrics of its step, or the kind of its mark; and the number of the `session` that a step is of.
    """

    position: Position
    content: Record | DeadLetter
    hidden: frozenset[str] = frozenset()
    session: int = field(default=0, compare=False)
