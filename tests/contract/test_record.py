"""A record survives the journey bit for bit, and nothing a stranger sends does harm."""

import math
import struct
from typing import Any

import msgspec
import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from rolloutwatch_contract import (
    Array,
    Heartbeat,
    Mark,
    Outcome,
    RecordError,
    RunEnd,
    RunStart,
    SequenceTokens,
    StepRecord,
    decode,
    encode,
)
from rolloutwatch_contract.record import (
    HEADER,
    MAX_COLUMNS,
    MAX_FIELD_LETTERS,
    MAX_FIELDS,
    MAX_GROUPS,
    MAX_METRICS,
    MAX_NAME_LETTERS,
    MAX_RECORD_BYTES,
    MAX_SEQUENCES,
    MAX_STEP,
    MAX_TOKEN_LETTERS,
    MAX_TOKENS,
)

METRIC_NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_./@-]{0,20}", fullmatch=True).filter(str.isascii)
DOUBLES = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
# whatever stands in text: line ends, NUL, letters that run from right to left; half a letter is not text
TEXTS = st.text(st.characters(codec="utf-8"))
HOSTILE = (
    "\0",
    "<script>alert(1)</script>",
    "\u202egnp.exe",
    "\u05d0\u200f",
    "\U0001f642",
    "\r\n\x1b[31m",
    "",
)


def framed(message: Any) -> bytes:
    """A frame as a stranger with our header would write it."""
    return HEADER + zstandard.compress(msgspec.msgpack.encode(message))


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


@given(step=st.integers(0, MAX_STEP), metrics=st.dictionaries(METRIC_NAMES, DOUBLES, max_size=20))
def test_every_double_survives_bit_for_bit(step: int, metrics: dict[str, float]) -> None:
    """NaN, infinities, -0.0 and denormals are values like any other."""
    record = decode(encode(StepRecord(step=step, time=12.5, metrics=metrics)))
    assert isinstance(record, StepRecord)
    assert record.step == step
    assert {k: bits(v) for k, v in record.metrics.items()} == {k: bits(v) for k, v in metrics.items()}


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", ">f8"])
def test_arrays_come_back_with_shape_and_values(dtype: str) -> None:
    """An array of any byte order arrives with its shape and numbers, and cannot be written to."""
    table = np.arange(12).reshape(3, 4).astype(dtype)[:, ::2]
    record = decode(encode(StepRecord(step=0, time=0.0, metrics={}, sequences=Array.of(table))))
    assert isinstance(record, StepRecord)
    assert record.sequences is not None
    arrived = record.sequences.numpy()
    np.testing.assert_array_equal(arrived, table)
    assert not arrived.flags.writeable


@given(
    step=st.integers(0, MAX_STEP),
    kind=METRIC_NAMES,
    fields=st.dictionaries(
        TEXTS.filter(bool).map(lambda text: text[:MAX_NAME_LETTERS]),
        st.none()
        | st.booleans()
        | INTEGERS
        | st.floats(allow_nan=False)
        | TEXTS.map(lambda text: text[:MAX_FIELD_LETTERS]),
        max_size=MAX_FIELDS,
    ),
)
def test_a_mark_survives_with_its_fields(step: int, kind: str, fields: dict[str, Any]) -> None:
    """Each value as the type it had: a flag is no number, and 1.0 no integer."""
    mark = Mark(step=step, time=12.5, kind=kind, fields=fields, dropped={"queue_full": 3})
    record = decode(encode(mark))
    assert record == mark
    assert isinstance(record, Mark)
    assert [type(value) for value in record.fields.values()] == [type(value) for value in fields.values()]


@given(
    ids=st.lists(INTEGERS, min_size=1, max_size=8),
    groups=st.lists(TEXTS.filter(bool).map(lambda text: text[:MAX_NAME_LETTERS]), max_size=8),
    texts=st.lists(TEXTS.map(lambda text: text[:MAX_TOKEN_LETTERS]), max_size=20),
    data=st.data(),
)
def test_what_goes_along_with_a_step_survives(
    ids: list[int], groups: list[str], texts: list[str], data: st.DataObject
) -> None:
    """Numbers beyond 2^53, groups and tokens of whatever letters, log ratios that are not finite."""
    row = data.draw(st.integers(0, len(ids) - 1))
    ratios = data.draw(st.lists(st.floats(width=32), min_size=len(texts), max_size=len(texts)))
    record = StepRecord(
        step=1, time=0.0, metrics={},
        sequences=Array.of(np.zeros((len(ids), 2))),
        sample_ids=Array.of(np.array(ids, dtype=np.int64)),
        groups=tuple(groups),
        tokens=(SequenceTokens(row, tuple(texts), Array.of(np.array(ratios, dtype=np.float32))),),
    )  # fmt: skip
    arrived = decode(encode(record))
    assert arrived == record
    assert isinstance(arrived, StepRecord)
    assert arrived.sample_ids is not None
    assert arrived.sample_ids.numpy().tolist() == ids


def test_what_a_step_does_not_have_takes_no_bytes() -> None:
    """A trainer that sends no tables pays nothing for those it could send."""
    record = StepRecord(step=1, time=1.0, metrics={"kl": 0.5})
    assert framed({"type": "step", "step": 1, "time": 1.0, "metrics": {"kl": 0.5}}) == encode(record)


@pytest.mark.parametrize(
    "record",
    [
        RunStart(
            project="p",
            run="r",
            time=1.0,
            config={"a": None, "b": 1e-4, "c": "token"},
            environment={"host": "h"},
        ),
        Heartbeat(time=2.0, dropped={"queue_full": 3}),
        RunEnd(time=3.0, outcome=Outcome.CRASHED),
        Mark(step=3, time=3.0, kind="checkpoint", fields={"path": "/ckpt/3", "version": 7, "kept": True}),
        StepRecord(step=0, time=0.0, metrics={}),
    ],
)
def test_each_kind_of_record_is_itself_after_the_journey(record: Any) -> None:
    assert decode(encode(record)) == record


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (b"", "not written by Rolloutwatch"),
        (b"hello world", "not written by Rolloutwatch"),
        (b"RW\x02z...", "this side reads schema 1"),
        (HEADER, "cannot be decompressed"),
        (encode(Heartbeat(time=1.0))[:-1], "cannot be decompressed"),
        (HEADER + zstandard.compress(bytes(300_000_000)), f"at most {MAX_RECORD_BYTES}"),
        (HEADER + zstandard.ZstdCompressor(write_content_size=False).compress(b"\x80"), "declared size"),
        (HEADER + zstandard.compress(b"\x91" * 5000), "not what schema 1 says"),
        (HEADER + zstandard.compress(b'\x81\xa4type\xa4step'), "not what schema 1 says"),
        (framed({"type": "visitor", "time": 1.0}), "visitor"),
        (framed({"type": "step", "step": 1, "time": 1.0, "metrics": {"kl": "high"}}), "Expected `float`"),
        (framed({"type": "step", "step": -1, "time": 1.0, "metrics": {}}), "step is -1"),
        (framed({"type": "step", "step": 1, "time": math.nan, "metrics": {}}), "time is nan"),
        (framed({"type": "step", "step": 1, "time": 1.0, "metrics": {"<script>": 1.0}}), "metric name '<script>'"),
        (framed({"type": "step", "step": 1, "time": 1.0, "metrics": {f"m{i}": 0.0 for i in range(MAX_METRICS + 1)}}), "513"),
        (framed({"type": "start", "project": "../etc", "run": "r", "time": 1.0}), "project is '../etc'"),
        (framed({"type": "heartbeat", "time": 1.0, "dropped": {"x": -1}}), "count of 0 or more"),
    ],
)  # fmt: skip
def test_a_bad_frame_is_refused_with_a_reason(frame: bytes, message: str) -> None:
    """Every refusal is a RecordError that says what was expected and what came."""
    with pytest.raises(RecordError, match=message):
        decode(frame)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        ({"dtype": "<f4", "shape": [2, 2], "data": b"\0" * 15}, "cannot have 15 bytes"),
        ({"dtype": "<f4", "shape": [-1, -4], "data": b"\0" * 16}, "expected at most 2, of 0 to"),
        ({"dtype": "<f4", "shape": [2**64 - 1, 0], "data": b""}, "expected at most 2, of 0 to"),
        ({"dtype": "<f4", "shape": [1] * 100, "data": b"\0" * 4}, "100 dimensions: expected at most 2"),
        # the product of so many takes a computer minutes; refused before that it takes none
        ({"dtype": "<f4", "shape": [2**63] * 900_000, "data": b""}, "900000 dimensions: expected at most 2"),
        ({"dtype": "|O8", "shape": [1, 1], "data": b"\0" * 8}, "dtype"),
        ({"dtype": "<f4" * 10_000, "shape": [1, 1], "data": b"\0" * 8}, "dtype"),
        ({"dtype": "<f4", "shape": [4], "data": b"\0" * 16}, "expected at most \\(4096, 64\\)"),
        ({"dtype": "<f4", "shape": [MAX_SEQUENCES + 1, 0], "data": b""}, "expected at most \\(4096, 64\\)"),
        ({"dtype": "<f4", "shape": [1, MAX_COLUMNS + 1], "data": b"\0" * 260}, "expected at most \\(4096, 64\\)"),
    ],
)  # fmt: skip
def test_an_array_that_lies_about_itself_is_refused(array: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError, match=message) as refused:
        decode(framed({"type": "step", "step": 1, "time": 1.0, "metrics": {}, "sequences": array}))
    assert len(str(refused.value)) < 400


def marked(**changes: Any) -> dict[str, Any]:
    """A mark as a stranger may write it."""
    return {"type": "mark", "step": 1, "time": 1.0, "kind": "sync", "fields": {}} | changes


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        (marked(step=-1), "step is -1: expected an integer from 0 to"),
        (marked(step=1.5), "Expected `int`"),
        (marked(time=math.inf), "time is inf"),
        (marked(kind=""), "mark of kind '': expected a name such as 'weight_sync'"),
        (marked(kind="weight sync"), "mark of kind 'weight sync'"),
        (marked(kind="\u202esync"), r"mark of kind '\\u202esync'"),
        (marked(kind="x" * 10_000), "mark of kind 'xxxxx"),
        (marked(fields={f"f{i}": i for i in range(MAX_FIELDS + 1)}), "has 65 fields: expected at most 64"),
        (marked(fields={"": 1}), "name of a field of mark 'sync' has 0 letters: expected 1 to 128"),
        (marked(fields={"x" * (MAX_NAME_LETTERS + 1): 1}), "has 129 letters: expected 1 to 128"),
        (marked(fields={"\0": "x" * 10_000}), r"field '\\x00' of mark 'sync' has 10000 letters: expected 0 to 1000"),
        (marked(fields={"path": ["a"]}), "Expected `str | int | float | bool | null`"),
        (marked(dropped={"x": -1}), "count of 0 or more"),
    ],
)  # fmt: skip
def test_a_bad_mark_is_refused_with_a_reason(mark: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError, match=message) as refused:
        decode(framed(mark))
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    "fields", [{"x": np.float64(1)}, {"x": [1]}, {3: 1}, {"x": "y" * 1001}, {"x": 2**70}]
)
def test_a_sender_is_told_what_is_wrong_with_a_mark(fields: Any) -> None:
    """encode checks the types too, which a decoder gets from the wire."""
    with pytest.raises(RecordError, match=r"Mark|mark"):
        encode(Mark(step=1, time=1.0, kind="sync", fields=fields))


@pytest.mark.parametrize("text", [*HOSTILE, "x" * MAX_FIELD_LETTERS])
def test_text_of_a_mark_is_data(text: str) -> None:
    """Whatever its letters are; nothing is cut or replaced."""
    mark = Mark(step=1, time=1.0, kind="sync", fields={"version": text})
    assert decode(encode(mark)) == mark


SHORTS = Array.of(np.zeros(2, dtype=np.float32))
TABLE = Array.of(np.zeros((3, 2)))


@pytest.mark.parametrize(
    ("beside", "message"),
    [
        ({"sample_ids": Array.of(np.arange(2))}, r"sample_ids has dtype <i8 and shape \(2,\): expected <i8 and \(3,\)"),
        ({"sample_ids": Array.of(np.zeros((3, 1), dtype=np.int64))}, r"shape \(3, 1\): expected <i8 and \(3,\)"),
        ({"sample_ids": Array.of(np.zeros(3))}, r"dtype <f8 and shape \(3,\): expected <i8"),
        ({"sample_ids": Array.of(np.arange(3)), "sequences": None}, r"expected <i8 and \(0,\), one for each row"),
        ({"groups": ("",)}, "name of a group has 0 letters: expected 1 to 128"),
        ({"groups": ("x" * (MAX_NAME_LETTERS + 1),)}, "name of a group has 129 letters"),
        ({"groups": ("x",) * (MAX_GROUPS + 1)}, "groups has 4097 names: expected at most 4096"),
        ({"tokens": (SequenceTokens(3, ("a", "b"), SHORTS),)}, "row 3: expected the place of one of the 3 sequences"),
        ({"tokens": (SequenceTokens(-1, ("a", "b"), SHORTS),)}, "row -1: expected the place of one of the 3"),
        ({"tokens": (SequenceTokens(0, ("a", "b"), SHORTS),) * 2}, "row 0 twice: expected each sequence once"),
        ({"tokens": (SequenceTokens(0, ("a", "b"), SHORTS),), "sequences": None}, "one of the 0 sequences"),
        ({"tokens": (SequenceTokens(0, ("a",), SHORTS),)}, r"log_ratios of row 0 has dtype <f4 and shape \(2,\)"),
        ({"tokens": (SequenceTokens(0, ("a", "b"), Array.of(np.zeros(2))),)}, "has dtype <f8"),
        ({"tokens": (SequenceTokens(0, ("a", "x" * 10_000), SHORTS),)}, "a token has 10000 letters: expected 0 to 64"),
        ({"tokens": (SequenceTokens(0, ("a",) * (MAX_TOKENS + 1), SHORTS),)}, "16385 texts: expected at most 16384"),
    ],
)  # fmt: skip
def test_what_does_not_fit_its_step_is_refused(beside: dict[str, Any], message: str) -> None:
    """By the sender as well as by the receiver, to whom a stranger may write anything."""
    fields = {"step": 1, "time": 1.0, "metrics": {}, "sequences": TABLE} | beside
    with pytest.raises(RecordError, match=message):
        encode(StepRecord(**fields))
    with pytest.raises(RecordError, match=message) as refused:
        decode(framed({"type": "step", **fields}))
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("tokens", [(SequenceTokens(0, (3,), SHORTS),), (SequenceTokens([0], (), SHORTS),)])  # type: ignore[arg-type]
def test_tokens_are_text_and_rows_are_integers(tokens: Any) -> None:
    with pytest.raises(RecordError, match=r"a token is a int: expected a text|tokens has row \[0\]"):
        encode(StepRecord(step=1, time=1.0, metrics={}, sequences=TABLE, tokens=tokens))


def test_half_a_letter_is_no_text() -> None:
    """What a decoder of tokens may cut through cannot be written as UTF-8, and is refused where it is made."""
    tokens = (SequenceTokens(0, ("\ud800", "b"), SHORTS),)
    with pytest.raises(RecordError, match="StepRecord cannot be encoded"):
        encode(StepRecord(step=1, time=1.0, metrics={}, sequences=TABLE, tokens=tokens))


@pytest.mark.parametrize("text", [*HOSTILE, "x" * MAX_TOKEN_LETTERS])
def test_a_token_is_data(text: str) -> None:
    tokens = (SequenceTokens(2, (text, text), SHORTS),)
    record = StepRecord(step=1, time=1.0, metrics={}, sequences=TABLE, groups=(text or "x",), tokens=tokens)
    assert decode(encode(record)) == record


@given(st.binary(max_size=200))
def test_noise_raises_record_error_and_nothing_else(noise: bytes) -> None:
    """Whatever stands behind our header, decode answers with RecordError."""
    for frame in (noise, HEADER + noise, HEADER + zstandard.compress(noise)):
        with pytest.raises(RecordError):
            decode(frame)


@pytest.mark.parametrize("metrics", [{"kl": "high"}, {"kl": 1}, {"kl": np.float64(1)}, {"a b": 1.0}])
def test_a_sender_is_told_what_it_got_wrong(metrics: Any) -> None:
    """encode checks what decode checks, so that a bad record is found where it is made."""
    with pytest.raises(RecordError, match=r"kl|a b"):
        encode(StepRecord(step=1, time=1.0, metrics=metrics))


def test_only_three_kinds_of_numbers_travel() -> None:
    with pytest.raises(RecordError, match="int32"):
        Array.of(np.zeros(3, dtype=np.int32))
