"""Which rules are in force: those of a file that somebody edits, well or badly, while the server runs, or those saved."""

import contextlib
import logging
import os
import sqlite3
from pathlib import Path

import pytest

from rolloutwatch_contract.default_rules import DEFAULT_DOCUMENT, DEFAULT_RULES
from rolloutwatch_contract.protocol import Origin
from rolloutwatch_contract.rule_errors import RuleError
from rolloutwatch_server.alerts.rulebook import Rulebook, RulesAreInAFile
from rolloutwatch_server.alerts.rules_file import MOST_BYTES
from rolloutwatch_server.store import RulesChanged, Store
from tests.server.records import STREAM, batch, start, step

GOOD = '[[rule]]\nname = "own"\nseverity = "warning"\nwhen = "mismatch_k3_kl > 0.5"\n'
BETTER = GOOD.replace("0.5", "0.7")
BAD = GOOD.replace("mismatch_k3_kl", "mismatch_k3_lk")


def names(book: Rulebook) -> list[str]:
    return [rule.name for rule in book.rules()]


def edit(path: Path, text: str | bytes, book: Rulebook) -> None:
    """Write the file, and let the book look twice: one that has just changed is left alone once."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    book.look()
    book.look()


def test_the_default_rules_are_in_force_until_others_are(store: Store) -> None:
    view = Rulebook(store).view()
    assert (view.origin, view.version, view.author, view.time) == (Origin.DEFAULT, 0, "", None)
    assert (view.rules, view.document) == (DEFAULT_RULES, DEFAULT_DOCUMENT)


def test_rules_that_are_saved_are_in_force_also_after_a_restart(store: Store, path: Path) -> None:
    book = Rulebook(store)
    saved = book.save(GOOD, "alice")
    assert (saved.origin, saved.author, saved.document) == (Origin.API, "alice", GOOD)
    store.close()
    again = Store(path)
    assert names(Rulebook(again)) == ["own"]
    again.close()


def test_who_saves_over_another_one_is_told(store: Store) -> None:
    """Of two people who read the same rules the second one saves nothing."""
    book = Rulebook(store)
    read = book.view().version
    saved = book.save(GOOD, "alice", read)
    with pytest.raises(RulesChanged):
        book.save(BETTER, "bob", read)
    with pytest.raises(RulesChanged):
        book.reset("bob", read)
    assert book.view() == saved


def test_the_default_rules_come_back(store: Store) -> None:
    """As another version, so that nobody saves over them unawares."""
    book = Rulebook(store)
    version = book.save(GOOD, "alice").version
    view = book.reset("alice")
    assert view.version > version
    assert (view.origin, view.document) == (Origin.DEFAULT, DEFAULT_DOCUMENT)
    assert book.rules() == DEFAULT_RULES


def test_rules_that_cannot_be_change_nothing(store: Store) -> None:
    book = Rulebook(store)
    saved = book.save(GOOD, "alice")
    with pytest.raises(RuleError) as refused:
        book.save(BAD, "bob")
    assert (refused.value.rule, refused.value.key, refused.value.line) == ("own", "when", 4)
    assert book.view() == saved


def test_a_metric_is_known_by_the_catalogue_the_archive_or_the_rules_in_force(store: Store) -> None:
    """And rules in force stay in force when the last run that had their metric is deleted."""
    book = Rulebook(store)
    own = GOOD.replace("mismatch_k3_kl", "reward_of_mine")
    with pytest.raises(RuleError, match="reward_of_mine"):
        book.save(own, "alice")
    store.archive(STREAM, batch(start(), step(1, reward_of_mine=1.0)))
    assert book.save(own, "alice").rules[0].when.text == "reward_of_mine > 0.5"
    with store._database.write() as db:
        db.execute("DELETE FROM beginnings")
    assert names(Rulebook(store)) == ["own"]
    assert book.save(own.replace("0.5", "0.6"), "alice").rules[0].when.text == "reward_of_mine > 0.6"


def test_a_file_owns_the_rules(store: Store, tmp_path: Path) -> None:
    """They are in force from the start, and nobody saves others beside it."""
    file = tmp_path / "rules.toml"
    file.write_text(GOOD)
    book = Rulebook(store, file)
    book.open()
    view = book.view()
    assert (view.origin, view.file, view.author, view.problem) == (Origin.FILE, str(file), str(file), "")
    assert names(book) == ["own"]
    for change in (lambda: book.save(BETTER, "alice"), lambda: book.reset("alice")):
        with pytest.raises(RulesAreInAFile, match=r"rules\.toml"):
            change()
    assert book.view() == view


def test_a_file_that_is_edited_is_in_force_soon(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(GOOD)
    book = Rulebook(store, file)
    book.open()
    version = book.view().version
    book.look()
    assert book.view().version == version
    edit(file, BETTER, book)
    assert book.rules()[0].when.text == "mismatch_k3_kl > 0.7"
    assert book.view().version > version


def test_the_same_file_is_the_same_version_after_a_restart(store: Store, tmp_path: Path) -> None:
    """Else every restart would look like an edit."""
    file = tmp_path / "rules.toml"
    file.write_text(GOOD)
    versions = []
    for _ in range(2):
        book = Rulebook(store, file)
        book.open()
        versions.append(book.view().version)
    assert versions[0] == versions[1] > 0


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (BAD.encode(), "mismatch_k3_lk"),
        (b"[[rule]\n", "not TOML"),
        (b"", "no rules"),
        (b"\xff\xfe", "not a text in UTF-8"),
        (b"#" * (MOST_BYTES + 1), f"more than {MOST_BYTES} bytes"),
    ],
    ids=["unknown metric", "no TOML", "empty", "bytes", "too long"],
)
def test_a_file_that_is_edited_badly_changes_nothing_and_is_named(
    content: bytes, complaint: str, store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, until it is edited again; what was in force stays in force."""
    file = tmp_path / "rules.toml"
    file.write_text(GOOD)
    book = Rulebook(store, file)
    book.open()
    version = book.view().version
    edit(file, content, book)
    for _ in range(3):
        book.look()
    view = book.view()
    assert (view.version, names(book)) == (version, ["own"])
    assert str(file) in view.problem
    assert complaint in view.problem
    errors = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert view.problem in errors[0]
    edit(file, BETTER, book)
    assert book.view().problem == ""
    assert book.rules()[0].when.text == "mismatch_k3_kl > 0.7"


def test_a_file_that_was_bad_before_the_start_leaves_what_was_in_force(store: Store, tmp_path: Path) -> None:
    """A server that does not start watches nothing."""
    Rulebook(store).save(GOOD, "alice")
    file = tmp_path / "rules.toml"
    file.write_text(BAD)
    book = Rulebook(store, file)
    book.open()
    assert (names(book), book.view().origin) == (["own"], Origin.API)
    assert "mismatch_k3_lk" in book.view().problem


def test_a_file_that_is_not_there_is_named_and_taken_once_it_is(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    book = Rulebook(store, file)
    book.open()
    assert "No such file" in book.view().problem
    assert book.rules() == DEFAULT_RULES
    edit(file, GOOD, book)
    assert (names(book), book.view().problem) == (["own"], "")


def test_a_file_that_is_replaced_by_an_older_one_is_read(store: Store, tmp_path: Path) -> None:
    """Put back from a backup, say, with its time of then."""
    file, older = tmp_path / "rules.toml", tmp_path / "older.toml"
    older.write_text(GOOD)
    file.write_text(BETTER)
    os.utime(older, (1.0, 1.0))
    book = Rulebook(store, file)
    book.open()
    older.replace(file)
    book.look()
    book.look()
    assert book.rules()[0].when.text == "mismatch_k3_kl > 0.5"


def test_without_its_file_what_it_said_last_stays_until_somebody_says_otherwise(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(GOOD)
    Rulebook(store, file).open()
    book = Rulebook(store)
    book.open()
    assert names(book) == ["own"]
    assert "--rules-file" in caplog.text
    assert book.save(BETTER, "alice").origin is Origin.API


def test_saved_rules_that_name_what_is_gone_since_are_in_force_and_can_be_replaced(
    store: Store, path: Path
) -> None:
    """As by a later version, which has another catalogue and other guides: its server judges on, and is told new rules."""
    gone = GOOD.replace("mismatch_k3_kl", "gone") + 'guide = "docs/guides/gone.md"\n'
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "INSERT INTO rule_sets (time, author, origin, document) VALUES (1, 'alice', 'api', ?)", (gone,)
        )
    book = Rulebook(store)
    assert [(rule.name, rule.when.text) for rule in book.rules()] == [("own", "gone > 0.5")]
    store.archive(STREAM, batch(start(), step(1, gone=1.0)))
    assert [alert.rule for alert in store.alerts()] == ["own"]
    with pytest.raises(RuleError, match="guide is"):
        book.save(gone, "alice")
    assert book.save(BETTER, "alice").rules[0].when.text == "mismatch_k3_kl > 0.7"
    assert store.broken_alerts == {}
