"""Every file is read as if a stranger had made it to do harm: it is read, or refused in words, and nothing else happens."""

import json
import os
import random
import re
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

from rolloutwatch_contract import Array
from rolloutwatch_contract.record import MAX_RECORD_BYTES
from rolloutwatch_server.exports.archive_file import (
    BLOCK_HEAD,
    FILE_HEAD,
    HEAD,
    MAGIC,
    RECORD_HEAD,
    RECORDS,
    Head,
)
from rolloutwatch_server.exports.export import Format, Wish, export
from rolloutwatch_server.imports.files import MOST_BYTES_OF_A_LINE
from rolloutwatch_server.imports.leveldb import _CRCS, _HEAD
from rolloutwatch_server.imports.leveldb import MAGIC as WANDB_MAGIC
from rolloutwatch_server.imports.refusal import CannotImport
from rolloutwatch_server.imports.restoring import restore
from rolloutwatch_server.imports.sources import find
from rolloutwatch_server.imports.tfrecord import masked_crc
from rolloutwatch_server.store import MEMORY, Store
from tests.server.exports.test_archive_file import rows
from tests.server.imports.importing import TENSORBOARDX, WANDB, take_in, written
from tests.server.records import RUN, STREAM, batch, start, step

SEED = 20261124
MEGABYTE = 1024 * 1024


def archive_file() -> bytes:
    import numpy as np

    store = Store(MEMORY)
    tables = msgspec.structs.replace(step(2, kl=1.0), sequences=Array.of(np.zeros((4, 3), dtype=np.float32)))
    store.archive(STREAM, batch(start(), *(step(n, kl=float(n), ess=0.5) for n in range(20)), tables))
    detail = store.run(RUN)
    assert detail is not None
    return b"".join(export(store, detail, Wish(Format.RWZ)))


def sample(form: str) -> bytes:
    """A small sound file of a format."""
    match form:
        case "tensorboard":
            return next(TENSORBOARDX.iterdir()).read_bytes()
        case "wandb":
            return WANDB.read_bytes()[:5000]
        case "jsonl":
            return b"".join(b'{"step": %d, "data": {"a": NaN, "b": {"c": [1, 2]}}}\n' % n for n in range(9))
        case "csv":
            return b'step,time,"a b",c\n' + b"".join(b'%d,%d.5,-0.0,"1e9"\n' % (n, n) for n in range(9))
        case _:
            return archive_file()


FORMATS = ("tensorboard", "wandb", "jsonl", "csv", "rwz")


def read(store: Store, path: Path, form: str) -> None:
    """Read a file; it may be refused."""
    try:
        if form == "rwz":
            restore(store, path)
        else:
            take_in(store, path, form)
    except CannotImport as refused:
        text = str(refused)
        assert text.isascii()
        assert len(text) < 1000
        assert path.name in text or path.stem in text


def mutations(data: bytes, seed: int) -> Iterator[bytes]:
    """The file cut at places all over it, with bytes flipped, and with stretches put in or taken out."""
    dice = random.Random(seed)
    yield from (data[:end] for end in range(0, len(data), max(1, len(data) // 150)))
    for _ in range(150):
        changed = bytearray(data)
        for _ in range(dice.choice((1, 1, 3))):
            changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
        yield bytes(changed)
    for _ in range(50):
        at, length = dice.randrange(len(data)), dice.randrange(40)
        yield data[:at] + dice.randbytes(length) + data[at + dice.choice((0, length)) :]


@pytest.mark.parametrize("form", FORMATS)
def test_a_damaged_file_is_read_or_refused(tmp_path: Path, form: str) -> None:
    """Cut at any place, bits flipped, bytes put in: no other error, and nothing of a refused one in the archive."""
    data = sample(form)
    for number, changed in enumerate(mutations(data, SEED)):
        store = Store(MEMORY)
        read(store, written(tmp_path, f"events.tfevents.{number}", changed), form)
        assert rows(store) == {one.id for one in store.runs()}
        store.close()


@pytest.mark.parametrize("form", ["tensorboard", "wandb"])
def test_frames_with_sound_checksums_and_anything_in_them_are_read_or_refused(
    tmp_path: Path, form: str
) -> None:
    """Noise, and sound messages with bytes changed, as somebody makes them who knows checksums too."""
    dice = random.Random(SEED)
    frame, messages = FRAMES[form], list(MESSAGES[form]())
    for number in range(400):
        message = bytearray(dice.choice(messages))
        for _ in range(dice.randrange(6)):
            message[dice.randrange(len(message))] = dice.randrange(256)
        body = bytes(message) if number % 4 else dice.randbytes(dice.randrange(200))
        data = b"".join([BEGINNINGS[form], frame(messages[0]), frame(body), frame(messages[-1])])
        read(Store(MEMORY), written(tmp_path, f"events.tfevents.{number}", data), form)


def tf_frame(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data))


def wandb_frame(data: bytes) -> bytes:
    return _HEAD.pack(zlib.crc32(data, _CRCS[1]), len(data), 1) + data


def tf_messages() -> Iterator[bytes]:
    data, at = sample("tensorboard"), 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        yield data[at + 12 : at + 12 + length]
        at += 16 + length


def wandb_messages() -> Iterator[bytes]:
    data, at = WANDB.read_bytes(), 7
    while at < len(data):
        _, length, _ = _HEAD.unpack_from(data, at)
        yield data[at + 7 : at + 7 + length]
        at += 7 + length


FRAMES: dict[str, Callable[[bytes], bytes]] = {"tensorboard": tf_frame, "wandb": wandb_frame}
MESSAGES = {"tensorboard": tf_messages, "wandb": wandb_messages}
BEGINNINGS = {"tensorboard": b"", "wandb": WANDB_MAGIC + b"\0"}


def block(kind: bytes, content: bytes) -> bytes:
    packed = zstandard.compress(content)
    return BLOCK_HEAD.pack(kind, len(packed), zlib.crc32(packed, zlib.crc32(kind))) + packed


def head(**fields: Any) -> bytes:
    said = {"run": RUN, "records_schema": 1, "written_by": "0"} | fields
    return FILE_HEAD.pack(MAGIC, 1, 0) + block(HEAD, msgspec.msgpack.encode(Head(**said)))


def record(body: bytes) -> bytes:
    return block(RECORDS, RECORD_HEAD.pack(1, len(body)) + body)


def packed_step(**fields: Any) -> bytes:
    return record(msgspec.msgpack.encode({"type": "step", "step": 1, "time": 1.0, "metrics": {}} | fields))


BOMB = zstandard.ZstdCompressor(level=19).compress(bytes(300 * MEGABYTE))

REFUSED = {
    "a line without an end": ("jsonl", b'{"step": 1, "a": "' + b"x" * (3 * MOST_BYTES_OF_A_LINE), r"line 1: expected at most"),
    "lists in lists": ("jsonl", b'{"step": 1, "a": ' + b"[" * 200_000, r"line 1: expected a JSON object"),
    "objects in objects": ("jsonl", b'{"a":' * 100_000, r"line 1: expected a JSON object"),
    "a number of a million digits": ("jsonl", b'{"step": ' + b"9" * 1_000_000 + b"}\n", r"line 1: expected"),
    "a step that is text": ("jsonl", b'{"step": "1; DROP TABLE runs"}\n', r"line 1: expected step from 0 to 2\^53 - 1; came"),
    "a step below zero": ("jsonl", b'{"step": -1, "a": 1}\n', r"line 1: expected step from 0"),
    "a step that is a flag": ("jsonl", b'{"step": true, "a": 1}\n', r"line 1: expected step from 0"),
    "a list": ("jsonl", b"[1, 2]\n", r"line 1: expected a JSON object; came JSON of type list"),
    "no step at all": ("jsonl", b'{"a": 1}\n', r"every line: expected one of step"),
    "more metrics than a run has": (
        "jsonl", json.dumps({"step": 1} | {f"m{n}": 1 for n in range(5000)}).encode(), r"at most 4096 metrics",
    ),
    "a quote without an end": ("csv", b'step,a\n1,"' + b"x\n" * MEGABYTE, r"line \d+: expected"),
    "rows without an end": ("csv", b'step,a\n1,"' + b'\n","' * MEGABYTE, r"line \d+: expected at most"),
    "a row too long": ("csv", b"step,a\n1,2,3\n", r"line 2: expected 2 cells; came 3"),
    "columns without an end": ("csv", b"step" + b",a" * 100_000 + b"\n", r"line 1: expected at most 4096 columns"),
    "a name twice": ("csv", b"step,a,a\n", r"line 1: expected each name once"),
    "no column of steps": ("csv", b"a,b\n", r"line 1: expected a column step"),
    "a step that is none": ("csv", b"step,a\nnan,1\n", r"line 2: expected a step from 0"),
    "an event file of another version": (
        "tensorboard", tf_frame(b"\x1a\x0dbrain.Event:9"), r"first event: expected version 'brain.Event:2'; came version",
    ),
    "an event that is none": ("tensorboard", tf_frame(b"\x09\x01"), r"event at byte 0: expected an event"),
    "a file of wandb of another version": ("wandb", WANDB_MAGIC + b"\x07", r"byte 6: expected version 0"),
    "nothing": ("csv", b"", r"line 1: expected a column"),
    "an archive file of a newer version": (
        "rwz", FILE_HEAD.pack(MAGIC, 2, 0), r"version 1 of the archive file at the most; came version 2.*Install that version",
    ),
    "records of a newer schema": ("rwz", head(records_schema=2), r"schema 1 at the most.*newer Rolloutwatch"),
    "a run that leads elsewhere": ("rwz", head(run="../../etc~passwd"), r"the id of a run"),
    "a block that is a bomb": (
        "rwz", head() + BLOCK_HEAD.pack(RECORDS, len(BOMB), zlib.crc32(BOMB, zlib.crc32(RECORDS))) + BOMB, r"declares at most",
    ),
    "a block of four gigabytes": ("rwz", head() + BLOCK_HEAD.pack(RECORDS, 2**32 - 1, 0), r"a block of at most"),
    "a record of more than a block": (
        "rwz", head() + block(RECORDS, RECORD_HEAD.pack(1, MAX_RECORD_BYTES)), r"expected a record",
    ),
    "maps in maps": ("rwz", head() + record(b"\x81\xa1a" * 100_000), r"a step or a mark"),
    "a name that is markup": ("rwz", head() + packed_step(metrics={"<b>": 1.0}), r"a step or a mark.*metric name"),
    "a step beyond all": ("rwz", head() + packed_step(step=2**60), r"a step or a mark.*step is"),
    "a record of another kind": (
        "rwz",
        head() + record(msgspec.msgpack.encode({"type": "start", "project": "a", "run": "b", "time": 0.0})),
        r"a step or a mark",
    ),
    "an end before its time": ("rwz", head(), r"expected a block; came the end of the file"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_writer_writes_is_refused_in_words(tmp_path: Path, what: str) -> None:
    """Naming the file, the place, what was expected and what came; within a few megabytes, and nothing is left behind."""
    form, data, expected = REFUSED[what]
    path, store = written(tmp_path, "events.tfevents.1", data), Store(MEMORY)
    tracemalloc.start()
    try:
        with pytest.raises(CannotImport, match=expected) as refused:
            restore(store, path) if form == "rwz" else take_in(store, path, form)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "events.tfevents" in str(refused.value)
    assert len(str(refused.value)) < 1000
    assert peak < 64 * MEGABYTE
    assert rows(store) == set()


@pytest.mark.parametrize(
    ("form", "value"),
    [("tensorboard", struct.pack("<f", 0.3)), ("wandb", b"0.03")],
    ids=("tensorboard", "wandb"),
)
def test_a_figure_that_was_changed_on_its_way_is_not_believed(
    store: Store, tmp_path: Path, form: str, value: bytes
) -> None:
    """The checksum behind it says so."""
    data = WANDB.read_bytes() if form == "wandb" else sample(form)
    assert value in data
    changed = data.replace(value, bytes([value[0] ^ 1]) + value[1:], 1)
    with pytest.raises(CannotImport, match="another checksum: the file is damaged"):
        take_in(store, written(tmp_path, "events.tfevents.1", changed), form)


@pytest.mark.parametrize(("form", "pattern"), [("tensorboard", r"tfevents.*is cut"), ("wandb", r"is cut")])
def test_a_tail_that_was_never_written_to_its_end_is_a_warning(
    store: Store, tmp_path: Path, form: str, pattern: str
) -> None:
    """As a trainer leaves it that was killed; what stands before the tail comes in."""
    data = sample(form)
    summary = take_in(store, written(tmp_path, "events.tfevents.1", data[: len(data) * 3 // 4]), form)
    assert any(re.search(pattern, text) for text in summary.warnings)
    assert summary.records > 0


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_table_that_is_cut_within_a_quotation_says_so(store: Store, tmp_path: Path, end: str) -> None:
    """What was never closed may be half a figure: it is left out."""
    table = 'step,a\n1,"2.5"\n2,"3' + end
    summary = take_in(store, written(tmp_path, "x.csv", table), "csv")
    assert any("x.csv' is cut" in text for text in summary.warnings)
    assert (
        summary.records
        == take_in(Store(MEMORY), written(tmp_path, "y.csv", 'step,a\n1,"2.5"\n'), "csv").records
    )


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    """A link, a device, a pipe that nobody writes to."""
    sound = written(tmp_path, "x.jsonl", b'{"step": 1, "a": 1}\n')
    link, pipe = tmp_path / "link.jsonl", tmp_path / "pipe.jsonl"
    link.symlink_to(sound)
    os.mkfifo(pipe)
    for path, came in (
        (link, "a symbolic link"),
        (pipe, "a pipe"),
        (Path("/dev/zero"), "a device"),
        (tmp_path / "no", "No such file"),
    ):
        with pytest.raises(CannotImport, match=came):
            find(path)


def test_links_in_folders_are_not_followed(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    outside.mkdir()
    folder.mkdir()
    written(outside, "metrics.jsonl", b'{"step": 1, "a": 1}\n')
    (folder / "inside").symlink_to(outside)
    (folder / "metrics.jsonl").symlink_to(outside / "metrics.jsonl")
    (folder / "events.out.tfevents.1").symlink_to("/dev/zero")
    with pytest.raises(CannotImport, match="came none"):
        find(folder)


def test_hostile_names_come_in_as_data(store: Store, tmp_path: Path) -> None:
    """Markup, a formula, a path, letters that turn the line round, NUL: each is a name of plain letters in the archive."""
    names = [
        "<img src=x onerror=alert(1)>",
        "=cmd|'/C calc'!A0",
        "../../etc/passwd",
        "\u202egnp",
        "a\0b",
        "x" * 5000,
    ]
    line = json.dumps({"step": 1, "data": dict.fromkeys(names, 1.0)})
    summary = take_in(store, written(tmp_path, "=evil<b>.jsonl", line))
    assert summary.run == "imported~run-evil-b-"
    detail = store.run(summary.run)
    assert detail is not None
    assert len(detail.metrics) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_./@-]*", name) for name in detail.metrics)
