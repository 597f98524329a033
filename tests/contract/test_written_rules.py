"""Rules that people write: what is read, and what is refused in words that help, at its place in the file."""

from typing import Any

import pytest

from rolloutwatch_contract.conditions import parse
from rolloutwatch_contract.rules import Rule
from rolloutwatch_contract.severity import Severity
from rolloutwatch_contract.written_rules import RuleError, RuleSet, near_metrics, parse_rules, read_rules

SOUND = {"name": "kl", "severity": "warning", "when": "mismatch_k3_kl > 0.1"}
SHORT = {"name": "kl", "severity": "warning", "metric": "mismatch_k3_kl", "above": 0.1}


def read(*written: dict[str, Any]) -> tuple[Rule, ...]:
    return read_rules({"rule": list(written)}, "rules.toml").rules


def refused(text: str, known: tuple[str, ...] = ()) -> RuleError:
    with pytest.raises(RuleError) as error:
        parse_rules(text, "rules.toml", known)
    return error.value


def test_a_rule_is_read_with_all_it_may_say() -> None:
    text = """
    own_metrics = ["reward_mean", "actor/entropy"]

    [[rule]]
    name = "kl"
    severity = "critical"
    when = "mismatch_k3_kl > 1 or mean(reward_mean, 5) < 0"
    clear = "mismatch_k3_kl < 0.5"
    for_steps = 3
    for_seconds = 60
    clear_steps = 5
    runs = ["math~*", "code~grpo-7b"]
    enabled = false
    summary = "The policies drift apart."
    cure = "Sync the weights."
    guide = "https://wiki.example/kl"

    [[rule]]
    name = "entropy"
    severity = "warning"
    when = '`actor/entropy` < 0.1'
    runs = "math~*"
    """
    assert parse_rules(text, "rules.toml") == RuleSet(
        rules=(
            Rule(
                name="kl",
                severity=Severity.CRITICAL,
                when=parse("mismatch_k3_kl > 1 or mean(reward_mean, 5) < 0"),
                clear=parse("mismatch_k3_kl < 0.5"),
                for_steps=3,
                for_seconds=60.0,
                clear_steps=5,
                runs=("math~*", "code~grpo-7b"),
                enabled=False,
                summary="The policies drift apart.",
                cure="Sync the weights.",
                guide="https://wiki.example/kl",
            ),
            Rule(
                name="entropy",
                severity=Severity.WARNING,
                when=parse("`actor/entropy` < 0.1"),
                clear=None,
                for_steps=1,
                for_seconds=0.0,
                clear_steps=1,
                runs=("math~*",),
                enabled=True,
            ),
        ),
        own_metrics=("reward_mean", "actor/entropy"),
    )


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"above": 0.1}, "mismatch_k3_kl > 0.1"),
        ({"below": -1}, "mismatch_k3_kl < -1"),
        ({"above": 2, "below": 0.5}, "mismatch_k3_kl > 2 or mismatch_k3_kl < 0.5"),
    ],
)
def test_a_metric_with_limits_is_a_condition(limits: dict[str, float], text: str) -> None:
    written = {name: value for name, value in SHORT.items() if name != "above"}
    (rule,) = read(written | limits)
    assert rule.when == parse(text)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"whne": "x"}, ['rule "kl"', 'unknown key "whne"', 'Did you mean "when"?']),
        ({"zzz": "red"}, ['unknown key "zzz"', "Known are name, severity, when, metric"]),
        ({"name": 7}, ["rule 1", "name is 7", "expected 1 to 128 letters"]),
        ({"name": ""}, ["rule 1", 'name is ""', "expected 1 to 128 letters"]),
        ({"name": "<b>"}, ['name is "<b>"', "expected 1 to 128 letters"]),
        ({"severity": "bad"}, ['severity is "bad"', 'expected "warning" or "critical"']),
        ({"severity": 2}, ["severity is 2", 'expected "warning" or "critical"']),
        ({"when": 5}, ["when is 5", "expected a condition such as"]),
        ({"when": ""}, ["when, column 1: expected a number, a metric"]),
        ({"clear": ["x"]}, ['clear is ["x"]', "expected a condition such as"]),
        ({"clear": "silent(60)"}, ["clear is", "expected a condition over figures"]),
        ({"metric": "mismatch_kl"}, ["both when and metric are there", "expected one of them"]),
        ({"above": 1}, ["both when and metric are there", "expected one of them"]),
        ({"for_steps": 0}, ["for_steps is 0", "expected an integer from 1 to"]),
        ({"for_steps": True}, ["for_steps is true", "expected an integer"]),
        ({"clear_steps": 2.0}, ["clear_steps is 2.0", "expected an integer"]),
        ({"for_seconds": -1}, ["for_seconds is -1", "expected a number of seconds from 0"]),
        ({"for_seconds": float("nan")}, ["for_seconds is nan", "expected a number of seconds"]),
        ({"for_seconds": 1e10}, ["for_seconds is", "expected a number of seconds"]),
        ({"for_seconds": "60"}, ['for_seconds is "60"', "expected a number of seconds"]),
        ({"runs": []}, ["runs is []", "expected patterns of run ids"]),
        ({"runs": "math"}, ['runs is "math"', "which are project~name"]),
        ({"runs": ["math~*", 3]}, ["runs has 3:", "expected patterns of run ids"]),
        ({"runs": "math/*"}, ["runs is", "expected patterns of run ids"]),
        ({"runs": ["*"] * 101}, ["runs is", "at most 100"]),
        ({"enabled": "no"}, ['enabled is "no"', "expected true or false"]),
        ({"enabled": 1}, ["enabled is 1", "expected true or false"]),
        ({"summary": "x" * 1001}, ["summary is", "at most 1000 letters"]),
        ({"cure": 1}, ["cure is 1", "expected a text"]),
        ({"guide": 1}, ["guide is 1", "expected a text"]),
        (
            {"guide": "javascript:alert(1)"},
            ['guide is "javascript:alert(1)"', "expected docs/guides/<name>.md"],
        ),
        ({"guide": "docs/guides/kl_hihg.md"}, ['Did you mean "docs/guides/kl_high.md"?']),
        ({"guide": "kl_high"}, ['guide is "kl_high"', 'Did you mean "docs/guides/kl_high.md"?']),
    ],
)
def test_what_a_rule_cannot_say_is_refused_by_its_key(changes: dict[str, Any], words: list[str]) -> None:
    """File, rule, key, what was expected and what came."""
    with pytest.raises(RuleError) as error:
        read(SOUND | changes)
    assert [word for word in ["rules.toml", *words] if word not in str(error.value)] == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metric": ""}, ['metric is ""', "expected 1 to 128 letters"]),
        ({"metric": "mismatch_k3_lk"}, ['metric is "mismatch_k3_lk"', 'Did you mean "mismatch_k3_kl"?']),
        ({"above": "1"}, ['above is "1"', "expected a finite number"]),
        ({"above": True}, ["above is true", "expected a finite number"]),
        ({"above": float("inf")}, ["above is inf", "expected a finite number"]),
        ({"below": float("nan")}, ["below is nan", "expected a finite number"]),
        ({"above": 10**400}, ["above is 1000", "expected a finite number"]),
        ({"below": 0.2}, ["below is 0.2 and above is 0.1", "below <= above"]),
    ],
)
def test_limits_that_cannot_be_are_refused_by_their_key(changes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(RuleError) as error:
        read(SHORT | changes)
    assert [word for word in ['rules.toml, rule "kl"', *words] if word not in str(error.value)] == []


@pytest.mark.parametrize("key", ["name", "severity", "when"])
def test_what_a_rule_needs_is_missed_by_name(key: str) -> None:
    written = {name: value for name, value in SOUND.items() if name != key}
    with pytest.raises(RuleError, match=rf"rules\.toml, rule .*: {key} is missing\. Give one, such as"):
        read(written)


def test_limits_need_a_metric_and_a_metric_limits() -> None:
    with pytest.raises(RuleError, match="metric is missing"):
        read({name: value for name, value in SHORT.items() if name != "metric"})
    with pytest.raises(RuleError, match="expected above or below"):
        read({name: value for name, value in SHORT.items() if name != "above"})


@pytest.mark.parametrize("key", ["clear", "for_steps", "for_seconds", "clear_steps"])
def test_a_rule_by_the_clock_counts_no_steps(key: str) -> None:
    """It fires at once and ends with the next step, whatever else would be said."""
    others = {"clear": "mismatch_kl > 1", "for_steps": 1, "for_seconds": 0, "clear_steps": 1}
    (rule,) = read(SOUND | {"when": "silent(60)"})
    assert (rule.for_steps, rule.clear) == (1, None)
    with pytest.raises(RuleError, match=rf"{key} is .*: expected no {key} beside silent"):
        read(SOUND | {"when": "silent(60)", key: others[key]})


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"rule": []},
        {"rule": SOUND},
        {"rule": [1]},
        {"rule": "x"},
        {"rules": [SOUND]},
        {"own_metrics": ["x"]},
    ],
)
def test_a_file_without_rules_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(RuleError, match=r"^rules\.toml.*\[\[rule\]\]"):
        read_rules(document, "rules.toml")


def test_more_rules_than_anyone_writes_are_refused() -> None:
    with pytest.raises(RuleError, match="1001 rules: expected at most 1000"):
        read(*(SOUND | {"name": f"kl{number}"} for number in range(1001)))


@pytest.mark.parametrize("own", ["reward", [1], ["two words"], [f"m{number}" for number in range(1001)]])
def test_own_metrics_are_names(own: object) -> None:
    with pytest.raises(RuleError, match=r"own_metrics (is|has) .*: expected at most 1000 names of metrics"):
        read_rules({"own_metrics": own, "rule": [SOUND]}, "rules.toml")


def test_two_rules_have_two_names() -> None:
    error = refused(
        '[[rule]]\nname = "kl"\nseverity = "warning"\nwhen = "mismatch_kl > 1"\n\n'
        '[[rule]]\nseverity = "warning"\nname = "kl"\nwhen = "mismatch_kl > 2"\n'
    )
    assert (error.line, error.column, error.key) == (8, 8, "name")
    assert str(error).endswith("expected a name that no other rule of the file has. Rename one of the two.")


HEAD = 'own_metrics = ["reward_mean"]\n\n[[rule]]\nname = "one"\nseverity = "warning"\n'


@pytest.mark.parametrize(
    ("text", "line", "column", "rule", "key"),
    [
        # a key that is wrong, and one that is missing, which is where its rule begins
        (HEAD + 'when = "mismatch_kl > 1"\n  fro_steps = 3\n', 7, 3, "one", "fro_steps"),
        (HEAD, 3, 1, "one", None),
        ('# rules\n  [[rule]]\n  name = "one"\n', 2, 3, "one", None),
        (HEAD + 'when = "mismatch_kl > 1"\nfor_steps = 0 # none\n', 7, 13, "one", "for_steps"),
        (HEAD + 'when = "mismatch_kl > 1"\n\n[[rule]]\nname = 2\nseverity = "warning"\nwhen="x"\n', 9, 8, "2", "name"),
        # a condition, at the letter that is wrong
        (HEAD + 'when = "mismatch_kl >> 1"\n', 6, 22, "one", "when"),
        (HEAD + "when = 'mismatch_kl >> 1'\n", 6, 22, "one", "when"),
        (HEAD + '  "when"   =   "mismatch_kl > 1 and"\n', 6, 36, "one", "when"),
        (HEAD + 'when = "mismatch_kl\\t> \\u0031 and x > 1"\n', 6, 35, "one", "when"),
        (HEAD + 'when = """\nmismatch_kl > 1\n  and x > 1"""\n', 8, 7, "one", "when"),
        (HEAD + "when = '''mismatch_kl > 1\nand x > 1'''\n", 7, 5, "one", "when"),
        (HEAD + 'when = """mismatch_kl > 1 \\\n\n   and x > 1"""\n', 8, 8, "one", "when"),
        (HEAD.replace("\n", "\r\n") + 'when = """\r\nmismatch_kl > 1\r\nand x > 1"""\r\n', 8, 5, "one", "when"),
        (HEAD + 'when = "mismatch_kl > 1"\nclear = "mismatch_kl < 1 or x"\n', 7, 29, "one", "clear"),
        # whatever looks like a key or a table within strings, arrays and comments
        (
            'own_metrics = [\n  "a", # [[rule]]\n  "b",\n]\n[[rule]]\nname = "one"\nseverity = "warning"\n'
            'when = "mismatch_kl > 1"\nsummary = """\n[[rule]]\nfor_steps = 9 # \'no\n"""\n'
            "cure = '#]'\nruns = [\n  '*', # for_steps = 1\n]\nfor_steps = 'x'\n",
            17, 13, "one", "for_steps",
        ),
        ('own_metrics = "x"\n' + HEAD[30:], 1, 15, None, "own_metrics"),
        ('own_metrics = [\n  "a", # ["b c"]\n  "b c",\n]\n' + HEAD[30:], 3, 3, None, "own_metrics"),
        ("\nrules = 3\n", 2, 1, None, "rules"),
        # a name and an item that are wrong, and not the key that has them
        (HEAD + 'metric = "ratio_st"\nabove = 1\n', 6, 10, "one", "metric"),
        (HEAD + 'when = "mismatch_kl > 1"\nruns = ["math~*", "grpo"]\n', 7, 19, "one", "runs"),
        (HEAD + 'when = "mismatch_kl > 1"\nruns = [\n  "[a]~*", # one, "x"\n  "grpo",\n]\n', 9, 3, "one", "runs"),
        (HEAD + 'when = "mismatch_kl > 1"\nruns = "grpo"\n', 7, 8, "one", "runs"),
        # a key that cannot stand there, whatever its value
        (HEAD + 'when = "silent(60)"\nfor_steps = 1\n', 7, 1, "one", "for_steps"),
        # tables that are none of rules
        ('[[rules]]\nname = "one"\n', 1, 1, None, "rules"),
        (HEAD + 'when = "mismatch_kl > 1"\n  [foo.bar]\nx = 1\n', 7, 3, None, "foo"),
        ('# a rule\n[rule]\nname = "one"\n', 2, 1, None, "rule"),
        (HEAD + 'when = "mismatch_kl > 1"\n[rule.extra]\nx = 1\n[[rule]]\n', 7, 1, "one", "extra"),
        # rules in one array
        ('rule = [{name = "one", severity = "warning", when = "ratio_st > 1"}]\n', 1, 54, "one", "when"),
        (
            'rule = [ # {\n  {name = "one", severity = "warning", when = "n_tokens > 1", runs = ["*", "a~{,}b*"]},\n'
            '  {severity = "bad", name = "two", when = "n_tokens > 1"},\n]\n',
            2, 76, "one", "runs",
        ),
        (
            'rule = [\n  {name = "one", severity = "warning", when = "n_tokens > 1", summary = "[, {"},\n'
            '  {severity = "bad", name = "two", when = "n_tokens > 1"},\n]\n',
            3, 15, "two", "severity",
        ),
        ('rule = [{name = "one"},\n  {name = "two", severity = "warning"}]\n', 1, 9, "one", None),
        ("rule = [1]\n", 1, 1, None, "rule"),
    ],
)  # fmt: skip
def test_an_error_stands_at_its_place_in_the_file(
    text: str, line: int, column: int, rule: str | None, key: str | None
) -> None:
    error = refused(text)
    assert (error.file, error.line, error.column, error.rule, error.key) == (
        "rules.toml",
        line,
        column,
        rule,
        key,
    )
    assert str(error).startswith(f"rules.toml, line {line}, column {column}")


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ('[[rule]]\nname = \nseverity = "x"', 2, 8, "Invalid value"),
        ("[[rule]\n", 1, 7, "Expected ']]'"),
        ("a = 1\na = 2\n", 2, 6, "Cannot overwrite"),
        ('a = "x', 1, None, "Unterminated string"),
        ("a = " + "[" * 2000, None, None, "too deep"),
        ("a = " + "9" * 5000 + "\n\n", 1, None, "Exceeds the limit"),
        ("a = \x00", 1, 5, "Invalid value"),
    ],
)
def test_what_is_no_toml_is_refused_at_its_place(
    text: str, line: int | None, column: int | None, words: str
) -> None:
    error = refused(text)
    assert (error.line, error.column) == (line, column)
    assert "not TOML" in str(error)
    assert words in str(error)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('[[rules]]\nname = "one"\n', " Did you mean [[rule]]?"),
        ('[foo]\nname = "one"\n', " Did you mean [[rule]]?"),
        ('[rule]\nname = "one"\n', " Write [[rule]], with two brackets."),
        ('name = "one"\n', " A rule's name stands below its [[rule]]."),
        ('own_metric = ["a"]\n', " Did you mean own_metrics?"),
        (HEAD + 'own_metrics = ["a"]\n', " It stands at the head of the file, before the first [[rule]]."),
    ],
)
def test_what_stands_in_the_wrong_place_is_told_with_the_right_one(text: str, hint: str) -> None:
    """`[[rules]]` is the likeliest slip of all."""
    error = refused(text)
    assert str(error).endswith(hint)
    assert error.line is not None


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    """Some editors write one, and show none."""
    assert len(parse_rules("\ufeff" + HEAD + 'when = "mismatch_kl > 1"\n', "rules.toml").rules) == 1
    assert refused("\ufeff[[rules]]\n").column == 1


@pytest.mark.parametrize(
    "value",
    [
        "true", "2020-01-01", "2020-01-01T10:00:00", "10:00:00", "2.0", "1e-05", "inf", "nan", "[]", "{}",
        '[1, "a", false]', '{ x = "1", "y z" = [true] }',
    ],
)  # fmt: skip
def test_what_came_is_told_as_it_would_be_written(value: str) -> None:
    """In TOML, and not as Python has it."""
    error = refused(HEAD + f"when = {value}\n")
    assert error.came == value
    assert f"when is {value}: expected a condition such as" in str(error)


def test_what_came_is_told_short() -> None:
    assert refused(HEAD + f"when = [{'1, ' * 200}]\n").came == f"[{'1, ' * 32}..."
    assert refused(HEAD + f"when = {'[' * 200}{']' * 200}\n").came == "[[[[...]]]]"
    assert refused(HEAD.replace("warning", "x" * 200) + 'when = "n_tokens > 1"').came == f'"{"x" * 97}..."'


def test_what_was_expected_and_what_came_are_told_apart() -> None:
    """For who shows them beside the text."""
    error = refused(HEAD + 'when = "rollout_is_veto_fration > 0.1"\n')
    assert (error.expected, error.came) == ("a metric that is known", '"rollout_is_veto_fration"')
    assert str(error) == (
        'rules.toml, line 6, column 9, rule "one": when: expected a metric that is known, '
        'got "rollout_is_veto_fration". Did you mean "rollout_is_veto_fraction"? '
        'A metric of your own is declared at the top of the file: own_metrics = ["rollout_is_veto_fration"].'
    )
    error = refused(HEAD + 'when = "mismatch_kl > 1"\nfor_steps = 0\n')
    assert (error.expected, error.came) == ("an integer from 1 to 1000000", "0")


@pytest.mark.parametrize(
    "metric",
    [
        "mismatch_kl",
        "mismatch_kl@math",
        "reward_mean",
        "reward_mean@math",
        "`actor/entropy`",
        "dropped_records",
    ],
)
def test_a_metric_is_known_from_the_catalogue_the_file_or_the_archive(metric: str) -> None:
    """And each of them of groups too."""
    text = HEAD + f'when = "{metric} > 1"\n'
    assert len(parse_rules(text, "rules.toml", ["actor/entropy"]).rules) == 1


@pytest.mark.parametrize(
    ("metric", "near"),
    [
        ("mismatch_k3_lk", "mismatch_k3_kl"),
        ("mismatch_k3_lk@math", "mismatch_k3_kl@math"),
        ("reward_maen", "reward_mean"),
        ("`actor/entrop`", "actor/entropy"),
    ],
)
def test_a_metric_that_nobody_knows_is_refused_with_the_nearest(metric: str, near: str) -> None:
    error = refused(HEAD + f'when = "{metric} > 1"\n', ("actor/entropy",))
    assert f'Did you mean "{near}"?' in str(error)


def test_a_misspelt_metric_is_near_to_one_there_is() -> None:
    """One of the catalogue, or one that the run logs itself."""
    assert near_metrics("mismatch_k3_lk")[0] == "mismatch_k3_kl"
    assert near_metrics("reward_maen", ["reward_mean"])[0] == "reward_mean"
    assert near_metrics("nothing of the kind at all") == []


def test_one_bad_rule_refuses_the_file_whole() -> None:
    sound = '[[rule]]\nname = "two"\nseverity = "warning"\nwhen = "mismatch_kl > 1"\n'
    assert len(parse_rules(sound, "rules.toml").rules) == 1
    assert refused(sound + HEAD[30:] + 'when = "x"\n').rule == "one"


def test_rules_that_were_checked_when_they_were_saved_are_read_whatever_has_gone_since() -> None:
    """A metric or a guide that a later version does not have keeps no server from reading what is in its archive."""
    text = '[[rule]]\nname = "r"\nseverity = "warning"\nwhen = "gone > 1"\nguide = "docs/guides/gone.md"\n'
    with pytest.raises(RuleError, match='"gone"'):
        parse_rules(text, "rules.toml")
    (rule,) = parse_rules(text, "rules.toml", None).rules
    assert (rule.when.text, rule.guide) == ("gone > 1", "docs/guides/gone.md")
    with pytest.raises(RuleError, match="guide is"):
        parse_rules(text, "rules.toml", ["gone"])
    short = text.replace('when = "gone > 1"', 'metric = "gone"\nabove = 1')
    assert parse_rules(short, "rules.toml", None).rules[0].when.text == "gone > 1"
