"""What is said of that which a trainer could not deliver, by the reason that its tally names."""

from collections.abc import Mapping
from typing import Final

# reason: what happened, as it reads behind "7 records"; what that means; what helps
DROPS: Final[Mapping[str, tuple[str, str, str]]] = {
    "not_corrected": (
        "not corrected",
        "Log-probs and mask did not fit together: these steps have no weights and no figures, and the trainer was told.",
        "The message that the trainer got names what was expected and what came.",
    ),
    "not_measured": (
        "not measured",
        "Something went wrong while the figures of these steps were computed.",
        "The trainer's log says what.",
    ),
    "queue_full": (
        "lost, the queue was full",
        "The trainer brought figures faster than they could be sent.",
        "Look whether Redis and the server keep up.",
    ),
    "transfers_full": (
        "lost, too many copies were on their way",
        "The device had no time to copy the figures of these steps to the host.",
        "",
    ),
    "bad_step": ("lost, the step was no step", "A step is a whole number from 0 on.", ""),
    "bad_name": ("lost, the name was no metric name", "", "The trainer's log shows the name."),
    "bad_value": ("lost, the value was no number", "", "The trainer's log shows the value."),
    "bad_mark": (
        "lost, the mark was no mark",
        "A mark has a name, and fields that are texts, numbers or flags.",
        "The trainer's log says what was expected and what came.",
    ),
    "too_many": (
        "left out, there were too many",
        "A step has at most 512 figures and 4096 sequences.",
        "Log fewer; the trainer's log says which were left out.",
    ),
    "vetoed_left_out": (
        "vetoed sequences without a row of their own",
        "More sequences were vetoed than a step, or a rank's part of it, has rows; figures are of all of them.",
        "Look why so many are vetoed.",
    ),
    "not_decoded": (
        "without the text of their tokens",
        "The function that makes text of tokens failed or took too long, and their numbers are shown instead.",
        "The trainer's log says what it raised.",
    ),
    "not_encoded": ("lost, the record was too large", "", "The trainer's log says why."),
    "closed": ("lost, the monitor was closed already", "", ""),
    "undelivered": (
        "not delivered when the monitor was closed",
        "Redis did not take these records before the time to close was over.",
        "Look whether Redis is there, and give close() more seconds.",
    ),
    "not_kept": (
        "not kept for a second delivery",
        "Redis lost records that the server had not archived, and the trainer's memory had no room to keep them.",
        "Look whether the server runs, and give Redis more memory.",
    ),
    "spool_full": (
        "lost, the spool was full",
        "Redis or the server was away for so long that what waits on the trainer's disk reached its limit.",
        "Look whether Redis and the server run, or give the spool more room.",
    ),
    "spool_damaged": (
        "lost, the spool was damaged",
        "A file in which records waited on the trainer's disk was cut or written over; what could be read was sent.",
        "Look after the disk; the trainer's log names the file.",
    ),
}

UNMEASURED: Final = frozenset(
    {"not_corrected", "not_measured"}
)  # steps that nothing was lost of: there was nothing
NOT_LOST: Final = UNMEASURED | {
    "too_many",
    "vetoed_left_out",
    "not_decoded",
}  # the record itself came, with less in it


def lost_records(tally: Mapping[str, int]) -> int:
    """Return how many records never come, by a tally of what was dropped; a reason that a newer trainer names counts."""
    return sum(count for reason, count in tally.items() if reason not in NOT_LOST)


def unmeasured_steps(tally: Mapping[str, int]) -> int:
    """Return how many steps have no figures because none could be computed."""
    return sum(count for reason, count in tally.items() if reason in UNMEASURED)


def describe_drop(reason: str) -> str:
    """Return what happened in words; the reason itself for one that a newer trainer names."""
    return DROPS[reason][0] if reason in DROPS else f"lost: {reason}"
