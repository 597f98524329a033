"""What a Redis URL may say, and where it leads."""

from pathlib import Path

import pytest

from rolloutwatch.connection import Kind, Memory, address_of, check_url, client_of


@pytest.mark.parametrize(
    "url",
    [
        "redis://host",
        "redis://user:p%40ss@host:6380/3?health_check_interval=10",
        "rediss://host:6379/0?ssl_cert_reqs=required",
        "unix:///run/redis.sock?db=2",
        "redis+sentinel://a,b:26380,[::1]:26379/mymaster/2",
        "rediss+sentinel://user:secret@a:26379/mymaster?sentinel_password=other",
        "redis+cluster://a:7000,b:7001",
        "rediss+cluster://user:secret@a/0",
    ],
)
def test_a_url_of_each_kind_is_taken_as_it_is(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis+sentinel://a:26379", "the name of the service that the Sentinels watch is missing"),
        ("redis+sentinel://a:26379/mymaster/x", "the database 'x' is no number"),
        ("redis+sentinel://a,,b/mymaster", "'' is no host:port"),
        ("redis+cluster://a:port", "Port could not be cast"),
        ("redis+cluster://a/1", "a cluster has database 0 and no other, not '1'"),
        ("redis+cluster://a?foo=bar", "unexpected keyword argument 'foo'"),
        ("redis+one://a", "expected redis://"),
        ("redis+ring://a", "'ring' is not a valid Kind"),
        ("unix+cluster://a", "expected redis://"),
        ("rediss://a?ssl_ca_certs=/no/such.pem", "ssl_ca_certs is '/no/such.pem', which is no file"),
    ],
)
def test_a_url_that_leads_nowhere_is_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(
        ValueError, match=r"redis_url is .*: expected redis://host:6379/0, rediss://"
    ) as refusal:
        check_url(url)
    assert why in str(refusal.value)


def test_passwords_of_a_refused_url_are_not_repeated() -> None:
    url = "redis+sentinel://user:geheim@a?sentinel_password=geheim&x=y"
    with pytest.raises(ValueError, match=r"user:\*\*\*@a\?sentinel_password=\*\*\*") as refusal:
        check_url(url)
    assert "geheim" not in str(refusal.value)


def test_what_is_read_from_a_url_is_shown_without_passwords() -> None:
    """Also where an address is printed as a whole, into a traceback, say."""
    address = address_of("redis+sentinel://user:geheim@a,b/mymaster/2?sentinel_password=geheim")
    assert address.shown == "redis+sentinel://user:***@a,b/mymaster/2?sentinel_password=***"
    assert "geheim" not in repr(address)


def test_sentinels_and_what_they_watch_have_logins_of_their_own() -> None:
    address = address_of(
        "redis+sentinel://user:one@a,b:7/mymaster/2?sentinel_username=guard&sentinel_password=t%2Fwo&protocol=2"
    )
    assert (address.kind, address.service, address.username) == (Kind.SENTINEL, "mymaster", "user")
    assert address.nodes == [("a", 26379), ("b", 7)]
    sentinel = client_of(address.entrances[1]).connection_pool.connection_kwargs
    assert (sentinel["username"], sentinel["password"]) == ("guard", "t/wo")
    primary = client_of(address.at("10.0.0.1", 6379)).connection_pool.connection_kwargs
    assert (primary["host"], primary["username"], primary["password"], primary["db"]) == (
        "10.0.0.1", "user", "one", 2,
    )  # fmt: skip


def test_nodes_of_a_cluster_are_spoken_to_alike() -> None:
    """Wherever a key lives: the same login, the same TLS."""
    address = address_of("rediss+cluster://user:one@a,b:7000?ssl_cert_reqs=required")
    assert address.is_encrypted
    assert address.nodes == [("a", 6379), ("b", 7000)]
    assert address.at("::1", 7001) == "rediss://user:one@[::1]:7001/?ssl_cert_reqs=required"


def test_certificates_are_verified_unless_the_url_says_otherwise(tmp_path: Path) -> None:
    """By all versions of redis-py, of which old ones do not compare host names by themselves."""
    options = client_of("rediss://host").connection_pool.connection_kwargs
    assert options["ssl_check_hostname"] is True
    assert options.get("ssl_cert_reqs", "required") == "required"
    options = client_of("rediss://host?ssl_check_hostname=false").connection_pool.connection_kwargs
    assert options["ssl_check_hostname"] is False


@pytest.mark.parametrize(
    ("policy", "limit", "may_evict", "evicts"),
    [
        ("noeviction", 0, False, False),
        ("noeviction", 1000, False, False),
        ("allkeys-lru", 0, True, False),
        ("allkeys-random", 1000, True, True),
        ("volatile-ttl", 1000, False, False),
    ],
)
def test_streams_are_in_danger_where_any_key_may_go_and_memory_is_limited(
    policy: str, limit: int, may_evict: bool, evicts: bool
) -> None:
    """volatile-* takes keys that expire, and of ours those expire that nobody needs for long."""
    memory = Memory(policy, limit)
    assert (memory.may_evict, memory.evicts) == (may_evict, evicts)
