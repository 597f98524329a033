"""What it costs to judge many rules on many runs: python -m benchmarks.alerts.evaluation

Seven of ten rules compare one figure, two are compound, one looks at a window. Figures are healthy but for a few:
in every run some rules fire all the time, and some wait to.
Only the processor's time of the evaluation counts: decoding, the archive and notifications are measured elsewhere.
"""

import itertools
import statistics
import time
from collections.abc import Iterator, Sequence

import numpy as np

from rolloutwatch_contract.conditions import metrics_of, parse
from rolloutwatch_contract.default_rules import DEFAULT_RULES
from rolloutwatch_contract.rules import Rule
from rolloutwatch_contract.severity import Severity
from rolloutwatch_server.alerts.evaluation import RunAlerts
from rolloutwatch_server.alerts.feed import Piece
from rolloutwatch_server.alerts.plan import Plan
from rolloutwatch_server.alerts.windows import empty_window

_NEAR_ONE = ("rollout_is_mean", "rollout_is_eff_sample_size", "mismatch_ppl_ratio", "n_tokens")
_AFTER_A_LOSS = {"dropped_records", "unmeasured_steps"}  # which the server makes, and only then

METRICS = [f"metric_{number}" for number in range(40)]  # around 1, and below 1.5 while all is well
BAD = METRICS[:2]  # these stand above that
STEPS = 5  # of every run between two looks at the clock
WARM_UP = 60  # steps, after which all windows are full
SEED = 7

_COMPOUND = [
    "{a} > {x} and {b} < 0.3",
    "{a} > {x} or {b} < 0.2 or {c} > 3",
    "not ({a} < {x} or {b} > 0.3)",
    "abs({a} - {b}) > {x} * {c}",
]
_WINDOWS = [
    "mean({a}, 20) > 1.5",
    "share({a} > 1.4, 50) > 0.5",
    "rate({a}, 30) > 0.2",
    "max({a}, 20) > 3 or min({a}, 20) < 0.01",
    "change({a}, 10) > 2",
]


def core_fraction(
    seconds: float, rules: int = 500, runs: int = 64, steps_per_second: float = 10.0
) -> dict[str, float]:
    """Return what part of a core it takes to judge so many rules on so many runs, and what one step of one run costs.

    Args:
        seconds: How long to measure at most, after every window has been filled.
        rules: How many rules each run has.
        runs: How many runs there are.
        steps_per_second: How many steps each of them makes in a second.
    """
    costs = _costs(Plan(mixed_rules(rules)), list(itertools.islice(_figures(), 200)), runs, seconds)
    return {
        "core_fraction": statistics.median(costs) * runs * steps_per_second,
        "step_us": 1e6 * statistics.median(costs),
    }


def default_rules_step_us(seconds: float) -> float:
    """Return the microseconds that one step of one run costs with the default rules."""
    return 1e6 * statistics.median(_costs(Plan(DEFAULT_RULES), [healthy_figures()], 8, seconds))


def value_us(function: str, seconds: float, samples: int = 400) -> float:
    """Return the microseconds that a window takes for one more value, once it is full."""
    window = empty_window(function, samples, "mismatch_k3_kl")
    values = np.random.default_rng(SEED).lognormal(-7, 0.5, 1000).tolist()
    costs = []
    began = time.perf_counter()
    while len(costs) < 2 or time.perf_counter() - began < seconds:
        before = time.process_time()
        for step, value in enumerate(values):
            window.push(step, value)
        costs.append((time.process_time() - before) / len(values))
    return 1e6 * statistics.median(costs[1:])  # the first ones filled it


def healthy_figures() -> dict[str, float]:
    """Return what the default rules look at, such that all is well."""
    names = {name for rule in DEFAULT_RULES for name in metrics_of(rule.when.node)}
    return {
        name: 1.0 if "ratio_" in name or name in _NEAR_ONE else 0.0 for name in sorted(names - _AFTER_A_LOSS)
    }


def mixed_rules(count: int) -> list[Rule]:
    """Return so many rules, of which about one in twenty fires or waits to."""
    return [_rule(number) for number in range(count)]


def _rule(number: int) -> Rule:
    a, b, c = (METRICS[(number * step + step) % len(METRICS)] for step in (1, 3, 7))
    kind, variant = number % 10, number // 10
    if kind < 7:  # each with a limit of its own
        text = f"{a} < {0.2 + 1e-4 * number}" if number % 3 else f"{a} > {1.6 + 1e-4 * number}"
    elif kind < 9:
        text = _COMPOUND[(2 * variant + kind) % len(_COMPOUND)].format(a=a, b=b, c=c, x=2 + 1e-4 * number)
    else:
        text = _WINDOWS[variant % len(_WINDOWS)].format(a=a)
    return Rule(
        name=f"rule_{number}",
        severity=Severity.WARNING,
        when=parse(text),
        for_steps=3 if number % 2 else 1_000_000,
        clear_steps=5,
    )


def _costs(plan: Plan, metrics: Sequence[dict[str, float]], runs: int, seconds: float) -> list[float]:
    """Return what a step of a run cost in each round, in seconds."""
    judged = [RunAlerts(plan) for _ in range(runs)]
    costs = []
    began = time.perf_counter()
    for round_ in itertools.count():
        steps = range(round_ * STEPS, (round_ + 1) * STEPS)
        pieces = [Piece(step, 0.1 * step, 1, metrics[step % len(metrics)]) for step in steps]
        before = time.process_time()
        for piece in pieces:
            for alerts in judged:
                alerts.feed(piece)
        spent = (time.process_time() - before) / (runs * STEPS)
        if steps.start >= WARM_UP:
            costs.append(spent)
        if costs and time.perf_counter() - began > seconds:
            return costs
    raise AssertionError("it is counted without end")


def _figures() -> Iterator[dict[str, float]]:
    random = np.random.default_rng(SEED)
    while True:
        values = random.uniform(0.6, 1.4, len(METRICS))
        yield {**dict(zip(METRICS, values.tolist(), strict=True)), **dict.fromkeys(BAD, 2.0)}


if __name__ == "__main__":
    found = core_fraction(20.0)
    print(f"500 rules x 64 runs x 10 steps a second: {found['core_fraction']:.3f} of a core")
    print(f"a step of a run: {found['step_us']:.0f} microseconds")
    print(f"with the {len(DEFAULT_RULES)} default rules: {default_rules_step_us(5.0):.0f} microseconds")
    for name in ("mean", "off", "trend", "saw", "jump", "drift"):
        print(f"a value of {name} over 400: {value_us(name, 1.0):.1f} microseconds")
