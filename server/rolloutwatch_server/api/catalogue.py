"""What every metric means, and the limits that charts and tiles show."""

from typing import Any

import msgspec
from fastapi import APIRouter, Response

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.rules import DEFAULT_RULES, Rule
from rolloutwatch_server.api.answers import answer

router = APIRouter(tags=["catalogue"])


@router.get("/catalogue")
def get_catalogue() -> Response:
    """List the metrics of the catalogue, and the rules; a rule without an upper or lower limit has null there."""
    return answer({"metrics": list(METRICS.values()), "rules": [_rule(rule) for rule in DEFAULT_RULES]})


def _rule(rule: Rule) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.structs.asdict(rule)
    return fields | {"severity": rule.severity.name.lower()}
