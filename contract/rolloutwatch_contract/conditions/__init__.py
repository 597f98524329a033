"""Conditions over the figures of a run: a small typed language, read by a parser of its own and never by Python's.

`nodes.py` says what a condition can be, `truth.py` what it can come to.
"""

from rolloutwatch_contract.conditions.nodes import Condition, Node
from rolloutwatch_contract.conditions.truth import Truth

__all__ = ["Condition", "Node", "Truth"]
