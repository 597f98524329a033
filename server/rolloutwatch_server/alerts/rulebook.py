"""The rules in force: those of a file, those that were saved by way of the API, or the default ones.

What is in force stands in the archive, as the newest set of rules, so that who evaluates them in a transaction
reads the same as who shows them; a set that cannot be is refused whole, and nothing changes.
"""

import enum
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from rolloutwatch_contract.written_rules import (
    DEFAULT_DOCUMENT,
    DEFAULT_RULE_SET,
    RuleError,
    RuleSet,
    parse_rules,
)
from rolloutwatch_server.alerts.rules_file import RulesFile
from rolloutwatch_server.store import Store, StoreError

log = logging.getLogger(__name__)

BY_API = "the rules"  # what a document is called that is no file
