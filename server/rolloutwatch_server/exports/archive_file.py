"""Rolloutwatch's own archive file: one run, whole. `docs/archive-file.md` describes every byte of it.

MAGIC and version, then blocks: kind, length and checksum of what follows, and that, compressed by zstd.
HEAD first; for each session its RECORDS and then what is known of it, SESSION; then RUN; END last.
"""

import struct
import zlib
from collections.abc import Callable, Iterator

import msgspec
import zstandard

from rolloutwatch_contract.record import SCHEMA_VERSION
from rolloutwatch_server import __version__
from rolloutwatch_server.exports.secrets import without_secrets
from rolloutwatch_server.store.transcript import Kept, SessionFacts, Transcript

MAGIC = b"\x93RWZ"
VERSION = 1
FILE_HEAD = struct.Struct("<4sHH")  # magic, version, nothing yet
BLOCK_HEAD = struct.Struct("<cII")  # kind, length, CRC-32 of kind and what follows
RECORD_HEAD = struct.Struct("<BI")  # what the time of a record is, its length
HEAD, RECORDS, SESSION, RUN, END = b"H", b"R", b"S", b"F", b"E"
TIMED, UNTIMED = 1, 0
BLOCK_BYTES = 1024 * 1024  # before it is compressed; the last record of a block may go beyond
_LEVEL = 3


class Head(msgspec.Struct, frozen=True):
    """What a file begins with: which run, the schema of its records, and who wrote it."""

    run: str
    records_schema: int
    written_by: str


class Tail(msgspec.Struct, frozen=True):
    """What a file ends with: how many sessions and records it has, and a checksum of all blocks before."""

    sessions: int
    records: int
    checksum: int


def write(run: str, transcript: Transcript, progress: Callable[[int], None]) -> Iterator[bytes]:
    """Yield the bytes of a run's archive file, block by block, telling how many records are in them."""
    blocks = Blocks()
    yield blocks.begin(run)
    for session in transcript.sessions:
        for kept in transcript.records(session):
            for block in blocks.add(kept):
                yield block
                progress(blocks.records)
        yield from blocks.end_session(session.facts)
    facts = transcript.facts()
    yield from blocks.end(msgspec.structs.replace(facts, config=without_secrets(facts.config)))


class Blocks:
    """The blocks of a file as they come to be; each call returns what is to be written."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL)
        self._encoder = msgspec.msgpack.Encoder()
        self._records = bytearray()
        self._counts = [0, 0]
        self._checksum = 0

    @property
    def records(self) -> int:
        """Return how many records were taken."""
        return self._counts[1]

    def begin(self, run: str) -> bytes:
        """Return what a file begins with."""
        head = Head(run, SCHEMA_VERSION, __version__)
        return FILE_HEAD.pack(MAGIC, VERSION, 0) + self._block(HEAD, self._encoder.encode(head))

    def add(self, kept: Kept) -> Iterator[bytes]:
        """Take a record of the session that is under way."""
        record = self._encoder.encode(kept.record)
        self._records += RECORD_HEAD.pack(TIMED if kept.timed else UNTIMED, len(record)) + record
        self._counts[1] += 1
        if len(self._records) >= BLOCK_BYTES:
            yield self._flush()

    def end_session(self, facts: SessionFacts) -> Iterator[bytes]:
        """Take what is known of the session that was under way."""
        if self._records:
            yield self._flush()
        self._counts[0] += 1
        shown = msgspec.structs.replace(facts, config=without_secrets(facts.config))
        yield self._block(SESSION, self._encoder.encode(shown))

    def end(self, facts: msgspec.Struct) -> Iterator[bytes]:
        """Take what is known of the run, and end the file."""
        yield self._block(RUN, self._encoder.encode(facts))
        sessions, records = self._counts
        yield self._block(END, self._encoder.encode(Tail(sessions, records, self._checksum)))

    def _flush(self) -> bytes:
        block = self._block(RECORDS, bytes(self._records))
        self._records.clear()
        return block

    def _block(self, kind: bytes, content: bytes) -> bytes:
        packed = self._compressor.compress(content)
        crc = zlib.crc32(packed, zlib.crc32(kind))
        self._checksum = zlib.crc32(crc.to_bytes(4, "little"), self._checksum)
        return BLOCK_HEAD.pack(kind, len(packed), crc) + packed
