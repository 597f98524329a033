"""`rolloutwatch serve` and `rolloutwatch access` as processes: S1, S11, and the way from a link to a page."""

import json
import os
import re
import subprocess
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.processes import ROLLOUTWATCH, wait_for
from tests.server.test_serve import SECONDS

pytestmark = [pytest.mark.end_to_end, pytest.mark.redis]

TOKEN = "s3cret-t0ken-0123456789abcdef"
PASSWORD = "s3cret-passw0rd"


def run(*arguments: str, given: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROLLOUTWATCH, *arguments],
        capture_output=True,
        text=True,
        input=given,
        timeout=SECONDS,
        check=False,
        env=os.environ | environment,
    )


class Serving:
    """A server that asks for a login, and all it says."""

    def __init__(self, folder: Path, *options: str, **environment: str) -> None:
        self.data_dir = folder / "data"
        self.log = folder / "log"
        self._command = [
            ROLLOUTWATCH,
            "serve",
            "--port",
            "0",
            "--redis-port",
            "0",
            "--data-dir",
            str(self.data_dir),
            *options,
        ]
        self._environment = os.environ | environment

    def __enter__(self) -> "Serving":
        with self.log.open("w") as file:
            self.process = subprocess.Popen(self._command, stdout=file, stderr=file, env=self._environment)
        wait_for("the address", lambda: re.search(r"^Dashboard: ", self.log.read_text(), re.M))
        self.url = str(self.announced["local_url"])
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(SECONDS)

    @property
    def announced(self) -> Mapping[str, object]:
        found = json.loads((self.data_dir / "server.json").read_text())
        assert isinstance(found, dict)
        return found

    def log_in(self, link: str) -> httpx.Client:
        """Follow a link as a browser does, and press its button."""
        secret = parse_qs(urlsplit(link).query)["link"][0]
        browser = httpx.Client(base_url=self.url, timeout=SECONDS)
        assert "once" in browser.get("/login", params={"link": secret}).text
        answer = browser.post("/login", data={"link": secret}, headers={"origin": self.url})
        assert answer.status_code == 303
        return browser


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_s1_f46_to_listen_beyond_this_host_without_a_login_is_refused(host: str, tmp_path: Path) -> None:
    """Nothing is begun for it, and the message names the cure."""
    ended = run("serve", "--host", host, "--port", "0", "--data-dir", str(tmp_path / "data"))
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"rolloutwatch serve: --host is '{host}', which others can reach")
    assert "--require-login" in ended.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("option", ["--tokens-file", "--passwords-file"])
def test_a_file_of_secrets_that_others_can_read_is_refused(option: str, tmp_path: Path) -> None:
    file = tmp_path / "secrets"
    file.write_text(f"ci:viewer:{TOKEN}\n")
    file.chmod(0o644)
    ended = run("serve", "--port", "0", "--data-dir", str(tmp_path / "data"), option, str(file))
    assert ended.returncode == 2
    assert f"{file} has mode 0644: expected 0600" in ended.stderr
    assert f"chmod 600 {file}" in ended.stderr
    file.unlink()
    told = run("serve", "--data-dir", str(tmp_path), option, str(file)).stderr
    assert f"{option} is '{file}': expected a private file of lines. {file} cannot be read" in told
    assert f"`rolloutwatch access {option[2:-6]} NAME --file {file}` makes one." in told


def test_a_token_in_the_environment_that_could_be_guessed_is_refused(tmp_path: Path) -> None:
    ended = run("serve", "--data-dir", str(tmp_path), ROLLOUTWATCH_TOKENS="ci:viewer:s3cret")
    assert ended.returncode == 2
    assert "ROLLOUTWATCH_TOKENS, line 1, of ci: expected a token of 24 to 512 letters" in ended.stderr
    assert "s3cret" not in ended.stderr


def test_tokens_that_are_none_are_refused(tmp_path: Path) -> None:
    ended = run("serve", "--data-dir", str(tmp_path), ROLLOUTWATCH_TOKENS=",,,")
    assert (ended.returncode, "ROLLOUTWATCH_TOKENS has no token: expected" in ended.stderr) == (2, True)


def test_links_alone_let_people_in_and_the_first_one_is_printed(tmp_path: Path) -> None:
    """The first makes an admin; others are made while the server runs, by whoever may read its folder."""
    with Serving(tmp_path, "--host", "0.0.0.0", "--require-login") as server:
        assert httpx.get(f"{server.url}/healthz").json() == {"ok": True}
        assert httpx.get(f"{server.url}/api/v1/runs").status_code == 401
        first = re.search(r"^Log in as admin, once, within 15 minutes: (\S+)$", server.log.read_text(), re.M)
        assert first is not None
        with closing(server.log_in(first[1])) as admin:
            assert admin.get("/api/v1/runs").json() == {"runs": []}
            assert admin.delete("/api/none", headers={"origin": server.url}).status_code == 404
        link = run("access", "link", "--data-dir", str(server.data_dir)).stdout.strip()
        assert link.startswith(f"{server.url}/login?link=")
        with closing(server.log_in(link)) as viewer:
            assert viewer.get("/api/v1/runs").json() == {"runs": []}
            assert viewer.delete("/api/none", headers={"origin": server.url}).status_code == 403
            ended = run("access", "end", "--data-dir", str(server.data_dir))
            assert ended.stdout == "2 sessions ended\n"
            assert viewer.get("/api/v1/runs").status_code == 401


def test_where_somebody_has_a_token_no_link_is_printed_and_files_are_private(tmp_path: Path) -> None:
    """Whatever the umask of who starts it: the folder, the archive, the lock, and what the Redis started here writes."""
    former = os.umask(0o022)
    try:
        with Serving(tmp_path, "--require-login", ROLLOUTWATCH_TOKENS=f"ci:viewer:{TOKEN}") as server:
            assert "link=" not in server.log.read_text()
            found = [server.data_dir, *server.data_dir.rglob("*")]
            assert {"archive.db", "lock", "redis"} <= {one.name for one in found}
            assert [str(one) for one in found if one.stat().st_mode & 0o077] == []
    finally:
        os.umask(former)


def test_s11_no_secret_is_in_any_log_answer_or_file_that_is_not_private(tmp_path: Path) -> None:
    """Of tokens, passwords, links and sessions, and of the URL of Redis; right or wrong, at start or later."""
    passwords = tmp_path / "passwords"
    made = run(
        "access", "password", "alice", "--role", "admin", "--file", str(passwords), given=f"{PASSWORD}\n"
    )
    assert made.returncode == 0, made.stderr
    assert passwords.stat().st_mode & 0o777 == 0o600
    redis_url = "redis://user:s3cret-redis@127.0.0.1:1/0"
    options = ("--passwords-file", str(passwords), "--redis-url", redis_url)
    answers = [made.stdout, made.stderr]
    with Serving(tmp_path, *options, ROLLOUTWATCH_TOKENS=f"ci:viewer:{TOKEN}") as server:
        assert (server.data_dir / "server.json").stat().st_mode & 0o777 == 0o600
        link = run("access", "link", "--data-dir", str(server.data_dir)).stdout.strip()
        with closing(server.log_in(link)) as browser:
            secrets = [TOKEN, PASSWORD, "s3cret", link.partition("=")[2], *browser.cookies.values()]
            bearer = {"authorization": f"Bearer {TOKEN}"}
            wrong = {"authorization": f"Bearer {TOKEN}-s3cret"}
            for path in (
                "/readyz",
                "/metrics",
                "/openapi.json",
                "/docs",
                "/",
                "/api/v1/runs",
                "/login",
                "/api/none",
            ):
                answers += [httpx.get(server.url + path, headers=one).text for one in (bearer, wrong, {})]
            form = {"name": "alice", "password": PASSWORD, "token": f"{TOKEN}-s3cret", "next": "/"}
            entered = browser.post("/login", data={**form, "token": ""}, headers={"origin": server.url})
            answers += [entered.text, browser.post("/login", data=form, headers={"origin": server.url}).text]
            answers.append(
                browser.post("/_dash-update-component", json={}, headers={"origin": server.url}).text
            )
            secrets += browser.cookies.values()
    answers.append(server.log.read_text())
    for secret in secrets:
        assert len(secret) >= 6
        assert [text for text in answers if secret in text] == []


def test_a_token_and_its_line_are_made_by_the_command(tmp_path: Path) -> None:
    """A second one of the same name takes the place of the first."""
    tokens = tmp_path / "tokens"
    first, second = (
        run("access", "token", "ci", "--role", "operator", "--file", str(tokens)).stdout.strip()
        for _ in range(2)
    )
    assert first != second
    assert tokens.read_text() == f"ci:operator:{second}\n"
    assert tokens.stat().st_mode & 0o777 == 0o600
    assert re.fullmatch(r"bot:viewer:[\w-]{43}\n", run("access", "token", "bot").stdout)


@pytest.mark.parametrize(
    ("arguments", "given", "complaint"),
    [
        (["password", "alice"], "short\n", "the password has 5 letters: expected 10 to 1024"),
        (["password", "a:b"], f"{PASSWORD}\n", "NAME is 'a:b': expected"),
        (["token", ""], "", "NAME is '': expected"),
        (["link", "--minutes", "0"], "", "expected minutes from 1"),
        (
            ["link", "--url", "javascript:x"],
            "",
            "--url is 'javascript:x': expected http://name or https://name",
        ),
        (["link", "--role", "root"], "", "invalid choice: 'root'"),
        (["link", "--data-dir", "/none"], "", "/none/access.db cannot be used"),
        ([], "", "required"),
    ],
)
def test_what_the_command_cannot_do_is_told(arguments: list[str], given: str, complaint: str) -> None:
    ended = run("access", *arguments, given=given)
    assert ended.returncode == 2
    assert complaint in ended.stderr
    assert "Traceback" not in ended.stderr
    assert PASSWORD not in ended.stderr
