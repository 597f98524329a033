"""What a trainer hears of alerts by a real Redis that hangs, denies, forgets, and holds what no server has written."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from rolloutwatch import AlertEvent, FiringAlert, FiringAlerts, Hearing, Monitor
from rolloutwatch_contract.alerts import encode_firing
from rolloutwatch_contract.keys import alerts_key
from tests.client.batches import batch
from tests.processes import wait_for
from tests.redis_process import RedisProcess

pytestmark = pytest.mark.redis

KEY = alerts_key("math~grpo")
RULE = "kl_very_high"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def client(redis: RedisProcess) -> Iterator[Redis]:
    with redis.client() as connection:
        yield connection


def firing(step: int, *rules: str) -> bytes:
    """What the server writes when these rules fire."""
    alerts = tuple(
        FiringAlert(
            id=f"{rule}-1", rule=rule, severity="critical", since_step=step, since_time=time.time() + 60,
            values={"mismatch_k3_kl": 0.25}, summary="The policies are far apart.", cure="Check the log-probs.",
        )
        for rule in rules
    )  # fmt: skip
    return encode_firing(FiringAlerts(step=step, time=time.time(), alerts=alerts))


def listening(redis: RedisProcess, **options: object) -> Monitor:
    return Monitor(
        project="math", run="grpo", **{"redis_url": redis.url, "alerts": True, **options}  # type: ignore[arg-type]
    )  # fmt: skip


def hearing(one: Monitor) -> Hearing:
    state = one.health().alerts
    assert state is not None
    return state


def rules(one: Monitor) -> list[str]:
    return [alert.rule for alert in one.alerts()]


def assert_delivers(one: Monitor, step: int) -> None:
    one.log(step, {"loss": 1.0})
    assert one.flush(20)
    assert one.health().dropped == {}


def test_what_the_server_says_is_heard_within_seconds(redis: RedisProcess, client: Redis) -> None:
    """Also that nothing fires any more, and by whom it is told: its own thread, at its own call."""
    events: list[AlertEvent] = []
    with listening(redis, on_alert=events.append) as one:
        wait_for("an answer", lambda: hearing(one).heard_at, 20)
        assert hearing(one).state == "waiting", "no server has said anything"
        assert rules(one) == []
        client.set(KEY, firing(41, RULE))
        wait_for("the alert", lambda: rules(one) == [RULE], 20)
        (alert,) = one.alerts()
        assert (alert.since_step, alert.values) == (41, {"mismatch_k3_kl": 0.25})
        assert (hearing(one).state, hearing(one).step) == ("hearing", 41)
        client.set(KEY, firing(50))
        wait_for("its end", lambda: rules(one) == [], 20)
        assert hearing(one).step == 50
    assert [(event.change, event.alert.rule) for event in events] == [("firing", RULE), ("resolved", RULE)]


def test_who_does_not_listen_asks_for_nothing(redis: RedisProcess, client: Redis) -> None:
    """Off by default: Redis has not seen the command."""
    client.set(KEY, firing(41, RULE))
    with Monitor(project="math", run="grpo", redis_url=redis.url) as one:
        for step in range(20):
            assert_delivers(one, step)
    assert "cmdstat_getrange" not in client.info("commandstats")
    with listening(redis) as one:
        wait_for("the alert", lambda: rules(one) == [RULE], 20)
    assert client.info("commandstats")["cmdstat_getrange"]["calls"] >= 1


def test_a_redis_that_hangs_holds_up_no_call_and_ends_no_alert(redis: RedisProcess, client: Redis) -> None:
    """That it is not heard is told, also while records wait for it; and what it says when it goes on is heard."""
    client.set(KEY, firing(41, RULE))
    with listening(redis) as one:
        wait_for("the alert", lambda: rules(one) == [RULE], 20)
        redis.suspend()
        one.log(1, {"loss": 1.0})
        wait_for("the timeout", lambda: one.health().state == "retrying", 30)
        wait_for("the trouble", lambda: hearing(one).state == "troubled", 30)
        assert hearing(one).trouble
        for _ in range(1000):
            assert rules(one) == [RULE]
        assert one.correct(step=2, **batch()) is not None
        redis.resume()
        client.set(KEY, firing(60))
        wait_for("its end", lambda: rules(one) == [], 30)
        assert (hearing(one).state, hearing(one).trouble) == ("hearing", "")
        assert_delivers(one, 3)


def test_a_redis_that_is_full_is_heard_though_it_takes_no_records(redis: RedisProcess, client: Redis) -> None:
    client.set(KEY, firing(41, RULE))
    with listening(redis) as one:
        wait_for("the alert", lambda: rules(one) == [RULE], 20)
        client.config_set("maxmemory", 1)
        one.log(1, {"loss": 1.0})
        wait_for("the refusal", lambda: one.health().state == "retrying", 30)
        client.delete(KEY)
        wait_for("word that nothing is said", lambda: hearing(one).state == "waiting", 30)
        assert one.health().state == "retrying"
        client.config_set("maxmemory", 0)
        assert_delivers(one, 2)


def test_a_redis_that_was_killed_and_wiped_is_heard_again(redis: RedisProcess, client: Redis) -> None:
    """That nothing stands there any more does not mean that nothing fires."""
    client.set(KEY, firing(41, RULE))
    with listening(redis) as one:
        wait_for("the alert", lambda: rules(one) == [RULE], 20)
        redis.kill()
        redis.wipe()
        one.log(1, {"loss": 1.0})
        wait_for("the loss", lambda: one.health().state == "retrying", 20)
        redis.start()
        wait_for("an answer", lambda: hearing(one).state == "waiting", 30)
        assert rules(one) == [RULE]
        client.set(KEY, firing(60, RULE, "stalled"))
        wait_for("both", lambda: rules(one) == [RULE, "stalled"], 20)


def test_a_user_who_may_not_is_told_once_how_to_get_the_right(
    redis: RedisProcess, client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Records are delivered all the same, and with the right it hears without being built anew."""
    caplog.set_level(logging.WARNING, "rolloutwatch")
    least = ["+multi", "+exec", "+xadd", "+xinfo|stream", "+xrange", "+get", "+info"]
    client.execute_command("ACL", "SETUSER", "narrow", "on", ">geheim", "~rolloutwatch:*", "-@all", *least)
    client.set(KEY, firing(41, RULE))
    with listening(redis, redis_url=redis.url.replace("//", "//narrow:geheim@")) as one:
        wait_for("the denial", lambda: hearing(one).state == "troubled", 20)
        assert "'narrow' is not permitted" in hearing(one).trouble
        assert rules(one) == []
        assert_delivers(one, 1)
        assert one.health().state == "delivering"
        assert one.health().last_error == ""
        first = hearing(one).trouble
        wait_for("a second denial", lambda: client.acl_log()[0]["count"] >= 2, 30)
        assert hearing(one).trouble == first
        assert len(caplog.messages) == 1
        assert "ACL SETUSER narrow ~rolloutwatch:*" in caplog.messages[0]
        assert "+getrange" in caplog.messages[0]
        client.execute_command("ACL", "SETUSER", "narrow", "+getrange")
        wait_for("the alert", lambda: rules(one) == [RULE], 30)
        assert hearing(one).trouble == ""
    assert caplog.messages[1:] == ["Alerts of this run are heard again."]


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda client: client.set(KEY, b"\xff nonsense"), "was not written by a server"),
        (lambda client: client.set(KEY, b"9" * 10_000_000), "is longer than 1048576 bytes"),
        (lambda client: client.rpush(KEY, "x"), "is no string"),
    ],
    ids=["garbage", "ten megabytes", "a list"],
)
def test_what_a_stranger_has_written_is_told_once_and_changes_nothing(
    make, word: str, redis: RedisProcess, client: Redis, caplog: pytest.LogCaptureFixture
) -> None:  # type: ignore[no-untyped-def]
    """Of ten megabytes one is read, and less and less often."""
    client.set(KEY, firing(41, RULE))
    with listening(redis) as one:
        wait_for("the alert", lambda: rules(one) == [RULE], 20)
        client.delete(KEY)
        before = client.info("stats")["total_net_output_bytes"]
        make(client)
        wait_for("the trouble", lambda: word in hearing(one).trouble, 20)
        assert client.info("stats")["total_net_output_bytes"] - before < 3_000_000
        assert rules(one) == [RULE]
        assert_delivers(one, 1)
        client.delete(KEY)
        client.set(KEY, firing(60))
        wait_for("the word of the server", lambda: rules(one) == [], 30)
        assert hearing(one).state == "hearing"
    told = [message for message in caplog.messages if "Alerts of this run" in message]
    assert len(told) == 2
    assert word in told[0]
    assert told[1] == "Alerts of this run are heard again."
