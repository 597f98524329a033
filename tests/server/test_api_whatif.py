"""Asking what another configuration would have given, and being refused in the configuration's own words."""

import json
from typing import Any

import httpx
import numpy as np
import pytest

from rolloutwatch_contract import Array, StepRecord
from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.tables import SEQUENCE_COLUMNS
from rolloutwatch_correction import histogram_of
from rolloutwatch_server.store import Store
from rolloutwatch_server.whatif import history
from rolloutwatch_server.whatif.summary import OverSteps
from tests.server.asking import Asking, refuse
from tests.server.records import RUN, STREAM, batch, start, step
from tests.server.test_whatif import random_batch

FIGURE = "rollout_is_mean"
VETO = {"rollout_token_veto_threshold": 1e-4}


def record(number: int, **changes: Any) -> StepRecord:
    """A step as the client sends it, and what goes along with it."""
    correction = random_batch(number, 0.1, sequences=8, tokens=20).correct()
    fields: dict[str, Any] = {
        "metrics": correction.metrics.as_dict(),
        "histogram": Array.of(histogram_of(correction.statistics.vector.numpy(), correction.config)),
        "sequences": Array.of(correction.sequences.numpy()),
    }
    return StepRecord(number, float(number), **fields | changes)


def ask(store: Store, keys: Any, run: str = RUN, **query: Any) -> httpx.Response:
    return Asking.of(store).ask(f"/api/v1/runs/{run}/whatif", "POST", content=json.dumps(keys), **query)


def answer(store: Store, keys: Any, **query: Any) -> Any:
    answer = ask(store, keys, **query)
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text, parse_constant=refuse)


def test_every_recorded_step_is_answered_for_as_the_correction_would_have(store: Store) -> None:
    """By step, with what is exact said to be; steps without tables are not asked about."""
    store.archive(STREAM, batch(start(), *map(record, (1, 3, 8)), step(9, kl=1.0)))
    keys = {"rollout_is": "sequence", "rollout_rs": "geometric", "rollout_rs_threshold": "1.01"}
    told = answer(store, keys)
    assert (told["run"], told["steps"], told["next_step"], told["thinned"]) == (RUN, 3, None, False)
    assert (
        told["config"]
        == CorrectionConfig(
            rollout_is="sequence", rollout_rs="geometric", rollout_rs_threshold=1.01
        ).as_dict()
    )
    assert told["omitted"] == []
    config = CorrectionConfig(**keys)
    for name, figure in told["figures"].items():
        assert figure["step"] == [1, 3, 8]
        assert figure["exact"] == [True, True, True]
        assert figure["low"] == figure["high"]
        if not name.endswith("kept_fraction"):
            expected = [
                random_batch(n, 0.1, sequences=8, tokens=20).correct(config).metrics.as_dict()[name]
                for n in (1, 3, 8)
            ]
            assert figure["low"] == pytest.approx(expected, rel=1e-12)


def test_a_part_of_a_run_is_asked_about_by_its_steps(store: Store) -> None:
    store.archive(STREAM, batch(start(), *map(record, range(5))))
    told = answer(store, VETO, from_step=1, to_step=3)
    assert told["figures"]["kept_fraction"]["step"] == [1, 2, 3]


def test_a_preset_is_asked_for_by_its_name_with_changes_beside_it(store: Store) -> None:
    store.archive(STREAM, batch(start(), record(0)))
    assert (
        answer(store, {"preset": "decoupled_seq_is"})["config"]
        == CorrectionConfig.preset("decoupled_seq_is").as_dict()
    )
    changed = answer(store, {"preset": "decoupled_seq_is", "rollout_is_threshold": 5.0})["config"]
    assert (changed["rollout_is"], changed["rollout_is_threshold"]) == ("sequence", 5.0)
    verl = {"algorithm": {"rollout_correction": {"rollout_is": "geometric"}}, "actor_rollout_ref": {}}
    assert answer(store, verl)["config"]["rollout_is"] == "geometric"
    assert set(answer(store, {})["figures"]) == {"kept_fraction", "seq_kept_fraction"}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"rollout_is": "tokn"}, "rollout_is is 'tokn': expected one of token, sequence, geometric"),
        ({"rollout_is": "token", "rollout_is_threshold": -1}, "rollout_is_threshold is -1: expected a positive number"),
        ({"rollout_is": "token", "rollout_is_threshold": float("nan")}, "rollout_is_threshold is nan"),
        ({"rollout_rs": "token"}, "rollout_rs is 'token' but rollout_rs_threshold is null"),
        ({"rollout_iss": "token"}, "unknown key 'rollout_iss' in the correction's configuration. Did you mean 'rollout_is'?"),
        ({"rollout_is\ud800": "token"}, r"rollout_is\ud800"),
        ({"preset": "decoupled_sq_is"}, "Did you mean 'decoupled_seq_is'?"),
        ({"preset": 7}, "preset is '7'"),
        ({"rollout_correction": 7}, "the correction's configuration is a int: expected a mapping"),
        ([1], "expected"),
    ],
)  # fmt: skip
def test_a_configuration_that_cannot_be_is_refused_in_its_own_words(
    store: Store, keys: Any, words: str
) -> None:
    """Key, what was expected and what came, as `CorrectionConfig` says it."""
    store.archive(STREAM, batch(start(), record(0)))
    refused = ask(store, keys)
    assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")
    if isinstance(keys, dict):
        assert words in refused.json()["detail"]


def test_there_is_no_what_if_of_no_run(store: Store) -> None:
    assert ask(store, VETO, run="math~none").status_code == 404
    assert Asking.of(store).ask(f"/api/v1/runs/{RUN}/whatif").json()["detail"].endswith("use POST.")


def cut(one: StepRecord, rows: int) -> Array:
    assert one.sequences is not None
    return Array.of(one.sequences.numpy()[:rows])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sequences": None, "histogram": None, "sample_ids": None, "groups": ("a",)}, "nothing is recorded"),
        ({"metrics": {}}, "n_tokens, n_sequences and n_empty_sequences of the step are not recorded"),
        ({"metrics": {"n_tokens": 5.0, "n_sequences": 8.0, "n_empty_sequences": 0.0, "nonfinite_fraction": 0.0}},
         "not of the same batch"),
        ({"sequences": Array.of(np.full((2, len(SEQUENCE_COLUMNS)), np.nan))}, "its table of sequences is none"),
        ({"sequences": Array.of(np.zeros((2, 3)))}, "its table of sequences is none"),
        ({"histogram": Array.of(np.zeros(4, dtype=np.int64))}, "its histogram is none"),
        ({"histogram": Array.of(np.full(179, -1))}, "its histogram is none"),
    ],
)  # fmt: skip
def test_a_step_of_which_nothing_can_be_said_is_omitted_with_the_reason(
    store: Store, changes: dict[str, Any], reason: str
) -> None:
    """The others are answered for."""
    store.archive(STREAM, batch(start(), record(0), record(1, **changes), record(2)))
    told = answer(store, VETO)
    assert told["figures"]["kept_fraction"]["step"] == [0, 2]
    (why,) = [one for one in told["omitted"] if one["metric"] == "kept_fraction"]
    assert reason in why["reason"]
    assert (why["steps"], why["first_step"], why["last_step"]) == (1, 1, 1)


def test_a_table_that_is_not_whole_is_not_called_exact(store: Store) -> None:
    """Of eight sequences five came: what the others are nobody knows."""
    store.archive(STREAM, batch(start(), record(0), record(1, sequences=cut(record(1), 5))))
    figure = answer(store, {"rollout_is": "sequence"})["figures"][FIGURE]
    assert figure["exact"] == [True, False]
    assert figure["low"][1] < figure["high"][1]


def test_a_long_run_is_thinned_for_the_eye_and_keeps_its_extremes(store: Store) -> None:
    """One of three hundred steps has a sequence that nobody else has: it stays."""
    records, spike = [record(7)] * 300, record(11)
    numbered = [
        StepRecord(n, 0.0, one.metrics, one.histogram, one.sequences) for n, one in enumerate(records)
    ]
    numbered[137] = StepRecord(137, 0.0, spike.metrics, spike.histogram, spike.sequences)
    store.archive(STREAM, batch(start(), *numbered))
    whole = answer(store, {"rollout_is": "sequence"})
    thinned = answer(store, {"rollout_is": "sequence"}, points=20)
    assert (whole["thinned"], thinned["thinned"]) == (False, True)
    assert len(whole["figures"][FIGURE]["step"]) == 300
    assert len(thinned["figures"][FIGURE]["step"]) < 40
    assert 137 in thinned["figures"][FIGURE]["step"]


def test_the_extremes_of_both_bounds_stay() -> None:
    """A lower bound that falls at one step, and an upper one that rises at another."""
    steps = np.arange(1000)
    low, high = np.ones(1000), np.full(1000, 2.0)
    low[437], high[611] = 0.5, 3.0
    thinned = history._thinned(OverSteps(steps, low, high), 20)
    assert len(thinned.step) < 60
    assert {437, 611} <= set(thinned.step.tolist())
    assert (thinned.low.min(), thinned.high.max()) == (0.5, 3.0)


def test_what_one_answer_does_not_hold_the_next_one_does(store: Store) -> None:
    """So that no answer takes long; it says where the next one begins."""
    store.archive(STREAM, batch(start(), *map(record, range(5))))
    config = CorrectionConfig(**VETO)  # type: ignore[arg-type]
    first = history.what_if(store, RUN, config, most=3)
    assert (first.steps, first.next_step) == (3, 3)
    rest = history.what_if(store, RUN, config, from_step=first.next_step, most=3)
    assert (rest.steps, rest.next_step) == (2, None)


def test_an_answer_has_each_figure_in_a_few_numbers_beside_what_was(store: Store) -> None:
    """Of all steps, also of those that are left out for the eye; what never came is not there, and 1 was kept of everything."""
    changed = [
        record(n, metrics=record(n).metrics | {"rollout_is_eff_sample_size": value})
        for n, value in ((0, 0.5), (1, 0.25), (2, 0.75))
    ]
    store.archive(STREAM, batch(start(), *changed, step(9, rollout_is_eff_sample_size=0.0)))
    told = answer(store, {"rollout_is": "sequence", **VETO}, points=8)
    assert told["recorded"]["rollout_is_eff_sample_size"] == {
        "steps": 3, "exact_steps": 3, "mean_low": 0.5, "mean_high": 0.5,
        "lowest": {"step": 1, "low": 0.25, "high": 0.25}, "highest": {"step": 2, "low": 0.75, "high": 0.75},
    }  # fmt: skip
    assert told["recorded"]["kept_fraction"]["mean_low"] == 1.0
    assert "rollout_is_veto_fraction" not in told["recorded"]
    figure, summary = told["figures"][FIGURE], told["summary"][FIGURE]
    assert (summary["steps"], summary["exact_steps"]) == (3, 3)
    assert summary["mean_low"] == summary["mean_high"] == pytest.approx(np.mean(figure["low"]), rel=1e-14)
    lowest = int(np.argmin(figure["low"]))
    assert summary["lowest"] == {
        "step": lowest,
        "low": figure["low"][lowest],
        "high": figure["high"][lowest],
    }


def test_what_was_taken_out_was_not_kept(store: Store) -> None:
    """Also where the run went on under a configuration that takes nothing out, and sends no share of it."""
    taken = record(1).metrics | {"rollout_is_masked_fraction": 0.25, "rollout_is_seq_masked_fraction": 0.5}
    store.archive(STREAM, batch(start(), record(0), record(1, metrics=taken)))
    recorded = answer(store, {})["recorded"]
    assert (recorded["kept_fraction"]["steps"], recorded["kept_fraction"]["mean_low"]) == (2, 0.875)
    assert recorded["seq_kept_fraction"]["lowest"] == {"step": 1, "low": 0.5, "high": 0.5}


def test_a_summary_is_of_every_step_however_few_are_drawn(store: Store) -> None:
    """Of 300 steps about 20 come; the mean is that of 300, and of two bounds the worst of either is found."""
    one = record(7)
    few = [StepRecord(n, 0.0, one.metrics, one.histogram, cut(one, 5)) for n in range(300)]
    store.archive(STREAM, batch(start(), *few))
    summary = answer(store, {"rollout_is": "sequence"}, points=20)["summary"][FIGURE]
    assert (summary["steps"], summary["exact_steps"]) == (300, 0)
    assert summary["mean_low"] == pytest.approx(summary["lowest"]["low"], rel=1e-12)
    assert summary["mean_high"] == pytest.approx(summary["highest"]["high"], rel=1e-12)
    assert summary["mean_low"] < summary["mean_high"]


def test_who_asks_for_few_steps_gets_few_and_is_told_where_the_next_begin(store: Store) -> None:
    store.archive(STREAM, batch(start(), *map(record, range(5))))
    told = answer(store, VETO, most=2)
    assert (told["steps"], told["next_step"]) == (2, 2)
    assert ask(store, VETO, most=0).status_code == 422


def test_an_answer_has_the_configuration_as_it_is_written_into_verls(store: Store) -> None:
    store.archive(STREAM, batch(start(), record(0)))
    assert answer(store, VETO)["yaml"] == (
        "algorithm:\n  rollout_correction:\n    rollout_is: null\n    rollout_rs: null\n"
        "    rollout_token_veto_threshold: 0.0001\n"
    )
