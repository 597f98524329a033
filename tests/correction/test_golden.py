"""What verl computes, ours computes too, save for the differences listed here, each with its reason."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from rolloutwatch_correction import CorrectionConfig
from tests.correction.batches import ESTIMATED, Batch, asked
from tests.correction.test_against_oracle import disagreements
from tests.oracle import Verdict, judge

GOLDEN = Path(__file__).parent / "golden"
CASES: list[dict[str, Any]] = json.loads((GOLDEN / "cases.json").read_text())
INPUTS, EXPECTED = np.load(GOLDEN / "inputs.npz"), np.load(GOLDEN / "expected.npz")
# verl computes nothing in some of them, or leaves out, without a word, what was asked for
ANSWERED = [case for case in CASES if "error" not in case and None not in case["config"].values()]
each_case = pytest.mark.parametrize("case", ANSWERED, ids=lambda case: case["id"])

VETO = {"rollout_is_veto_fraction", "rollout_is_catastrophic_token_fraction"}
PERPLEXITY = {
    *("mismatch_training_ppl", "mismatch_training_log_ppl", "mismatch_rollout_ppl", "mismatch_rollout_log_ppl"),
    *("mismatch_ppl_ratio", "mismatch_log_ppl_diff", "mismatch_log_ppl_abs_diff"),
}  # fmt: skip
SEQUENCES = {
    f"rollout_{kind}_seq_{name}"
    for kind in ("is", "rs")
    for name in ("mean", "std", "min", "max_deviation", "fraction_low")
}


@dataclass(frozen=True)
class Difference:
    """Figures that are not verl's, in the cases that it speaks of."""

    reason: str
    figures: set[str]
    applies: Callable[[dict[str, Any]], bool]


def level(case: dict[str, Any]) -> str | None:
    found: str | None = case["config"].get("rollout_is")
    return found


def lopsided(case: dict[str, Any]) -> bool:
    """Tell whether a k1 rule has bounds of which one is not the other's reciprocal."""
    rules = case["asked"].get("rejections", [])
    return any(name.endswith("k1") and abs(lower * upper - 1) > 1e-9 for name, lower, upper in rules)


DIFFERENCES = (
    Difference(
        "A feature that is off brings no figure; verl reports 0.",
        VETO,
        lambda case: case["verl"] == "e7cdce1" and "veto" not in case["asked"],
    ),
    Difference(
        "What has no lower bound has no share below it; verl reports 0.",
        {f"rollout_rs_{name}_fraction_low" for name in ESTIMATED if not name.endswith("k1")},
        lambda case: case["verl"] == "v0.9",
    ),
    Difference(
        "Ratios are counted before truncation; at e7cdce1 after it, when none is above the threshold any more.",
        {"rollout_is_ratio_fraction_high", "rollout_is_seq_fraction_high", "rollout_is_seq_fraction_low"},
        lambda case: case["verl"] == "e7cdce1",
    ),
    Difference(
        "The extremes are those of weights; verl reports the sequence's ratio before truncation or masking.",
        {"rollout_is_max", "rollout_is_min"},
        lambda case: level(case) == "sequence",
    ),
    Difference(
        "Spread and ESS are of weights within [1/C, C], as at e7cdce1; v0.9 takes those within [0, C].",
        {"rollout_is_std", "rollout_is_eff_sample_size"},
        lambda case: case["verl"] == "v0.9" and case["asked"].get("mode") == "truncate",
    ),
    Difference(
        "The share that masked weights take out is rollout_is_masked_fraction.",
        {"rollout_is_oob_ratio"},
        lambda case: case["asked"].get("mode") == "mask",
    ),
    Difference(
        "Bounds of k1 are of the ratio; verl holds them against 1 / ratio, and so keeps from 1/upper to 1/lower.",
        {
            "response_mask", "rollout_rs_masked_fraction", "rollout_rs_seq_masked_fraction",
            *(f"rollout_rs_token_k1_{x}" for x in ("std", "fraction_high", "fraction_low")),
            *(f"rollout_rs_token_k1_{x}" for x in ("masked_fraction", "seq_masked_fraction")),
            "rollout_rs_seq_mean_k1_std",
        },
        lopsided,
    ),
    Difference(
        "Empty sequences are left out; in verl they have perplexity 1 and weight 0.",
        PERPLEXITY | SEQUENCES | {"chi2_seq"},
        lambda case: case["data"].startswith("ragged"),
    ),
    Difference(
        "Shares of sequences are of those that are not empty.",
        {
            "rollout_is_ratio_fraction_high", "rollout_is_ratio_fraction_low", "rollout_is_seq_fraction_high",
            "rollout_rs_seq_masked_fraction",
        },
        lambda case: case["data"].startswith("ragged"),
    ),
    Difference(
        "What is not finite is counted and left out; in verl it makes the figure infinite, or NaN, or a clamped extreme.",
        {name for case in ANSWERED for name in case["metrics"] if case["data"] == "inf_tokens"} | {"weights"},
        lambda case: case["data"] == "inf_tokens",
    ),
)  # fmt: skip


def batch_of(case: dict[str, Any]) -> Batch:
    return Batch(
        *(torch.from_numpy(INPUTS[f"{case['data']}.{name}"]) for name in ("training", "rollout", "mask"))
    )


def config_of(case: dict[str, Any]) -> CorrectionConfig:
    return CorrectionConfig.from_mapping(case["config"])


def known(case: dict[str, Any]) -> set[str]:
    return set().union(*(difference.figures for difference in DIFFERENCES if difference.applies(case)))


@cache
def verdict_of(case_id: str) -> Verdict:
    """Return the judge's verdict, for which a case says in its own words what is asked, without our configuration."""
    case = next(case for case in CASES if case["id"] == case_id)
    inputs = (INPUTS[f"{case['data']}.{name}"] for name in ("training", "rollout", "mask"))
    return judge(*inputs, **case["asked"])


def unlike_verl(
    case: dict[str, Any],
    metrics: dict[str, float],
    weights: npt.NDArray[Any] | None,
    kept: npt.NDArray[np.bool_],
) -> set[str]:
    """Return what is not as in verl, of whose figures those from float64 log-probs count.

    Where ratios stand on a threshold, rounding decides: there verl's float32 figures are as good.
    """
    different = {
        name
        for name, figure in case["metrics"].items()
        if not any(
            math.isclose(metrics.get(name, math.nan), x, rel_tol=1e-5, abs_tol=1e-6)
            for x in (figure, case.get("float32", {}).get(name, math.nan))
        )
    }
    if weights is not None:
        # where a sequence has one weight, the sum of its log ratios was rounded to float32 before the exponential
        summed = 20 * 2**-24 if level(case) == "sequence" else 0
        valid = INPUTS[f"{case['data']}.mask"] != 0
        expected = EXPECTED[f"{case['id']}.weights"]
        if not np.allclose(weights[valid], expected[valid], rtol=2e-6 + summed, atol=0):
            different.add("weights")
    if not np.array_equal(kept, EXPECTED[f"{case['id']}.mask"]):
        different.add("response_mask")
    return different


@cache
def differing(case_id: str) -> set[str]:
    case = next(case for case in CASES if case["id"] == case_id)
    correction = batch_of(case).correct(config_of(case))
    weights = None if correction.weights is None else correction.weights.numpy()
    return unlike_verl(case, correction.metrics.as_dict(), weights, correction.response_mask.numpy() != 0)


@each_case
def test_weights_masks_and_figures_are_verls_save_for_the_known_differences(case: dict[str, Any]) -> None:
    assert differing(case["id"]) - known(case) == set()


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.reason)
def test_a_known_difference_is_still_one(difference: Difference) -> None:
    """Every figure it names differs in one case at least, or the list has outlived its reason."""
    found = set().union(*(differing(case["id"]) for case in ANSWERED if difference.applies(case)))
    assert difference.figures - found == set()


@each_case
def test_the_judge_finds_what_verl_finds(case: dict[str, Any]) -> None:
    """The judge is judged by verl; on the thresholds themselves, float32 decides otherwise than float64."""
    verdict = verdict_of(case["id"])
    different = unlike_verl(case, verdict.metrics, verdict.weights, verdict.response_mask)
    on_an_edge = {"response_mask"} if verdict.margin < 1e-5 else set()
    assert different - known(case) - on_an_edge == set()


@each_case
def test_the_product_finds_what_the_judge_finds(case: dict[str, Any]) -> None:
    """The judge also judges the figures that verl does not have."""
    verdict = verdict_of(case["id"])
    metrics = batch_of(case).correct(config_of(case)).metrics.as_dict()
    wrong = disagreements(verdict, metrics)
    on_an_edge = {name for name in wrong if "fraction" in name} if verdict.margin < 1e-5 else set()
    assert wrong.keys() - on_an_edge == set()


@each_case
def test_verls_keys_ask_for_what_the_case_says(case: dict[str, Any]) -> None:
    ours = asked(config_of(case)) if case["asked"] else {}
    # of what has no lower bound, it does not matter
    expected = {
        key: [(name, pytest.approx(lower), upper) for name, lower, upper in value] if key == "rejections"
        else pytest.approx(value) if isinstance(value, float) else value
        for key, value in case["asked"].items()
    }  # fmt: skip
    assert expected == {key: ours[key] for key in case["asked"]}


def case_called(start: str) -> dict[str, Any]:
    return next(case for case in CASES if case["id"].startswith(start))


def test_bounds_of_k1_turned_over_keep_what_verl_keeps() -> None:
    """Whoever comes from verl with lopsided bounds writes 1/upper and 1/lower here."""
    case = case_called("60_")
    config = {**case["config"], "rollout_rs_threshold": f"{1 / 2.0}_{1 / 0.3}"}
    correction = batch_of(case).correct(CorrectionConfig.from_mapping(config))
    metrics = correction.metrics.as_dict()
    assert np.array_equal(correction.response_mask.numpy() != 0, EXPECTED[f"{case['id']}.mask"])
    rejection = {name: x for name, x in case["metrics"].items() if name.startswith("rollout_rs")}
    assert rejection == pytest.approx({name: metrics[name] for name in rejection}, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("start", ["62_", "80_"])
def test_the_share_outside_verls_icepop_is_the_share_of_weights_masked(start: str) -> None:
    case = case_called(start)
    metrics = batch_of(case).correct(config_of(case)).metrics.as_dict()
    assert case["metrics"]["rollout_is_oob_ratio"] == pytest.approx(metrics["rollout_is_masked_fraction"])


def test_a_batch_without_a_valid_token_is_no_error() -> None:
    """verl refuses it, and a rank that got no data stops the run."""
    case = case_called("42_")
    correction = batch_of(case).correct(config_of(case))
    assert case["error"] == "response_mask must contain at least one valid token (1)."
    assert correction.weights is not None
    assert not correction.weights.any()
    assert correction.metrics.as_dict() == {"n_tokens": 0, "n_sequences": 4, "n_empty_sequences": 4}


def test_weights_without_a_threshold_are_refused() -> None:
    """verl leaves them out without a word."""
    case = case_called("44_")
    assert f"{case['id']}.weights" not in EXPECTED
    with pytest.raises(ValueError, match="rollout_is_threshold is null"):
        config_of(case)


def test_a_veto_below_zero_is_refused() -> None:
    """As in verl, but before the first step."""
    case = case_called("46_")
    assert "must be positive" in case["error"]
    with pytest.raises(ValueError, match=r"rollout_token_veto_threshold is -0\.0001"):
        config_of(case)


def test_every_level_and_kind_of_rule_is_held_against_verl() -> None:
    rules = {name for case in ANSWERED for name, _, _ in case["asked"].get("rejections", [])}
    assert rules == {"token", "sequence", "geometric", *ESTIMATED}
