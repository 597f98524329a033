"""What a correction measures is what the contract says it can measure, so that no rule is called dead that could fire."""

import math

import pytest
import torch
from hypothesis import example, given, settings

from rolloutwatch_contract.conditions.nodes import (
    And,
    Comparison,
    Condition,
    Metric,
    Node,
    Not,
    Number,
    Over,
    Share,
)
from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.figure_bounds import figures_under
from rolloutwatch_contract.reach import why_never
from rolloutwatch_contract.rules import Rule
from rolloutwatch_contract.severity import Severity
from tests.correction.batches import FOREIGN, Batch, batch, batches, configs, quick

APART = batch([[-30.0, 30.0], [0.0, -19.0]])
TRUNCATED = CorrectionConfig(rollout_is="token", rollout_is_batch_normalize=True)
MASKED = CorrectionConfig(
    rollout_is="sequence", rollout_is_threshold="0.5_5.0", rollout_rs="token", rollout_rs_threshold=3.0
)
TINY = CorrectionConfig(rollout_is="token", rollout_is_threshold="1e-30_1e-25", rollout_is_mode="mask")


def true_of(metric: str, value: float) -> list[Node]:
    """Return conditions that a figure makes true, if it is there and is the same at every step."""
    figure, number, room = Metric(metric), Number(value), Number(abs(value) * 1e-9 + 1e-12)
    equal = Comparison("==", figure, number)
    return [
        equal,
        Comparison(">=", figure, number),
        Not(Comparison("<", figure, number)),
        Comparison("<=", Over("mean", metric, 2), number),
        Comparison(">=", Over("max", metric, 9), number),
        Comparison("<", Over("change", metric, 5), room),
        Comparison("<", Over("rate", metric, 5), room),
        Comparison(">=", Share(equal, 3), Number(1.0)),
    ]


def rule(node: Node) -> Rule:
    return Rule(name="x", severity=Severity.WARNING, when=Condition("", node))


@given(batches(strange=FOREIGN), configs())
@example(APART, TRUNCATED)
@example(APART, MASKED)
@example(APART, TINY)
@settings(quick, max_examples=50)
def test_no_rule_that_fires_was_called_dead(b: Batch, config: CorrectionConfig) -> None:
    """Whatever the batch: each figure alone, and all of them together."""
    figures = b.correct(config, entropy=torch.tensor(0.5)).metrics.as_dict()
    told = config.as_dict()
    for metric, value in figures.items():
        for node in true_of(metric, value):
            assert why_never(rule(node), told) is None, (metric, value, node)
    together = tuple(Comparison("==", Metric(metric), Number(value)) for metric, value in figures.items())
    assert why_never(rule(And(together)), told) is None


@given(batches(strange=FOREIGN, grouped=False), configs())
@settings(quick, max_examples=50)
def test_figures_lie_within_their_bounds(b: Batch, config: CorrectionConfig) -> None:
    """But for what float32 rounds."""
    possible = figures_under(config)
    figures = b.correct(config).metrics.as_dict()
    outside = {
        metric: (value, possible[metric])
        for metric, value in figures.items()
        if not possible[metric].wider(1e-5).low <= value <= possible[metric].wider(1e-5).high
    }
    assert outside == {}


@pytest.mark.parametrize("upper", [1.5, 2.0, 10.0])
@pytest.mark.parametrize("mode", ["truncate", "mask"])
def test_the_bounds_of_spread_are_reached(mode: str, upper: float) -> None:
    """Half of the ratios at either end have the highest std; so what is called dead is all that is."""
    config = CorrectionConfig(rollout_is="token", rollout_is_threshold=upper, rollout_is_mode=mode)
    inside = math.log(upper) - 1e-6
    figures = batch([[inside, -50.0 if mode == "mask" else -inside]]).correct(config).metrics.as_dict()
    possible = figures_under(config)
    assert figures["rollout_is_std"] == pytest.approx(possible["rollout_is_std"].high, rel=1e-5)
    assert figures["rollout_is_max"] == pytest.approx(possible["rollout_is_max"].high, rel=1e-5)


def test_the_lowest_effective_sample_size_is_reached() -> None:
    """With ratios 2 and 1/2, one in five of them high: 4 * 2 * 0.5 / 2.5^2."""
    config = CorrectionConfig(rollout_is="token", rollout_is_threshold=2.0)
    log2 = math.log(2.0)
    figures = batch([[log2, -log2, -log2, -log2, -log2]]).correct(config).metrics.as_dict()
    assert figures["rollout_is_eff_sample_size"] == pytest.approx(0.64, abs=1e-6)
    assert figures_under(config)["rollout_is_eff_sample_size"].low == 0.64
