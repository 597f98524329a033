"""S9: what only a trusted proxy may say is believed of a trusted proxy alone."""

from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest
from starlette.datastructures import Headers

from rolloutwatch_server.security import Role
from rolloutwatch_server.security.peers import Proxies
from rolloutwatch_server.store import Store
from tests.server.guarded import HOST, STRANGER, Guarded

PROXY = "10.0.0.7"
PROXIES = Proxies((ip_network("10.0.0.0/24"), ip_network("fd00::/64")), "x-forwarded-user")


@pytest.fixture
def site(store: Store, tmp_path: Path) -> Iterator[Guarded]:
    one = Guarded.of(store, tmp_path, proxies=PROXIES)
    yield one
    one.close()


def said(name: str, role: str | None = None) -> dict[str, str]:
    headers = {"host": HOST, "x-forwarded-user": name}
    return headers if role is None else headers | {"x-forwarded-role": role}


@pytest.mark.parametrize("client", [PROXY, "10.0.0.255", "fd00::1", "::ffff:10.0.0.7"])
def test_a_listed_proxy_says_who_asks(client: str, site: Guarded) -> None:
    assert site.ask("GET", "/api/v1/runs", said("alice"), client=client).status_code == 200
    assert site.ask("DELETE", "/api/none", said("alice", "admin"), client=client).status_code == 404


@pytest.mark.parametrize(
    "client", [STRANGER, "10.0.1.7", "127.0.0.1", "::1", "fd00:0:0:1::1", "", "testclient"]
)
def test_s9_what_a_stranger_says_of_itself_counts_for_nothing(client: str, site: Guarded) -> None:
    """Also if it says that it comes from the proxy."""
    headers = said("alice", "admin") | {
        "x-forwarded-for": PROXY,
        "forwarded": f"for={PROXY}",
        "x-real-ip": PROXY,
    }
    assert site.ask("GET", "/api/v1/runs", headers, client=client).status_code == 401


def test_a_role_that_is_not_told_is_viewer(site: Guarded) -> None:
    assert site.ask("DELETE", "/api/none", said("alice"), client=PROXY).status_code == 403


@pytest.mark.parametrize(
    ("name", "role", "complaint"),
    [
        ("alice", "root", "one of viewer, operator, admin"),
        ("a<b>", None, "expected a name"),
        ("x" * 99, None, "name"),
    ],
)
def test_a_proxy_that_says_what_cannot_be_lets_nobody_in(
    name: str, role: str | None, complaint: str, site: Guarded
) -> None:
    answer = site.ask("GET", "/api/v1/runs", said(name, role), client=PROXY)
    assert answer.status_code == 401
    assert complaint in answer.json()["detail"]


@pytest.mark.parametrize("header", ["x-forwarded-user", "x-forwarded-role"])
def test_a_header_that_came_twice_lets_nobody_in(header: str, site: Guarded) -> None:
    """The proxy added its own to one that the client had sent."""
    pairs = [*said("alice", "viewer").items(), (header, "admin")]
    answer = site.ask("GET", "/api/v1/runs", pairs[1:], client=PROXY)
    assert answer.status_code == 401
    assert "came 2 times" in answer.json()["detail"]


def test_who_comes_through_the_proxy_unnamed_has_to_log_in(site: Guarded) -> None:
    assert site.ask("GET", "/api/v1/runs", said(""), client=PROXY).status_code == 401
    assert site.ask("GET", "/api/v1/runs", client=PROXY).status_code == 401


def test_a_foreign_page_writes_nothing_through_the_proxy_either(site: Guarded) -> None:
    headers = said("alice", "admin") | {"origin": "http://evil.example"}
    assert site.ask("DELETE", "/api/none", headers, client=PROXY).status_code == 403


def test_a_proxy_that_is_listed_for_addresses_alone_names_nobody(store: Store, tmp_path: Path) -> None:
    site = Guarded.of(store, tmp_path, proxies=Proxies(PROXIES.networks))
    assert site.ask("GET", "/api/v1/runs", said("alice", "admin"), client=PROXY).status_code == 401
    site.close()


@pytest.mark.parametrize(
    ("client", "told", "address"),
    [
        (PROXY, "192.0.2.1", "192.0.2.1"),
        (PROXY, "6.6.6.6, 192.0.2.1", "192.0.2.1"),
        (PROXY, "6.6.6.6, 192.0.2.1, 10.0.0.9", "192.0.2.1"),
        (PROXY, "", PROXY),
        (STRANGER, "192.0.2.1", STRANGER),
    ],
)
def test_the_address_is_the_last_one_that_no_trusted_proxy_has(client: str, told: str, address: str) -> None:
    """What stands further left was written by whoever asks."""
    headers = Headers({"x-forwarded-for": told} if told else {})
    assert PROXIES.address({"client": (client, 1), "headers": headers.raw}, headers) == address


@pytest.mark.parametrize(("client", "is_secure"), [(PROXY, True), (STRANGER, False)])
def test_whether_a_browser_came_by_https_is_for_a_trusted_proxy_to_say(
    client: str, is_secure: bool, site: Guarded
) -> None:
    link = site.gate.ledger.new_link(Role.VIEWER, 60).reveal()
    headers = {"host": HOST, "origin": f"https://{HOST}", "x-forwarded-proto": "https"}
    cookie = site.ask("POST", "/login", headers, client=client, data={"link": link}).headers["set-cookie"]
    assert ("Secure" in cookie) is is_secure
