"""What an importer makes of a file: a stream of what a past run was and did, in the order of the file."""

from dataclasses import dataclass, field

from rolloutwatch_contract import Outcome

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Begin:
    """A process began to write: where (a file, a part of it), and when if that is known."""

    where: str
    time: float | None = None


@dataclass(frozen=True)
class About:
    """What a run says of itself; of several the later ones add to the earlier ones."""

    project: str | None = None
    name: str | None = None
    config: dict[str, Value] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """Figures of a step, under the names that the file has; seconds since 1970, None if the file has no time."""

    step: int
    time: float | None
    figures: dict[str, float]
    place: str = ""


@dataclass(frozen=True)
class End:
    """A process ended."""

    outcome: Outcome


@dataclass(frozen=True)
class Skipped:
    """Something of a file that is no figure and is left out: what, and how many of it."""

    what: str
    count: int = 1


@dataclass(frozen=True)
class Caution:
    """Something that whoever imports should know."""

    text: str


Item = Begin | About | Row | End | Skipped | Caution
