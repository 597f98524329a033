"""The command `rolloutwatch access`: login links, passwords and tokens, and the end of sessions."""

import argparse
import getpass
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from rolloutwatch_server.security.access import link_to
from rolloutwatch_server.security.credentials import (
    LEAST_LETTERS_OF_A_PASSWORD,
    MOST_LETTERS_OF_A_PASSWORD,
    is_name,
    parse_passwords,
    parse_tokens,
    password_line,
)
from rolloutwatch_server.security.ledger import FILE, Ledger
from rolloutwatch_server.security.roles import WORDS, role_of
from rolloutwatch_server.security.secret import (
    AccessError,
    Secret,
    new_secret,
    read_private,
    write_private,
)

ANNOUNCEMENT = "server.json"
MINUTES = 15
MOST_MINUTES = 7 * 24 * 60


def access(arguments: Sequence[str]) -> int:
    """Do what is asked; returns the exit code."""
    given = _parser().parse_args(arguments)
    try:
        text: str = given.do(given)
    except (AccessError, OSError) as error:
        print(f"rolloutwatch access: {error}", file=sys.stderr)
        return 2
    print(text)
    return 0


def _link(given: argparse.Namespace) -> str:
    running = _running(given.data_dir)
    if given.url is None and not running.get("login", True):
        raise AccessError(f"the server of {given.data_dir} asks nobody to log in: open {running['url']}/")
    if given.url is not None and not _is_web(given.url):
        raise AccessError(f"--url is {given.url[:200]!r}: expected http://name or https://name.")
    url = given.url or str(running.get("url", "http://127.0.0.1:8050"))
    ledger = Ledger(given.data_dir / FILE)
    try:
        return link_to(url.rstrip("/"), ledger.new_link(role_of(given.role), 60.0 * given.minutes))
    finally:
        ledger.close()


def _password(given: argparse.Namespace) -> str:
    _check_name(given.name)
    if sys.stdin.isatty():
        text = getpass.getpass(f"Password of {given.name}: ")
        if getpass.getpass("The same again: ") != text:
            raise AccessError("the two differ: nothing was changed.")
    else:
        text = sys.stdin.readline().rstrip("\r\n")
    if not LEAST_LETTERS_OF_A_PASSWORD <= len(text) <= MOST_LETTERS_OF_A_PASSWORD:
        raise AccessError(
            f"the password has {len(text)} letters: expected {LEAST_LETTERS_OF_A_PASSWORD} to {MOST_LETTERS_OF_A_PASSWORD}."
        )
    line = password_line(given.name, role_of(given.role), Secret(text))
    if given.file is None:
        return line
    _replace_line(given.file, given.name, line)
    parse_passwords(read_private(given.file), str(given.file))
    return f"{given.name} is {given.role} by a password in {given.file}; former sessions of that password are over."


def _token(given: argparse.Namespace) -> str:
    _check_name(given.name)
    token = new_secret()
    line = f"{given.name}:{given.role}:{token}"
    if given.file is None:
        return line
    _replace_line(given.file, given.name, line)
    parse_tokens(read_private(given.file), str(given.file))
    return token


def _end(given: argparse.Namespace) -> str:
    if not (given.data_dir / FILE).exists():
        return "0 sessions ended"
    ledger = Ledger(given.data_dir / FILE)
    try:
        return f"{ledger.end_all(given.name)} sessions ended"
    finally:
        ledger.close()


def _check_name(name: str) -> None:
    if not is_name(name):
        raise AccessError(
            f"NAME is {name[:100]!r}: expected up to 64 letters, digits and . _ @ -, a letter or digit first."
        )


def _replace_line(path: Path, name: str, line: str) -> None:
    """Write a line in the place of those of a name, or at the end; the file is replaced as a whole."""
    lines = read_private(path).splitlines() if path.exists() else []
    kept = [one for one in lines if one.strip().partition(":")[0] != name]
    write_private(path, "\n".join([*kept, line, ""]))


def _running(data_dir: Path) -> dict[str, object]:
    try:
        found = json.loads((data_dir / ANNOUNCEMENT).read_text())
    except FileNotFoundError:
        return {}
    except ValueError:
        raise AccessError(
            f"{data_dir / ANNOUNCEMENT} is not what a server writes. Start the server anew."
        ) from None
    return found if isinstance(found, dict) else {}


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _minutes(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_MINUTES:
        raise argparse.ArgumentTypeError(f"{text!r}: expected minutes from 1 to {MOST_MINUTES}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rolloutwatch access",
        description="Decide who gets in; docs/security.md tells how.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(required=True, metavar="WHAT")
    role = {"choices": WORDS, "default": "viewer", "help": "what may be done (default: viewer)"}
    data_dir = {
        "type": Path,
        "default": Path(os.environ.get("ROLLOUTWATCH_DATA_DIR", ".rolloutwatch")),
        "help": "folder of the archive (default: .rolloutwatch) [ROLLOUTWATCH_DATA_DIR]",
    }
    link = commands.add_parser("link", help="print a link that logs in one browser, once", allow_abbrev=False)
    link.add_argument("--role", **role)  # type: ignore[arg-type]
    link.add_argument(
        "--minutes", type=_minutes, default=MINUTES, help=f"until it expires (default: {MINUTES})"
    )
    link.add_argument(
        "--url",
        default=os.environ.get("ROLLOUTWATCH_PUBLIC_URL"),
        help="of the server [ROLLOUTWATCH_PUBLIC_URL]",
    )
    link.add_argument("--data-dir", **data_dir)  # type: ignore[arg-type]
    link.set_defaults(do=_link)
    for name, do, secret in (("password", _password, "password"), ("token", _token, "token")):
        one = commands.add_parser(name, help=f"make a line for a file of {secret}s", allow_abbrev=False)
        one.add_argument("name", metavar="NAME")
        one.add_argument("--role", **role)  # type: ignore[arg-type]
        one.add_argument(
            "--file", type=Path, help=f"put the line there, in the place of NAME's former {secret}"
        )
        one.set_defaults(do=do)
    end = commands.add_parser(
        "end", help="end sessions: of a name, or all of them, and links too", allow_abbrev=False
    )
    end.add_argument("name", metavar="NAME", nargs="?")
    end.add_argument("--data-dir", **data_dir)  # type: ignore[arg-type]
    end.set_defaults(do=_end)
    return parser
