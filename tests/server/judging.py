"""A run judged live by the store, and judged again of what the archive shows."""

from rolloutwatch_server.alerts.comparison import Difference, differences
from rolloutwatch_server.alerts.plan import Plan
from rolloutwatch_server.alerts.recorded import replay
from rolloutwatch_server.store import Store


def rule(name: str, when: str, **more: object) -> str:
    """A rule as TOML."""
    values = {"severity": "warning", "when": when, **more}
    lines = [
        f"{key} = {value!r}" if not isinstance(value, str) else f'{key} = "{value}"'
        for key, value in values.items()
    ]
    return "\n".join(["[[rule]]", f'name = "{name}"', *lines, ""])


def document(*rules: str, own: tuple[str, ...] = ("kl", "ess", "reward")) -> str:
    return f"own_metrics = {list(own)!r}\n" + "\n".join(rules)


def judged_again(store: Store, run: str) -> list[Difference]:
    """What is different from what was recorded live."""
    with store.judged(run) as judged:
        plans = {version: Plan(judged.rules_of(version)) for version in judged.versions}
        metrics = {metric for plan in plans.values() for metrics in plan.metrics_of for metric in metrics}
        happened = [
            pair
            for _, pairs in replay(judged.pieces(metrics), judged.notes, plans.__getitem__)
            for pair in pairs
        ]
        return differences(judged.recorded(), happened, judged.by_clock())


def timeline(store: Store, run: str) -> list[tuple[str, str, int, int, float, str]]:
    """All that ever happened to the alerts of a run, in order."""
    return [
        (one.rule, one.change.value, one.epoch, one.step, one.time, one.reason)
        for one in store.transitions(run, limit=100_000)
    ]
