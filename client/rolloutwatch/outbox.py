"""Records that have a number, from the first attempt to send them until the server has archived them.

A Redis that was restarted may have lost the last second, or everything, and others may write to it;
what is not archived stands here still and can be sent again: the newest in memory, all of it in the spool.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator
from itertools import islice

from rolloutwatch.drops import DropReason, Ledger
from rolloutwatch.ranges import Ranges
from rolloutwatch.sink import Frame
from rolloutwatch.spool import Spool
from rolloutwatch_contract import Heartbeat, encode

MAX_BYTES = 64 * 1024 * 1024  # in memory, where there is no spool
BYTES_BEFORE_SPOOL = 8 * 1024 * 1024  # in memory, where there is one
FRAMES_PER_BATCH = 256
BYTES_PER_BATCH = 4 * 1024 * 1024
SECONDS_BETWEEN_SYNCS = 1.0
SECONDS_WITHOUT_SPOOL = (1.0, 60.0)  # before it is tried again


class Outbox:
    """Frames in the order of their numbers. One thread adds and tends, another one takes and lets go.

    A number that cannot be had any more, because there was no room or a file was damaged, is counted,
    and a heartbeat takes its place, so that the numbers of a stream have no holes.
    """

    def __init__(self, ledger: Ledger, spool: Spool | None = None, limit_bytes: int = MAX_BYTES) -> None:
        self.archived = 0
        self._ledger = ledger
        self._spool = spool
        self._limit_bytes = limit_bytes
        self._lock = threading.RLock()
        self._kept: deque[Frame] = deque()  # the newest, without a hole
        self._kept_bytes = 0
        self._last_gone = 0  # the number of the last frame that is not in memory any more
        self._page: list[Frame] = []  # of the spool, what is being sent of it
        self._next = 1
        self._given = 0  # up to where frames were given to be sent, and are the sender's to keep
        self._begins = 1  # the number under which the stream begins, with the first record of all
        self._start = b""
        self._lost = Ranges()
        self._spool_fails = False
        self._spool_wait = SECONDS_WITHOUT_SPOOL[0]
        self._spool_again = 0.0
        self._synced = 0.0

    @classmethod
    def recovered(cls, ledger: Ledger, spool: Spool) -> "Outbox":
        """Return what another process has left in a spool, all of it unsent as far as can be known."""
        box = cls(ledger, spool)
        box._last_gone = spool.last
        box.archived = spool.first - 1
        box._start = spool.head.start
        box._restart()
        return box

    @property
    def last_number(self) -> int:
        """Return the number of the last frame that was added."""
        try:
            return self._kept[-1][0]
        except IndexError:  # which to ask before would be no use: another thread may take the last one
            return self._last_gone

    @property
    def unsent(self) -> int:
        """Return how many frames wait to be sent."""
        return self.last_number + 1 - self._next

    @property
    def sent_to(self) -> int:
        """Return the number of the last frame that was sent."""
        return self._next - 1

    @property
    def unarchived(self) -> int:
        """Return how many frames are not known to be archived."""
        return self.last_number - self.archived

    @property
    def part(self) -> int:
        """Return which stream of its session the records went into last."""
        return 0 if self._spool is None else self._spool.part

    @property
    def on_disk(self) -> int:
        """Return how many frames that are not archived outlive the process."""
        segments = list(self._spool.segments) if self._spool is not None else []
        return sum(max(one.last - max(one.first, self.archived + 1) + 1, 0) for one in segments)

    @property
    def is_spooled(self) -> bool:
        """Tell whether what is here outlives the process."""
        return self._spool is not None and not self._spool_fails

    @property
    def has_room(self) -> bool:
        """Tell whether another frame may be added without one being lost."""
        return self.is_spooled or self._kept_bytes < self._limit_bytes or not self._waits_in_memory()

    def add(self, frame: bytes) -> None:
        """Give a frame the next number, and write it down."""
        with self._lock:
            self._start = self._start or frame
            self._kept_bytes += len(frame)
            self._kept.append((self.last_number + 1, frame))
            self._write_down()
            self._make_room()

    def tend(self) -> None:
        """Have the disk keep what was written, and try a spool again that has failed. Call it every second or so."""
        now = time.monotonic()
        if self._spool is None or now - self._synced < SECONDS_BETWEEN_SYNCS:
            return
        self._synced = now
        if self._spool_fails:
            with self._lock:
                self._write_down()
            return
        try:
            with self._lock:
                self._spool.check()
            self._spool.sync()
        except OSError as error:
            self._spool_failed(error)

    def next_batch(self, frames: int = FRAMES_PER_BATCH, size: int = BYTES_PER_BATCH) -> list[Frame]:
        """Return the first frames that wait, up to a number and a size, at least one if there is one."""
        with self._lock:
            batch: list[Frame] = []
            for number, frame in self._frames(frames):
                size -= len(frame)
                if batch and size < 0:
                    break
                batch.append((number, frame))
                self._given = max(self._given, number)
            return batch

    def frame(self, number: int) -> bytes | None:
        """Return a frame as it was added; None if it cannot be had."""
        with self._lock:
            return self._find(number)

    def sent(self, number: int) -> None:
        """Note that all frames up to a number have been taken; they stay until they are archived or room is needed."""
        with self._lock:
            self._next = max(self._next, number + 1)
            self._make_room()

    def acknowledge(self, archived: int) -> None:
        """Let go of what is archived. An acknowledgement that goes back is that of a Redis that lost it."""
        with self._lock:
            if archived <= self.archived:
                return
            self.archived = archived
            while self._kept and self._kept[0][0] <= archived:
                self._forget()
            if self._spool is not None:
                self._spool.free(archived)

    def rewind(self, part: int = 0) -> None:
        """Send again whatever is not archived, to where nothing has been sent yet.

        The first frame of all goes before it, under a number that is free because what had it is archived or lost.
        """
        with self._lock:
            self._restart()
            if self._spool is not None:
                try:
                    self._spool.note_part(part)
                except OSError as error:
                    self._spool_failed(error)

    def resume_behind(self, number: int) -> None:
        """Go on behind a number that another process has sent."""
        with self._lock:
            self._begins, self._next, self._given = 0, number + 1, number

    def in_memory_alone(self) -> int:
        """Return how many frames that wait to be sent would be lost with the process, after a last attempt to write them down."""
        with self._lock:
            if self._spool_fails:
                self._spool_again = 0.0
                self._write_down()
            waiting = (number for number, _ in self._kept if number >= self._next)
            return sum(self._spool is None or not self._spool.holds(number) for number in waiting)

    def release(self) -> int:
        """Let go of the spool; return how many records stay in it for whoever comes next."""
        with self._lock:
            left, spool, self._spool = self.on_disk, self._spool, None
            if spool is None:
                return 0
            if self.archived >= self.last_number:
                spool.remove()
                return 0
            spool.close()
            return left

    def disown(self) -> None:
        """Forget everything: this is a forked child."""
        self._lock = threading.RLock()
        self._next = self.last_number + 1
        self._last_gone = self.last_number
        self._kept, self._kept_bytes, self._page = deque(), 0, []
        if self._spool is not None:
            self._spool.disown()
            self._spool = None

    # -- what is where --------------------------------------------------------------------------------------------

    def _frames(self, most: int) -> Iterator[Frame]:
        """Return the next frames to send, of memory or of one page of the spool."""
        last = min(self.last_number, self._next + most - 1)
        if self._kept and self._kept[0][0] <= self._next and self._next != self._begins:
            begin = self._next - self._kept[0][0]
            yield from islice(self._kept, begin, begin + most)
            return
        for number in range(self._next, last + 1):
            yield number, self._frame_to_send(number)

    def _frame_to_send(self, number: int) -> bytes:
        if number == self._begins:
            return self._start
        frame = self._find(number)
        if frame is None:
            self._miss(number, DropReason.SPOOL_DAMAGED if self.is_spooled else DropReason.NOT_KEPT)
            return encode(Heartbeat(time=time.time(), dropped=self._ledger.tally()))
        return frame

    def _find(self, number: int) -> bytes | None:
        if self._kept and number >= self._kept[0][0]:
            at = number - self._kept[0][0]
            return self._kept[at][1] if at < len(self._kept) else None
        return self._in_page(number) or (self._turn_to(number) and self._in_page(number)) or None

    def _in_page(self, number: int) -> bytes | None:
        if not self._page or not self._page[0][0] <= number <= self._page[-1][0]:
            return None
        at = number - self._page[0][0]  # where there is no hole
        if at < len(self._page) and self._page[at][0] == number:
            return self._page[at][1]
        return next((frame for each, frame in self._page if each == number), None)

    def _turn_to(self, number: int) -> bool:
        if self._spool is None or number in self._lost:
            return False
        self._page = list(self._spool.read(number))
        return bool(self._page)

    def _miss(self, first: int, reason: DropReason, last: int | None = None) -> None:
        """Count numbers that cannot be had any more, each once; the first record of all is always kept."""
        new = self._lost.add(max(first, self.archived + 1, 2), first if last is None else last)
        if new:
            self._ledger.drop(reason, times=new)
            self._ledger.say_once(
                reason.value, f"Records {_WHY[reason]}. How many is counted, see Monitor.health()."
            )

    # -- room ------------------------------------------------------------------------------------------------------

    def _waits_in_memory(self) -> bool:
        return bool(self._kept) and self._kept[0][0] >= self._next

    def _make_room(self) -> None:
        """Forget the oldest in memory if it is too much: what is on disk, or was sent, can be had or was had."""
        limit = min(BYTES_BEFORE_SPOOL, self._limit_bytes) if self.is_spooled else self._limit_bytes
        while self._kept_bytes > limit and len(self._kept) > 1:
            number = self._kept[0][0]
            if not self.is_spooled and number >= self._next:
                return
            on_disk = self._spool is not None and self._spool.holds(number)
            self._forget()
            if not on_disk and number > max(self._given, self._next - 1):
                self._miss(number, DropReason.SPOOL_FULL)

    def _forget(self) -> None:
        self._last_gone, frame = self._kept[0]
        self._kept.popleft()
        self._kept_bytes -= len(frame)

    def _restart(self) -> None:
        """Have the stream begin behind what is archived or cannot be had."""
        begins = max(self.archived, 1)
        while begins < self.last_number and self._find(begins + 1) is None:
            begins = self._miss_range(begins + 1)
        self._begins = self._next = begins
        self._given = begins - 1

    def _miss_range(self, first: int) -> int:
        """Count a number that cannot be had, and all behind it up to the next file or what is in memory."""
        stands = [segment.first for segment in self._spool.segments] if self._spool is not None else []
        stands += [self._kept[0][0]] if self._kept else []
        last = min((number for number in stands if number > first), default=self.last_number + 1) - 1
        held = self._spool is not None and self._spool.holds(first)
        if held:  # a hole in a file
            last = first
        self._miss(first, DropReason.SPOOL_DAMAGED if held else DropReason.NOT_KEPT, last)
        return last

    # -- the spool -------------------------------------------------------------------------------------------------

    def _write_down(self) -> None:
        """Write what is in memory alone into the spool, if there is one and it works."""
        spool = self._spool
        if spool is None or (self._spool_fails and time.monotonic() < self._spool_again):
            return
        try:
            if not spool.head.start:
                spool.start_with(self._start)
            for number, frame in self._in_memory_alone(spool):
                spool.append(number, frame)
        except OSError as error:
            self._spool_failed(error)
            return
        if self._spool_fails:
            self._spool_fails, self._spool_wait = False, SECONDS_WITHOUT_SPOOL[0]
            self._ledger.over("spool", f"The spool in {spool.root} works again, nothing is lost.")
        while spool.size > spool.limit_bytes and len(spool.segments) > 1:
            self._drop_oldest(spool)

    def _in_memory_alone(self, spool: Spool) -> list[Frame]:
        begin = max(spool.last, self.archived) + 1
        if begin == self.last_number and self._kept:
            return [self._kept[-1]]  # as always, but when the spool has failed
        return [(number, frame) for number, frame in self._kept if number >= begin]

    def _drop_oldest(self, spool: Spool) -> None:
        first, last = spool.drop_oldest()
        kept_from = self._kept[0][0] if self._kept else self.last_number + 1
        self._page = []
        self._miss(max(first, self._next, self._given + 1), DropReason.SPOOL_FULL, min(last, kept_from - 1))

    def _spool_failed(self, error: OSError) -> None:
        assert self._spool is not None
        self._spool_fails = True
        self._spool_again = time.monotonic() + self._spool_wait
        self._spool_wait = min(self._spool_wait * 2, SECONDS_WITHOUT_SPOOL[1])
        self._ledger.trouble(
            "spool",
            f"The spool in {self._spool.root} cannot be written ({error}): records wait in memory alone until it can, "
            "and are lost if the trainer ends before they are delivered. "
            "Make room there, or name another folder with spool_dir= or ROLLOUTWATCH_SPOOL_DIR.",
        )


_WHY = {
    DropReason.SPOOL_FULL: "are lost: Redis has been away for so long that the spool is full, and the oldest went. "
    "Raise spool_limit= or ROLLOUTWATCH_SPOOL_LIMIT",
    DropReason.SPOOL_DAMAGED: "are lost: files of the spool are damaged or were deleted",
    DropReason.NOT_KEPT: "may be lost: they were sent, not archived, and no longer kept here",
}
