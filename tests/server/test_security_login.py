"""Logging in and out: S10, and how a session begins, lasts and ends."""

import asyncio
import hmac
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from rolloutwatch_server.security import Role, Secret
from rolloutwatch_server.security.credentials import find_token, parse_passwords, parse_tokens, password_line
from rolloutwatch_server.security.ledger import Ledger
from rolloutwatch_server.security.secret import is_same
from rolloutwatch_server.security.throttle import (
    FREE_FAILURES,
    LONGEST_WAIT_SECONDS,
    MOST_KEYS,
    Throttle,
    address_key,
)
from rolloutwatch_server.store import Store
from tests.server.guarded import HOST, HTML, TOKENS, Clock, Guarded, by, write_passwords

ALICE = {"name": "alice", "password": "correct horse"}
ORIGIN = {"host": HOST, "origin": f"http://{HOST}"}


@pytest.fixture(scope="module")
def lines() -> str:
    """Made once: that it takes long is its purpose."""
    return password_line("alice", Role.OPERATOR, Secret(ALICE["password"]))


@pytest.fixture
def passwords(tmp_path: Path, lines: str) -> Path:
    file = tmp_path / "passwords"
    file.write_text(f"# who\n\n{lines}\n")
    file.chmod(0o600)
    return file


@pytest.fixture
def site(store: Store, tmp_path: Path, passwords: Path) -> Iterator[Guarded]:
    one = Guarded.of(store, tmp_path, passwords=passwords)
    yield one
    one.close()


def test_a_password_logs_in_and_the_way_out_logs_out(site: Guarded) -> None:
    """The cookie is for this server's own pages alone, and no script can read it."""
    answer = site.log_in(**ALICE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{site.gate.cookie}=")
    for part in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age=3600"):
        assert part in cookie
    assert "Secure" not in cookie
    assert site.ask("GET", "/api/v1/runs").status_code == 200
    assert "<strong>alice</strong> (operator)" in site.ask("GET", "/login", HTML).text
    secret = site.cookies[site.gate.cookie]
    out = site.ask("POST", "/logout", ORIGIN)
    assert (out.status_code, out.headers["location"]) == (303, "/login")
    replayed = {"cookie": f"{site.gate.cookie}={secret}"}
    assert site.ask("GET", "/api/v1/runs", replayed).status_code == 401


def test_a_token_logs_a_browser_in_as_far_as_it_goes(site: Guarded) -> None:
    assert site.log_in(token=TOKENS[Role.VIEWER]).status_code == 303
    assert site.ask("GET", "/api/v1/runs").status_code == 200
    assert site.ask("DELETE", "/api/none", ORIGIN).status_code == 403


@pytest.mark.parametrize(
    "form",
    [
        {"name": "alice", "password": "correct hors"},
        {"name": "alice", "password": ""},
        {"name": "alice"},
        {"name": "nobody", "password": "correct horse"},
        {"name": "alice\0", "password": "correct horse"},
        {"name": "alice", "password": "x" * 5000},
        {"token": "x" * 40},
        {"link": "x" * 40},
        {},
    ],
)
def test_what_is_wrong_does_not_log_in(form: dict[str, str], site: Guarded) -> None:
    """The page says so to a screen reader too, and begins no session."""
    answer = site.log_in(**form)
    assert answer.status_code == 401
    assert 'role="alert"' in answer.text
    assert "set-cookie" not in answer.headers


def test_a_name_that_is_unknown_is_told_as_one_whose_password_is_wrong(site: Guarded) -> None:
    texts = [
        site.log_in(name=name, password="wrong password").text.replace(name, "NAME")
        for name in ("alice", "nobody")
    ]
    assert texts[0] == texts[1]


def test_what_was_typed_comes_back_as_text(site: Guarded) -> None:
    text = site.log_in(name='"><script>alert(1)</script>', password="x", next='/"><b>').text
    assert "<script>alert" not in text
    assert '"><b>' not in text


def test_a_link_logs_in_once(site: Guarded) -> None:
    """That it is looked at, by the preview of a chat program, does not use it up."""
    link = site.gate.ledger.new_link(Role.VIEWER, 900).reveal()
    for _ in range(2):
        page = site.ask("GET", f"/login?link={link}", HTML)
        assert page.status_code == 200
        assert "as <strong>viewer</strong>, once" in page.text
        assert "set-cookie" not in page.headers
    assert site.log_in(link=link).status_code == 303
    site.cookies.clear()
    assert site.log_in(link=link).status_code == 401
    assert site.ask("GET", f"/login?link={link}", HTML).status_code == 401


def test_a_link_of_which_many_make_use_at_once_logs_one_in(site: Guarded) -> None:
    link = site.gate.ledger.new_link(Role.VIEWER, 900).reveal()

    async def rush() -> list[httpx.Response]:
        transport = httpx.ASGITransport(site.app)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
            tries = (client.post("/login", data={"link": link}, headers=ORIGIN) for _ in range(4))
            return await asyncio.gather(*tries)

    assert sorted(answer.status_code for answer in asyncio.run(rush())) == [303, 401, 401, 401]


def test_a_link_expires(site: Guarded) -> None:
    link = site.gate.ledger.new_link(Role.VIEWER, 900).reveal()
    site.clock.now += 900
    assert site.log_in(link=link).status_code == 401


def test_a_session_outlives_the_server(site: Guarded, store: Store, tmp_path: Path, passwords: Path) -> None:
    site.log_in(**ALICE)
    site.close()
    anew = Guarded.of(store, tmp_path, passwords=passwords)
    anew.cookies = site.cookies
    assert anew.ask("GET", "/api/v1/runs").status_code == 200
    anew.close()
    site.gate.ledger = Ledger(tmp_path / "access.db")


def test_the_cookie_of_another_server_on_this_host_is_none(
    site: Guarded, store: Store, tmp_path: Path, passwords: Path
) -> None:
    """Browsers do not tell ports apart: each server has a name of its own for its cookie."""
    (tmp_path / "other").mkdir()
    other = Guarded.of(store, tmp_path / "other", passwords=passwords)
    site.log_in(**ALICE)
    other.log_in(**ALICE)
    assert site.gate.cookie != other.gate.cookie
    both = {**site.cookies, **other.cookies}
    site.cookies = other.cookies = both
    assert site.ask("GET", "/api/v1/runs").status_code == 200
    assert other.ask("GET", "/api/v1/runs").status_code == 200
    theirs = {"cookie": f"{site.gate.cookie}={both[other.gate.cookie]}"}
    assert site.ask("GET", "/api/v1/runs", theirs).status_code == 401
    other.close()


def test_a_cookie_that_came_twice_is_none(site: Guarded) -> None:
    """One of them was put there by somebody else."""
    site.log_in(**ALICE)
    one = f"{site.gate.cookie}={site.cookies[site.gate.cookie]}"
    for cookie in (f"{one}; {one}", f"{site.gate.cookie}=x; {one}", f"__Host-{one}; {one}"):
        assert site.ask("GET", "/api/v1/runs", {"cookie": cookie}).status_code == 401


def test_whoever_logs_in_anew_leaves_the_former_session(site: Guarded) -> None:
    """A session that somebody else put there is not taken over either."""
    site.log_in(**ALICE)
    former = site.cookies[site.gate.cookie]
    site.log_in(**ALICE)
    assert site.cookies[site.gate.cookie] != former
    assert site.ask("GET", "/api/v1/runs", {"cookie": f"{site.gate.cookie}={former}"}).status_code == 401


def test_a_changed_password_ends_the_sessions_begun_with_the_old_one(site: Guarded, passwords: Path) -> None:
    """Without a restart, and so does one that is taken away; a file that others can read lets nobody in."""
    site.log_in(**ALICE)
    write_passwords(passwords, alice=(Role.OPERATOR, "another horse"))
    site.clock.now += 2
    assert site.ask("GET", "/api/v1/runs").status_code == 401
    assert site.log_in(**ALICE).status_code == 401
    assert site.log_in(name="alice", password="another horse").status_code == 303
    passwords.chmod(0o640)
    site.clock.now += 2
    assert site.ask("GET", "/api/v1/runs").status_code == 401
    passwords.chmod(0o600)
    site.clock.now += 2
    assert site.ask("GET", "/api/v1/runs").status_code == 200
    passwords.unlink()
    site.clock.now += 2
    assert site.ask("GET", "/api/v1/runs").status_code == 401


def test_a_token_that_is_taken_away_ends_the_sessions_begun_with_it(site: Guarded) -> None:
    site.log_in(token=TOKENS[Role.ADMIN])
    assert site.ask("GET", "/api/v1/runs").status_code == 200
    site.gate.fixed_tokens = site.gate.fixed_tokens[:2]
    assert site.ask("GET", "/api/v1/runs").status_code == 401


def test_by_https_the_cookie_never_goes_by_anything_else(
    store: Store, tmp_path: Path, passwords: Path
) -> None:
    one = Guarded.of(store, tmp_path, passwords=passwords, public_url=f"https://{HOST}")
    answer = one.ask("POST", "/login", {"host": HOST, "origin": f"https://{HOST}"}, data=ALICE)
    assert answer.headers["set-cookie"].startswith(f"__Host-{one.gate.cookie}=")
    assert "Secure" in answer.headers["set-cookie"]
    assert one.ask("GET", "/api/v1/runs").status_code == 200
    one.close()


def test_a_form_of_another_site_logs_nobody_in(site: Guarded) -> None:
    """Somebody would find themselves in an account that is not theirs."""
    for headers in ({"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        assert site.ask("POST", "/login", {"host": HOST, **headers}, data=ALICE).status_code == 403


def fail(site: Guarded, times: int, client: str = "203.0.113.9", name: str = "alice") -> list[int]:
    return [
        site.ask("POST", "/login", ORIGIN, client=client, data={"name": name, "password": "w"}).status_code
        for _ in range(times)
    ]


def test_s10_whoever_fails_again_and_again_waits_longer_and_longer(site: Guarded) -> None:
    """The answer tells how long; while it lasts not even the right password is looked at."""
    assert fail(site, FREE_FAILURES) == [401] * FREE_FAILURES
    held_up = site.log_in(**ALICE)
    assert (held_up.status_code, held_up.headers["retry-after"]) == (429, "1")
    site.clock.now += 1
    assert fail(site, 2) == [401, 429]
    assert site.log_in(**ALICE).headers["retry-after"] == "2"
    site.clock.now += 2
    assert site.log_in(**ALICE).status_code == 303
    assert fail(site, 1) == [401]


def test_s10_nobody_is_locked_out_by_those_who_guess_elsewhere(site: Guarded) -> None:
    """However many they are; the right password from where nobody guesses is let in at once."""
    addresses = [f"198.51.100.{number}" for number in range(FREE_FAILURES + 2)]
    assert {fail(site, 1, client=address)[0] for address in addresses} == {401}
    assert fail(site, FREE_FAILURES + 1, client="198.51.100.77")[-1] == 429
    assert site.log_in(**ALICE).status_code == 303


def test_s10_a_right_token_or_link_logs_in_from_where_others_guess(site: Guarded) -> None:
    assert fail(site, FREE_FAILURES + 1)[-1] == 429
    link = site.gate.ledger.new_link(Role.VIEWER, 900).reveal()
    assert site.log_in(token=TOKENS[Role.VIEWER]).status_code == 303
    assert site.log_in(link=link).status_code == 303
    assert site.log_in(token="x" * 40).status_code == 429


def test_s10_who_logs_in_in_between_gets_no_new_guesses(site: Guarded, passwords: Path, lines: str) -> None:
    write_passwords(passwords, mallory=(Role.VIEWER, "mine alone"))
    passwords.write_text(f"{passwords.read_text()}\n{lines}\n")
    site.clock.now += 2
    mine = {"name": "mallory", "password": "mine alone"}
    for number in range(FREE_FAILURES):
        assert fail(site, 1) == [401]
        if number < FREE_FAILURES - 1:
            assert site.log_in(**mine).status_code == 303
    assert fail(site, 1) == [429]


def test_s10_who_is_logged_in_stays_so_whatever_others_do(site: Guarded) -> None:
    """Nobody locks out others: sessions and right tokens do not wait, from whatever address."""
    site.log_in(**ALICE)
    wrong = {"host": HOST, "authorization": "Bearer " + "x" * 40}
    statuses = [site.ask("GET", "/api/v1/runs", wrong).status_code for _ in range(FREE_FAILURES + 2)]
    assert statuses == [401] * FREE_FAILURES + [429, 429]
    assert int(site.ask("GET", "/api/v1/runs", wrong).headers["retry-after"]) >= 1
    fail(site, FREE_FAILURES + 2)
    assert site.ask("GET", "/api/v1/runs").status_code == 200
    assert site.ask("GET", "/api/v1/runs", by(Role.VIEWER)).status_code == 200


def test_s10_attempts_at_the_same_time_are_counted_like_others(site: Guarded) -> None:
    async def rush() -> list[httpx.Response]:
        transport = httpx.ASGITransport(site.app)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}", timeout=60) as client:
            form = {"name": "alice", "password": "wrong password"}
            tries = (client.post("/login", data=form, headers=ORIGIN) for _ in range(FREE_FAILURES + 10))
            return await asyncio.gather(*tries)

    statuses = [answer.status_code for answer in asyncio.run(rush())]
    assert statuses.count(401) == FREE_FAILURES
    assert statuses.count(429) == 10


def test_s10_the_wait_has_an_end_and_so_has_the_memory() -> None:
    """A minute at most; an address is forgotten after a quarter of an hour, and only so many are known at once."""
    clock = Clock()
    throttle = Throttle(clock)
    key = address_key("192.0.2.1")
    for _ in range(100):
        throttle.attempt([key])
    assert throttle.seconds_to_wait([key]) == LONGEST_WAIT_SECONDS
    clock.now += 901
    throttle.attempt([key])
    assert throttle.seconds_to_wait([key]) <= 0
    for number in range(MOST_KEYS + 1):
        throttle.attempt([("address", str(number))])
    assert throttle.seconds_to_wait([key]) == 0


def test_s10_an_address_of_ipv6_is_its_network() -> None:
    """One subscriber has 2**64 of them."""
    assert address_key("2001:db8::1") == address_key("2001:db8::ffff:1") != address_key("2001:db8:0:1::1")
    assert address_key("192.0.2.1") != address_key("192.0.2.2")


def test_s10_secrets_are_compared_in_constant_time() -> None:
    """By the standard library's function, as digests of one length, and with every token, also after one fits."""
    assert is_same is hmac.compare_digest
    tokens = parse_tokens("\n".join(f"n{n}:viewer:{n}{'x' * 30}" for n in range(3)), "here")
    assert {len(token.digest) for token in tokens} == {32}
    looked_at = iter(tokens)
    assert find_token(looked_at, "0" + "x" * 30) is tokens[0]
    assert list(looked_at) == []
    assert find_token(tokens, "short") is None


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("alice", "expected NAME:ROLE:HASH"),
        ("alice:owner:x", "ROLE is one of viewer, operator, admin"),
        ("a b:viewer:x", "expected NAME:ROLE:HASH"),
        ("alice:viewer:s3cret-s3cret", "expected a hash of scrypt"),
        ("alice:viewer:scrypt$2$8$1$c2FsdHNhbHRzYWx0c2FsdA==$c2FsdHNhbHRzYWx0c2FsdA==", "a cost of scrypt"),
        ("alice:viewer:scrypt$99$8$1$c2FsdHNhbHRzYWx0c2FsdA==$c2FsdHNhbHRzYWx0c2FsdA==", "a cost of scrypt"),
        ("alice:viewer:scrypt$15$8$1$c2Fsd$c2FsdA==", "salt and hash in base 64"),
        ("alice:viewer:scrypt$15$8$1$c2FsdA==$c2FsdA==", "16 bytes or more"),
    ],
)
def test_a_line_of_passwords_that_is_wrong_is_told_without_what_it_hides(line: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=r"passwords, line 2") as refusal:
        parse_passwords(f"# names\n{line}", "passwords")
    assert complaint in str(refusal.value)
    assert "s3cret" not in str(refusal.value)


def test_a_name_has_one_password(lines: str) -> None:
    with pytest.raises(ValueError, match="two lines for alice"):
        parse_passwords(f"{lines}\n{lines}", "passwords")


@pytest.mark.parametrize("token", ["short", "x" * 23, "with space " * 4, "", "x" * 513])
def test_a_token_that_could_be_guessed_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="24 to 512 letters") as refusal:
        parse_tokens(f"ci:viewer:{token}", "ROLLOUTWATCH_TOKENS")
    assert not token or token not in str(refusal.value)


def test_the_file_of_sessions_is_private_and_lets_nobody_in_who_reads_it(
    site: Guarded, tmp_path: Path
) -> None:
    site.log_in(**ALICE)
    link = site.gate.ledger.new_link(Role.ADMIN, 900).reveal()
    files = sorted(tmp_path.glob("access.db*"))
    assert len(files) > 1
    for file in files:
        assert file.stat().st_mode & 0o077 == 0
        content = file.read_bytes()
        assert site.cookies[site.gate.cookie].encode() not in content
        assert link.encode() not in content


def test_a_file_of_sessions_that_others_can_read_or_that_is_none_is_refused(tmp_path: Path) -> None:
    wide = tmp_path / "wide.db"
    wide.touch(mode=0o600)
    wide.chmod(0o644)
    with pytest.raises(ValueError, match="chmod 600"):
        Ledger(wide)
    diary = tmp_path / "diary.db"
    diary.write_text("dear diary, " * 100)
    os.chmod(diary, 0o600)
    with pytest.raises(ValueError, match="cannot be used: file is not a database"):
        Ledger(diary)
    assert diary.read_text().startswith("dear diary")
