"""Lines of JSON: `{"step", "data"}` as verl's file logger and our own export write them, or flat ones with a step."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rolloutwatch_server.imports.figures import NotAnObject, figures, parse, whole_number
from rolloutwatch_server.imports.files import Input, Progress
from rolloutwatch_server.imports.past import About, Begin, Caution, Item, Row, Skipped
from rolloutwatch_server.imports.refusal import refusal, shown

STEPS = (
    "step", "_step", "global_step", "train/global_step", "trainer/global_step", "training/global_step", "iteration",
)  # fmt: skip
STEP_OF_MOST = "global_step/max_steps"  # "12/300", as ms-swift writes it
TIMES = ("time", "timestamp", "_timestamp", "wall_time")


def read(path: Path, progress: Progress) -> Iterator[Item]:
    """Yield what a file tells; lines without a step are left out, unless there are none with one."""
    with Input(path, progress) as file:
        yield About(environment={"imported_from": "JSON lines"})
        yield Begin(path.name)
        rows, keys = 0, ""
        for number, line in file.lines():
            if not line.strip():
                continue
            try:
                data = parse(line)
            except NotAnObject as error:
                if not line.endswith(b"\n") and rows:
                    yield Caution(
                        f"{path.name!a} is cut: its last line, {number}, was never written to its end."
                    )
                    return
                raise refusal(path, f"line {number}", "a JSON object", str(error)) from error
            found = _row(file, number, data)
            if found is None:
                keys = keys or shown(sorted(data)[:12], 200)
                yield Skipped("lines without a step")
                continue
            rows += 1
            yield from found
        if not rows:
            raise refusal(
                path, "every line", f"one of {', '.join(STEPS)}", f"keys {keys}" if keys else "no line"
            )


def _row(file: Input, number: int, data: dict[str, Any]) -> list[Item] | None:
    step, key = _step(file, number, data)
    if step is None:
        return None
    time = next((_time(data[name]) for name in TIMES if name in data), None)
    inner = data.get("data")
    rest = (
        inner if isinstance(inner, dict) else {k: v for k, v in data.items() if k != key and k not in TIMES}
    )
    found: dict[str, float] = {}
    left_out = 0
    for name, value in figures(rest):
        if value is None:
            left_out += 1
        else:
            found[name] = value
    row = Row(step, time, found, f"{file.path.name!a}, line {number}")
    skipped = [Skipped("values that are no numbers (texts, flags, lists)", left_out)] if left_out else []
    return [row, *skipped]


def _step(file: Input, number: int, data: dict[str, Any]) -> tuple[int | None, str]:
    for key in (*STEPS, STEP_OF_MOST):
        if key not in data:
            continue
        value = data[key]
        if key == STEP_OF_MOST and isinstance(value, str) and value.partition("/")[0].isdecimal():
            value = int(value.partition("/")[0][:20])
        step = whole_number(value)
        if step is None and value is not None:
            raise refusal(file.path, f"line {number}", f"{key} from 0 to 2^53 - 1", shown(value))
        return step, key
    return None, ""


def _time(value: object) -> float | None:
    sound = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12
    return float(value) if sound and math.isfinite(value) else None  # type: ignore[arg-type]
