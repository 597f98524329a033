"""Settings and the command: where a value comes from, and what is said of one that cannot be."""

from pathlib import Path

import pytest

from rolloutwatch_contract.command import main
from rolloutwatch_contract.urls import without_password
from rolloutwatch_server.settings import SETTINGS, SettingError, parse

DEFAULTS = {
    "host": "127.0.0.1",
    "port": 8050,
    "redis_url": None,
    "redis_port": 6379,
    "data_dir": Path(".rolloutwatch"),
    "quarantine": False,
    "keep_days": None,
    "keep_size": None,
    "keep_sequences": None,
    "rules_file": None,
    "notify_file": None,
    "allowed_hosts": (),
    "public_url": None,
    "require_login": False,
    "tokens_file": None,
    "passwords_file": None,
    "proxy_peers": (),
    "proxy_name_header": None,
    "proxy_role_header": "x-forwarded-role",
    "session_hours": 168,
    "streams": 1000,
    "streams_per_client": 100,
    "has_tokens": False,
    "metrics_runs": False,
    "log_format": "text",
    "log_level": "info",
    "access_log": False,
}


def test_without_options_everything_has_a_default() -> None:
    """Loopback, where nobody is asked, the documented port, no Redis given, an archive in the folder one stands in."""
    assert vars(parse([], {})) == DEFAULTS


def test_an_option_goes_before_the_environment_which_goes_before_the_default() -> None:
    environment = {
        "ROLLOUTWATCH_PORT": "9000",
        "ROLLOUTWATCH_REDIS_URL": "redis://example:6380/1",
        "ROLLOUTWATCH_DATA_DIR": "/data",
        "ROLLOUTWATCH_ALLOWED_HOSTS": "watch.example, w",
        "ROLLOUTWATCH_REQUIRE_LOGIN": "yes",
        "ROLLOUTWATCH_METRICS_RUNS": "1",
        "ROLLOUTWATCH_LOG_FORMAT": "JSON",
    }
    given = ["--port", "9001", "--host", "0.0.0.0", "--log-level", "warning", "--access-log"]
    assert vars(parse(given, environment)) == DEFAULTS | {
        "host": "0.0.0.0",
        "port": 9001,
        "redis_url": "redis://example:6380/1",
        "data_dir": Path("/data"),
        "allowed_hosts": ("watch.example", "w"),
        "require_login": True,
        "metrics_runs": True,
        "log_format": "json",
        "log_level": "warning",
        "access_log": True,
    }


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_on_this_host_nobody_has_to_log_in(host: str) -> None:
    settings = parse(["--host", host], {})
    assert (settings.host, settings.asks_for_login) == (host, False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "monitor.example"])
def test_the_network_is_not_let_in_without_a_login(host: str) -> None:
    """Where others can come they have to say who they are, and the message says how that is had."""
    with pytest.raises(
        SettingError, match=f"--host is '{host}'.*nobody would have to log in.*--require-login"
    ):
        parse(["--host", host], {})


@pytest.mark.parametrize(
    "options",
    [
        ["--require-login"],
        ["--tokens-file", "tokens"],
        ["--passwords-file", "passwords"],
        ["--proxy-peers", "10.0.0.7, 10.1.0.0/16"],
    ],
)
def test_each_way_to_log_in_opens_the_network(options: list[str]) -> None:
    assert parse(["--host", "0.0.0.0", *options], {}).asks_for_login


def test_tokens_in_the_environment_open_the_network_and_are_in_no_repr() -> None:
    settings = parse(
        ["--host", "0.0.0.0", "--redis-url", "redis://:s3cret@h"], {"ROLLOUTWATCH_TOKENS": "a:viewer:t0ken"}
    )
    assert settings.asks_for_login
    assert "t0ken" not in repr(settings)
    assert "s3cret" not in repr(settings)
    with pytest.raises(SettingError, match="nobody would have to log in"):
        parse(["--host", "0.0.0.0"], {"ROLLOUTWATCH_TOKENS": " "})


@pytest.mark.parametrize(
    ("arguments", "environment", "complaint"),
    [
        (["--port", "70000"], {}, "--port is '70000': expected a port from 0 to 65535"),
        (["--port=-1"], {}, "--port is '-1': expected a port"),
        ([], {"ROLLOUTWATCH_PORT": "http"}, "ROLLOUTWATCH_PORT is 'http': expected a port"),
        (["--redis-port", "x"], {}, "--redis-port is 'x': expected a port"),
        (["--allowed-hosts", "a,,b"], {}, "--allowed-hosts is 'a,,b': expected a host name"),
        (["--host", "a b"], {}, "--host is 'a b': expected a host name"),
        (["--redis-url", "localhost:6379"], {}, "--redis-url is 'localhost:6379': expected redis://host:port/0"),
        (["--redis-url", "http://h:1"], {}, "--redis-url is 'http://h:1': expected redis://"),
        (["--redis-url", "redis://h:6379/abc"], {}, "--redis-url is 'redis://h:6379/abc': expected redis://host:port/0"),
        (["--redis-url", "redis://h/0/1"], {}, "--redis-url is 'redis://h/0/1': expected redis://host:port/0"),
        (["--redis-url", "redis://h:99999"], {}, "--redis-url is 'redis://h:99999': expected redis://"),
        ([], {"ROLLOUTWATCH_REDIS_URL": ""}, "ROLLOUTWATCH_REDIS_URL is '': expected redis://"),
        ([], {"ROLLOUTWATCH_REQUIRE_LOGIN": "maybe"}, "ROLLOUTWATCH_REQUIRE_LOGIN is 'maybe': expected 1, true or yes"),
        (["--proxy-peers", "proxy"], {}, "--proxy-peers is 'proxy': expected addresses or networks"),
        (["--proxy-peers", "0.0.0.0/0"], {}, "--proxy-peers is '0.0.0.0/0': expected the addresses of your proxies alone"),
        (["--proxy-peers", "10.0.0.7,::/0"], {}, "--proxy-peers is '10.0.0.7,::/0': expected the addresses of your"),
        (["--proxy-peers", "128.0.0.0/7"], {}, "--proxy-peers is '128.0.0.0/7': expected the addresses of your"),
        (["--allowed-hosts", "*"], {}, "--allowed-hosts is '*': expected a host name or an address each"),
        (["--allowed-hosts", "https://a.b"], {}, "--allowed-hosts is 'https://a.b': expected a host name"),
        (["--allowed-hosts", "a.b:80"], {}, "--allowed-hosts is 'a.b:80': expected a host name"),
        (["--allowed-hosts", "a.b/c"], {}, "--allowed-hosts is 'a.b/c': expected a host name"),
        (["--proxy-name-header", "a b"], {}, "--proxy-name-header is 'a b': expected the name of a header"),
        (["--public-url", "watch.example"], {}, "--public-url is 'watch.example': expected http://name or https://name"),
        (["--public-url", "https://h/watch"], {}, "--public-url is 'https://h/watch': expected http://name"),
        (["--streams", "0"], {}, "--streams is '0': expected a whole number from 1"),
        (["--log-format", "xml"], {}, "--log-format is 'xml': expected text or json."),
        (["--log-level", "loud"], {}, "--log-level is 'loud': expected debug, info, warning or error."),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_with_what_was_expected(
    arguments: list[str], environment: dict[str, str], complaint: str
) -> None:
    """The message names the option or the variable, whichever brought the value."""
    with pytest.raises(SettingError) as refusal:
        parse(arguments, environment)
    assert str(refusal.value).startswith(complaint)


@pytest.mark.parametrize(
    "url",
    [
        "http://user:s3cret@host",
        "redis//:s3cret@host",
        "redis://:s3cret/@host:1",
        "http://host?password=s3cret",
    ],
)
def test_a_wrong_url_is_told_without_its_password(url: str) -> None:
    """The message goes to logs that others read."""
    with pytest.raises(SettingError, match=r"\*\*\*") as refusal:
        parse(["--redis-url", url], {})
    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:6379/0", "redis://h:6379/0"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("redis://:s3cret@h:6379/0", "redis://:***@h:6379/0"),
        ("rediss://user:s3@cret@h", "rediss://user:***@h"),
        ("redis://h/0?password=s3cret&db=1", "redis://h/0?password=***&db=1"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_help_tells_every_setting_with_default_and_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["serve", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    for setting in SETTINGS:
        assert setting.flag in told
        assert f"[{setting.variable}]" in told
        if setting.default not in (None, False, ()):
            assert f"(default: {setting.default})" in told


def test_an_option_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Also the beginning of one that is: an abbreviation would change its meaning with the next option."""
    for option in ("--prot", "--redis-u"):
        with pytest.raises(SystemExit, match="2"):
            main(["serve", option, "x"])
        assert f"unrecognized arguments: {option}" in capsys.readouterr().err


def test_a_variable_that_is_empty_is_not_set() -> None:
    """So compose passes on what nobody has set. A Redis that is named by nothing is refused: another would be started."""
    empty = {setting.variable: "" for setting in SETTINGS if setting.name != "redis_url"}
    assert parse([], empty) == parse([], {})
