"""Conditions over the figures of a run: a small typed language, read by a parser of its own and never by Python's.

`nodes.py` says what a condition can be, `truth.py` what it can come to, `parser.py` how it is written.
"""

from rolloutwatch_contract.conditions.errors import ConditionError
from rolloutwatch_contract.conditions.nodes import Condition, Node
from rolloutwatch_contract.conditions.parser import parse
from rolloutwatch_contract.conditions.printer import text_of
from rolloutwatch_contract.conditions.truth import Truth
from rolloutwatch_contract.conditions.walks import by_clock, metrics_of, walk

__all__ = [
    "Condition",
    "ConditionError",
    "Node",
    "Truth",
    "by_clock",
    "metrics_of",
    "parse",
    "text_of",
    "walk",
]
