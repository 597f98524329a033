"""A run as CSV, JSON lines and Parquet, through the API and through the command."""

import csv
import io
import json
import math
import subprocess
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from rolloutwatch_server.commands.exporting import export as command
from rolloutwatch_server.exports.export import Format, Wish, export
from rolloutwatch_server.exports.text import as_csv, cell
from rolloutwatch_server.store import Portion, Store
from tests.processes import ROLLOUTWATCH
from tests.server.asking import Asking
from tests.server.records import DELICATE, RUN, STREAM, batch, start, step

LAST = len(DELICATE) - 1


@pytest.fixture
def filled(store: Store) -> Store:
    """A run with every delicate value, and a metric that only odd steps have."""
    figures = [step(n, kl=value, **({"ess": 0.5} if n % 2 else {})) for n, value in enumerate(DELICATE)]
    store.archive(STREAM, batch(start(lr="1e-6"), *figures))
    return store


def text(store: Store, form: Format, **wish: int) -> str:
    detail = store.run(RUN)
    assert detail is not None
    return b"".join(export(store, detail, Wish(form, **wish))).decode()


def test_csv_has_floats_to_the_last_bit_and_an_empty_cell_for_what_is_not_there(filled: Store) -> None:
    header, *lines = csv.reader(io.StringIO(text(filled, Format.CSV)))
    assert header == ["step", "time", "kl", "ess"]
    assert [line[0] for line in lines] == [str(n) for n in range(len(DELICATE))]
    assert [line[2] for line in lines] == [
        "NaN", "Infinity", "-Infinity", "-0.0", "5e-324", "1.7976931348623157e+308", "0.1",
    ]  # fmt: skip
    assert [line[3] for line in lines] == ["", "0.5"] * 3 + [""]


def test_lines_of_json_are_strict_json(filled: Store) -> None:
    """What is not finite is text, what is not there is left out."""
    lines = [json.loads(line, parse_constant=pytest.fail) for line in text(filled, Format.JSONL).splitlines()]
    assert lines[0] == {"step": 0, "time": 0.0, "data": {"kl": "NaN"}}
    assert lines[1] == {"step": 1, "time": 1.0, "data": {"kl": "Infinity", "ess": 0.5}}
    assert math.copysign(1, lines[3]["data"]["kl"]) == -1


def test_parquet_has_columns_of_numbers_with_nulls_and_tells_what_it_is(
    filled: Store, tmp_path: Path
) -> None:
    detail = filled.run(RUN)
    assert detail is not None
    path = tmp_path / "x.parquet"
    path.write_bytes(b"".join(export(filled, detail, Wish(Format.PARQUET))))
    table = pyarrow.parquet.read_table(path)
    assert [str(field.type) for field in table.schema] == ["int64", "double", "double", "double"]
    assert table["kl"].to_numpy().tobytes() == np.array(DELICATE).tobytes()
    assert table["ess"].to_pylist() == [None, 0.5] * 3 + [None]
    assert table.schema.metadata[b"rolloutwatch.run"] == RUN.encode()
    assert json.loads(table.schema.metadata[b"rolloutwatch.config"]) == {"lr": "1e-6"}


def test_without_pyarrow_parquet_says_how_to_get_it(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import of a module that stands as None fails as that of one that is not installed."""
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    answer = Asking.of(filled).ask(f"/api/v1/runs/{RUN}/export", format="parquet")
    assert answer.status_code == 501
    assert "pip install" in answer.json()["detail"]


@pytest.mark.parametrize("name", ["=cmd|'/C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_name_is_a_formula_in_a_spreadsheet(name: str) -> None:
    """No archive has such a name; an export does not rely on that."""
    nothing = np.array([], dtype=np.float64)
    portion = Portion(np.array([], dtype=np.int64), nothing, {name: nothing}, {name: nothing.astype(bool)})
    (header,) = csv.reader(io.StringIO(b"".join(as_csv([portion], [name])).decode(), newline=""))
    assert header[2] == cell(name) == f"'{name}"


def test_a_range_of_steps_and_some_metrics_can_be_asked_for(filled: Store) -> None:
    asking = Asking.of(filled)
    answer = asking.ask(f"/api/v1/runs/{RUN}/export", metric=["ess"], from_step=1, to_step=3)
    assert answer.text == "step,time,ess\n1,1.0,0.5\n3,3.0,0.5\n"
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="math~a.csv"'


@pytest.mark.parametrize(
    ("parameters", "status", "detail"),
    [
        ({"format": "xlsx"}, 422, "format is 'xlsx'"),
        ({"metric": "kll"}, 422, "has no metric 'kll'. Did you mean 'kl'?"),
        ({"from_step": 7}, 422, "no figure from step 7 to the last: its steps are 0 to 6"),
        ({"from_step": 3, "to_step": 2}, 422, "no figure from step 3 to 2"),
        ({"metric": "ess", "from_step": 6}, 422, "no figure from step 6"),
        ({"from_step": -1}, 422, "from_step"),
        ({"format": "rwz", "metric": "kl"}, 422, "an archive file holds a whole run"),
    ],
)
def test_what_cannot_be_exported_is_a_problem_with_a_cure(
    filled: Store, parameters: dict[str, str], status: int, detail: str
) -> None:
    answer = Asking.of(filled).ask(f"/api/v1/runs/{RUN}/export", **parameters)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert detail in answer.json()["detail"]


def test_a_run_that_is_not_there_is_not_found(store: Store) -> None:
    answer = Asking.of(store).ask("/api/v1/runs/math~b/export")
    assert answer.status_code == 404
    assert "there is no run 'math~b'" in answer.json()["detail"]


def test_a_run_without_a_step_has_nothing_to_export(store: Store) -> None:
    store.archive(STREAM, batch(start()))
    assert "no step yet" in Asking.of(store).ask(f"/api/v1/runs/{RUN}/export").json()["detail"]


def test_a_long_run_goes_out_in_pieces(store: Store) -> None:
    """Each of them as long as so many steps, however long the run is."""
    for first in range(0, 12_000, 1000):
        store.archive(STREAM, batch(*(step(first + n, kl=1.0) for n in range(1000)), first=first + 1))
    detail = store.run(RUN)
    assert detail is not None
    pieces = list(export(store, detail, Wish(Format.CSV)))
    assert len(pieces) > 2
    assert b"".join(pieces).count(b"\n") == 12_001


@pytest.fixture
def folder(tmp_path: Path, filled: Store) -> Path:
    """A data dir; `filled` is its archive."""
    return tmp_path


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.parquet", "x.rwz"])
def test_the_command_writes_what_the_api_sends(filled: Store, folder: Path, name: str) -> None:
    """The format is that of the file's name; a file that is there is left as it is."""
    there = str(folder / name)
    assert command(["a", "-o", there, "--data-dir", str(folder)]) == 0
    sent = Asking.of(filled).ask(f"/api/v1/runs/{RUN}/export", format=name[2:])
    assert Path(there).read_bytes() == sent.content
    assert command([RUN, "-o", there, "--data-dir", str(folder)]) == 2
    assert Path(there).read_bytes() == sent.content


def test_the_command_prints_on_stdout_and_nothing_else(folder: Path) -> None:
    done = subprocess.run(
        [ROLLOUTWATCH, "export", "a", "-o", "-", "--metric", "ess", "--data-dir", str(folder)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("step,time,ess\n1,1.0,0.5\n")
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["b"], "there is no run 'b'. There are math~a."),
        (["math~aa"], "there is no run 'math~aa'. Did you mean 'math~a'?"),
        (["a", "--metric", "kll"], "Did you mean 'kl'?"),
        (["a", "-o", "x.xlsx"], "expected a name that ends in .csv"),
        (["a", "--from-step", "9"], "its steps are 0 to 6"),
    ],
)
def test_what_the_command_cannot_do_it_says_with_a_cure(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert command([*arguments, "--data-dir", str(folder)]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_without_an_archive_stays_without_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["a", "--data-dir", str(tmp_path / "no")]) == 2
    assert "has no archive.db" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()
