"""From figures to a cause: what is seen, what speaks for what, and that not being sure is an answer."""

import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolloutwatch_contract import METRICS as CATALOGUE
from rolloutwatch_contract.diagnosis import METRICS, SURE, Diagnosis, diagnose
from rolloutwatch_contract.diagnosis.evidence import Series
from rolloutwatch_contract.diagnosis.facts import FACTS, between
from rolloutwatch_contract.diagnosis.hypotheses import HYPOTHESES

ONSET, STEPS = 60, 75

# a healthy rollout in bf16, as it is measured, and how much each figure wavers
HEALTHY = {
    "n_tokens": (560.0, 0.0),
    "mismatch_kl": (2e-5, 4e-4),
    "mismatch_k3_kl": (4e-5, 1e-5),
    "mismatch_k3_seq_share_max": (0.1, 0.02),
    "logprob_abs_diff_mean": (4e-3, 4e-4),
    "logprob_abs_diff_median": (7e-4, 1e-4),
    "logprob_abs_diff_first_quarter": (4e-3, 4e-4),
    "logprob_abs_diff_last_quarter": (2e-3, 3e-4),
    "logprob_slope": (1.0, 1e-3),
    "prob_pearson_corr": (0.9999, 2e-5),
    "ratio_max": (1.05, 0.01),
    "ratio_mean": (1.0, 4e-4),
    "ratio_min": (0.95, 0.01),
    "surprise_gap": (0.0, 0.03),
    "fraction_outside_2x": (0.0, 0.0),
    "zero_logprob_fraction": (0.0, 0.0),
    "nonfinite_fraction": (0.0, 0.0),
    "weight_age_steps": (0.0, 0.0),
}

# what is measured of each fault, where that is otherwise; numbers from examples/tiny_rl.py
SIGNS: dict[str, dict[str, float]] = {
    "stale_weights": {
        "mismatch_kl": 0.06, "mismatch_k3_kl": 0.05, "logprob_abs_diff_mean": 0.13, "logprob_abs_diff_median": 0.012,
        "prob_pearson_corr": 0.9, "ratio_max": 3.2, "ratio_min": 0.05, "ratio_mean": 0.99, "weight_age_steps": 3.0,
    },
    "precision": {
        "mismatch_kl": 0.0047, "mismatch_k3_kl": 0.0037, "logprob_abs_diff_mean": 0.035, "logprob_abs_diff_median": 0.0042,
        "prob_pearson_corr": 0.994, "ratio_max": 1.7, "ratio_min": 0.6,
    },
    "grows_with_position": {
        "mismatch_kl": 0.05, "mismatch_k3_kl": 0.05, "logprob_abs_diff_mean": 0.13, "logprob_abs_diff_median": 0.012,
        "logprob_abs_diff_first_quarter": 0.02, "logprob_abs_diff_last_quarter": 0.5, "prob_pearson_corr": 0.9,
    },
    "temperature": {
        "mismatch_kl": 0.047, "mismatch_k3_kl": 0.045, "logprob_abs_diff_mean": 0.2, "logprob_abs_diff_median": 0.08,
        "prob_pearson_corr": 0.993, "logprob_slope": 1.28, "surprise_gap": 0.3, "ratio_max": 1.25, "ratio_min": 0.1,
    },
    "raw_logprobs": {"surprise_gap": -0.17},
    "truncated_sampling": {
        "mismatch_kl": 0.016, "mismatch_k3_kl": 3.8e-4, "logprob_abs_diff_mean": 0.0176, "logprob_abs_diff_median": 0.009,
        "ratio_mean": 0.984, "prob_pearson_corr": 0.999, "surprise_gap": -0.11, "ratio_min": 0.85,
    },
    "misaligned_logprobs": {
        "mismatch_kl": -7e-4, "mismatch_k3_kl": 25.0, "logprob_abs_diff_mean": 0.64, "logprob_abs_diff_median": 0.097,
        "prob_pearson_corr": 0.12, "logprob_slope": 0.01, "ratio_max": 5000.0, "ratio_min": 2e-4, "ratio_mean": 26.0,
        "mismatch_k3_seq_share_max": 0.39,
    },
    "mixed_sequences": {
        "mismatch_kl": -2e-4, "mismatch_k3_kl": 0.13, "logprob_abs_diff_mean": 0.033, "prob_pearson_corr": 0.95,
        "mismatch_k3_seq_share_max": 0.66, "ratio_max": 50.0, "ratio_min": 0.02, "ratio_mean": 1.13,
    },
    "other_tokens": {
        "mismatch_kl": 0.158, "mismatch_k3_kl": 0.131, "logprob_abs_diff_mean": 0.169, "prob_pearson_corr": 0.88,
        "ratio_max": 1.1, "ratio_min": 1e-4, "ratio_mean": 0.973, "mismatch_k3_seq_share_max": 0.17,
    },
    "missing_logprobs": {
        "zero_logprob_fraction": 0.05, "mismatch_kl": 0.013, "mismatch_k3_kl": 0.009, "logprob_abs_diff_mean": 0.017,
        "prob_pearson_corr": 0.98, "ratio_mean": 0.99, "ratio_min": 0.3, "mismatch_k3_seq_share_max": 0.2,
    },
}  # fmt: skip


def series(signs: Mapping[str, float], steps: int = STEPS, onset: int = ONSET) -> dict[str, Series]:
    """A run that is healthy up to the onset, and has other figures from there on; both waver by as much."""
    at = np.arange(steps)
    found = {}
    for number, (metric, (usual, waver)) in enumerate(HEALTHY.items()):
        noise = waver * np.sin(1.7 * at + number) * np.cos(0.6 * at * (1 + number))
        values = np.where(at < onset, usual, signs.get(metric, usual)) + noise
        found[metric] = (at, values)
    return found


def growing(signs: Mapping[str, float], times: float) -> dict[str, Series]:
    """The same, with what is otherwise growing so many times from the onset to the end."""
    found = series(signs)
    at = np.arange(STEPS)
    share = np.clip((at - ONSET + 1) / (STEPS - ONSET), 1 / times, 1)
    for metric in ("mismatch_kl", "mismatch_k3_kl", "logprob_abs_diff_mean", "logprob_abs_diff_median"):
        steps, values = found[metric]
        found[metric] = (steps, np.where(at < ONSET, values, values * share))
    return found


def named(found: Diagnosis) -> str:
    return found.causes[0].name if found.causes else ""


@pytest.mark.parametrize("name", SIGNS)
def test_what_is_measured_of_a_fault_is_called_by_its_name(name: str) -> None:
    found = diagnose(series(SIGNS[name]), STEPS - 1, ONSET)
    assert named(found) == name
    assert found.is_sure
    assert found.headline == f"Probably {found.causes[0].title}."


def test_what_grows_slowly_though_weights_are_synced_is_a_tensor_that_is_not() -> None:
    """At its first step nobody can tell it from another precision; when it has grown one can."""
    grown = growing(SIGNS["precision"], times=12)
    assert named(diagnose(grown, STEPS - 1, ONSET)) == "unsynced_tensor"
    assert not diagnose(grown, ONSET + 1, ONSET).is_sure


def test_without_marks_of_syncs_what_grows_may_be_either() -> None:
    """The age of the weights is what tells stale ones from a tensor that is never synced."""
    without = {
        name: one
        for name, one in growing(SIGNS["stale_weights"], times=12).items()
        if name != "weight_age_steps"
    }
    found = diagnose(without, STEPS - 1, ONSET)
    assert {cause.name for cause in found.causes[:2]} == {"stale_weights", "unsynced_tensor"}
    assert not found.is_sure
    assert found.headline.startswith("Not sure; perhaps ")


def test_a_healthy_run_has_no_cause() -> None:
    found = diagnose(series({}), STEPS - 1, ONSET)
    assert found == Diagnosis(STEPS - 1, ONSET)
    assert not found.is_sure
    assert found.headline == "No cause is known."


def test_evidence_says_what_is_seen_with_its_numbers() -> None:
    cause = diagnose(series(SIGNS["temperature"]), STEPS - 1, ONSET).causes[0]
    assert "training log-probs are 1.28 times those of the rollout" in cause.evidence_for
    assert "slope 1.28 and surprise gap" not in "".join(cause.evidence_against)
    assert any(sentence.startswith("the probabilities still go together") for sentence in cause.evidence_for)


def test_what_is_over_is_called_by_the_name_it_had_and_says_so() -> None:
    """Since which step log-probs agree again; for as long as it was there at most of the steps since the onset."""
    end = 8
    faulty, healthy = series(SIGNS["temperature"]), series({})
    ended = {
        name: (at, np.where(at < ONSET + end, values, healthy[name][1]))
        for name, (at, values) in faulty.items()
    }
    assert diagnose(ended, ONSET + end - 1, ONSET).over is None
    for step in (ONSET + end, ONSET + 2 * end - 2):
        found = diagnose(ended, step, ONSET)
        assert (named(found), found.is_sure, found.over) == ("temperature", True, ONSET + end)
        assert found.headline == f"Over since step {ONSET + end}: probably {found.causes[0].title}."
        assert found.causes == diagnose(ended, ONSET + end - 1, ONSET).causes
    longer = {
        name: (np.arange(90), np.concatenate([values, healthy[name][1][:15]]))
        for name, (_, values) in ended.items()
    }
    assert diagnose(longer, 89, ONSET) == Diagnosis(89, ONSET)


def test_what_falls_back_for_a_step_again_and_again_is_not_over() -> None:
    """As stale weights do at each sync: it is called the same all along. Only the first time nobody can know."""
    synced = {
        name: (at, np.where((at - ONSET) % 4 == 3, series({})[name][1], values))
        for name, (at, values) in series(SIGNS["stale_weights"]).items()
    }
    found = [diagnose(synced, step, ONSET) for step in range(ONSET, STEPS)]
    assert {named(one) for one in found[1:]} == {"stale_weights"}
    assert {one.step: one.over for one in found if one.over is not None} == {ONSET + 3: ONSET + 3}


def test_an_onset_that_was_noticed_late_is_found() -> None:
    """An alert fires when it is sure; what had begun to move before belongs to it, and is not what was usual."""
    late = diagnose(series(SIGNS["precision"]), STEPS - 1, ONSET + 6)
    assert late.onset == ONSET
    assert named(late) == "precision"


def test_confidences_are_shares_of_one_and_the_likeliest_comes_first() -> None:
    for signs in SIGNS.values():
        confidences = [cause.confidence for cause in diagnose(series(signs), STEPS - 1, ONSET).causes]
        assert confidences == sorted(confidences, reverse=True)
        assert sum(confidences) < 1
        assert all(0.05 <= one < 1 for one in confidences)


def test_where_nothing_fits_nothing_is_sure() -> None:
    """A mismatch that contradicts all that is known leaves room for what is not in the table."""
    odd = {
        "logprob_abs_diff_mean": 0.05,
        "logprob_abs_diff_median": 0.02,
        "logprob_slope": 1.2,
        "prob_pearson_corr": 0.5,
    }
    found = diagnose(series(odd | {"mismatch_k3_kl": 0.5, "mismatch_kl": 0.002}), STEPS - 1, ONSET)
    assert all(cause.confidence < SURE for cause in found.causes)


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_a_run_that_has_only_begun_has_nothing_to_be_compared_with(steps: int) -> None:
    young = {name: (at[:steps], values[:steps]) for name, (at, values) in series({}).items()}
    assert diagnose(young, max(0, steps - 1), 0).causes == ()


@given(st.sampled_from(sorted(SIGNS)), st.sets(st.sampled_from(METRICS)), st.integers(ONSET, STEPS - 1))
def test_a_fact_whose_figures_are_missing_says_nothing(name: str, missing: set[str], step: int) -> None:
    """An imported run may have some of them only: no sentence speaks of what is not there."""
    there = {metric: one for metric, one in series(SIGNS[name]).items() if metric not in missing}
    for cause in diagnose(there, step, ONSET).causes:
        assert "nan" not in "".join((*cause.evidence_for, *cause.evidence_against))


values = st.floats(width=32) | st.sampled_from(
    [0.0, 1.0, math.nan, math.inf, -math.inf, 1e300, -1e300, 5e-324]
)


@given(
    st.dictionaries(st.sampled_from(METRICS), st.lists(values, max_size=60)),
    st.integers(0, 70),
    st.integers(0, 70),
)
def test_whatever_the_figures_are_an_answer_is_one(
    figures: dict[str, list[float]], step: int, onset: int
) -> None:
    """Of constants, runs of NaN, infinities, and figures that are missing: causes in order, with confidences below 1."""
    given_ = {name: (np.arange(len(one)), np.array(one, dtype=np.float64)) for name, one in figures.items()}
    found = diagnose(given_, max(step, onset), onset)
    assert all(0 <= cause.confidence <= 1 for cause in found.causes)
    assert sum(cause.confidence for cause in found.causes) <= 1 + 1e-9
    assert all(
        sentence for cause in found.causes for sentence in (*cause.evidence_for, *cause.evidence_against)
    )


def test_the_table_speaks_of_facts_and_figures_that_there_are() -> None:
    """And of each fact something makes use."""
    used = {fact for one in HYPOTHESES for fact in one.points}
    assert used == set(FACTS)
    assert set(METRICS) <= set(CATALOGUE)
    assert set(SIGNS) | {"unsynced_tensor"} == {one.name for one in HYPOTHESES}
    for one in HYPOTHESES:
        assert one.check.endswith(".")
        assert one.cure.endswith(".")
        assert any(yes > 0 or no > 0 for yes, no in one.points.values())


@pytest.mark.parametrize(
    ("value", "no", "yes", "answer"),
    [
        (5, 1, 4, True),
        (0.5, 1, 4, False),
        (2, 1, 4, None),
        (math.nan, 1, 4, None),
        (0.2, 0.7, 0.35, True),
        (0.9, 0.7, 0.35, False),
    ],
)
def test_between_yes_and_no_there_is_room(value: float, no: float, yes: float, answer: bool | None) -> None:
    assert between(value, no=no, yes=yes) is answer
