"""Records that have a number, from the first attempt to send them until the server has archived them.

A Redis that was restarted may have lost the last second, or everything, and others may write to it;
what is not archived stands here still and can be sent again.
"""

from collections import deque

from rolloutwatch.sink import Frame


class Outbox:
    """Frames in the order of their numbers; a prefix of them has been sent. Used by one thread."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.archived = 0
        self.last_number = 0
        self._first: bytes = (
            b""  # the record that every stream begins with, also the one after a stream was lost
        )
        self._begins_with = 1  # its number in this stream
        self._given_up = 0
        self._sent: deque[Frame] = deque()
        self._unsent: deque[Frame] = deque()
        self._sent_bytes = 0
        self._unsent_bytes = 0

    @property
    def unsent(self) -> int:
        """Return how many frames wait to be sent."""
        return len(self._unsent)

    @property
    def sent_to(self) -> int:
        """Return the number of the last frame that was sent."""
        return self._unsent[0][0] - 1 if self._unsent else self.last_number

    @property
    def has_room(self) -> bool:
        """Tell whether another frame may be added."""
        return self._unsent_bytes < self.limit_bytes

    def add(self, frame: bytes) -> None:
        """Give a frame the next number."""
        self.last_number += 1
        self._first = self._first or frame
        self._unsent.append((self.last_number, frame))
        self._unsent_bytes += len(frame)

    def next_batch(self, frames: int, size: int) -> list[Frame]:
        """Return the first frames that wait, up to a number and a size, at least one if there is one."""
        batch: list[Frame] = []
        for number, frame in self._unsent:
            size -= len(frame)
            if len(batch) == frames or (batch and size < 0):
                break
            batch.append((number, frame))
        return batch

    def sent(self, frames: int) -> None:
        """Note that the first `frames` that waited have been taken; they stay until they are archived or room is needed."""
        for _ in range(frames):
            number, frame = self._unsent.popleft()
            self._unsent_bytes -= len(frame)
            self._sent.append((number, frame))
            self._sent_bytes += len(frame)
        while self._sent_bytes > self.limit_bytes:
            self._forget()

    def acknowledge(self, archived: int) -> None:
        """Let go of what is archived. An acknowledgement that goes back is that of a Redis that lost it."""
        self.archived = max(self.archived, archived)
        while self._sent and self._sent[0][0] <= self.archived:
            self._forget()

    def rewind(self) -> int:
        """Send again whatever is not archived, to where nothing has been sent yet.

        The first frame of all goes before it, under a number that is free because what had it is archived.
        Returns how many frames can be neither sent again nor known to be archived, because room was needed.
        """
        while self._sent:
            number, frame = self._sent.pop()
            self._sent_bytes -= len(frame)
            self._put_first(number, frame)
        if self._unsent and self._unsent[0][0] == self._begins_with:
            self._unsent_bytes -= len(self._unsent.popleft()[1])
        before = self.sent_to
        given_up = max(before - max(self.archived, self._given_up, 1), 0)
        self._given_up = max(before, self._given_up)
        self._begins_with = max(before, 1)
        self._put_first(self._begins_with, self._first)
        return given_up

    def _put_first(self, number: int, frame: bytes) -> None:
        self._unsent.appendleft((number, frame))
        self._unsent_bytes += len(frame)

    def _forget(self) -> None:
        _, frame = self._sent.popleft()
        self._sent_bytes -= len(frame)
