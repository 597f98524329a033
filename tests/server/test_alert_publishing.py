"""What trainers are told of their alerts, in a real Redis: what changes, at once; all of it again when Redis was away."""

import logging
from collections.abc import Iterator

import pytest

from rolloutwatch_contract.alerts import FiringAlert, FiringAlerts, decode_firing
from rolloutwatch_contract.keys import alerts_key
from rolloutwatch_server.alerts.publishing import (
    SECONDS_BETWEEN_STEPS,
    SECONDS_KEPT,
    SECONDS_UNTIL_SAID_AGAIN,
    SECONDS_UNTIL_TRIED_AGAIN,
    Publisher,
)
from rolloutwatch_server.transport import connect
from tests.redis_process import RedisProcess
from tests.server.records import RUN

pytestmark = pytest.mark.redis

OTHER = "math~b"
ONE = FiringAlert(
    id="1", rule="kl_high", severity="warning", since_step=3, since_time=3.0, values={"kl": 0.5}
)


@pytest.fixture
def publisher(redis: RedisProcess) -> Iterator[Publisher]:
    one = Publisher(lambda: connect(redis.url))
    yield one
    one.close()


def said(redis: RedisProcess, run: str = RUN) -> FiringAlerts | None:
    with redis.client() as client:
        text = client.get(alerts_key(run))
    return None if text is None else decode_firing(text)


def at(step: int, *alerts: FiringAlert) -> FiringAlerts:
    return FiringAlerts(step=step, time=float(step), alerts=alerts)


def test_a_trainer_is_told_at_once_what_fires_and_soon_at_which_step(
    redis: RedisProcess, publisher: Publisher
) -> None:
    """Also that nothing does; and nothing is said twice."""
    assert publisher.publish({RUN: at(3), OTHER: at(7, ONE)}, 100.0) == 2
    assert (said(redis), said(redis, OTHER)) == (at(3), at(7, ONE))
    with redis.client() as client:
        assert SECONDS_KEPT - 60 < client.ttl(alerts_key(RUN)) <= SECONDS_KEPT
    assert publisher.publish({RUN: at(3), OTHER: at(7, ONE)}, 101.0) == 0
    assert publisher.publish({RUN: at(4, ONE), OTHER: at(8, ONE)}, 101.5) == 1
    assert (said(redis), said(redis, OTHER)) == (at(4, ONE), at(7, ONE))
    assert publisher.publish({RUN: at(4, ONE), OTHER: at(9, ONE)}, 100.0 + SECONDS_BETWEEN_STEPS) == 1
    assert said(redis, OTHER) == at(9, ONE)


def test_what_stands_for_long_is_said_again_before_redis_forgets_it(
    redis: RedisProcess, publisher: Publisher
) -> None:
    """By a clock that was put back, too."""
    assert publisher.publish({RUN: at(3, ONE)}, 100_000.0) == 1
    assert publisher.publish({RUN: at(3, ONE)}, 100_000.0 + SECONDS_UNTIL_SAID_AGAIN - 1) == 0
    assert publisher.publish({RUN: at(3, ONE)}, 100_000.0 + SECONDS_UNTIL_SAID_AGAIN) == 1
    assert publisher.publish({RUN: at(3, ONE)}, 50.0) == 1


def test_a_redis_that_began_anew_is_told_everything(redis: RedisProcess, publisher: Publisher) -> None:
    """One that lost all it held: also of a run of which nothing has changed since."""
    assert publisher.publish({RUN: at(3, ONE), OTHER: at(4)}, 100.0) == 2
    redis.kill()
    redis.wipe()
    assert publisher.publish({RUN: at(3, ONE), OTHER: at(4)}, 101.0) == 0
    redis.start()
    assert publisher.publish({RUN: at(3, ONE), OTHER: at(4)}, 102.0) == 0
    assert publisher.publish({RUN: at(3, ONE), OTHER: at(4)}, 101.0 + SECONDS_UNTIL_TRIED_AGAIN) == 2
    assert (said(redis), said(redis, OTHER)) == (at(3, ONE), at(4))


def test_a_restart_that_nobody_saw_is_noticed(redis: RedisProcess, publisher: Publisher) -> None:
    """Redis was away and back between two looks."""
    assert publisher.publish({RUN: at(3, ONE)}, 100.0) == 1
    redis.kill()
    redis.wipe()
    redis.start()
    publisher.publish({RUN: at(3, ONE)}, 101.0)
    publisher.publish({RUN: at(3, ONE)}, 101.0 + SECONDS_UNTIL_TRIED_AGAIN)
    assert said(redis) == at(3, ONE)


@pytest.mark.parametrize("trouble", ["full", "denied"])
def test_a_redis_that_takes_nothing_is_named_once(
    trouble: str, redis: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried again, and what was missed is said as soon as it can be."""
    caplog.set_level(logging.INFO)
    with redis.client() as client:
        client.execute_command("ACL", "SETUSER", "server", "on", ">pw", "~rolloutwatch:*", "+time", "+set")
        if trouble == "full":
            client.config_set("maxmemory", "1")
        else:
            client.execute_command("ACL", "SETUSER", "server", "-set")
        publisher = Publisher(lambda: connect(redis.url.replace("//", "//server:pw@")))
        for again in range(3):
            assert publisher.publish({RUN: at(3, ONE)}, 100.0 + again * SECONDS_UNTIL_TRIED_AGAIN) == 0
        assert caplog.text.count("does not let this server say which alerts fire") == 1
        client.config_set("maxmemory", "0")
        client.execute_command("ACL", "SETUSER", "server", "+set")
        assert publisher.publish({RUN: at(3, ONE)}, 200.0) == 1
        assert said(redis) == at(3, ONE)
        publisher.close()
    assert "Trainers are told again" in caplog.text


def test_a_redis_that_is_away_is_not_named(redis: RedisProcess, caplog: pytest.LogCaptureFixture) -> None:
    """Of that the ingest tells."""
    publisher = Publisher(lambda: connect(redis.url))
    redis.kill()
    assert publisher.publish({RUN: at(3)}, 100.0) == 0
    assert caplog.records == []
    publisher.close()


def test_a_run_that_is_not_named_any_more_is_left_to_expire(
    redis: RedisProcess, publisher: Publisher
) -> None:
    """Nothing is deleted: and when it comes back it is told anew."""
    assert publisher.publish({RUN: at(3), OTHER: at(4)}, 100.0) == 2
    assert publisher.publish({OTHER: at(4)}, 101.0) == 0
    assert said(redis) == at(3)
    assert publisher.publish({RUN: at(3), OTHER: at(4)}, 101.5) == 1
