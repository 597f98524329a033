"""How many runs the engine holds in memory, and what each takes."""

import random
import tracemalloc

import pytest

from rolloutwatch_contract.default_rules import DEFAULT_RULES
from rolloutwatch_contract.rules import Rule
from rolloutwatch_contract.written_rules import parse_rules
from rolloutwatch_server.alerts.book import RunRow
from rolloutwatch_server.alerts.evaluation import RunAlerts
from rolloutwatch_server.alerts.feed import Memory, Piece
from rolloutwatch_server.alerts.held import MOST_SILENT, SECONDS_AT_WORK, Held
from rolloutwatch_server.alerts.plan import Plan
from rolloutwatch_server.alerts.watch import Watch
from tests.server.judging import document, rule


def rules_of(*conditions: str) -> tuple[Rule, ...]:
    written = (rule(f"rule_{number}", condition) for number, condition in enumerate(conditions))
    return parse_rules(document(*written), "rules").rules


@pytest.mark.parametrize(
    "rules",
    [
        DEFAULT_RULES,
        rules_of(*(f"kl > {number}" for number in range(200))),
        rules_of(*(f"{name}(kl, 500) > {number}" for name in ("mean", "change") for number in range(4))),
        rules_of("max(kl, 2000) > 0", "rate(kl, 2000) > 0"),
        rules_of("off(kl, 2000) > 0", "off(kl, 1000) > 0", "trend(kl, 2000) > 0", "saw(kl, 2000) > 0"),
        rules_of("jump(kl, 2000) > 0", "jump(mismatch_kl, 2000) > 0"),
        rules_of("drift(kl, 2000) > 0", "drift(mismatch_kl, 2000) > 0"),
        rules_of(*(f"drift(mismatch_kl, {number}) > 0" for number in range(40, 80))),
        rules_of(*(f"share(kl > {number}, 1000) > 0" for number in range(4))),
    ],
    ids=["default", "plain", "windows", "costly", "sorted", "jumps", "drifts", "short_drifts", "shares"],
)
def test_a_run_takes_no_more_than_it_is_taken_to(rules: tuple[Rule, ...]) -> None:
    plan, count = Plan(rules), 3
    steps = 1 + max((one.samples for one in plan.windows), default=1000)
    figures = random.Random(1)
    metrics = [*plan.names, *(f"other_{number}" for number in range(60))]
    tracemalloc.start()
    try:
        runs = [RunAlerts(plan) for _ in range(count)]
        for number in range(steps):
            for run in runs:
                # falling, which is the most that a highest value has to keep
                values = {name: figures.random() - number for name in metrics}
                run.feed(Piece(number, float(number), 1, values))
        taken = tracemalloc.get_traced_memory()[0] / count
    finally:
        tracemalloc.stop()
    # windows of one metric share its values
    assert 0.25 * plan.weight < taken < plan.weight


def watch(heard_at: float, plan: Plan, *, ended: bool = False) -> Watch:
    return Watch("run", RunRow(Memory(), 1, heard_at, ended=ended), RunAlerts(plan), -1)


def test_runs_at_work_stay_and_those_too_many_do_not_put_them_out() -> None:
    """All that fit are held however many they are; of those beyond, each is read when it comes, and the others are not."""
    plan = Plan(DEFAULT_RULES)
    held = Held(most_bytes=500 * plan.weight)
    for _ in range(3):
        read = 0
        for number in range(510):
            found = held.get(f"run_{number}")
            read += found is None
            held.put(f"run_{number}", found or watch(1000.0, plan))
            held.let_go(1000.0)
            assert len(held) <= 500
    assert read == 10


def test_silent_runs_make_room_first() -> None:
    plan = Plan(DEFAULT_RULES)
    held = Held(most_bytes=3 * plan.weight)
    held.put("silent", watch(1000.0, plan))
    held.put("over", watch(1500.0, plan, ended=True))
    held.put("at work", watch(1500.0, plan))
    held.let_go(1500.0)
    assert len(held) == 3
    for number in range(2):
        held.put(f"new {number}", watch(1500.0, plan))
    held.let_go(1000.0 + SECONDS_AT_WORK + 1)
    assert [held.get(run) is None for run in ("silent", "over", "at work", "new 0", "new 1")] == [
        True, True, False, False, False,
    ]  # fmt: skip


def test_silent_runs_are_not_gathered_for_ever() -> None:
    plan = Plan(DEFAULT_RULES)
    held = Held()
    for number in range(MOST_SILENT + 100):
        held.put(f"run_{number}", watch(float(number), plan))
    held.let_go(10_000.0)
    assert len(held) == MOST_SILENT
    held.clear()
    assert (len(held), held.get(f"run_{MOST_SILENT}")) == (0, None)


def test_a_run_weighs_what_its_rules_in_force_do() -> None:
    """Other rules may have larger windows."""
    light, heavy = Plan(DEFAULT_RULES), Plan(rules_of("mean(kl, 10000) > 1"))
    held = Held(most_bytes=light.weight + heavy.weight - 1)
    one, other = watch(1000.0, light), watch(1000.0, light)
    held.put("one", one)
    held.put("other", other)
    held.let_go(1000.0)
    assert len(held) == 2
    other.alerts.replace(heavy, 1000.0)
    held.put("other", other)
    held.let_go(1000.0)
    assert (held.get("one"), held.get("other")) == (one, None)
