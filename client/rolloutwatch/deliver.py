"""The command that delivers what trainers left on disk, without another trainer: `rolloutwatch deliver`."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rolloutwatch.adoption import Adopted
from rolloutwatch.connection import check_url
from rolloutwatch.push import RedisSink
from rolloutwatch.sink import SinkError, StreamLost
from rolloutwatch.spool import DIR_VARIABLE, Spool, root_of, sessions_in, transport_of
from rolloutwatch_contract.keys import DEFAULT_REDIS_URL, REDIS_URL_VARIABLE

_DELIVERED = "delivered and archived"
_SENT = "in Redis, and not archived yet: start the server (rolloutwatch serve), then this again"
_ALIVE = "in use by a trainer that lives, which delivers it itself"
_ELSEWHERE = "meant for another Redis: name that one with --redis-url, or add --any to deliver it to this one"


def deliver(arguments: Sequence[str]) -> int:
    """Deliver every session that is left in a spool; return 0 if all are archived, 1 if some are not, 2 for wrong arguments."""
    options = _parser().parse_args(arguments)
    root = root_of(options.spool_dir)
    try:
        url = check_url(options.redis_url or os.environ.get(REDIS_URL_VARIABLE) or DEFAULT_REDIS_URL)
    except ValueError as error:
        print(f"rolloutwatch deliver: {error}", file=sys.stderr)
        return 2
    folders = [] if root is None else sessions_in(root)
    if not folders:
        print(f"Nothing waits in {root}." if root else "There is no spool: it is switched off.")
        return 0
    try:
        results = [_deliver(folder, url, any_redis=options.any) for folder in folders]
    except KeyboardInterrupt:
        print("\nStopped: what is not archived stays where it is.")
        return 1
    return 0 if all(results) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rolloutwatch deliver",
        description="Deliver records that trainers left on disk because Redis or the server was away when they ended. "
        "The next trainer that uses the folder does so too. Files are deleted when the server has archived them.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--redis-url", metavar="URL", help=f"where to [{REDIS_URL_VARIABLE}] (default: {DEFAULT_REDIS_URL})"
    )
    parser.add_argument(
        "--spool-dir",
        metavar="DIR",
        help=f"where they are [{DIR_VARIABLE}] (default: ~/.local/state/rolloutwatch/spool)",
    )
    parser.add_argument("--any", action="store_true", help="deliver what was meant for another Redis too")
    return parser


def _deliver(folder: Path, url: str, *, any_redis: bool) -> bool:
    """Deliver one session; tell whether all of it is archived."""
    try:
        spool = Spool.adopt(folder)
    except OSError as error:
        print(f"{folder.name}: it cannot be read: {error}")
        return False
    if spool is None:
        if folder.exists():
            print(f"{folder.name}: {_ALIVE}")
        return True
    head = spool.head
    if not any_redis and head.transport != transport_of(url):
        print(f"{head.run}, session {head.session}: {_ELSEWHERE}")
        spool.close()
        return False
    one = Adopted(spool, RedisSink(url, head.run, head.session))
    shown = f"{head.run}, session {head.session}, {one.records} records"
    try:
        _send(one, shown)
    except (SinkError, OSError) as error:
        one.close()
        print(f"\r{shown}: {error}")
        return False
    archived = one.close() > 0
    print(f"\r{shown}: {_DELIVERED if archived else _SENT}")
    return archived


def _send(one: Adopted, shown: str) -> None:
    told = 0.0
    while not one.is_done():
        try:
            busy = one.step()
        except StreamLost:
            continue  # it is sent again, into another one
        if time.monotonic() - told > 0.5:
            told = time.monotonic()
            print(f"\r{shown}: {one.unsent} to go ...", end="", flush=True)
        if not busy:
            time.sleep(0.05)
