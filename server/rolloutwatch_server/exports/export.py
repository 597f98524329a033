"""A run in the format that is asked for, piece by piece."""

import difflib
import enum
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rolloutwatch_contract.protocol import RunDetail
from rolloutwatch_server.exports import archive_file
from rolloutwatch_server.exports.parquet import as_parquet
from rolloutwatch_server.exports.text import as_csv, as_jsonl
from rolloutwatch_server.store import Portion, Store

Progress = Callable[[int, int], None]

STEPS_OF_TEXT = 2_000  # at once in memory
STEPS_OF_A_ROW_GROUP = 50_000


class Format(enum.Enum):
    """What a run can be exported to."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    RWZ = "rwz"


MEDIA_TYPES = {
    Format.CSV: "text/csv; charset=utf-8",
    Format.JSONL: "application/x-ndjson",
    Format.PARQUET: "application/vnd.apache.parquet",
    Format.RWZ: "application/vnd.rolloutwatch.archive",
}


class CannotExport(ValueError):
    """What is asked for is not there, or is no part of a run; the message says what there is."""


@dataclass(frozen=True)
class Wish:
    """What of a run is asked for: metrics, all of them if none is named, and steps, both ends included."""

    format: Format
    metrics: Sequence[str] = ()
    from_step: int | None = None
    to_step: int | None = None


def export(
    store: Store, detail: RunDetail, wish: Wish, progress: Progress = lambda done, whole: None
) -> Iterator[bytes]:
    """Yield the bytes of a file; CannotExport or NoParquet, before the first of them, if there is none to be had.

    StoreError in between: the archive cannot be read, or the run went back to an earlier step meanwhile;
    what was yielded is then worth nothing. `progress` is told steps, or records, and of how many if that is known, else 0.
    """
    pieces = _pieces(store, detail, wish, progress)
    # the first piece is made before anyone is told that there will be a file
    return itertools.chain([next(pieces, b"")], pieces)


def _pieces(store: Store, detail: RunDetail, wish: Wish, progress: Progress) -> Iterator[bytes]:
    if wish.format is Format.RWZ:
        if wish.metrics or wish.from_step is not None or wish.to_step is not None:
            raise CannotExport(
                "an archive file holds a whole run: leave out metrics and steps, or choose csv, jsonl or parquet."
            )
        return _archive_file(store, detail.summary.id, progress)
    metrics = tuple(dict.fromkeys(wish.metrics)) or detail.metrics
    _check_metrics(detail, metrics)
    _check_steps(detail, wish)
    steps = STEPS_OF_A_ROW_GROUP if wish.format is Format.PARQUET else STEPS_OF_TEXT
    portions = store.portions(detail.summary.id, metrics, wish.from_step, wish.to_step, steps)
    portions = _told(_not_empty(portions, detail, wish), detail, wish, progress)
    if wish.format is Format.CSV:
        return as_csv(portions, metrics)
    if wish.format is Format.JSONL:
        return as_jsonl(portions, metrics)
    return as_parquet(portions, metrics, detail)


def _archive_file(store: Store, run: str, progress: Progress) -> Iterator[bytes]:
    with store.transcript(run) as transcript:
        yield from archive_file.write(run, transcript, lambda records: progress(records, 0))


def _told(
    portions: Iterator[Portion], detail: RunDetail, wish: Wish, progress: Progress
) -> Iterator[Portion]:
    first, last = detail.summary.first_step or 0, detail.summary.last_step or 0
    begin, end = max(first, wish.from_step or 0), last if wish.to_step is None else min(last, wish.to_step)
    for portion in portions:
        yield portion
        progress(int(portion.step[-1]) - begin + 1, end - begin + 1)


def _check_metrics(detail: RunDetail, metrics: Sequence[str]) -> None:
    for metric in metrics:
        if metric not in detail.metrics:
            near = difflib.get_close_matches(metric[:200], detail.metrics, n=1)
            hint = (
                f" Did you mean {near[0]!r}?"
                if near
                else f" It has {', '.join(detail.metrics[:10]) or 'none'}."
            )
            raise CannotExport(f"run {detail.summary.id!r} has no metric {metric[:200]!a}.{hint}")


def _check_steps(detail: RunDetail, wish: Wish) -> None:
    first, last = detail.summary.first_step, detail.summary.last_step
    if first is None or last is None:
        raise CannotExport(f"run {detail.summary.id!r} has no step yet.")
    begin = first if wish.from_step is None else wish.from_step
    end = last if wish.to_step is None else wish.to_step
    if begin > end or begin > last or end < first:
        raise _no_steps(detail, wish)


def _not_empty(portions: Iterator[Portion], detail: RunDetail, wish: Wish) -> Iterator[Portion]:
    first = next(portions, None)
    if first is None:
        raise _no_steps(detail, wish)
    return itertools.chain([first], portions)


def _no_steps(detail: RunDetail, wish: Wish) -> CannotExport:
    begin = "the first" if wish.from_step is None else str(wish.from_step)
    end = "the last" if wish.to_step is None else str(wish.to_step)
    return CannotExport(
        f"run {detail.summary.id!r} has no figure from step {begin} to {end}: "
        f"its steps are {detail.summary.first_step} to {detail.summary.last_step}."
    )
