"""wandb's offline files: the history of a run, its configuration, and how it ended."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rolloutwatch_contract import Outcome
from rolloutwatch_server.imports import protobuf
from rolloutwatch_server.imports.configuration import flattened
from rolloutwatch_server.imports.figures import LONGEST_NAME, NotAnObject, figures, parse, whole_number
from rolloutwatch_server.imports.files import Input, Progress
from rolloutwatch_server.imports.leveldb import records
from rolloutwatch_server.imports.past import About, Begin, Caution, End, Item, Row, Skipped
from rolloutwatch_server.imports.protobuf import BYTES, Malformed
from rolloutwatch_server.imports.refusal import refusal, shown

_HISTORY, _CONFIG, _RUN, _EXIT = 2, 5, 17, 18  # fields of a record
_OWN = "_"  # begins names of wandb's own: _step, _runtime, _timestamp


def read(path: Path, progress: Progress) -> Iterator[Item]:
    """Yield what a file tells. The summary, which is what was last in the history or belongs to no step, is left out."""
    with Input(path, progress) as file:
        yield About(environment={"imported_from": "wandb offline file"})
        yield Begin(path.name)
        last, ended = -1, False
        for record in records(file):
            if isinstance(record, Skipped | Caution):
                yield record
                continue
            at, data = record
            try:
                for number, kind, value in protobuf.fields(data):
                    if kind == BYTES and isinstance(value, memoryview):
                        for item in _items(file, at, number, value, last):
                            last = item.step if isinstance(item, Row) else last
                            ended = ended or isinstance(item, End)
                            yield item
            except Malformed as error:
                raise refusal(file.path, f"record at byte {at}", "a record of wandb", str(error)) from error
        if not ended:
            yield Caution(f"{path.name!a} does not tell how its run ended: it is taken for crashed.")
            yield End(Outcome.CRASHED)


def _items(file: Input, at: int, number: int, value: memoryview, last: int) -> Iterator[Item]:
    if number == _HISTORY:
        yield from _history(file, at, value, last)
    elif number == _CONFIG:
        yield About(config=flattened(_updates(value)))
    elif number == _RUN:
        yield _about(value)
    elif number == _EXIT:
        code = next((one for inner, _, one in protobuf.fields(value) if inner == 1), 0)
        yield End(Outcome.FINISHED if code == 0 else Outcome.CRASHED)


def _history(file: Input, at: int, message: memoryview, last: int) -> Iterator[Item]:
    step: object = None
    time = None
    found: dict[str, float] = {}
    left_out = 0
    for number, kind, value in protobuf.fields(message):
        if (number, kind) == (2, BYTES) and isinstance(value, memoryview):
            step = next(
                (protobuf.signed(one) for _, _, one in protobuf.fields(value) if isinstance(one, int)), 0
            )
        if (number, kind) != (1, BYTES) or not isinstance(value, memoryview):
            continue
        name, content = _item(value)
        if name == "_step":
            step = content
        elif name == "_timestamp":
            time = float(content) if isinstance(content, int | float) and abs(content) < 1e12 else None
        elif not name.startswith(_OWN):
            for key, figure in figures({name: content}):
                if figure is None:
                    left_out += 1
                else:
                    found[key] = figure
    if left_out:
        yield Skipped("values that are no numbers (histograms, tables, texts)", left_out)
    if step is None:
        step = last + 1
    whole = whole_number(step)
    if whole is None:
        raise refusal(file.path, f"record at byte {at}", "_step from 0 to 2^53 - 1", shown(step))
    sound = time is not None and math.isfinite(time)
    yield Row(whole, time if sound else None, found, f"{file.path.name!a}, record at byte {at}")


def _item(message: memoryview) -> tuple[str, Any]:
    """Return the name of an item, nested ones joined by '/', and its value; None where that is no JSON."""
    key, value = "", b""
    nested: list[str] = []
    for number, kind, content in protobuf.fields(message):
        if kind != BYTES or not isinstance(content, memoryview):
            continue
        if number == 1:
            key = protobuf.text(content[:LONGEST_NAME])
        elif number == 2 and len(nested) < 20:
            nested.append(protobuf.text(content[:LONGEST_NAME]))
        elif number == 16:
            value = bytes(content)
    try:
        parsed = parse(b'{"":' + value + b"}").get("")
    except NotAnObject:
        parsed = None
    return ("/".join(nested) if nested else key)[:LONGEST_NAME], parsed


def _updates(message: memoryview) -> dict[str, Any]:
    """Return the items of a configuration record."""
    updates = [
        _item(value)
        for number, kind, value in protobuf.fields(message)
        if (number, kind) == (1, BYTES) and isinstance(value, memoryview)
    ]
    return {name: value for name, value in updates if not name.startswith(_OWN)}


def _about(message: memoryview) -> About:
    texts: dict[int, str] = {}
    config: dict[str, Any] = {}
    for number, kind, value in protobuf.fields(message):
        if kind != BYTES or not isinstance(value, memoryview):
            continue
        if number in (1, 3, 8, 13):
            texts[number] = protobuf.text(value[:LONGEST_NAME])
        elif number == 4:
            config |= _updates(value)
    environment = {"wandb_run": texts.get(1, ""), "host": texts.get(13, "")}
    return About(
        texts.get(3) or None,
        texts.get(8) or texts.get(1) or None,
        flattened(config),
        {name: text for name, text in environment.items() if text},
    )
