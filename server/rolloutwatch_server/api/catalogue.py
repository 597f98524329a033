"""What every metric means, and the limits that charts and tiles show."""

from typing import Any, Literal

import msgspec
from fastapi import APIRouter, Response
from pydantic import BaseModel

from rolloutwatch_contract import METRICS, Better, Group, Level
from rolloutwatch_contract.limits import DEFAULT_LIMITS, Limit
from rolloutwatch_server.api.answers import answer

router = APIRouter(tags=["catalogue"])


class OneMetric(BaseModel):
    """A figure. `needs` names the configuration key that brings it; empty means it always comes."""

    name: str
    title: str
    group: Group
    level: Level
    unit: str
    better: Better
    ideal: float | None
    meaning: str
    formula: str
    needs: str


class OneRule(BaseModel):
    """A metric must not stand above `above` or below `below`; null where there is no such limit.

    An alert begins once that is so at `for_steps` steps one after the other, and ends after `clear_steps` good ones.
    """

    name: str
    metric: str
    severity: Literal["ok", "warning", "critical"]
    above: float | None
    below: float | None
    for_steps: int
    clear_steps: int
    summary: str
    cure: str


class Catalogue(BaseModel):
    """Every metric there is, and every rule."""

    metrics: list[OneMetric]
    rules: list[OneRule]


@router.get("/catalogue", responses={200: {"model": Catalogue}})
def get_catalogue() -> Response:
    """List the metrics that Rolloutwatch knows, and the limits that charts and tiles show."""
    return answer({"metrics": list(METRICS.values()), "rules": [_rule(rule) for rule in DEFAULT_LIMITS]})


def _rule(rule: Limit) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.structs.asdict(rule)
    return fields | {"severity": rule.severity.name.lower()}
