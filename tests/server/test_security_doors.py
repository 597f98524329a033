"""Nobody gets past the doors who may not: S2 to S5 and F46, over every route there is, whoever made it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rolloutwatch_server.security.roles import Role, needed
from rolloutwatch_server.security.streams import STREAMS
from rolloutwatch_server.store import Store
from tests.server.guarded import HOST, HTML, TOKENS, Guarded, by
from tests.server.records import RUN, STREAM, batch, start, step

OPEN = {("GET", "/healthz"), ("GET", "/login"), ("POST", "/login"), ("POST", "/logout")}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
OURS = {"origin": f"http://{HOST}"}


@pytest.fixture
def site(store: Store, tmp_path: Path) -> Iterator[Guarded]:
    store.archive(STREAM, batch(start(), step(1, kl=0.5)))
    one = Guarded.of(store, tmp_path)
    yield one
    one.close()


def paths_of(routes: Any) -> Iterator[str]:
    """Every path of an application, those of included routers and mounted applications too."""
    for route in routes:
        if hasattr(route, "effective_route_contexts"):
            yield from paths_of(route.effective_route_contexts())
        else:
            yield route.path


def addresses(site: Guarded) -> list[str]:
    """An address of each path, with something in the place of what it leaves open."""
    filled = {
        "run": RUN,
        "package_name": "dash",
        "fingerprinted_path": "dash-renderer/build/dash_renderer.min.js",
        "path": "x/y",
    }
    found = {
        re.sub(r"\{(\w+)(?::\w+)?\}", lambda part: filled.get(part[1], "1"), path)
        for path in paths_of(site.app.routes)
    }
    assets = {"/assets", "/assets/style.css", "/assets/run.js"}
    return sorted(found | assets | {"/runs/math~a", "/metrics", "/favicon.ico", "/any/where"})


def test_the_routes_are_all_there(site: Guarded) -> None:
    """Else the tests below would look at nothing: API, pages, Dash's own, files, WebSocket."""
    found = addresses(site)
    assert len(found) > 20
    for path in (
        f"/api/v1/runs/{RUN}/live",
        "/_dash-update-component",
        "/_dash-ws-callback",
        "/docs",
        "/readyz",
    ):
        assert path in found
    assert any(path.startswith("/_dash-component-suites/") for path in found)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer " + "x" * 40},
        {"authorization": "Bearer "},
        {"authorization": "Basic YWRtaW46YWRtaW4="},
        {"authorization": TOKENS[Role.ADMIN]},
        {"cookie": "rolloutwatch=x", **OURS},
    ],
    ids=["nothing", "wrong", "empty", "basic", "no scheme", "cookie"],
)
def test_s2_every_route_asks_who_it_is(headers: dict[str, str], site: Guarded) -> None:
    """By any method, and for nothing but what the table names; a HEAD tells no more than a GET."""
    for path in addresses(site):
        for method in METHODS:
            if (method.replace("HEAD", "GET"), path) in OPEN:
                continue
            site.clock.now += 3600  # else so many wrong tokens would have to wait
            answer = site.ask(method, path, {"host": HOST, **headers})
            assert answer.status_code == 401, (method, path, answer.text)
            assert answer.headers["www-authenticate"].startswith('Bearer realm="rolloutwatch"')
            assert answer.headers["content-type"] == "application/problem+json"
            assert method == "HEAD" or answer.json()["status"] == 401


def test_what_is_open_tells_nothing(site: Guarded) -> None:
    assert site.ask("GET", "/healthz").json() == {"ok": True}
    page = site.ask("GET", "/login", HTML)
    assert page.status_code == 200
    assert "math" not in page.text
    assert site.ask("POST", "/logout", OURS).status_code == 303


def test_a_session_that_has_expired_is_none(site: Guarded) -> None:
    link = site.gate.ledger.new_link(Role.VIEWER, 60)
    assert site.log_in(link=link.reveal()).status_code == 303
    assert site.ask("GET", "/api/v1/runs").status_code == 200
    site.clock.now += 3599
    assert site.ask("GET", "/api/v1/runs").status_code == 200
    site.clock.now += 1
    assert site.ask("GET", "/api/v1/runs").status_code == 401


@pytest.mark.parametrize(
    "written",
    [
        "//healthz",
        "/healthz/",
        "/healthz/../api/v1/runs",
        "/login/../api/v1/runs",
        "/login%2f..%2fapi%2fv1%2fruns",
        "/healthz%00/api/v1/runs",
        "/healthz%0a",
        "/HEALTHZ",
        "/Login",
        "/login;/api/v1/runs",
        "/%61pi/v1/runs",
        "/api/v1/runs/",
        "/api/v1/./runs",
        "/api//v1/runs",
        "/assets/../login",
        "/assets/%2e%2e/%2e%2e/app.py",
        "/./login",
    ],
)
def test_s2_no_way_of_writing_a_path_leads_around_the_guard(written: str, site: Guarded) -> None:
    """The guard looks at the very path that the router looks at, and knows what is open, not what is closed."""
    assert site.status_of(written) == 401


@pytest.mark.parametrize("name", ["x-http-method-override", "x-method-override", "x-http-method"])
def test_s3_the_method_is_the_method(name: str, site: Guarded) -> None:
    headers = {"host": HOST, **by(Role.VIEWER), name: "GET"}
    assert site.ask("DELETE", f"/api/v1/runs/{RUN}", headers).status_code == 403


def test_s2_a_browser_that_wants_a_page_is_sent_to_the_login(site: Guarded) -> None:
    """And from there back to what it wanted, of this server and no other."""
    answer = site.ask("GET", f"/runs/{RUN}?a=1&b=2", HTML)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=%2Fruns%2Fmath~a%3Fa%3D1%26b%3D2"
    assert answer.headers["cache-control"] == "no-store"
    link = site.gate.ledger.new_link(Role.VIEWER, 60).reveal()
    back = site.log_in(link=link, next=f"/runs/{RUN}?a=1&b=2")
    assert back.headers["location"] == f"/runs/{RUN}?a=1&b=2"
    for outside in (
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "javascript:x",
        "/a\r\nb",
        "",
    ):
        link = site.gate.ledger.new_link(Role.VIEWER, 60).reveal()
        assert site.log_in(link=link, next=outside).headers["location"] == "/"


def test_s2_what_a_page_fetches_is_told_401_and_not_sent_to_the_login(site: Guarded) -> None:
    fetched = HTML | {"sec-fetch-mode": "cors"}
    assert site.ask("GET", f"/api/v1/runs/{RUN}", HTML).status_code == 401
    assert site.ask("GET", "/_dash-layout", fetched).status_code == 401
    assert site.ask("POST", "/_dash-update-component", HTML | OURS).status_code == 401


def test_a_page_that_another_site_led_to_asks_once_more(site: Guarded) -> None:
    """A browser keeps a strict cookie back then; to the page that leads to itself it sends it."""
    answer = site.ask("GET", f"/runs/{RUN}", HTML | {"sec-fetch-site": "cross-site"})
    assert answer.status_code == 200
    assert '<meta http-equiv="refresh" content="0">' in answer.text
    again = site.ask("GET", f"/runs/{RUN}", HTML | {"sec-fetch-site": "same-origin"})
    assert again.status_code == 303


@pytest.mark.parametrize("role", Role)
def test_s3_each_role_may_do_what_the_table_says_and_nothing_else(role: Role, site: Guarded) -> None:
    """A refusal names the role that is needed and the one that is there."""
    for path in addresses(site):
        for method in METHODS:
            if STREAMS.fullmatch(path) and method == "GET":
                continue  # has no end, and is looked at elsewhere
            expected = needed(method, path)
            answer = site.ask(method, path, {"host": HOST, **by(role)})
            if expected is not None and role < expected:
                assert answer.status_code == 403, (method, path)
                detail = answer.json()["detail"]
                assert detail.endswith(f"needs the role {expected.word}; you are {role.word}s ({role.word}).")
            elif path != "/login":
                assert answer.status_code not in (401, 403), (method, path, answer.text)


@pytest.mark.parametrize(
    ("method", "path", "role"),
    [
        ("GET", "/api/v1/runs", Role.VIEWER),
        ("HEAD", "/metrics", Role.VIEWER),
        ("GET", "/readyz", Role.VIEWER),
        ("POST", "/_dash-update-component", Role.VIEWER),
        ("POST", "/api/v1/runs/a~b/whatif", Role.VIEWER),
        ("PUT", "/api/v1/runs/a~b/whatif", Role.ADMIN),
        ("POST", "/api/v1/runs/a~b/c/whatif", Role.ADMIN),
        ("POST", "/api/v1/runs/a~b/whatif\n", Role.ADMIN),
        ("POST", "/api/v1/runs/a~b/whatif/", Role.ADMIN),
        ("GET", "/api/v1/alerts", Role.VIEWER),
        ("GET", "/api/v1/alerts/7", Role.VIEWER),
        ("POST", "/api/v1/alerts/7/acknowledge", Role.OPERATOR),
        ("DELETE", "/api/v1/alerts/7/acknowledge", Role.OPERATOR),
        ("PUT", "/api/v1/alerts/7/acknowledge", Role.ADMIN),
        ("POST", "/api/v1/alerts/7/silence", Role.OPERATOR),
        ("DELETE", "/api/v1/alerts/7", Role.ADMIN),
        ("GET", "/api/v1/silences", Role.VIEWER),
        ("POST", "/api/v1/silences", Role.OPERATOR),
        ("DELETE", "/api/v1/silences/7", Role.OPERATOR),
        ("DELETE", "/api/v1/silences", Role.ADMIN),
        ("GET", "/api/v1/rules", Role.VIEWER),
        ("POST", "/api/v1/rules/check", Role.VIEWER),
        ("PUT", "/api/v1/rules", Role.ADMIN),
        ("DELETE", "/api/v1/rules", Role.ADMIN),
        ("POST", "/api/v1/rules", Role.ADMIN),
        ("GET", "/guides/kl_high", Role.VIEWER),
        ("POST", "/api/v1/imports", Role.ADMIN),
        ("DELETE", "/api/v1/runs/a~b", Role.ADMIN),
        ("PATCH", "/api/v1/runs/a~b", Role.OPERATOR),
        ("PATCH", "/api/v1/runs", Role.ADMIN),
        ("OPTIONS", "/api/v1/runs", Role.ADMIN),
        ("get", "/healthz", Role.ADMIN),
        ("POST", "/nobody/thought/of", Role.ADMIN),
        ("GET", "/healthz", None),
        ("POST", "/login", None),
    ],
)
def test_the_table_of_roles(method: str, path: str, role: Role | None) -> None:
    """What nobody thought of takes an admin."""
    assert needed(method, path) is role


def test_every_event_stream_of_the_api_is_counted_as_one(site: Guarded) -> None:
    """A route that streams and that the limits do not know would have none."""
    streams = [
        path
        for path, verbs in site.app.openapi()["paths"].items()
        for verb in verbs.values()
        if "text/event-stream" in verb["responses"].get("200", {}).get("content", {})
    ]
    assert f"{'/api/v1/runs/{run}'}/live" in streams
    assert [path for path in streams if not STREAMS.fullmatch(path.replace("{run}", RUN))] == []


FOREIGN_HOSTS = (
    "evil.example",
    f"{HOST}.evil.example",
    f"{HOST}.",
    f"user@{HOST}",
    f"{HOST}:80:80",
    f"{HOST}:http",
    f"evil.example, {HOST}",
    f"{HOST}/",
    "[::1",
    "2130706433",
    "0x7f.1",
    "",
)


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_s4_every_route_refuses_a_foreign_host(host: str, site: Guarded) -> None:
    """Before it asks who it is: also what is open, and also who has a token."""
    for path in (*addresses(site), "/login"):
        answer = site.ask("GET", path, {"host": host, **by(Role.ADMIN)})
        assert answer.status_code == 421, path
        assert "--allowed-hosts" in answer.json()["detail"]
    for tells_why, status in ((True, 421), (False, 1008)):
        headers = {"host": host, **by(Role.ADMIN)}
        assert site.connect("/_dash-ws-callback", headers, tells_why=tells_why) == status


@pytest.mark.parametrize("host", [HOST, "WATCH.example:8050", "127.0.0.1:1", "10.9.9.9", "10.9.9.9:80"])
def test_s4_known_names_and_the_own_address_are_answered(host: str, site: Guarded) -> None:
    assert site.ask("GET", "/api/v1/runs", {"host": host, **by(Role.VIEWER)}).status_code == 200


def test_s4_two_hosts_are_none(site: Guarded) -> None:
    """Which one a proxy before this server would have looked at is not known."""
    pairs = [("host", HOST), *by(Role.ADMIN).items()]
    assert site.ask("GET", "/api/v1/runs", pairs).status_code == 400


FOREIGN_ORIGINS = (
    "http://evil.example",
    "null",
    f"http://{HOST}:81",
    f"http://{HOST}.evil.example",
    f"http://evil.example/{HOST}",
    f"http://user@{HOST}",
    "",
    f"file://{HOST}",
)


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_s5_no_write_and_no_websocket_from_a_foreign_page(origin: str, site: Guarded) -> None:
    """Whatever it brings; and nothing is told that would let it read."""
    headers = {"host": HOST, "origin": origin, **by(Role.ADMIN)}
    for path in addresses(site):
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "GET"):
            answer = site.ask(method, path, headers)
            assert answer.status_code == 403, (method, path)
            assert answer.json()["title"] == "Foreign origin"
            assert not [name for name in answer.headers if name.startswith("access-control-")]
    for tells_why, status in ((True, 403), (False, 1008)):
        assert site.connect("/_dash-ws-callback", headers, tells_why=tells_why) == status


def test_s5_our_own_pages_write(site: Guarded) -> None:
    site.log_in(link=site.gate.ledger.new_link(Role.ADMIN, 60).reveal())
    asked = {"json": {}, "headers": {"host": HOST, **OURS}}
    assert site.ask("POST", f"/api/v1/runs/{RUN}/whatif", **asked).status_code not in (401, 403)
    with_port = {"host": f"{HOST}:8050", "origin": f"http://{HOST}:8050"}
    assert site.ask("DELETE", "/api/none", with_port).status_code == 404


def test_s5_a_cookie_without_an_origin_writes_nothing(site: Guarded) -> None:
    """Every browser tells the origin of a write; what tells none and has a cookie is no browser we know."""
    site.log_in(link=site.gate.ledger.new_link(Role.ADMIN, 60).reveal())
    assert site.ask("DELETE", "/api/none").status_code == 403
    assert site.ask("DELETE", "/api/none", OURS).status_code == 404
    site.cookies.clear()
    assert site.ask("DELETE", "/api/none", {"host": HOST, **by(Role.ADMIN)}).status_code == 404
    crossing = {"host": HOST, "sec-fetch-site": "cross-site", **by(Role.ADMIN)}
    assert site.ask("DELETE", "/api/none", crossing).status_code == 403


def test_s2_websockets_ask_who_it_is(site: Guarded) -> None:
    for path in ("/_dash-ws-callback", "/any", "/healthz", "/login"):
        assert site.connect(path, {"host": HOST}) == 401
        assert site.connect(path, {"host": HOST, "authorization": "Bearer wrong"}) == 401
        assert site.connect(path, {"host": HOST}, tells_why=False) == 1008
    assert site.connect("/_dash-ws-callback", {"host": HOST, **OURS, **by(Role.VIEWER)}) not in (
        401,
        403,
        421,
    )


def test_a_token_of_two_headers_is_none(site: Guarded) -> None:
    pairs = [("authorization", "Bearer x"), *by(Role.ADMIN).items()]
    assert site.ask("GET", "/api/v1/runs", pairs).status_code == 400


def test_s3_nothing_is_touched_by_what_is_refused(site: Guarded, store: Store) -> None:
    for headers in ({}, by(Role.VIEWER), by(Role.OPERATOR)):
        assert site.ask("DELETE", f"/api/v1/runs/{RUN}", headers).status_code in (401, 403)
    assert [run.id for run in store.runs()] == [RUN]
