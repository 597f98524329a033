"""Records that have a number, from the first attempt to send them until the server has archived them.

A Redis that was restarted may have lost the last second, or everything;
what it lost stands here still and is sent again.
"""

from collections import deque


class Outbox:
    """Frames in the order of their numbers; a prefix of them has been sent. Used by one thread."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.archived = 0
        self.last_number = 0
        self._sent: deque[tuple[int, bytes]] = deque()
        self._unsent: deque[tuple[int, bytes]] = deque()
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
        self._unsent.append((self.last_number, frame))
        self._unsent_bytes += len(frame)

    def next_batch(self, frames: int, size: int) -> list[tuple[int, bytes]]:
        """Return the first frames that wait, up to a number and a size, at least one if there is one."""
        batch: list[tuple[int, bytes]] = []
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

    def rewind(self, top: int) -> None:
        """Send again whatever stands behind `top`; what the sink holds already counts as sent."""
        while self._sent and self._sent[-1][0] > top:
            number, frame = self._sent.pop()
            self._sent_bytes -= len(frame)
            self._unsent.appendleft((number, frame))
            self._unsent_bytes += len(frame)
        while self._unsent and self._unsent[0][0] <= top:
            self.sent(1)

    def _forget(self) -> None:
        _, frame = self._sent.popleft()
        self._sent_bytes -= len(frame)
