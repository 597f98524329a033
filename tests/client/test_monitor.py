"""What a trainer's calls bring, seen by a sink in memory."""

import logging
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rolloutwatch import Correction, CorrectionConfig, MemorySink, Monitor
from rolloutwatch.arguments import MAX_GROUPS
from rolloutwatch_contract import METRICS, Outcome, RunEnd, RunStart
from rolloutwatch_contract.rejection_metrics import OPTIONS
from rolloutwatch_contract.tables import HISTOGRAM_BINS, SEQUENCE_COLUMNS
from rolloutwatch_correction import correct
from tests.client.batches import batch, monitor, steps

CONFIG = {"rollout_is": "token", "rollout_is_threshold": 2.0, "rollout_token_veto_threshold": 1e-4}


def test_a_run_has_a_beginning_its_steps_in_order_and_an_end() -> None:
    sink = MemorySink()
    with monitor(sink, config=CONFIG) as one:
        for step in range(3):
            one.correct(step=step, **batch(seed=step))
    first, *middle, last = sink.records
    assert isinstance(first, RunStart)
    assert (first.project, first.run) == ("math", "grpo")
    assert first.config["rollout_is_threshold"] == 2.0
    assert first.environment["torch"] == torch.__version__
    assert [record.step for record in steps(middle)] == [0, 1, 2]
    assert isinstance(last, RunEnd)
    assert (last.outcome, last.dropped) == (Outcome.FINISHED, {})
    assert list(sink.frames) == [1, 2, 3, 4, 5], "numbers have no holes"


def test_what_is_pushed_is_what_the_correction_says() -> None:
    """Metrics, histogram and table of the record are those of `correct` called alone."""
    sink = MemorySink()
    arguments = batch()
    with monitor(sink, config=CONFIG) as one:
        given = one.correct(step=7, **arguments)
    alone = correct(*arguments.values(), CorrectionConfig.from_mapping(CONFIG))
    assert torch.equal(given.weights, alone.weights)
    assert torch.equal(given.response_mask, alone.response_mask)
    (record,) = steps(sink.records)
    assert record.metrics == alone.metrics.as_dict()
    assert record.metrics.keys() <= METRICS.keys()
    assert record.histogram is not None
    assert record.histogram.numpy().sum() == 24
    assert record.histogram.numpy().shape == (HISTOGRAM_BINS,)
    assert record.sequences is not None
    assert np.array_equal(record.sequences.numpy(), alone.sequences.float().numpy())
    assert record.sequences.numpy().shape == (4, len(SEQUENCE_COLUMNS))


def test_observing_measures_the_same_and_returns_nothing() -> None:
    corrected, observed = MemorySink(), MemorySink()
    arguments = batch()
    before = {name: tensor.clone() for name, tensor in arguments.items()}
    with monitor(corrected, config=CONFIG) as one:
        one.correct(step=0, **arguments)
    with monitor(observed, config=CONFIG) as one:
        assert one.observe(step=0, **arguments) is None
    assert steps(observed.records)[0].metrics == steps(corrected.records)[0].metrics
    assert all(torch.equal(before[name], tensor) for name, tensor in arguments.items())


def test_a_correction_that_the_trainer_computed_itself_is_pushed_as_one_of_the_monitor() -> None:
    """Also if it is none at all, which is counted and not raised."""
    itself, by_monitor = MemorySink(), MemorySink()
    arguments = batch()
    with monitor(itself, config=CONFIG) as one:
        one.record(3, correct(*arguments.values(), one.config))
        one.record(4, "no correction")  # type: ignore[arg-type]
        assert one.health().dropped == {"not_measured": 1}
    with monitor(by_monitor, config=CONFIG) as one:
        one.correct(step=3, **arguments)
    (mine,), (its,) = steps(itself.records), steps(by_monitor.records)
    assert (mine.step, mine.metrics, mine.histogram, mine.sequences) == (
        its.step, its.metrics, its.histogram, its.sequences
    )  # fmt: skip


def test_without_configuration_nothing_is_corrected_and_all_is_measured() -> None:
    sink = MemorySink()
    with monitor(sink) as one:
        correction = one.correct(step=0, **batch())
    assert correction.weights is None
    (record,) = steps(sink.records)
    assert "mismatch_k3_kl" in record.metrics
    assert not [name for name in record.metrics if name.startswith("rollout_is_")], "what is off is absent"


@pytest.mark.parametrize(
    "value", [2.5, torch.tensor(2.5), torch.tensor([[2.5]]), np.float32(2.5), np.array([2.5]), "2.5"]
)
def test_whatever_is_one_number_can_be_logged(value: object) -> None:
    sink = MemorySink()
    with monitor(sink) as one:
        one.log(3, {"train/reward": value})
    assert [(record.step, record.metrics) for record in steps(sink.records)] == [(3, {"train/reward": 2.5})]


def test_what_is_not_finite_is_logged_as_it_is() -> None:
    sink = MemorySink()
    with monitor(sink) as one:
        one.log(0, {"loss": math.nan, "norm": math.inf, "count": True, "zero": -0.0})
    metrics = steps(sink.records)[0].metrics
    assert math.isnan(metrics["loss"])
    assert (metrics["norm"], metrics["count"]) == (math.inf, 1.0)
    assert math.copysign(1.0, metrics["zero"]) == -1.0


@pytest.mark.parametrize(
    ("step", "values", "reason"),
    [
        (0, {"loss": torch.ones(2)}, "bad_value"),
        (0, {"loss": "high"}, "bad_value"),
        (0, {"loss": None}, "bad_value"),
        (0, {"": 1.0}, "bad_name"),
        (0, {"lo ss": 1.0}, "bad_name"),
        (0, {7: 1.0}, "bad_name"),
        (-1, {"loss": 1.0}, "bad_step"),
        (0.5, {"loss": 1.0}, "bad_step"),
        (None, {"loss": 1.0}, "bad_step"),
        (True, {"loss": 1.0}, "bad_step"),
        ("0", {"loss": 1.0}, "bad_step"),
        (2**53, {"loss": 1.0}, "bad_step"),
        (0, None, "bad_value"),
    ],
)
def test_what_cannot_be_logged_is_counted_said_once_and_never_raised(
    step: object, values: object, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    sink = MemorySink()
    with caplog.at_level(logging.WARNING), monitor(sink) as one:
        one.log(step, values)  # type: ignore[arg-type]
        one.log(step, values)  # type: ignore[arg-type]
        one.log(1, {"reward": 1.0})
        assert one.health().dropped == {reason: 2}
    assert [record.metrics for record in steps(sink.records)] == [{"reward": 1.0}]
    assert len([record for record in caplog.records if "Training goes on" in record.message]) == 1


class Odd:
    """A number of somebody's library that has a bad day."""

    def __float__(self) -> float:
        raise KeyError("no float today")

    __index__ = __int__ = __float__


def test_one_bad_value_does_not_take_the_others_with_it() -> None:
    sink = MemorySink()
    with monitor(sink) as one:
        one.log(0, {"loss": None, "huge": 10**400, "odd": Odd(), "reward": 1.0})
        assert one.health().dropped == {"bad_value": 3}
    assert [record.metrics for record in steps(sink.records)] == [{"reward": 1.0}]


def test_the_tally_of_what_is_lost_travels_with_the_next_record() -> None:
    sink = MemorySink()
    with monitor(sink) as one:
        one.log(0, {"loss": None})
        one.log(1, {"loss": 1.0})
    assert [record.dropped for record in steps(sink.records)] == [{"bad_value": 1}]


NONSENSE = {
    "shapes that differ": {"rollout_logprobs": torch.zeros(4, 7)},
    "a list": {"training_logprobs": [[0.0]]},
    "nothing": {"rollout_logprobs": None},
    "a mask of complex numbers": {"response_mask": torch.ones(4, 6, dtype=torch.complex64)},
    "integers": {"training_logprobs": torch.zeros(4, 6, dtype=torch.int64)},
}


@pytest.mark.parametrize("what", NONSENSE)
def test_observing_nonsense_counts_it_and_goes_on(what: str, caplog: pytest.LogCaptureFixture) -> None:
    sink = MemorySink()
    with caplog.at_level(logging.WARNING), monitor(sink) as one:
        one.observe(step=0, **batch() | NONSENSE[what])  # type: ignore[arg-type]
        one.observe(step=1, **batch())
        assert one.health().dropped == {"not_measured": 1}
    assert [record.step for record in steps(sink.records)] == [1]
    assert "Step 0 was not measured: " in caplog.text


@pytest.mark.parametrize("what", NONSENSE)
def test_what_cannot_be_corrected_is_told_to_the_trainer(what: str) -> None:
    """Weights of 1 would train on something else than was asked for. A trainer may catch it: the page shows it all the same."""
    sink = MemorySink()
    with monitor(sink, config=CONFIG) as one:
        for step in range(2):
            with pytest.raises(ValueError, match=next(iter(NONSENSE[what]))):
                one.correct(step=step, **batch() | NONSENSE[what])  # type: ignore[arg-type]
        assert isinstance(one.correct(step=2, **batch()), Correction)
    assert [(record.step, record.dropped) for record in steps(sink.records)] == [(2, {"not_corrected": 2})]


def test_a_trainer_that_ends_for_want_of_a_correction_has_said_so() -> None:
    """With its last words."""
    sink = MemorySink()
    with pytest.raises(ValueError, match="rollout_logprobs has shape"), monitor(sink, config=CONFIG) as one:
        one.correct(step=0, **batch() | NONSENSE["shapes that differ"])  # type: ignore[arg-type]
    end = sink.records[-1]
    assert isinstance(end, RunEnd)
    assert (end.outcome, end.dropped) == (Outcome.CRASHED, {"not_corrected": 1})


@pytest.mark.parametrize(
    "entropy", [0.7, torch.zeros(1), torch.zeros(4, 7), "high", torch.zeros(4, 6, dtype=torch.cfloat)]
)
def test_an_entropy_that_cannot_be_costs_its_own_figure_and_no_other(entropy: object) -> None:
    sink = MemorySink()
    with monitor(sink, config=CONFIG) as one:
        given = one.correct(step=0, **batch(), training_entropy=entropy)  # type: ignore[arg-type]
        one.observe(step=1, **batch(), training_entropy=entropy)  # type: ignore[arg-type]
        assert one.health().dropped == {"not_measured": 2}
    alone = correct(*batch().values(), CorrectionConfig.from_mapping(CONFIG))
    assert given.weights is not None
    assert torch.equal(given.weights, alone.weights)
    for record in steps(sink.records):
        assert record.metrics == alone.metrics.as_dict()


@pytest.mark.parametrize("step", ["zero", 0.5, -1, None, Odd()])
def test_a_wrong_step_does_not_cost_the_trainer_its_correction(step: Any) -> None:
    sink = MemorySink()
    with monitor(sink, config=CONFIG) as one:
        assert one.correct(step=step, **batch()).weights is not None
        one.observe(step=step, **batch())
        one.log(step, {"loss": 1.0})
        assert one.health().dropped == {"bad_step": 3}
    assert steps(sink.records) == []


def test_an_exception_that_leaves_the_block_ends_the_run_as_crashed() -> None:
    sink = MemorySink()
    with pytest.raises(ZeroDivisionError), monitor(sink):
        _ = 1 / 0
    end = sink.records[-1]
    assert isinstance(end, RunEnd)
    assert end.outcome is Outcome.CRASHED


def test_someone_who_stops_the_training_did_not_crash_it() -> None:
    sink = MemorySink()
    with pytest.raises(KeyboardInterrupt), monitor(sink):
        raise KeyboardInterrupt
    end = sink.records[-1]
    assert isinstance(end, RunEnd)
    assert end.outcome is Outcome.FINISHED


def test_after_closing_nothing_raises_and_everything_is_counted() -> None:
    sink = MemorySink()
    one = monitor(sink, config=CONFIG)
    assert one.close()
    count = len(sink.frames)
    one.log(0, {"loss": 1.0})
    one.observe(step=0, **batch())
    assert one.correct(step=0, **batch()).weights is not None
    assert one.close(), "it was delivered the first time"
    assert one.health().dropped == {"closed": 3}
    assert one.health().state == "closed"
    assert len(sink.frames) == count


def test_a_redis_url_of_the_surroundings_is_no_concern_of_who_pushes_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ROLLOUTWATCH_REDIS_URL", "nonsense")
    with monitor(MemorySink()):
        pass
    with pytest.raises(ValueError, match="redis_url is 'nonsense'"):
        Monitor(project="math")


def test_a_run_begins_whatever_its_surroundings_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder that was deleted, and arguments that are not text, cost at most a fact."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr("sys.argv", ["train.py", os.fsdecode(b"\xff.yaml")])
    sink = MemorySink()
    with monitor(sink, config=CONFIG):
        pass
    start = sink.records[0]
    assert isinstance(start, RunStart)
    assert start.config["rollout_is"] == "token"
    assert start.environment["command"] == "train.py \\udcff.yaml"
    assert "git_commit" not in start.environment


def test_a_run_without_a_name_gets_one_of_its_own() -> None:
    with (
        Monitor(project="math", sink=MemorySink()) as one,
        Monitor(project="math", sink=MemorySink()) as other,
    ):
        assert one.run_id.startswith("math~20")
        assert one.run_id != other.run_id
        assert one.session != other.session


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"project": ""}, "project"),
        ({"project": "a/b"}, "project.*'a/b'"),
        ({"run": "x" * 300}, "run"),
        ({"run": "a b"}, "run.*'a b'"),
        ({"config": {"rollout_is": "batch"}}, "rollout_is.*'batch'"),
        ({"config": {"rolout_is": "token"}}, "Did you mean 'rollout_is'"),
        ({"config": {"rollout_is": "token", "rollout_is_threshold": -1.0}}, "rollout_is_threshold.*-1.0"),
        ({"config": "token"}, "config is a str: expected a mapping"),
        ({"redis_url": "localhost:6379"}, "redis_url is 'localhost:6379': expected redis://"),
        ({"redis_url": "http://localhost"}, "redis_url"),
        ({"redis_url": "redis://"}, "redis_url"),
        ({"redis_url": "redis://host:port/0"}, "redis_url"),
        (
            {"redis_url": "redis://host/abc"},
            "redis_url is 'redis://host/abc'.*the database 'abc' is no number",
        ),
        ({"redis_url": "redis://host/0/1"}, "redis_url is 'redis://host/0/1'"),
        (
            {"redis_url": "redis://host/0?foo=bar"},
            "redis_url is .*foo=bar.*unexpected keyword argument 'foo'",
        ),
        (
            {"redis_url": "redis://host/0?socket_timeout=x"},
            "redis_url is .*Invalid value for .socket_timeout",
        ),
        ({"redis_url": "redis://u:geheim@host/0?foo=bar"}, r"redis_url is 'redis://u:\*\*\*@host/0"),
        ({"redis_url": "http://user:geheim@host"}, r"redis_url is 'http://user:\*\*\*@host'"),
    ],
)
def test_wrong_arguments_are_refused_at_construction(arguments: dict[str, object], message: str) -> None:
    """One message that names the argument and what came; no thread is left behind."""
    with pytest.raises(ValueError, match=message):
        Monitor(**{"project": "math", "run": "grpo"} | arguments)  # type: ignore[arg-type]


def test_lists_have_figures_of_groups_too() -> None:
    """Of as many names as a record has room for; the rarest beyond that are called others."""
    sink = MemorySink()
    rows = [torch.full((3,), -1.0) for _ in range(60)]
    labels = [f"set {number // 2}" for number in range(60)]
    labels[:2] = ["", ""]
    with monitor(sink, config=CONFIG) as one:
        one.correct(
            step=0, training_logprobs=rows, rollout_logprobs=rows, response_mask=[row.abs() for row in rows],
            groups=labels, training_entropy=torch.tensor(0.5),
        )  # fmt: skip
    (record,) = steps(sink.records)
    counts = {name: value for name, value in record.metrics.items() if name.startswith("n_sequences@")}
    assert len(counts) == MAX_GROUPS
    assert sum(counts.values()) == 60
    assert counts["n_sequences@others"] == 60 - 2 * (MAX_GROUPS - 1)
    assert counts["n_sequences@_"] == 2
    assert record.metrics["surprise_gap"] == 0.5
    assert record.dropped == {}


def test_a_record_is_not_lost_for_the_number_of_groups() -> None:
    """With everything on, and more groups than there is room for."""
    sink = MemorySink()
    every = ",".join(OPTIONS)
    config = {
        "rollout_is": "token", "rollout_is_threshold": "0.5_2.0", "rollout_is_batch_normalize": True,
        "rollout_rs": every, "rollout_rs_threshold": 2.0, "rollout_token_veto_threshold": 1e-4,
    }  # fmt: skip
    logprobs = torch.linspace(-2, 0, 80).reshape(40, 2)
    with monitor(sink, config=config) as one:
        one.correct(
            step=0, training_logprobs=logprobs, rollout_logprobs=logprobs.flip(1), response_mask=logprobs.abs() + 1,
            groups=[f"g{number}" for number in range(40)], training_entropy=torch.tensor(0.5),
        )  # fmt: skip
    (record,) = steps(sink.records)
    assert "rollout_rs_seq_max_k3_std" in record.metrics
    assert "ratio_eff_sample_size@others" in record.metrics


def test_a_table_of_disasters_holds_numbers() -> None:
    sink = MemorySink()
    training = torch.full((1, 1), 200.0, dtype=torch.float64)
    with monitor(sink) as one:
        one.observe(
            step=0,
            training_logprobs=training,
            rollout_logprobs=training * 0,
            response_mask=torch.ones(1, 1),
        )
    (record,) = steps(sink.records)
    assert record.sequences is not None
    assert np.isfinite(record.sequences.numpy()).all()
