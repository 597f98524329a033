"""The rules in force: those of a file, those that were saved by way of the API, or the default ones.

What is in force stands in the archive, as the newest set of rules, so that who judges records in a transaction
reads the same as who shows them. A set that cannot be is refused whole, and what is in force stays in force.
"""

import logging
from pathlib import Path

from rolloutwatch_contract.default_rules import DEFAULT_DOCUMENT
from rolloutwatch_contract.protocol import Origin, RulesView
from rolloutwatch_contract.rule_errors import RuleError
from rolloutwatch_contract.rules import Rule
from rolloutwatch_contract.written_rules import RuleSet, parse_rules
from rolloutwatch_server.alerts.rules_file import RulesFile
from rolloutwatch_server.store import Store, StoreError

log = logging.getLogger(__name__)

SENT = "the rules"  # what a document is called that is in no file


class RulesAreInAFile(RuntimeError):
    """The rules belong to a file, and are changed there."""

    def __init__(self, file: str) -> None:
        super().__init__(
            f"the rules are those of {file} (--rules-file): edit that, and they are in force within seconds."
        )


class Rulebook:
    """What is in force, and how that changes. Safe to use from any thread; one alone calls `look`."""

    def __init__(self, store: Store, file: Path | None = None) -> None:
        self._store = store
        self._file = None if file is None else RulesFile(file)
        self.problem = ""  # why what the file says is not in force

    @property
    def file(self) -> str:
        """The name of the file that the rules belong to; empty if there is none."""
        return "" if self._file is None else str(self._file.path)

    def rules(self) -> tuple[Rule, ...]:
        """Return the rules in force."""
        return self._store.rules_in_force()[1]

    def view(self) -> RulesView:
        """Return the rules in force, and where they come from."""
        saved, rules = self._store.rules_in_force()
        return RulesView(
            origin=Origin(saved.origin),
            version=saved.version,
            document=saved.document,
            rules=rules,
            author=saved.author,
            time=saved.time if saved.author else None,
            file=self.file,
            problem=self.problem,
        )

    def check(self, document: str, file: str = SENT) -> RuleSet:
        """Return what a document says; RuleError if it cannot be in force."""
        return parse_rules(document, file, self._store.known_metrics())

    def save(self, document: str, author: str, expected_version: int | None = None) -> RulesView:
        """Put other rules in force.

        RuleError, RulesChanged if others than those of `expected_version` are in force, RulesAreInAFile: nothing happened.
        """
        self._refuse_if_in_a_file()
        self.check(document)
        self._store.save_rule_set(document, Origin.API.value, author, expected_version)
        log.info("Other rules are in force, saved by %s.", author)
        return self.view()

    def reset(self, author: str, expected_version: int | None = None) -> RulesView:
        """Put the default rules in force; refused as `save` is."""
        self._refuse_if_in_a_file()
        self._store.save_rule_set(DEFAULT_DOCUMENT, Origin.DEFAULT.value, author, expected_version)
        log.info("The default rules are in force again, by %s.", author)
        return self.view()

    def open(self) -> None:
        """Read the file, if there is one, before anything is judged."""
        if self._file is not None:
            self._take_over(self._file)
        elif self._store.rule_set().origin == Origin.FILE.value:
            log.warning(
                "The rules in force are those of a file that --rules-file named before. "
                "Name it again, save others at /api/v1/rules, or delete them there for the default ones."
            )

    def look(self) -> None:
        """Read the file again if it has changed."""
        if self._file is not None and self._file.has_changed():
            self._take_over(self._file)

    def _take_over(self, file: RulesFile) -> None:
        try:
            document = file.text()
            saved = self._store.rule_set()
            if (saved.origin, saved.document) != (Origin.FILE.value, document):
                self.check(document, self.file)
                self._store.save_rule_set(document, Origin.FILE.value, self.file)
        except RuleError as error:
            self._refused(str(error))
        except StoreError:
            file.forget()
            raise
        else:
            self.problem = ""
            log.info("%s is in force: %d rules.", self.file, len(self.rules()))

    def _refused(self, why: str) -> None:
        self.problem = why
        log.error("%s Nothing of it is in force, and the rules that were in force stay in force.", why)

    def _refuse_if_in_a_file(self) -> None:
        if self._file is not None:
            raise RulesAreInAFile(self.file)
