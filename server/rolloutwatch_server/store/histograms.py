"""Histograms of the log ratio over the steps of a run, as they are shown, summed over columns of steps."""

import itertools
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

import msgspec
import numpy as np
import numpy.typing as npt
import zstandard

from rolloutwatch_contract import Array
from rolloutwatch_contract.histograms import Histograms, width_of
from rolloutwatch_contract.tables import HISTOGRAM_BINS
from rolloutwatch_server.store.database import DamagedArchive
from rolloutwatch_server.store.lineage import Lineage
from rolloutwatch_server.store.news import News

STEPS_AT_ONCE = 512
MOST_TOKENS = (
    2**40
)  # in a bin of a step: no trainer has so many, and a sum of any number of steps is a number still
BLOCK = 128  # steps; columns at least as wide are made of blocks that are kept in memory
MOST_BLOCKS = 16_384  # of all runs together, 23 MB

_as_written = msgspec.msgpack.encode(Array.of(np.zeros(HISTOGRAM_BINS, dtype=np.int64)))
_HEAD = np.frombuffer(_as_written[: -8 * HISTOGRAM_BINS], dtype=np.uint8)  # of every usual histogram
_unpack = msgspec.msgpack.Decoder(Array).decode

Packed = tuple[int, bytes | None]


def read_histograms(
    db: sqlite3.Connection, run: str, lineage: Lineage, first: int, last: int, width: int
) -> Histograms:
    """Return the histograms of steps `first` to `last`, in columns of this width.

    Those that no correction makes, of other bins or of negative counts, are left out.
    """
    rows = db.execute(
        "SELECT step, session, histogram FROM step_tables WHERE run = ? AND step BETWEEN ? AND ? ORDER BY step",
        (run, first, last),
    )
    shown = _shown(rows, lineage)
    parts = []
    while portion := list(itertools.islice(shown, STEPS_AT_ONCE)):
        parts.append(_unpacked(portion).wider(width))
    return Histograms.joined(parts, width)


def _shown(rows: Iterable[tuple[int, int, bytes | None]], lineage: Lineage) -> Iterator[Packed]:
    """Yield each step with the histogram of the last session that speaks for it, as `Store.tables` has it."""
    rank = {session: number for number, session in enumerate(lineage.order)}
    ends = {session: lineage.end_of_marks(session) for session in lineage.order}
    for step, of_step in itertools.groupby(rows, key=itemgetter(0)):
        spoken = [(rank[session], packed) for _, session, packed in of_step if step < ends.get(session, -1)]
        if spoken:
            yield step, max(spoken, key=itemgetter(0))[1]


def _unpacked(portion: Sequence[Packed]) -> Histograms:
    """Return histograms of steps; DamagedArchive: one is not what was written."""
    present = [(step, packed) for step, packed in portion if packed is not None]
    decompress = zstandard.ZstdDecompressor().decompress
    try:
        raw = [decompress(packed) for _, packed in present]
    except zstandard.ZstdError as error:
        raise DamagedArchive(f"the histogram of a step is not what was written ({error})") from error
    step = np.array([step for step, _ in present], dtype=np.int64)
    counts, is_usual = _counts_of_usual(raw)
    if not is_usual.all():
        counts, is_usual = _counts_of_any(raw)
    there = is_usual & (counts >= 0).all(axis=1) & (counts <= MOST_TOKENS).all(axis=1)
    return Histograms.of(step[there], counts[there])


def _counts_of_usual(raw: Sequence[bytes]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the counts of histograms, and which of them are packed as a client packs them, all at once."""
    size = len(_as_written)
    if any(len(one) != size for one in raw):
        return np.zeros((len(raw), HISTOGRAM_BINS), dtype=np.int64), np.zeros(len(raw), dtype=np.bool_)
    packed = np.frombuffer(b"".join(raw), dtype=np.uint8).reshape(len(raw), size)
    counts = np.ascontiguousarray(packed[:, len(_HEAD) :]).view("<i8").astype(np.int64, copy=False)
    heads: npt.NDArray[np.bool_] = packed[:, : len(_HEAD)] == _HEAD
    return counts, np.all(heads, axis=1)


def _counts_of_any(raw: Sequence[bytes]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the same of histograms of any shape and kind, one by one."""
    counts = np.zeros((len(raw), HISTOGRAM_BINS), dtype=np.int64)
    is_one = np.zeros(len(raw), dtype=np.bool_)
    for at, one in enumerate(raw):
        try:
            array = _unpack(one).numpy()
        except (msgspec.MsgspecError, ValueError) as error:
            raise DamagedArchive(f"the histogram of a step is not what was written ({error})") from error
        if array.shape == (HISTOGRAM_BINS,) and (np.abs(array) <= MOST_TOKENS).all():
            counts[at] = array
            is_one[at] = True
    return counts, is_one


@dataclass
class _Kept:
    """The blocks of a run before step `end`, as they were after so many changes of one of its histories."""

    history: object
    changes: int
    blocks: Histograms
    end: int


class HistogramSums:
    """Reads histograms, and keeps what of long runs is read again and again. Safe to use from any thread."""

    def __init__(self, news: News, most: int = MOST_BLOCKS) -> None:
        self._news = news
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def read(
        self, db: sqlite3.Connection, run: str, first: int, last: int, columns: int, width: int
    ) -> Histograms:
        """Return the histograms of steps `first` to `last`, in columns of `width` or of more if there were too many."""
        low, high = (_end(db, which, run, first, last) for which in ("min", "max"))
        if low is None or high is None:
            return Histograms.joined([], width)
        width = max(width, width_of(low, high, columns))
        lineage = Lineage.read(db, run)
        if width < BLOCK:
            return read_histograms(db, run, lineage, low, high, width)
        with self._lock:  # who comes second finds what the first one has read
            kept = self._up_to_date(db, run, lineage)
            self._let_go()
        begin, stop = -(-low // BLOCK) * BLOCK, min(kept.end, (high + 1) // BLOCK * BLOCK)
        if begin >= stop:
            return read_histograms(db, run, lineage, low, high, width)
        parts = [
            read_histograms(db, run, lineage, low, begin - 1, width),
            kept.blocks.between(begin, stop - 1).wider(width),
            read_histograms(db, run, lineage, stop, high, width),
        ]
        return Histograms.joined(parts, width)

    def _up_to_date(self, db: sqlite3.Connection, run: str, lineage: Lineage) -> _Kept:
        """Return all whole blocks of a run, of which only those are read that are new or have changed."""
        changes = db.execute("SELECT changes FROM runs WHERE id = ?", (run,)).fetchone()[0]
        # the first session tells a run from another one of the same id, that began when it was deleted
        history = (min(lineage.order, default=0), lineage.takeovers())
        kept = self._kept.pop(run, None)
        if kept is None or kept.history != history:
            kept = _Kept(history, changes, Histograms.joined([], BLOCK), 0)
        changed_from = kept.end if kept.changes == changes else self._news.since(run, kept.changes)
        valid = min(kept.end, changed_from // BLOCK * BLOCK)
        last = _end(db, "max", run, 0, 2**62)
        end = max(valid, (0 if last is None else last + 1) // BLOCK * BLOCK)
        parts = [kept.blocks.between(0, valid - 1), read_histograms(db, run, lineage, valid, end - 1, BLOCK)]
        self._kept[run] = _Kept(history, changes, Histograms.joined(parts, BLOCK), end)
        return self._kept[run]

    def _let_go(self) -> None:
        """Keep no more than there is room for, of the runs that were asked for last."""
        while sum(len(one.blocks.first) for one in self._kept.values()) > self._most:
            self._kept.popitem(last=False)


def _end(db: sqlite3.Connection, which: str, run: str, first: int, last: int) -> int | None:
    query = f"SELECT {which}(step) FROM step_tables WHERE run = ? AND step BETWEEN ? AND ?"
    found = db.execute(query, (run, first, last)).fetchone()[0]
    return None if found is None else int(found)
