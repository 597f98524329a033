"""The rules in force unless somebody brings others: `default_rules.toml`, which is part of this package.

For the server's side: rules are read by Python 3.11 or newer.
"""

from importlib.resources import files

from rolloutwatch_contract.written_rules import parse_rules

FILE = "default_rules.toml"

DEFAULT_DOCUMENT = files("rolloutwatch_contract").joinpath(FILE).read_text(encoding="utf-8")
DEFAULT_RULE_SET = parse_rules(DEFAULT_DOCUMENT, FILE)
DEFAULT_RULES = DEFAULT_RULE_SET.rules
