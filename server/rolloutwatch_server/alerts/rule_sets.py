"""What stands in the archive as the rules in force, as rules."""

import re

from rolloutwatch_contract.default_rules import DEFAULT_DOCUMENT, DEFAULT_RULES
from rolloutwatch_contract.protocol import Origin
from rolloutwatch_contract.rules import Rule
from rolloutwatch_contract.written_rules import parse_rules
from rolloutwatch_server.store import RuleSetView

_NAMES = re.compile(r"[A-Za-z0-9_./@-]+")


def rules_of(saved: RuleSetView) -> tuple[Rule, ...]:
    """Return the rules of a set that was accepted once.

    Its metrics were known then, and are still meant when the last run that had one of them is deleted.
    """
    if saved.origin == Origin.DEFAULT.value:
        return DEFAULT_RULES
    return parse_rules(saved.document, "the rules in force", set(_NAMES.findall(saved.document))).rules


def document_of(saved: RuleSetView) -> str:
    """Return what was written; the default rules are those of this version, whenever they were put in force."""
    return DEFAULT_DOCUMENT if saved.origin == Origin.DEFAULT.value else saved.document
