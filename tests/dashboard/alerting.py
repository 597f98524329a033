"""A run on which something fires, for pages from a source in memory."""

from typing import Any

from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.severity import Severity
from rolloutwatch_dashboard import MemorySource

NOW = 1000.0
RUN = "math~a"


def alert(rule: str = "too_many_vetoed", **changes: Any) -> AlertView:
    """An alert that fires since 100 seconds."""
    usual: dict[str, Any] = {
        "id": f"id-of-{rule}",
        "run": RUN,
        "rule": rule,
        "epoch": 1,
        "severity": Severity.CRITICAL,
        "condition": "rollout_is_veto_fraction > 0.1",
        "firing_step": 12,
        "firing_time": NOW - 100,
        "values": {"rollout_is_veto_fraction": 0.14},
        "summary": "More than one sequence in ten is vetoed.",
        "cure": "Check the log-probs.",
        "guide": "docs/guides/too_many_vetoed.md",
    }
    return AlertView(**(usual | changes))


def source_with(*alerts: AlertView) -> MemorySource:
    """A source with a run that has alerts."""
    one = MemorySource()
    one.add_run(
        RUN, updated_at=NOW - 10, config={"rollout_is": "token", "rollout_token_veto_threshold": 1e-4}
    )
    for step in range(20):
        one.add_step(
            RUN, step, {"rollout_is_veto_fraction": 0.0 if step < 10 else 0.14, "mismatch_k3_kl": 1e-4}
        )
    for each in alerts:
        one.add_alert(each)
    return one
