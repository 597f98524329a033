"""How rules stand on a run, and which of them can never fire there."""

import logging
from collections.abc import Sequence

from rolloutwatch_contract.conditions import by_clock, metrics_of
from rolloutwatch_contract.protocol import Phase, RuleState, RunDetail
from rolloutwatch_contract.reach import why_never
from rolloutwatch_contract.rules import Rule
from rolloutwatch_server.store import Store
from rolloutwatch_server.store.watching import Stands

log = logging.getLogger(__name__)


def standing(store: Store, rules: Sequence[Rule], detail: RunDetail) -> list[RuleState]:
    """Return how each rule that watches a run stands there, in their order."""
    stands = store.stands(detail.summary.id)
    return [
        RuleState(rule=rule.name, phase=_phase(rule, stands), why_never=_why_never(rule, detail))
        for rule in rules
        if rule.applies_to(detail.summary.id)
    ]


def _phase(rule: Rule, stands: Stands) -> Phase:
    """Return how a rule stands, unknown as long as none of its figures has come."""
    if rule.name in stands.phases:
        return Phase(stands.phases[rule.name])
    is_judged = stands.came if by_clock(rule.when.node) else stands.came & set(metrics_of(rule.when.node))
    return Phase.OK if is_judged else Phase.UNKNOWN


def tell_what_cannot_fire(store: Store, rules: Sequence[Rule], run: str) -> None:
    """Hold the configuration of a run that has started against the rules, and log which of them can never fire."""
    detail = store.run(run)
    if detail is None:
        return
    never = {
        rule.name: why
        for rule in rules
        if rule.applies_to(run) and (why := _why_never(rule, detail)) is not None
    }
    if never:
        why = "; ".join(f"{name}: {reason}" for name, reason in never.items())
        log.info("%d of the rules can never fire on run %s: %s", len(never), run, why, extra={"run": run})


def _why_never(rule: Rule, detail: RunDetail) -> str | None:
    """Ask with the metrics that came, once any did: what else may come is not known before."""
    return why_never(rule, detail.config, detail.metrics or None)
