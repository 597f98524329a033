"""The file of those who are told."""

import logging
from pathlib import Path

import pytest

from rolloutwatch_contract.alerts import Change
from rolloutwatch_contract.severity import Severity
from rolloutwatch_server.notify.targets import TargetsError, parse_targets, read_targets
from tests.server.notify.events import SECRET, apprise, event, webhook

FILE = """
[[target]]
name = "ops"
webhook_env = "OPS_WEBHOOK"
secret_env = "OPS_SECRET"
severity = "critical"
runs = ["math~*", "code~*"]
allow_internal = true
resolved = false
picture = false

[[target]]
name = "chat"
url = "slack://TokenAAAAA/TokenBBBBB/TokenCCCCC/#alerts"
"""
ENVIRONMENT = {"OPS_WEBHOOK": "https://hooks.example/a-private-path", "OPS_SECRET": SECRET}


def refused(text: str, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(TargetsError) as refusal:
        parse_targets(text, "targets.toml", environment or {})
    return str(refusal.value)


def test_targets_are_read_with_what_the_environment_says() -> None:
    ops, chat = parse_targets(FILE, "targets.toml", ENVIRONMENT)
    assert (ops.name, ops.kind, ops.host) == ("ops", "webhook", "hooks.example")
    assert (ops.severity, ops.runs) == (Severity.CRITICAL, ("math~*", "code~*"))
    assert (ops.allow_internal, ops.resolved, ops.picture) == (True, False, False)
    assert ops.address.reveal() == ENVIRONMENT["OPS_WEBHOOK"]
    assert ops.secret is not None
    assert ops.secret.reveal() == SECRET
    assert (chat.name, chat.kind, chat.host, chat.severity) == ("chat", "slack", "", Severity.WARNING)
    assert (chat.allow_internal, chat.resolved, chat.picture) == (False, True, True)


def test_no_secret_of_a_target_is_in_its_repr() -> None:
    told = repr(parse_targets(FILE, "targets.toml", ENVIRONMENT))
    for secret in (SECRET, "a-private-path", "TokenAAAAA", "TokenBBBBB", "TokenCCCCC"):
        assert secret not in told


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ('webhok = "https://a.example/"', "unknown key 'webhok'. Did you mean 'webhook'?"),
        ("", "expected one of url, url_env, webhook and webhook_env"),
        ('url = "json://a"\nwebhook = "https://a.example/"', "and not two of them"),
        ('webhook = "https://a.example/"', "secret is missing: expected at least 16"),
        ('webhook = "https://a.example/"\nsecret = "short"', "secret has 5 letters: expected at least 16"),
        ('webhook = "https://a.example/"\nsecret_env = "NONE"', "secret_env names NONE, which is not set"),
        ('url = "json://a"\nurl_env = "NONE"', "url stands beside url_env: expected one of the two"),
        ('url = "json://a"\nsecret = "1234567890123456"', "secret stands beside an Apprise URL"),
        ('url = "nothing of the kind"', "url is none of Apprise"),
        ("url = 7", "url is no text"),
        ('url = "json://a"\nseverity = "bad"', "severity is 'bad': expected warning or critical"),
        ('url = "json://a"\nruns = 7', "runs is 7: expected patterns of run ids"),
        ('url = "json://a"\nallow_internal = "yes"', "allow_internal is neither: expected true or false"),
    ],
)
def test_a_target_that_cannot_be_is_refused_with_file_target_key_and_cure(lines: str, expected: str) -> None:
    error = refused(f'[[target]]\nname = "ops"\n{lines}\n')
    assert error.startswith("targets.toml, target 1")
    assert expected in error


def test_a_file_that_is_no_list_of_targets_is_refused() -> None:
    assert "'targets' is unknown" in refused("[[targets]]\nname = 'a'\n")
    assert "write [[target]], in two brackets" in refused("[target]\nname = 'a'\n")
    assert "name is 'a b'" in refused("[[target]]\nname = 'a b'\n")
    twice = "[[target]]\nname = 'a'\nurl = 'json://a'\n" * 2
    assert "two targets are called 'a'" in refused(twice)


def test_a_line_that_is_no_toml_is_told_by_its_place_and_not_by_what_it_says() -> None:
    error = refused(f'[[target]]\nname = "ops"\nsecret = {SECRET}\n')
    assert "line 3" in error
    assert SECRET not in error


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "targets.toml"
    path.write_text(FILE)
    path.chmod(0o644)
    with pytest.raises(TargetsError, match="chmod 600"):
        read_targets(path, ENVIRONMENT)
    path.chmod(0o600)
    assert len(read_targets(path, ENVIRONMENT)) == 2
    with pytest.raises(TargetsError, match="cannot be read"):
        read_targets(tmp_path / "none.toml", ENVIRONMENT)


def test_a_target_is_told_of_its_severity_and_worse_on_its_runs() -> None:
    critical, warning = event(), event("kl_high", severity=Severity.WARNING)
    assert webhook("https://a.example/", more='severity = "critical"').wants(critical)
    assert not webhook("https://a.example/", more='severity = "critical"').wants(warning)
    assert webhook("https://a.example/").wants(warning)
    assert webhook("https://a.example/", more='runs = ["code~*", "math~grpo-?b"]').wants(critical)
    assert not webhook("https://a.example/", more='runs = ["code~*"]').wants(critical)
    assert webhook("https://a.example/").wants(event(change=Change.RESOLVED))
    assert not webhook("https://a.example/", more="resolved = false").wants(event(change=Change.RESOLVED))


def test_what_a_service_says_is_told_without_the_secrets_of_its_url() -> None:
    target = apprise("slack://TokenAAAAA/TokenBBBBB/TokenCCCCC/")
    told = target.hidden("Failed: POST /services/TokenAAAAA/TokenBBBBB\n\x1b[31mno " + "x" * 1000)
    assert told.startswith("Failed: POST /services/***/*** [31mno xxx")
    assert len(told) == 300


def test_secrets_are_in_no_log_line_of_a_target_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        target = webhook("https://hooks.example/a-private-path")
        logging.getLogger("test").warning("%s %r", target, target.secret)
    assert SECRET not in caplog.text
    assert "a-private-path" not in caplog.text
