"""Files that real writers wrote come in as what they were; fixtures/README.md says how they were made."""

import math
from pathlib import Path

import pytest

from rolloutwatch_contract.protocol import RunDetail, RunState
from rolloutwatch_server.exports.export import Format, Wish, export
from rolloutwatch_server.imports.refusal import CannotImport
from rolloutwatch_server.imports.sources import find
from rolloutwatch_server.store import MEMORY, Store
from tests.server.imports.importing import FIXTURES, TENSORBOARD, TENSORBOARDX, WANDB, take_in, written
from tests.server.records import DELICATE, RUN, STREAM, batch, start, step, values


def run_of(store: Store, run: str) -> RunDetail:
    detail = store.run(run)
    assert detail is not None
    return detail


def test_wandbs_history_comes_with_configuration_and_end(store: Store) -> None:
    """Nested figures have names joined by '/'; passwords stay where they were."""
    summary = take_in(store, WANDB)
    detail = run_of(store, "rlhf~ppo-7b")
    assert summary.run == "rlhf~ppo-7b"
    assert detail.summary.state is RunState.FINISHED
    assert set(detail.metrics) == {"mismatch_kl", "loss", "most", "nested/a", "nested/b/c"}
    assert detail.config == {
        "lr": 1e-6, "algo.clip": 0.2, "algo.name": "ppo", "redis": "redis://me:***@host:1/0", "api_key": "***",
    }  # fmt: skip
    assert detail.environment["host"] == "trainer-0"
    kl, loss, most = (values(store, name, summary.run) for name in ("mismatch_kl", "loss", "most"))
    assert kl == {10 * n: 0.01 * n for n in range(8)}
    assert math.isnan(loss[20])
    assert math.copysign(1, loss[0]) == -1
    assert set(most.values()) == {math.inf}
    assert summary.skipped == {"values that are no numbers (histograms, tables, texts)": 32}


def test_event_files_of_a_folder_are_one_run_of_several_processes(store: Store) -> None:
    """The second process went on from step 5: what the first one did from there on is kept, and not shown."""
    summary = take_in(store, TENSORBOARD)
    detail = run_of(store, summary.run)
    assert detail.summary.id == "imported~tensorboard"
    assert [one.id for one in detail.sessions] == ["import1", "import2"]
    kl = values(store, "mismatch_kl", summary.run)
    assert {n: value for n, value in kl.items() if n != 2} == {0: 0, 1: 1, 3: 3, 4: 4, 5: 105, 6: 106, 7: 107}
    assert math.isnan(kl[2])
    assert values(store, "reward", summary.run) == {n: 0.5 * n for n in range(8)}
    assert [one.metrics["mismatch_kl"] for one in store.attempts(summary.run, 5)] == [5.0, 105.0]
    times = store.times(summary.run)
    assert times.value.tolist() == [1.76e9 + n for n in range(5)] + [1.76e9 + 1000 + n for n in (5, 6, 7)]


def test_simple_values_are_read_as_the_floats_they_are(store: Store) -> None:
    """In float32, as the file has them."""
    summary = take_in(store, TENSORBOARDX)
    assert values(store, "mismatch_kl", summary.run)[1] == 0.10000000149011612
    assert summary.skipped == {"values that are no scalars (histograms, pictures, texts)": 8}


@pytest.mark.parametrize(
    "line",
    [
        '{"step": 3, "data": {"a": 1.5, "b": {"c": NaN}}}',
        '{"step": 3, "time": 7, "a": 1.5, "b": {"c": "NaN"}, "note": "x", "ok": true, "none": null}',
        '{"_step": 3, "_timestamp": 7.0, "a": 1.5, "b/c": NaN}',
        '{"global_step/max_steps": "3/10", "a": 1.5, "b/c": NaN}',
        '{"train/global_step": 3.0, "a": 1.5, "b/c": NaN}',
    ],
)
def test_lines_of_json_may_be_flat_or_have_their_data_apart(store: Store, tmp_path: Path, line: str) -> None:
    summary = take_in(store, written(tmp_path, "metrics.jsonl", line + "\n"))
    assert values(store, "a", summary.run) == {3: 1.5}
    assert math.isnan(values(store, "b/c", summary.run)[3])
    assert run_of(store, summary.run).metrics == ("a", "b/c")


def test_rows_without_a_step_are_left_out_and_told_of(store: Store, tmp_path: Path) -> None:
    text = '{"config": 1}\n{"step": 1, "a": 1}\n{"step": 1, "b": 2}\n'
    summary = take_in(store, written(tmp_path, "metrics.jsonl", text))
    assert summary.skipped == {"lines without a step": 1}
    assert store.attempts(summary.run, 1)[0].metrics == {"a": 1.0, "b": 2.0}


def test_a_file_that_goes_back_is_a_run_that_was_resumed(store: Store, tmp_path: Path) -> None:
    """Both attempts are kept, the later one is shown, and a mark tells where."""
    steps = [0, 1, 2, 3, 1, 2]
    text = "".join(f'{{"step": {n}, "time": {at}, "a": {at}}}\n' for at, n in enumerate(steps))
    summary = take_in(store, written(tmp_path, "x.jsonl", text))
    assert values(store, "a", summary.run) == {0: 0.0, 1: 4.0, 2: 5.0}
    assert [(mark.kind, mark.step) for mark in store.marks(summary.run)] == [("rollback", 1)]
    assert run_of(store, summary.run).summary.last_step == 2


@pytest.mark.parametrize("form", [Format.CSV, Format.JSONL])
def test_what_was_exported_as_text_comes_in_to_the_last_bit(tmp_path: Path, form: Format) -> None:
    """NaN, infinities, -0.0, the smallest and the largest, what is missing, and a time that is not known."""
    store, other = Store(MEMORY), Store(MEMORY)
    records = [step(n, kl=value, **({"ess": 0.5} if n % 2 else {})) for n, value in enumerate(DELICATE)]
    store.archive(STREAM, batch(start(), *records))
    text = b"".join(export(store, run_of(store, RUN), Wish(form)))
    summary = take_in(other, written(tmp_path, f"x.{form.value}", text))
    for name in ("kl", "ess"):
        there, here = store.series(RUN, [name])[name], other.series(summary.run, [name])[name]
        assert (here.step.tobytes(), here.value.tobytes()) == (there.step.tobytes(), there.value.tobytes())
    assert other.times(summary.run).value.tobytes() == store.times(RUN).value.tobytes()


def test_a_table_is_read_with_its_quotes_and_holes(store: Store, tmp_path: Path) -> None:
    text = '\ufeffStep,"a, b","c\nd"\r\n1,2,\r\n2,,-Infinity\r\n'
    summary = take_in(store, written(tmp_path, "x.csv", text))
    assert summary.names.changed == {"a, b": "a__b", "c\nd": "c_d"}
    assert values(store, "a__b", summary.run) == {1: 2.0}
    assert values(store, "c_d", summary.run) == {2: -math.inf}
    assert all(math.isnan(time) for time in store.times(summary.run).value)


def test_every_run_below_a_folder_is_found() -> None:
    found = [(source.format, source.name) for source in find(FIXTURES)]
    assert found == [("wandb", "golden"), ("tensorboard", "tensorboard"), ("tensorboard", "tensorboardx")]


def test_a_folder_without_a_run_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(CannotImport, match=r"expected event files of TensorBoard.*came none"):
        find(tmp_path)


def test_what_is_no_format_of_ours_says_what_is(tmp_path: Path) -> None:
    with pytest.raises(CannotImport, match="Name its format with --format"):
        find(written(tmp_path, "x.bin", b"\x00\x01"))
