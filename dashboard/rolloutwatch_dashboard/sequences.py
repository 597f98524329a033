"""The sequences of a step as rows that people read: what each did to the mismatch, and what became of it."""

import math
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import parse_qs

from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.protocol_steps import SequencesView, StepView, k3_shares
from rolloutwatch_dashboard.text import number

ROUNDING = 1e-6
LONGEST_QUERY = 2000
DIGITS_OF_A_ROW = 5
LETTERS_OF_A_GROUP = 40


class Row(NamedTuple):
    """A sequence: its place in the table, and its figures, NaN where one did not come."""

    row: int
    sample: int
    group: str | None
    length: float
    share: float
    mean: float
    lowest: float
    lowest_at: float
    highest: float
    highest_at: float
    weight: float
    kept: float
    fate: str


class Column(NamedTuple):
    """A column of the table: its heading, whether the largest comes first, and what it means."""

    title: str
    falls: bool
    meaning: str


COLUMNS = {
    "share": Column("Share", True, "Share of the step's mismatch, by the sum of K3 over the tokens."),
    "sample": Column(
        "Sample", False, "The trainer's own number of the sequence, else its place in the batch."
    ),
    "group": Column("Group", False, "The group that the trainer put it in."),
    "length": Column("Tokens", True, "Valid tokens with finite log-probs."),
    "mean": Column("Mean log ratio", True, "Mean over the tokens of training minus rollout log-prob."),
    "lowest": Column("Lowest", False, "The lowest log ratio of a token, and at which token of the response."),
    "highest": Column(
        "Highest", True, "The highest log ratio of a token, and at which token of the response."
    ),
    "weight": Column("Weight", False, "Mean weight of its tokens in the loss."),
    "kept": Column("In the loss", False, "Share of its tokens that stay in the loss, and why they do not."),
}
# the figures of a row, and the columns of the table that they are
_FIGURES = {
    "length": "length",
    "mean": "log_ratio_mean",
    "lowest": "log_ratio_min",
    "lowest_at": "log_ratio_min_position",
    "highest": "log_ratio_max",
    "highest_at": "log_ratio_max_position",
    "weight": "weight_mean",
    "kept": "kept_fraction",
}
DEFAULT = "share"
FATES = KEPT, PARTLY, VETOED, REJECTED, EMPTY = "kept", "partly kept", "vetoed", "rejected", "empty"
UNKNOWN = ""


class Asked(NamedTuple):
    """What an address asks of the table: by which column, in which order, and whose tokens."""

    attempt: str | None = None
    sort: str = DEFAULT
    turned: bool = False  # the other way round than the column usually goes
    row: int | None = None

    @classmethod
    def of(cls, query: str) -> "Asked":
        """Read it from the query of an address, which may be anything."""
        text = query.removeprefix("?")[:LONGEST_QUERY].encode("utf-8", "replace").decode()
        given = {name: values[0] for name, values in parse_qs(text).items()}
        sort = given.get("sort", DEFAULT)
        name = sort.removeprefix("-")
        known = name in COLUMNS
        return cls(
            given.get("attempt"),
            name if known else DEFAULT,
            known and sort.startswith("-"),
            _row(given.get("row", "")),
        )

    @property
    def falls(self) -> bool:
        """Tell whether the largest comes first."""
        return COLUMNS[self.sort].falls != self.turned


def _row(text: str) -> int | None:
    is_number = text.isascii() and text.isdecimal() and len(text) <= DIGITS_OF_A_ROW
    return int(text) if is_number else None


def rows_of(view: StepView, config: CorrectionConfig | None) -> list[Row]:
    """Return the sequences of a step in the order of its table; with a configuration also who was vetoed."""
    table = view.sequences
    if table is None:
        return []
    shares = k3_shares(table, view.metrics).tolist()
    veto = config.rollout_token_veto_threshold if config else None
    column = {name: values.tolist() for name, values in table.columns.items()}
    unknown = [math.nan] * table.total
    figures = {name: column.get(of, unknown) for name, of in _FIGURES.items()}
    rows = []
    for at in range(table.total):
        own = {name: values[at] for name, values in figures.items()}
        fate = _fate(own["length"], own["kept"], own["lowest"], veto)
        rows.append(
            Row(
                row=at,
                sample=table.sample_ids[at],
                group=table.groups[at],
                share=shares[at],
                fate=fate,
                **own,
            )
        )
    return rows


def _fate(length: float, kept: float, lowest: float, veto: float | None) -> str:
    """Return what became of a sequence, in a word."""
    if length == 0:
        return EMPTY
    if math.isnan(kept):
        return UNKNOWN
    if kept >= 1 - ROUNDING:
        return KEPT
    if kept > 0:
        return PARTLY
    # what a veto takes is told from what a rejection takes by its lowest ratio alone
    return VETOED if veto is not None and lowest <= math.log(veto) + ROUNDING else REJECTED


def ordered(rows: Sequence[Row], asked: Asked) -> list[Row]:
    """Return rows by a column; what has no value there comes last either way, and equals stand as in the table."""
    values = [(_key(one, asked.sort), one) for one in rows]
    known = sorted(
        ((value, one) for value, one in values if value is not None),
        key=lambda pair: pair[0],
        reverse=asked.falls,
    )
    return [one for _, one in known] + [one for value, one in values if value is None]


def _key(row: Row, name: str) -> float | str | None:
    value = getattr(row, name)
    if name == "sample":
        return value if value >= 0 else None
    return None if value is None or value != value else value


def told_share(share: float) -> str:
    """Return a share as a percentage.

    >>> [told_share(one) for one in (0.4213, 0.0042, 0.00001, 0.0, 1.0, math.nan)]
    ['42.1 %', '0.42 %', '< 0.01 %', '0 %', '100 %', '–']
    """
    if math.isnan(share):
        return "–"
    if 0 < share < 1e-4:
        return "< 0.01 %"
    return f"{number(float(f'{100 * share:.3g}'))} %"


def named(row: Row) -> str:
    """Return what a sequence is called: by its sample id, else by its place."""
    return f"sample {row.sample}" if row.sample >= 0 else f"row {row.row}"


def said_of_table(table: SequencesView) -> str:
    """Return how much of the batch a table has."""
    count = f"{table.total} {'sequence' if table.total == 1 else 'sequences'}"
    if table.is_whole:
        return f"{'All ' if table.n_sequences is not None and table.total > 1 else ''}{count} of the step."
    return (
        f"The {count} that were sent of {table.n_sequences}: every vetoed one, then those with the largest share "
        "of the mismatch. Shares are of the whole batch."
    )
