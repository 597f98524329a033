"""A Redis that does not take records: each trouble has its cause, its cure, and its patience; none has a password."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import ResponseError

from rolloutwatch import Monitor
from rolloutwatch.push import RedisSink
from rolloutwatch.sink import SinkError, StreamLost
from rolloutwatch.troubles import SECONDS_UNTIL_CURED
from rolloutwatch_contract import stream_key
from tests.processes import wait_for
from tests.redis_kin import Authority, TlsDoor, black_hole, cluster, replicated, sentinel
from tests.redis_process import RedisProcess, free_port

pytestmark = pytest.mark.redis

RUN = "math~a"
FRAMES = [(number, b"frame %d" % number) for number in range(1, 9)]
MINUTE = SECONDS_UNTIL_CURED
SECONDS_AT_MOST = 8.0  # of any call; a busy machine included


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path / "redis") as server:
        yield server


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def refusal(url: str) -> SinkError:
    """What a new sink says when it is given records."""
    sink = RedisSink(url, RUN, "s1")
    return refusal_of(sink)


def refusal_of(sink: RedisSink) -> SinkError:
    begin = time.monotonic()
    with pytest.raises(SinkError, match="does not take records: ") as caught:
        sink.send(FRAMES)
    assert time.monotonic() - begin < SECONDS_AT_MOST
    assert "geheim" not in str(caught.value)
    sink.close()
    return caught.value


def assert_takes_records(url: str, *servers: RedisProcess) -> None:
    """Through `url` frames come to stand in one of the servers."""
    sink = RedisSink(url, RUN, "s1")
    sink.send(FRAMES)
    sink.close()
    assert len(FRAMES) in [length(server) for server in servers]


def length(server: RedisProcess) -> int:
    with server.client() as client:
        return int(client.xlen(stream_key(RUN, "s1"))) if client.exists(stream_key(RUN, "s1")) else 0


# -- not there, or silent ----------------------------------------------------------------------------------------


def test_a_port_where_nobody_listens_is_tried_again_soon() -> None:
    error = refusal(f"redis://127.0.0.1:{free_port()}/0")
    assert "nobody listens there (connection refused). Start the server (rolloutwatch serve)" in str(error)
    assert error.retry_after_seconds is None


def test_a_socket_that_is_not_there_is_tried_again_soon(tmp_path: Path) -> None:
    error = refusal(f"unix://{tmp_path}/none.sock")
    assert "its socket cannot be opened (No such file or directory)" in str(error)
    assert error.retry_after_seconds is None


def test_a_name_that_nobody_knows_is_named() -> None:
    error = refusal("redis://user:geheim@redis.invalid:6379/0")
    assert "the name redis.invalid is not known here" in str(error)
    assert error.retry_after_seconds is None


def test_a_name_that_nobody_knows_costs_the_trainer_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Names are resolved by the thread in the background: calls return, and so does the end."""
    one = Monitor(project="math", run="grpo", redis_url="redis://redis.invalid:6379/0")
    one.log(0, {"loss": 1.0})
    wait_for("the first attempt", lambda: one.health().state == "retrying")
    assert not one.close(timeout=0.1)
    assert "the name redis.invalid is not known here" in caplog.text


def test_a_redis_that_hangs_is_given_up_on_in_time(redis: RedisProcess) -> None:
    redis.suspend()
    error = refusal(redis.url)
    assert "it did not answer within 1 s. See whether it hangs" in str(error)
    assert error.retry_after_seconds is None


def test_a_connection_that_is_swallowed_is_given_up_on_in_time() -> None:
    with black_hole() as port:
        assert "it did not answer within 1 s" in str(refusal(f"redis://127.0.0.1:{port}/0"))


def test_of_several_entrances_that_are_silent_few_are_asked_each_time(redis: RedisProcess) -> None:
    """So that a call ends in time; the next call begins with another one, and finds the one that answers."""
    with black_hole() as port:
        holes = ",".join([f"127.0.0.1:{port}"] * 4)
        sink = RedisSink(f"redis+cluster://{holes},127.0.0.1:{redis.port}", RUN, "s1")
        with pytest.raises(SinkError, match="it did not answer within 1 s"):
            sink.send(FRAMES)
        sink.send(FRAMES)
        sink.close()
        assert length(redis) == len(FRAMES)


# -- login and rights --------------------------------------------------------------------------------------------


def test_a_redis_that_wants_a_password_is_left_alone_for_a_minute(redis: RedisProcess) -> None:
    with redis.client() as client:
        client.config_set("requirepass", "geheim")
        error = refusal(redis.url)
        assert "it asks for a password. Put user and password into the URL: redis://user:password@" in str(
            error
        )
        assert error.retry_after_seconds == MINUTE
        error = refusal(redis.url.replace("//", "//:geheimer@"))
        assert "it refuses the user 'default' with the password of the URL" in str(error)
        assert error.retry_after_seconds == MINUTE
        RedisSink(redis.url.replace("//", "//:geheim@"), RUN, "s1").send(FRAMES)
        assert client.xlen(stream_key(RUN, "s1")) == len(FRAMES)


def test_a_password_for_a_redis_that_has_none_is_told(redis: RedisProcess) -> None:
    error = refusal(redis.url.replace("//", "//:geheim@"))
    assert "it has no password, but the URL does" in str(error)
    assert error.retry_after_seconds == MINUTE


def test_a_wrong_password_is_said_once_and_tried_once_a_minute(
    redis: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever counts failed logins is not to lock the trainer out. Records wait meanwhile."""
    with redis.client() as client:
        client.config_set("requirepass", "geheim")
        one = Monitor(project="math", run="grpo", redis_url=redis.url.replace("//", "//:geheimer@"))
        one.log(0, {"loss": 1.0})
        wait_for("the first attempt", lambda: one.health().state == "retrying")
        before = failed_logins(client)
        for step in range(1, 20):
            one.log(step, {"loss": 1.0})
        assert not one.flush(0.5)
        assert failed_logins(client) == before == 1
        assert one.health().queued == 21
        one.close(timeout=0.1)
    assert caplog.text.count("it refuses the user 'default'") == 2  # the trouble, and the last words
    assert "geheim" not in caplog.text


def failed_logins(client: "object") -> int:
    return sum(entry["count"] for entry in client.acl_log() if entry["reason"] == "auth")  # type: ignore[attr-defined]


@pytest.mark.parametrize("missing", ["multi", "exec", "xadd", "xinfo", "get"])
def test_a_right_that_is_missing_is_told_with_the_line_that_gives_it(
    missing: str, redis: RedisProcess
) -> None:
    """Nothing is written before all rights are there, above all not without MULTI; the line does what it says."""
    rights = [f"+{one}" for one in ("multi", "exec", "xadd", "xinfo", "xrange", "get") if one != missing]
    url = redis.url.replace("//", "//trainer:geheim@")
    with redis.client() as client:
        client.execute_command(
            "ACL", "SETUSER", "trainer", "on", ">geheim", "~rolloutwatch:*", "-@all", *rights
        )
        error = refusal(url)
        assert error.retry_after_seconds == MINUTE
        cause, line = str(error).split("Give it the rights where Redis runs: ")
        assert "the user 'trainer' is not permitted what is needed" in cause
        assert missing in cause
        assert length(redis) == 0
        client.execute_command(*line.split())
    assert_takes_records(url, redis)


def test_a_key_that_is_not_permitted_is_told(redis: RedisProcess) -> None:
    with redis.client() as client:
        client.execute_command("ACL", "SETUSER", "trainer", "on", ">geheim", "~other:*", "+@all")
    error = refusal(redis.url.replace("//", "//trainer:geheim@"))
    assert "is not permitted what is needed" in str(error)
    assert "~rolloutwatch:*" in str(error)


# -- TLS ---------------------------------------------------------------------------------------------------------


def test_a_certificate_that_a_known_authority_signed_is_trusted(
    redis: RedisProcess, authority: Authority
) -> None:
    with TlsDoor(redis, authority.sign("good")) as door:
        url = f"rediss://localhost:{door.port}/0?ssl_ca_certs={authority.certificate}"
        assert_takes_records(url, redis)


def test_both_sides_may_show_certificates(redis: RedisProcess, authority: Authority) -> None:
    with TlsDoor(redis, authority.sign("good"), clients=authority.certificate) as door:
        url = f"rediss://localhost:{door.port}/0?ssl_ca_certs={authority.certificate}"
        error = refusal(url)
        assert "if it asks for a certificate of this side: ?ssl_certfile=" in str(error).lower()
        assert_takes_records(f"{url}&ssl_certfile={authority.sign('trainer')}", redis)


@pytest.mark.parametrize(
    ("hosts", "days", "option", "words"),
    [
        ("DNS:localhost", 2, "", "self.signed|unable to get local issuer.*?ssl_ca_certs="),
        ("DNS:localhost", -1, "ssl_ca_certs", "has expired.*Have it renewed where Redis runs"),
        ("DNS:redis.example", 2, "ssl_ca_certs", "Hostname mismatch.*the host name that stands in its cert"),
    ],
)
def test_a_certificate_that_cannot_be_trusted_is_refused(
    hosts: str, days: int, option: str, words: str, redis: RedisProcess, authority: Authority
) -> None:
    """Signed by a stranger, expired, or another's: nothing is sent, and a person has to see to it."""
    url = "rediss://user:geheim@localhost:{}/0" + f"?{option}={authority.certificate}" * bool(option)
    with TlsDoor(redis, authority.sign("bad", hosts, days)) as door:
        error = refusal(url.format(door.port))
    assert "its certificate is refused" in str(error)
    assert_matches(words, str(error))
    assert error.retry_after_seconds == MINUTE
    assert length(redis) == 0


def assert_matches(words: str, text: str) -> None:
    import re

    assert re.search(words, text), text


def test_who_speaks_no_tls_to_a_redis_that_wants_it_is_told(
    redis: RedisProcess, authority: Authority
) -> None:
    with TlsDoor(redis, authority.sign("good")) as door:
        error = refusal(f"redis://user:geheim@localhost:{door.port}/0")
    assert "rediss://" in str(error)


def test_encryption_is_never_given_up_by_itself(redis: RedisProcess) -> None:
    """A Redis without TLS is spoken to in TLS or not at all."""
    error = refusal(f"rediss://localhost:{redis.port}/0")
    assert "TLS" in str(error)
    assert length(redis) == 0


# -- states ------------------------------------------------------------------------------------------------------


def test_a_redis_that_is_loading_is_waited_for(redis: RedisProcess) -> None:
    """So slowly here that it takes a quarter of a minute; when it is quick it takes records."""
    with redis.client() as client, client.pipeline(transaction=False) as pipe:
        for number in range(75_000):
            pipe.set(f"key{number}", b"")
        pipe.execute()
    redis.kill()
    redis.start("--key-load-delay", "200", wait=False)
    said = wait_for("the loading", lambda: next(iter(word_of_loading(redis)), None))
    assert "it is still loading its data from disk. It takes records when it is done" in str(said)
    assert said.retry_after_seconds is None
    redis.kill()
    redis.start()
    assert_takes_records(redis.url, redis)


def word_of_loading(redis: RedisProcess) -> Iterator[SinkError]:
    error = refusal(redis.url)
    if "loading" in str(error):
        yield error


def test_a_replica_takes_records_when_it_is_made_the_primary(tmp_path: Path) -> None:
    with replicated(tmp_path) as (_, replica), replica.client() as client:
        error = refusal(replica.url)
        assert "it is a replica, which may only be read. Name its primary" in str(error)
        assert error.retry_after_seconds is None
        client.execute_command("REPLICAOF", "NO", "ONE")
        assert_takes_records(replica.url, replica)


def test_a_full_redis_is_told_with_what_makes_room(redis: RedisProcess) -> None:
    with redis.client() as client:
        client.config_set("maxmemory", "1")
        error = refusal(redis.url)
    assert "it is full (maxmemory). See whether the server reads from it, which makes room" in str(error)
    assert error.retry_after_seconds is None


def test_a_stranger_on_the_port_is_no_redis() -> None:
    import socket
    import threading

    def babble() -> None:
        peer, _ = listener.accept()
        with peer:
            peer.recv(1000)
            peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            peer.recv(1000)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=babble)
        thread.start()
        error = refusal(f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
        thread.join()
    assert "what listens there is no Redis" in str(error)


# -- a Redis that throws away ------------------------------------------------------------------------------------


def policies(client: "object", **settings: str) -> None:
    for name, value in settings.items():
        client.config_set(name.replace("_", "-"), value)  # type: ignore[attr-defined]


WARNING = "throws away whole streams when it is full (maxmemory-policy allkeys-lru)"


def test_a_redis_that_evicts_is_warned_of_once(redis: RedisProcess, caplog: pytest.LogCaptureFixture) -> None:
    """Once, however often it is connected to; records are sent all the same."""
    with redis.client() as client:
        policies(client, maxmemory="100mb", maxmemory_policy="allkeys-lru")
    sink = RedisSink(redis.url, RUN, "s1")
    sink.send(FRAMES[:4])
    assert caplog.text.count(WARNING) == 1
    assert "CONFIG SET maxmemory-policy noeviction" in caplog.text
    redis.kill()
    redis.start("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    assert_sends_at_last(sink, FRAMES[4:])
    assert caplog.text.count(WARNING) == 1
    sink.close()


def assert_sends_at_last(sink: RedisSink, frames: list[tuple[int, bytes]]) -> None:
    def sends() -> bool:
        try:
            sink.send(frames)
        except StreamLost:
            raise
        except SinkError:
            return False
        return True

    wait_for("the records to be taken", sends)


@pytest.mark.parametrize("idle", [False, True])
def test_a_policy_that_changes_is_seen_when_the_connection_is_made_anew(
    idle: bool, redis: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where redis-py makes it by itself, because the old one was closed while nothing was sent."""
    sink = RedisSink(redis.url, RUN, "s1")
    sink.send(FRAMES[:2])
    assert caplog.text == ""
    with redis.client() as client:
        policies(client, maxmemory="100mb", maxmemory_policy="allkeys-lru")
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        if not idle:
            client.config_set("maxmemory", "100mb")
    assert_sends_at_last(sink, FRAMES[2:])
    assert caplog.text.count(WARNING) == 1
    sink.close()


@pytest.mark.parametrize(
    ("rights", "word"),
    [
        (["+info"], WARNING),
        (["+config|get"], WARNING),
        ([], "does not tell what it does when it is full"),
    ],
)
def test_the_policy_is_asked_for_in_whichever_way_is_permitted(
    rights: list[str], word: str, redis: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    """Not to know it is no reason to send nothing, nor to trouble anybody."""
    caplog.set_level(logging.DEBUG, "rolloutwatch")
    with redis.client() as client:
        policies(client, maxmemory="100mb", maxmemory_policy="allkeys-lru")
        least = ["+multi", "+exec", "+xadd", "+xinfo|stream", "+xrange", "+get"]
        client.execute_command(
            "ACL", "SETUSER", "trainer", "on", ">geheim", "~rolloutwatch:*", "-@all", *least, *rights
        )
    assert_takes_records(redis.url.replace("//", "//trainer:geheim@"), redis)
    (record,) = [one for one in caplog.records if one.name == "rolloutwatch"]
    assert word in record.message
    assert (record.levelno == logging.WARNING) == bool(rights)


# -- Sentinels and clusters --------------------------------------------------------------------------------------


def test_sentinels_tell_who_the_primary_is_also_after_it_has_changed(tmp_path: Path) -> None:
    """The stream goes on in the replica that is promoted, without a hole."""
    with (
        replicated(tmp_path) as (primary, replica),
        sentinel(tmp_path / "sentinel", primary) as guard,
        guard.client() as client,
        primary.client() as former,
    ):
        nobody = free_port()
        url = f"redis+sentinel://127.0.0.1:{nobody},127.0.0.1:{guard.port}/mymaster/0"
        sink = RedisSink(url, RUN, "s1")
        sink.send(FRAMES[:4])
        assert length(primary) == 4
        wait_for("the replica", lambda: length(replica) == 4)
        wait_for("the Sentinel to agree", lambda: promoted(client))
        wait_for("the failover", lambda: former.info("replication")["role"] == "slave")
        assert_sends_at_last(sink, FRAMES[4:])
        assert length(replica) == 8
        sink.close()
        error = refusal(url.replace("mymaster", "others"))
        assert f"the Sentinel at 127.0.0.1:{guard.port} knows no service 'others'" in str(error)
        assert error.retry_after_seconds is None


def promoted(sentinel: "object") -> bool:
    """Ask for another primary, which a Sentinel does when it has heard enough of the replica."""
    try:
        return bool(sentinel.execute_command("SENTINEL", "FAILOVER", "mymaster"))  # type: ignore[attr-defined]
    except ResponseError:
        return False


def test_a_redis_that_is_no_sentinel_is_told(redis: RedisProcess) -> None:
    assert "SENTINEL" in str(refusal(f"redis+sentinel://127.0.0.1:{redis.port}/mymaster"))


def test_all_records_of_a_session_go_to_the_node_of_a_cluster_that_holds_them(tmp_path: Path) -> None:
    """Whichever node is asked first."""
    with cluster(tmp_path) as (lower, upper):
        for session, entrance in (("s1", lower), ("s2", upper)):
            sink = RedisSink(f"redis+cluster://127.0.0.1:{entrance.port}", RUN, session)
            sink.send(FRAMES)
            sink.close()
        with lower.client() as one, upper.client() as other:
            counts = {len(client.keys("*")) for client in (one, other)}
        assert counts == {0, 2}
        told = []
        for server in (lower, upper):
            try:
                RedisSink(server.url, RUN, "s3").send(FRAMES)
            except SinkError as error:
                told.append(error)
        (error,) = told
        assert "it is a node of a cluster, and the keys live on another one" in str(error)
        assert "Say so in the URL: redis+cluster://" in str(error)
        assert error.retry_after_seconds == MINUTE
