"""Reads Rolloutwatch's own archive file into the archive. Nothing in it is believed before it is checked."""

import math
import zlib
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
import zstandard

from rolloutwatch_contract import Mark, RecordError, StepRecord
from rolloutwatch_contract.keys import split_run_id
from rolloutwatch_contract.names import check_name
from rolloutwatch_contract.record import MAX_RECORD_BYTES, MAX_STEP, SCHEMA_VERSION, Outcome, check
from rolloutwatch_contract.tags import check_tags
from rolloutwatch_server.exports.archive_file import (
    BLOCK_BYTES,
    BLOCK_HEAD,
    END,
    FILE_HEAD,
    HEAD,
    MAGIC,
    RECORD_HEAD,
    RECORDS,
    RUN,
    SESSION,
    TIMED,
    UNTIMED,
    VERSION,
    Head,
    Tail,
)
from rolloutwatch_server.imports.files import Input
from rolloutwatch_server.imports.names import MOST_NAMES
from rolloutwatch_server.imports.refusal import CannotImport, refusal, shown
from rolloutwatch_server.store.entries import LARGEST_PART, Position
from rolloutwatch_server.store.restoration import Restoration
from rolloutwatch_server.store.transcript import Kept, RunFacts, SessionFacts, base_of

MOST_BLOCK_BYTES = BLOCK_BYTES + MAX_RECORD_BYTES + 1024
MOST_SESSIONS = 10_000
MOST_FACT_BYTES = MAX_RECORD_BYTES

_record = msgspec.msgpack.Decoder(StepRecord | Mark)
_T = TypeVar("_T")


def is_archive_file(beginning: bytes) -> bool:
    """Tell whether a file begins as an archive file does."""
    return beginning.startswith(MAGIC)


class ArchiveFile:
    """An archive file that is being read: its head, and then all of it, once."""

    def __init__(self, file: Input) -> None:
        self._file = file
        self._checksum = 0
        self._at = 0
        self.sessions = self.records = 0
        self._names: set[str] = set()
        self._session_names: set[str] = set()
        self._begin()
        kind, content = self._block()
        if kind != HEAD:
            raise self._refusal("a head", f"a block of kind {kind!r}")
        self.head = self._decoded(content, Head)
        if self.head.records_schema > SCHEMA_VERSION:
            raise self._refusal(
                f"records of schema {SCHEMA_VERSION} at the most",
                f"schema {self.head.records_schema}: written by a newer Rolloutwatch ({shown(self.head.written_by)}). "
                "Install that version",
            )
        try:
            split_run_id(self.head.run)
        except ValueError as error:
            raise self._refusal("the id of a run", shown(self.head.run)) from error

    def restore(self, restoration: Restoration) -> RunFacts:
        """Hand all of it to the archive; return what is known of the run."""
        facts: RunFacts | None = None
        session: int | None = None
        while True:
            kind, content = self._block()
            if kind == END:
                break
            if facts is not None or kind not in (RECORDS, SESSION, RUN):
                raise self._refusal("blocks in their order", f"a block of kind {kind!r}")
            if kind == RUN:
                if session is not None:
                    raise self._refusal("what is known of a session", "what is known of the run")
                facts = self._run_facts(content)
                continue
            if session is None:
                session = restoration.begin_session()
                self._count_session()
            if kind == RECORDS:
                for kept in self._kept(content):
                    restoration.add(session, kept)
            else:
                restoration.end_session(session, self._session_facts(content))
                session = None
        return self._end(content, facts)

    def _begin(self) -> None:
        head = self._file.read(FILE_HEAD.size)
        if len(head) < FILE_HEAD.size or not head.startswith(MAGIC):
            raise self._refusal(f"{MAGIC!r}, as an archive file begins", repr(head[:4]))
        _, version, _ = FILE_HEAD.unpack(head)
        if version > VERSION:
            raise self._refusal(
                f"version {VERSION} of the archive file at the most",
                f"version {version}: it was written by a newer Rolloutwatch. Install that version",
            )
        if version < 1:
            raise self._refusal("a version of the archive file", str(version))

    def _block(self) -> tuple[bytes, bytes]:
        self._at = self._file.offset
        head = self._file.read(BLOCK_HEAD.size)
        if len(head) < BLOCK_HEAD.size:
            raise self._refusal("a block", "the end of the file: it is cut")
        kind, length, crc = BLOCK_HEAD.unpack(head)
        if length > MOST_BLOCK_BYTES + 1024:
            raise self._refusal(f"a block of at most {MOST_BLOCK_BYTES} bytes", str(length))
        packed = self._file.read(length)
        if len(packed) < length:
            raise self._refusal(f"a block of {length} bytes", f"{len(packed)}: the file is cut")
        if zlib.crc32(packed, zlib.crc32(kind)) != crc:
            raise self._refusal("a block with its checksum", "another checksum: the file is damaged")
        if kind != END:
            self._checksum = zlib.crc32(crc.to_bytes(4, "little"), self._checksum)
        return kind, self._unpacked(packed)

    def _unpacked(self, packed: bytes) -> bytes:
        try:
            # what a frame declares is what it takes: the library's own limit is ignored where it declares
            declared = zstandard.get_frame_parameters(packed).content_size
            if not 0 <= declared <= MOST_BLOCK_BYTES:
                raise self._refusal(f"a block that declares at most {MOST_BLOCK_BYTES} bytes", str(declared))
            return zstandard.ZstdDecompressor(max_window_size=2**27).decompress(packed, MOST_BLOCK_BYTES)
        except zstandard.ZstdError as error:
            raise self._refusal("a block that zstd reads", shown(str(error))) from error

    def _kept(self, content: bytes) -> Iterator[Kept]:
        at = 0
        while at < len(content):
            if len(content) - at < RECORD_HEAD.size:
                raise self._refusal("a record", "the end of a block")
            timed, length = RECORD_HEAD.unpack_from(content, at)
            at += RECORD_HEAD.size
            if timed not in (TIMED, UNTIMED) or length > min(MAX_RECORD_BYTES, len(content) - at):
                raise self._refusal("a record", f"one of kind {timed} and {length} bytes")
            yield self._checked(content[at : at + length], timed == TIMED)
            at += length

    def _checked(self, body: bytes, timed: bool) -> Kept:
        try:
            record = _record.decode(body)
            check(record)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, RecordError) as error:
            raise self._refusal("a step or a mark", shown(str(error), 300)) from error
        if isinstance(record, StepRecord):
            self._names.update(record.metrics)
            if len(self._names) > MOST_NAMES:
                raise self._refusal(f"at most {MOST_NAMES} metrics in a run", "more")
        self.records += 1
        return Kept(record, timed)

    def _count_session(self) -> None:
        self.sessions += 1
        if self.sessions > MOST_SESSIONS:
            raise self._refusal(f"at most {MOST_SESSIONS} sessions", "more")

    def _session_facts(self, content: bytes) -> SessionFacts:
        facts = self._decoded(content, SessionFacts)
        for name in (facts.name, *(stream.name for stream in facts.streams)):
            self._check(lambda name=name: check_name("session", base_of(name)), "the name of a session")
        if facts.name in self._session_names:
            raise self._refusal("each session once", shown(facts.name))
        self._session_names.add(facts.name)
        times = (facts.started_at, facts.heard_at, facts.declared_at, facts.latest_time)
        if not all(time is None or math.isfinite(time) for time in times):
            raise self._refusal("times in seconds since 1970", shown(times))
        if facts.outcome is not None:
            self._check(lambda: Outcome(facts.outcome), "an outcome")
        if facts.mark not in ("restart", "rollback", "takeover"):
            raise self._refusal("restart, rollback or takeover", shown(facts.mark))
        if (facts.latest_time is None) != (facts.latest_step is None):
            raise self._refusal("the newest figures with their time", "one without the other")
        self._check_steps(facts.latest_step)
        if any(not 0 <= count < 2**63 for count in facts.dropped.values()):
            raise self._refusal("counts of what was dropped", shown(facts.dropped))
        for stream in facts.streams:
            cursor = self._check(
                lambda stream=stream: Position.of(stream.cursor), "how far a stream was read"
            )
            if not 0 <= max(cursor.major, cursor.minor, stream.archived_to) <= LARGEST_PART:
                raise self._refusal("how far a stream was read", shown(stream))
        self._check_config(facts.config)
        return facts

    def _run_facts(self, content: bytes) -> RunFacts:
        facts = self._decoded(content, RunFacts)
        if not (math.isfinite(facts.started_at) and math.isfinite(facts.updated_at)):
            raise self._refusal("times in seconds since 1970", shown((facts.started_at, facts.updated_at)))
        self._check_steps(facts.first_step, facts.last_step, facts.tables_from)
        for one in facts.contests:
            there = 0 <= one.session < self.sessions and 0 <= one.rival < self.sessions
            if not there or one.session == one.rival or not math.isfinite(one.time):
                raise self._refusal("two sessions that claimed the run", shown(one))
            self._check_steps(one.step)
        if len({(one.session, one.rival) for one in facts.contests}) < len(facts.contests):
            raise self._refusal("each contest once", "one of them twice")
        self._check_config(facts.config)
        tags = self._check(lambda: check_tags(facts.tags), "tags")
        return msgspec.structs.replace(facts, tags=tags)

    def _end(self, content: bytes, facts: RunFacts | None) -> RunFacts:
        tail = self._decoded(content, Tail)
        if facts is None or tail != Tail(self.sessions, self.records, self._checksum) or not self.sessions:
            raise self._refusal(f"an end of {self.sessions} sessions and {self.records} records", shown(tail))
        if self._file.read(1):
            raise self._refusal("the end of the file", "more behind it")
        return facts

    def _decoded(self, content: bytes, kind: type[_T]) -> _T:
        try:
            return msgspec.msgpack.decode(content, type=kind)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise self._refusal(kind.__name__, shown(str(error), 300)) from error

    def _check(self, ask: Any, expected: str) -> Any:
        try:
            return ask()
        except ValueError as error:
            raise self._refusal(expected, shown(str(error), 200)) from error

    def _check_steps(self, *steps: int | None) -> None:
        if not all(step is None or 0 <= step <= MAX_STEP for step in steps):
            raise self._refusal(f"steps from 0 to {MAX_STEP}", shown(steps))

    def _check_config(self, config: dict[str, Any]) -> None:
        if any(isinstance(value, int) and abs(value) >= 2**64 for value in config.values()):
            raise self._refusal("integers of 64 bits", "a larger one")

    def _refusal(self, expected: str, came: str) -> CannotImport:
        return refusal(self._file.path, f"block at byte {self._at}", expected, came)
