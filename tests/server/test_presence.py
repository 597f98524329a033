"""What a server tells trainers through Redis: that it is there, how it is, and that it has read their probe."""

import contextlib
import logging
import socket
import time
from collections.abc import Iterator

import pytest

from rolloutwatch_contract import Heartbeat, ack_key, stream_key
from rolloutwatch_contract.keys import PROBE_RUN, SERVER_KEY
from rolloutwatch_contract.presence import SECONDS_OF_A_SIGN, Presence, decode_presence
from rolloutwatch_server import __version__
from rolloutwatch_server.ingest import Trouble
from rolloutwatch_server.presence import Sign
from rolloutwatch_server.store import Store
from rolloutwatch_server.transport import connect
from tests.processes import wait_for
from tests.redis_process import RedisProcess
from tests.server.ingesting import Running, ingesting, push

pytestmark = pytest.mark.redis

PROBE = stream_key(PROBE_RUN, "s1")
ANSWER = ack_key(PROBE_RUN, "s1")


@contextlib.contextmanager
def present(store: Store, redis: RedisProcess) -> Iterator[Running]:
    with (
        ingesting(store, redis.url) as running,
        Sign(running.ingest, lambda: connect(redis.url)),
    ):
        yield running


def sign(redis: RedisProcess) -> Presence | None:
    with redis.client() as client:
        text = client.get(SERVER_KEY)
    return decode_presence(text) if text is not None else None


def test_a_server_says_that_it_is_there_until_it_ends(redis: RedisProcess, store: Store) -> None:
    """With its version and both clocks; one that was killed is forgotten by itself."""
    with present(store, redis) as running:
        running.wait_for_trouble(None)
        told = wait_for("a sign without trouble", lambda: well(sign(redis)))
        assert (told.version, told.host, told.reason) == (__version__, socket.gethostname(), "")
        assert abs(told.time - told.redis_time) < 1.0
        assert abs(told.time - time.time()) < 30.0
        with redis.client() as client:
            assert 0 < client.ttl(SERVER_KEY) <= SECONDS_OF_A_SIGN
    assert sign(redis) is None


def well(presence: Presence | None) -> Presence | None:
    return presence if presence and not presence.trouble else None


def test_a_server_whose_archive_fails_says_so(redis: RedisProcess, store: Store) -> None:
    """Though its ingest waits: the sign has a thread of its own."""
    with present(store, redis) as running:
        running.wait_for_trouble(None)
        store.close()
        push(redis, stream_key("math~a", "s1"), Heartbeat(time=1.0))
        running.wait_for_trouble(Trouble.ARCHIVE)
        told = wait_for("the trouble", lambda: troubled(sign(redis), Trouble.ARCHIVE))
        assert told.reason == running.ingest.health.reason


def troubled(presence: Presence | None, trouble: Trouble) -> Presence | None:
    return presence if presence and presence.trouble == trouble.value else None


def test_a_sign_is_given_again_when_redis_is_there_again(redis: RedisProcess, store: Store) -> None:
    with present(store, redis):
        wait_for("a sign", lambda: sign(redis))
        redis.kill()
        redis.wipe()
        redis.start()
        wait_for("another sign", lambda: sign(redis))


def test_a_redis_that_is_full_is_read_all_the_same(
    redis: RedisProcess, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """No sign and no answer, one line in the log, and a probe is no burden on a Redis that is full."""
    push(redis, PROBE, b"probe")
    with redis.client() as client:
        client.config_set("maxmemory", "1")
        with present(store, redis) as running:
            running.wait_for_trouble(None)
            wait_for("the probe to be taken away", lambda: not client.exists(PROBE))
            wait_for("the warning", lambda: "does not let this server say that it is there" in caplog.text)
            assert running.ingest.health.trouble is None
            assert client.get(ANSWER) is None
            client.config_set("maxmemory", "0")
            wait_for("a sign", lambda: sign(redis))
    assert caplog.text.count("does not let this server say") == 1


def test_a_probe_is_answered_and_leaves_nothing(
    redis: RedisProcess, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Not a run, not a dead letter, not a stranger; also one that waited for a server for long."""
    caplog.set_level(logging.INFO)
    push(redis, PROBE, b"probe", b"probe")
    with ingesting(store, redis.url) as running, redis.client() as client:
        assert wait_for("the answer", lambda: client.get(ANSWER)) == b"2"
        assert not client.exists(PROBE)
        assert 0 < client.ttl(ANSWER) <= 60
        assert running.ingest.health.streams == 0
    assert store.runs() == []
    assert store.dead_letter_count() == 0
    assert "Ignored" not in caplog.text


def test_a_probe_that_is_none_is_taken_away_too(redis: RedisProcess, store: Store) -> None:
    with ingesting(store, redis.url) as running, redis.client() as client:
        client.xadd(PROBE, {"x": "y"}, id="5-7")
        wait_for("the probe to be taken away", lambda: not client.exists(PROBE))
        assert client.get(ANSWER) is None
        running.wait_for_trouble(None)
