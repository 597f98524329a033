"""Frames and their numbers, against a list that remembers everything."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rolloutwatch import MemorySink, SinkError
from rolloutwatch.courier import Delivery
from rolloutwatch.drops import DropReason, Ledger
from rolloutwatch.outbox import Outbox
from rolloutwatch.segments import MARK
from rolloutwatch.spool import Head, Spool
from rolloutwatch_contract import Heartbeat, RecordError, decode

LARGE = 10**9
HEAD = Head("math~a", "s1", "redis")


def is_filler(frame: bytes) -> bool:
    """Whether a heartbeat stands where a record cannot be had."""
    try:
        return isinstance(decode(frame), Heartbeat)
    except RecordError:
        return False


def frame_of(number: int) -> bytes:
    return b"%d" % number + b"." * 40


class Life:
    """An outbox, the stream it is sent into, and what is true of both."""

    def __init__(self, root: Path | None, limit: int = LARGE, segment: int = 300) -> None:
        self.root, self.limit, self.segment = root, limit, segment
        self.ledger = Ledger()
        self.stream: dict[int, bytes] = {}
        self.archived = 0
        # with a spool next to nothing is kept in memory
        self.box = Outbox(self.ledger, self.spool(), LARGE if root is None else 200)
        self.box.add(frame_of(1))

    def spool(self) -> Spool | None:
        if self.root is None:
            return None
        return self.small(Spool(self.root, HEAD, self.limit))

    def small(self, spool: Spool) -> Spool:
        spool.segment_bytes = self.segment
        return spool

    def add(self, amount: int) -> None:
        for _ in range(amount):
            self.box.add(frame_of(self.box.last_number + 1))

    def send(self, amount: int) -> None:
        batch = self.box.next_batch(amount + 1, LARGE)
        self.stream.update(batch)
        if batch:
            self.box.sent(batch[-1][0])

    def lose(self, amount: int) -> None:
        self.stream.clear()
        self.box.rewind(1)

    def archive(self, amount: int) -> None:
        self.archived = max(self.archived, min(self.archived + amount, max(self.stream, default=0)))
        self.box.acknowledge(self.archived)

    def die(self, amount: int) -> None:
        """The process ends, and another one finds out what is archived."""
        if self.root is None:
            return
        self.box.release()
        spool = Spool.adopt(self.root / "sessions" / "s1")
        if spool is None:
            assert self.archived == self.box.last_number, "all was archived, and nothing is left"
            self.box = Outbox(self.ledger, self.spool(), 200)
            self.box._last_gone = self.box.archived = self.archived
            self.box.rewind()
            self.box._start = frame_of(1)
        else:
            self.box = Outbox.recovered(self.ledger, self.small(spool))
            self.box.acknowledge(self.archived)
            self.box.rewind(1)
        self.stream.clear()

    def finish(self) -> None:
        while self.box.unsent:
            self.send(LARGE)


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["add", "send", "lose", "archive", "die"]), st.integers(0, 12)), max_size=60
)


@pytest.mark.parametrize("spooled", [False, True])
@given(actions=ACTIONS)
@settings(deadline=None)
def test_whatever_happens_every_frame_not_archived_comes_into_the_last_stream(
    spooled: bool, actions: list[tuple[str, int]]
) -> None:
    """A stream may be lost at any time; the one after it begins with the first record, then what is not archived.

    With a spool, the process may end at any time too.
    """
    with tempfile.TemporaryDirectory() as root:
        life = Life(Path(root) if spooled else None)
        for what, amount in actions:
            getattr(life, what)(amount)
        life.finish()
        missing = {n: frame for n, frame in life.stream.items() if n > life.archived}
        assert missing == {n: frame_of(n) for n in range(life.archived + 1, life.box.last_number + 1)}
        if life.stream:
            first = min(life.stream)
            assert life.stream[first] == frame_of(1)
            assert sorted(life.stream) == list(range(first, life.box.last_number + 1)), "no hole"
        assert life.ledger.tally() == {}
        life.box.release()


DISASTERS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "send", "lose", "archive", "damage", "delete", "refuse"]),
        st.integers(0, 12),
    ),
    max_size=40,
)


def harm(life: Life, what: str, amount: int) -> None:
    """Flip a bit of a file, delete one, or refuse to write for a while."""
    if what == "refuse":
        life.box._spool_failed(OSError("no space left"))
        life.add(amount)
        life.box._spool_again = 0.0
        return
    assert life.root is not None
    files = sorted((life.root / "sessions" / "s1").glob("*.seg"))
    if files and what == "delete":
        files[amount % len(files)].unlink()
    elif files:
        data = bytearray(files[amount % len(files)].read_bytes())
        data[-1 - amount * 7 % len(data)] ^= 0x40
        files[amount % len(files)].write_bytes(data)


@given(actions=DISASTERS, limit=st.sampled_from([9000, LARGE]))
@settings(deadline=None)
def test_what_a_disk_loses_is_counted_exactly(actions: list[tuple[str, int]], limit: int) -> None:
    """Bits flip, files vanish, the disk is full or the spool is: each record comes as it was, or is counted once.

    Numbers have no hole: a heartbeat stands where a record is missing.
    """
    with tempfile.TemporaryDirectory() as name:
        life = Life(Path(name), limit)
        missed: set[int] = set()
        for what, amount in [*actions, ("send", LARGE), ("send", LARGE)]:
            if hasattr(life, what):
                getattr(life, what)(amount)
            else:
                harm(life, what, amount)
            missed |= {n for n, frame in life.stream.items() if is_filler(frame)}
        life.finish()
        begin, end = min(life.stream, default=1), life.box.last_number
        if life.stream:
            assert sorted(life.stream) == list(range(begin, end + 1))
        for number, frame in life.stream.items():
            assert is_filler(frame) or frame == frame_of(1 if number == begin else number)
        missed |= {n for n, frame in life.stream.items() if is_filler(frame)}
        missed |= set(
            range(max(life.archived, 1) + 1, begin + 1)
        )  # under `begin` the first record stands again
        counted = sum(life.ledger.tally().values())
        assert len(missed) <= counted
        assert counted == sum(last - first + 1 for first, last in life.box._lost._ranges)
        life.box.release()


def test_a_batch_is_bounded_by_number_and_size_but_never_empty() -> None:
    box = Outbox(Ledger())
    for size in (5, 5, 5, 100):
        box.add(b"x" * size)
    assert [number for number, _ in box.next_batch(2, LARGE)] == [1, 2]
    assert [number for number, _ in box.next_batch(LARGE, 12)] == [1, 2]
    box.sent(3)
    assert [number for number, _ in box.next_batch(LARGE, 12)] == [4], "larger than a batch, and still sent"


def test_without_a_spool_what_was_sent_is_forgotten_only_when_room_is_needed() -> None:
    ledger = Ledger()
    box = Outbox(ledger, limit_bytes=10)
    for frame in (b"first", b"12345", b"12345", b"12345"):
        box.add(frame)
    assert not box.has_room
    box.sent(4)
    assert box.has_room
    box.rewind()
    assert ledger.tally() == {"not_kept": 1}
    assert box.next_batch(LARGE, LARGE) == [(2, b"first"), (3, b"12345"), (4, b"12345")]


def test_what_is_no_longer_kept_is_counted_once() -> None:
    """The record that every stream begins with is always kept, and what is archived is not missed."""
    ledger = Ledger()
    box = Outbox(ledger, limit_bytes=10)
    for _ in range(6):
        box.add(b"12345")
    box.sent(6)
    box.acknowledge(2)
    box.rewind()
    assert ledger.tally() == {"not_kept": 2}, "5 and 6 are kept, 3 and 4 may be lost"
    box.rewind()
    assert ledger.tally() == {"not_kept": 2}
    assert [number for number, _ in box.next_batch(LARGE, LARGE)] == [4, 5, 6]
    assert (box.sent_to, box.unsent) == (3, 3)


def test_a_full_spool_loses_the_oldest_and_says_how_many(tmp_path: Path) -> None:
    """A megabyte and a Redis that is away: the newest stay, numbers have no hole, the count is exact."""
    ledger = Ledger()
    box = Outbox(ledger, Spool(tmp_path, HEAD, limit_bytes=1_000_000), limit_bytes=200_000)
    frames = [b"%06d" % number + bytes(1000) for number in range(3000)]
    for frame in frames:
        box.add(frame)
    sent: list[bytes] = []
    while batch := box.next_batch():
        sent += [frame for _, frame in batch]
        box.sent(batch[-1][0])
    fillers = [frame for frame in sent if is_filler(frame)]
    kept = [frame for frame in sent[1:] if not is_filler(frame)]
    assert len(sent) == 3000
    assert kept == frames[-len(kept) :]
    assert 700 < len(kept) < 1000
    assert ledger.tally() == {"spool_full": len(fillers)}
    assert len(kept) + len(fillers) == 2999
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.seg")) <= 1_000_000


@pytest.mark.parametrize("held", [DropReason.SPOOL_FULL.value])
def test_the_tally_stands_in_what_is_sent_instead(tmp_path: Path, held: str) -> None:
    ledger = Ledger()
    box = Outbox(ledger, Spool(tmp_path, HEAD, limit_bytes=8 * 4096), limit_bytes=4096)
    for _ in range(200):
        box.add(bytes(1000))
    box.sent(1)
    filler = decode(box.next_batch()[0][1])
    assert isinstance(filler, Heartbeat)
    assert filler.dropped == ledger.tally()
    assert filler.dropped[held] > 0


def test_marks_in_a_record_do_not_confuse_the_reader(tmp_path: Path) -> None:
    """Nor does a whole record inside another one."""
    box = Outbox(Ledger(), Spool(tmp_path, HEAD))
    frames = [b"start", MARK * 10, (MARK + bytes(17)) * 3, b"end"]
    for frame in frames:
        box.add(frame)
    box.release()
    spool = Spool.adopt(tmp_path / "sessions" / "s1")
    assert spool is not None
    assert [frame for _, frame in spool.read(1)] == frames
    spool.close()


def test_what_cannot_be_read_now_is_not_lost(tmp_path: Path) -> None:
    """As when a process has no file descriptor left: it is said, tried again, and comes as it was."""
    ledger = Ledger()
    spool = Spool(tmp_path, HEAD)
    spool.segment_bytes = 300
    box = Outbox(ledger, spool, limit_bytes=200)
    for number in range(1, 41):
        box.add(frame_of(number))
    delivery = Delivery(box, MemorySink, ledger)
    file = spool.segments[0].path
    aside = file.rename(tmp_path / "aside")
    file.mkdir()
    with pytest.raises(SinkError, match=r"The spool cannot be read: .*Is a directory"):
        delivery.step()
    file.rmdir()
    aside.rename(file)
    frames: dict[int, bytes] = {}
    while batch := box.next_batch():
        frames |= dict(batch)
        box.sent(batch[-1][0])
    assert frames == {number: frame_of(number) for number in range(1, 41)}
    assert ledger.tally() == {}
