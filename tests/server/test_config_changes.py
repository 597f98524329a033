"""What one configuration changes of another, in a few words."""

from rolloutwatch_server.store.config_changes import LETTERS_OF_A_VALUE, changes


def test_a_few_changes_are_named_and_the_others_counted() -> None:
    before = {f"setting_{n}": n for n in range(9)}
    after = {name: value + 1 for name, value in before.items()}
    assert changes(before, before | {"setting_3": 7}) == {"setting_3": "3 → 7"}
    assert changes(before, after) == {f"setting_{n}": f"{n} → {n + 1}" for n in range(5)} | {
        "others_changed": 4
    }


def test_what_says_the_same_is_no_change() -> None:
    """A whole number is one however it was written; yes is not one, and nothing is not off."""
    nan = float("nan")
    assert changes({"a": 2, "b": nan, "c": None}, {"a": 2.0, "b": nan, "c": None}) == {}
    assert changes({"a": True, "b": None, "c": 0.1}, {"a": 1, "c": 0.1000001}) == {
        "a": "yes → 1",
        "b": "not set → absent",
        "c": "0.1 → 0.1000001",
    }


def test_a_configuration_that_nobody_told_is_not_compared() -> None:
    assert changes({}, {"a": 1}) == changes({"a": 1}, {}) == {}


def test_of_long_texts_is_told_where_they_differ() -> None:
    """Paths, say, which differ at their end."""
    path = "/data/models/grpo/checkpoints/step-"
    assert changes({"model": f"{path}100"}, {"model": f"{path}200"}) == {
        "model": "…ts/step-100 → …ts/step-200"
    }
    (told,) = changes({"model": "a" * 99}, {"model": "b" * 99}).values()
    assert told == " → ".join(f"{letter * (LETTERS_OF_A_VALUE - 1)}…" for letter in "ab")
