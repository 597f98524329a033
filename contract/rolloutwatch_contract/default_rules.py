"""The rules in force unless somebody brings others: `default_rules.toml`, which is part of this package.

For the server's side: rules are read by Python 3.11 or newer.
"""

from rolloutwatch_contract.default_document import FILE, default_document
from rolloutwatch_contract.written_rules import parse_rules

DEFAULT_DOCUMENT = default_document()
DEFAULT_RULE_SET = parse_rules(DEFAULT_DOCUMENT, FILE)
DEFAULT_RULES = DEFAULT_RULE_SET.rules
