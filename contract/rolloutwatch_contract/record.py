"""What travels from the trainer to the server, and how it is put into bytes.

A record is one of RunStart, StepRecord, Mark, Heartbeat, RunEnd.
On the wire it is a frame: the four bytes of HEADER, then zstd-compressed msgpack of a tagged map.
Floats travel as IEEE 754 doubles and arrays as raw little-endian bytes, so NaN, infinities and -0.0 survive.
Whatever cannot be decoded raises RecordError, and nothing else; a frame from a stranger costs at most
MAX_RECORD_BYTES of memory, because the size it declares is checked before it is decompressed,
and a moment of time, because the size of a shape is checked before anything is computed from it.
"""

import enum
import math
import threading
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import zstandard

from rolloutwatch_contract.names import check_name, is_metric_name

SCHEMA_VERSION = 1
HEADER = b"RW" + bytes([SCHEMA_VERSION]) + b"z"

MAX_RECORD_BYTES = 8 * 1024 * 1024
MAX_METRICS = 512
MAX_SEQUENCES = 4096
MAX_COLUMNS = 64
MAX_BINS = 256
MAX_STEP = 2**53 - 1  # the last integer that a browser's numbers can hold
MAX_GROUPS = MAX_SEQUENCES
MAX_NAME_LETTERS = 128  # of a group or of a mark's field
MAX_TOKENS = 16_384  # of all sequences of a record together
MAX_TOKEN_LETTERS = 64
MAX_FIELDS = 64
MAX_FIELD_LETTERS = 1000

_DTYPES: dict[str, np.dtype[Any]] = {name: np.dtype(name) for name in ("<f4", "<f8", "<i8")}
_ZSTD_LEVEL = 1


class RecordError(ValueError):
    """A record that breaks the contract; the message says what was expected and what came."""


class Outcome(enum.Enum):
    """How a session ended."""

    FINISHED = "finished"
    CRASHED = "crashed"


class Array(msgspec.Struct, frozen=True):
    """A NumPy array as raw bytes in C order; `dtype` is one of '<f4', '<f8', '<i8'."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    @classmethod
    def of(cls, values: npt.ArrayLike) -> "Array":
        """Pack an array of float32, float64 or int64, of at most two dimensions."""
        array = np.ascontiguousarray(values)
        dtype = array.dtype.newbyteorder("<")
        if dtype.str not in _DTYPES:
            raise RecordError(
                f"array of {array.dtype}: expected float32, float64 or int64; convert it first."
            )
        # ascontiguousarray makes a scalar one-dimensional; the shape that came is the one that travels
        return cls(dtype.str, np.shape(values), array.astype(dtype, copy=False).tobytes())

    def numpy(self) -> npt.NDArray[Any]:
        """Return the array, read-only, without a copy; RecordError if shape and bytes disagree."""
        dtype = _DTYPES.get(self.dtype)
        if dtype is None:
            raise RecordError(f"array dtype {self.dtype!r:.50}: expected one of {', '.join(_DTYPES)}.")
        shape = self.shape
        if len(shape) > 2 or any(not 0 <= n <= MAX_RECORD_BYTES for n in shape):
            raise RecordError(
                f"array of shape {str(shape[:3])[:100]}, {len(shape)} dimensions: "
                f"expected at most 2, of 0 to {MAX_RECORD_BYTES} each."
            )
        if math.prod(shape) * dtype.itemsize != len(self.data):
            raise RecordError(
                f"array of shape {shape} and dtype {self.dtype} cannot have {len(self.data)} bytes."
            )
        return np.frombuffer(self.data, dtype=dtype).reshape(shape)


class RunStart(msgspec.Struct, frozen=True, tag="start"):
    """A session begins to write to a run: the first record of every stream.

    `config` is the correction's configuration as the trainer gave it,
    `environment` what the trainer runs on (host, versions, device), for people to read.
    """

    project: str
    run: str
    time: float
    config: dict[str, str | int | float | bool | None] = {}
    environment: dict[str, str] = {}


class SequenceTokens(msgspec.Struct, frozen=True):
    """The tokens of one sequence, as people read them.

    `row` is where the sequence stands in the per-sequence table of its step,
    `texts` are its tokens in their order, `log_ratios` what belongs to each, float32 [tokens].
    """

    row: int
    texts: tuple[str, ...]
    log_ratios: Array


class StepRecord(msgspec.Struct, frozen=True, omit_defaults=True, tag="step"):
    """Figures of one training step.

    A step may come in several records (what was measured, what was logged later); their metrics are united.
    `time` is the trainer's clock in seconds since 1970.
    `metrics` maps names to values; a figure that does not exist is absent, never 0.
    `histogram` counts the log ratio in the fixed bins of `rolloutwatch_contract.tables`, int64 [bins].
    `sequences` is the per-sequence table, float [sequences, columns of `rolloutwatch_contract.tables`].
    `dropped` counts what this session could not deliver so far, by reason.
    `sample_ids` are the trainer's own numbers for the sequences, int64 [sequences]; they are exact where the table's
    column "sample_id" is not, as beyond 2^24 in float32.
    `groups` names the numbers of the table's column "group": number 0 is the first.
    `tokens` are those of some of the sequences, such as the worst.
    """

    step: int
    time: float
    metrics: dict[str, float]
    histogram: Array | None = None
    sequences: Array | None = None
    dropped: dict[str, int] = {}
    sample_ids: Array | None = None
    groups: tuple[str, ...] = ()
    tokens: tuple[SequenceTokens, ...] = ()


class MarkKind(enum.Enum):
    """The kinds of marks that have a meaning of their own; a trainer may name others."""

    WEIGHT_SYNC = "weight_sync"  # the rollout engine has the trainer's weights from here on
    CHECKPOINT = "checkpoint"
    RESTART = "restart"  # another session goes on with the run; the server finds that out by itself
    CONFIG = "config"  # a setting is another one; the server finds that by itself where a run is resumed
    ROLLBACK = "rollback"  # steps done again in the same process; the server's own
    TAKEOVER = "takeover"  # a trainer that outlived one that had taken the run over; the server's own
    CONTESTED = "contested"  # two trainers write to the run at once; the server's own


class Mark(msgspec.Struct, frozen=True, tag="mark"):
    """Something that happened at a step and is no figure, such as weights that were brought to the rollout engine.

    `kind` is a MarkKind's value or a name of the trainer's own, in the alphabet of metrics' names;
    `fields` is what else is to be known, such as a version or a path.
    """

    step: int
    time: float
    kind: str
    fields: dict[str, str | int | float | bool | None] = {}
    dropped: dict[str, int] = {}


class Heartbeat(msgspec.Struct, frozen=True, tag="heartbeat"):
    """The session lives, though it has no step to tell of."""

    time: float
    dropped: dict[str, int] = {}


class RunEnd(msgspec.Struct, frozen=True, tag="end"):
    """The session ends: the last record of a stream, unless the process was killed."""

    time: float
    outcome: Outcome = Outcome.FINISHED
    dropped: dict[str, int] = {}


Record = RunStart | StepRecord | Mark | Heartbeat | RunEnd

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)


class _Zstd(threading.local):
    """zstd contexts must not be shared between threads."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL)
        self.decompressor = zstandard.ZstdDecompressor()


_zstd = _Zstd()


def encode(record: Record) -> bytes:
    """Put a record into a frame; RecordError if it breaks the contract."""
    check(record)
    try:
        body = _encoder.encode(record)
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise RecordError(f"{type(record).__name__} cannot be encoded: {error}") from error
    if len(body) > MAX_RECORD_BYTES:
        raise RecordError(
            f"record of {len(body)} bytes: expected at most {MAX_RECORD_BYTES}; send fewer sequences."
        )
    return HEADER + _zstd.compressor.compress(body)


def decode(frame: bytes) -> Record:
    """Read a frame back; RecordError, saying what was expected and what came, if it is none of ours."""
    body = _decompress(frame)
    try:
        record = _decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise RecordError(f"record is not what schema {SCHEMA_VERSION} says: {str(error)[:300]}") from error
    check(record)
    return record


def check(record: Record) -> None:
    """Raise RecordError if a record, whatever its way here, breaks a bound of the contract."""
    match record:
        case RunStart():
            _check_start(record)
        case StepRecord():
            _check_step(record)
        case Mark():
            _check_mark(record)
        case Heartbeat() | RunEnd():
            _check_dropped(record.dropped)
        case _:
            raise RecordError(
                f"{type(record).__name__} is not a record: "
                "expected RunStart, StepRecord, Mark, Heartbeat or RunEnd."
            )
    if not math.isfinite(record.time):
        raise RecordError(f"time is {record.time}: expected seconds since 1970.")


def declared_bytes(frame: bytes) -> int:
    """Return how much memory a frame says that its record takes; 0 for a frame that `decode` refuses at once."""
    try:
        declared = zstandard.get_frame_parameters(frame[len(HEADER) :]).content_size
    except zstandard.ZstdError:
        return 0
    return declared if 0 <= declared <= MAX_RECORD_BYTES else 0


def _decompress(frame: bytes) -> bytes:
    if frame[:2] != HEADER[:2]:
        raise RecordError(
            f"frame begins with {frame[:4]!r}: expected {HEADER!r}; it was not written by Rolloutwatch."
        )
    if frame[: len(HEADER)] != HEADER:
        raise RecordError(
            f"frame has schema {frame[2:3].hex() or 'none'} and codec {frame[3:4]!r}: this side reads schema "
            f"{SCHEMA_VERSION} and codec b'z'. Install the same version of Rolloutwatch in trainer and server."
        )
    packed = frame[len(HEADER) :]
    try:
        parameters = zstandard.get_frame_parameters(packed)
        if not 0 <= parameters.content_size <= MAX_RECORD_BYTES:
            raise RecordError(
                f"frame declares {parameters.content_size} bytes: expected a declared size of at most {MAX_RECORD_BYTES}."
            )
        return _zstd.decompressor.decompress(packed, max_output_size=MAX_RECORD_BYTES)
    except zstandard.ZstdError as error:
        raise RecordError(f"frame of {len(frame)} bytes cannot be decompressed: {error}") from error


def _check_start(record: RunStart) -> None:
    try:
        check_name("project", record.project)
        check_name("run", record.run)
    except ValueError as error:
        raise RecordError(str(error)) from error


def _check_step(record: StepRecord) -> None:
    _check_number_of_step(record.step)
    _check_metrics(record)
    _check_array("histogram", record.histogram, (MAX_BINS,))
    _check_array("sequences", record.sequences, (MAX_SEQUENCES, MAX_COLUMNS))
    rows = 0 if record.sequences is None else record.sequences.shape[0]
    _check_sample_ids(record.sample_ids, rows)
    _check_groups(record.groups)
    _check_tokens(record.tokens, rows)
    _check_dropped(record.dropped)


def _check_mark(mark: Mark) -> None:
    _check_number_of_step(mark.step)
    if not is_metric_name(mark.kind):
        raise RecordError(
            f"step {mark.step}: mark of kind {ascii(mark.kind)[:140]}: expected a name such as 'weight_sync', "
            "of the letters that a metric's name may have."
        )
    if len(mark.fields) > MAX_FIELDS:
        raise RecordError(f"mark {mark.kind!r} has {len(mark.fields)} fields: expected at most {MAX_FIELDS}.")
    for name, value in mark.fields.items():
        _check_text(f"name of a field of mark {mark.kind!r}", name, MAX_NAME_LETTERS)
        if type(value) is str:
            _check_text(f"field {ascii(name)[:140]} of mark {mark.kind!r}", value, MAX_FIELD_LETTERS, least=0)
        elif type(value) not in (int, float, bool, type(None)):
            raise RecordError(
                f"field {ascii(name)[:140]} of mark {mark.kind!r} is a {type(value).__name__}: "
                "expected a text, a number, a flag or None."
            )
    _check_dropped(mark.dropped)


def _check_number_of_step(step: object) -> None:
    if type(step) is not int or not 0 <= step <= MAX_STEP:
        raise RecordError(f"step is {step!r:.50}: expected an integer from 0 to {MAX_STEP}.")


def _check_metrics(record: StepRecord) -> None:
    if len(record.metrics) > MAX_METRICS:
        raise RecordError(
            f"step {record.step} has {len(record.metrics)} metrics: expected at most {MAX_METRICS}."
        )
    for name, value in record.metrics.items():
        if type(value) is not float:
            raise RecordError(
                f"step {record.step}: {ascii(name)[:140]} is a {type(value).__name__}: expected a float."
            )
        if not is_metric_name(name):
            raise RecordError(
                f"step {record.step}: metric name {ascii(name)[:140]}: expected 1 to 128 letters, digits, "
                "'_', '.', '/', '@' or '-', beginning with a letter, a digit or '_'."
            )


def _check_array(name: str, array: Array | None, most: tuple[int, ...]) -> None:
    if array is None:
        return
    shape = array.numpy().shape
    if len(shape) != len(most) or any(n > limit for n, limit in zip(shape, most, strict=True)):
        raise RecordError(f"{name} has shape {shape}: expected at most {most}.")


def _check_column(name: str, array: Array, dtype: str, length: int, of: str) -> None:
    """Check an array that has one number for each of something that the record has."""
    shape = array.numpy().shape
    if array.dtype != dtype or shape != (length,):
        raise RecordError(
            f"{name} has dtype {array.dtype} and shape {shape}: expected {dtype} and ({length},), one for each {of}."
        )


def _check_sample_ids(ids: Array | None, rows: int) -> None:
    if ids is not None:
        _check_column("sample_ids", ids, "<i8", rows, "row of sequences")


def _check_groups(groups: tuple[str, ...]) -> None:
    if len(groups) > MAX_GROUPS:
        raise RecordError(f"groups has {len(groups)} names: expected at most {MAX_GROUPS}.")
    for name in groups:
        _check_text("name of a group", name, MAX_NAME_LETTERS)


def _check_tokens(tokens: tuple[SequenceTokens, ...], rows: int) -> None:
    count = sum(len(one.texts) for one in tokens)
    if count > MAX_TOKENS:
        raise RecordError(f"tokens has {count} texts: expected at most {MAX_TOKENS}; send fewer sequences.")
    seen: set[int] = set()
    for one in tokens:
        if type(one.row) is not int or not 0 <= one.row < rows:
            raise RecordError(
                f"tokens has row {one.row!r:.50}: expected the place of one of the {rows} sequences of the record."
            )
        if one.row in seen:
            raise RecordError(f"tokens has row {one.row} twice: expected each sequence once.")
        seen.add(one.row)
        for text in one.texts:
            _check_text("a token", text, MAX_TOKEN_LETTERS, least=0)
        _check_column(f"log_ratios of row {one.row}", one.log_ratios, "<f4", len(one.texts), "token")


def _check_text(what: str, text: object, most: int, least: int = 1) -> None:
    if not isinstance(text, str):
        raise RecordError(f"{what} is a {type(text).__name__}: expected a text.")
    if not least <= len(text) <= most:
        raise RecordError(f"{what} has {len(text)} letters: expected {least} to {most}.")


def _check_dropped(dropped: Mapping[str, int]) -> None:
    for reason, count in dropped.items():
        if not is_metric_name(reason) or not 0 <= count <= MAX_STEP or len(dropped) > MAX_METRICS:
            raise RecordError(
                f"dropped has {ascii(reason)[:140]}: {count}: expected a reason and a count of 0 or more."
            )
