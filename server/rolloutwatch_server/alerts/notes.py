"""What is noted of a run beside its figures, so that they can be judged again exactly as they were judged live.

A run's notes stand in the order in which they were made.
"""

import msgspec

TIME = ":time"  # no metric can be called so


class ReferenceRun(msgspec.Struct, frozen=True, omit_defaults=True):
    """The run that another is compared with from its first step on, "" without one, and its `values` by metric, in order."""

    run: str = ""
    values: dict[str, tuple[float, ...]] = {}


class Began(msgspec.Struct, frozen=True, tag="began"):
    """From behind a step on (-1: from the first one on) the run is judged anew, by the rules of a version.

    What came behind the step `judged_to` and up to that one was never judged.
    The figures of `reference` count as what was usual before.
    """

    step: int
    time: float
    rule_set: int
    judged_to: int = -1
    reference: ReferenceRun = ReferenceRun()


class LateFigures(msgspec.Struct, frozen=True, tag="late"):
    """Figures of a step that came while a later one was open, `during`: rules that need no others were judged by them.

    `session` brought them, 0 if that is not known.
    """

    step: int
    time: float
    during: int
    figures: dict[str, float]
    session: int = 0


class Was(msgspec.Struct, frozen=True, tag="was"):
    """Figures of a step as they were judged, where others are shown now; None where they were not judged at all.

    The figure TIME is when the step was taken to be made. `speakers` are the sessions that brought those that were judged.
    """

    step: int
    figures: dict[str, float | None]
    speakers: dict[str, int] = {}


class WentBack(msgspec.Struct, frozen=True, tag="back"):
    """The run went back to a step.

    `epochs` is how often each rule had fired by then, `going_on` are those whose alert fires on, and whether it was
    flapping. `came` are the metrics that had ever come, with for how many steps they had not at the step before.
    """

    step: int
    time: float
    epochs: dict[str, int]
    going_on: dict[str, bool] = {}
    came: dict[str, int] = {}


class OtherRules(msgspec.Struct, frozen=True, tag="rules"):
    """Rules of another version came into force while a step was open and these figures of it had come."""

    step: int
    time: float
    came: tuple[str, ...]
    rule_set: int


class RunEnded(msgspec.Struct, frozen=True, tag="ended"):
    """The run ended after a step."""

    step: int
    time: float


class OtherConfig(msgspec.Struct, frozen=True, tag="config"):
    """From a step on the trainer is configured otherwise, as it has marked."""

    step: int
    time: float


FeedNote = Began | LateFigures | Was | WentBack | OtherRules | RunEnded | OtherConfig

pack_note = msgspec.msgpack.Encoder().encode
unpack_note = msgspec.msgpack.Decoder(FeedNote).decode


def kind_of(note: FeedNote) -> str:
    """Return the word that stands for what a note is."""
    return str(type(note).__struct_config__.tag)
