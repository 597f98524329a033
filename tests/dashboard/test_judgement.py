"""How figures are judged: by the present, and by more than one moment of it."""

import math

import numpy as np
import pytest

from rolloutwatch_contract.limits import DEFAULT_LIMITS
from rolloutwatch_contract.protocol import RunDetail, RunState, RunSummary, Series
from rolloutwatch_contract.severity import Severity
from rolloutwatch_dashboard.judgement import health, is_past, verdict, with_voids

KL = "mismatch_k3_kl"


def series(values: dict[int, float]) -> Series:
    return Series(np.array(list(values), dtype=np.int64), np.array(list(values.values()), dtype=np.float64))


@pytest.mark.parametrize(
    ("steps", "now", "past"),
    [
        ([7, 8, 9], 9, False),
        ([7, 8, 9], 10, False),  # what is logged of a step may arrive before what is measured of it
        ([7, 8, 9], 11, True),
        ([0, 100, 200], 299, False),
        ([0, 100, 200], 351, True),
        ([0, 1, 2, 40, 41], 43, True),  # one hole does not make it a figure that comes seldom
        ([5], 5, False),
        ([5], 7, True),
        ([], 0, True),
    ],
)
def test_a_figure_is_of_the_past_when_it_is_overdue(steps: list[int], now: int, past: bool) -> None:
    assert is_past(steps, now) is past


def test_the_worst_of_the_last_ten_values_counts_and_the_last_such_speaks() -> None:
    values = [9.0, *[0.0] * 5, 0.2, 0.3, 0.05, 0.0]
    found = verdict(DEFAULT_LIMITS, KL, [9.0, *values])
    assert found is not None
    assert (found.rule.severity, found.value, found.at, found.times, found.of) == (
        Severity.CRITICAL,
        0.3,
        8,
        3,
        10,
    )
    assert verdict(DEFAULT_LIMITS, KL, [9.0, *[0.0] * 10]) is None
    assert verdict(DEFAULT_LIMITS, KL, [math.nan, math.nan]) is None
    assert verdict(DEFAULT_LIMITS, KL, []) is None


def test_a_step_of_which_nothing_could_be_read_is_a_hole_and_not_a_bridge() -> None:
    """No log-prob was finite, so no figure came; where a part of them was, the figure came and stays."""
    unreadable = series({0: 0.0, 1: 1.0, 2: 0.5, 3: 1.0, 4: 1.0})
    found = with_voids(series({0: 0.1, 2: 0.2, 4: 0.4}), unreadable)
    assert found.step.tolist() == [0, 1, 2, 3, 4]
    assert np.array_equal(found.value, [0.1, math.nan, 0.2, math.nan, 0.4], equal_nan=True)
    assert with_voids(series({}), unreadable).step.tolist() == [], "a figure that never came has no holes"


def run_of(
    *metrics: str, last: int | None = 9, state: RunState = RunState.LIVE, dropped: int = 0
) -> RunDetail:
    """Return a run that has these figures, and was told to veto nothing."""
    summary = RunSummary("math~a", "math", "a", state, 0, last, 0.0, 0.0)
    off = {"rollout_token_veto_threshold": None}
    return RunDetail(summary, metrics, off, {}, {"not_corrected": dropped} if dropped else {})


@pytest.mark.parametrize(
    ("run", "values", "expected"),
    [
        (run_of(KL), {9: 1e-5}, ("healthy", "ok")),
        (run_of(KL), {9: 0.05}, ("warning", "warning")),
        (run_of(KL), {9: 0.5}, ("critical", "critical")),
        (run_of(KL), {9: math.nan}, ("not measured", "unknown")),
        (run_of(KL), {3: 1e-5}, ("not measured", "unknown")),  # of the past
        (run_of("reward"), {}, ("not measured", "unknown")),
        (run_of("reward", dropped=10), {}, ("not measured", "critical")),
        (run_of(last=None), {}, ("waiting", "unknown")),
        (run_of(last=None, state=RunState.FINISHED), {}, ("no step", "unknown")),
    ],
)
def test_a_run_is_called_what_its_figures_say(
    run: RunDetail, values: dict[int, float], expected: tuple[str, str]
) -> None:
    lately = {KL: series(values)} if KL in run.metrics else {}
    assert health(run, lately, [KL], DEFAULT_LIMITS) == expected


def test_a_run_is_no_healthier_than_what_was_looked_at() -> None:
    """A core figure that is missing leaves a doubt, unless the run was told not to measure it."""
    run, lately = run_of(KL), {KL: series({9: 1e-5})}
    assert health(run, lately, [KL, "mismatch_ppl_ratio"], DEFAULT_LIMITS) == ("partly measured", "unknown")
    assert health(run, lately, [KL, "rollout_is_veto_fraction"], DEFAULT_LIMITS) == ("healthy", "ok")
