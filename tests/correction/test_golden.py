"""What verl computes, ours computes too, save for the differences listed here, each with its reason."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rolloutwatch_correction import CorrectionConfig
from tests.correction.batches import Batch
from tests.correction.test_against_oracle import disagreements

GOLDEN = Path(__file__).parent / "golden"
CASES: list[dict[str, Any]] = json.loads((GOLDEN / "cases.json").read_text())
INPUTS, EXPECTED = np.load(GOLDEN / "inputs.npz"), np.load(GOLDEN / "expected.npz")
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])

VETO = {"rollout_is_veto_fraction", "rollout_is_catastrophic_token_fraction"}
PERPLEXITY = {
    *("mismatch_training_ppl", "mismatch_training_log_ppl", "mismatch_rollout_ppl", "mismatch_rollout_log_ppl"),
    *("mismatch_ppl_ratio", "mismatch_log_ppl_diff", "mismatch_log_ppl_abs_diff"),
}  # fmt: skip
SEQUENCES = {f"rollout_is_seq_{name}" for name in ("mean", "std", "min", "max_deviation", "fraction_low")}


@dataclass(frozen=True)
class Difference:
    """Figures that are not verl's, in the cases that it speaks of."""

    reason: str
    figures: set[str]
    applies: Callable[[dict[str, Any]], bool]


def level(case: dict[str, Any]) -> str | None:
    found: str | None = case["config"].get("rollout_is")
    return found


DIFFERENCES = (
    Difference(
        "A feature that is off brings no figure; verl reports 0.",
        VETO,
        lambda case: "rollout_token_veto_threshold" not in case["config"],
    ),
    Difference(
        "Ratios are counted before truncation; at e7cdce1 after it, when none is above the threshold any more.",
        {"rollout_is_ratio_fraction_high", "rollout_is_seq_fraction_high", "rollout_is_seq_fraction_low"},
        lambda case: case["verl"] == "e7cdce1",
    ),
    Difference(
        "The highest weight is a weight; verl reports the sequence's ratio before truncation.",
        {"rollout_is_max"},
        lambda case: level(case) == "sequence",
    ),
    Difference(
        "Spread and ESS are of weights within [1/C, C], as at e7cdce1; v0.9 takes those within [0, C].",
        {"rollout_is_std", "rollout_is_eff_sample_size"},
        lambda case: case["verl"] == "v0.9",
    ),
    Difference(
        "Empty sequences are left out; in verl they have perplexity 1 and weight 0.",
        PERPLEXITY | SEQUENCES | {"chi2_seq"},
        lambda case: case["data"].startswith("ragged"),
    ),
    Difference(
        "Shares of sequences are of those that are not empty.",
        {"rollout_is_ratio_fraction_high", "rollout_is_ratio_fraction_low"},
        lambda case: case["data"].startswith("ragged") and level(case) == "sequence",
    ),
    Difference(
        "What is not finite is counted and left out; in verl it makes the figure infinite, or NaN, or a clamped extreme.",
        {name for case in CASES for name in case["metrics"]} | {"weights"},
        lambda case: case["data"] == "inf_tokens",
    ),
)


def batch_of(case: dict[str, Any]) -> Batch:
    return Batch(
        *(torch.from_numpy(INPUTS[f"{case['data']}.{name}"]) for name in ("training", "rollout", "mask"))
    )


def config_of(case: dict[str, Any]) -> CorrectionConfig:
    return CorrectionConfig.from_mapping(case["config"])


@cache
def differing(case_id: str) -> set[str]:
    """Return what is not as in verl, whose float32 and float64 figures are equally good."""
    case = next(case for case in CASES if case["id"] == case_id)
    correction = batch_of(case).correct(config_of(case))
    ours = correction.metrics.as_dict()
    different = {
        name
        for name, references in case["metrics"].items()
        if not any(math.isclose(ours.get(name, math.nan), x, rel_tol=1e-5, abs_tol=2e-7) for x in references)
    }
    if correction.weights is not None:
        valid = INPUTS[f"{case['data']}.mask"] != 0
        weights = EXPECTED[f"{case['id']}.weights"][valid]
        if not np.allclose(correction.weights.numpy()[valid], weights, rtol=2e-6, atol=0):
            different.add("weights")
    return different


@each_case
def test_weights_and_figures_are_verls_save_for_the_known_differences(case: dict[str, Any]) -> None:
    known = set().union(*(d.figures for d in DIFFERENCES if d.applies(case)))
    assert differing(case["id"]) - known == set()


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.reason)
def test_a_known_difference_is_still_one(difference: Difference) -> None:
    """Every figure it names differs in one case at least, or the list has outlived its reason."""
    found = set().union(*(differing(case["id"]) for case in CASES if difference.applies(case)))
    assert difference.figures - found == set()


@each_case
def test_the_mask_is_verls(case: dict[str, Any]) -> None:
    """Where verl rejects as well, it may keep less, and what is vetoed here is gone there too."""
    b = batch_of(case)
    ours, verls = (
        b.correct(config_of(case)).response_mask.numpy() != 0,
        EXPECTED[f"{case['id']}.mask"],
    )
    if case["rejects"]:
        assert not (verls & ~ours).any()
    else:
        assert np.array_equal(verls, ours)


@each_case
def test_the_judge_agrees_on_these_too(case: dict[str, Any]) -> None:
    """The judge is judged by verl, and judges the figures that verl does not have."""
    verdict = batch_of(case).judge(config_of(case))
    metrics = batch_of(case).correct(config_of(case)).metrics.as_dict()
    # at the boundary, rounding decides which side of the threshold a ratio is on
    shares = {name for name in metrics if "fraction_high" in name or "fraction_low" in name}
    on_an_edge = shares if verdict.margin < 1e-5 else set()
    assert disagreements(verdict, metrics).keys() - on_an_edge == set()
