"""Records into Redis: one stream per session, numbers of our own, all or none.

The number of a record is its stream id, so Redis itself says how far the records have come,
also after an error that left it open whether the last ones were taken.
What Redis says is believed only where it speaks of records that are this session's own.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import redis

from rolloutwatch.connection import Door, Memory, address_of
from rolloutwatch.sink import Frame, SinkError, StreamLost, Unheard
from rolloutwatch.troubles import sink_error, trouble_of
from rolloutwatch_contract import ack_key, stream_key
from rolloutwatch_contract.alerts import MAX_FIRING_BYTES
from rolloutwatch_contract.keys import RECORD_FIELD, alerts_key, entry_id, part_of, sequence_of

log = logging.getLogger("rolloutwatch")

_warned_of: set[tuple[str, str]] = set()  # a process has several sinks: those of former sessions too

Entry = tuple[bytes, dict[bytes, bytes]]


@dataclass(frozen=True)
class _End:
    """How a stream ends: the id of the last entry it has had, and that entry unless it was trimmed.

    And how it begins: the number of its first entry, 0 if there is none, and how many there are.
    """

    top: str
    entry: "Entry | None"
    first: int = 0
    length: int = 0


_NOTHING = _End("0-0", None)


class RedisSink:
    """A session's stream in Redis, and the ones after it if that is spoilt.

    Every call ends within a few seconds, whatever Redis does:
    redis-py's own retries, which hold a call for up to a minute, are off; trying again is the caller's business.

    A stream is gone on with only while it ends with this session's own last record.
    If it ends with anything else, because somebody wrote to it or Redis lost what it held,
    nobody can tell what has become of the records in it, and a new stream is begun.
    """

    def __init__(self, url: str, run: str, session: str) -> None:
        self._address = address_of(url)
        self.shown_url = self._address.shown
        self._run, self._session = run, session
        self._archived = 0
        self._unread_at = -1
        self._begin(0)
        self._door = Door(self._address, self._ack, self._look_at)

    def send(self, frames: Sequence[Frame]) -> int:
        """Add frames in one transaction, after finding out about former ones that nobody answered for."""
        try:
            if self._in_doubt:
                self._settle()
            if new := [frame for frame in frames if frame[0] > self._last[0]]:
                self._add(new)
            elif not frames:
                self._acknowledged(self._door.open().get(self._ack), self._last[0])
        except (redis.RedisError, OSError, ValueError) as error:
            raise self._failed(error) from error
        return self._archived

    def hear(self) -> bytes | None:
        """Return what the server says of the run's alerts, and a byte more than that can have if it is longer."""
        key = alerts_key(self._run)
        try:
            # of a stranger's value, whatever its size, no more than this
            text = self._door.open().getrange(key, 0, MAX_FIRING_BYTES)
        except redis.ResponseError as error:
            trouble = trouble_of(error, self._address)
            if "WRONGTYPE" in str(error):
                raise Unheard(f"{key} is no string, so the server has not written it. Delete it.") from error
            raise Unheard(f"{trouble.cause}. {trouble.cure}.") from error
        except (redis.RedisError, OSError, ValueError) as error:
            raise self._failed(error) from error
        if not text:
            return None
        return text if isinstance(text, bytes) else text.encode()

    def close(self) -> None:
        """Close the connection."""
        self._door.shut()

    def _look_at(self, memory: "Memory | None") -> None:
        """Warn of a Redis that throws streams away; it is written to all the same, because to refuse would lose all of them."""
        if memory is None:
            log.debug("Redis at %s does not tell what it does when it is full.", self.shown_url)
        elif memory.evicts and (self.shown_url, memory.policy) not in _warned_of:
            _warned_of.add((self.shown_url, memory.policy))
            log.warning(
                "Redis at %s throws away whole streams when it is full (maxmemory-policy %s): records that nobody has "
                "read yet may be lost. Set it to noeviction: CONFIG SET maxmemory-policy noeviction, and in redis.conf.",
                self.shown_url,
                memory.policy,
            )

    def _begin(self, part: int) -> None:
        """Go to a stream that nobody has written to."""
        self._part = part
        name = part_of(self._session, part)
        self._stream, self._ack = stream_key(self._run, name), ack_key(self._run, name)
        self._last: Frame = (0, b"")
        self._in_doubt: list[Frame] = []

    def resume(self, part: int, last: int, frame: Callable[[int], bytes | None]) -> int:
        """Go on where a process left off that is no more; return the number of the last record that was taken.

        `part` says into which of the session's streams it wrote, `last` what its last record was,
        `frame` has its records as far as they can be had. 0 means that there is nothing: what has a number has it
        for ever, so the server knows which ones it has already. StreamLost if the stream is not as it can have left it.
        """
        try:
            self._begin(part)
            with self._door.open().pipeline(transaction=True) as pipe:
                pipe.xinfo_stream(self._stream)
                pipe.get(self._ack)
                info, ack = pipe.execute(raise_on_error=False)
        except (redis.RedisError, OSError, ValueError) as error:
            raise self._failed(error) from error
        end, acknowledged = _end_of(info), self._acknowledged(ack, last)
        # a run that has ended leaves an acknowledgement and no stream
        number = acknowledged if end.top == "0-0" else _number_of(end.top)
        if number == 0 and end.top == "0-0":
            return 0
        if 0 < number <= last:
            self._last = (number, frame(number) or b"")
            # of a Redis that was wiped the last batch may stand there, without those before it
            whole = end.first <= acknowledged + 1 and end.length == number + 1 - end.first
            if number > acknowledged and not (whole and end.entry and _is(self._last[1], end.entry[1])):
                number = 0
        if not 0 < number <= last:
            self._lose(f"it ends with {end.top}")
        return number

    def _add(self, frames: Sequence[Frame]) -> None:
        """Add frames and see, in the same transaction, behind what they were added.

        Without a transaction a full Redis may refuse one frame and take the next, and the hole could never be filled.
        To WATCH the stream would not do: the server's trimming touches it all the time.
        """
        with self._door.open().pipeline(transaction=True) as pipe:
            pipe.xinfo_stream(self._stream)
            for number, frame in frames:
                pipe.xadd(self._stream, {RECORD_FIELD: frame}, id=entry_id(number))
            pipe.get(self._ack)
            self._in_doubt = list(frames)
            try:
                info, *added, ack = pipe.execute(raise_on_error=False)
            except redis.ResponseError:
                self._in_doubt = []  # refused as a whole
                raise
        end = _end_of(info)
        acknowledged = self._acknowledged(ack, self._last[0])
        self._check(end, acknowledged)
        if refusal := next((one for one in added if isinstance(one, Exception)), None):
            self._lose(f"a record was refused ({refusal})")
        self._last, self._in_doubt = frames[-1], []

    def _settle(self) -> None:
        """Find out whether the frames were taken whose answer did not come, and behind what."""
        # the one before them too: had Redis lost it, it would have taken these all the same
        expected = [self._last] * (self._last[0] > 0) + self._in_doubt
        first, last = expected[0][0], expected[-1][0]
        with self._door.open().pipeline(transaction=True) as pipe:
            pipe.xinfo_stream(self._stream)
            pipe.xrange(self._stream, entry_id(first), entry_id(last))
            pipe.get(self._ack)
            info, entries, ack = pipe.execute(raise_on_error=False)
        end = _end_of(info)
        acknowledged = self._acknowledged(ack, last)
        there = dict(entries) if isinstance(entries, list) else {}
        # a run that has ended leaves an acknowledgement and no stream
        taken = (end.top == entry_id(last) or acknowledged == last) and all(
            number <= acknowledged or _is(frame, there.get(entry_id(number).encode()))
            for number, frame in expected
        )
        if taken:
            self._last = self._in_doubt[-1]
        else:
            self._check(end, acknowledged)
        self._in_doubt = []

    def _check(self, end: _End, acknowledged: int) -> None:
        """StreamLost unless a stream ends with our own last record, or had not begun."""
        number, frame = self._last
        if end.top != (entry_id(number) if number else "0-0"):
            self._lose(f"it ended with {end.top} instead of {entry_id(number)}")
        if number <= acknowledged:
            return
        if end.entry is not None and not _is(frame, end.entry[1]):
            self._lose(f"what stands under {end.top} is not what was sent")
        if end.entry is None and self._unread_at != self._archived:
            # tried once at each record: what the server cannot read it cannot read in another stream either
            self._unread_at = self._archived
            self._lose(f"{end.top} was taken out of it and not archived")

    def _failed(self, error: Exception) -> SinkError:
        self._door.shut()
        return sink_error(error, self._address)

    def _lose(self, why: str) -> NoReturn:
        lost = self._stream
        self._begin(self._part + 1)
        raise StreamLost(
            f"The stream {lost} in Redis at {self.shown_url} is not as it was left: {why}. "
            "Somebody else has written to it, or Redis has lost what it held",
            self._archived,
            self._part,
        )

    def _acknowledged(self, answer: object, most: int) -> int:
        """Return up to where the server says that it has archived; 0 if it cannot have said so."""
        number = int(answer) if isinstance(answer, bytes) and answer.isdigit() else 0
        if number > most:
            return 0
        self._archived = max(self._archived, number)
        return number


def _end_of(info: Any) -> _End:
    if isinstance(info, redis.ResponseError):
        return _NOTHING if "no such key" in str(info) else _End(f"an error ({info})", None)
    first, last = (
        one if one and one[0] is not None else None for one in (info["first-entry"], info["last-entry"])
    )
    number = _number_of(first[0].decode()) if first else 0
    return _End(info["last-generated-id"].decode(), last, number, info["length"])


def _number_of(entry: str) -> int:
    """Return the number of a record that stands under a stream id, 0 if the id is none of ours."""
    try:
        return sequence_of(entry)
    except ValueError:
        return 0


def _is(frame: bytes, fields: "dict[bytes, bytes] | None") -> bool:
    return fields == {RECORD_FIELD: frame}
