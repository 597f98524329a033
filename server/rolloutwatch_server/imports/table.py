"""A table of comma-separated values: a header with a step and the names of metrics, then a line for each step."""

import csv
import math
from collections.abc import Iterator
from pathlib import Path

from rolloutwatch_server.imports.figures import LONGEST_NAME, whole_number
from rolloutwatch_server.imports.files import MOST_BYTES_OF_A_LINE, Input, Progress
from rolloutwatch_server.imports.jsonlines import STEPS, TIMES
from rolloutwatch_server.imports.past import About, Begin, Caution, Item, Row, Skipped
from rolloutwatch_server.imports.refusal import refusal, shown

MOST_COLUMNS = 4096
_STEPS = (*STEPS, "Step")


def read(path: Path, progress: Progress) -> Iterator[Item]:
    """Yield what a table tells; an empty cell is a figure that is not there."""
    with Input(path, progress) as file:
        yield About(environment={"imported_from": "comma-separated values"})
        yield Begin(path.name)
        lines = _Lines(file)
        rows = _rows(file, lines)
        header = next(rows, [])
        columns = _Columns.of(file, header)
        for cells in rows:
            if not cells:
                continue
            if len(cells) != len(header) or lines.are_over:
                if lines.is_cut or lines.are_over:
                    yield Caution(
                        f"{path.name!a} is cut: its last line, {lines.number}, was never written to its end."
                    )
                    return
                raise refusal(path, f"line {lines.number}", f"{len(header)} cells", f"{len(cells)}")
            yield from columns.row(file, lines.number, cells)


class _Lines:
    """The lines of a file as text, counted, with a bound on what one row may take in several lines."""

    def __init__(self, file: Input) -> None:
        self._file = file
        self._of_row = 0
        self.number = 0
        self.is_cut = False
        self.are_over = (
            False  # while there is a row still, it ends within a quotation: the reader asked for more
        )

    def begin_row(self) -> None:
        self._of_row = 0

    def __iter__(self) -> Iterator[str]:
        for number, line in self._file.lines():
            self.number = number
            self._of_row += len(line)
            self.is_cut = not line.endswith(b"\n")
            if self._of_row > MOST_BYTES_OF_A_LINE:
                raise refusal(
                    self._file.path,
                    f"line {number}",
                    f"at most {MOST_BYTES_OF_A_LINE} bytes in a row",
                    "more",
                )
            yield line.decode("utf-8-sig" if number == 1 else "utf-8", "replace")
        self.are_over = True


def _rows(file: Input, lines: _Lines) -> Iterator[list[str]]:
    reader = csv.reader(iter(lines))
    while True:
        lines.begin_row()
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise refusal(file.path, f"line {lines.number}", "comma-separated values", str(error)) from error
        if cells is None:
            return
        yield cells


class _Columns:
    """Which column has the step, which the time, and what the others are called."""

    def __init__(self, step: int, time: int | None, names: dict[int, str]) -> None:
        self._step = step
        self._time = time
        self._names = names

    @classmethod
    def of(cls, file: Input, header: list[str]) -> "_Columns":
        if len(header) > MOST_COLUMNS:
            raise refusal(file.path, "line 1", f"at most {MOST_COLUMNS} columns", str(len(header)))
        step = next((header.index(name) for name in _STEPS if name in header), None)
        if step is None:
            raise refusal(file.path, "line 1", f"a column {' or '.join(STEPS)}", shown(header[:12], 200))
        if len(set(header)) < len(header):
            twice = next(name for name in header if header.count(name) > 1)
            raise refusal(file.path, "line 1", "each name once", f"{shown(twice)} twice")
        time = next((header.index(name) for name in TIMES if name in header), None)
        names = {at: name[:LONGEST_NAME] for at, name in enumerate(header) if at not in (step, time)}
        return cls(step, time, names)

    def row(self, file: Input, number: int, cells: list[str]) -> Iterator[Item]:
        step = whole_number(_number(cells[self._step]))
        if step is None:
            raise refusal(file.path, f"line {number}", "a step from 0 to 2^53 - 1", shown(cells[self._step]))
        time = None if self._time is None else _number(cells[self._time])
        found: dict[str, float] = {}
        left_out = 0
        for at, name in self._names.items():
            if not cells[at]:
                continue
            value = _number(cells[at])
            if value is None:
                left_out += 1
            else:
                found[name] = float(value)
        if left_out:
            yield Skipped("cells that are no numbers", left_out)
        sound = time is not None and math.isfinite(time) and abs(time) < 1e12
        yield Row(
            step,
            float(time) if sound and time is not None else None,
            found,
            f"{file.path.name!a}, line {number}",
        )


def _number(text: str) -> float | int | None:
    """Return the number that a cell is; digits with '_' between them, which Python would read, are none."""
    if len(text) > 400 or "_" in text:
        return None
    try:
        return int(text) if text.strip().isdecimal() and len(text) < 17 else float(text)
    except ValueError:
        return None
