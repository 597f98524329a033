"""TensorBoard event files: the scalars of one folder, of which each file is a process that wrote to the run."""

import math
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from rolloutwatch_server.imports import protobuf
from rolloutwatch_server.imports.files import Input, Progress
from rolloutwatch_server.imports.past import About, Begin, Caution, Item, Row, Skipped
from rolloutwatch_server.imports.protobuf import BYTES, FIXED32, FIXED64, VARINT, Malformed
from rolloutwatch_server.imports.refusal import CannotImport, refusal, shown
from rolloutwatch_server.imports.tfrecord import frames

VERSION = "brain.Event:2"
_FORMATS = {
    1: "<f",
    2: "<d",
    3: "<i",
    9: "<q",
    19: "<e",
}  # TensorFlow's numbers for types that a scalar may have
_VALUES = {5: (1, "<f"), 6: (2, "<d")}  # fields of a tensor that hold floats: type, format of each
_OF_ONE_FIGURE = (
    b"",
    b"scalars",
)  # plugins that keep scalars; others keep histograms, texts, parameters as tensors


def is_events(beginning: bytes) -> bool:
    """Tell whether a file begins as event files do."""
    return VERSION.encode() in beginning[:64]


def read(files: Sequence[Path], progress: Progress) -> Iterator[Item]:
    """Yield what the event files of one folder tell, the file that began first being the first."""
    yield About(environment={"imported_from": "TensorBoard event files"})
    for path in sorted(files, key=lambda path: (_began(path), path.name)):
        with Input(path, progress) as file:
            yield from _read_file(file)


def _began(path: Path) -> float:
    """Return the time of a file's first event."""
    with Input(path) as file:
        for frame in frames(file):
            if isinstance(frame, tuple):
                return _Event.of(file, *frame).time
            break
    return math.inf


class _Event:
    """One event: when it was, of which step, and what it holds."""

    def __init__(self, time: float, step: int, version: str | None, summaries: Sequence[memoryview]) -> None:
        self.time = time
        self.step = step
        self.version = version
        self.summaries = summaries

    @classmethod
    def of(cls, file: Input, at: int, data: bytes) -> "_Event":
        time, step, version, summaries = math.nan, 0, None, []
        try:
            for number, kind, value in protobuf.fields(data):
                if (number, kind) == (1, FIXED64) and isinstance(value, memoryview):
                    time = protobuf.double(value)
                elif (number, kind) == (2, VARINT) and isinstance(value, int):
                    step = protobuf.signed(value)
                elif (number, kind) == (3, BYTES) and isinstance(value, memoryview):
                    version = protobuf.text(value)
                elif (number, kind) == (5, BYTES) and isinstance(value, memoryview):
                    summaries.append(value)
        except Malformed as error:
            raise refusal(file.path, f"event at byte {at}", "an event of TensorBoard", str(error)) from error
        return cls(time, step, version, summaries)


def _read_file(file: Input) -> Iterator[Item]:
    first = True
    for frame in frames(file):
        if isinstance(frame, Skipped | Caution):
            yield frame
            continue
        at, data = frame
        event = _Event.of(file, at, data)
        if first:
            yield _beginning(file, event)
            first = False
        if event.summaries:
            yield from _scalars(file, at, event)
    if first:
        yield Caution(f"{file.path.name!a} holds no event.")


def _beginning(file: Input, event: _Event) -> Begin:
    if event.version != VERSION:
        came = "no version" if event.version is None else f"version {shown(event.version)}"
        raise refusal(file.path, "first event", f"version {VERSION!r}", came)
    return Begin(file.path.name, event.time if math.isfinite(event.time) else None)


def _scalars(file: Input, at: int, event: _Event) -> Iterator[Item]:
    figures: dict[str, float] = {}
    try:
        for summary in event.summaries:
            for number, kind, value in protobuf.fields(summary):
                if (number, kind) != (1, BYTES) or not isinstance(value, memoryview):
                    continue
                tag, figure = _value(value)
                if figure is None:
                    yield Skipped("values that are no scalars (histograms, pictures, texts)")
                else:
                    figures[tag] = figure
    except Malformed as error:
        raise refusal(file.path, f"event at byte {at}", "a summary of TensorBoard", str(error)) from error
    if figures:
        time = event.time if math.isfinite(event.time) else None
        yield Row(event.step, time, figures, f"{file.path.name!a}, event at byte {at}")


def _value(message: memoryview) -> tuple[str, float | None]:
    """Return the tag of a value and its figure, None if it has none."""
    tag, figure, plugin, tensor = "", None, b"", None
    for number, kind, value in protobuf.fields(message):
        if isinstance(value, int):
            continue
        if (number, kind) == (1, BYTES):
            tag = protobuf.text(value)
        elif (number, kind) == (2, FIXED32):
            figure = float(struct.unpack("<f", value)[0])
        elif (number, kind) == (8, BYTES):
            tensor = value
        elif (number, kind) == (9, BYTES):
            plugin = _plugin(value)
    if figure is None and tensor is not None and plugin in _OF_ONE_FIGURE:
        figure = _one(tensor)
    return tag, figure


def _plugin(metadata: memoryview) -> bytes:
    for number, kind, value in protobuf.fields(metadata):
        if (number, kind) == (1, BYTES) and isinstance(value, memoryview):
            for inner, wire, name in protobuf.fields(value):
                if (inner, wire) == (1, BYTES) and isinstance(name, memoryview):
                    return bytes(name[:64])
    return b""


def _one(tensor: memoryview) -> float | None:
    """Return the only number of a tensor, None if it has none or several."""
    dtype, content = 0, b""
    found: list[tuple[int, float]] = []
    for number, kind, value in protobuf.fields(tensor):
        if number == 1 and isinstance(value, int):
            dtype = value
        elif (number, kind) == (4, BYTES) and isinstance(value, memoryview):
            content = bytes(value[:9])
        elif number in _VALUES and isinstance(value, memoryview) and len(found) < 2:
            of_type, form = _VALUES[number]
            size = struct.calcsize(form)
            if len(value) % size:
                raise Malformed("values of a tensor that do not fill their bytes")
            found += [
                (of_type, struct.unpack(form, value[at : at + size])[0])
                for at in range(0, min(len(value), 2 * size), size)
            ]
    if not found and dtype in _FORMATS and len(content) == struct.calcsize(_FORMATS[dtype]):
        return float(struct.unpack(_FORMATS[dtype], content)[0])
    return float(found[0][1]) if len(found) == 1 and found[0][0] == dtype else None


def files_of(folder: Path) -> list[Path]:
    """Return the event files that stand in a folder itself."""
    found = [
        path
        for path in folder.iterdir()
        if "tfevents" in path.name and not path.is_symlink() and path.is_file()
    ]
    if len(found) > 1000:
        raise CannotImport(
            f"{shown(str(folder))}: expected at most 1000 event files in a folder; came {len(found)}."
        )
    return sorted(found)
