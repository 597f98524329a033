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
    Outcome,
    RecordError,
    RunEnd,
    RunStart,
    StepRecord,
    decode,
    encode,
)
from rolloutwatch_contract.record import (
    HEADER,
    MAX_COLUMNS,
    MAX_METRICS,
    MAX_RECORD_BYTES,
    MAX_SEQUENCES,
    MAX_STEP,
)

METRIC_NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_./@-]{0,20}", fullmatch=True).filter(str.isascii)
DOUBLES = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True)


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
